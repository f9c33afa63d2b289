//! `rcl_publisher_t`: publishes serialized messages on one topic.
//!
//! A publisher owns an `Arc` of its node; dropping it leaves the topic at once.

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use r2r_rcl::{
    rcl_get_zero_initialized_publisher, rcl_publish_serialized_message, rcl_publisher_fini,
    rcl_publisher_get_default_options, rcl_publisher_get_subscription_count, rcl_publisher_init,
    rcl_publisher_t, rcl_publisher_wait_for_all_acked, rcutils_get_default_allocator,
    rcutils_uint8_array_t,
};

use super::error::{RclError, c_string, check};
use super::node::{Node, NodeHandle};
use super::qos::QosProfile;
use super::type_support::TypeSupport;

/// A publisher on one topic.
pub struct Publisher {
    publisher: Box<rcl_publisher_t>,
    /// Must outlive the publisher.
    node: Arc<NodeHandle>,
}

// SAFETY: rcl binds a publisher to no thread. It is not `Sync`: one thread uses it at a time.
unsafe impl Send for Publisher {}

impl Publisher {
    /// Publishes on `topic`, which is the full name on the graph.
    ///
    /// # Errors
    /// Fails if ROS does not allow the name, or the middleware refuses the type or the QoS.
    pub fn new(
        node: &Node,
        topic: &str,
        type_support: TypeSupport,
        qos: QosProfile,
    ) -> Result<Self, RclError> {
        let topic = c_string(topic)?;
        // SAFETY: plain values.
        let (mut publisher, mut options) = unsafe {
            (Box::new(rcl_get_zero_initialized_publisher()), rcl_publisher_get_default_options())
        };
        options.qos = qos.to_rmw(options.qos);
        let code = node.0.with(|node| {
            // SAFETY: as for `Subscription::new`.
            unsafe {
                rcl_publisher_init(
                    &mut *publisher,
                    node,
                    type_support.as_ptr(),
                    topic.as_ptr(),
                    &options,
                )
            }
        });
        check("rcl_publisher_init", code)?;
        Ok(Self { publisher, node: node.0.clone() })
    }

    /// Publishes a message: CDR, encapsulation header first.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn publish(&self, cdr: &[u8]) -> Result<(), RclError> {
        let message = rcutils_uint8_array_t {
            buffer: cdr.as_ptr().cast_mut(),
            buffer_length: cdr.len(),
            buffer_capacity: cdr.len(),
            // SAFETY: a plain value. The call reads the bytes and allocates nothing.
            allocator: unsafe { rcutils_get_default_allocator() },
        };
        // SAFETY: the message points to `cdr`, which outlives the call and is only read.
        check("rcl_publish_serialized_message", unsafe {
            rcl_publish_serialized_message(&*self.publisher, &message, ptr::null_mut())
        })
    }

    /// Waits until every reliable subscription has what was published, at most so long. Returns false
    /// if some lack something, or the middleware can't tell.
    pub fn wait_for_acknowledgement(&self, at_most: Duration) -> bool {
        let nanos = i64::try_from(at_most.as_nanos()).unwrap_or(i64::MAX);
        // SAFETY: the publisher is valid for the call.
        let code = unsafe { rcl_publisher_wait_for_all_acked(&*self.publisher, nanos) };
        check("rcl_publisher_wait_for_all_acked", code).is_ok()
    }

    /// The number of matched subscriptions.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn subscription_count(&self) -> Result<usize, RclError> {
        let mut count = 0;
        // SAFETY: both pointers are valid for the call.
        check("rcl_publisher_get_subscription_count", unsafe {
            rcl_publisher_get_subscription_count(&*self.publisher, &mut count)
        })?;
        Ok(count)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let publisher: *mut rcl_publisher_t = &mut *self.publisher;
        // SAFETY: initialized in `new`; its node still lives.
        let ended = self.node.with(|node| unsafe { rcl_publisher_fini(publisher, node) });
        if let Err(error) = check("rcl_publisher_fini", ended) {
            tracing::debug!("{error}");
        }
    }
}
