//! Opens files and folders. Under a root that is [served to others](refuse_links), no symbolic link is
//! followed: whoever can write there must not choose which of the server's files a client reads.
//!
//! The kernel does it in one step (`openat2`). Where it can't, each part of the path is opened from
//! the one before. Elsewhere links are followed: a recording may lie on a larger disk.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat};
use rustix::io::{Errno, retry_on_intr};

use super::error::StoreError;
use super::place::Entry;
use super::{disk, handles};

/// Roots under which no link is followed.
static ROOTS: RwLock<Vec<(PathBuf, Arc<OwnedFd>)>> = RwLock::new(Vec::new());
/// Whether there are any.
static ANY: AtomicBool = AtomicBool::new(false);
/// The kernel has no `openat2`.
static IS_OLD: AtomicBool = AtomicBool::new(false);

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// To read one that is there.
    Read,
    /// To read and append to one that is there.
    ReadAppend,
    /// To read and write anywhere in one that is there.
    ReadWrite,
    /// To append, creating it if it is not there.
    MakeAppend,
    /// To read and append, creating it if it is not there.
    MakeReadAppend,
    /// To read and write anywhere, creating it if it is not there.
    MakeReadWrite,
    /// To write a new one; an error if it is there.
    New,
    /// To read and write a new one; an error if it is there.
    NewReadWrite,
    /// To read and write a new one that has no name, in the folder whose path it is.
    Nameless,
}

impl How {
    fn flags(self) -> OFlags {
        OFlags::CLOEXEC
            | match self {
                Self::Read => OFlags::RDONLY,
                Self::ReadWrite => OFlags::RDWR,
                Self::ReadAppend => OFlags::RDWR | OFlags::APPEND,
                Self::MakeAppend => OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE,
                Self::MakeReadAppend => OFlags::RDWR | OFlags::APPEND | OFlags::CREATE,
                Self::MakeReadWrite => OFlags::RDWR | OFlags::CREATE,
                Self::New => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
                Self::NewReadWrite => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
                Self::Nameless => OFlags::RDWR | OFlags::TMPFILE | OFlags::EXCL,
            }
    }
}

/// As long as it lives, no link under the root is followed.
#[derive(Debug)]
pub struct LinksRefused {
    root: PathBuf,
}

/// Makes everything under `root` be opened without following symbolic links, in this process, by
/// paths that begin with `root` as it is written here. `root` itself may be a link or lie below one.
/// Devices and pipes are refused too.
///
/// # Errors
/// Fails if the root can't be opened.
pub fn refuse_links(root: &Path) -> io::Result<LinksRefused> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = retry_on_intr(|| rustix::fs::open(root, flags, Mode::empty()))?;
    ROOTS.write().push((root.to_owned(), Arc::new(folder)));
    ANY.store(true, Ordering::Release);
    Ok(LinksRefused { root: root.to_owned() })
}

impl Drop for LinksRefused {
    fn drop(&mut self) {
        let mut roots = ROOTS.write();
        if let Some(place) = roots.iter().position(|(root, _)| *root == self.root) {
            roots.remove(place);
        }
        ANY.store(!roots.is_empty(), Ordering::Release);
    }
}

/// Lists a folder, in no order, without following links under a root where they are refused.
///
/// # Errors
/// Fails if it can't be listed.
pub fn list_folder(path: &Path) -> Result<impl Iterator<Item = io::Result<Entry>>, StoreError> {
    handles::list(path).map_err(StoreError::io("list", path))
}

/// Creates a folder and those above it that are not there, without following links under a root
/// where they are refused.
///
/// # Errors
/// Fails if it can't be created.
pub fn create_folders(path: &Path) -> Result<(), StoreError> {
    disk::create_folders(path).map(drop).map_err(StoreError::io("create", path))
}

/// Creates a file to write, without following links under a root where they are refused.
///
/// # Errors
/// Fails if it can't be created, or is there.
pub fn create_file(path: &Path) -> Result<File, StoreError> {
    disk::create_new(path).map_err(StoreError::io("create", path))
}

/// Opens a file to append, creating it if it is not there, without following links under a root where
/// they are refused.
///
/// # Errors
/// Fails if it can't be opened.
pub fn open_to_append(path: &Path) -> Result<File, StoreError> {
    disk::open_to_append(path).map_err(StoreError::io("open", path))
}

/// Removes a file, or a folder with all that is in it, without following links under a root where they
/// are refused.
///
/// # Errors
/// Fails if it can't be removed.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    disk::remove_tree(path).map_err(StoreError::io("remove", path))
}

/// Opens a file.
pub(super) fn open(path: &Path, how: How) -> io::Result<File> {
    let new_file = Mode::from(0o666);
    match root_of(path) {
        None => Ok(retry_on_intr(|| rustix::fs::open(path, how.flags(), new_file))?.into()),
        Some((root, below)) => {
            // A pipe would wait for its other end.
            let flags = how.flags() | OFlags::NONBLOCK | OFlags::NOCTTY;
            let file = open_below(&root, &below, flags, new_file)?;
            match FileType::from_raw_mode(fstat(&file)?.st_mode) {
                FileType::RegularFile | FileType::Directory => Ok(file.into()),
                _ => Err(io::Error::other("it is neither a file nor a folder")),
            }
        }
    }
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut open(path, How::Read)?, &mut bytes)?;
    Ok(bytes)
}

/// Opens a folder, for what is done to names in it.
pub(super) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match root_of(path) {
        None => Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?),
        Some((root, below)) => open_below(&root, &below, flags, Mode::empty()),
    }
}

