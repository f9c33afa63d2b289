//! State that an experiment's handles, tracks and flush thread share: buffers, appenders, files,
//! and whether writing is allowed.

mod run;

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "remote")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "remote")]
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::at_once::at_once;
use super::buffer::{Appended, ByteBudget, TrackBuffer};
use super::error::{TrackError, one_line};
use super::experiment::{CloseError, Closed, ClosedTrack, LostRows};
use super::flusher::Doorbell;
use super::local::{
    ExperimentDir, FileStore, RawRow, StoreError, TrackAppender, TrackClosed, TrackNotes,
    WriteAccess,
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
    /// The size limit of the local store while the store is full; else 0.
    full_at_bytes: AtomicU64,
    access: Mutex<Access>,
    tracks: RwLock<HashMap<TrackName, Arc<TrackState>>>,
    /// This process's run, if it started one.
    pub(super) run: Mutex<Option<Run>>,
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
    /// Declared columns for the rows. The appender gets them at the next flush.
    schemas: Mutex<Vec<Arc<RowSchema>>>,
    /// Held for a whole flush, so that flushes of one track run one after another.
    appender: Mutex<Option<TrackAppender>>,
}

impl TrackState {
    /// The latest time of all rows, waiting or on disk.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.buffer.lock().last()
    }

    /// Passes the declarations to the appender, which stores them before the rows.
    fn hand_on_schemas(&self, appender: &mut TrackAppender) {
        self.schemas.lock().iter().for_each(|schema| appender.declare(schema));
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
            full_at_bytes: AtomicU64::default(),
            access: Mutex::new(access),
            tracks: RwLock::default(),
            run: Mutex::default(),
        }
    }

    /// Returns the track's state, creating it at the first append.
    pub(super) fn track(&self, name: &TrackName) -> Result<Arc<TrackState>, TrackError> {
        if let Some(track) = self.open_track(name) {
            return Ok(track);
        }
        let access = self.access.lock();
        self.refuse_unless_writing(&access)?;
        Self::refuse_if_removed(&access)?;
        let mut tracks = self.tracks.write();
        if let Some(track) = tracks.get(name) {
            return Ok(track.clone());
        }
        let folder = name.folder();
        if let Some(other) = tracks.keys().find(|other| other.folder() == folder) {
            return Err(TrackError::Store(StoreError::FolderCollision {
                requested: name.to_string(),
                existing: other.to_string(),
                folder: self.dir.track_folder(name),
            }));
        }
        let appender = TrackAppender::open(&self.dir, name)?;
        let mut buffer = TrackBuffer::default();
        buffer.note_stored(appender.last_timestamp(), appender.columns());
        let track = Arc::new(TrackState {
            name: name.clone(),
            buffer: Mutex::new(buffer),
            schemas: Mutex::default(),
            appender: Mutex::new(Some(appender)),
        });
        tracks.insert(name.clone(), track.clone());
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
        self.tracks.read().get(name).cloned()
    }

    /// Declares the columns of coming rows. Does not wait for a running flush.
    pub(super) fn declare(&self, track: &TrackState, schema: &Arc<RowSchema>) {
        let mut schemas = track.schemas.lock();
        if !schemas.iter().any(|known| Arc::ptr_eq(known, schema)) {
            schemas.push(schema.clone());
        }
    }

    /// Checks that the track can have the columns of `rows`, and notes them.
    pub(super) fn admit(&self, track: &TrackState, rows: &[Row]) -> Result<(), TrackError> {
        let mut buffer = track.buffer.lock();
        rows.iter().try_for_each(|row| buffer.admit(&row.fields)).map_err(|reason| {
            let topic = track.name.to_string();
            TrackError::TooManyColumns { topic, reason }
        })
    }

    pub(super) fn append(&self, track: &Arc<TrackState>, row: Row) -> Result<Appended, TrackError> {
        self.check_room()?;
        self.admit(track, std::slice::from_ref(&row))?;
        let bytes = row.size_bytes();
        let reserved =
            self.budget.reserve(bytes, self.buffering.when_full, || self.doorbell.ring());
        reserved.map_err(|full| TrackError::BufferFull {
            topic: track.name.to_string(),
            used_bytes: full.used_bytes,
            limit_bytes: self.budget.limit_bytes(),
            failure: full.failure,
        })?;
        let (appended, waiting) = {
            let mut buffer = track.buffer.lock();
            (buffer.insert(row, bytes), buffer.len())
        };
        let Some(appended) = appended else {
            self.budget.release(bytes);
            return Err(TrackError::Closed(self.name.to_string()));
        };
        if !self.buffering.buffered {
            self.flush(track)?;
        } else if waiting == self.buffering.batch_rows || self.budget.runs_low() {
            self.doorbell.ring();
        }
        Ok(appended)
    }

    /// Writes one track's waiting rows to the store.
    pub(super) fn flush(&self, track: &TrackState) -> Result<(), TrackError> {
        let mut appender = track.appender.lock();
        let Some(appender) = appender.as_mut() else {
            return Err(TrackError::Closed(self.name.to_string()));
        };
        let batch = track.buffer.lock().take();
        if batch.rows.is_empty() {
            return Ok(());
        }
        track.hand_on_schemas(appender);
        match appender.append(&batch.rows) {
            Ok(()) => {
                self.budget.release(batch.bytes);
                if self.budget.set_failure(None).is_some() {
                    tracing::info!("rows can be written again; none was lost");
                }
                Ok(())
            }
            Err(error) => {
                track.buffer.lock().restore(batch);
                let reason = one_line(&error);
                if self.budget.set_failure(Some(reason.clone())).is_none() {
                    tracing::error!(
                        "can't write rows to the store: {reason}; they stay in memory and are retried"
                    );
                }
                Err(error.into())
            }
        }
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
        let Some(appender) = appender.as_mut() else {
            return Err(TrackError::Closed(self.name.to_string()));
        };
        let waiting = track.buffer.lock().get(ts).cloned();
        Ok((appender.row_at(ts)?, waiting))
    }

    /// Returns the track's notes.
    pub(super) fn notes(&self, track: &TrackState) -> Result<TrackNotes, TrackError> {
        match track.appender.lock().as_ref() {
            Some(appender) => Ok(appender.notes()),
            None => Err(TrackError::Closed(self.name.to_string())),
        }
    }

    /// Stores `notes` for the track.
    pub(super) fn annotate(&self, track: &TrackState, notes: TrackNotes) -> Result<(), TrackError> {
        match track.appender.lock().as_mut() {
            Some(appender) => {
                track.hand_on_schemas(appender);
                Ok(appender.annotate(notes)?)
            }
            None => Err(TrackError::Closed(self.name.to_string())),
        }
    }

    pub(super) fn flush_all(&self) -> Result<(), TrackError> {
        first_error(self.all_tracks().iter().map(|track| self.flush(track)))
    }

    /// Notes how many bytes the local store uses and how many it may use.
    pub(super) fn note_local_use(&self, used_bytes: u64, max_bytes: u64) {
        let was_full = self.full_at_bytes.load(Ordering::Relaxed) > 0;
        // Once full, resume only when there is some room, not after every deleted file.
        let bound = if was_full { max_bytes - max_bytes / 20 } else { max_bytes };
        let is_full = used_bytes > bound;
        self.full_at_bytes.store(if is_full { max_bytes } else { 0 }, Ordering::Relaxed);
        let root = self.dir.root(&self.name);
        match (was_full, is_full) {
            (false, true) => tracing::error!("{}", self.local_full(max_bytes)),
            (true, false) => {
                tracing::info!("there is room in {} again; recording continues", root.display())
            }
            _ => {}
        }
    }

    /// Fails while the local store is full.
    pub(super) fn check_room(&self) -> Result<(), TrackError> {
        match self.full_at_bytes.load(Ordering::Relaxed) {
            0 => Ok(()),
            max_bytes => Err(self.local_full(max_bytes)),
        }
    }

    fn local_full(&self, max_bytes: u64) -> TrackError {
        TrackError::LocalFull { root: self.dir.root(&self.name).to_owned(), max_bytes }
    }

    /// Waits until the server has what is in the store, if there is a server.
    pub(super) fn wait_for_server(&self) -> Result<(), TrackError> {
        #[cfg(feature = "remote")]
        if let Some((upload, timeout)) = self.upload.get() {
            upload.wait(*timeout)?;
        }
        Ok(())
    }

    /// Flushes the tracks that hold a full batch, or all tracks when the budget runs low.
    pub(super) fn flush_due(&self) -> Result<(), TrackError> {
        let tracks = self.all_tracks();
        if self.budget.runs_low() {
            // Rows arrive faster than one thread can write them.
            return first_error(at_once(&tracks, |track| self.flush(track)).into_iter());
        }
        let due = |track: &TrackState| track.buffer.lock().len() >= self.buffering.batch_rows;
        first_error(tracks.iter().filter(|track| due(track)).map(|track| self.flush(track)))
    }

    /// Updates the list of files if it lags behind.
    pub(super) fn fold_files_if_due(&self) {
        if self.files.is_fold_due() {
            self.fold_files();
        }
    }

    /// Updates the list of files. A failed write loses no file: the missing entries stay in the
    /// journal.
    pub(super) fn fold_files(&self) {
        if let Err(error) = self.files.fold() {
            tracing::error!("can't update the list of files: {}; retrying", one_line(&error));
        }
    }

    /// Syncs flushed data to disk, so that it survives a power cut.
    pub(super) fn sync_all(&self) -> Result<(), TrackError> {
        // A disk syncs many files at once in about the time of one.
        first_error(at_once(&self.all_tracks(), |track| self.sync(track)).into_iter())
    }

    /// Brings the descriptions of the tracks up to date, those that lag behind.
    pub(super) fn describe_tracks(&self) {
        for track in self.all_tracks() {
            let due = track.appender.lock().as_mut().and_then(TrackAppender::due_metadata);
            if let Some(metadata) = due {
                metadata.save_if_possible();
            }
        }
    }

    /// Does not hold up flushes while it waits for the disk.
    fn sync(&self, track: &TrackState) -> Result<(), TrackError> {
        let begun = track.appender.lock().as_mut().map(TrackAppender::begin_sync);
        let Some(work) = begun.transpose()? else { return Ok(()) };
        let synced = work.run();
        if synced.is_err()
            && let Some(appender) = track.appender.lock().as_mut()
        {
            appender.sync_failed(&work);
        }
        Ok(synced?)
    }

    /// Closes every track. Continues after a failure and returns the first one.
    pub(super) fn close_all(&self) -> Result<Closed, CloseError> {
        // No track can be created from here on, so none is missed.
        let mut access = self.access.lock();
        let mut closed = Closed::default();
        let mut lost = Vec::new();
        let mut failed = None;
        let tracks = self.all_tracks();
        // Most of the time goes to writing what waits and waiting for the disk.
        let ended = at_once(&tracks, |track| self.close_track(track));
        for (track, ended) in tracks.iter().zip(ended) {
            match ended {
                Ok(track) => closed
                    .tracks
                    .push(ClosedTrack { info: track.info, merged_on_disk: track.merged_on_disk }),
                Err(error) => {
                    let gone = match &error {
                        TrackError::Store(StoreError::Removed { rows, .. }) => *rows,
                        _ => 0,
                    };
                    let rows = track.buffer.lock().len() as u64 + gone;
                    if rows > 0 {
                        lost.push(LostRows { topic: track.name.to_string(), rows });
                    }
                    failed = failed.or(Some(error));
                }
            }
        }
        match self.files.close() {
            Ok(files) => closed.files = files,
            Err(error) => failed = failed.or(Some(error.into())),
        }
        if let Err(error) = self.end_run(failed.as_ref()) {
            failed = failed.or(Some(error.into()));
        }
        *access = Access::Closed;
        closed.tracks.sort_by(|a, b| a.info.topic.cmp(&b.info.topic));
        match failed {
            None => Ok(closed),
            Some(source) => Err(CloseError { closed, lost, source: source.into() }),
        }
    }

    fn close_track(&self, track: &TrackState) -> Result<TrackClosed, TrackError> {
        // Write what was appended since the last flush before the buffer closes.
        while !track.buffer.lock().close_if_empty() {
            self.flush(track)?;
        }
        match track.appender.lock().take() {
            Some(mut appender) => Ok(appender.close()?),
            None => Err(TrackError::Closed(self.name.to_string())),
        }
    }

    fn all_tracks(&self) -> Vec<Arc<TrackState>> {
        self.tracks.read().values().cloned().collect()
    }
}

/// Runs all, then returns the first failure.
fn first_error(
    mut results: impl Iterator<Item = Result<(), TrackError>>,
) -> Result<(), TrackError> {
    let first = results.find(Result::is_err).unwrap_or(Ok(()));
    results.for_each(drop);
    first
}
