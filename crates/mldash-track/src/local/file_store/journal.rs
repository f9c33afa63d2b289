//! Saved files that are not in the metadata yet, one JSON line each.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FileInfo;
use crate::local::beneath::How;
use crate::local::disk;
use crate::local::error::StoreError;
use crate::local::handles::{self, KeptFile};
use crate::local::metadata::to_json;

pub(super) const JOURNAL_FILE: &str = ".files_journal.jsonl";
/// The journal while it is being folded.
pub(super) const ASIDE_FILE: &str = ".files_journal.aside.jsonl";

/// The write half.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    aside: PathBuf,
    file: Option<KeptFile>,
    bytes: u64,
    closed: bool,
}

impl Journal {
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join(JOURNAL_FILE);
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self { path, aside: folder.join(ASIDE_FILE), file: None, bytes, closed: false }
    }

    /// Appends a file. Returns `false` once closed.
    pub(super) fn append(&mut self, info: &FileInfo) -> Result<bool, StoreError> {
        if self.closed {
            return Ok(false);
        }
        let mut line = to_json(&self.path, info)?;
        line.push(b'\n');
        let file = self.file()?;
        let start = file.metadata().map_err(StoreError::io("look at", &self.path))?.len();
        let written = disk::write_all(&file, &self.path, &line)
            .map_err(StoreError::io("append to", &self.path))
            .and_then(|()| self.check_in_place());
        if let Err(error) = written {
            // The whole line or nothing. Readers skip a torn line.
            let _ = disk::cut(&file, &self.path, start);
            return Err(error);
        }
        self.bytes = start + line.len() as u64;
        Ok(true)
    }

    fn file(&mut self) -> Result<Arc<File>, StoreError> {
        self.check_in_place()?;
        let open = StoreError::io("open", &self.path);
        let file = match &self.file {
            Some(file) => file.get(),
            None => disk::open_to_append(&self.path).and_then(|file| {
                let kept = KeptFile::of(file, &self.path, How::ReadAppend)?;
                self.file.insert(kept).get()
            }),
        };
        file.map_err(open)
    }

    /// Fails once if another program removed or replaced the journal. The next file is saved to the
    /// one that is there then.
    fn check_in_place(&mut self) -> Result<(), StoreError> {
        match self.file.as_ref().map_or(Ok(true), KeptFile::is_in_place) {
            Ok(true) => Ok(()),
            Ok(false) => {
                (self.file, self.bytes) = (None, 0);
                Err(StoreError::Removed { path: self.path.clone(), rows: 0 })
            }
            Err(error) => Err(StoreError::io("look at", &self.path)(error)),
        }
    }

    /// Bytes that wait to be folded.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Accepts no more files.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Returns true if a fold started and did not finish.
    pub(super) fn is_set_aside(&self) -> bool {
        self.aside.exists()
    }

    /// Sets the journal aside for folding and starts a new one. Returns true if there is anything
    /// to fold.
    pub(super) fn set_aside(&mut self) -> Result<bool, StoreError> {
        if self.bytes == 0 {
            return Ok(false);
        }
        self.check_in_place()?;
        disk::rename(&self.path, &self.aside).map_err(StoreError::io("set aside", &self.path))?;
        (self.file, self.bytes) = (None, 0);
        Ok(true)
    }

    /// Removes the journal set aside, which is now in the metadata.
    pub(super) fn forget_aside(&self) -> Result<(), StoreError> {
        disk::remove_file(&self.aside).map_err(StoreError::io("remove", &self.aside))
    }
}

/// What waits in `folder` to be folded, and what is being folded.
pub(super) struct UnfoldedFiles {
    pub(super) aside: Vec<FileInfo>,
    pub(super) journal: Vec<FileInfo>,
}

impl UnfoldedFiles {
    /// The paths in `folder`.
    pub(super) fn paths(folder: &Path) -> [PathBuf; 2] {
        [JOURNAL_FILE, ASIDE_FILE].map(|name| folder.join(name))
    }

    /// Reads the journal first: what is set aside between the two reads is then in both.
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let journal = read_lines(&folder.join(JOURNAL_FILE))?;
        Ok(Self { journal, aside: read_aside(folder)? })
    }
}

pub(super) fn read_aside(folder: &Path) -> Result<Vec<FileInfo>, StoreError> {
    read_lines(&folder.join(ASIDE_FILE))
}

/// Skips a last line that a crash tore.
fn read_lines(path: &Path) -> Result<Vec<FileInfo>, StoreError> {
    let file = match handles::open(path, How::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let mut files = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(StoreError::io("read", path))?;
        files.extend(serde_json::from_slice::<FileInfo>(&line).ok());
    }
    Ok(files)
}
