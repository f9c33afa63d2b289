//! The write half of a track: appends flushed rows, keeps the index up to date, and leaves the file
//! sorted and merged when it closes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::atomic::sync_folder;
use super::cursor::RawRow;
use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::handles::{self, KeptFile};
use super::index::Index;
use super::lookup::Finder;
use super::metadata::{TrackInfo, TrackMetadata, TrackNotes};
use super::snapshot::{DATA_FILE, extend_index};
use super::{index_file, schema_file, tidy};
use crate::json::{JsonWriter, NonFinite, scan_row};
use crate::name::TrackName;
use crate::row::{Column, Fields, RowSchema, TIMESTAMP_COLUMN, Timestamp, TrackSchema};

/// How often `metadata.json` is updated while recording.
const METADATA_EVERY: Duration = Duration::from_secs(2);

/// Lines are written in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

/// What a finished track holds and what this writer added to it.
#[derive(Clone, Debug)]
pub(crate) struct TrackClosed {
    /// The track as stored on disk.
    pub(crate) info: TrackInfo,
    /// Rows appended by this writer that turned out to share their time with a row on disk.
    pub(crate) merged_on_disk: u64,
}

/// Appends to one track. The experiment's lock ensures that there is one at a time.
#[derive(Debug)]
pub(crate) struct TrackAppender {
    folder: PathBuf,
    data_path: PathBuf,
    data: KeptFile,
    index: Index,
    metadata: TrackMetadata,
    metadata_saved: Instant,
    schema: TrackSchema,
    /// Whether the schema has declarations that its file lacks.
    is_schema_new: bool,
    /// Rows on disk from other writers or earlier runs.
    rows_before: u64,
    rows_appended: u64,
    /// Whether rows were flushed since the last sync.
    unsynced: bool,
    /// The columns of the last row, by identity: the next one usually has the same.
    last_columns: Vec<Column>,
    /// Buffer for lines being formatted.
    piece: Vec<u8>,
    finder: Finder,
}

impl TrackAppender {
    /// Creates the track's folder, or continues an existing one after repairing what a crash left:
    /// it cuts a torn last line, and sorts and merges unsorted rows.
    pub(crate) fn open(experiment: &ExperimentDir, name: &TrackName) -> Result<Self, StoreError> {
        let folder = experiment.track_folder(name);
        let metadata = Self::claim_folder(experiment, name, &folder)?;
        let data_path = folder.join(DATA_FILE);
        let data = open_data(&data_path)?;
        let mut index = index_file::load(&folder, &data)
            .map_err(StoreError::io("read", &data_path))?
            .unwrap_or_default();
        mend_tail(&data, &data_path, &mut index)?;
        let mut appender = Self {
            schema: schema_file::load_if_readable(&folder),
            is_schema_new: false,
            folder,
            data: kept(data, &data_path)?,
            data_path,
            index,
            metadata,
            metadata_saved: Instant::now(),
            rows_before: 0,
            rows_appended: 0,
            unsynced: false,
            last_columns: Vec::new(),
            piece: Vec::new(),
            finder: Finder::default(),
        };
        appender.tidy()?;
        appender.rows_before = appender.index.rows();
        Ok(appender)
    }

    /// Writes the topic's name into the folder before any row, so that every row has a known topic.
    fn claim_folder(
        experiment: &ExperimentDir,
        name: &TrackName,
        folder: &Path,
    ) -> Result<TrackMetadata, StoreError> {
        if let Some(metadata) = TrackMetadata::load_for(name.as_str(), folder)? {
            return Ok(metadata);
        }
        std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        let metadata = TrackMetadata::new(name);
        metadata.save(folder)?;
        sync_folder(&experiment.tracks_folder()).map_err(StoreError::io("sync", folder))?;
        Ok(metadata)
    }

    /// Declares columns of coming rows. They are in the file before the next row.
    pub(crate) fn declare(&mut self, rows: &RowSchema) {
        self.is_schema_new |= self.schema.declare(rows);
    }

