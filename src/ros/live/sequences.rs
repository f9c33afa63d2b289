//! What the publishers' sequence numbers tell: which messages came twice, and how many never came. Pure.
//!
//! A publisher counts its messages without gaps, so a gap is a loss: in the network, in the middleware's
//! history, or at the publisher. What was published before the first message that came was not for this
//! subscriber and is no loss; a latched message from before it is welcome all the same.

use std::collections::HashMap;

use crate::ros::rcl::Gid;

/// Publishers that are remembered for one topic. Of those beyond, the longest silent is forgotten.
const MAX_PUBLISHERS: usize = 4_096;
/// Separate runs of numbers that are remembered for one publisher; older gaps are final.
const MAX_RUNS: usize = 256;

/// The numbers of one topic's messages, by publisher.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    publishers: HashMap<Gid, Numbers>,
    /// Change of the number of lost messages since it was last asked for. A message that comes late, by
    /// a second subscription, takes a loss back.
    lost_change: i64,
    /// Counts all messages, to tell which publisher was silent longest.
    clock: u64,
    is_unknown: bool,
}

/// Whether a message came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    New,
    Repeat,
}

/// The numbers of one publisher that came.
#[derive(Debug, Default)]
struct Numbers {
    /// Below the first one that came; gaps here are no loss.
    before: Runs,
    since: Runs,
    /// The first one that came.
    first: u64,
    last_heard: u64,
}

/// Numbers as runs without gaps, in order, first and last of each.
#[derive(Debug, Default)]
struct Runs(Vec<(u64, u64)>);

impl Sequences {
    /// Takes a message's number.
    pub(super) fn receive(&mut self, publisher: Gid, number: u64) -> Seen {
        self.clock += 1;
        let clock = self.clock;
        if !self.publishers.contains_key(&publisher) {
            self.make_room();
            let first = Numbers { first: number, ..Numbers::default() };
            self.publishers.insert(publisher, first);
        }
        let Some(numbers) = self.publishers.get_mut(&publisher) else { return Seen::New };
        numbers.last_heard = clock;
        if number < numbers.first {
            return numbers.before.insert(number).0;
        }
        let (seen, gap_change) = numbers.since.insert(number);
        self.lost_change += gap_change;
        seen
    }

    /// Notes that the middleware gives no numbers; whether that is news.
    pub(super) fn note_unknown(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unknown, true)
    }

    /// By how much the number of lost messages has changed since the last call.
    pub(super) fn take_lost_change(&mut self) -> i64 {
        std::mem::take(&mut self.lost_change)
    }

    /// The highest number that came from a publisher.
    pub(super) fn highest(&self, publisher: Gid) -> Option<u64> {
        let numbers = self.publishers.get(&publisher)?;
        numbers.since.0.last().map(|(_, last)| *last)
    }

    fn make_room(&mut self) {
        if self.publishers.len() < MAX_PUBLISHERS {
            return;
        }
        let silent = self.publishers.iter().min_by_key(|(_, numbers)| numbers.last_heard);
        if let Some(gid) = silent.map(|(gid, _)| *gid) {
            self.publishers.remove(&gid);
        }
    }
}

impl Runs {
    /// Adds a number; whether it was there, and by how much the numbers missing between the first and the
    /// last have changed.
    fn insert(&mut self, number: u64) -> (Seen, i64) {
        let Some((_, last)) = self.0.last_mut() else {
            self.0.push((number, number));
            return (Seen::New, 0);
        };
        if number == *last + 1 {
            *last = number;
            return (Seen::New, 0);
        }
        if number > *last {
            let gap = number - *last - 1;
            self.0.push((number, number));
            if self.0.len() > MAX_RUNS {
                // The gap between the two oldest is final: both become one run.
                let (first, _) = self.0.remove(0);
                self.0[0].0 = first;
            }
            return (Seen::New, i64::try_from(gap).unwrap_or(i64::MAX));
        }
        // The first run that ends at or behind it; there is one, the last.
        let at = self.0.partition_point(|(_, last)| *last < number);
        if self.0[at].0 <= number {
            return (Seen::Repeat, 0);
        }
        let joins_next = self.0[at].0 == number + 1;
        let joins_before = at > 0 && self.0[at - 1].1 + 1 == number;
        match (joins_before, joins_next) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = number,
            (false, true) => self.0[at].0 = number,
            (false, false) => self.0.insert(at, (number, number)),
        }
        // Before all others it opens a gap, elsewhere it fills one.
        (Seen::New, if at == 0 { 0 } else { -1 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const A: Gid = Gid([1; size_of::<Gid>()]);
    const B: Gid = Gid([2; size_of::<Gid>()]);

    /// Lost messages once all of these numbers of one publisher have come.
    fn lost(numbers: &[u64]) -> i64 {
        let mut sequences = Sequences::default();
        for number in numbers {
            sequences.receive(A, *number);
        }
        sequences.take_lost_change()
    }

    #[test]
    fn a_gap_is_a_loss_of_its_length() {
        assert_eq!(lost(&[1, 2, 3]), 0);
        assert_eq!(lost(&[1, 2, 6, 7, 9]), 4);
    }

    #[test]
    fn what_was_sent_before_the_subscription_is_no_loss() {
        assert_eq!(lost(&[5_000, 5_001]), 0);
        // A latched message that comes by a second subscription, later.
        assert_eq!(lost(&[5_000, 4_000, 4_002, 5_001]), 0);
    }

    #[test]
    fn what_comes_late_by_another_subscription_takes_its_loss_back() {
        let mut sequences = Sequences::default();
        for number in [1, 2, 5] {
            sequences.receive(A, number);
        }
        assert_eq!(sequences.take_lost_change(), 2);
        assert_eq!(sequences.receive(A, 4), Seen::New);
        assert_eq!(sequences.receive(A, 4), Seen::Repeat);
        assert_eq!(sequences.take_lost_change(), -1);
    }

    #[test]
    fn publishers_are_counted_apart_and_a_restarted_one_is_new() {
        let mut sequences = Sequences::default();
        for (publisher, number) in [(A, 100), (B, 1), (A, 101), (B, 2)] {
            assert_eq!(sequences.receive(publisher, number), Seen::New);
        }
        assert_eq!(sequences.take_lost_change(), 0);
        assert_eq!((sequences.highest(A), sequences.highest(B)), (Some(101), Some(2)));
    }

    #[test]
    fn a_long_history_of_losses_takes_bounded_memory_and_stays_counted() {
        let mut sequences = Sequences::default();
        for number in 0..10_000 {
            sequences.receive(A, number * 2);
        }
        assert_eq!(sequences.take_lost_change(), 9_999);
        assert_eq!(sequences.publishers[&A].since.0.len(), MAX_RUNS);
    }

    proptest! {
        #[test]
        fn whatever_the_order_each_number_is_new_once_and_the_rest_is_lost(
            numbers in proptest::collection::vec(100_u64..160, 1..120)
        ) {
            let mut sequences = Sequences::default();
            let mut came = BTreeSet::new();
            for number in &numbers {
                let is_new = came.insert(*number);
                let seen = sequences.receive(A, *number);
                prop_assert_eq!(seen, if is_new { Seen::New } else { Seen::Repeat });
            }
            let since: Vec<&u64> = came.range(numbers[0]..).collect();
            let span = *since[since.len() - 1] - numbers[0] + 1;
            prop_assert_eq!(sequences.take_lost_change(), (span - since.len() as u64) as i64);
        }
    }
}
