//! The path from one topic into one track: thin out, compare, find a time, append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Output;
use super::account::{DropReason, Note};
use super::blobs::RawBytes;
use super::change::same_fields;
use super::clock::{JumpDetector, StandstillDetector};
use super::frames::{Frame, FramePart};
use super::how::Declaration;
use super::ledger::Ledger;
use super::numbers::Origin;
use super::plan::TopicPlan;
use super::throttle::Throttle;
use super::tracks::{Answer, Asking, GivenTime, TrackHandle};
use crate::mapping::SameStamp;
use mldash_track::{Appended, Column, Fields, Row, RowSchema, Timestamp, Track, TrackError};

/// A topic's path into a track.
#[derive(Debug)]
pub(super) struct Stream {
    handle: TrackHandle,
    sink: Sink,
    /// What the track declares of its rows.
    schema: Arc<RowSchema>,
    rule: SameStamp,
    /// Whether no row has been recorded this way yet.
    is_fresh: bool,
    jumps: JumpDetector,
    standstill: StandstillDetector,
    throttle: Option<Throttle>,
    /// The last stored row, under `on_change`.
    on_change: Option<LastStored>,
}

/// A message, or an element of one, that becomes a row.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) row: Row,
    pub(super) parts: Vec<FramePart>,
    pub(super) notes: Vec<Note>,
    /// The hash of the message's bytes.
    pub(super) hash: u64,
}

/// What the next row is compared with: the fields, and the bytes that became files. `None` before
/// the first row.
#[derive(Debug)]
struct LastStored {
    row: Option<(Fields, Vec<RawBytes>)>,
    /// Columns whose changes don't count.
    times: Vec<Column>,
}

/// What to remember of a row once it is stored or on its way.
#[derive(Debug)]
struct Remembered {
    ts: Timestamp,
    /// Set under `on_change`.
    news: Option<(Fields, Vec<RawBytes>)>,
}

/// The end of a path: appends and counts, from whichever thread makes the rows.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    track: Track,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    stored: AtomicU64,
    /// Rows that may merge with a flushed one. Closing the track shows whether they do.
    late: AtomicU64,
}

/// What happened to a row.
#[derive(Debug)]
pub(super) enum Outcome {
    Stored,
    Merged,
    Throttled,
    Unchanged,
    Refused(TrackError),
}

impl Stream {
    /// Takes this path from the topic of `plan`, whose clock has jumped back this many times.
    pub(super) fn new(handle: TrackHandle, plan: &TopicPlan, jumps: u64) -> Self {
        let last_stored = || LastStored { row: None, times: plan.times.column_names() };
        let schema = plan.schema();
        let track = handle.track.clone().with_schema(schema.clone());
        Self {
            sink: Sink { track, tally: Arc::default() },
            handle,
            schema,
            rule: plan.same_stamp,
            is_fresh: true,
            jumps: JumpDetector::after(jumps),
            standstill: StandstillDetector::default(),
            throttle: plan.max_rate.map(Throttle::new),
            on_change: plan.on_change.then(last_stored),
        }
    }

    /// The number of times that the clock has jumped back.
    pub(super) fn jumps(&self) -> u64 {
        self.jumps.count()
    }

    /// From when to when it has jumped back last.
    pub(super) fn latest_jump(&self) -> Option<(Timestamp, Timestamp)> {
        self.jumps.latest()
    }

    pub(super) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Declares what is declared now with the rows that follow, if it is another than before: more is known
    /// of the topic's publishers.
    pub(super) fn declare(&mut self, declaration: &Declaration) {
        if let Some(schema) = declaration.newer_than(&self.schema) {
            self.sink.track = self.sink.track.clone().with_schema(schema.clone());
            self.schema = schema;
        }
    }

    /// Records a message, and counts what happened to it.
    pub(super) fn record(&mut self, to: &mut Output<'_>, mut message: Message, ledger: &Ledger) {
        let ts = message.row.ts;
        let raw: Vec<RawBytes> = message.parts.iter().map(|part| part.raw.clone()).collect();
        let still = self.standstill.step(ts);
        if still > 0 {
            ledger.note_still(still, ts, to.clocks);
        }
        if let Some(passed_over) = self.passes_over(&message.row, &raw) {
            return ledger.book(passed_over, &message.notes);
        }
        let Message { row, parts, hash, .. } = &message;
        let origin = Origin::new(*hash, ts);
        let (exp, frames, rule, hash) = (to.exp, &mut *to.frames, self.rule, *hash);
        let asking = Asking { exp, frames, rule, row, parts, hash };
        let answer = match to.tracks.ask(&self.handle, asking) {
            Ok(answer) => answer,
            Err(error) => return ledger.drop_refused(&error),
        };
        let remembered = self.to_remember(&message.row, &raw);
        let given = match answer {
            Answer::Given(given) => given,
            Answer::Repeat => {
                self.remember(remembered);
                to.kept.rows += 1;
                return ledger.book(Outcome::Merged, &message.notes);
            }
            Answer::Refused => {
                return ledger.drop_one(DropReason::SameStamp, || {
                    format!(
                        "another message has the stamp {ts} s; `same_stamp: drop` keeps the first"
                    )
                });
            }
        };
        message.row.ts = given.at;
        if given.is_moved() {
            message.notes.push(Note::StampMoved);
        }
        if given.is_over_another() {
            message.notes.push(Note::StampShared);
        }
        if std::mem::take(&mut self.is_fresh) {
            for changed in to.tracks.changed_kinds(&self.handle, &message.row.fields) {
                ledger.note_changed(&changed);
            }
        }
        if self.send(to, message, origin, given, ledger) {
            self.remember(remembered);
            to.kept.rows += 1;
        }
    }

