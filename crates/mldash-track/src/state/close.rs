//! Closes an experiment: what waits is written, and no track can be added.

use super::{Access, ExperimentState, TrackState};
use crate::at_once::at_once;
use crate::error::TrackError;
use crate::experiment::{CloseError, Closed, ClosedTrack, LostRows};
use crate::local::TrackClosed;

impl ExperimentState {
    /// Closes every track. Continues after a failure and returns the first one.
    pub(crate) fn close_all(&self) -> Result<Closed, CloseError> {
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
                    let rows = track.buffer.lock().len() as u64;
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
}
