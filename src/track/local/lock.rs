//! One writer a time: an advisory lock on a file that names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use jiff::Timestamp;

use super::error::StoreError;

/// Not ML-Dash's `.experiment.lock`: its SDK waits on that one, even to read.
const LOCK_FILE: &str = ".writer.lock";

/// Held as long as it lives; the operating system lets go when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct WriterLock {
    file: File,
}

impl WriterLock {
    /// Takes the lock of the experiment in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the holder's own words when another writer has it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's line helps a person; the lock itself is what counts.
                let _ = file.read_to_string(&mut holder);
                return Err(StoreError::Locked {
                    experiment: folder.to_owned(),
                    holder: Some(holder.trim())
                        .filter(|h| !h.is_empty())
                        .unwrap_or("another process")
                        .to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::Io { action: "lock", path, source });
            }
        }
        let holder = format!("process {} since {}\n", std::process::id(), Timestamp::now());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(StoreError::io("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for WriterLock {
    /// A program that this process is just starting has a copy of the file until it runs; closing
    /// ours alone would leave the lock with that.
    fn drop(&mut self) {
        // Without it the lock goes with the last copy, a moment later.
        let _ = self.file.unlock();
    }
}