    fn save_schema(&mut self) {
        if !self.is_schema_new {
            return;
        }
        match schema_file::save(&self.folder, &self.schema) {
            Ok(()) => self.is_schema_new = false,
            Err(error) => {
                // Store rows without it. The next flush tries again.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the types of the columns of `{}` are not stored",
                    self.metadata.topic
                );
            }
        }
    }

    /// Appends a flush's rows. When it returns, other processes can read them and they survive
    /// `kill -9`.
    ///
    /// # Errors
    /// The file is as it was before, and the caller keeps the rows.
    pub(crate) fn append(&mut self, rows: &[(Timestamp, Fields)]) -> Result<(), StoreError> {
        self.save_schema();
        self.take_in_foreign_rows()?;
        let data = self.data()?;
        let line_lens = self.write_rows(&data, rows).map_err(|source| {
            let cut = data.set_len(self.index.end());
            if let Err(error) = cut {
                tracing::error!(path = %self.data_path.display(), %error,
                    "can't cut a failed write back; the next one tries again");
            }
            StoreError::Io { action: "append to", path: self.data_path.clone(), source }
        })?;
        for ((ts, fields), len) in rows.iter().zip(line_lens) {
            self.index.push_row(*ts, len);
            self.note_columns(fields);
        }
        self.rows_appended += rows.len() as u64;
        self.unsynced = true;
        if self.metadata_saved.elapsed() >= METADATA_EVERY
            && let Err(error) = self.save_metadata()
        {
            // The rows are stored, and an error would make the caller store them again. Close saves
            // it too.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what metadata.json says of the track is not up to date");
        }
        Ok(())
    }

    /// Writes rows as lines, in pieces that fit a processor's cache. Returns the length of each
    /// line.
    fn write_rows(
        &mut self,
        mut data: &File,
        rows: &[(Timestamp, Fields)],
    ) -> std::io::Result<Vec<u64>> {
        let mut line_lens = Vec::with_capacity(rows.len());
        self.piece.clear();
        for (ts, fields) in rows {
            let start = self.piece.len();
            let mut writer = JsonWriter::new(&mut self.piece, NonFinite::Tokens);
            writer.row(TIMESTAMP_COLUMN, *ts, fields);
            self.piece.push(b'\n');
            line_lens.push((self.piece.len() - start) as u64);
            if self.piece.len() >= PIECE_BYTES {
                data.write_all(&self.piece)?;
                self.piece.clear();
            }
        }
        data.write_all(&self.piece)?;
        Ok(line_lens)
    }

    /// Indexes rows that another program appended meanwhile (the Python SDK ignores our lock). Cuts
    /// a torn write of our own that could not be cut back before.
    fn take_in_foreign_rows(&mut self) -> Result<(), StoreError> {
        let data = self.data()?;
        let len = data.metadata().map_err(StoreError::io("read", &self.data_path))?.len();
        if len == self.index.end() {
            return Ok(());
        }
        let known = self.index.rows();
        mend_tail(&data, &self.data_path, &mut self.index)?;
        self.rows_before += self.index.rows() - known;
        Ok(())
    }

    /// The data file. It stays open while the handle is held.
    fn data(&self) -> Result<Arc<File>, StoreError> {
        self.data.get().map_err(StoreError::io("open", &self.data_path))
    }

    fn note_columns(&mut self, fields: &Fields) {
        let same = self.last_columns.len() == fields.len()
            && self.last_columns.iter().zip(fields.iter()).all(|(a, (b, _))| a == b);
        if !same {
            fields.iter().for_each(|(name, _)| self.index.push_column(name));
            self.last_columns = fields.iter().map(|(name, _)| name.clone()).collect();
        }
    }

    /// Stores `notes` for the track.
    pub(crate) fn annotate(&mut self, notes: TrackNotes) -> Result<(), StoreError> {
        self.save_schema();
        self.metadata.annotate(notes);
        self.save_metadata()
    }

    /// The largest time on disk.
    pub(crate) fn last_timestamp(&self) -> Option<Timestamp> {
        self.index.span().and_then(|(_, last)| Timestamp::new(last).ok())
    }

    /// The track's notes.
    pub(crate) fn notes(&self) -> TrackNotes {
        self.metadata.notes()
    }

    /// The row on disk with exactly this time.
    pub(crate) fn row_at(&mut self, ts: Timestamp) -> Result<Option<RawRow>, StoreError> {
        let data = self.data()?;
        self.finder.row(&data, &self.data_path, &self.index, ts)
    }

    /// Makes flushed rows survive a power cut.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.unsynced {
            self.data()?.sync_data().map_err(StoreError::io("sync", &self.data_path))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Leaves the track sorted, merged, indexed and synced.
    pub(crate) fn close(&mut self) -> Result<TrackClosed, StoreError> {
        self.sync()?;
        self.take_in_foreign_rows()?;
        self.tidy()?;
        self.save_metadata()?;
        index_file::save(&self.folder, &*self.data()?, &self.index)?;
        sync_folder(&self.folder).map_err(StoreError::io("sync", &self.folder))?;
        let rows = self.index.rows();
        let closed = TrackClosed {
            info: self.info(),
            merged_on_disk: (self.rows_before + self.rows_appended).saturating_sub(rows),
        };
        (self.rows_before, self.rows_appended) = (rows, 0);
        Ok(closed)
    }

    /// Rewrites the file sorted and merged, if needed.
    fn tidy(&mut self) -> Result<(), StoreError> {
        if self.index.is_tidy() {
            return Ok(());
        }
        index_file::remove(&self.folder)?;
        self.index = tidy::rewrite(&self.folder)?;
        self.data = kept(open_data(&self.data_path)?, &self.data_path)?;
        self.finder = Finder::default();
        Ok(())
    }

    fn save_metadata(&mut self) -> Result<(), StoreError> {
        self.metadata_saved = Instant::now();
        let info = self.info();
        self.metadata.columns = info.columns;
        self.metadata.total_entries = info.total_entries;
        self.metadata.first_timestamp = info.first_timestamp;
        self.metadata.last_timestamp = info.last_timestamp;
        self.metadata.save(&self.folder)
    }

    fn info(&self) -> TrackInfo {
        let span = self.index.span();
        TrackInfo {
            topic: self.metadata.topic.clone(),
            total_entries: self.index.rows(),
            first_timestamp: span.map(|s| s.0),
            last_timestamp: span.map(|s| s.1),
            columns: self.index.columns().iter().map(|c| c.to_string()).collect(),
            size_bytes: self.index.end(),
            created_at: self.metadata.created_at.clone(),
            notes: self.metadata.notes(),
        }
    }
}

