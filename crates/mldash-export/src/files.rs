//! The files of a recording, as its rows name them.

use std::collections::HashMap;

use mldash_record::ACCOUNT_FILE;
use mldash_track::{Experiment, FileInfo, Files, TrackError};

use crate::error::ExportError;

/// A larger account is not ours.
const MAX_ACCOUNT_BYTES: u64 = 32 << 20;
/// What a byte of an account takes once it is parsed and shown.
const ACCOUNT_FACTOR: usize = 16;

/// The account of a recording, as it lies there; there is none while it is recorded.
pub(crate) fn account_text(experiment: &Experiment) -> Result<Option<Vec<u8>>, TrackError> {
    experiment.read_beside(ACCOUNT_FILE, MAX_ACCOUNT_BYTES)
}

/// Bytes of memory that the account takes, at most.
pub(crate) fn account_weight(experiment: &Experiment) -> usize {
    // One that can't be looked at can't be read either, which is told then.
    let bytes = experiment.bytes_beside(ACCOUNT_FILE).unwrap_or_default().min(MAX_ACCOUNT_BYTES);
    usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(ACCOUNT_FACTOR)
}

/// The files of a recording, by folder and name.
pub(crate) struct RecordedFiles {
    experiment: String,
    files: Files,
    listed: HashMap<String, FileInfo>,
}

impl RecordedFiles {
    pub(crate) fn new(name: &str, experiment: &Experiment) -> Result<Self, ExportError> {
        let files = experiment.files("");
        let listed = files.list().map_err(ExportError::track(name))?;
        let place = |file: &FileInfo| match file.path.trim_matches('/') {
            "" => file.filename.clone(),
            folder => format!("{folder}/{}", file.filename),
        };
        let listed = listed.into_iter().map(|file| (place(&file), file)).collect();
        Ok(Self { experiment: name.to_owned(), files, listed })
    }

    /// The recording's name.
    pub(crate) fn experiment(&self) -> &str {
        &self.experiment
    }

    /// What was listed under this name.
    pub(crate) fn find(&self, file: &str) -> Option<&FileInfo> {
        self.listed.get(file)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.listed.keys().map(String::as_str)
    }

    /// Reads a file, whole and as it was saved.
    pub(crate) fn read(&self, file: &str) -> Result<Vec<u8>, ExportError> {
        self.try_read(file).map_err(ExportError::track(&self.experiment))
    }

    /// Like [`read`](Self::read), for those who can go on without it.
    pub(crate) fn try_read(&self, file: &str) -> Result<Vec<u8>, TrackError> {
        match self.listed.get(file) {
            Some(info) => self.files.read_listed(info),
            // Says that there is none.
            None => self.files.read(file),
        }
    }
}
