//! A copy of the messages that publishers keep for late joiners (`/tf_static`,
//! `/robot_description`, `/map`). Messages left out during a pause are recorded after it. Messages
//! of publishers that have left are repeated in the next part of a recording. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::ros::rcl::{Gid, MessageInfo};

/// Maximum number of publishers per topic. Beyond it, the one silent longest is dropped.
const MAX_PUBLISHERS: usize = 64;
/// Maximum number of messages of one publisher.
const MAX_MESSAGES: usize = 100;
/// Maximum bytes of one publisher's messages. The newest is kept whatever its size.
const MAX_BYTES: usize = 16 << 20;
/// Maximum bytes of all topics together: a node that sends a map of 100 MB and is started again and again is a
/// new publisher each time.
pub(super) const MAX_TOTAL_BYTES: usize = 256 << 20;

/// The copy of a latched message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LatchedMessage {
    pub(super) cdr: Vec<u8>,
    pub(super) info: MessageInfo,
    /// It came while the recording was paused and is in no part yet.
    is_left_out: bool,
}

/// The copies of one topic.
#[derive(Debug, Default)]
pub(super) struct LatchedMessages {
    publishers: HashMap<Gid, OfPublisher>,
    clock: u64,
    /// How many publishers' messages were [forgotten](make_room) to make room.
    forgotten: u64,
}

#[derive(Debug, Default)]
struct OfPublisher {
    messages: VecDeque<LatchedMessage>,
    /// The largest number of messages that it was seen to keep: discovery does not report its
    /// history depth.
    depth: usize,
    last_heard: u64,
}

impl LatchedMessages {
    /// Copies a message. `is_old` means that it was sent before its subscription was made.
    pub(super) fn add(&mut self, cdr: &[u8], info: MessageInfo, is_old: bool, is_paused: bool) {
        self.clock += 1;
        self.make_room_for(info.publisher);
        let of_publisher = self.publishers.entry(info.publisher).or_default();
        of_publisher.last_heard = self.clock;
        of_publisher.depth += usize::from(is_old);
        let copy = LatchedMessage { cdr: cdr.to_vec(), info, is_left_out: is_paused };
        of_publisher.messages.push_back(copy);
        of_publisher.trim();
    }

    /// Takes the messages left out during a pause, oldest first. They no longer count as left out.
    pub(super) fn take_left_out(&mut self) -> Vec<LatchedMessage> {
        let all = self.publishers.values_mut().flat_map(|publisher| &mut publisher.messages);
        let left_out = all.filter_map(|copy| {
            let is_left_out = std::mem::take(&mut copy.is_left_out);
            is_left_out.then(|| copy.clone())
        });
        in_order(left_out.collect())
    }

    /// The messages of all publishers except these, oldest first.
    pub(super) fn of_others(&self, publishers: &HashSet<Gid>) -> Vec<LatchedMessage> {
        let others = self.publishers.iter().filter(|(gid, _)| !publishers.contains(*gid));
        in_order(others.flat_map(|(_, publisher)| publisher.messages.iter().cloned()).collect())
    }

    /// The bytes of all messages.
    pub(super) fn bytes(&self) -> usize {
        self.publishers.values().map(OfPublisher::bytes).sum()
    }

    fn make_room_for(&mut self, publisher: Gid) {
        if self.publishers.len() >= MAX_PUBLISHERS && !self.publishers.contains_key(&publisher) {
            self.forget_one();
        }
    }

    /// Forgets the messages of the publisher that has been silent for longest: the likeliest to be gone.
    fn forget_one(&mut self) {
        let silent = self.publishers.iter().min_by_key(|(_, publisher)| publisher.last_heard);
        if let Some(gid) = silent.map(|(gid, _)| *gid) {
            self.publishers.remove(&gid);
            self.forgotten += 1;
        }
    }
}

/// Forgets messages until those of all topics have at most `limit_bytes`: of the topic with the most bytes, those of the
/// publisher that has been silent for longest. Calls `forgot` with the topic's place and how many publishers' messages it
/// has forgotten by now.
pub(super) fn make_room(
    topics: &mut [&mut LatchedMessages],
    limit_bytes: usize,
    mut forgot: impl FnMut(usize, u64),
) {
    let mut bytes: Vec<usize> = topics.iter().map(|topic| topic.bytes()).collect();
    while bytes.iter().sum::<usize>() > limit_bytes {
        let largest = bytes.iter().enumerate().max_by_key(|(_, bytes)| **bytes);
        let Some((place, _)) = largest else { return };
        topics[place].forget_one();
        bytes[place] = topics[place].bytes();
        forgot(place, topics[place].forgotten);
    }
}

