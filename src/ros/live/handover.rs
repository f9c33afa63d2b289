//! A topic that is subscribed anew loses nothing: the old subscription is listened to until the new
//! one is surely matched, and what comes by both is taken once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Longer than discovery takes to match a subscription.
const LASTS: Duration = Duration::from_secs(1);

/// Which subscription a message came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

/// The time with two subscriptions. Bounded by its length: it holds 8 bytes a message.
#[derive(Debug)]
pub(super) struct Handover<M> {
    /// The messages of the old subscription.
    pub(super) old: M,
    until: Instant,
    /// Messages that came by one side alone so far, and how often.
    unpaired: HashMap<u64, (Side, u32)>,
}

impl<M> Handover<M> {
    pub(super) fn from(old: M) -> Self {
        Self { old, until: Instant::now() + LASTS, unpaired: HashMap::new() }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the same message came by the other side before.
    pub(super) fn is_repeat(&mut self, side: Side, cdr: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        cdr.hash(&mut hasher);
        let (seen_by, count) = self.unpaired.entry(hasher.finish()).or_insert((side, 0));
        if *count > 0 && *seen_by != side {
            *count -= 1;
            return true;
        }
        (*seen_by, *count) = (side, *count + 1);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_by_both_sides_is_taken_once_in_whatever_order() {
        let mut handover = Handover::from(());
        let mut taken = Vec::new();
        let arrivals = [
            (Side::Old, "a"),
            (Side::New, "b"),
            (Side::New, "a"),
            (Side::Old, "b"),
            (Side::New, "c"),
            (Side::Old, "d"),
            (Side::Old, "d"),
            (Side::New, "d"),
        ];
        for (side, message) in arrivals {
            if !handover.is_repeat(side, message.as_bytes()) {
                taken.push(message);
            }
        }
        assert_eq!(taken, ["a", "b", "c", "d", "d"]);
    }
}
