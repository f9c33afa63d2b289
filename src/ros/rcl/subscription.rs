//! `rcl_subscription_t`: takes serialized messages of one topic.
//!
//! A subscription owns an `Arc` of its node; dropping it unsubscribes at once.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use r2r_rcl::{
    RCL_RET_EVENT_TAKE_FAILED, RCL_RET_SUBSCRIPTION_TAKE_FAILED, RCL_RET_UNSUPPORTED,
    RMW_GID_STORAGE_SIZE, rcl_event_fini, rcl_event_t, rcl_get_zero_initialized_event,
    rcl_get_zero_initialized_subscription, rcl_subscription_event_init,
    rcl_subscription_event_type_t, rcl_subscription_fini, rcl_subscription_get_default_options,
    rcl_subscription_get_publisher_count, rcl_subscription_get_topic_name, rcl_subscription_init,
    rcl_subscription_t, rcl_take_event, rcl_take_serialized_message, rcutils_get_default_allocator,
    rcutils_get_zero_initialized_uint8_array, rcutils_uint8_array_fini, rcutils_uint8_array_t,
    rmw_message_info_t, rmw_qos_incompatible_event_status_t,
};

use super::error::{RclError, c_string, check, reset_error};
use super::node::{Node, NodeHandle};
use super::qos::QosProfile;
use super::type_support::TypeSupport;

/// A subscription to one topic.
pub struct Subscription {
    /// Boxed: a wait set keeps its address while it waits.
    subscription: Box<rcl_subscription_t>,
    /// `None` where the middleware does not report it.
    incompatible_qos: Option<Box<rcl_event_t>>,
    /// Reused for each taken message.
    buffer: Buffer,
    /// Must outlive the subscription.
    node: Arc<NodeHandle>,
}

// SAFETY: rcl binds a subscription to no thread. All calls that change it take `&mut self`.
unsafe impl Send for Subscription {}

/// A serialized message.
#[derive(Debug)]
pub struct TakenMessage<'a> {
    /// CDR, encapsulation header first.
    pub cdr: &'a [u8],
    /// Its origin and times.
    pub info: MessageInfo,
}

/// What the middleware reports about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// Publish time by the publisher's clock, in nanoseconds since 1970. `None` if the middleware does
    /// not report it.
    pub source_nanos: Option<i64>,
    /// Arrival time by this machine's system clock, in nanoseconds since 1970, no matter when it is
    /// taken. `None` if the middleware does not report it.
    pub received_nanos: Option<i64>,
    /// The publisher's count of its messages, without gaps; `None` if the middleware does not count.
    pub sequence: Option<u64>,
    /// Its publisher.
    pub publisher: Gid,
}

/// A publisher's id, unique in the graph. A restarted node has new ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gid(pub [u8; RMW_GID_STORAGE_SIZE as usize]);

