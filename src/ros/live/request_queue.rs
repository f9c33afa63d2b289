//! Requests from other threads to the listening thread, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::RosError;
use super::services::{Reply, ServiceCall};
use crate::ros::rcl::{Context, GuardCondition};
use crate::track::LabelChange;

/// A request to the listening thread, handled after all messages before it are handed over.
pub(super) enum Request {
    /// A service was called.
    Call(ServiceCall, Reply),
    /// A parameter says something of the part that is recorded.
    Label(LabelChange),
    /// The recorder has dealt with a change of parts other than a stop.
    PartChanged { has_begun: bool },
    /// The part that is recorded has reached a limit.
    PartFull,
}

/// The pending requests. Clones share them.
#[derive(Clone)]
pub(super) struct RequestQueue {
    /// `None` once the recording is over.
    pending: Arc<Mutex<Option<VecDeque<Request>>>>,
    guard: GuardCondition,
}

impl RequestQueue {
    pub(super) fn new(context: &Context) -> Result<Self, RosError> {
        let guard = GuardCondition::new(context);
        let guard = guard.map_err(|error| RosError::Start(error.to_string()))?;
        Ok(Self { pending: Arc::new(Mutex::new(Some(VecDeque::new()))), guard })
    }

    /// The guard condition that a request triggers.
    pub(super) fn guard(&self) -> &GuardCondition {
        &self.guard
    }

    /// Adds a request and wakes the listening thread. Returns false if the recording is over; the
    /// request is then dropped.
    pub(super) fn ask(&self, request: Request) -> bool {
        let is_taken = match &mut *self.pending.lock() {
            Some(pending) => {
                pending.push_back(request);
                true
            }
            None => false,
        };
        self.wake();
        is_taken
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
        self.pending.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes the last requests: the recording is over.
    pub(super) fn close(&self) -> VecDeque<Request> {
        self.pending.lock().take().unwrap_or_default()
    }
}
