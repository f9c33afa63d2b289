//! Rows on their way to the store, merged by `_ts` on arrival and limited in bytes. This module
//! knows nothing of files; `experiment` decides when to flush a buffer.

mod columns;

use std::collections::BTreeMap;

use parking_lot::{Condvar, Mutex};

use super::byte_bound::ByteBound;
use super::name::TrackName;
use super::row::{Column, Fields, Row, Timestamp};
use columns::KnownColumns;
pub use columns::{MAX_COLUMN_NAME_BYTES, MAX_COLUMNS, TooManyColumns};

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The row is the first of its time, and later than all rows flushed before.
    New,
    /// The row was merged into one that waits to be flushed.
    Merged,
    /// The row's time is not after all rows flushed before, so it is stored out of order. Whether
    /// it merges into one of them is known when the track is closed.
    Late,
}

/// What an append does when the buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for a flush. Fails only if the store can't take rows.
    #[default]
    Wait,
    /// Fail at once. The caller decides whether to keep or drop the row.
    Error,
}

/// One track's rows that are not in the store yet.
#[derive(Debug, Default)]
pub(super) struct TrackBuffer {
    rows: WaitingRows,
    /// Bytes of the budget that the rows use.
    bytes: usize,
    /// The latest time ever taken out for a flush.
    taken_through: Option<Timestamp>,
    columns: KnownColumns,
    closed: bool,
}

/// Rows taken out for a flush.
#[derive(Debug, Default)]
pub(super) struct FlushRows {
    /// Sorted by time, each time once.
    pub(super) rows: Vec<(Timestamp, Fields)>,
    /// Bytes of the buffer's budget that the rows use.
    pub(super) bytes: usize,
}

/// Rows by time. Most arrive in order, which needs no search.
#[derive(Debug, Default)]
struct WaitingRows {
    /// Each row is later than the one before.
    in_order: Vec<(Timestamp, Fields)>,
    /// Rows that arrived after a later one. None of these times is in `in_order`.
    out_of_order: BTreeMap<Timestamp, Fields>,
}

impl WaitingRows {
    /// Adds a row, or merges it into the row of the same time. Returns true if it was merged.
    fn insert(&mut self, ts: Timestamp, fields: Fields) -> bool {
        if self.in_order.last().is_none_or(|(last, _)| ts > *last) {
            self.in_order.push((ts, fields));
            return false;
        }
        let known = match self.in_order.binary_search_by_key(&ts, |(ts, _)| *ts) {
            Ok(place) => self.in_order.get_mut(place).map(|(_, fields)| fields),
            Err(_) => self.out_of_order.get_mut(&ts),
        };
        match known {
            Some(known) => {
                known.merge(fields);
                true
            }
            None => {
                self.out_of_order.insert(ts, fields);
                false
            }
        }
    }

    fn get(&self, ts: Timestamp) -> Option<&Fields> {
        match self.in_order.binary_search_by_key(&ts, |(ts, _)| *ts) {
            Ok(place) => self.in_order.get(place).map(|(_, fields)| fields),
            Err(_) => self.out_of_order.get(&ts),
        }
    }

    /// The latest time.
    fn last(&self) -> Option<Timestamp> {
        // Rows in `out_of_order` arrived after a later one.
        self.in_order.last().map(|(ts, _)| *ts)
    }

    fn len(&self) -> usize {
        self.in_order.len() + self.out_of_order.len()
    }

    fn into_sorted(self) -> Vec<(Timestamp, Fields)> {
        let mut rows = self.in_order;
        if !self.out_of_order.is_empty() {
            rows.extend(self.out_of_order);
            // Two sorted runs: the stable sort merges them.
            rows.sort_by_key(|(ts, _)| *ts);
        }
        rows
    }
}

impl TrackBuffer {
    /// Notes the columns of a row that is to come.
    pub(super) fn admit(&mut self, fields: &Fields) -> Result<(), TooManyColumns> {
        self.columns.admit(fields)
    }

    /// The memory that the columns take as long as the track is open, about.
    pub(super) fn kept_bytes(&self) -> usize {
        self.columns.kept_bytes()
    }

    /// Adds a row that uses `bytes` of the budget; `None` once closed.
    pub(super) fn insert(&mut self, row: Row, bytes: usize) -> Option<Appended> {
        if self.closed {
            return None;
        }
        self.bytes += bytes;
        Some(if self.rows.insert(row.ts, row.fields) {
            Appended::Merged
        } else if self.taken_through.is_some_and(|through| row.ts <= through) {
            Appended::Late
        } else {
            Appended::New
        })
    }

