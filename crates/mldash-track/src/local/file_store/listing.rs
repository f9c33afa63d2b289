//! Reading the list of all files; what was read is kept for as long as nothing changed on disk, so
//! that files can be read by name one after another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::journal::Waiting;
use super::{FileInfo, FileStore};
use crate::local::error::StoreError;

/// The files that there are, by folder and name.
pub(crate) type Listing = Arc<Vec<FileInfo>>;

/// What was read, and what the files on disk looked like just before.
#[derive(Debug, Default)]
pub(super) struct KeptListing {
    stamps: [Stamp; 3],
    files: Option<Listing>,
}

/// Tells a file from what was in its place before; `None` without one.
pub(super) type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

impl FileStore {
    /// The files that there are.
    pub(crate) fn list(&self) -> Result<Listing, StoreError> {
        let mut kept = self.kept.lock();
        let stamps = self.stamps();
        if let Some(files) = kept.files.as_ref().filter(|_| kept.stamps == stamps) {
            return Ok(files.clone());
        }
        let files = Arc::new(self.read_list()?);
        *kept = KeptListing { stamps, files: Some(files.clone()) };
        Ok(files)
    }

    /// What the journal, what is set aside of it and the metadata look like.
    pub(super) fn stamps(&self) -> [Stamp; 3] {
        let [journal, aside] = Waiting::paths(&self.folder);
        [&journal, &aside, &self.metadata_path()].map(|path| stamp(path))
    }

    pub(super) fn read_list(&self) -> Result<Vec<FileInfo>, StoreError> {
        let waiting = Waiting::read(&self.folder)?;
        // The SDK writes in place: what can't be read may be half written, and whole a moment later.
        let mut metadata = self.load().or_else(|error| match self.keep_sdk_out() {
            Ok(_lock) => self.load(),
            Err(_) => Err(error),
        })?;
        self.take_in(&mut metadata.files, waiting.aside);
        self.take_in(&mut metadata.files, waiting.journal);
        metadata.files.retain(|file| file.deleted_at.is_none());
        metadata.files.sort_by(|a, b| (&a.path, &a.filename).cmp(&(&b.path, &b.filename)));
        Ok(metadata.files)
    }
}
