//! The background threads of an experiment that is recorded: one flushes when a track holds a full
//! batch and at every interval, one syncs rows to disk, one keeps up to date what describes them:
//! the tracks' metadata and the list of files. A flush waits for neither of the latter two.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::error::one_line;
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
        let mut reported = None;
        let sync = move || sync(&own, &mut reported);
        let syncing = Repeating::start("track-sync", shared.buffering.sync_interval, sync)?;
        let own = shared.clone();
        let describe = move || {
            own.describe_tracks();
            own.fold_files_if_due();
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
    let mut flush_at = Instant::now() + interval;
    loop {
        let bell = shared.doorbell.wait_until(flush_at);
        if bell.stop {
            return;
        }
        let now = Instant::now();
        let flushed = if now >= flush_at {
            flush_at = now + interval;
            shared.flush_all()
        } else {
            shared.flush_due()
        };
        // The failure of the store was reported when it began. Without this pause, `ring` would
        // keep the thread spinning on it.
        if flushed.is_err() {
            shared.doorbell.wait_stop(now + interval.min(shared.buffering.sync_interval));
        }
    }
}

/// A failure is reported once for as long as it stays the same.
fn sync(shared: &ExperimentState, reported: &mut Option<String>) {
    let failure = shared.sync_all().err().map(|error| one_line(&error));
    if let Some(failure) = failure.as_ref().filter(|_| failure != *reported) {
        tracing::error!("can't sync to disk: {failure}; retrying");
    }
    *reported = failure;
}
