//! One writer a time: an advisory lock on a file that names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;

/// Not ML-Dash's `.experiment.lock`: its SDK waits on that one, even to read.
const LOCK_FILE: &str = ".writer.lock";

/// Longer than a look at the lock takes, and how many of these are outwaited.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS_OUTWAITED: u32 = 5;

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
        match try_lock_patiently(&file) {
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

/// Somebody who only looks whether it is held has it for a moment.
fn try_lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS_OUTWAITED {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK),
            locked => return locked,
        }
    }
    file.try_lock()
}

impl WriterLock {
    /// Whether a writer has the lock of the experiment in `folder`.
    pub(super) fn is_held(folder: &Path) -> Result<bool, StoreError> {
        let path = folder.join(LOCK_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => {
                Err(StoreError::Io { action: "lock", path, source })
            }
        }
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
