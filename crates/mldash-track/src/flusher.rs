//! The background threads of an experiment that is recorded: one flushes when a track holds a full
//! batch and at every interval, one syncs rows to disk, one keeps up to date what describes them:
//! the tracks' metadata and indexes, and the list of files. A flush waits for neither of the latter
//! two, nor for the disk.
//!
//! A kill loses what came since the last flush began: up to the flush interval. A power cut loses
//! what came since the last sync began: up to the sync interval and the time that the disk takes for
//! one sync. A sync flushes first, unless flushes are set to be rarer.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::complaint::Complaint;
use super::error::{TrackError, one_line};
use super::panics::caught;
use super::repeating::Repeating;
use super::state::ExperimentState;

/// How often to look whether descriptions lag behind.
const DESCRIBE_EVERY: Duration = Duration::from_millis(500);

/// Wakes the thread that flushes.
#[derive(Debug, Default)]
pub(super) struct Doorbell {
    state: Mutex<Bell>,
    rung: Condvar,
    ended: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bell {
    due: bool,
    stop: bool,
}

impl Doorbell {
    /// Signals a batch to flush.
    pub(super) fn ring(&self) {
        self.state.lock().due = true;
        self.rung.notify_one();
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.rung.notify_one();
        self.ended.notify_one();
    }

