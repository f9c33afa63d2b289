//! Where an experiment is stored and how it buffers. Each setting comes from the caller, else from
//! the SDK's environment variables, else from our defaults. These are the SDK's but for the flush
//! interval: a kill should cost half a second of a robot's run, not five.

use std::env;
use std::path::PathBuf;
#[cfg(feature = "remote")]
use std::sync::Arc;
#[cfg(feature = "remote")]
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::buffer::WhenFull;
use super::packing::Compression;
#[cfg(feature = "remote")]
use super::remote::Remote;

/// The default of `ML_DASH_TRACK_BATCH_SIZE`, in rows.
const DEFAULT_BATCH_ROWS: usize = 100;
const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_secs(1);
const DEFAULT_BUFFER_BYTES: usize = 256 << 20;
const DEFAULT_REMOTE_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of an [`Experiment`](super::Experiment). Unset ones come from the environment
/// (`ML_DASH_BUFFER_ENABLED`, `ML_DASH_FLUSH_INTERVAL`, `ML_DASH_TRACK_BATCH_SIZE`), else they are:
/// a flush every 0.5 s or 100 rows of a track, a sync every second.
///
/// ```
/// use std::time::Duration;
/// use mldash_track::Options;
/// let options = Options::local(".dash").flush_interval(Duration::from_millis(500));
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) root: PathBuf,
    buffered: Option<bool>,
    flush_interval: Option<Duration>,
    batch_rows: Option<usize>,
    sync_interval: Duration,
    buffer_bytes: usize,
    when_full: WhenFull,
    pub(super) last_run: LastRun,
    pub(super) compression: Compression,
    #[cfg(feature = "remote")]
    pub(super) remote: Option<Remote>,
    #[cfg(feature = "remote")]
    pub(super) remote_timeout: Duration,
    #[cfg(feature = "remote")]
    pub(super) hurry: Arc<AtomicBool>,
}

/// How to treat a run that is still marked as running when the experiment is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LastRun {
    /// Nobody holds the writer's lock, so the run ended without noting it.
    #[default]
    MarkCrashed,
    /// Another machine records it and sends its rows here.
    Leave,
}

/// An environment variable with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name}: `{value}` is not {expected}; correct or unset it")]
pub struct EnvError {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// The values it accepts.
    pub expected: &'static str,
}

