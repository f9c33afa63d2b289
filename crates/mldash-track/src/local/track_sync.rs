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
use super::index::Index;
use super::metadata::{TRACK_FILE, TrackMetadata};
use super::unconfirmed::{Piece, write_again};
use super::{index_file, schema_file};
use crate::row::TrackSchema;

/// How often `metadata.json` is brought up to date while recording. Readers count rows themselves;
/// this is for the SDK.
const METADATA_EVERY: Duration = Duration::from_secs(10);
/// The stored index is brought up to date once it lacks this much of the data file …
const INDEX_EVERY_BYTES: u64 = if cfg!(test) { 100 } else { 16 << 20 };
/// … and this part of what it covers: after a kill, no more has to be read again.
const INDEX_EVERY_PART: u64 = 16;

/// What a power cut would cost of a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    /// Rows in the data file.
    pub(super) rows: bool,
    /// The names of the track's folder and its files.
    pub(super) names: bool,
    /// Declared columns.
    pub(super) schema: bool,
}

/// What to make safe from a power cut.
#[derive(Debug)]
pub(crate) struct SyncWork {
    /// The declarations of the rows, which are made safe before these.
    pub(super) schema: Option<SchemaVersion>,
    pub(super) data: Option<DataSync>,
    /// The track's folder, if names in it or its own are new.
    pub(super) names: Option<PathBuf>,
}

/// Rows to sync.
#[derive(Debug)]
pub(super) struct DataSync {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// Bytes of whole rows.
    pub(super) end: u64,
    /// What an earlier sync may have lost.
    pub(super) again: Vec<Piece>,
    /// The index of these bytes, if it is to be stored afterwards.
    pub(super) index: Option<Index>,
    pub(super) outcome: Outcome,
}

/// What became of a sync of rows.
#[derive(Debug)]
pub(super) enum Outcome {
    NotTried,
    Failed,
    /// All but these pieces is safe.
    Synced {
        lost: Vec<Piece>,
    },
}

/// A version of `.schema.json` to save.
#[derive(Debug)]
pub(super) struct SchemaVersion {
    pub(super) folder: PathBuf,
    pub(super) topic: String,
    pub(super) schema: TrackSchema,
}

/// A version of `.index.json` to save.
#[derive(Debug)]
pub(crate) struct IndexVersion {
    pub(super) folder: PathBuf,
    pub(super) topic: String,
    pub(super) data: Arc<File>,
    pub(super) index: Index,
}

/// A track's `metadata.json`, written by several threads.
#[derive(Debug)]
pub(super) struct MetadataFile {
    folder: PathBuf,
    /// The number of the version that was saved last.
    saved: Mutex<u64>,
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
    pub(crate) fn run(&mut self) -> Result<(), StoreError> {
        if let Some(SchemaVersion { folder, topic, schema }) = &self.schema {
            schema_file::save(folder, topic, schema)?;
        }
        if let Some(data) = &mut self.data {
            data.run()?;
        }
        if let Some(folder) = &self.names {
            sync_names(folder).map_err(StoreError::io("sync", folder))?;
        }
        Ok(())
    }
}

impl DataSync {
    fn run(&mut self) -> Result<(), StoreError> {
        let path = &self.path;
        let written = write_again(&self.file, path, &self.again);
        // Also if that failed: what came since can be made safe.
        let synced = disk::sync(&self.file, path);
        let both = synced.map_err(StoreError::io("sync", path)).and_then(|()| {
            written.map_err(StoreError::io("write again what a sync lost of", path))
        });
        let lost = both.inspect_err(|_| self.outcome = Outcome::Failed)?;
        let rows = lost.iter().map(Piece::rows).sum();
        self.outcome = Outcome::Synced { lost };
        match rows {
            0 => Ok(()),
            _ => Err(StoreError::LostOnDisk { path: path.clone(), rows }),
        }
    }
}

impl SyncWork {
    /// Returns true if nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.schema.is_none() && self.data.is_none() && self.names.is_none()
    }
}

impl IndexVersion {
    /// Saves this version. The index only helps whoever opens the track next.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        index_file::save(&self.folder, Some(self.topic.clone()), &*self.data, &self.index)
    }
}

/// Returns true if an index that covers `saved` bytes is to be brought up to date with one that
/// covers `end`.
pub(super) fn is_index_due(saved: u64, end: u64) -> bool {
    end.saturating_sub(saved) >= INDEX_EVERY_BYTES.max(saved / INDEX_EVERY_PART)
}

impl MetadataFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), saved: Mutex::default() }
    }
}

impl MetadataVersion {
    /// Saves this version, unless a later one is saved already.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let mut saved = self.file.saved.lock();
        if *saved < self.number {
            self.metadata.save(&self.file.folder)?;
            *saved = self.number;
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