/// Returns true if a link was not followed.
pub(super) fn is_link(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// Returns true if no link is followed at `path`.
pub(super) fn refuses_links(path: &Path) -> bool {
    root_of(path).is_some()
}

/// The root that `path` is under, if links are refused there, and the path below it.
fn root_of(path: &Path) -> Option<(Arc<OwnedFd>, PathBuf)> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    let roots = ROOTS.read();
    roots
        .iter()
        .find_map(|(root, folder)| Some((folder.clone(), path.strip_prefix(root).ok()?.to_owned())))
}

fn open_below(root: &OwnedFd, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    if below.as_os_str().is_empty() {
        return Ok(retry_on_intr(|| openat(root, ".", flags, mode))?);
    }
    let makes = flags.contains(OFlags::CREATE) || flags.contains(OFlags::TMPFILE);
    let mode = if makes { mode } else { Mode::empty() };
    if !IS_OLD.load(Ordering::Relaxed) {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match retry_on_intr(|| openat2(root, below, flags, mode, resolve)) {
            Err(Errno::NOSYS) => IS_OLD.store(true, Ordering::Relaxed),
            // Some sandboxes refuse calls that they don't know so.
            Err(Errno::PERM) => {}
            opened => return Ok(opened?),
        }
    }
    open_part_by_part(root, below, flags, mode)
}

fn open_part_by_part(
    root: &OwnedFd,
    below: &Path,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let mut folder: Option<OwnedFd> = None;
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err(Errno::XDEV.into()) };
        let within = folder.as_ref().unwrap_or(root);
        let is_last = parts.peek().is_none();
        let (flags, mode) = match is_last {
            true => (flags, mode),
            false => (OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()),
        };
        let opened = retry_on_intr(|| openat(within, name, flags | OFlags::NOFOLLOW, mode));
        let opened =
            opened.map_err(|error| match statat(within, name, AtFlags::SYMLINK_NOFOLLOW) {
                // To a call for a folder, a link is none.
                Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Symlink => {
                    Errno::LOOP
                }
                _ => error,
            })?;
        if is_last {
            return Ok(opened);
        }
        folder = Some(opened);
    }
    Err(Errno::NOENT.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with a recording, a secret beside it, and links to it at every level.
    fn root_with_links() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        fs::write(root.join("a/b/file"), "ours").unwrap();
        symlink("../../../outside/secret", root.join("a/b/link")).unwrap();
        symlink(folder.path().join("outside"), root.join("a/away")).unwrap();
        symlink("b", root.join("a/inside")).unwrap();
        (folder, root)
    }

    #[test]
    fn under_a_served_root_no_link_is_followed_and_all_else_is_opened() {
        let (_folder, root) = root_with_links();
        assert_eq!(read(&root.join("a/b/link")).unwrap(), b"secret", "before");
        let refused = refuse_links(&root).unwrap();
        for link in ["a/b/link", "a/away/secret", "a/inside/file"] {
            let error = read(&root.join(link)).unwrap_err();
            assert!(is_link(&error), "{link}: {error}");
            for how in [How::MakeAppend, How::MakeReadAppend, How::MakeReadWrite] {
                assert!(open(&root.join(link), how).is_err(), "{link}");
            }
        }
        assert!(read(&root.join("a/../../outside/secret")).is_err());
        assert!(open_folder(&root.join("a/away")).is_err());
        assert!(open(&root.join("a/away/new"), How::New).is_err());
        assert!(open_folder(&root.join("a/inside")).is_err());
        assert_eq!(read(&root.join("a/b/file")).unwrap(), b"ours");
        open(&root.join("a/b/new"), How::New).unwrap().write_all(b"x").unwrap();
        open_folder(&root.join("a/b")).unwrap();
        assert_eq!(list_folder(&root).unwrap().count(), 1);
        let absent = open(&root.join("a/none"), How::Read).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        drop(refused);
        assert_eq!(read(&root.join("a/b/link")).unwrap(), b"secret", "afterwards");
    }

    #[test]
    fn without_openat2_the_answers_are_the_same() {
        let (_folder, root) = root_with_links();
        let fd = retry_on_intr(|| rustix::fs::open(&root, OFlags::PATH, Mode::empty())).unwrap();
        let part_by_part = |path: &str| {
            open_part_by_part(&fd, Path::new(path), How::Read.flags(), Mode::empty())
                .map(drop)
                .map_err(|error| error.raw_os_error())
        };
        let at_once = |path: &str| {
            open_below(&fd, Path::new(path), How::Read.flags(), Mode::empty())
                .map(drop)
                .map_err(|error| error.raw_os_error())
        };
        for path in [
            "a/b/file",
            "a/b/link",
            "a/away/secret",
            "a/inside/file",
            "a/b",
            "a/b/none",
            "a/b/file/x",
        ] {
            assert_eq!(part_by_part(path), at_once(path), "{path}");
        }
        assert_eq!(part_by_part("a/../a/b/file"), Err(Errno::XDEV.raw_os_error().into()));
    }

    #[test]
    fn a_pipe_in_place_of_a_file_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("data.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let _refused = refuse_links(folder.path()).unwrap();
        assert!(read(&pipe).unwrap_err().to_string().contains("neither a file nor a folder"));
    }

    #[test]
    fn the_root_itself_may_be_a_link() {
        let (folder, root) = root_with_links();
        let link = folder.path().join("root-link");
        symlink(&root, &link).unwrap();
        let _refused = refuse_links(&link).unwrap();
        assert_eq!(read(&link.join("a/b/file")).unwrap(), b"ours");
        assert!(is_link(&read(&link.join("a/b/link")).unwrap_err()));
    }
}
