//! `rcl_node_t`: owns subscriptions and publishers, and answers graph queries.
//!
//! Subscriptions and publishers hold an `Arc` of the inner handle; it is finalized when the last of them
//! is gone, before its context.

use std::sync::Arc;

use parking_lot::Mutex;
use r2r_rcl::{
    rcl_get_zero_initialized_node, rcl_guard_condition_t, rcl_node_fini,
    rcl_node_get_default_options, rcl_node_get_graph_guard_condition, rcl_node_init, rcl_node_t,
};

use super::context::{Context, ContextHandle};
use super::error::{RclError, c_string, check, null};

/// A node on the graph. It publishes no log and offers no services.
#[derive(Clone)]
pub struct Node(pub(super) Arc<NodeHandle>);

pub(super) struct NodeHandle {
    node: Mutex<Box<rcl_node_t>>,
    /// Must outlive the node.
    context: Arc<ContextHandle>,
}

// SAFETY: rcl binds a node to no thread, and the mutex lets one thread at a time use it.
unsafe impl Send for NodeHandle {}
// SAFETY: as above; there is no access without the lock.
unsafe impl Sync for NodeHandle {}

impl Node {
    /// Creates a node. Arguments of its context can rename it or its topics; arguments of the process
    /// can't.
    ///
    /// # Errors
    /// Fails if ROS does not allow the name or the middleware refuses the node.
    pub fn new(context: &Context, name: &str, namespace: &str) -> Result<Self, RclError> {
        let (name, namespace) = (c_string(name)?, c_string(namespace)?);
        // SAFETY: plain values.
        let (mut node, mut options) =
            unsafe { (Box::new(rcl_get_zero_initialized_node()), rcl_node_get_default_options()) };
        options.enable_rosout = false;
        let code = context.0.with(|context| {
            // SAFETY: the node is zero-initialized and has a stable address in its box; the names and
            // the options outlive the call, which copies them; the context is valid and outlives the
            // node, which owns an `Arc` of it.
            unsafe {
                rcl_node_init(&mut *node, name.as_ptr(), namespace.as_ptr(), context, &options)
            }
        });
        check("rcl_node_init", code)?;
        Ok(Self(Arc::new(NodeHandle { node: Mutex::new(node), context: context.0.clone() })))
    }
}

impl NodeHandle {
    /// Calls `f` with the handle while no other thread uses it.
    pub(super) fn with<T>(&self, f: impl FnOnce(*mut rcl_node_t) -> T) -> T {
        f(&mut **self.node.lock())
    }

    pub(super) fn context(&self) -> &ContextHandle {
        &self.context
    }

    /// The guard condition that rcl sets when the graph changes. Valid as long as the node.
    pub(super) fn graph_guard_condition(&self) -> Result<*const rcl_guard_condition_t, RclError> {
        // SAFETY: the node is valid; the function returns a pointer into it, or null.
        let guard = self.with(|node| unsafe { rcl_node_get_graph_guard_condition(node) });
        if guard.is_null() { Err(null("rcl_node_get_graph_guard_condition")) } else { Ok(guard) }
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        // SAFETY: initialized in `Node::new`; this is the last owner, and its context still lives.
        let ended = check("rcl_node_fini", unsafe { rcl_node_fini(&mut **self.node.get_mut()) });
        if let Err(error) = ended {
            tracing::debug!("{error}");
        }
    }
}
