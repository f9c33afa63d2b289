//! Whether a replay is paused, and for how long it has been.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Pauses and resumes a replay. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pause(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Since when it is paused.
    since: Option<Instant>,
    /// How long it was paused before that.
    before: Duration,
    /// Counts calls of [`Pause::wake`] and changes, so that none is missed.
    changes: u64,
    seen: u64,
}

impl State {
    fn paused(&self, now: Instant) -> Duration {
        let running = self.since.map(|since| now.saturating_duration_since(since));
        self.before + running.unwrap_or_default()
    }
}

impl Pause {
    /// Paused from the start, or not.
    pub fn new(is_paused: bool) -> Self {
        let pause = Self::default();
        if is_paused {
            pause.set(true);
        }
        pause
    }

    /// Pauses or resumes. Returns false if that is what it was.
    pub fn set(&self, is_paused: bool) -> bool {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        if state.since.is_some() == is_paused {
            return false;
        }
        state.before = state.paused(now);
        state.since = is_paused.then_some(now);
        state.changes += 1;
        self.0.changed.notify_all();
        true
    }

    /// Pauses if it is not paused, else resumes. Returns whether it is paused now.
    pub fn toggle(&self) -> bool {
        let is_paused = !self.is_paused();
        self.set(is_paused);
        is_paused
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.0.state.lock().since.is_some()
    }

    /// Wakes who waits.
    pub(super) fn wake(&self) {
        self.0.state.lock().changes += 1;
        self.0.changed.notify_all();
    }

    /// Whether it is paused, and how long it was in all until `now`.
    pub(super) fn at(&self, now: Instant) -> (bool, Duration) {
        let mut state = self.0.state.lock();
        state.seen = state.changes;
        (state.since.is_some(), state.paused(now))
    }

    /// Waits until `deadline`, or until something changed since the last [`at`](Self::at).
    pub(super) fn wait_until(&self, deadline: Instant) {
        let mut state = self.0.state.lock();
        while state.changes == state.seen {
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }
}