    /// Closes the buffer if no row waits. Returns true if none does.
    pub(super) fn close_if_empty(&mut self) -> bool {
        self.closed = self.len() == 0;
        self.closed
    }

    /// Closes the buffer whether or not rows wait, and takes these out.
    pub(super) fn end(&mut self) -> FlushRows {
        self.closed = true;
        self.take()
    }

    /// Number of waiting rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The waiting fields at a time.
    pub(super) fn get(&self, ts: Timestamp) -> Option<&Fields> {
        self.rows.get(ts)
    }

    /// The latest time of all rows, waiting or flushed.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.taken_through.max(self.rows.last())
    }

    /// Takes out all waiting rows.
    pub(super) fn take(&mut self) -> FlushRows {
        let rows = std::mem::take(&mut self.rows).into_sorted();
        self.taken_through = self.taken_through.max(rows.last().map(|(ts, _)| *ts));
        FlushRows { rows, bytes: std::mem::take(&mut self.bytes) }
    }

    /// Puts back rows that could not be flushed. Fields that arrived since overwrite them.
    pub(super) fn restore(&mut self, batch: FlushRows) {
        let failed = WaitingRows { in_order: batch.rows, ..WaitingRows::default() };
        let newer = std::mem::replace(&mut self.rows, failed);
        self.bytes += batch.bytes;
        for (ts, fields) in newer.into_sorted() {
            self.rows.insert(ts, fields);
        }
    }

    /// Notes that times up to `through` and these columns are already on disk, from an earlier
    /// recording.
    pub(super) fn note_stored<'a>(
        &mut self,
        through: Option<Timestamp>,
        columns: impl Iterator<Item = &'a Column>,
    ) {
        self.columns.note_stored(columns);
        self.taken_through = self.taken_through.max(through);
    }
}

/// The bytes that all buffers of an experiment may use together.
#[derive(Debug)]
pub(super) struct ByteBudget {
    state: Mutex<BudgetState>,
    changed: Condvar,
}

#[derive(Debug)]
struct BudgetState {
    bytes: ByteBound,
    /// A row found no room since bytes were last released.
    short: bool,
    /// The tracks whose rows the store can't take, and why, while that lasts.
    failures: BTreeMap<TrackName, String>,
}

/// Why a reservation was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BudgetFull {
    pub(super) used_bytes: usize,
    pub(super) failure: Option<String>,
}

