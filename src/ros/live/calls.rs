//! Requests from other threads to the listening thread, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::RosError;
use super::services::{Call, Reply};
use crate::ros::rcl::{Context, GuardCondition};
use crate::track::LabelChange;

/// A request to the listening thread, handled after all messages before it are handed over.
pub(super) enum Request {
    /// A service was called.
    Call(Call, Reply),
    /// A parameter says something of the part that is recorded.
    Label(LabelChange),
    /// The recorder has started the next part.
    PartStarted,
    /// `use_sim_time` was set.
    SimTime(bool),
}

/// The pending requests. Clones share them.
#[derive(Clone)]
pub(super) struct Calls {
    pending: Arc<Mutex<VecDeque<Request>>>,
    guard: GuardCondition,
}

impl Calls {
    pub(super) fn new(context: &Context) -> Result<Self, RosError> {
        let guard = GuardCondition::new(context);
        let guard = guard.map_err(|error| RosError::Start(error.to_string()))?;
        Ok(Self { pending: Arc::default(), guard })
    }

    /// The guard condition that a request triggers.
    pub(super) fn guard(&self) -> &GuardCondition {
        &self.guard
    }

    /// Adds a request and wakes the listening thread.
    pub(super) fn ask(&self, request: Request) {
        self.pending.lock().push_back(request);
        self.wake();
    }

    /// Wakes the listening thread.
    pub(super) fn wake(&self) {
        // It fails only once the context is gone, and the thread with it.
        if let Err(error) = self.guard.trigger() {
            tracing::debug!("{error}");
        }
    }

    /// Takes the requests since the last call.
    pub(super) fn take(&self) -> VecDeque<Request> {
        std::mem::take(&mut *self.pending.lock())
    }
}
