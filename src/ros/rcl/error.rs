//! Return codes and rcl's error text, as one error type.

use std::ffi::{CStr, CString};

use super::type_support::TypeSupportError;

/// A call of rcl or rmw failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RclError {
    /// The call returned an error.
    #[error("{call} failed: {message} (code {code})")]
    Call {
        /// The function.
        call: &'static str,
        /// Its return code; `types.h` of rcl and `ret_types.h` of rmw list them.
        code: i32,
        /// rcl's error text.
        message: String,
    },
    /// A name with a NUL byte, which C strings can't hold.
    #[error("{0:?} contains a NUL byte")]
    Nul(String),
    /// The type's library is missing or can't be loaded.
    #[error(transparent)]
    TypeSupport(#[from] TypeSupportError),
}

/// `Ok` for code 0; otherwise the error with rcl's text, which is reset for the next one.
pub(super) fn check(call: &'static str, code: i32) -> Result<(), RclError> {
    if code == 0 { Ok(()) } else { Err(RclError::Call { call, code, message: take_error_text() }) }
}

/// The error for a call that returned a null pointer.
pub(super) fn null(call: &'static str) -> RclError {
    RclError::Call { call, code: -1, message: take_error_text() }
}

/// Clears rcl's error text after a code that is no error, such as a timeout. Otherwise rcl prints a
/// warning when the next text overwrites it.
pub(super) fn reset_error() {
    // SAFETY: clears a thread-local buffer; callable at any time.
    unsafe { r2r_rcl::rcutils_reset_error() };
}

fn take_error_text() -> String {
    // SAFETY: returns a copy of this thread's error state by value, NUL-terminated.
    let text = unsafe { r2r_rcl::rcutils_get_error_string() };
    reset_error();
    // SAFETY: the array above ends with a NUL and lives on this stack frame.
    let text = unsafe { CStr::from_ptr(text.str_.as_ptr()) };
    text.to_string_lossy().into_owned()
}

/// Returns `text` as a C string.
pub(super) fn c_string(text: &str) -> Result<CString, RclError> {
    CString::new(text).map_err(|_| RclError::Nul(text.to_owned()))
}