impl Options {
    /// The time between flushes where none is set. The SDK's own is 5 s.
    pub const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_millis(500);
    /// The shortest interval between flushes or syncs. Shorter ones would keep a core busy.
    pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
    /// The longest interval between flushes or syncs: a day.
    pub const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);
    /// What [`interval`](Self::interval) accepts, for error messages.
    pub const INTERVALS: &str = "a number of seconds from 0.01 to 86400";

    /// The interval of this many seconds. `None` if it is shorter than
    /// [`SHORTEST_INTERVAL`](Self::SHORTEST_INTERVAL), longer than
    /// [`LONGEST_INTERVAL`](Self::LONGEST_INTERVAL) or not a number.
    pub fn interval(secs: f64) -> Option<Duration> {
        let interval = Duration::try_from_secs_f64(secs).ok()?;
        (Self::SHORTEST_INTERVAL..=Self::LONGEST_INTERVAL).contains(&interval).then_some(interval)
    }

    /// Stores under `root`, ML-Dash's `.dash`.
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            buffered: None,
            flush_interval: None,
            batch_rows: None,
            sync_interval: DEFAULT_SYNC_INTERVAL,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            when_full: WhenFull::default(),
            last_run: LastRun::default(),
            compression: Compression::default(),
            #[cfg(feature = "remote")]
            remote: None,
            #[cfg(feature = "remote")]
            remote_timeout: DEFAULT_REMOTE_TIMEOUT,
            #[cfg(feature = "remote")]
            hurry: Arc::default(),
        }
    }

    /// If `false`, every append is in the store before it returns (`ML_DASH_BUFFER_ENABLED`).
    pub fn buffered(mut self, buffered: bool) -> Self {
        self.buffered = Some(buffered);
        self
    }

    /// Time between timed flushes (`ML_DASH_FLUSH_INTERVAL`): a `kill -9` loses at most this much.
    /// 10 ms to a day; values beyond that become the nearest of these.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = Some(interval);
        self
    }

    /// Rows of one track that trigger a flush (`ML_DASH_TRACK_BATCH_SIZE`).
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = Some(rows);
        self
    }

    /// Time between syncs to disk. A sync flushes first, so a power cut loses at most this much, and
    /// what came while the disk worked on the sync. If the flush interval is longer than this, a
    /// power cut loses up to both together. 10 ms to a day; values beyond that become the nearest of
    /// these.
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.sync_interval = interval;
        self
    }

    /// Bytes that unflushed rows of all tracks may use in memory. Tracks whose rows the store can't
    /// take may use half of them.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// What an append does when those bytes are used up.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How the rows lie on the disk once the experiment is closed. Tracks that others packed stay
    /// packed until they are appended to.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// For a server: runs in `experiment.json` belong to other machines.
    pub fn recorded_elsewhere(mut self) -> Self {
        self.last_run = LastRun::Leave;
        self
    }

    #[cfg(feature = "remote")]
    /// Uploads stored data to a server in the background, and retries while the experiment is open.
    /// [`Experiment::sync`](super::Experiment::sync) uploads what is still missing after that.
    pub fn remote(mut self, remote: Remote) -> Self {
        self.remote = Some(remote);
        self
    }

    #[cfg(feature = "remote")]
    /// How long a flush or a close may wait for the server.
    pub fn remote_timeout(mut self, timeout: Duration) -> Self {
        self.remote_timeout = timeout;
        self
    }

    #[cfg(feature = "remote")]
    /// Once this is set, closing no longer waits for the server, nor for rows to be packed.
    pub fn hurry(mut self, hurry: Arc<AtomicBool>) -> Self {
        self.hurry = hurry;
        self
    }

    /// Resolves every setting.
    pub(super) fn resolve(&self) -> Result<Buffering, EnvError> {
        Ok(Buffering {
            buffered: match self.buffered {
                Some(buffered) => buffered,
                None => {
                    from_env("ML_DASH_BUFFER_ENABLED", "true or false", parse_bool)?.unwrap_or(true)
                }
            },
            flush_interval: match self.flush_interval {
                Some(interval) => in_range(interval),
                None => from_env("ML_DASH_FLUSH_INTERVAL", Self::INTERVALS, |text| {
                    Self::interval(text.parse().ok()?)
                })?
                .unwrap_or(Self::DEFAULT_FLUSH_INTERVAL),
            },
            batch_rows: match self.batch_rows {
                Some(rows) => rows.max(1),
                None => from_env("ML_DASH_TRACK_BATCH_SIZE", "a number of rows above 0", |text| {
                    text.parse().ok().filter(|rows| *rows > 0)
                })?
                .unwrap_or(DEFAULT_BATCH_ROWS),
            },
            sync_interval: in_range(self.sync_interval),
            buffer_bytes: self.buffer_bytes,
            when_full: self.when_full,
        })
    }
}

/// [`Options`] with every setting resolved.
#[derive(Clone, Debug)]
pub(super) struct Buffering {
    pub(super) buffered: bool,
    pub(super) flush_interval: Duration,
    pub(super) batch_rows: usize,
    pub(super) sync_interval: Duration,
    pub(super) buffer_bytes: usize,
    pub(super) when_full: WhenFull,
}

fn in_range(interval: Duration) -> Duration {
    interval.clamp(Options::SHORTEST_INTERVAL, Options::LONGEST_INTERVAL)
}

pub(super) fn from_env<T>(
    name: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, EnvError> {
    let Some(value) = env::var_os(name) else {
        return Ok(None);
    };
    let value = value.to_string_lossy();
    match parse(value.trim()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(EnvError { name, value: value.into_owned(), expected }),
    }
}

/// The spellings that the SDK accepts.
fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_would_spin_or_never_end_are_refused() {
        for secs in [0.0, -1.0, 1e-9, 0.009, 86_401.0, 1e19, f64::INFINITY, f64::NAN] {
            assert_eq!(Options::interval(secs), None, "{secs}");
        }
        assert_eq!(Options::interval(0.01), Some(Options::SHORTEST_INTERVAL));
        assert_eq!(Options::interval(0.5), Some(Duration::from_millis(500)));
        assert_eq!(Options::interval(86_400.0), Some(Options::LONGEST_INTERVAL));
    }

    #[test]
    fn a_kill_costs_half_a_second_and_a_power_cut_one_unless_told_otherwise() {
        if env::var_os("ML_DASH_FLUSH_INTERVAL").is_some() {
            return;
        }
        let buffering = Options::local(".").resolve().unwrap();
        assert_eq!(buffering.flush_interval, Duration::from_millis(500));
        assert_eq!(buffering.sync_interval, Duration::from_secs(1));
    }

    #[test]
    fn intervals_set_in_code_are_brought_into_range() {
        let options =
            Options::local(".").flush_interval(Duration::ZERO).sync_interval(Duration::MAX);
        let buffering = options.resolve().unwrap();
        assert_eq!(buffering.flush_interval, Options::SHORTEST_INTERVAL);
        assert_eq!(buffering.sync_interval, Options::LONGEST_INTERVAL);
    }
}
