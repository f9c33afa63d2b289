//! The write half of a track: appends flushed rows, keeps the index up to date, and leaves the file
//! sorted and merged when it closes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crc32fast::Hasher;

use super::beneath::{How, open_to_append};
use super::blocks::RawRow;
use super::disk;
use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::handles::KeptFile;
use super::index::Index;
use super::lookup::Finder;
use super::metadata::{TrackInfo, TrackMetadata, TrackNotes};
use super::recovery::{TIDIED_AT_OPEN_BYTES, mend_tail};
use super::row_file::{DATA_FILE, RowFile};
use super::snapshot::{DataFile, Misfit};
use super::track_sync::{MetadataFile, MetadataVersion, Unsynced};
use super::unconfirmed::Unconfirmed;
use super::{index_file, packing, schema_file};
use crate::error::one_line;
use crate::json::{JsonWriter, NonFinite};
use crate::name::TrackName;
use crate::row::{
    Column, Fields, RowSchema, TIMESTAMP_COLUMN, Timestamp, TooManyDeclarations, TrackSchema,
};

mod closing;
mod syncing;
#[cfg(test)]
mod tests;

/// Lines are written in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;
/// How much room for lines is kept from one flush to the next: there may be thousands of tracks.
pub(crate) const KEPT_PIECE_BYTES: usize = 4 << 10;

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
    metadata_file: Arc<MetadataFile>,
    /// Counts the versions of the metadata.
    metadata_number: u64,
    /// When it was last saved, and whether it has changed since.
    metadata_saved: Instant,
    is_metadata_new: bool,
    schema: TrackSchema,
    /// Whether the schema has declarations that are in no file, and whether storing them failed.
    is_schema_new: bool,
    is_schema_failing: bool,
    /// Rows on disk from other writers or earlier runs.
    rows_before: u64,
    /// The bytes of an earlier run that are sorted and merged only at the close, if there are any.
    untidy_before: Option<u64>,
    /// Whether part of the index was read from its file, which may be older than damage to the rows.
    is_index_stored: bool,
    /// Bytes that the stored index covers.
    indexed: u64,
    rows_appended: u64,
    /// Whether part of a failed write may follow the rows. It must not be taken for rows of others.
    is_uncut: bool,
    /// What a power cut would cost.
    unsynced: Unsynced,
    unconfirmed: Unconfirmed,
    /// An index whose rows are safe, to be stored.
    safe_index: Option<Index>,
    /// The columns of the last row, by identity: the next one usually has the same.
    last_columns: Vec<Column>,
    /// Buffer for lines being formatted.
    piece: Vec<u8>,
    finder: Finder,
}

impl TrackAppender {
    /// Creates the track's folder, or continues an existing one after repairing what a crash left:
    /// it cuts a torn last line, and sorts and merges unsorted rows. If that would take long, it is
    /// left to the close.
    pub(crate) fn open(experiment: &ExperimentDir, name: &TrackName) -> Result<Self, StoreError> {
        let folder = experiment.track_folder(name);
        let (metadata, is_new) = Self::claim_folder(name, &folder)?;
        packing::unpack_to_append(name.as_str(), &folder)?;
        let data_path = folder.join(DATA_FILE);
        let data = open_to_append(&data_path)?;
        let mut index = index_file::load(&folder, &data)
            .map_err(StoreError::io("read", &data_path))?
            .unwrap_or_default();
        let indexed = index.end();
        mend_tail(&data, &data_path, &mut index)?;
        let mut appender = Self {
            schema: schema_file::load_if_readable(&folder),
            is_schema_new: false,
            is_schema_failing: false,
            metadata_file: Arc::new(MetadataFile::new(&folder)),
            data: kept(data, &data_path)?,
            data_path,
            index,
            metadata,
            metadata_number: 0,
            metadata_saved: Instant::now(),
            is_metadata_new: is_new,
            rows_before: 0,
            untidy_before: None,
            is_index_stored: indexed > 0,
            indexed,
            rows_appended: 0,
            is_uncut: false,
            // What an earlier process left may not be on the disk yet.
            unsynced: Unsynced { rows: true, names: true, schema: schema_file::has_new(&folder) },
            unconfirmed: Unconfirmed::default(),
            safe_index: None,
            folder,
            last_columns: Vec::new(),
            piece: Vec::new(),
            finder: Finder::default(),
        };
        let tidied = match appender.index.end() <= TIDIED_AT_OPEN_BYTES {
            true => appender.tidy(),
            false => Ok(()),
        };
        // On a full disk, rows may still fit: sorting is left to the close, too.
        tidied.or_else(|error| if error.is_out_of_space() { Ok(()) } else { Err(error) })?;
        if !appender.index.is_tidy() {
            appender.untidy_before = Some(appender.index.end());
        }
        appender.index.start_block();
        appender.rows_before = appender.index.rows();
        Ok(appender)
    }

