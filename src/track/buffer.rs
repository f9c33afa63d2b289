//! Rows on their way to the store: merged by `_ts` as they come, bounded in bytes.
//! Knows nothing of files; `experiment` decides when a buffer is flushed.

use std::collections::BTreeMap;

use parking_lot::{Condvar, Mutex};

use super::row::{Fields, Row, Timestamp};

/// What became of an appended row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is the first of its time, and later than all rows flushed before.
    New,
    /// It was merged into a row that waits to be flushed.
    Merged,
    /// Its time is not after all rows flushed before: it goes out of order, and whether it
    /// merges into one of them shows when the track is closed.
    Late,
}

/// What an append does when the buffer's bound is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for a flush; an error only if the store fails to take rows.
    #[default]
    Wait,
    /// An error at once; the row is the caller's to keep or drop.
    Error,
}

/// One track's rows that are not in the store yet.
#[derive(Debug, Default)]
pub(super) struct TrackBuffer {
    batch: Batch,
    /// The latest time that was ever taken out for a flush.
    taken_through: Option<Timestamp>,
    closed: bool,
}

/// Rows taken out for a flush, by time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: BTreeMap<Timestamp, Fields>,
    /// What the rows hold of the buffer's budget.
    pub(super) bytes: usize,
}

impl TrackBuffer {
    /// Takes a row that holds `bytes` of the budget; `None` once closed.
    pub(super) fn insert(&mut self, row: Row, bytes: usize) -> Option<Appended> {
        if self.closed {
            return None;
        }
        self.batch.bytes += bytes;
        Some(match self.batch.rows.get_mut(&row.ts) {
            Some(waiting) => {
                waiting.merge(row.fields);
                Appended::Merged
            }
            None => {
                self.batch.rows.insert(row.ts, row.fields);
                if self.taken_through.is_some_and(|through| row.ts <= through) {
                    Appended::Late
                } else {
                    Appended::New
                }
            }
        })
    }

    /// Takes no more rows from now on, if none waits; returns whether none does.
    pub(super) fn close_if_empty(&mut self) -> bool {
        self.closed = self.batch.rows.is_empty();
        self.closed
    }

    /// Rows waiting.
    pub(super) fn len(&self) -> usize {
        self.batch.rows.len()
    }

    /// Everything that waits.
    pub(super) fn take(&mut self) -> Batch {
        let batch = std::mem::take(&mut self.batch);
        self.taken_through = self.taken_through.max(batch.rows.keys().next_back().copied());
        batch
    }

    /// Puts back what could not be flushed, below what has come since.
    pub(super) fn restore(&mut self, batch: Batch) {
        let newer = std::mem::replace(&mut self.batch, batch);
        self.batch.bytes += newer.bytes;
        for (ts, fields) in newer.rows {
            self.batch.rows.entry(ts).or_default().merge(fields);
        }
    }

    /// Times up to `through` are on disk already, from an earlier recording.
    pub(super) fn note_stored(&mut self, through: Option<Timestamp>) {
        self.taken_through = self.taken_through.max(through);
    }
}

/// The bytes that all buffers of an experiment may hold together.
#[derive(Debug)]
pub(super) struct ByteBudget {
    limit_bytes: usize,
    state: Mutex<BudgetState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BudgetState {
    used_bytes: usize,
    /// A row found no room since bytes were last given back.
    short: bool,
    /// Why the store takes no rows, while it does not.
    failure: Option<String>,
}

/// Why a reservation was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BudgetFull {
    pub(super) used_bytes: usize,
    pub(super) failure: Option<String>,
}

impl ByteBudget {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Sets `bytes` aside. A row larger than the whole budget is taken when nothing else waits.
    /// Where there is no room, `call_for_flush` comes before waiting or refusing.
    pub(super) fn reserve(
        &self,
        bytes: usize,
        when_full: WhenFull,
        call_for_flush: impl Fn(),
    ) -> Result<(), BudgetFull> {
        let mut state = self.state.lock();
        while state.used_bytes > 0 && state.used_bytes + bytes > self.limit_bytes {
            state.short = true;
            call_for_flush();
            if when_full == WhenFull::Error || state.failure.is_some() {
                let failure = state.failure.clone();
                return Err(BudgetFull { used_bytes: state.used_bytes, failure });
            }
            self.changed.wait(&mut state);
        }
        state.used_bytes += bytes;
        Ok(())
    }

    /// Gives back what a flushed batch held.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.used_bytes -= bytes;
        state.short = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Whether half of the budget is in use or a row found no room: time to flush everything.
    pub(super) fn runs_low(&self) -> bool {
        let state = self.state.lock();
        state.short || state.used_bytes > self.limit_bytes / 2
    }

    /// Notes that the store fails to take rows, or takes them again; returns what it was before.
    pub(super) fn set_failure(&self, failure: Option<String>) -> Option<String> {
        let before = std::mem::replace(&mut self.state.lock().failure, failure);
        self.changed.notify_all();
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

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
    fn a_failed_flush_goes_back_below_what_came_since() {
        let mut buffer = TrackBuffer::default();
        buffer.insert(row(1.0, fields! { "a": "old", "b": "old" }), 10);
        let failed = buffer.take();
        buffer.insert(row(1.0, fields! { "a": "new" }), 10);
        buffer.restore(failed);
        let batch = buffer.take();
        let expected = fields! { "a": "new", "b": "old" };
        assert_eq!(batch.rows.into_values().collect::<Vec<_>>(), [expected]);
        assert_eq!(batch.bytes, 20);
    }

    #[test]
    fn a_full_budget_refuses_or_waits_as_told() {
        let budget = ByteBudget::new(100);
        budget.reserve(90, WhenFull::Error, || {}).unwrap();
        assert_eq!(budget.reserve(20, WhenFull::Error, || {}).unwrap_err().used_bytes, 90);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| budget.reserve(20, WhenFull::Wait, || {}));
            budget.release(90);
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn waiting_ends_when_the_store_fails() {
        let budget = ByteBudget::new(100);
        budget.reserve(100, WhenFull::Wait, || {}).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| budget.reserve(1, WhenFull::Wait, || {}));
            budget.set_failure(Some("disk full".into()));
            assert_eq!(waiter.join().unwrap().unwrap_err().failure.as_deref(), Some("disk full"));
        });
    }

    #[test]
    fn a_row_larger_than_the_budget_is_taken_alone() {
        let budget = ByteBudget::new(100);
        budget.reserve(1000, WhenFull::Error, || {}).unwrap();
        assert!(budget.reserve(1, WhenFull::Error, || {}).is_err());
    }
}
