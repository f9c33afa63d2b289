//! Files that stay open between uses, up to a share of the process's limit. Above it, the least
//! recently used ones are closed, and reopened when needed. A recording with more tracks than the
//! system allows open files is slower but loses nothing.

use std::fs::{self, File, Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::beneath::{self, How};

/// Use one in this many of the process's open files; the rest is for connections, images and ROS.
const SHARE: u64 = 2;
/// The minimum and maximum number of files kept open.
const KEPT: std::ops::RangeInclusive<u64> = 4..=4_096;

/// Files that are open, or were until their owner dropped them.
static OPEN: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());
/// Counts uses.
static USES: AtomicU64 = AtomicU64::new(0);

/// A file that is kept open while there is room for it.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    how: How,
    identity: Identity,
    slot: Arc<Slot>,
}

#[derive(Debug)]
struct Slot {
    file: Mutex<Option<Arc<File>>>,
    last_use: AtomicU64,
}

/// Distinguishes a file from another one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// Inodes are reused, so compare this too. Unknown on some file systems.
    created: Option<SystemTime>,
}

impl KeptFile {
    /// Keeps `file`, which was opened at `path`. `how` reopens it and must not create another
    /// one.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn of(file: File, path: &Path, how: How) -> io::Result<Self> {
        let identity = Identity::of(&file)?;
        let slot = Arc::new(Slot { file: Mutex::default(), last_use: AtomicU64::new(0) });
        let kept = Self { path: path.to_owned(), how, identity, slot };
        kept.keep(Arc::new(file));
        Ok(kept)
    }

    /// The file. It stays open until the returned handle is dropped.
    ///
    /// # Errors
    /// Returns the operating system's error; `NotFound` if the file was closed here and then
    /// removed or replaced.
    pub(super) fn get(&self) -> io::Result<Arc<File>> {
        self.slot.note_use();
        let kept = self.slot.file.lock().clone();
        if let Some(file) = kept {
            return Ok(file);
        }
        let file = Arc::new(open(&self.path, self.how)?);
        if Identity::of(&file)? != self.identity {
            let reason = "another file has taken its place";
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        self.keep(file.clone());
        Ok(file)
    }

    /// Returns true if `file` is the same one.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn is(&self, file: &File) -> io::Result<bool> {
        Ok(Identity::of(file)? == self.identity)
    }

    /// Returns true if the file is still at its path.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        let found = match fs::metadata(&self.path) {
            Ok(found) if Identity::from(&found) == self.identity => return Ok(true),
            Err(error) if is_absent(&error) => return Ok(false),
            found => found?,
        };
        // Some network file systems give a file another inode when it is looked up again.
        match self.get().and_then(|file| file.metadata()) {
            Ok(held) => Ok(state(&held) == state(&found)),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn keep(&self, file: Arc<File>) {
        self.slot.note_use();
        *self.slot.file.lock() = Some(file);
        let mut open = OPEN.lock();
        let room = room();
        if open.len() >= room {
            close_down_to(&mut open, room - 1);
        }
        open.push(Arc::downgrade(&self.slot));
    }
}

impl Slot {
    fn note_use(&self) {
        self.last_use.store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// That of the file or folder at `path`.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }

    /// Returns true if this file is at `path`.
    pub(super) fn is_at(self, path: &Path) -> io::Result<bool> {
        match Self::at(path) {
            Ok(found) => Ok(found == self),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        let created = metadata.created().ok();
        Self { device: metadata.dev(), inode: metadata.ino(), created }
    }
}

/// What two different files are unlikely to share.
fn state(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Returns true if a path leads nowhere, also because a part of it has become a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Opens a file, with room for it.
pub(super) fn open(path: &Path, how: How) -> io::Result<File> {
    with_room(|| beneath::open(path, how))
}

/// Reads a whole file, with room for it.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    with_room(|| beneath::read(path))
}

/// Lists a folder, with room for it.
pub(super) fn read_dir(path: &Path) -> io::Result<ReadDir> {
    with_room(|| beneath::read_dir(path))
}

/// Calls `open`, which opens a file. If the process or the system is out of file handles, closes
/// kept files and retries.
pub(super) fn with_room<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match open() {
            Err(error) if is_out_of_handles(&error) && close_half() => {}
            opened => return opened,
        }
    }
}

/// Returns true if the process or the system is at its limit of open files.
pub(super) fn is_out_of_handles(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// How many files may be kept open now. The limit can change at any time.
fn room() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (limit / SHARE).clamp(*KEPT.start(), *KEPT.end()) as usize
}

/// Returns true if any was closed.
fn close_half() -> bool {
    let mut open = OPEN.lock();
    forget_closed(&mut open);
    let half = open.len() / 2;
    let is_any = !open.is_empty();
    close_down_to(&mut open, half);
    is_any
}

/// Closes the least recently used files until no more than `count` are open.
fn close_down_to(open: &mut Vec<Weak<Slot>>, count: usize) {
    forget_closed(open);
    if open.len() <= count {
        return;
    }
    open.sort_by_cached_key(|slot| {
        slot.upgrade().map_or(0, |slot| slot.last_use.load(Ordering::Relaxed))
    });
    let surplus = open.len() - count;
    for slot in open.drain(..surplus).filter_map(|slot| slot.upgrade()) {
        // Whoever uses it now has their own handle.
        slot.file.lock().take();
    }
}

fn forget_closed(open: &mut Vec<Weak<Slot>>) {
    open.retain(|slot| slot.upgrade().is_some_and(|slot| slot.file.lock().is_some()));
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn appended(path: &Path) -> KeptFile {
        let file = open(path, How::MakeReadAppend).unwrap();
        KeptFile::of(file, path, How::ReadAppend).unwrap()
    }

    fn close(file: &KeptFile) {
        file.slot.file.lock().take();
    }

    #[test]
    fn a_file_that_was_closed_is_opened_again_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let file = appended(&path);
        (&*file.get().unwrap()).write_all(b"one ").unwrap();
        close(&file);
        (&*file.get().unwrap()).write_all(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two");
    }

    #[test]
    fn another_file_in_its_place_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let file = appended(&path);
        close(&file);
        let other = folder.path().join("other");
        fs::write(&other, "not ours").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(file.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!file.is(&File::open(&path).unwrap()).unwrap());
        fs::remove_file(&path).unwrap();
        assert_eq!(file.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "and none is made");
    }

    #[test]
    fn those_are_closed_first_that_were_not_used_for_longest() {
        let folder = tempfile::tempdir().unwrap();
        let files = [0, 1, 2, 3].map(|i| appended(&folder.path().join(i.to_string())));
        files[0].get().unwrap();
        // A separate list: other tests open files too.
        let mut open: Vec<_> = files.iter().map(|file| Arc::downgrade(&file.slot)).collect();
        let in_use = files[1].get().unwrap();
        close_down_to(&mut open, 2);
        let is_open = files.each_ref().map(|file| file.slot.file.lock().is_some());
        assert_eq!(is_open, [true, true, false, false]);
        drop(files);
        (&*in_use).write_all(b"x").unwrap();
        close_down_to(&mut open, 2);
        assert!(open.is_empty(), "what is gone takes no room");
    }
}
