//! One pass over the messages of a run.

use mldash_track::{Row, TrackError};

use super::account::TrackLosses;
use super::{RosRun, tracks::RestoredTrack};
use crate::error::ExportError;
use crate::rows::MergedRows;

/// The messages of a run in the order in which they were received, as far as that is known. Those of a track come in order
/// of their rows' times.
pub struct RosMessages<'r> {
    run: &'r RosRun,
    rows: MergedRows<'r, Option<i64>>,
    /// By track.
    losses: Vec<TrackLosses>,
    cdr: Vec<u8>,
    /// The track and the time of the last message.
    last: (usize, f64),
}

/// A message as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosMessage<'m> {
    /// The number of its topic in [`RosRun::topics`].
    pub topic: usize,
    /// When it was received, in nanoseconds; its own time if that was not recorded.
    pub log_nanos: i64,
    /// Its bytes: CDR with the 4-byte encapsulation header.
    pub cdr: &'m [u8],
}

impl<'r> RosMessages<'r> {
    pub(super) fn new(run: &'r RosRun) -> Self {
        let losses = run.tracks.iter().map(|track| TrackLosses {
            track: track.slice.topic().to_owned(),
            ..TrackLosses::default()
        });
        let losses = losses.collect();
        let received = |number: usize, row: &Row| {
            run.tracks.get(number).and_then(|track| track.restorer.log_nanos(row).ok())
        };
        Self {
            run,
            rows: MergedRows::by(run.slices(), received),
            losses,
            cdr: Vec::new(),
            last: (0, 0.0),
        }
    }

    /// The next message; `None` after the last. Rows that can't become messages are counted and left out.
    ///
    /// # Errors
    /// Fails if the recording can't be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "a message borrows the buffer that the next one is made in"
    )]
    pub fn next(&mut self) -> Result<Option<RosMessage<'_>>, ExportError> {
        let run = self.run;
        while let Some((number, row)) = self.rows.next().map_err(run.failed())? {
            let (Some(track), Some(losses)) = (run.tracks.get(number), self.losses.get_mut(number))
            else {
                continue;
            };
            losses.rows += 1;
            let secs = row.ts.as_secs();
            let RestoredTrack { restorer, topic, .. } = track;
            let file = |path: &str| -> Result<Vec<u8>, TrackError> { run.files.try_read(path) };
            let made = match restorer.log_nanos(&row) {
                Ok(nanos) => restorer.restore(row, file, &mut self.cdr).map(|()| nanos),
                Err(error) => Err(error),
            };
            match made {
                Ok(log_nanos) => {
                    self.last = (number, secs);
                    return Ok(Some(RosMessage { topic: *topic, log_nanos, cdr: &self.cdr }));
                }
                Err(error) => losses.add(secs, error.to_string()),
            }
        }
        Ok(None)
    }

    /// Counts the last message as left out, for this reason.
    pub fn refuse(&mut self, reason: &str) {
        let (number, secs) = self.last;
        if let Some(losses) = self.losses.get_mut(number) {
            losses.add(secs, reason.to_owned());
        }
    }

    /// What was left out so far: the tracks of which rows gave no message.
    pub fn losses(&self) -> Vec<TrackLosses> {
        self.losses.iter().filter(|losses| losses.lost > 0).cloned().collect()
    }
}

impl TrackLosses {
    pub(super) fn add(&mut self, secs: f64, reason: String) {
        if self.lost == 0 {
            self.first = format!("at {secs}: {reason}");
        }
        self.lost += 1;
    }
}
