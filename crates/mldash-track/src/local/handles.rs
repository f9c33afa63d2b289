//! Files that stay open between uses, as many as the process may have: when they become too many, those
//! are closed that were not used for longest, and opened again when they are needed. A recording with more
//! tracks than the system allows open files is slower for it and loses nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Of the files that the process may have open, this part; the rest is for connections, pictures, ROS.
const SHARE: u64 = 2;
/// How few are kept open at least, and how many at most.
const KEPT: std::ops::RangeInclusive<u64> = 4..=4_096;

/// Files that are open, or were until their owner let them go.
static OPEN: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());
/// Counts uses.
static USES: AtomicU64 = AtomicU64::new(0);

/// A file that is open while there is room for it.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    options: OpenOptions,
    identity: Identity,
    slot: Arc<Slot>,
}

#[derive(Debug)]
struct Slot {
    file: Mutex<Option<Arc<File>>>,
    last_use: AtomicU64,
}

/// Tells a file from another that has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Inodes are given again. Unknown on some file systems.
    created: Option<SystemTime>,
}

impl KeptFile {
    /// Keeps `file`, which was opened at `path`; `options` open it again and do not create another.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn of(file: File, path: &Path, options: &OpenOptions) -> io::Result<Self> {
        let identity = Identity::of(&file)?;
        let slot = Arc::new(Slot { file: Mutex::default(), last_use: AtomicU64::new(0) });
        let kept = Self { path: path.to_owned(), options: options.clone(), identity, slot };
        kept.keep(Arc::new(file));
        Ok(kept)
    }

    /// The file, open until the returned handle is dropped.
    ///
    /// # Errors
    /// The operating system's; `NotFound` for a file that was closed here and has been removed or replaced
    /// since.
    pub(super) fn get(&self) -> io::Result<Arc<File>> {
        self.slot.note_use();
        let open = self.slot.file.lock().clone();
        if let Some(file) = open {
            return Ok(file);
        }
        let file = Arc::new(with_room(|| self.options.open(&self.path))?);
        if Identity::of(&file)? != self.identity {
            let reason = "another file has taken its place";
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        self.keep(file.clone());
        Ok(file)
    }

    /// Whether `file` is the same one.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn is(&self, file: &File) -> io::Result<bool> {
        Ok(Identity::of(file)? == self.identity)
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
        let metadata = file.metadata()?;
        let created = metadata.created().ok();
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), created })
    }
}

/// Does what opens a file. Where the process, or the system, has no room for it, files that are kept open
/// are closed first.
pub(super) fn with_room<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match open() {
            Err(error) if is_out_of_handles(&error) && close_half() => {}
            opened => return opened,
        }
    }
}

/// Whether the process, or the system, has as many files open as it may.
pub(super) fn is_out_of_handles(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// How many files may be kept open now; the limit can change at any time.
fn room() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (limit / SHARE).clamp(*KEPT.start(), *KEPT.end()) as usize
}

/// Returns whether any was closed.
fn close_half() -> bool {
    let mut open = OPEN.lock();
    forget_closed(&mut open);
    let half = open.len() / 2;
    let is_any = !open.is_empty();
    close_down_to(&mut open, half);
    is_any
}

/// Closes files that were not used for longest until no more than `count` are open.
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
        // Who uses it at this moment has a handle of their own.
        slot.file.lock().take();
    }
}

fn forget_closed(open: &mut Vec<Weak<Slot>>) {
    open.retain(|slot| slot.upgrade().is_some_and(|slot| slot.file.lock().is_some()));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn appended(path: &Path) -> KeptFile {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        let file = options.clone().create(true).open(path).unwrap();
        KeptFile::of(file, path, &options).unwrap()
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
        // A list of its own: other tests open files too.
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
