//! Uses the publishers' sequence numbers to find repeated and lost messages. Pure.
//!
//! A publisher numbers its messages without gaps, so a gap is a loss: in the network, in the
//! middleware's history, or at the publisher. Messages published before the first one received do
//! not count as lost. A latched message from before it is still accepted.

use std::collections::HashMap;

use crate::ros::rcl::Gid;

/// Maximum number of publishers per topic. Beyond it, the one silent longest is dropped.
const MAX_PUBLISHERS: usize = 4_096;
/// Maximum number of separate runs of numbers per publisher; older gaps are final.
const MAX_RUNS: usize = 256;

/// The sequence numbers of one topic, by publisher.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    publishers: HashMap<Gid, Numbers>,
    /// The change in the number of lost messages since the last query. A late message, by a second
    /// subscription, reverts a loss.
    lost_change: i64,
    /// Counts all messages, to find the publisher that was silent longest.
    clock: u64,
    is_unknown: bool,
}

/// Whether a message came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    New,
    Repeat,
}

/// The numbers received from one publisher.
#[derive(Debug, Default)]
struct Numbers {
    /// Numbers below the first one received; gaps here are no loss.
    before: Runs,
    since: Runs,
    /// The first number received.
    first: u64,
    last_heard: u64,
}

/// Runs of numbers without gaps, in order, each with its first and last number.
#[derive(Debug, Default)]
struct Runs(Vec<(u64, u64)>);

impl Sequences {
    /// Notes a message's number.
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

    /// Notes that the middleware gives no numbers. Returns true the first time.
    pub(super) fn note_unknown(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unknown, true)
    }

    /// The change in the number of lost messages since the last call.
    pub(super) fn take_lost_change(&mut self) -> i64 {
        std::mem::take(&mut self.lost_change)
    }

    /// The highest number received from each publisher.
    pub(super) fn highest(&self) -> HashMap<Gid, u64> {
        let highest = |(gid, numbers): (&Gid, &Numbers)| Some((*gid, numbers.since.0.last()?.1));
        self.publishers.iter().filter_map(highest).collect()
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
    /// Adds a number. Returns whether it was there, and the change in how many numbers are missing
    /// between the first and the last.
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
                // The gap between the two oldest runs becomes final: both become one run.
                let (first, _) = self.0.remove(0);
                self.0[0].0 = first;
            }
            return (Seen::New, i64::try_from(gap).unwrap_or(i64::MAX));
        }
        // The first run that ends at or after it; at the latest the last one.
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
        // Before all others it opens a gap; elsewhere it fills one.
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

    /// The number of lost messages after all of these numbers of one publisher came.
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
        // A latched message that comes later, by a second subscription.
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
        assert_eq!(sequences.highest(), HashMap::from([(A, 101), (B, 2)]));
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
