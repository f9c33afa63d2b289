//! When the part that is recorded has reached a limit, so that the next one is to begin. Pure.
//!
//! Only messages that give rows count, whether the rows are new or were stored by an earlier import
//! of the same bag. So a bag that is imported again has its parts at the same places. What publishers
//! keep for late subscribers is in every part and counts in none.

use std::fmt;
use std::time::{Duration, Instant};

use super::time::Received;
use crate::mapping::{Bytes, Span, Split};

/// A clock that goes back further than this has jumped; less is a message out of order.
const JUMP_NANOS: i64 = 1_000_000_000;
/// How long to wait until a change of parts that was not made is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The limits, and how far the part that is recorded is.
#[derive(Debug, Default)]
pub(super) struct Limits {
    split: Split,
    kept: Kept,
    /// The receive time of the part's first message.
    first_nanos: Option<i64>,
    /// When the change was last asked for.
    asked: Option<Instant>,
}

/// What messages gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) rows: u64,
    /// Of the messages that gave them, as they came.
    pub(super) bytes: u64,
}

/// The limit of `split` that a part has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartFull {
    /// It lasts this long.
    Every(Span),
    /// Its messages have this size.
    Size(Bytes),
    /// It has this many rows.
    Rows(u64),
}

impl Limits {
    pub(super) fn set(&mut self, split: Split) {
        self.split = split;
    }

    /// Notes a message that is recorded into the part, and what it gave.
    pub(super) fn note(&mut self, received: Received, kept: Kept) {
        if kept.rows == 0 {
            return;
        }
        self.kept.rows += kept.rows;
        self.kept.bytes += kept.bytes;
        if let Some(nanos) = received.nanos() {
            match self.first_nanos {
                // A simulator that starts anew: time counts from there.
                Some(first) if nanos < first.saturating_sub(JUMP_NANOS) => {
                    self.first_nanos = Some(nanos);
                }
                Some(_) => {}
                None => self.first_nanos = Some(nanos),
            }
        }
    }

    /// The limit that the part has reached if a message with this receive time comes next.
    pub(super) fn full(&self, received: Received) -> Option<PartFull> {
        let Split { every, size, rows } = self.split;
        if let Some(rows) = rows.filter(|rows| self.kept.rows >= *rows) {
            return Some(PartFull::Rows(rows));
        }
        if let Some(size) = size.map(|size| size.bytes()).filter(|s| self.kept.bytes >= s.get()) {
            return Some(PartFull::Size(size));
        }
        let every = every?.span();
        let lasts_nanos = received.nanos()?.saturating_sub(self.first_nanos?);
        let lasts = Duration::from_nanos(u64::try_from(lasts_nanos).ok()?);
        (lasts >= every.get()).then_some(PartFull::Every(every))
    }

    /// The same, once, and again after a while if the part is still the same.
    pub(super) fn ask(&mut self, received: Received) -> Option<PartFull> {
        let full = self.full(received)?;
        let now = Instant::now();
        let is_asked = self.asked.is_some_and(|asked| now - asked < ASK_AGAIN);
        (!is_asked).then(|| {
            self.asked = Some(now);
            full
        })
    }

    /// Returns true if the end of this part was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// The next part begins, or none is recorded.
    pub(super) fn start_part(&mut self) {
        *self = Self { split: self.split, ..Self::default() };
    }
}

impl fmt::Display for PartFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(span) => write!(f, "it lasts {span}"),
            Self::Size(size) => write!(f, "its messages have {size}"),
            Self::Rows(rows) => write!(f, "it has {rows} rows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: i64 = 1_000_000_000;

    fn limits(every: &str, size: &str, rows: u64) -> Limits {
        let split = Split { every: every.parse().ok(), size: size.parse().ok(), rows: Some(rows) };
        Limits { split, ..Limits::default() }
    }

    fn at(secs: i64) -> Received {
        Received::At(secs * SEC)
    }

    const ONE: Kept = Kept { rows: 1, bytes: 1 << 19 };

    #[test]
    fn a_part_lasts_from_its_first_message() {
        let mut limits = limits("10s", "1GiB", 1000);
        assert_eq!(limits.full(at(5000)), None, "nothing has come yet");
        limits.note(at(100), ONE);
        limits.note(at(99), ONE);
        assert_eq!(limits.full(at(109)), None);
        assert!(matches!(limits.full(at(110)), Some(PartFull::Every(_))));
        assert_eq!(limits.full(Received::Unknown), None);
        limits.start_part();
        assert_eq!(limits.full(at(110)), None);
    }

    #[test]
    fn a_clock_that_starts_anew_counts_from_there() {
        let mut limits = limits("10s", "1GiB", 1000);
        limits.note(at(500), ONE);
        assert_eq!(limits.full(at(3)), None);
        limits.note(at(3), ONE);
        assert_eq!(limits.full(at(12)), None);
        assert!(limits.full(at(13)).is_some());
    }

    #[test]
    fn the_first_limit_that_is_reached_counts() {
        let mut by_size = limits("1h", "1MiB", 1000);
        by_size.note(at(1), ONE);
        assert_eq!(by_size.full(at(1)), None);
        by_size.note(at(1), ONE);
        assert_eq!(by_size.full(at(1)), Some(PartFull::Size(Bytes::new(1 << 20))));
        let mut by_rows = limits("1h", "1GiB", 2);
        by_rows.note(Received::BeforeClock, Kept { rows: 3, bytes: 0 });
        assert_eq!(by_rows.full(Received::BeforeClock), Some(PartFull::Rows(2)));
    }

    #[test]
    fn the_end_of_a_part_is_asked_for_once_at_a_time() {
        let mut limits = limits("1h", "1GiB", 1);
        limits.note(at(1), ONE);
        assert!(!limits.is_asked());
        assert!(limits.ask(at(1)).is_some());
        assert_eq!(limits.ask(at(1)), None);
        assert!(limits.is_asked());
        limits.start_part();
        assert!(!limits.is_asked() && limits.ask(at(1)).is_none());
    }
}
