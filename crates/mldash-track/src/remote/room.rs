//! Makes room in the local store: keeps it within its size limit while it is uploaded (`LocalCap`,
//! beside the recording), and removes what a server provably has (`removal`, `server_copy`).

mod removal;
mod server_copy;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) use self::removal::remove_synced;
use self::removal::{Usage, remove_synced_files};
pub(super) use self::server_copy::Patience;
use super::options::{Remote, WhenLocalFull};
use crate::error::one_line;
use crate::local::ExperimentDir;
use crate::name::ExperimentName;
use crate::repeating::Repeating;
use crate::state::ExperimentState;

/// How often the store is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// How long to leave an experiment alone whose copy on the server could not be confirmed.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Watches the store's size until it is dropped.
#[derive(Debug)]
pub(crate) struct LocalCap {
    ended: Arc<AtomicBool>,
    _measuring: Repeating,
}

/// The limit, and what happens when it is reached.
#[derive(Clone, Debug)]
pub(crate) struct CapSettings {
    pub(crate) max_bytes: u64,
    pub(crate) when_full: WhenLocalFull,
    pub(crate) remote: Remote,
    /// The server's address, as used in the checkpoints.
    pub(crate) url: String,
}

/// Keeps the store within its limit.
struct Keeper {
    shared: Arc<ExperimentState>,
    settings: CapSettings,
    ended: Arc<AtomicBool>,
    /// Experiments whose copy on the server could not be confirmed, and when to ask again.
    unconfirmed: HashMap<ExperimentName, Instant>,
}

impl LocalCap {
    pub(crate) fn start(shared: Arc<ExperimentState>, settings: CapSettings) -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let mut keeper =
            Keeper { shared, settings, ended: ended.clone(), unconfirmed: HashMap::new() };
        // The server may take long to answer, and recording does not wait for that.
        let first = if keeper.measure_first() { MEASURE_EVERY } else { Duration::ZERO };
        let enforce = move || keeper.enforce();
        let measuring = Repeating::start_after("local-cap", first, MEASURE_EVERY, enforce)?;
        Ok(Self { ended, _measuring: measuring })
    }
}

impl Drop for LocalCap {
    fn drop(&mut self) {
        // Ends a comparison that is under way; the thread ends after it.
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Keeper {
    fn root(&self) -> &Path {
        self.shared.dir.root(&self.shared.name)
    }

    /// Measures the store before anything is recorded. Returns false if something may have to be
    /// removed first.
    fn measure_first(&self) -> bool {
        let used = Usage::of(self.root());
        if let Ok(usage) = &used
            && self.may_make_room(usage)
        {
            return false;
        }
        self.note(used.map(|usage| usage.bytes));
        true
    }

    /// Makes room if that is allowed. Stops the recording if that does not help.
    fn enforce(&mut self) {
        let used = Usage::of(self.root()).and_then(|usage| {
            if !self.may_make_room(&usage) {
                return Ok(usage.bytes);
            }
            self.make_room(&usage);
            Ok(Usage::of(self.root())?.bytes)
        });
        self.note(used);
    }

    fn may_make_room(&self, usage: &Usage) -> bool {
        usage.bytes > self.settings.max_bytes
            && self.settings.when_full == WhenLocalFull::DropSynced
            && !usage.uploaded.is_empty()
    }

    fn note(&self, used: io::Result<u64>) {
        match used {
            Ok(used_bytes) => self.shared.note_local_use(used_bytes, self.settings.max_bytes),
            Err(error) => tracing::warn!("can't measure {}: {error}", self.root().display()),
        }
    }

    fn make_room(&mut self, usage: &Usage) {
        let mut surplus = usage.bytes - self.settings.max_bytes;
        let own = self.shared.name.clone();
        let others = usage.uploaded.iter().map(|uploaded| &uploaded.name);
        for name in others.filter(|name| **name != own) {
            surplus = surplus.saturating_sub(self.remove_from(name, surplus));
        }
        self.remove_from(&own, surplus);
    }

    /// Removes what the server has of an experiment, if there is a surplus. Returns the bytes freed.
    fn remove_from(&mut self, name: &ExperimentName, surplus: u64) -> u64 {
        let now = Instant::now();
        if surplus == 0 || self.unconfirmed.get(name).is_some_and(|until| now < *until) {
            return 0;
        }
        let (shared, CapSettings { remote, url, .. }) = (&self.shared, &self.settings);
        // This comes round again, so a failed call is not retried.
        let goes_on = || !self.ended.load(Ordering::Relaxed);
        let patience = Patience { retries: false, goes_on: &goes_on };
        let removed = if *name == shared.name {
            let (dir, files) = (&shared.dir, &shared.files);
            remove_synced_files(name, dir, files, remote, url, surplus, patience)
        } else {
            let dir = ExperimentDir::new(shared.dir.root(&shared.name), name);
            remove_synced(name, &dir, remote, url, patience)
        };
        let removal = match removed {
            Ok(removal) => removal,
            Err(error) => {
                tracing::error!("can't make room in the store: {}", one_line(&error));
                return 0;
            }
        };
        for failure in &removal.failures {
            tracing::error!("no room is made in `{name}`: {}", one_line(failure));
        }
        if !removal.failures.is_empty() {
            self.unconfirmed.insert(name.clone(), now + ASK_AGAIN_AFTER);
        }
        if removal.bytes > 0 {
            let bytes = removal.bytes;
            tracing::info!("removed {bytes} bytes of `{name}`, which {url} has");
        }
        removal.bytes
    }
}
