//! What the threads of `flusher` do: flushing, syncing, bringing descriptions up to date.

use std::sync::Arc;

use super::{ExperimentState, TrackState, first_error};
use crate::at_once::{at_once, on_threads};
use crate::error::TrackError;
use crate::local::{self, StoreError, SyncWork};

/// How many threads wait for the disk at once.
const SYNCS: usize = 16;

impl ExperimentState {
    /// Writes what waits of the tracks that are not over.
    pub(crate) fn flush_open(&self) -> Result<(), TrackError> {
        first_error(self.open_tracks().iter().map(|track| self.flush_unless_over(track)))
    }

    /// Flushes the tracks that hold a full batch, or all tracks when the budget runs low.
    pub(crate) fn flush_due(&self) -> Result<(), TrackError> {
        let tracks = self.open_tracks();
        if self.budget.runs_low() {
            // Rows arrive faster than one thread can write them.
            let flushed = at_once(&tracks, |track| self.flush_unless_over(track));
            return first_error(flushed);
        }
        let due = |track: &TrackState| track.buffer.lock().len() >= self.buffering.batch_rows;
        let due = tracks.iter().filter(|track| due(track));
        first_error(due.map(|track| self.flush_unless_over(track)))
    }

    /// That a track is over is said once, when it ends.
    fn flush_unless_over(&self, track: &TrackState) -> Result<(), TrackError> {
        self.flush(track).or_else(|error| match track.removed.get() {
            Some(_) => Ok(()),
            None => Err(error),
        })
    }

    /// Updates the list of files if it lags behind.
    pub(crate) fn fold_files_if_due(&self) -> Result<(), StoreError> {
        if self.files.is_fold_due() { self.files.fold() } else { Ok(()) }
    }

    /// Syncs flushed data to disk, so that it survives a power cut. Holds up no flush meanwhile.
    pub(crate) fn sync_all(&self) -> Result<(), TrackError> {
        // A disk syncs many files at once in about the time of one. No more are in use than there
        // are threads.
        let tracks = self.open_tracks();
        first_error(on_threads(local::workers(SYNCS), &tracks, |track| {
            let Some(mut work) = self.begin_sync(track)? else { return Ok(()) };
            let synced = work.run();
            if let Some(appender) = track.appender.lock().as_mut() {
                appender.end_sync(work, synced.is_ok());
            }
            Ok(synced?)
        }))
    }

    /// What there is to sync of a track.
    fn begin_sync(&self, track: &TrackState) -> Result<Option<SyncWork>, TrackError> {
        let mut writing = track.appender.lock();
        let Some(appender) = writing.as_mut() else { return Ok(None) };
        match appender.begin_sync() {
            Ok(work) => Ok(Some(work).filter(|work| !work.is_empty())),
            Err(StoreError::Removed { path, rows }) => {
                self.end_removed(track, &mut writing, path, rows);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the descriptions and indexes of the tracks up to date, those that lag behind.
    pub(crate) fn describe_tracks(&self) -> Result<(), StoreError> {
        let mut described = Ok(());
        for track in self.open_tracks() {
            let (metadata, index) = match track.appender.lock().as_mut() {
                Some(appender) => (appender.due_metadata(), appender.due_index()),
                None => continue,
            };
            // Nobody waits for the disk with the appender's lock held.
            let metadata = metadata.map_or(Ok(()), |metadata| metadata.save());
            let index = index.map_or(Ok(()), |index| index.save());
            described = described.and(metadata).and(index);
        }
        described
    }

    fn open_tracks(&self) -> Vec<Arc<TrackState>> {
        let tracks = self.tracks.read();
        tracks.by_name.values().filter(|track| track.removed.get().is_none()).cloned().collect()
    }
}
