//! The background threads of an experiment that is recorded: one flushes when a track holds a full
//! batch and at every interval, one syncs rows to disk, one keeps up to date what describes them:
//! the tracks' metadata and the list of files. Neither a slow disk nor a long list holds up a flush.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::error::one_line;
use super::state::ExperimentState;

/// How often to look whether descriptions lag behind.
const DESCRIBE_EVERY: Duration = Duration::from_millis(500);

/// Wakes the threads.
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

    /// Tells the threads to end.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.rung.notify_all();
        self.ended.notify_all();
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

    /// Waits for the end, or until `deadline`. Returns true at the end.
    fn wait_stop(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.stop && !self.ended.wait_until(&mut state, deadline).timed_out() {}
        state.stop
    }
}

/// What a thread does, and its name.
type Work = (&'static str, fn(&ExperimentState));

/// The threads. They end when the doorbell says so.
#[derive(Debug)]
pub(super) struct Upkeep(Vec<JoinHandle<()>>);

impl Upkeep {
    /// Starts the threads.
    pub(super) fn start(shared: &Arc<ExperimentState>) -> io::Result<Self> {
        let mut started = Self(Vec::new());
        let works: [Work; 3] =
            [("track-flush", flush), ("track-sync", sync), ("track-describe", describe)];
        for (name, work) in works {
            let own = shared.clone();
            match thread::Builder::new().name(name.into()).spawn(move || work(&own)) {
                Ok(thread) => started.0.push(thread),
                Err(error) => {
                    shared.doorbell.stop();
                    started.join();
                    return Err(error);
                }
            }
        }
        Ok(started)
    }

    /// Waits for their end.
    pub(super) fn join(self) {
        for thread in self.0 {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!("the thread {name} panicked; closing does what it left");
            }
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

fn sync(shared: &ExperimentState) {
    let mut reported = None;
    while !shared.doorbell.wait_stop(Instant::now() + shared.buffering.sync_interval) {
        let failure = shared.sync_all().err().map(|error| one_line(&error));
        if let Some(failure) = failure.as_ref().filter(|_| failure != reported) {
            tracing::error!("can't sync to disk: {failure}; retrying");
        }
        reported = failure;
    }
}

fn describe(shared: &ExperimentState) {
    while !shared.doorbell.wait_stop(Instant::now() + DESCRIBE_EVERY) {
        shared.describe_tracks();
        shared.fold_files_if_due();
    }
}