impl fmt::Debug for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Subscription {
    /// Subscribes to `topic`, which is the full name on the graph.
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
        let (mut subscription, mut options) = unsafe {
            (
                Box::new(rcl_get_zero_initialized_subscription()),
                rcl_subscription_get_default_options(),
            )
        };
        options.qos = qos.to_rmw(options.qos);
        let code = node.0.with(|node| {
            // SAFETY: zero-initialized, at a stable address; node, type support and name are valid, and
            // what rcl keeps of them outlives the subscription: the node by the `Arc`, the type support
            // for ever.
            unsafe {
                rcl_subscription_init(
                    &mut *subscription,
                    node,
                    type_support.as_ptr(),
                    topic.as_ptr(),
                    &options,
                )
            }
        });
        check("rcl_subscription_init", code)?;
        let incompatible_qos = incompatible_qos_event(&subscription);
        let buffer = Buffer::new();
        Ok(Self { subscription, incompatible_qos, buffer, node: node.0.clone() })
    }

    /// The topic's name on the graph.
    pub fn topic(&self) -> String {
        // SAFETY: the subscription is valid; the function returns a string that it owns, or null.
        let name = unsafe { rcl_subscription_get_topic_name(&*self.subscription) };
        if name.is_null() {
            return String::new();
        }
        // SAFETY: not null, and owned by the subscription.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    /// The number of matched publishers.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn publisher_count(&self) -> Result<usize, RclError> {
        let mut count = 0;
        // SAFETY: both pointers are valid for the call.
        check("rcl_subscription_get_publisher_count", unsafe {
            rcl_subscription_get_publisher_count(&*self.subscription, &mut count)
        })?;
        Ok(count)
    }

    /// Takes the oldest message that has arrived. Does not wait.
    ///
    /// # Errors
    /// Returns the middleware's error for a message that it could not hand over.
    pub fn take(&mut self) -> Result<Option<TakenMessage<'_>>, RclError> {
        let mut info = rmw_message_info_t::default();
        // SAFETY: the subscription and the buffer are valid; the call resizes the buffer by its own
        // allocator. No allocation is passed.
        let code = unsafe {
            rcl_take_serialized_message(
                &*self.subscription,
                &mut self.buffer.0,
                &mut info,
                ptr::null_mut(),
            )
        };
        if code == RCL_RET_SUBSCRIPTION_TAKE_FAILED as i32 {
            reset_error();
            return Ok(None);
        }
        check("rcl_take_serialized_message", code)?;
        Ok(Some(TakenMessage { cdr: self.buffer.bytes(), info: message_info(&info) }))
    }

    /// The number of publishers newly found to offer less than this subscription requests. It gets
    /// nothing from them.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn take_incompatible_qos(&mut self) -> Result<usize, RclError> {
        let Some(event) = &self.incompatible_qos else { return Ok(0) };
        let mut status = rmw_qos_incompatible_event_status_t {
            total_count: 0,
            total_count_change: 0,
            // The kind that stands for none.
            last_policy_kind: r2r_rcl::rmw_qos_policy_kind_t::RMW_QOS_POLICY_INVALID,
        };
        // SAFETY: the event was initialized for this kind, whose status the second argument has room for.
        let code = unsafe { rcl_take_event(&**event, (&raw mut status).cast::<c_void>()) };
        if code == RCL_RET_EVENT_TAKE_FAILED as i32 || code == RCL_RET_UNSUPPORTED as i32 {
            reset_error();
            return Ok(0);
        }
        check("rcl_take_event", code)?;
        Ok(usize::try_from(status.total_count_change).unwrap_or(0))
    }

    pub(super) fn as_ptr(&self) -> *const rcl_subscription_t {
        &*self.subscription
    }
}

/// The event for incompatible publishers, if the middleware supports it.
fn incompatible_qos_event(subscription: &rcl_subscription_t) -> Option<Box<rcl_event_t>> {
    // SAFETY: a plain value.
    let mut event = Box::new(unsafe { rcl_get_zero_initialized_event() });
    // SAFETY: the event is zero-initialized, the subscription valid; `Subscription::drop` ends the event
    // before the subscription.
    let code = unsafe {
        rcl_subscription_event_init(
            &mut *event,
            subscription,
            rcl_subscription_event_type_t::RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS,
        )
    };
    match check("rcl_subscription_event_init", code) {
        Ok(()) => Some(event),
        Err(error) => {
            tracing::debug!("incompatible publishers are not reported: {error}");
            None
        }
    }
}

fn message_info(info: &rmw_message_info_t) -> MessageInfo {
    // RMW_MESSAGE_INFO_SEQUENCE_NUMBER_UNSUPPORTED, a macro that bindgen leaves out.
    let sequence = Some(info.publication_sequence_number).filter(|number| *number != u64::MAX);
    MessageInfo {
        source_nanos: Some(info.source_timestamp).filter(|nanos| *nanos != 0),
        received_nanos: Some(info.received_timestamp).filter(|nanos| *nanos != 0),
        sequence,
        publisher: Gid(info.publisher_gid.data),
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(event) = &mut self.incompatible_qos {
            // SAFETY: initialized in `new` and used nowhere else.
            let ended = unsafe { rcl_event_fini(&mut **event) };
            if let Err(error) = check("rcl_event_fini", ended) {
                tracing::debug!("{error}");
            }
        }
        let subscription: *mut rcl_subscription_t = &mut *self.subscription;
        // SAFETY: initialized in `new`; its node still lives.
        let ended = self.node.with(|node| unsafe { rcl_subscription_fini(subscription, node) });
        if let Err(error) = check("rcl_subscription_fini", ended) {
            tracing::debug!("{error}");
        }
    }
}

/// A C byte array. It grows to the size of the largest message and is reused.
struct Buffer(rcutils_uint8_array_t);

impl Buffer {
    fn new() -> Self {
        // SAFETY: plain values.
        unsafe {
            let mut array = rcutils_get_zero_initialized_uint8_array();
            array.allocator = rcutils_get_default_allocator();
            Self(array)
        }
    }

    fn bytes(&self) -> &[u8] {
        if self.0.buffer.is_null() {
            return &[];
        }
        // SAFETY: the middleware has written `buffer_length` bytes there.
        unsafe { std::slice::from_raw_parts(self.0.buffer, self.0.buffer_length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated by its own allocator, or empty.
        unsafe { rcutils_uint8_array_fini(&mut self.0) };
    }
}