    /// Writes the topic's name into the folder before any row, so that every row has a known topic.
    /// Returns true if there was no usable metadata.
    fn claim_folder(name: &TrackName, folder: &Path) -> Result<(TrackMetadata, bool), StoreError> {
        if let Some(metadata) = TrackMetadata::load_for(name.as_str(), folder)? {
            return Ok((metadata, false));
        }
        disk::create_folders(folder).map_err(StoreError::io("create", folder))?;
        let metadata = TrackMetadata::new(name);
        metadata.create(folder)?;
        Ok((metadata, true))
    }

    /// Declares columns of coming rows. They are in a file before the next row.
    pub(crate) fn declare(&mut self, rows: &RowSchema) {
        self.is_schema_new |= self.schema.declare(rows);
    }

    /// Like [`declare`](Self::declare), all of them or none.
    pub(crate) fn declare_all(&mut self, rows: &[RowSchema]) -> Result<(), TooManyDeclarations> {
        self.schema.check_room(rows)?;
        rows.iter().for_each(|rows| self.declare(rows));
        Ok(())
    }

    /// The size of all declarations as JSON.
    pub(crate) fn declared_bytes(&self) -> usize {
        self.schema.bytes()
    }

    /// Does not wait for the disk; the next sync makes it safe.
    fn save_schema(&mut self) {
        if !self.is_schema_new {
            return;
        }
        let saved = schema_file::save_new(&self.folder, &self.metadata.topic, &self.schema);
        match &saved {
            Ok(()) => {
                self.is_schema_new = false;
                self.unsynced.schema = true;
            }
            // Store rows without it. The next flush tries again.
            Err(error) if !self.is_schema_failing => {
                let (topic, error) = (&self.metadata.topic, one_line(error));
                tracing::warn!("the types of the columns of `{topic}` are not stored: {error}");
            }
            Err(_) => {}
        }
        self.is_schema_failing = saved.is_err();
    }

    /// Appends a flush's rows. When it returns, other processes can read them and they survive
    /// `kill -9`. Returns their size in bytes.
    ///
    /// # Errors
    /// The file is as it was before, and the caller keeps the rows.
    pub(crate) fn append(&mut self, rows: &[(Timestamp, Fields)]) -> Result<u64, StoreError> {
        self.check_in_place()?;
        self.save_schema();
        self.take_in_foreign_rows()?;
        let data = self.data()?;
        let written = self.write_rows(&data, rows);
        self.piece.clear();
        self.piece.shrink_to(KEPT_PIECE_BYTES);
        let (line_lens, sum) = written.map_err(|source| {
            self.cut_back(&data);
            StoreError::Io { action: "append to", path: self.data_path.clone(), source }
        })?;
        if let Err(error) = self.check_in_place() {
            // The caller keeps the rows, so they must not be in the file too.
            self.cut_back(&data);
            return Err(error);
        }
        let bytes = line_lens.iter().sum();
        self.unconfirmed.push(self.index.end(), bytes, rows.len() as u64, &sum);
        for ((ts, fields), len) in rows.iter().zip(line_lens) {
            self.index.push_row(*ts, len);
            self.note_columns(fields);
        }
        self.rows_appended += rows.len() as u64;
        self.unsynced.rows = true;
        self.is_metadata_new = true;
        Ok(bytes)
    }

