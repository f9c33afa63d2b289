//! The columns of tracks: what is declared of them, how many there may be, and what they keep in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{ExperimentState, TrackState};
use crate::buffer::TrackBuffer;
use crate::error::TrackError;
use crate::local::{KEPT_PIECE_BYTES, TrackAppender};
use crate::row::{MAX_DECLARATIONS, Row, RowSchema};

/// What an open track keeps in memory, besides its columns and what was declared of them. The room for lines counts at once, though
/// it comes with the rows.
const TRACK_BYTES: usize = 4096 + KEPT_PIECE_BYTES;
/// A declaration takes about so many times the bytes of its JSON.
const DECLARED_COPIES: usize = 4;

impl TrackState {
    /// Passes the declarations to the appender, which stores them before the rows.
    pub(super) fn hand_on_schemas(&self, appender: &mut TrackAppender) {
        let schemas = std::mem::take(&mut *self.schemas.lock());
        schemas.iter().for_each(|schema| appender.declare(schema));
    }
}

impl ExperimentState {
    /// Declares the columns of coming rows. Does not wait for a running flush. What is more than a
    /// track can have is left out: rows don't depend on it.
    pub(crate) fn declare(&self, track: &TrackState, schema: &Arc<RowSchema>) {
        let mut schemas = track.schemas.lock();
        // Equal ones count once: what a topic's publishers offer can change to and fro for days.
        if schemas.len() < MAX_DECLARATIONS && !schemas.contains(schema) {
            schemas.push(schema.clone());
        }
    }

    /// Declares all of these columns, or none if they are too many.
    pub(crate) fn declare_all(
        &self,
        track: &TrackState,
        schemas: &[RowSchema],
    ) -> Result<(), TrackError> {
        let mut appender = track.appender.lock();
        let Some(appender) = appender.as_mut() else { return Err(self.ended(track)) };
        let before = appender.declared_bytes();
        appender.declare_all(schemas).map_err(|reason| {
            let topic = track.name.to_string();
            TrackError::TooManyDeclarations { topic, reason }
        })?;
        self.note_kept((appender.declared_bytes() - before) * DECLARED_COPIES);
        Ok(())
    }

    /// The memory that the open tracks keep, about.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// Notes what a track keeps that was just opened.
    pub(super) fn note_opened(&self, buffer: &TrackBuffer, appender: &TrackAppender) {
        let kept = TRACK_BYTES + buffer.kept_bytes();
        self.note_kept(kept.saturating_add(appender.declared_bytes() * DECLARED_COPIES));
    }

    fn note_kept(&self, bytes: usize) {
        self.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Checks that the track can have the columns of `rows`, and notes them.
    pub(crate) fn admit(&self, track: &TrackState, rows: &[Row]) -> Result<(), TrackError> {
        let mut buffer = track.buffer.lock();
        let before = buffer.kept_bytes();
        let admitted = rows.iter().try_for_each(|row| buffer.admit(&row.fields));
        self.note_kept(buffer.kept_bytes() - before);
        admitted.map_err(|reason| {
            let topic = track.name.to_string();
            TrackError::TooManyColumns { topic, reason }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Experiment, Options};

    #[test]
    fn the_room_for_lines_that_a_track_keeps_counts() {
        let root = tempfile::tempdir().unwrap();
        let experiment = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        let track = experiment.tracks("text");
        let text = "x".repeat(2 * KEPT_PIECE_BYTES);
        track.append_json(format!("{{\"_ts\":1,\"text\":\"{text}\"}}")).unwrap();
        track.flush().unwrap();
        assert!(experiment.kept_bytes() > KEPT_PIECE_BYTES, "{}", experiment.kept_bytes());
    }
}
