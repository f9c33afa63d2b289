//! The thread that flushes when a track holds a full batch and at every interval, and syncs to
//! disk.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::state::ExperimentState;

/// Wakes the flush thread.
#[derive(Debug, Default)]
pub(super) struct Doorbell {
    state: Mutex<Bell>,
    rung: Condvar,
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

    /// Waits for the end, or until `deadline`.
    fn wait_stop(&self, deadline: Instant) {
        let mut state = self.state.lock();
        while !state.stop && !self.rung.wait_until(&mut state, deadline).timed_out() {}
    }
}

pub(super) fn start(shared: Arc<ExperimentState>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("track-flush".into()).spawn(move || run(&shared))
}

fn run(shared: &ExperimentState) {
    let buffering = &shared.buffering;
    let tick = buffering.flush_interval.min(buffering.sync_interval);
    let mut flush_at = Instant::now() + buffering.flush_interval;
    let mut sync_at = Instant::now() + buffering.sync_interval;
    loop {
        let bell = shared.doorbell.wait_until(flush_at.min(sync_at));
        if bell.stop {
            return;
        }
        let now = Instant::now();
        let flushed = if now >= flush_at {
            flush_at = now + buffering.flush_interval;
            shared.flush_all()
        } else {
            shared.flush_due()
        };
        shared.fold_files_if_due();
        // The failure of the store was reported when it began. Without this pause, `ring` would
        // keep the thread spinning on it.
        if flushed.is_err() {
            shared.doorbell.wait_stop(now + tick);
        }
        if now >= sync_at {
            sync_at = now + buffering.sync_interval;
            if let Err(error) = shared.sync_all() {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "can't sync to disk; retrying");
            }
        }
    }
}
