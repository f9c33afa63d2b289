//! Saved files that are not in the metadata yet, one JSON line each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::FileInfo;
use crate::local::error::StoreError;

const JOURNAL_FILE: &str = ".files_journal.jsonl";
/// The journal while it is being folded.
const ASIDE_FILE: &str = ".files_journal.aside.jsonl";

/// The write half.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    aside: PathBuf,
    file: Option<File>,
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
        let mut line = serde_json::to_vec(info).map_err(|error| StoreError::Malformed {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        line.push(b'\n');
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.path)
                    .map_err(StoreError::io("open", &self.path))?,
            ),
        };
        if let Err(source) = file.write_all(&line) {
            // Write the whole line or nothing. Readers skip a torn line.
            let _ = file.set_len(self.bytes);
            return Err(StoreError::io("append to", &self.path)(source));
        }
        self.bytes += line.len() as u64;
        Ok(true)
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
        fs::rename(&self.path, &self.aside).map_err(StoreError::io("set aside", &self.path))?;
        (self.file, self.bytes) = (None, 0);
        Ok(true)
    }

    /// Removes the journal set aside, which is now in the metadata.
    pub(super) fn forget_aside(&self) -> Result<(), StoreError> {
        fs::remove_file(&self.aside).map_err(StoreError::io("remove", &self.aside))
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
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}
