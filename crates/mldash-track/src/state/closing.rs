//! Closes the tracks and files of an experiment.

use std::sync::Arc;

use super::{Access, ExperimentState, TrackState};
use crate::at_once::at_once;
use crate::error::TrackError;
use crate::experiment::{CloseError, Closed, ClosedTrack, LostRows};
use crate::local::{StoreError, TrackClosed};

/// A track that could not be closed, and how many of its rows are lost.
struct Failed {
    error: TrackError,
    lost: u64,
}

impl ExperimentState {
    /// Closes every track. Continues after a failure and returns the first one. No track takes rows
    /// afterwards, whether it could be closed or not.
    pub(crate) fn close_all(&self) -> Result<Closed, CloseError> {
        // No track can be created from here on, so none is missed.
        let _one_at_a_time = self.opening.lock();
        let mut access = self.access.lock();
        let mut closed = Closed::default();
        let mut lost = Vec::new();
        let mut failed = None;
        let tracks = self.all_tracks();
        // Most of the time goes to writing what waits and waiting for the disk.
        let ended = at_once(&tracks, |track: &Arc<TrackState>| self.close_track(track));
        for (track, ended) in tracks.iter().zip(ended) {
            match ended {
                Ok(track) => closed
                    .tracks
                    .push(ClosedTrack { info: track.info, merged_on_disk: track.merged_on_disk }),
                Err(Failed { error, lost: rows }) => {
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
        if let Access::Writing(access) = &*access {
            access.repair_rest(&self.dir, |name| self.open_track(name).is_some());
        }
        *access = Access::Closed;
        closed.tracks.sort_by(|a, b| a.info.topic.cmp(&b.info.topic));
        match failed {
            None => Ok(closed),
            Some(source) => Err(CloseError { closed, lost, source: source.into() }),
        }
    }

    fn close_track(&self, track: &TrackState) -> Result<TrackClosed, Failed> {
        // Write what was appended since the last flush before the buffer closes.
        let mut written = Ok(());
        while written.is_ok() && !track.buffer.lock().close_if_empty() {
            written = self.flush(track);
        }
        let appender = track.appender.lock().take();
        let waiting = track.buffer.lock().end();
        self.budget.release(waiting.bytes);
        // What was flushed is made safe even if the rest could not be.
        let closed = match (track.removed.get().cloned(), appender) {
            (Some(removed), _) => Err((removed.rows, removed.into())),
            (None, Some(mut appender)) => appender.close().map_err(|error| match error {
                StoreError::Removed { rows, .. } | StoreError::LostOnDisk { rows, .. } => {
                    (rows, error.into())
                }
                _ => (0, error.into()),
            }),
            (None, None) => Err((0, self.ended(track))),
        };
        let waiting = waiting.rows.len() as u64;
        match (written, closed) {
            (Ok(()), Ok(closed)) => Ok(closed),
            (Err(error), Ok(_)) => Err(Failed { error, lost: waiting }),
            (_, Err((gone, error))) => Err(Failed { error, lost: waiting + gone }),
        }
    }
}
