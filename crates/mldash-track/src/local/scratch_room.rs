//! Room on a disk for temporary files of sorts. Recordings have the better claim to it: who only reads
//! takes no more than half of what is free.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read. Some is left for what is recorded.
    Reading,
    /// To leave the recording sorted.
    Writing,
}

/// What running sorts of this process will take at most, whatever the disk.
static PROMISED: AtomicU64 = AtomicU64::new(0);

/// Room for one sort. It is free for others once this is dropped, but for what was written.
#[derive(Debug)]
pub(super) struct Promise(u64);

/// There is too little.
#[derive(Debug)]
pub(super) struct TooLittle {
    pub(super) needed_bytes: u64,
    pub(super) free_bytes: u64,
}

impl Promise {
    /// Promises `bytes` of the `free_bytes` that a disk has.
    pub(super) fn of(bytes: u64, free_bytes: u64, purpose: Purpose) -> Result<Self, TooLittle> {
        let needed_bytes = match purpose {
            Purpose::Reading => bytes.saturating_mul(2),
            Purpose::Writing => bytes,
        };
        let before = PROMISED.fetch_add(bytes, Ordering::AcqRel);
        let promise = Self(bytes);
        let free_bytes = free_bytes.saturating_sub(before);
        // Dropped with the error.
        if needed_bytes <= free_bytes {
            Ok(promise)
        } else {
            Err(TooLittle { needed_bytes, free_bytes })
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        PROMISED.fetch_sub(self.0, Ordering::AcqRel);
    }
}

/// The free space of the disk that `folder` is on, for those who are not root.
///
/// # Errors
/// Returns the operating system's error.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_takes_half_of_what_is_free_and_sorts_at_once_share_it() {
        // So much that sorts of other tests don't count.
        const ALL: u64 = 1 << 60;
        assert!(Promise::of(ALL / 2 + 1, ALL, Purpose::Reading).is_err());
        let quarter = Promise::of(ALL / 4, ALL, Purpose::Reading).unwrap();
        let told = Promise::of(ALL / 2, ALL, Purpose::Reading).unwrap_err();
        assert_eq!(told.needed_bytes, ALL);
        assert!(told.free_bytes <= ALL - ALL / 4);
        let half = Promise::of(ALL / 2, ALL, Purpose::Writing).unwrap();
        drop((quarter, half));
        assert!(Promise::of(ALL / 2 - (1 << 50), ALL, Purpose::Reading).is_ok());
    }
}
