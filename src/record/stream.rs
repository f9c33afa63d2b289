//! What goes from one topic into one track: thinned, compared, appended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::blobs::RawBytes;
use super::change::same_fields;
use super::clock::Progress;
use super::plan::TopicPlan;
use super::throttle::Throttle;
use crate::track::{Appended, Column, Fields, Row, Timestamp, Track, TrackError};

/// A topic's way into a track.
#[derive(Debug)]
pub(super) struct Stream {
    sink: Sink,
    progress: Progress,
    throttle: Option<Throttle>,
    /// Under `on_change`, what was stored last.
    on_change: Option<LastStored>,
}

/// What the next row is compared with: the fields, and the bytes that became files; none before the first.
#[derive(Debug)]
struct LastStored {
    row: Option<(Fields, Vec<RawBytes>)>,
    /// Columns that are no news.
    times: Vec<Column>,
}

/// What a row leaves behind once it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    ts: Timestamp,
    /// Under `on_change`.
    news: Option<(Fields, Vec<RawBytes>)>,
}

/// The end of a way: appends and counts, from whatever thread makes the rows.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    track: Track,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    stored: AtomicU64,
    /// Rows not later than what was flushed: whether they merge shows when the track is closed.
    late: AtomicU64,
}

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
    /// From the topic of `plan`, whose clock has jumped back so often, into `track`.
    pub(super) fn new(track: Track, plan: &TopicPlan, jumps: u64) -> Self {
        let last_stored = || LastStored { row: None, times: plan.times.column_names() };
        Self {
            sink: Sink { track, tally: Arc::default() },
            progress: Progress::after(jumps),
            throttle: plan.max_rate.map(Throttle::new),
            on_change: plan.on_change.then(last_stored),
        }
    }

    /// How often the clock has jumped back.
    pub(super) fn jumps(&self) -> u64 {
        self.progress.jumps()
    }

    pub(super) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(super) fn take(&mut self, row: Row) -> Outcome {
        if let Some(passed_over) = self.passes_over(&row, &[]) {
            return passed_over;
        }
        let kept = self.kept(&row, &[]);
        let outcome = self.sink.append(row);
        if !matches!(outcome, Outcome::Refused(_)) {
            self.keep(kept);
        }
        outcome
    }

    /// What becomes of a row that `max_rate` or `on_change` leaves out; `None` of one to be kept. `raw`
    /// is what becomes its files.
    pub(super) fn passes_over(&mut self, row: &Row, raw: &[RawBytes]) -> Option<Outcome> {
        self.step(row.ts);
        if self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(row.ts)) {
            return Some(Outcome::Throttled);
        }
        let last = self.on_change.as_ref()?;
        let (before, raw_before) = last.row.as_ref()?;
        let is_same = raw_before == raw && same_fields(before, &row.fields, &last.times);
        is_same.then_some(Outcome::Unchanged)
    }

    /// What is to be known of a row once it is kept.
    pub(super) fn kept(&self, row: &Row, raw: &[RawBytes]) -> Kept {
        let news = self.on_change.as_ref().map(|_| (row.fields.clone(), raw.to_vec()));
        Kept { ts: row.ts, news }
    }

    /// Takes note of a row that was kept.
    pub(super) fn keep(&mut self, kept: Kept) {
        if let Some(throttle) = &mut self.throttle {
            throttle.keep(kept.ts);
        }
        if let Some(last) = &mut self.on_change {
            last.row = kept.news;
        }
    }

    /// Another stretch of time begins with a row, whatever the last one ended with.
    fn step(&mut self, ts: Timestamp) {
        if self.progress.step(ts) {
            self.throttle.iter_mut().for_each(Throttle::restart);
            self.on_change.iter_mut().for_each(|last| last.row = None);
        }
    }
}

impl Sink {
    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// Appends a row that is to be kept.
    pub(super) fn append(&self, row: Row) -> Outcome {
        let late = match self.track.append_row(row) {
            Ok(Appended::Merged) => return Outcome::Merged,
            Ok(Appended::New) => 0,
            Ok(Appended::Late) => 1,
            Err(error) => return Outcome::Refused(error),
        };
        self.tally.stored.fetch_add(1, Ordering::Relaxed);
        self.tally.late.fetch_add(late, Ordering::Relaxed);
        Outcome::Stored
    }

    /// Takes up to `merged` of the late rows as merged ones; how many there were.
    pub(super) fn settle(&self, merged: u64) -> u64 {
        let settled = take_up_to(&self.tally.late, merged);
        take_up_to(&self.tally.stored, settled)
    }

    /// Takes up to `lost` of the stored rows back; how many there were.
    pub(super) fn take_back(&self, lost: u64) -> u64 {
        take_up_to(&self.tally.stored, lost)
    }
}

/// Takes up to `wanted` off a count that nobody else changes any more; how much it was.
fn take_up_to(count: &AtomicU64, wanted: u64) -> u64 {
    let taken = count.load(Ordering::Relaxed).min(wanted);
    count.fetch_sub(taken, Ordering::Relaxed);
    taken
}
