//! Which middleware rcl has loaded; r2r does not tell.

use std::ffi::CStr;

/// `rmw_fastrtps_cpp`, `rmw_cyclonedds_cpp`, ….
pub(super) fn name() -> String {
    // SAFETY: rmw.h says that this is callable at any time and returns a constant of the library,
    // which stays loaded, or null.
    let name = unsafe {
        let name = r2r_rcl::rmw_get_implementation_identifier();
        (!name.is_null()).then(|| CStr::from_ptr(name))
    };
    name.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}
