//! State that an experiment's handles, tracks and flush thread share: buffers, appenders, files,
//! and whether writing is allowed.

mod closing;
mod columns;
mod room;
mod run;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
#[cfg(feature = "remote")]
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::buffer::{Appended, ByteBudget, TrackBuffer};
use super::error::{TrackError, one_line};
use super::flusher::Doorbell;
use super::local::{
    ExperimentDir, FileStore, RawRow, StoreError, TrackAppender, TrackNotes, WriteAccess,
};
use super::name::{ExperimentName, TrackName};
use super::options::Buffering;
#[cfg(feature = "remote")]
use super::remote::Upload;
use super::row::{Fields, Row, RowSchema, Timestamp};
use super::run::Run;

/// State that the handles, the tracks and the flush thread share.
#[derive(Debug)]
pub(super) struct ExperimentState {
    pub(super) name: ExperimentName,
    pub(super) dir: ExperimentDir,
    pub(super) buffering: Buffering,
    pub(super) budget: ByteBudget,
    pub(super) doorbell: Doorbell,
    pub(super) files: FileStore,
    #[cfg(feature = "remote")]
    /// The upload to a server, if there is one, and how long a flush may wait for it.
    pub(super) upload: OnceLock<(Upload, Duration)>,
    /// Bytes that were appended to tracks.
    appended_bytes: AtomicU64,
    /// The memory that the open tracks keep, about.
    kept_bytes: AtomicUsize,
    /// The size limit of the local store while the store is full; else 0.
    full_at_bytes: AtomicU64,
    access: Mutex<Access>,
    /// Held while a track is opened, which may take long, and while all are closed.
    opening: Mutex<()>,
    tracks: RwLock<OpenTracks>,
    /// This process's run, if it started one.
    pub(super) run: Mutex<Option<Run>>,
}

/// The tracks that anything was appended to.
#[derive(Debug, Default)]
struct OpenTracks {
    by_name: HashMap<TrackName, Arc<TrackState>>,
    /// Whose the folders are.
    by_folder: HashMap<String, TrackName>,
}

/// Whether rows may be appended.
#[derive(Debug)]
pub(super) enum Access {
    ReadOnly,
    /// Holds the writer's lock.
    Writing(WriteAccess),
    Closed,
}

/// One track's path into the store.
#[derive(Debug)]
pub(super) struct TrackState {
    pub(super) name: TrackName,
    buffer: Mutex<TrackBuffer>,
    /// Declared columns of coming rows, until the appender gets them at the next flush.
    schemas: Mutex<Vec<Arc<RowSchema>>>,
    /// Held for a whole flush, so that flushes of one track run one after another. Nobody who holds
    /// it waits for a sync.
    appender: Mutex<Option<TrackAppender>>,
    /// Set once another program has removed the file that the rows went to: the track is over.
    removed: OnceLock<Removed>,
}

/// A data file that another program removed, and what went with it.
#[derive(Clone, Debug)]
struct Removed {
    path: PathBuf,
    /// Rows that this process had stored in it, or was about to.
    rows: u64,
}

impl From<Removed> for TrackError {
    fn from(Removed { path, rows }: Removed) -> Self {
        Self::Store(StoreError::Removed { path, rows })
    }
}

impl TrackState {
    /// The latest time of all rows, waiting or on disk.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.buffer.lock().last()
    }
}

impl ExperimentState {
    pub(super) fn new(
        name: ExperimentName,
        dir: ExperimentDir,
        buffering: Buffering,
        access: Access,
    ) -> Self {
        Self {
            files: FileStore::new(dir.path(), &name),
            name,
            dir,
            budget: ByteBudget::new(buffering.buffer_bytes),
            buffering,
            doorbell: Doorbell::default(),
            #[cfg(feature = "remote")]
            upload: OnceLock::new(),
            appended_bytes: AtomicU64::default(),
            kept_bytes: AtomicUsize::default(),
            full_at_bytes: AtomicU64::default(),
            access: Mutex::new(access),
            opening: Mutex::default(),
            tracks: RwLock::default(),
            run: Mutex::default(),
        }
    }

