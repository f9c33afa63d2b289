//! rcl's own log. rcl writes it to stderr itself, past our log, where a terminal that takes no text
//! would hold up its threads. Here it becomes part of our log, and so of `/rosout`.

use std::ffi::{CStr, c_char, c_int, c_void};

use r2r_rcl::{
    rcutils_log_location_t, rcutils_logging_initialize, rcutils_logging_set_output_handler,
    rcutils_time_point_value_t, va_list,
};

/// Longer texts are cut.
const MAX_TEXT_BYTES: usize = 2048;

unsafe extern "C" {
    /// C's own, with the argument list as the pointer that x86-64 and AArch64 pass for it.
    fn vsnprintf(
        text: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut c_void,
    ) -> c_int;
}

/// Takes rcl's log into ours from now on. Call this after rcl was started, which sets its own way.
pub fn log_here() {
    // SAFETY: both take no memory of ours; the first does nothing if it was done before. The handler is
    // a function, so it is there for good.
    unsafe {
        if rcutils_logging_initialize() == 0 {
            rcutils_logging_set_output_handler(Some(take));
        }
    }
}

/// Called by rcutils, from any thread, with the arguments that `printf` takes.
unsafe extern "C" fn take(
    _location: *const rcutils_log_location_t,
    severity: c_int,
    name: *const c_char,
    _at: rcutils_time_point_value_t,
    format: *const c_char,
    arguments: *mut va_list,
) {
    let mut text = [0_u8; MAX_TEXT_BYTES];
    if !format.is_null() {
        // SAFETY: `format` is a C string and `arguments` its arguments, as rcutils promises its
        // handlers; at most the buffer's size is written, and a NUL at its end.
        unsafe { vsnprintf(text.as_mut_ptr().cast(), text.len(), format, arguments.cast()) };
    }
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy();
    let name = match name.is_null() {
        true => Default::default(),
        // SAFETY: a C string for as long as this call lasts.
        false => unsafe { CStr::from_ptr(name) }.to_string_lossy(),
    };
    let name = if name.is_empty() { "rcl" } else { &*name };
    // The levels of rcutils: 10, 20, 30, 40, 50.
    match severity {
        40.. => tracing::error!("{name}: {text}"),
        30.. => tracing::warn!("{name}: {text}"),
        20.. => tracing::info!("{name}: {text}"),
        _ => tracing::debug!("{name}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::ros::LogQueue;

    #[test]
    fn what_rcl_says_is_in_our_log_with_its_level_and_arguments() {
        log_here();
        let queue = LogQueue::default();
        let subscriber = tracing_subscriber::registry().with(queue.clone());
        let say = || {
            for (severity, number) in [(30, 7), (40, 8)] {
                // SAFETY: C strings, and the arguments that the format asks for.
                unsafe {
                    r2r_rcl::rcutils_log(
                        std::ptr::null(),
                        severity,
                        c"rmw_test".as_ptr(),
                        c"%s %d of %.1f s".as_ptr(),
                        c"no answer".as_ptr(),
                        number as c_int,
                        2.5_f64,
                    );
                }
            }
            let long = std::ffi::CString::new("x".repeat(5000)).unwrap();
            // SAFETY: as above.
            unsafe {
                r2r_rcl::rcutils_log(
                    std::ptr::null(),
                    20,
                    std::ptr::null(),
                    c"%s".as_ptr(),
                    long.as_ptr(),
                );
            }
        };
        tracing::subscriber::with_default(subscriber, say);
        let (records, _) = queue.fetch();
        let said: Vec<_> = records.iter().map(|r| (r.level, r.text.as_str())).collect();
        assert_eq!(said[0], (tracing::Level::WARN, "rmw_test: no answer 7 of 2.5 s"));
        assert_eq!(said[1], (tracing::Level::ERROR, "rmw_test: no answer 8 of 2.5 s"));
        assert!(said[2].1.starts_with("rcl: xxx") && said[2].1.len() < MAX_TEXT_BYTES + 8);
    }
}
