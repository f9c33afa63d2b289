//! Files that stay open between uses, up to a share of the process's limit. Above it, the least
//! recently used ones are closed, and reopened when needed. A recording with more tracks than the
//! system allows open files is slower but loses nothing.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::beneath::{self, How};
use super::place::{self, Entry, Place};

/// Use one in this many of the process's open files; the rest is for connections, images and ROS.
const SHARE: u64 = 2;
/// The minimum and maximum number of files kept open.
const KEPT: std::ops::RangeInclusive<u64> = 4..=4_096;
/// One in so many is closed to make room.
const CLOSED_AT_ONCE: usize = 8;
/// How much of a file's end is compared to know it again.
const END_BYTES: u64 = 4096;

/// Files that are open, or were until their owner dropped them.
static OPEN: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());
/// Counts uses.
static USES: AtomicU64 = AtomicU64::new(0);

/// A file that is kept open while there is room for it.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    how: How,
    identity: Mutex<Identity>,
    slot: Arc<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    file: Mutex<Option<Arc<File>>>,
    /// How the file ended when it was closed.
    left: Mutex<Option<End>>,
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

/// The end of a file, to know it again where inodes change: some network file systems give a file
/// another one when it is looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    len: u64,
    crc: u32,
}

impl KeptFile {
    /// Keeps `file`, which was opened at `path`. `how` reopens it and must not create another
    /// one.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn of(file: File, path: &Path, how: How) -> io::Result<Self> {
        Self::of_shared(Arc::new(file), path, how)
    }

    /// Like [`of`](Self::of), for a file that others use too.
    pub(super) fn of_shared(file: Arc<File>, path: &Path, how: How) -> io::Result<Self> {
        let identity = Identity::of(&file)?;
        let path = path.to_owned();
        let kept = Self { path, how, identity: Mutex::new(identity), slot: Arc::default() };
        kept.keep(file);
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
        let found = Identity::of(&file)?;
        if found != *self.identity.lock() {
            let left = *self.slot.left.lock();
            if !left.is_some_and(|left| left.is_in(&file)) {
                let reason = "another file has taken its place";
                return Err(io::Error::new(io::ErrorKind::NotFound, reason));
            }
            *self.identity.lock() = found;
        }
        self.keep(file.clone());
        Ok(file)
    }

    /// Returns true if the file is still at its path.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        let found = match fs::metadata(&self.path) {
            Ok(found) if Identity::from(&found) == *self.identity.lock() => return Ok(true),
            Err(error) if is_absent(&error) => return Ok(false),
            found => found?,
        };
        // It may have another inode.
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
            // Several at once: to find the least recently used ones takes as long as for one.
            close_down_to(&mut open, room - room.div_ceil(CLOSED_AT_ONCE));
        }
        open.push(Arc::downgrade(&self.slot));
    }
}

impl Slot {
    fn note_use(&self) {
        self.last_use.store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    fn close(&self) {
        // Whoever uses the file now has their own handle.
        if let Some(file) = self.file.lock().take() {
            *self.left.lock() = End::of(&file).ok();
        }
    }
}

impl End {
    fn of(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { len, crc: crc_before(file, len)? })
    }

    /// Returns true if `file` has the same bytes there, whatever was appended since.
    fn is_in(self, file: &File) -> bool {
        match file.metadata() {
            Ok(found) if self.len == 0 => found.len() == 0,
            Ok(found) if found.len() >= self.len => {
                crc_before(file, self.len).is_ok_and(|crc| crc == self.crc)
            }
            _ => false,
        }
    }
}

/// The CRC of what is in `file` before `end`, up to [`END_BYTES`].
fn crc_before(file: &File, end: u64) -> io::Result<u32> {
    let len = END_BYTES.min(end);
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, end - len)?;
    Ok(crc32fast::hash(&bytes))
}

impl Identity {
    /// That of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
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

/// As [`read`], but no more than `max_bytes`: a longer file is an error.
pub(super) fn read_up_to(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path, How::Read)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// Lists a folder, with room for it.
pub(super) fn list(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Entry>> + use<>> {
    with_room(|| place::list(path))
}

/// Opens a folder, with room for it.
pub(super) fn folder(path: &Path) -> io::Result<OwnedFd> {
    with_room(|| beneath::open_folder(path))
}

/// A name in a folder, which is opened with room for it.
pub(super) fn place(path: &Path) -> io::Result<Place<'_>> {
    with_room(|| Place::of(path))
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

/// How many threads may work on files at once, of those `wanted`: each has a few open, and what is in
/// use can't be closed for another.
pub(crate) fn workers(wanted: usize) -> usize {
    const FILES_EACH: usize = 8;
    wanted.min(room() / FILES_EACH).max(1)
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
        slot.close();
    }
}

fn forget_closed(open: &mut Vec<Weak<Slot>>) {
    open.retain(|slot| slot.upgrade().is_some_and(|slot| slot.file.lock().is_some()));
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn appended(path: &Path) -> KeptFile {
        let file = open(path, How::MakeReadAppend).unwrap();
        KeptFile::of(file, path, How::ReadAppend).unwrap()
    }

    fn close(file: &KeptFile) {
        file.slot.close();
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
        assert!(!file.is_in_place().unwrap());
        fs::remove_file(&path).unwrap();
        assert_eq!(file.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "and none is made");
    }

    #[test]
    fn a_file_that_has_another_inode_when_it_is_looked_up_again_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let file = appended(&path);
        (&*file.get().unwrap()).write_all(&[7; 10_000]).unwrap();
        for appended in ["", "by another program"] {
            close(&file);
            // What such a file system does is done by a copy here.
            let copy = folder.path().join("copy");
            fs::copy(&path, &copy).unwrap();
            OpenOptions::new()
                .append(true)
                .open(&copy)
                .unwrap()
                .write_all(appended.as_bytes())
                .unwrap();
            fs::rename(&copy, &path).unwrap();
            assert!(file.is_in_place().unwrap(), "{appended}");
            (&*file.get().unwrap()).write_all(b"ours").unwrap();
        }
        assert!(fs::read(&path).unwrap().ends_with(b"oursby another programours"));
        close(&file);
        fs::write(folder.path().join("other"), [8; 20_000]).unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        assert!(!file.is_in_place().unwrap());
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
