//! Finds files saved since the last look: from the journal's end if it only grew, else from the
//! list of all files.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::journal::UnfoldedFiles;
use super::{FileInfo, FileStore};
use crate::local::FileStamp;
use crate::local::beneath::How;
use crate::local::error::StoreError;
use crate::local::handles;
use crate::name::ExperimentName;

/// Polls an experiment's files.
#[derive(Debug)]
pub(crate) struct FileFollower {
    store: FileStore,
    stamps: Option<[FileStamp; 3]>,
    /// Bytes of the journal already read.
    journal_bytes: u64,
}

/// The result of a look.
#[derive(Debug)]
pub(crate) enum FileNews {
    /// Nothing new.
    Same,
    /// These files are new.
    More(Vec<FileInfo>),
    /// These are all files; forget what was known before.
    All(Vec<FileInfo>),
}

impl FileFollower {
    /// Follows the experiment in `experiment`.
    pub(crate) fn new(experiment: &Path, name: &ExperimentName) -> Self {
        Self { store: FileStore::new(experiment, name), stamps: None, journal_bytes: 0 }
    }

    /// The path of a file's data.
    pub(crate) fn data_path(&self, info: &FileInfo) -> Result<PathBuf, StoreError> {
        self.store.data_path(info)
    }

    /// Makes the next [`refresh`](Self::refresh) return all files.
    pub(crate) fn start_over(&mut self) {
        self.stamps = None;
    }

    /// Returns what is new.
    pub(crate) fn refresh(&mut self) -> Result<FileNews, StoreError> {
        let stamps = self.store.stamps();
        if self.stamps == Some(stamps) {
            return Ok(FileNews::Same);
        }
        let [journal, _] = UnfoldedFiles::paths(&self.store.folder);
        let grown = self.stamps.is_some_and(|before| {
            before[0].inode() == stamps[0].inode() && before[1..] == stamps[1..]
        });
        if grown && let Some(inode) = stamps[0].inode() {
            let read = StoreError::io("read", &journal);
            if let Some(text) = self.read_journal(&journal, inode).map_err(read)? {
                self.stamps = Some(stamps);
                let lines = text.split(|byte| *byte == b'\n');
                let files = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
                return Ok(FileNews::More(files));
            }
        }
        // The stamps are older than the read, so the next look sees what arrives meanwhile.
        self.journal_bytes = stamps[0].bytes();
        let files = self.store.read_list()?;
        self.stamps = Some(stamps);
        Ok(FileNews::All(files))
    }

    /// The journal's new whole lines; `None` if it was replaced by another file.
    fn read_journal(&mut self, path: &Path, inode: u64) -> io::Result<Option<Vec<u8>>> {
        let mut file = match handles::open(path, How::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.ino() != inode || metadata.len() < self.journal_bytes {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(self.journal_bytes))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |last| last + 1));
        self.journal_bytes += text.len() as u64;
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::FileDescription;

    fn save(store: &FileStore, name: &str) {
        let place = format!("frames/{name}").parse().unwrap();
        let about = FileDescription::default();
        store.save(&place, about, &mut name.as_bytes(), Path::new(name)).unwrap();
    }

    fn names(files: Vec<FileInfo>) -> Vec<String> {
        files.into_iter().map(|file| file.filename).collect()
    }

    #[test]
    fn files_are_seen_once_as_they_come_and_all_again_after_a_fold() {
        let root = tempfile::tempdir().unwrap();
        let name = "alice/warehouse/run-1".parse().unwrap();
        let store = FileStore::new(root.path(), &name);
        let mut follower = FileFollower::new(root.path(), &name);
        save(&store, "a");
        let Ok(FileNews::All(files)) = follower.refresh() else { panic!() };
        assert_eq!(names(files), ["a"]);
        assert!(matches!(follower.refresh(), Ok(FileNews::Same)));
        save(&store, "b");
        save(&store, "c");
        let Ok(FileNews::More(files)) = follower.refresh() else { panic!() };
        assert_eq!(names(files), ["b", "c"]);
        store.fold().unwrap();
        let Ok(FileNews::All(files)) = follower.refresh() else { panic!() };
        assert_eq!(names(files), ["a", "b", "c"]);
        save(&store, "d");
        assert!(matches!(follower.refresh(), Ok(FileNews::All(files)) if files.len() == 4));
        save(&store, "e");
        assert!(matches!(follower.refresh(), Ok(FileNews::More(files)) if files.len() == 1));
    }
}
