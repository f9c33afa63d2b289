//! The files of the run: each is read when a row names it, and known to be in the MCAP file from then on.

use std::collections::HashSet;

use mldash_track::{Experiment, FileInfo, TrackError};

use crate::error::ExportError;
use crate::files::RecordedFiles;

/// The files of the run.
pub(super) struct RunFiles {
    files: RecordedFiles,
    read: HashSet<String>,
}

impl RunFiles {
    pub(super) fn new(name: &str, experiment: &Experiment) -> Result<Self, ExportError> {
        Ok(Self { files: RecordedFiles::new(name, experiment)?, read: HashSet::new() })
    }

    /// Reads a file.
    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>, TrackError> {
        let bytes = self.files.try_read(path)?;
        self.read.insert(path.to_owned());
        Ok(bytes)
    }

    /// Returns true if a file is in the MCAP file.
    pub(super) fn was_read(&self, path: &str) -> bool {
        self.read.contains(path)
    }

    /// What is known of a file; `None` if the run has none of this name.
    pub(super) fn find(&self, path: &str) -> Option<&FileInfo> {
        self.files.find(path)
    }

    /// The files that no row has named so far, by name.
    pub(super) fn unread(&self) -> Vec<String> {
        let names = self.files.names().filter(|name| !self.read.contains(*name));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    }
}
