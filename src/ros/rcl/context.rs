//! `rcl_context_t`: one participant in the graph.
//!
//! Nodes and guard conditions hold an `Arc` of the inner handle; the context is shut down and finalized
//! when the last of them is gone.

use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;

use parking_lot::Mutex;
use r2r_rcl::{
    rcl_context_fini, rcl_context_t, rcl_get_zero_initialized_context,
    rcl_get_zero_initialized_init_options, rcl_init, rcl_init_options_fini, rcl_init_options_init,
    rcl_init_options_set_domain_id, rcl_shutdown, rcutils_get_default_allocator,
    rmw_get_implementation_identifier,
};

use super::error::{RclError, c_string, check};

/// The middleware that rcl has loaded: `rmw_fastrtps_cpp`, `rmw_cyclonedds_cpp`, ….
pub fn middleware() -> String {
    // SAFETY: rmw.h says that this is callable at any time and returns a constant of the library, which
    // stays loaded, or null.
    let name = unsafe {
        let name = rmw_get_implementation_identifier();
        (!name.is_null()).then(|| CStr::from_ptr(name))
    };
    name.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// An rcl context. Contexts of one process are independent.
#[derive(Clone)]
pub struct Context(pub(super) Arc<ContextHandle>);

/// The C handle, boxed: rcl keeps its address. The mutex serializes the calls that take it, since rcl
/// does not call them thread-safe.
pub(super) struct ContextHandle(Mutex<Box<rcl_context_t>>);

// SAFETY: rcl binds a context to no thread, and the mutex lets one thread at a time use it.
unsafe impl Send for ContextHandle {}
// SAFETY: as above; there is no access without the lock.
unsafe impl Sync for ContextHandle {}

impl Context {
    /// Joins the graph. `arguments` are ROS arguments as on a command line, such as
    /// `["--ros-args", "--enclave", "/robot"]`.
    ///
    /// # Errors
    /// Fails without a middleware, with a bad domain id, or with arguments that rcl refuses.
    pub fn new(arguments: &[&str]) -> Result<Self, RclError> {
        Self::start(arguments, None)
    }

    /// Joins the graph of a given domain instead of the one in `ROS_DOMAIN_ID`.
    ///
    /// # Errors
    /// The same as for [`new`](Self::new).
    pub fn in_domain(id: usize) -> Result<Self, RclError> {
        Self::start(&[], Some(id))
    }

    fn start(arguments: &[&str], domain: Option<usize>) -> Result<Self, RclError> {
        let arguments: Vec<_> = arguments.iter().map(|a| c_string(a)).collect::<Result<_, _>>()?;
        let argv: Vec<*const _> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        let argc = i32::try_from(argv.len()).unwrap_or(i32::MAX);
        let argv_ptr = if argv.is_empty() { ptr::null() } else { argv.as_ptr() };
        // SAFETY: zero-initialized by rcl's own function, initialized below, finalized before returning.
        let mut options = unsafe { rcl_get_zero_initialized_init_options() };
        // SAFETY: `options` is zero-initialized as the function demands; the allocator is valid.
        check("rcl_init_options_init", unsafe {
            rcl_init_options_init(&mut options, rcutils_get_default_allocator())
        })?;
        if let Some(id) = domain {
            // SAFETY: `options` is initialized.
            let set = unsafe { rcl_init_options_set_domain_id(&mut options, id) };
            check("rcl_init_options_set_domain_id", set)?;
        }
        // SAFETY: a plain value.
        let mut context = Box::new(unsafe { rcl_get_zero_initialized_context() });
        // SAFETY: `argv` holds `argc` valid strings that outlive the call; rcl copies them and the
        // options. The context has a stable address in its box.
        let started =
            check("rcl_init", unsafe { rcl_init(argc, argv_ptr, &options, &mut *context) });
        // SAFETY: initialized above and not used again.
        let ended = unsafe { rcl_init_options_fini(&mut options) };
        started?;
        let context = Self(Arc::new(ContextHandle(Mutex::new(context))));
        check("rcl_init_options_fini", ended)?;
        Ok(context)
    }
}

impl ContextHandle {
    /// Calls `f` with the handle while no other thread uses it.
    pub(super) fn with<T>(&self, f: impl FnOnce(*mut rcl_context_t) -> T) -> T {
        f(&mut **self.0.lock())
    }
}

impl Drop for ContextHandle {
    fn drop(&mut self) {
        let context: *mut rcl_context_t = &mut **self.0.get_mut();
        // SAFETY: initialized in `Context::new`; nobody else holds it, since this is the last owner.
        // Nodes and guard conditions, which own an `Arc` of this, are finalized already.
        let ended = unsafe {
            check("rcl_shutdown", rcl_shutdown(context))
                .and(check("rcl_context_fini", rcl_context_fini(context)))
        };
        if let Err(error) = ended {
            tracing::debug!("{error}");
        }
    }
}