    /// Cuts a write back that failed.
    fn cut_back(&mut self, data: &File) {
        let cut = disk::cut(data, &self.data_path, self.index.end());
        self.is_uncut = cut.is_err();
        if let Err(error) = cut {
            tracing::error!(path = %self.data_path.display(), %error,
                "can't cut a failed write back; the next one tries again");
        }
    }

    /// Fails if the data file was removed or replaced by another program: then nothing that was
    /// written to it counts as stored.
    fn check_in_place(&self) -> Result<(), StoreError> {
        match self.data.is_in_place() {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.removed()),
            Err(error) => Err(StoreError::io("look at", &self.data_path)(error)),
        }
    }

    fn removed(&self) -> StoreError {
        StoreError::Removed { path: self.data_path.clone(), rows: self.rows_appended }
    }

    /// Writes rows as lines, in pieces that fit a processor's cache. Returns the length of each
    /// line, and the CRC of all.
    fn write_rows(
        &mut self,
        data: &File,
        rows: &[(Timestamp, Fields)],
    ) -> io::Result<(Vec<u64>, Hasher)> {
        let mut line_lens = Vec::with_capacity(rows.len());
        let mut sum = Hasher::new();
        self.piece.clear();
        for (ts, fields) in rows {
            let start = self.piece.len();
            let mut writer = JsonWriter::new(&mut self.piece, NonFinite::Tokens);
            writer.row(TIMESTAMP_COLUMN, *ts, fields);
            self.piece.push(b'\n');
            line_lens.push((self.piece.len() - start) as u64);
            if self.piece.len() >= PIECE_BYTES {
                disk::write_all(data, &self.data_path, &self.piece)?;
                sum.update(&self.piece);
                self.piece.clear();
            }
        }
        disk::write_all(data, &self.data_path, &self.piece)?;
        sum.update(&self.piece);
        Ok((line_lens, sum))
    }

    /// The data file. It stays open while the handle is held.
    fn data(&self) -> Result<Arc<File>, StoreError> {
        self.data.get().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.removed(),
            _ => StoreError::io("open", &self.data_path)(error),
        })
    }

    fn note_columns(&mut self, fields: &Fields) {
        let same = self.last_columns.len() == fields.len()
            && self.last_columns.iter().zip(fields.iter()).all(|(a, (b, _))| a == b);
        if !same {
            fields.iter().for_each(|(name, _)| self.index.push_column(name));
            self.last_columns = fields.iter().map(|(name, _)| name.clone()).collect();
        }
    }

    /// Takes `notes` for the track. Returns the metadata, which the caller is to save: this waits
    /// for the disk, and rows must not.
    pub(crate) fn annotate(&mut self, notes: TrackNotes) -> Result<MetadataVersion, StoreError> {
        self.check_in_place()?;
        self.save_schema();
        self.metadata.annotate(notes);
        Ok(self.metadata_version())
    }

    /// The largest time on disk.
    pub(crate) fn last_timestamp(&self) -> Option<Timestamp> {
        self.index.span().and_then(|(_, last)| Timestamp::new(last).ok())
    }

    /// The columns on disk.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.index.columns().iter()
    }

    /// The track's notes.
    pub(crate) fn notes(&self) -> TrackNotes {
        self.metadata.notes()
    }

    /// The row on disk with exactly this time.
    pub(crate) fn row_at(&mut self, ts: Timestamp) -> Result<Option<RawRow>, StoreError> {
        self.despite_damage(|track| {
            let data = track.data_file()?;
            track.finder.row(&data, &track.index, ts)
        })
    }

    fn data_file(&self) -> Result<Arc<DataFile>, StoreError> {
        let path = self.data_path.clone();
        let file = Arc::new(RowFile::plain(self.data()?, &path));
        Ok(Arc::new(DataFile { file, path, misfit: Misfit::Refused }))
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

fn kept(data: File, path: &Path) -> Result<KeptFile, StoreError> {
    KeptFile::of(data, path, How::ReadAppend).map_err(StoreError::io("open", path))
}
