//! `rcl_guard_condition_t`: wakes a waiting thread from any other thread.

use std::sync::Arc;

use r2r_rcl::{
    rcl_get_zero_initialized_guard_condition, rcl_guard_condition_fini,
    rcl_guard_condition_get_default_options, rcl_guard_condition_init, rcl_guard_condition_t,
    rcl_trigger_guard_condition,
};

use super::context::{Context, ContextHandle};
use super::error::{RclError, check};

/// A condition to wait for. Clones share it, and any thread may set it. Setting it several times before
/// the waiting thread wakes has the effect of setting it once.
#[derive(Clone)]
pub struct GuardCondition(Arc<GuardHandle>);

struct GuardHandle {
    guard: Box<rcl_guard_condition_t>,
    /// Must outlive the guard condition.
    _context: Arc<ContextHandle>,
}

// SAFETY: after its creation the handle is only triggered and waited for. `rcl_trigger_guard_condition` is
// documented as thread-safe, also beside a wait ("can be called concurrently with rcl_wait").
unsafe impl Send for GuardHandle {}
// SAFETY: as above.
unsafe impl Sync for GuardHandle {}

impl GuardCondition {
    /// Creates a condition that is not set.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn new(context: &Context) -> Result<Self, RclError> {
        // SAFETY: a plain value.
        let mut guard = Box::new(unsafe { rcl_get_zero_initialized_guard_condition() });
        let code = context.0.with(|context| {
            // SAFETY: zero-initialized, at a stable address; the context is valid and outlives the
            // guard condition, which owns an `Arc` of it.
            unsafe {
                let options = rcl_guard_condition_get_default_options();
                rcl_guard_condition_init(&mut *guard, context, options)
            }
        });
        check("rcl_guard_condition_init", code)?;
        Ok(Self(Arc::new(GuardHandle { guard, _context: context.0.clone() })))
    }

    /// Sets it.
    ///
    /// # Errors
    /// Fails if the context was shut down.
    pub fn trigger(&self) -> Result<(), RclError> {
        let guard = self.as_ptr().cast_mut();
        // SAFETY: valid as long as `self`; the function changes only what lies behind the middleware's
        // own lock.
        check("rcl_trigger_guard_condition", unsafe { rcl_trigger_guard_condition(guard) })
    }

    pub(super) fn as_ptr(&self) -> *const rcl_guard_condition_t {
        &*self.0.guard
    }
}

impl Drop for GuardHandle {
    fn drop(&mut self) {
        // SAFETY: initialized in `GuardCondition::new`; the last owner, and the context still lives.
        let ended = unsafe { rcl_guard_condition_fini(&mut *self.guard) };
        if let Err(error) = check("rcl_guard_condition_fini", ended) {
            tracing::debug!("{error}");
        }
    }
}