    /// Returns the track's state, creating it at the first append.
    pub(super) fn track(&self, name: &TrackName) -> Result<Arc<TrackState>, TrackError> {
        if let Some(track) = self.open_track(name) {
            return Ok(track);
        }
        // The other tracks are written meanwhile.
        let _one_at_a_time = self.opening.lock();
        {
            let access = self.access.lock();
            self.refuse_unless_writing(&access)?;
            Self::refuse_if_removed(&access)?;
        }
        if let Some(track) = self.open_track(name) {
            return Ok(track);
        }
        let folder = name.folder();
        if let Some(other) = self.tracks.read().by_folder.get(&folder) {
            return Err(TrackError::Store(StoreError::FolderCollision {
                requested: name.to_string(),
                existing: other.to_string(),
                folder: self.dir.track_folder(name),
            }));
        }
        let appender = TrackAppender::open(&self.dir, name)?;
        let mut buffer = TrackBuffer::default();
        buffer.note_stored(appender.last_timestamp(), appender.columns());
        self.note_opened(&buffer, &appender);
        let track = Arc::new(TrackState {
            name: name.clone(),
            buffer: Mutex::new(buffer),
            schemas: Mutex::default(),
            appender: Mutex::new(Some(appender)),
            removed: OnceLock::new(),
        });
        let mut tracks = self.tracks.write();
        tracks.by_name.insert(name.clone(), track.clone());
        tracks.by_folder.insert(folder, name.clone());
        Ok(track)
    }

    /// Checks that writing is allowed.
    pub(super) fn check_writing(&self) -> Result<(), TrackError> {
        self.refuse_unless_writing(&self.access.lock())
    }

    /// Checks that the folder that is written is still in its place.
    pub(super) fn check_in_place(&self) -> Result<(), TrackError> {
        Self::refuse_if_removed(&self.access.lock())
    }

    fn refuse_if_removed(access: &Access) -> Result<(), TrackError> {
        match access {
            Access::Writing(access) => Ok(access.check()?),
            Access::ReadOnly | Access::Closed => Ok(()),
        }
    }

    fn refuse_unless_writing(&self, access: &Access) -> Result<(), TrackError> {
        match access {
            Access::Writing(_) => Ok(()),
            Access::ReadOnly => Err(TrackError::ReadOnly(self.name.to_string())),
            Access::Closed => Err(TrackError::Closed(self.name.to_string())),
        }
    }

    /// Returns the track's state if anything was appended to it.
    pub(super) fn open_track(&self, name: &TrackName) -> Option<Arc<TrackState>> {
        self.tracks.read().by_name.get(name).cloned()
    }

    pub(super) fn append(&self, track: &Arc<TrackState>, row: Row) -> Result<Appended, TrackError> {
        self.check_room()?;
        self.admit(track, std::slice::from_ref(&row))?;
        let bytes = row.size_bytes();
        self.insert(track, bytes, |buffer| buffer.insert(row, bytes))
    }

    /// Appends rows whose columns were admitted. No flush comes between them.
    pub(super) fn append_all(
        &self,
        track: &Arc<TrackState>,
        rows: Vec<Row>,
    ) -> Result<(), TrackError> {
        self.check_room()?;
        let bytes = rows.iter().map(Row::size_bytes).sum();
        self.insert(track, bytes, |buffer| {
            // The buffer is closed for the first of them or for none.
            rows.into_iter().try_for_each(|row| {
                let bytes = row.size_bytes();
                buffer.insert(row, bytes).map(drop)
            })
        })
    }

    /// Calls `insert` once there is room for `bytes`. It returns `None` if the buffer is closed.
    fn insert<T>(
        &self,
        track: &Arc<TrackState>,
        bytes: usize,
        insert: impl FnOnce(&mut TrackBuffer) -> Option<T>,
    ) -> Result<T, TrackError> {
        let when_full = self.buffering.when_full;
        let reserved = self.budget.reserve(&track.name, bytes, when_full, || self.doorbell.ring());
        reserved.map_err(|full| TrackError::BufferFull {
            topic: track.name.to_string(),
            used_bytes: full.used_bytes,
            limit_bytes: self.budget.limit_bytes(),
            failure: full.failure,
        })?;
        let (inserted, before, waiting) = {
            let mut buffer = track.buffer.lock();
            let before = buffer.len();
            (insert(&mut buffer), before, buffer.len())
        };
        let Some(inserted) = inserted else {
            self.budget.release(bytes);
            return Err(self.ended(track));
        };
        let batch = self.buffering.batch_rows;
        if !self.buffering.buffered {
            self.flush(track)?;
        } else if (before < batch && waiting >= batch) || self.budget.runs_low() {
            self.doorbell.ring();
        }
        Ok(inserted)
    }