fn open_data(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true);
    handles::with_room(|| options.open(path)).map_err(StoreError::io("open", path))
}

fn kept(data: File, path: &Path) -> Result<KeptFile, StoreError> {
    KeptFile::of(data, path, OpenOptions::new().read(true).append(true))
        .map_err(StoreError::io("open", path))
}

/// Indexes what follows the index's end. Adds a missing line end to the last row; cuts a torn one.
fn mend_tail(data: &File, path: &Path, index: &mut Index) -> Result<(), StoreError> {
    let rest = extend_index(data, index).map_err(StoreError::io("read", path))?;
    if rest.is_empty() {
        return Ok(());
    }
    if scan_row(&rest, |_| {}).is_ok() {
        let mut data = data;
        data.write_all(b"\n").map_err(StoreError::io("append to", path))?;
        index.push_line(&rest, rest.len() as u64 + 1);
        return Ok(());
    }
    tracing::warn!(path = %path.display(), bytes = rest.len(),
        "cut a torn last line, left by a crash while it was written");
    data.set_len(index.end()).map_err(StoreError::io("mend", path))
}

/// Sorts and merges a track that its last writer left untidy, without waiting for an append.
pub(super) fn recover(experiment: &ExperimentDir, name: &TrackName) -> Result<(), StoreError> {
    let folder = experiment.track_folder(name);
    let data_path = folder.join(DATA_FILE);
    let data = open_data(&data_path)?;
    let len = data.metadata().map_err(StoreError::io("read", &data_path))?.len();
    let index = index_file::load(&folder, &data).map_err(StoreError::io("read", &data_path))?;
    if index.is_some_and(|index| index.end() == len && index.is_tidy()) {
        return Ok(());
    }
    TrackAppender::open(experiment, name)?.close().map(|_| ())
}
