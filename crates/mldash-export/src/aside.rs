//! A folder that is written aside and takes its place whole: an export that is killed leaves no half dataset, and one that
//! adds to a dataset leaves the old one or the new one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::ExportError;

/// The folder that is being written. If it is not published, it is removed.
#[derive(Debug)]
pub(crate) struct Aside {
    target: PathBuf,
    /// Absolute.
    path: PathBuf,
    /// Locked while an export writes here. What lies here without a lock is of an export that was killed.
    _lock: File,
    /// The dataset that was replaced, locked while it lies here and is removed.
    replaced: Option<File>,
    /// Folders above the target that were not there, the outermost first.
    made: Vec<PathBuf>,
    is_moved: bool,
}

impl Aside {
    /// A new folder beside `target`.
    pub(crate) fn create(target: &Path) -> Result<Self, ExportError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut made: Vec<PathBuf> =
            parent.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        made.retain(|folder| !folder.as_os_str().is_empty());
        made.reverse();
        fs::create_dir_all(parent).map_err(ExportError::io("create", parent))?;
        let parent = parent.canonicalize().map_err(ExportError::io("find", parent))?;
        let path = parent.join(format!(".{name}.partial"));
        let lock = loop {
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(ExportError::io("create", &path)(error));
                }
                _ => {}
            }
            let lock = match File::open(&path) {
                // Published or removed between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(ExportError::io("open", &path))?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(ExportError::Busy(target.to_owned())),
                Err(TryLockError::Error(error)) => {
                    return Err(ExportError::io("lock", &path)(error));
                }
            }
            if is_at(&lock, &path) {
                break lock;
            }
        };
        clear(&path)?;
        let target = parent.join(name);
        Ok(Self { target, path, _lock: lock, replaced: None, made, is_moved: false })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the files of the dataset that is there, without copying them if the file system can do that.
    pub(crate) fn adopt_existing(&self) -> Result<(), ExportError> {
        link_all(&self.target, &self.path)
    }

    /// Puts the folder in its place, at once. An existing one is replaced only if `replaces` says so, and else an error
    /// unless it is empty.
    pub(crate) fn publish(mut self, replaces: bool) -> Result<(), ExportError> {
        sync_folders(&self.path)?;
        self.take_place(replaces)
    }

    fn take_place(&mut self, replaces: bool) -> Result<(), ExportError> {
        if replaces {
            // Once it lies aside, another export must not take it for one that was killed. Whoever holds this lock has
            // opened the folder where it lay aside before, and looks again at once.
            let old = File::open(&self.target).and_then(|old| old.lock().map(|()| old));
            self.replaced = Some(old.map_err(ExportError::io("lock", &self.target))?);
            // Now the old one lies aside, and dropping removes it.
            let exchanged =
                renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::EXCHANGE);
            exchanged.map_err(|error| ExportError::io("replace", &self.target)(error.into()))?;
        } else {
            fs::rename(&self.path, &self.target).map_err(|error| match error.kind() {
                io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::NotADirectory => ExportError::Exists(self.target.clone()),
                _ => ExportError::io("create", &self.target)(error),
            })?;
            self.is_moved = true;
        }
        let parent = self.target.parent().unwrap_or(Path::new("."));
        let synced = File::open(parent).and_then(|folder| folder.sync_all());
        synced.map_err(ExportError::io("write", parent))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.is_moved {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "can't remove {}", self.path.display());
        }
        for folder in self.made.iter().rev() {
            // It stays if something else is in it by now, such as the dataset.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Returns true if `path` is this very folder.
fn is_at(folder: &File, path: &Path) -> bool {
    match (folder.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Removes what an export that was killed has left.
fn clear(folder: &Path) -> Result<(), ExportError> {
    let mut entries = fs::read_dir(folder).map_err(ExportError::io("read", folder))?.peekable();
    if entries.peek().is_some() {
        tracing::warn!("removing {}, which an export that was killed has left", folder.display());
    }
    for entry in entries {
        let entry = entry.map_err(ExportError::io("read", folder))?;
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(ExportError::io("remove", &path))?;
    }
    Ok(())
}

fn link_all(from: &Path, to: &Path) -> Result<(), ExportError> {
    for entry in fs::read_dir(from).map_err(ExportError::io("read", from))? {
        let entry = entry.map_err(ExportError::io("read", from))?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(ExportError::io("look at", &old))?;
        if kind.is_dir() {
            fs::create_dir_all(&new).map_err(ExportError::io("create", &new))?;
            link_all(&old, &new)?;
        } else {
            link(&old, &new).map_err(ExportError::io("copy", &old))?;
        }
    }
    Ok(())
}

fn link(old: &Path, new: &Path) -> io::Result<()> {
    fs::hard_link(old, new).or_else(|_| {
        fs::copy(old, new)?;
        // A file that is linked is on the disk.
        File::open(new)?.sync_all()
    })
}

fn sync_folders(folder: &Path) -> Result<(), ExportError> {
    for entry in fs::read_dir(folder).map_err(ExportError::io("read", folder))? {
        let entry = entry.map_err(ExportError::io("read", folder))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_folders(&entry.path())?;
        }
    }
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(ExportError::io("write", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &str) {
        fs::write(folder.join("a"), text).unwrap();
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("new/set");
        let aside = Aside::create(&target).unwrap();
        write(aside.path(), "half");
        drop(aside);
        assert!(!target.parent().unwrap().exists());
        let aside = Aside::create(&target).unwrap();
        write(aside.path(), "whole");
        assert!(!target.exists());
        aside.publish(false).unwrap();
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "whole");
        let aside = Aside::create(&target).unwrap();
        assert!(matches!(aside.publish(false), Err(ExportError::Exists(_))));
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_replaced_at_once_and_links_leave_it_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("set");
        fs::create_dir_all(target.join("below")).unwrap();
        write(&target.join("below"), "old");
        let aside = Aside::create(&target).unwrap();
        aside.adopt_existing().unwrap();
        fs::write(aside.path().join("b"), "new").unwrap();
        assert!(!target.join("b").exists());
        aside.publish(true).unwrap();
        assert_eq!(fs::read_to_string(target.join("below/a")).unwrap(), "old");
        assert!(target.join("b").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dataset_that_was_replaced_is_locked_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("set");
        fs::create_dir(&target).unwrap();
        write(&target, "old");
        let mut aside = Aside::create(&target).unwrap();
        aside.take_place(true).unwrap();
        assert_eq!(fs::read_to_string(aside.path().join("a")).unwrap(), "old");
        assert!(matches!(Aside::create(&target), Err(ExportError::Busy(_))));
        assert_eq!(fs::read_to_string(aside.path().join("a")).unwrap(), "old", "not cleared");
        drop(aside);
        assert!(Aside::create(&target).is_ok());
    }

    #[test]
    fn two_exports_to_one_place_exclude_each_other_and_a_killed_one_is_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("set");
        let aside = Aside::create(&target).unwrap();
        assert!(matches!(Aside::create(&target), Err(ExportError::Busy(_))));
        drop(aside);
        fs::create_dir(root.path().join(".set.partial")).unwrap();
        write(&root.path().join(".set.partial"), "of a killed one");
        let aside = Aside::create(&target).unwrap();
        assert_eq!(fs::read_dir(aside.path()).unwrap().count(), 0);
    }
}
