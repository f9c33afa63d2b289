//! One writer at a time: an advisory lock on a file that names its holder.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::beneath::How;
use super::error::StoreError;
use super::handles::{self, Identity};

/// Not ML-Dash's `.experiment.lock`: its SDK waits for that one even to read.
const LOCK_FILE: &str = ".writer.lock";

/// Longer than a check of the lock takes, and how many checks to wait for.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS_OUTWAITED: u32 = 5;

/// The SDK holds its locks only while it writes a file. Who holds one for longer was stopped, and may hold it for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held while this value lives. The operating system releases it when the process dies in any way.
#[derive(Debug)]
pub(super) struct WriterLock {
    file: File,
    folder: PathBuf,
    identity: Identity,
    /// What the file says.
    holder: String,
}

impl WriterLock {
    /// Takes the lock of the experiment in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the holder's own text if another writer holds it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let mut file =
            handles::open(&path, How::MakeReadWrite).map_err(StoreError::io("open", &path))?;
        match try_lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's line is for people; only the lock itself counts.
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
        let identity = Identity::at(folder).map_err(StoreError::io("look at", folder))?;
        Ok(Self { file, folder: folder.to_owned(), identity, holder })
    }

    /// Fails if the experiment's folder was removed or replaced meanwhile: then the lock protects
    /// nothing.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.identity.is_at(&self.folder) {
            Ok(true) => Ok(()),
            // Some network file systems give a folder another inode when it is looked up again.
            Ok(false) if self.is_our_file_there() => Ok(()),
            Ok(false) => Err(StoreError::Removed { path: self.folder.clone(), rows: 0 }),
            Err(error) => Err(StoreError::io("look at", &self.folder)(error)),
        }
    }
}

impl WriterLock {
    fn is_our_file_there(&self) -> bool {
        handles::read(&self.folder.join(LOCK_FILE)).is_ok_and(|text| text == self.holder.as_bytes())
    }
}

/// Takes one of the SDK's locks, which is held until `file` is dropped.
///
/// # Errors
/// [`StoreError::LockHeld`] if another process has held it for 10 s.
pub(super) fn lock_sdk(file: &File, path: &Path) -> Result<(), StoreError> {
    lock_within(file, path, PATIENCE)
}

fn lock_within(file: &File, path: &Path, patience: Duration) -> Result<(), StoreError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => {
                let waited_secs = patience.as_secs();
                return Err(StoreError::LockHeld { path: path.to_owned(), waited_secs });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::io("lock", path)(source));
            }
        }
    }
}

/// Retries, because a process that only checks the lock holds it for a moment.
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
    /// Returns true if a writer holds the lock of the experiment in `folder`.
    pub(super) fn is_held(folder: &Path) -> Result<bool, StoreError> {
        let path = folder.join(LOCK_FILE);
        let file = match handles::open(&path, How::Read) {
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
    /// Unlocks explicitly. A child process that is just starting has a copy of the file until its
    /// program runs; closing only ours would leave that copy locked.
    fn drop(&mut self) {
        // If this fails, the lock ends with the last copy, a moment later.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_ever_is_named_and_one_that_is_let_go_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".experiment.lock");
        let open = || File::create(&path).unwrap();
        let stopped = open();
        stopped.lock().unwrap();
        let error = lock_within(&open(), &path, Duration::from_millis(30)).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("fuser"), "{error}");
        thread::scope(|scope| {
            let waits = scope.spawn(|| lock_within(&open(), &path, Duration::from_secs(3600)));
            drop(stopped);
            waits.join().unwrap().unwrap();
        });
    }
}
