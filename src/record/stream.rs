//! What goes from one topic into one track: thinned, compared, appended.

use super::change::same_fields;
use super::throttle::Throttle;
use crate::mapping::Hz;
use crate::track::{Appended, Fields, Row, Track, TrackError};

/// A topic's way into a track.
#[derive(Debug)]
pub(super) struct Stream {
    track: Track,
    throttle: Option<Throttle>,
    /// Under `on_change`, what was stored last.
    on_change: Option<LastStored>,
    /// Rows not later than what was flushed: whether they merge shows when the track is closed.
    late: u64,
    stored: u64,
}

/// The fields that the next row is compared with; none before the first.
#[derive(Debug, Default)]
struct LastStored(Option<Fields>);

/// What became of a row.
#[derive(Debug)]
pub(super) enum Outcome {
    Stored,
    Merged,
    Throttled,
    Unchanged,
    Refused(TrackError),
}

impl Stream {
    pub(super) fn new(track: Track, max_rate: Option<Hz>, on_change: bool) -> Self {
        let throttle = max_rate.map(Throttle::new);
        Self { track, throttle, on_change: on_change.then(LastStored::default), late: 0, stored: 0 }
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    pub(super) fn take(&mut self, row: Row) -> Outcome {
        if self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(row.ts)) {
            return Outcome::Throttled;
        }
        let news = self.on_change.as_ref().map(|_| row.fields.clone());
        if let (Some(LastStored(Some(last))), Some(fields)) = (&self.on_change, &news)
            && same_fields(last, fields)
        {
            return Outcome::Unchanged;
        }
        let ts = row.ts;
        let appended = match self.track.append_row(row) {
            Ok(appended) => appended,
            Err(error) => return Outcome::Refused(error),
        };
        if let Some(throttle) = &mut self.throttle {
            throttle.keep(ts);
        }
        if let Some(last) = &mut self.on_change {
            last.0 = news;
        }
        match appended {
            Appended::New => {
                self.stored += 1;
                Outcome::Stored
            }
            Appended::Late => {
                self.stored += 1;
                self.late += 1;
                Outcome::Stored
            }
            Appended::Merged => Outcome::Merged,
        }
    }

    /// Takes up to `merged` of the late rows as merged ones; how many there were.
    pub(super) fn settle(&mut self, merged: u64) -> u64 {
        let settled = self.late.min(merged);
        self.late -= settled;
        self.stored -= settled;
        settled
    }

    /// Takes up to `lost` of the stored rows back; how many there were.
    pub(super) fn take_back(&mut self, lost: u64) -> u64 {
        let taken = self.stored.min(lost);
        self.stored -= taken;
        taken
    }
}