    /// Writes one track's waiting rows to the store.
    pub(super) fn flush(&self, track: &TrackState) -> Result<(), TrackError> {
        let mut writing = track.appender.lock();
        let Some(appender) = writing.as_mut() else { return Err(self.ended(track)) };
        let batch = track.buffer.lock().take();
        if batch.rows.is_empty() {
            return Ok(());
        }
        track.hand_on_schemas(appender);
        match appender.append(&batch.rows) {
            Ok(bytes) => {
                self.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.budget.release(batch.bytes);
                self.budget.set_failure(&track.name, None);
                Ok(())
            }
            Err(error) => {
                track.buffer.lock().restore(batch);
                if let StoreError::Removed { path, rows } = error {
                    return Err(self.end_removed(track, &mut writing, path, rows));
                }
                self.budget.set_failure(&track.name, Some(one_line(&error)));
                Err(error.into())
            }
        }
    }

    /// Ends a track whose file another program has removed. The others go on, and have its room.
    fn end_removed(
        &self,
        track: &TrackState,
        writing: &mut Option<TrackAppender>,
        path: PathBuf,
        stored: u64,
    ) -> TrackError {
        *writing = None;
        let waiting = track.buffer.lock().end();
        let rows = stored + waiting.rows.len() as u64;
        let removed = track.removed.get_or_init(|| Removed { path, rows }).clone();
        self.budget.release(waiting.bytes);
        self.budget.set_failure(&track.name, None);
        let error = TrackError::from(removed);
        tracing::error!("track `{}` is recorded no more: {error}", track.name);
        error
    }

    /// Why the track takes no more rows.
    fn ended(&self, track: &TrackState) -> TrackError {
        let closed = || TrackError::Closed(self.name.to_string());
        track.removed.get().cloned().map_or_else(closed, TrackError::from)
    }

    /// Returns what a track holds at exactly this time, on disk and waiting.
    pub(super) fn row_at(
        &self,
        track: &TrackState,
        ts: Timestamp,
    ) -> Result<(Option<RawRow>, Option<Fields>), TrackError> {
        // Held throughout: otherwise a row could move from the buffer to disk between the two
        // lookups.
        let mut appender = track.appender.lock();
        let Some(appender) = appender.as_mut() else { return Err(self.ended(track)) };
        let waiting = track.buffer.lock().get(ts).cloned();
        Ok((appender.row_at(ts)?, waiting))
    }

    /// Returns the track's notes.
    pub(super) fn notes(&self, track: &TrackState) -> Result<TrackNotes, TrackError> {
        match track.appender.lock().as_ref() {
            Some(appender) => Ok(appender.notes()),
            None => Err(self.ended(track)),
        }
    }

    /// Stores `notes` for the track. Waits for the disk, but holds up no flush meanwhile.
    pub(super) fn annotate(&self, track: &TrackState, notes: TrackNotes) -> Result<(), TrackError> {
        let metadata = match track.appender.lock().as_mut() {
            Some(appender) => {
                track.hand_on_schemas(appender);
                appender.annotate(notes)?
            }
            None => return Err(self.ended(track)),
        };
        Ok(metadata.save()?)
    }

    /// Writes what waits of every track.
    ///
    /// # Errors
    /// The first failure; also of a track that is over since its file was removed.
    pub(super) fn flush_all(&self) -> Result<(), TrackError> {
        first_error(self.all_tracks().iter().map(|track| self.flush(track)))
    }

    /// Waits until the server has what is in the store, if there is a server.
    pub(super) fn wait_for_server(&self) -> Result<(), TrackError> {
        #[cfg(feature = "remote")]
        if let Some((upload, timeout)) = self.upload.get() {
            upload.wait(*timeout)?;
        }
        Ok(())
    }

    fn all_tracks(&self) -> Vec<Arc<TrackState>> {
        self.tracks.read().by_name.values().cloned().collect()
    }
}

/// Runs all, then returns the first failure.
fn first_error(
    results: impl IntoIterator<Item = Result<(), TrackError>>,
) -> Result<(), TrackError> {
    let mut results = results.into_iter();
    let first = results.find(Result::is_err).unwrap_or(Ok(()));
    results.for_each(drop);
    first
}
