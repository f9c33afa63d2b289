//! Queries of the graph: topics, their types, their publishers; services.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

use r2r_rcl::{
    rcl_get_publishers_info_by_topic, rcl_get_service_names_and_types,
    rcl_get_topic_names_and_types, rcl_names_and_types_fini, rcl_names_and_types_t, rcl_node_t,
    rcl_ret_t, rcutils_allocator_t, rcutils_get_default_allocator, rcutils_string_array_t,
    rmw_get_zero_initialized_names_and_types, rmw_get_zero_initialized_topic_endpoint_info_array,
    rmw_topic_endpoint_info_array_fini, rmw_topic_endpoint_info_t,
};

use super::error::{RclError, c_string, check};
use super::node::Node;
use super::qos::QosProfile;
use super::subscription::Gid;

/// The types of each topic, such as `std_msgs/msg/String`, by topic name.
pub type TopicTypes = BTreeMap<String, Vec<String>>;

/// A publisher of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherInfo {
    /// The node's name, without its namespace.
    pub node: String,
    /// The node's namespace.
    pub namespace: String,
    /// The type that it publishes.
    pub type_name: String,
    /// The QoS that it offers.
    pub qos: QosProfile,
    /// Its id. With some middlewares, messages carry a different one.
    pub gid: Gid,
}

impl Node {
    /// All topics with at least one publisher or subscription.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn topics(&self) -> Result<TopicTypes, RclError> {
        self.names_and_types("rcl_get_topic_names_and_types", |node, allocator, list| {
            // SAFETY: the node is valid, the list zero-initialized; the caller finalizes it.
            unsafe { rcl_get_topic_names_and_types(node, allocator, false, list) }
        })
    }

    /// The names of all services that somebody offers or calls, with those of actions and parameters.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn services(&self) -> Result<Vec<String>, RclError> {
        let listed =
            self.names_and_types("rcl_get_service_names_and_types", |node, allocator, list| {
                // SAFETY: the node is valid, the list zero-initialized; the caller finalizes it.
                unsafe { rcl_get_service_names_and_types(node, allocator, list) }
            });
        Ok(listed?.into_keys().collect())
    }

    fn names_and_types(
        &self,
        call: &'static str,
        list_them: impl FnOnce(
            *const rcl_node_t,
            *mut rcutils_allocator_t,
            *mut rcl_names_and_types_t,
        ) -> rcl_ret_t,
    ) -> Result<TopicTypes, RclError> {
        // SAFETY: plain values.
        let (mut allocator, mut list) = unsafe {
            (rcutils_get_default_allocator(), rmw_get_zero_initialized_names_and_types())
        };
        let code = self.0.with(|node| list_them(node, &mut allocator, &mut list));
        check(call, code)?;
        let names = strings(&list.names);
        // SAFETY: rmw keeps one list of types for each name, in the same order.
        let types = unsafe { c_slice(list.types, list.names.size) };
        let topics = names.into_iter().zip(types.iter().map(strings)).collect();
        // SAFETY: filled above; everything was copied out of it.
        check("rcl_names_and_types_fini", unsafe { rcl_names_and_types_fini(&mut list) })?;
        Ok(topics)
    }

    /// The publishers of `topic`, which is the full name on the graph.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub fn publishers(&self, topic: &str) -> Result<Vec<PublisherInfo>, RclError> {
        let topic = c_string(topic)?;
        // SAFETY: plain values.
        let (mut allocator, mut list) = unsafe {
            (rcutils_get_default_allocator(), rmw_get_zero_initialized_topic_endpoint_info_array())
        };
        let code = self.0.with(|node| {
            // SAFETY: node and name are valid, the list zero-initialized and finalized below.
            unsafe {
                rcl_get_publishers_info_by_topic(
                    node,
                    &mut allocator,
                    topic.as_ptr(),
                    false,
                    &mut list,
                )
            }
        });
        check("rcl_get_publishers_info_by_topic", code)?;
        // SAFETY: filled by the call above, `size` entries.
        let publishers = unsafe { c_slice(list.info_array, list.size) };
        let publishers = publishers.iter().map(publisher_info).collect();
        // SAFETY: filled above by the same allocator; everything was copied out of it.
        check("rmw_topic_endpoint_info_array_fini", unsafe {
            rmw_topic_endpoint_info_array_fini(&mut list, &mut allocator)
        })?;
        Ok(publishers)
    }
}

fn publisher_info(info: &rmw_topic_endpoint_info_t) -> PublisherInfo {
    PublisherInfo {
        node: text(info.node_name),
        namespace: text(info.node_namespace),
        type_name: text(info.topic_type),
        qos: QosProfile::from_rmw(&info.qos_profile),
        gid: Gid(info.endpoint_gid),
    }
}

fn strings(array: &rcutils_string_array_t) -> Vec<String> {
    // SAFETY: rcutils keeps `size` pointers in `data`.
    let pointers = unsafe { c_slice(array.data, array.size) };
    pointers.iter().map(|pointer| text(*pointer)).collect()
}

fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null; rmw's strings end with a NUL and live as long as the list that is being copied.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A C array as a slice; empty if the pointer is null.
///
/// # Safety
/// Unless it is null, `data` points to `size` valid values that outlive the slice.
pub(super) unsafe fn c_slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if data.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(data, size) }
}
