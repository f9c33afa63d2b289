//! What is done to a name in a folder. The folder is opened first, as `beneath` opens files, and what
//! is done is done to the name within it: whoever changes the path meanwhile can't lead it elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::beneath;

/// To list a folder.
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A name in a folder that is held open.
pub(super) struct Place<'a> {
    folder: OwnedFd,
    name: &'a OsStr,
}

/// Something in a folder.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    kind: FileType,
}

impl Entry {
    /// Returns true for a folder, not for a link to one.
    pub fn is_folder(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Returns true for a file, not for a link to one.
    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    /// Its path in `folder`.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }
}

impl<'a> Place<'a> {
    /// The place at `path`, whose folder must be there.
    pub(super) fn of(path: &'a Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(Self { folder: beneath::open_folder(parent.unwrap_or(Path::new(".")))?, name })
    }

    /// Renames what is here. Replaces a file that is at `to`.
    pub(super) fn rename(&self, to: &Place<'_>) -> io::Result<()> {
        Ok(renameat(&self.folder, self.name, &to.folder, to.name)?)
    }

    /// Removes the file here.
    pub(super) fn remove_file(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, self.name, AtFlags::empty())?)
    }

    /// Removes the empty folder here.
    pub(super) fn remove_folder(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, self.name, AtFlags::REMOVEDIR)?)
    }

    /// Removes what is here, and if it is a folder, all that is in it.
    pub(super) fn remove_tree(&self) -> io::Result<()> {
        remove_tree(&self.folder, self.name)
    }

    /// Creates a folder; an error if something is here.
    pub(super) fn create_folder(&self) -> io::Result<()> {
        Ok(mkdirat(&self.folder, self.name, Mode::from(0o777))?)
    }
}

/// Lists a folder, in no order.
pub(super) fn list(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Entry>> + use<>> {
    let folder = beneath::open_folder(path)?;
    entries(retry_on_intr(|| openat(&folder, ".", LIST, Mode::empty()))?)
}

fn entries(folder: OwnedFd) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
    let all = Dir::read_from(&folder)?;
    Ok(all.filter_map(move |entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error.into())),
        };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            return None;
        }
        let kind = match entry.file_type() {
            // Not every file system has it in the list.
            FileType::Unknown => statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode)),
            kind => kind,
        };
        Some(Ok(Entry { name: name.to_owned(), kind }))
    }))
}

fn remove_tree(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let below = match retry_on_intr(|| openat(folder, name, LIST | OFlags::NOFOLLOW, Mode::empty()))
    {
        Ok(below) => below,
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Ok(unlinkat(folder, name, AtFlags::empty())?);
        }
        Err(error) => return Err(error.into()),
    };
    for entry in entries(rustix::io::dup(&below)?)? {
        remove_tree(&below, &entry?.name)?;
    }
    Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::local::beneath::refuse_links;
    use crate::local::disk;

    fn names(path: &Path) -> Vec<OsString> {
        let mut names: Vec<OsString> =
            list(path).unwrap().map(|entry| entry.unwrap().name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_tree_is_removed_with_its_links_and_not_with_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let [tree, other] = ["tree", "other"].map(|name| folder.path().join(name));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        fs::write(other.join("file"), "x").unwrap();
        symlink(&other, tree.join("a/link")).unwrap();
        Place::of(&tree).unwrap().remove_tree().unwrap();
        assert_eq!(names(folder.path()), ["other"]);
        assert_eq!(names(&other), ["file"]);
    }

    /// Whoever may write under the root exchanges a folder and a link while changes are made through
    /// it. None of them reaches what the link leads to.
    #[test]
    fn a_folder_that_becomes_a_link_at_any_moment_leads_no_change_out_of_a_served_root() {
        let folder = tempfile::tempdir().unwrap();
        let [root, outside] = ["root", "outside"].map(|name| folder.path().join(name));
        fs::create_dir_all(root.join("real")).unwrap();
        fs::create_dir_all(outside.join("tree")).unwrap();
        let kept = ["file", "tree"];
        fs::write(outside.join("file"), "secret").unwrap();
        symlink(&outside, root.join("link")).unwrap();
        let _refused = refuse_links(&root).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The attacker's own view of the root.
                let turns = ["real", "link"].map(|name| root.join(name));
                while !is_over.load(Ordering::Relaxed) {
                    for turn in &turns {
                        fs::rename(turn, root.join("run")).unwrap();
                        fs::rename(root.join("run"), turn).unwrap();
                    }
                }
            });
            let run = root.join("run");
            let mut done = 0;
            for number in 0..20_000 {
                let new = run.join(format!("{number}"));
                // Any of them may fail, and does while the link is there.
                let _ = disk::remove_file(&run.join("file"));
                let _ = disk::remove_tree(&run.join("tree"));
                let _ = disk::rename(&run.join("file"), &run.join("moved"));
                let made = disk::create_folder(&new).is_ok();
                let _ = disk::scratch_file(&run);
                let _ = disk::create_beside(&new);
                done += u32::from(made);
                if let Ok(found) = list(&run) {
                    assert!(!found.flatten().any(|entry| entry.name == "secret"));
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(done > 0, "the folder was there, too");
        });
        assert_eq!(names(&outside), kept);
    }
}