    /// Waits for a signal or until `deadline`. Clears the signal for due batches.
    fn wait_until(&self, deadline: Instant) -> Bell {
        let mut state = self.state.lock();
        while !state.due && !state.stop {
            if self.rung.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        let bell = *state;
        state.due = false;
        bell
    }

    /// Waits for the end, or until `deadline`, whatever rings.
    fn wait_stop(&self, deadline: Instant) {
        let mut state = self.state.lock();
        while !state.stop && !self.ended.wait_until(&mut state, deadline).timed_out() {}
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Upkeep {
    flushing: JoinHandle<()>,
    /// One syncs, one keeps descriptions up to date.
    _repeating: [Repeating; 2],
}

impl Upkeep {
    /// Starts the threads.
    pub(super) fn start(shared: &Arc<ExperimentState>) -> io::Result<Self> {
        let own = shared.clone();
        let mut syncing = Complaint::new(
            "can't sync to disk",
            "a power cut would cost these rows; it is retried",
            "rows can be synced to disk again",
        );
        let sync = move || syncing.note(sync(&own).err().map(|error| one_line(&error)).as_deref());
        let syncing = Repeating::start("track-sync", shared.buffering.sync_interval, sync)?;
        let own = shared.clone();
        let mut describing = Complaint::new(
            "can't update what describes the tracks",
            "rows don't depend on it; it is retried",
            "what describes the tracks can be written again",
        );
        let mut folding = Complaint::new(
            "can't update the list of files",
            "saved files are in the journal; it is retried",
            "the list of files can be updated again",
        );
        // What an earlier run left in the journal is listed at once.
        let mut is_first = true;
        let describe = move || {
            let described = own.describe_tracks();
            describing.note(described.err().map(|error| one_line(&error)).as_deref());
            let folded = if is_first { own.files.fold() } else { own.fold_files_if_due() };
            is_first = false;
            folding.note(folded.err().map(|error| one_line(&error)).as_deref());
        };
        let describing = Repeating::start("track-describe", DESCRIBE_EVERY, describe)?;
        let own = shared.clone();
        let thread = thread::Builder::new().name("track-flush".into());
        let flushing = thread.spawn(move || flush(&own))?;
        Ok(Self { flushing, _repeating: [syncing, describing] })
    }

    /// Waits for their end. The doorbell must have told the one that flushes.
    pub(super) fn join(self) {
        if self.flushing.join().is_err() {
            tracing::error!("the thread track-flush panicked; closing does what it left");
        }
    }
}

fn flush(shared: &ExperimentState) {
    let interval = shared.buffering.flush_interval;
    let mut complaint = Complaint::new(
        "can't write rows to the store",
        "they stay in memory and are retried",
        "rows can be written again",
    );
    let mut flush_at = Instant::now() + interval;
    loop {
        let bell = shared.doorbell.wait_until(flush_at);
        if bell.stop {
            return;
        }
        let now = Instant::now();
        let is_due = now >= flush_at;
        let flush = || match is_due {
            true => shared.flush_open(),
            false => shared.flush_due(),
        };
        let failure = match caught(flush) {
            Ok(flushed) => flushed.err().map(|error| one_line(&error)),
            // The others are flushed all the same the next time.
            Err(panic) => Some(format!("{panic}, which is a bug")),
        };
        if is_due {
            flush_at = now + interval;
        }
        if is_due || failure.is_some() {
            complaint.note(failure.as_deref());
        }
        // Without this pause, `ring` would keep the thread spinning on a store that fails.
        if failure.is_some() {
            shared.doorbell.wait_stop(now + interval.min(shared.buffering.sync_interval));
        }
    }
}

/// Makes what was appended so far survive a power cut.
fn sync(shared: &ExperimentState) -> Result<(), TrackError> {
    let buffering = &shared.buffering;
    if buffering.flush_interval <= buffering.sync_interval {
        // A failure is told by the thread that flushes.
        let _ = shared.flush_open();
    }
    shared.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::local::power_cut::recording::{self, Disk, Left};
    use crate::local::{GENEROUS, SlowDisk};
    use crate::{ColumnType, Experiment, Options, RowSchema, TrackNotes, fields};

    const RUN: &str = "alice/warehouse/run-1";
    const HOUR: Duration = Duration::from_secs(3600);

    fn data(root: &Path, track: usize) -> String {
        let path = root.join(RUN).join(format!("tracks/t{track}/data.jsonl"));
        fs::read_to_string(path).unwrap_or_default()
    }

    fn await_that(is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + GENEROUS;
        while !is_so() {
            assert!(Instant::now() < deadline, "it does not come");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn rows_of_200_tracks_are_flushed_while_the_disk_finishes_no_sync() {
        const TRACKS: usize = 200;
        let root = tempfile::tempdir().unwrap();
        let soon = Duration::from_millis(10);
        let options = Options::local(root.path()).flush_interval(soon).sync_interval(HOUR);
        let exp = Experiment::open(RUN, options).unwrap();
        let append = |ts: f64| {
            for track in 0..TRACKS {
                // New declarations each time, which are stored before the rows.
                let schema = RowSchema::new("/t").column(format!("c{ts}"), ColumnType::Int);
                let track = exp.tracks(&format!("t{track}")).with_schema(schema);
                track.append(fields! { "v": ts }, ts).unwrap();
            }
        };
        append(1.0);
        await_that(|| (0..TRACKS).all(|track| data(root.path(), track).lines().count() == 1));
        let slow = SlowDisk::under(root.path());
        append(2.0);
        thread::scope(|scope| {
            let synced = scope.spawn(|| sync(&exp.shared));
            // Many at once, or 200 would take 200 times as long as one.
            slow.await_waiting(8);
            let notes = TrackNotes { description: Some("d".into()), ..TrackNotes::default() };
            let annotated = scope.spawn(|| exp.tracks("t0").annotate(notes));
            for ts in [3.0, 4.0] {
                append(ts);
                let is_flushed = |track| data(root.path(), track).lines().count() == ts as usize;
                await_that(|| (0..TRACKS).all(is_flushed));
            }
            // A track that comes meanwhile is no exception.
            exp.tracks(&format!("t{TRACKS}")).append(fields! { "v": 1 }, 1.0).unwrap();
            await_that(|| data(root.path(), TRACKS).lines().count() == 1);
            assert!(!annotated.is_finished(), "it returns once the disk has the notes");
            drop(slow);
            annotated.join().unwrap().unwrap();
            synced.join().unwrap().unwrap();
        });
        exp.close().unwrap();
        let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
        let columns = exp.tracks("t7").columns().unwrap().unwrap();
        assert_eq!(columns, ["c1", "c2", "c3", "c4", "v"]);
    }

    #[test]
    fn a_sync_makes_safe_what_waits_to_be_flushed() {
        let root = tempfile::tempdir().unwrap();
        recording::start(root.path());
        let options = Options::local(root.path()).flush_interval(HOUR).sync_interval(HOUR);
        let exp = Experiment::open(RUN, options).unwrap();
        exp.tracks("t0").append(fields! { "v": 1 }, 1.0).unwrap();
        sync(&exp.shared).unwrap();
        let mut disk = Disk::new(root.path());
        recording::stop(root.path()).iter().for_each(|step| disk.apply(step));
        let left = disk.after_power_cut(|| Left::Synced, || Left::Synced);
        let rows = left[&Path::new(RUN).join("tracks/t0/data.jsonl")].clone().unwrap();
        assert_eq!(String::from_utf8(rows).unwrap(), "{\"timestamp\":1.0,\"v\":1}\n");
        exp.close().unwrap();
    }
}