    /// Sends a row to the store, at once or after its files. Returns true if it is on its way.
    fn send(
        &self,
        to: &mut Output<'_>,
        message: Message,
        origin: Origin,
        given: GivenTime,
        ledger: &Ledger,
    ) -> bool {
        let Message { row, parts, notes, .. } = message;
        if parts.is_empty() {
            let outcome = self.sink.append(row, given.is_new());
            let is_stored = !matches!(outcome, Outcome::Refused(_));
            if is_stored {
                to.tracks.take(&self.handle, &given);
            }
            ledger.book(outcome, &notes);
            return is_stored;
        }
        let (sink, ledger) = (self.sink.clone(), ledger.clone());
        if !to.frames.has_room(&parts) {
            ledger.drop_lost(DropReason::BlobQueueFull, 1);
            return false;
        }
        to.tracks.take(&self.handle, &given);
        let frame =
            Frame { row, parts, notes, ledger: ledger.clone(), sink, origin, given: given.clone() };
        match to.frames.take(to.exp, frame) {
            Ok(()) => true,
            Err(error) => {
                given.give_back();
                ledger.drop_refused(&error);
                false
            }
        }
    }

    /// The outcome for a row that `max_rate` or `on_change` leaves out; `None` for a row to keep.
    /// `raw` are the bytes that become its files.
    fn passes_over(&mut self, row: &Row, raw: &[RawBytes]) -> Option<Outcome> {
        self.step(row.ts);
        if self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(row.ts)) {
            return Some(Outcome::Throttled);
        }
        let last = self.on_change.as_ref()?;
        let (before, raw_before) = last.row.as_ref()?;
        let is_same = raw_before == raw && same_fields(before, &row.fields, &last.times);
        is_same.then_some(Outcome::Unchanged)
    }

    fn to_remember(&self, row: &Row, raw: &[RawBytes]) -> Remembered {
        let news = self.on_change.as_ref().map(|_| (row.fields.clone(), raw.to_vec()));
        Remembered { ts: row.ts, news }
    }

    fn remember(&mut self, row: Remembered) {
        if let Some(throttle) = &mut self.throttle {
            throttle.keep(row.ts);
        }
        if let Some(last) = &mut self.on_change {
            last.row = row.news;
        }
    }

    /// Starts a new stretch of time if the clock has jumped back.
    fn step(&mut self, ts: Timestamp) {
        if self.jumps.step(ts) {
            self.throttle.iter_mut().for_each(Throttle::restart);
            self.on_change.iter_mut().for_each(|last| last.row = None);
        }
    }
}

impl Sink {
    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// Appends a row. `is_new` means that there is no row of its time yet.
    pub(super) fn append(&self, row: Row, is_new: bool) -> Outcome {
        let is_late = match self.track.append_row(row) {
            Ok(Appended::Merged) => return Outcome::Merged,
            Ok(Appended::New) => false,
            Ok(Appended::Late) => !is_new,
            Err(error) => return Outcome::Refused(error),
        };
        self.tally.stored.fetch_add(1, Ordering::Relaxed);
        self.tally.late.fetch_add(u64::from(is_late), Ordering::Relaxed);
        Outcome::Stored
    }

    /// Counts up to `merged` of the late rows as merged. Returns how many.
    pub(super) fn count_as_merged(&self, merged: u64) -> u64 {
        let settled = take_up_to(&self.tally.late, merged);
        take_up_to(&self.tally.stored, settled)
    }

    /// Takes back up to `lost` of the stored rows. Returns how many.
    pub(super) fn take_back(&self, lost: u64) -> u64 {
        take_up_to(&self.tally.stored, lost)
    }
}

/// Takes up to `wanted` off a count that no other thread changes any more. Returns how much.
fn take_up_to(count: &AtomicU64, wanted: u64) -> u64 {
    let taken = count.load(Ordering::Relaxed).min(wanted);
    count.fetch_sub(taken, Ordering::Relaxed);
    taken
}
