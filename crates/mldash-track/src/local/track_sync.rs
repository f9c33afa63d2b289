//! Syncing a track to disk while rows keep coming: what to sync is noted under the appender's lock,
//! and the wait for the disk is outside of it, so that a slow disk holds up no flush.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::beneath::How;
use super::disk;
use super::error::StoreError;
use super::handles;
use super::metadata::{TRACK_FILE, TrackMetadata};

/// How often `metadata.json` is brought up to date while recording. Readers count rows themselves;
/// this is for the SDK.
const METADATA_EVERY: Duration = Duration::from_secs(10);

/// What a power cut would cost of a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    /// Rows in the data file.
    pub(super) rows: bool,
    /// The names of the track's folder and its files.
    pub(super) names: bool,
}

/// What to make safe from a power cut.
#[derive(Debug)]
pub(crate) struct SyncWork {
    pub(super) data: Option<(Arc<File>, PathBuf)>,
    /// The track's folder, if names in it or its own are new.
    pub(super) names: Option<PathBuf>,
}

/// A track's `metadata.json`, written by several threads.
#[derive(Debug)]
pub(super) struct MetadataFile {
    folder: PathBuf,
    state: Mutex<FileState>,
}

#[derive(Debug, Default)]
struct FileState {
    /// The number of the version that was saved last.
    saved: u64,
    is_failing: bool,
}

/// A version of `metadata.json` to save.
#[derive(Debug)]
pub(crate) struct MetadataVersion {
    pub(super) file: Arc<MetadataFile>,
    pub(super) metadata: TrackMetadata,
    /// Later versions have larger numbers.
    pub(super) number: u64,
}

impl SyncWork {
    /// Waits for the disk.
    pub(crate) fn run(&self) -> Result<(), StoreError> {
        if let Some((data, path)) = &self.data {
            disk::sync(data, path).map_err(StoreError::io("sync", path))?;
        }
        if let Some(folder) = &self.names {
            sync_names(folder).map_err(StoreError::io("sync", folder))?;
        }
        Ok(())
    }
}

impl MetadataFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), state: Mutex::default() }
    }
}

impl MetadataVersion {
    /// Saves this version, unless a later one is saved already.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        self.save_into(&mut self.file.state.lock())
    }

    /// Like [`save`](Self::save), but only logs a failure: rows don't depend on the file.
    pub(crate) fn save_if_possible(&self) {
        let mut state = self.file.state.lock();
        let saved = self.save_into(&mut state);
        if let Err(error) = &saved
            && !state.is_failing
        {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "what metadata.json says of the track is not up to date");
        }
        state.is_failing = saved.is_err();
    }

    fn save_into(&self, state: &mut FileState) -> Result<(), StoreError> {
        if state.saved < self.number {
            self.metadata.save(&self.file.folder)?;
            state.saved = self.number;
        }
        Ok(())
    }
}

/// Returns true if a file that was saved at `saved_at` is to be brought up to date.
pub(super) fn is_metadata_due(saved_at: Instant) -> bool {
    saved_at.elapsed() >= METADATA_EVERY
}

/// Makes the names in a track's folder and the folder's own survive a power cut, and the topic that
/// they stand for.
fn sync_names(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(TRACK_FILE);
    if let Ok(metadata) = handles::open(&path, How::Read) {
        disk::sync(&metadata, &path)?;
    }
    disk::sync_folder(folder)?;
    folder.parent().map_or(Ok(()), disk::sync_folder)
}