impl ByteBudget {
    pub(super) fn new(limit_bytes: usize) -> Self {
        let bytes = ByteBound::new(limit_bytes);
        let state = BudgetState { bytes, short: false, failures: BTreeMap::new() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.state.lock().bytes.limit_bytes()
    }

    /// Reserves `bytes` for a row of `track`. A row larger than the whole budget is accepted when
    /// nothing else waits. If there is no room, calls `call_for_flush` before it waits or refuses.
    ///
    /// Tracks whose rows the store can't take get room only while half of the budget is free, so
    /// that the others can go on.
    pub(super) fn reserve(
        &self,
        track: &TrackName,
        bytes: usize,
        when_full: WhenFull,
        call_for_flush: impl Fn(),
    ) -> Result<(), BudgetFull> {
        let mut state = self.state.lock();
        loop {
            let failure = state.failures.get(track).cloned();
            let is_kept_short = failure.is_some() && state.is_half_used_with(bytes);
            if !is_kept_short && state.bytes.try_add(bytes) {
                return Ok(());
            }
            state.short |= !is_kept_short;
            call_for_flush();
            if when_full == WhenFull::Error || failure.is_some() {
                return Err(BudgetFull { used_bytes: state.bytes.used_bytes(), failure });
            }
            self.changed.wait(&mut state);
        }
    }

    /// Releases the bytes of a flushed batch.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.bytes.release(bytes);
        state.short = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Returns true if half of the budget is in use or a row found no room: time to flush
    /// everything.
    pub(super) fn runs_low(&self) -> bool {
        let state = self.state.lock();
        state.short || state.bytes.used_bytes() > state.bytes.limit_bytes() / 2
    }

    /// Notes why the store can't take the rows of `track`, or that it can.
    pub(super) fn set_failure(&self, track: &TrackName, failure: Option<String>) {
        let mut state = self.state.lock();
        match failure {
            Some(failure) => drop(state.failures.insert(track.clone(), failure)),
            None if state.failures.is_empty() => return,
            None => drop(state.failures.remove(track)),
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl BudgetState {
    fn is_half_used_with(&self, bytes: usize) -> bool {
        let used = self.bytes.used_bytes();
        used > 0 && used.saturating_add(bytes) > self.bytes.limit_bytes() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

    fn track(name: &str) -> TrackName {
        name.parse().unwrap()
    }

    fn row(ts: f64, fields: Fields) -> Row {
        Row::new(Timestamp::new(ts).unwrap(), fields)
    }

    #[test]
    fn rows_of_one_time_merge_and_late_ones_are_told_apart() {
        let mut buffer = TrackBuffer::default();
        assert_eq!(buffer.insert(row(2.0, fields! { "a": 1 }), 10), Some(Appended::New));
        assert_eq!(buffer.insert(row(1.0, fields! { "a": 1 }), 10), Some(Appended::New));
        assert_eq!(buffer.insert(row(2.0, fields! { "b": 2 }), 10), Some(Appended::Merged));
        let batch = buffer.take();
        assert_eq!((batch.rows.len(), batch.bytes), (2, 30));
        assert_eq!(buffer.insert(row(2.0, fields! {}), 10), Some(Appended::Late));
        assert_eq!(buffer.insert(row(1.5, fields! {}), 10), Some(Appended::Late));
        assert_eq!(buffer.insert(row(2.5, fields! {}), 10), Some(Appended::New));
    }

    #[test]
    fn rows_leave_in_the_order_of_time_whatever_order_they_came_in() {
        let mut buffer = TrackBuffer::default();
        for (i, ts) in [3.0, 1.0, 5.0, 4.0, 1.0, 3.0, 2.0].into_iter().enumerate() {
            buffer.insert(row(ts, [(format!("{i}"), i as i64)].into_iter().collect()), 1);
        }
        let rows = buffer.take().rows;
        let columns =
            |fields: &Fields| fields.iter().map(|(n, _)| n.to_string()).collect::<String>();
        let left: Vec<_> = rows.iter().map(|(ts, row)| (ts.as_secs(), columns(row))).collect();
        let expected = [(1.0, "14"), (2.0, "6"), (3.0, "05"), (4.0, "3"), (5.0, "2")];
        assert_eq!(left, expected.map(|(ts, columns)| (ts, columns.to_owned())));
    }

    #[test]
    fn a_failed_flush_goes_back_below_what_came_since() {
        let mut buffer = TrackBuffer::default();
        buffer.insert(row(1.0, fields! { "a": "old", "b": "old" }), 10);
        let failed = buffer.take();
        buffer.insert(row(1.0, fields! { "a": "new" }), 10);
        buffer.restore(failed);
        let batch = buffer.take();
        let expected = fields! { "a": "new", "b": "old" };
        assert_eq!(batch.rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>(), [expected]);
        assert_eq!(batch.bytes, 20);
    }

    #[test]
    fn a_full_budget_refuses_or_waits_as_told() {
        let budget = ByteBudget::new(100);
        budget.reserve(&track("a"), 90, WhenFull::Error, || {}).unwrap();
        assert_eq!(
            budget.reserve(&track("a"), 20, WhenFull::Error, || {}).unwrap_err().used_bytes,
            90
        );
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| budget.reserve(&track("a"), 20, WhenFull::Wait, || {}));
            budget.release(90);
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn waiting_ends_when_the_store_fails() {
        let budget = ByteBudget::new(100);
        budget.reserve(&track("a"), 100, WhenFull::Wait, || {}).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| budget.reserve(&track("a"), 1, WhenFull::Wait, || {}));
            budget.set_failure(&track("a"), Some("disk full".into()));
            assert_eq!(waiter.join().unwrap().unwrap_err().failure.as_deref(), Some("disk full"));
        });
    }

    #[test]
    fn tracks_that_can_not_be_written_leave_half_of_the_room_to_the_others() {
        let budget = ByteBudget::new(100);
        let reserve = |name, bytes| budget.reserve(&track(name), bytes, WhenFull::Error, || {});
        budget.set_failure(&track("bad"), Some("I/O error".into()));
        reserve("bad", 40).unwrap();
        assert_eq!(reserve("bad", 20).unwrap_err().failure.as_deref(), Some("I/O error"));
        reserve("good", 60).unwrap();
        assert_eq!(reserve("good", 1).unwrap_err().failure, None);
        budget.release(60);
        assert!(budget.reserve(&track("good"), 60, WhenFull::Wait, || {}).is_ok());
        budget.release(60);
        budget.set_failure(&track("bad"), None);
        reserve("bad", 60).unwrap();
    }

    #[test]
    fn a_row_larger_than_the_budget_is_taken_alone() {
        let budget = ByteBudget::new(100);
        budget.reserve(&track("a"), 1000, WhenFull::Error, || {}).unwrap();
        assert!(budget.reserve(&track("a"), 1, WhenFull::Error, || {}).is_err());
    }
}
