//! `rcl_wait_set_t`: sleeps until something is ready.
//!
//! The set is created once and grows as needed. rcl requires it to be filled again for each wait; what
//! it holds is borrowed for that wait only.

use std::sync::Arc;
use std::time::Duration;

use r2r_rcl::{
    RCL_RET_TIMEOUT, rcl_get_zero_initialized_wait_set, rcl_subscription_t, rcl_wait,
    rcl_wait_set_add_guard_condition, rcl_wait_set_add_subscription, rcl_wait_set_clear,
    rcl_wait_set_fini, rcl_wait_set_init, rcl_wait_set_resize, rcl_wait_set_t,
    rcutils_get_default_allocator,
};

use super::error::{RclError, check, reset_error};
use super::graph::c_slice;
use super::guard::GuardCondition;
use super::node::{Node, NodeHandle};
use super::subscription::Subscription;

/// Waits for subscriptions, for changes of the graph, and for a guard condition.
pub struct WaitSet {
    set: Box<rcl_wait_set_t>,
    /// The number of subscriptions that fit.
    room: usize,
    /// Must outlive the set, and so must its context.
    node: Arc<NodeHandle>,
}

// SAFETY: rcl binds a wait set to no thread. All calls take `&mut self`.
unsafe impl Send for WaitSet {}

/// What ended a wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The indices of subscriptions with messages, in the order they were passed.
    pub subscriptions: Vec<usize>,
    /// The graph has changed.
    pub graph: bool,
    /// The guard condition was set.
    pub woken: bool,
}

/// The graph's and the caller's.
const GUARD_CONDITIONS: usize = 2;

impl WaitSet {
    /// Creates an empty set that also watches the graph of `node`.
    ///
    /// # Errors
    /// Returns rcl's error.
    pub fn new(node: &Node) -> Result<Self, RclError> {
        // SAFETY: a plain value.
        let mut set = Box::new(unsafe { rcl_get_zero_initialized_wait_set() });
        let code = node.0.context().with(|context| {
            // SAFETY: the set is zero-initialized, at a stable address; the context is valid and
            // outlives it by way of the node.
            unsafe {
                let allocator = rcutils_get_default_allocator();
                rcl_wait_set_init(&mut *set, 0, GUARD_CONDITIONS, 0, 0, 0, 0, context, allocator)
            }
        });
        check("rcl_wait_set_init", code)?;
        Ok(Self { set, room: 0, node: node.0.clone() })
    }

    /// Sleeps until one of `subscriptions` has messages, the graph has changed, `guard` is set or
    /// `timeout` is over (`None` means no timeout). Writes the reasons into `ready`.
    ///
    /// # Errors
    /// Returns rcl's error.
    pub fn wait<'s>(
        &mut self,
        subscriptions: impl ExactSizeIterator<Item = &'s Subscription>,
        guard: &GuardCondition,
        timeout: Option<Duration>,
        ready: &mut Ready,
    ) -> Result<(), RclError> {
        ready.subscriptions.clear();
        (ready.graph, ready.woken) = (false, false);
        let (count, added) = self.fill(subscriptions, guard)?;
        let timeout_nanos =
            timeout.map_or(-1, |timeout| i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX));
        // SAFETY: every pointer in the set was put there by `fill` and is still borrowed.
        let code = unsafe { rcl_wait(&mut *self.set, timeout_nanos) };
        if code == RCL_RET_TIMEOUT as i32 {
            reset_error();
            return Ok(());
        }
        check("rcl_wait", code)?;
        // SAFETY: rcl keeps `size_of_subscriptions`, `room`, pointers, of which `count` were added, and
        // sets those to null that are not ready.
        let waited = unsafe { c_slice(self.set.subscriptions, count) };
        let is_ready = |(index, pointer): (usize, &*const rcl_subscription_t)| {
            (!pointer.is_null()).then_some(index)
        };
        ready.subscriptions.extend(waited.iter().enumerate().filter_map(is_ready));
        // SAFETY: as above, for two guard conditions.
        let guards = unsafe { c_slice(self.set.guard_conditions, GUARD_CONDITIONS) };
        ready.graph = !guards[added.graph].is_null();
        ready.woken = !guards[added.own].is_null();
        Ok(())
    }

    /// Fills the set. Returns the number of subscriptions and the indices of the guard conditions.
    fn fill<'s>(
        &mut self,
        subscriptions: impl ExactSizeIterator<Item = &'s Subscription>,
        guard: &GuardCondition,
    ) -> Result<(usize, GuardPlaces), RclError> {
        let count = subscriptions.len();
        if count > self.room {
            let room = count.next_power_of_two();
            // SAFETY: the set is valid; resizing also clears it.
            check("rcl_wait_set_resize", unsafe {
                rcl_wait_set_resize(&mut *self.set, room, GUARD_CONDITIONS, 0, 0, 0, 0)
            })?;
            self.room = room;
        } else {
            // SAFETY: the set is valid.
            check("rcl_wait_set_clear", unsafe { rcl_wait_set_clear(&mut *self.set) })?;
        }
        for subscription in subscriptions {
            // SAFETY: the subscription is borrowed by the caller for the whole wait.
            check("rcl_wait_set_add_subscription", unsafe {
                rcl_wait_set_add_subscription(
                    &mut *self.set,
                    subscription.as_ptr(),
                    std::ptr::null_mut(),
                )
            })?;
        }
        let (mut graph, mut own) = (0, 0);
        let of_graph = self.node.graph_guard_condition()?;
        // SAFETY: it belongs to the node, which `self` keeps alive.
        check("rcl_wait_set_add_guard_condition", unsafe {
            rcl_wait_set_add_guard_condition(&mut *self.set, of_graph, &mut graph)
        })?;
        // SAFETY: borrowed by the caller for the whole wait.
        check("rcl_wait_set_add_guard_condition", unsafe {
            rcl_wait_set_add_guard_condition(&mut *self.set, guard.as_ptr(), &mut own)
        })?;
        Ok((count, GuardPlaces { graph, own }))
    }
}

struct GuardPlaces {
    graph: usize,
    own: usize,
}

impl Drop for WaitSet {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`; its context still lives by way of the node.
        let ended = check("rcl_wait_set_fini", unsafe { rcl_wait_set_fini(&mut *self.set) });
        if let Err(error) = ended {
            tracing::debug!("{error}");
        }
    }
}
