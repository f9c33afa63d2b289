//! Replaces files atomically and durably: a reader sees the old file or the new one, never a part,
//! also after a power cut.
//!
//! The order is: write to a temporary file in the same folder, sync it, rename it over the old one,
//! sync the folder. The temporary file is locked while its writer lives, so that the next owner of
//! the folder can tell leftovers of a killed process from files that are being written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::beneath::How;
use super::disk;
use super::error::StoreError;
use super::handles;

/// How the names of temporary files end.
pub(super) const TEMPORARY: &str = ".tmp";
/// Characters that make the name of a temporary file unique.
const UNIQUE_CHARS: usize = 6;
/// How many names to try for what is put aside.
const MAX_ASIDE: u32 = 100;

/// Whether a new file must survive a power cut from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    Now,
    /// Its next version will be. Only for a file that replaces none.
    Later,
}

/// A new version of a file, under a temporary name until it is [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Replacement {
    file: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Starts a new version of the file at `path`.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = disk::create_beside(path)?;
        // Not every file system has locks; without one, leftovers stay.
        let _ = file.as_file().try_lock();
        Ok(Self { file, path: path.to_owned() })
    }

    /// Makes what was written so far survive a power cut, under its temporary name.
    pub(super) fn sync(&self) -> io::Result<()> {
        disk::sync(self.file.as_file(), &self.path)
    }

    /// What was written so far, to read.
    pub(super) fn reader(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// Puts it in its place.
    pub(super) fn keep(self, durable: Durable) -> io::Result<()> {
        if durable == Durable::Now {
            self.sync()?;
        }
        match disk::persist(self.file, &self.path) {
            Ok(()) => {}
            Err((file, _)) if self.path.is_dir() => {
                put_aside(&self.path, "it is a folder")?;
                disk::persist(file, &self.path).map_err(|(_, error)| error)?;
            }
            Err((_, error)) => return Err(error),
        }
        if durable == Durable::Now {
            disk::sync_folder(self.path.parent().unwrap_or(&self.path))?;
        }
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        disk::write_all(self.file.as_file(), &self.path, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces the file at `path` by one with these contents. A folder of that name is put aside.
///
/// # Errors
/// The file is the old one or the new one, whole.
pub fn replace_file(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    put(path, contents, Durable::Now)
}

/// Like [`replace_file`], for a file that is not there yet and need not survive a power cut.
pub(super) fn create_file(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    put(path, contents, Durable::Later)
}

fn put(path: &Path, contents: &[u8], durable: Durable) -> Result<(), StoreError> {
    let try_once = || {
        let mut file = Replacement::of(path)?;
        file.write_all(contents)?;
        file.keep(durable)
    };
    let written = match try_once() {
        // Somebody took the temporary file for a leftover before it was locked.
        Err(error) if error.kind() == io::ErrorKind::NotFound => try_once(),
        written => written,
    };
    written.map_err(StoreError::io("write", path))
}

/// Renames what is at `path` to a name beside it, and says so. `reason` is why it is unusable.
pub(super) fn put_aside(path: &Path, reason: &str) -> io::Result<()> {
    let name = |number: u32| match number {
        1 => path.with_added_extension("bad"),
        _ => path.with_added_extension(format!("bad.{number}")),
    };
    let aside = (1..=MAX_ASIDE).map(name).find(|aside| fs::symlink_metadata(aside).is_err());
    let aside = aside.unwrap_or_else(|| name(MAX_ASIDE));
    disk::rename(path, &aside)?;
    let (path, aside) = (path.display(), aside.display());
    tracing::warn!("{path} is unusable ({reason}); it is kept as {aside} and replaced");
    Ok(())
}

/// Removes the temporary files in `folder` that killed processes left. Those of live ones stay.
pub(super) fn remove_leftovers(folder: &Path) {
    for entry in handles::list(folder).into_iter().flatten().flatten() {
        if !entry.is_file() || !entry.name.to_str().is_some_and(is_temporary) {
            continue;
        }
        let path = entry.path(folder);
        let unlocked = handles::open(&path, How::Read).is_ok_and(|file| file.try_lock().is_ok());
        if unlocked {
            match disk::remove_file(&path) {
                Ok(()) => tracing::debug!("removed {}, left by a killed process", path.display()),
                Err(error) => tracing::warn!(%error, "can't remove {}", path.display()),
            }
        }
    }
}

/// Returns true for names of temporary files: `.data.jsonl.x7Yz9q.tmp`. Earlier versions had the
/// process's number there.
fn is_temporary(name: &str) -> bool {
    let parts = name.strip_suffix(TEMPORARY).and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(of, unique)| {
        let is_unique =
            unique.len() == UNIQUE_CHARS && unique.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_process = !unique.is_empty() && unique.bytes().all(|b| b.is_ascii_digit());
        of.len() > 1 && of.starts_with('.') && (is_unique || is_process)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn many_writers_of_one_file_at_once_all_succeed_and_leave_one_whole_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.json");
        std::thread::scope(|scope| {
            for digit in b'0'..b'8' {
                let path = &path;
                scope.spawn(move || {
                    (0..50).for_each(|_| replace_file(path, &[digit; 5000]).unwrap());
                });
            }
        });
        let text = fs::read(&path).unwrap();
        assert!(text.len() == 5000 && text.iter().all(|byte| *byte == text[0]));
        assert_eq!(names(folder.path()), ["index.json"]);
    }

    #[test]
    fn leftovers_of_killed_writers_go_and_those_of_live_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let live = Replacement::of(&at("data.jsonl")).unwrap();
        let live_name = live.file.path().file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(at(".data.jsonl.4711.tmp"), "an earlier version's").unwrap();
        fs::write(at(".index.json.aB3dE6.tmp"), "half").unwrap();
        for other in ["data.tmp", ".notes.tmp", ".a.b.tmp", "x.123456.tmp"] {
            fs::write(at(other), "somebody's").unwrap();
        }
        remove_leftovers(folder.path());
        let mut expected = vec![".a.b.tmp", ".notes.tmp", "data.tmp", "x.123456.tmp", &live_name];
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        live.keep(Durable::Now).unwrap();
        assert!(at("data.jsonl").exists());
    }

    #[test]
    fn a_new_version_can_be_read_before_it_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Replacement::of(&folder.path().join("data.jsonl.zst")).unwrap();
        file.write_all(b"rows").unwrap();
        let mut read = [0; 4];
        file.reader().unwrap().read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"rows");
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_put_aside_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.json");
        for _ in 0..2 {
            fs::remove_file(&path).ok();
            fs::create_dir(&path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
            replace_file(&path, b"{}").unwrap();
        }
        let expected = ["metadata.json", "metadata.json.bad", "metadata.json.bad.2"];
        assert_eq!(names(folder.path()), expected);
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        assert!(folder.path().join("metadata.json.bad.2/x").exists());
    }

    #[test]
    fn a_new_file_has_the_permissions_that_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        replace_file(&ours, b"x").unwrap();
        fs::write(&plain, b"x").unwrap();
        let mode = |path| fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
