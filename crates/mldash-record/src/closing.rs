//! How far the close of a part is, for those who wait for it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use mldash_track::TrackError;

/// What is done of a close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Rows may be in memory only.
    #[default]
    Flushing,
    /// All rows are in the store, unless that failed.
    Flushed,
    /// The store is closed. A server may lack some of it.
    Closed,
}

/// The progress of a close. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    reached: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// Why rows are not in the store, until somebody is told.
    failure: Option<TrackError>,
}

/// Ends the close when it is dropped, so that nobody waits for a thread that panicked.
pub(super) struct ClosedAtLast(pub(super) Progress);

impl Progress {
    /// Notes that all rows are in the store, or why they are not.
    pub(super) fn set_flushed(&self, flushed: Result<(), TrackError>) {
        self.0.state.lock().failure = flushed.err();
        self.set_stage(Stage::Flushed);
    }

    /// Notes that the store is closed.
    pub(super) fn set_closed(&self) {
        self.set_stage(Stage::Closed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.state.lock().stage == Stage::Closed
    }

    /// Waits until this is done.
    ///
    /// # Errors
    /// Fails if rows are not in the store.
    pub(super) fn wait_until(&self, stage: Stage) -> Result<(), TrackError> {
        let mut state = self.0.state.lock();
        self.0.reached.wait_while(&mut state, |state| state.stage < stage);
        state.failure.take().map_or(Ok(()), Err)
    }

    fn set_stage(&self, stage: Stage) {
        self.0.state.lock().stage = stage;
        self.0.reached.notify_all();
    }
}

impl Drop for ClosedAtLast {
    fn drop(&mut self) {
        self.0.set_closed();
    }
}