impl OfPublisher {
    fn bytes(&self) -> usize {
        self.messages.iter().map(|copy| copy.cdr.len()).sum()
    }

    fn trim(&mut self) {
        let most = self.depth.clamp(1, MAX_MESSAGES);
        let mut bytes = self.bytes();
        while self.messages.len() > 1 && (self.messages.len() > most || bytes > MAX_BYTES) {
            bytes -= self.messages.pop_front().map_or(0, |copy| copy.cdr.len());
        }
    }
}

fn in_order(mut messages: Vec<LatchedMessage>) -> Vec<LatchedMessage> {
    messages.sort_by_key(|copy| (copy.info.received_nanos, copy.info.source_nanos));
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Gid = Gid([1; size_of::<Gid>()]);
    const B: Gid = Gid([2; size_of::<Gid>()]);

    fn info(publisher: Gid, nanos: i64) -> MessageInfo {
        MessageInfo {
            source_nanos: Some(nanos),
            received_nanos: Some(nanos),
            sequence: Some(1),
            publisher,
        }
    }

    fn texts(messages: &[LatchedMessage]) -> Vec<u8> {
        messages.iter().map(|copy| copy.cdr[0]).collect()
    }

    #[test]
    fn of_a_publisher_as_many_are_kept_as_it_was_seen_to_keep() {
        let mut latched = LatchedMessages::default();
        for (number, is_old) in [(1, true), (2, true), (3, false), (4, false)] {
            latched.add(&[number], info(A, number.into()), is_old, false);
        }
        for number in [5, 6] {
            latched.add(&[number], info(B, number.into()), false, false);
        }
        assert_eq!(texts(&latched.of_others(&HashSet::new())), [3, 4, 6]);
        assert_eq!(texts(&latched.of_others(&[A].into())), [6]);
    }

    #[test]
    fn what_was_left_out_is_given_once() {
        let mut latched = LatchedMessages::default();
        latched.add(&[1], info(A, 1), false, true);
        latched.add(&[2], info(B, 2), false, false);
        assert_eq!(texts(&latched.take_left_out()), [1]);
        assert!(latched.take_left_out().is_empty());
    }

    #[test]
    fn the_newest_is_kept_whatever_its_size_and_older_ones_as_far_as_there_is_room() {
        let mut latched = LatchedMessages::default();
        for number in 1..=3 {
            latched.add(&vec![number; MAX_BYTES], info(A, number.into()), true, false);
        }
        assert_eq!(texts(&latched.of_others(&HashSet::new())), [3]);
    }

    #[test]
    fn publishers_without_number_take_bounded_memory() {
        let mut latched = LatchedMessages::default();
        for number in 0..=u8::MAX {
            let publisher = Gid([number; size_of::<Gid>()]);
            latched.add(&[number], info(publisher, number.into()), false, false);
        }
        assert_eq!(latched.publishers.len(), MAX_PUBLISHERS);
    }
    #[test]
    fn all_topics_together_take_bounded_memory_and_what_is_small_stays() {
        let (mut description, mut map) = (LatchedMessages::default(), LatchedMessages::default());
        description.add(&[0; 10], info(B, 0), false, false);
        let mut forgotten = Vec::new();
        // A node that is started again and again, each time with its map.
        for number in 1..=6 {
            let publisher = Gid([number; size_of::<Gid>()]);
            map.add(&[number; 100], info(publisher, number.into()), false, false);
            let mut topics = [&mut description, &mut map];
            make_room(&mut topics, 330, |topic, of_it| forgotten.push((topic, of_it)));
        }
        assert_eq!(texts(&map.of_others(&HashSet::new())), [4, 5, 6]);
        assert_eq!(description.bytes(), 10);
        assert_eq!(forgotten, [(1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn a_message_larger_than_all_room_is_not_kept() {
        let mut map = LatchedMessages::default();
        map.add(&[1; 100], info(A, 1), false, false);
        make_room(&mut [&mut map], 99, |_, _| {});
        assert!(map.of_others(&HashSet::new()).is_empty());
    }
}
