//! A copy of the messages that publishers keep for late joiners (`/tf_static`,
//! `/robot_description`, `/map`). Messages left out during a pause are recorded after it. Messages
//! of publishers that have left are repeated in the next part of a recording. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::ros::rcl::{Gid, MessageInfo};

/// Maximum number of publishers per topic. Beyond it, the one silent longest is dropped.
pub(super) const MAX_PUBLISHERS: usize = 64;
/// Maximum number of messages of one publisher.
const MAX_MESSAGES: usize = 100;
/// Maximum bytes of one publisher's messages. The newest is kept whatever its size.
const MAX_BYTES: usize = 16 << 20;
/// Maximum bytes of all topics together, besides those of each topic's last publisher: a node that sends a map of 100 MB and
/// is started again and again is a new publisher each time. What the last publisher said is the topic's state, and nobody
/// else may have it.
pub(super) const MAX_EARLIER_BYTES: usize = 256 << 20;

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
    forgotten: Forgotten,
}

/// How many publishers of a topic had their messages [forgotten](make_room), by the limit that they were over.
#[derive(Clone, Copy, Debug, Default)]
struct Forgotten {
    over_publishers: u64,
    over_bytes: u64,
}

/// Why messages are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// The topic had more than [`MAX_PUBLISHERS`].
    Publishers,
    /// All topics had more than [`MAX_EARLIER_BYTES`].
    Bytes,
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

    /// The bytes of all messages except those of the publisher heard last.
    fn earlier_bytes(&self) -> usize {
        let last = self.publishers.values().max_by_key(|publisher| publisher.last_heard);
        let all = self.publishers.values().map(OfPublisher::bytes).sum::<usize>();
        all - last.map_or(0, OfPublisher::bytes)
    }

    /// Forgets the messages of the publisher that has been silent for longest: the likeliest to be gone.
    fn forget_one(&mut self) {
        let silent = self.publishers.iter().min_by_key(|(_, publisher)| publisher.last_heard);
        if let Some(gid) = silent.map(|(gid, _)| *gid) {
            self.publishers.remove(&gid);
        }
    }
}

/// Forgets messages until each topic has at most [`MAX_PUBLISHERS`], and those of all topics at most `limit_bytes` besides those
/// of each one's last publisher: of the topic with the most such bytes, those of the publisher that has been silent for longest.
/// So what is small stays, and what a topic's last publisher said. Calls `forgot` with the topic's place, the limit and how many
/// of the topic's publishers were over it by now.
pub(super) fn make_room(
    topics: &mut [&mut LatchedMessages],
    limit_bytes: usize,
    mut forgot: impl FnMut(usize, Limit, u64),
) {
    for (place, topic) in topics.iter_mut().enumerate() {
        while topic.publishers.len() > MAX_PUBLISHERS {
            topic.forget_one();
            topic.forgotten.over_publishers += 1;
            forgot(place, Limit::Publishers, topic.forgotten.over_publishers);
        }
    }
    let mut bytes: Vec<usize> = topics.iter().map(|topic| topic.earlier_bytes()).collect();
    while bytes.iter().sum::<usize>() > limit_bytes {
        // It has several publishers.
        let largest = bytes.iter().enumerate().max_by_key(|(_, bytes)| **bytes);
        let Some((place, _)) = largest else { return };
        let topic = &mut topics[place];
        topic.forget_one();
        topic.forgotten.over_bytes += 1;
        bytes[place] = topic.earlier_bytes();
        forgot(place, Limit::Bytes, topic.forgotten.over_bytes);
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
        let mut forgotten = Vec::new();
        for number in 1..=u8::MAX {
            let publisher = Gid([number; size_of::<Gid>()]);
            latched.add(&[number], info(publisher, number.into()), false, false);
            make_room(&mut [&mut latched], 1 << 20, |_, limit, of_it| {
                forgotten.push((limit, of_it))
            });
        }
        let kept: Vec<u8> = (192..=u8::MAX).collect();
        assert_eq!(kept.len(), MAX_PUBLISHERS);
        assert_eq!(texts(&latched.of_others(&HashSet::new())), kept);
        assert!(forgotten.iter().copied().eq((1..=191).map(|number| (Limit::Publishers, number))));
    }

    /// A node that is started again and again, each time with its map of 100 bytes.
    fn start_again(map: &mut LatchedMessages, numbers: std::ops::RangeInclusive<u8>) {
        for number in numbers {
            let publisher = Gid([number; size_of::<Gid>()]);
            map.add(&[number; 100], info(publisher, number.into()), false, true);
        }
    }

    #[test]
    fn all_topics_together_take_bounded_memory_and_what_is_small_stays() {
        let (mut statics, mut map) = (LatchedMessages::default(), LatchedMessages::default());
        // Silent for longest, of several publishers that are all there.
        statics.add(&[1; 10], info(A, 0), false, false);
        statics.add(&[2; 10], info(B, 1), false, false);
        start_again(&mut map, 1..=6);
        let mut forgotten = Vec::new();
        make_room(&mut [&mut statics, &mut map], 230, |topic, limit, of_it| {
            forgotten.push((topic, limit, of_it));
        });
        assert_eq!(texts(&map.of_others(&HashSet::new())), [4, 5, 6]);
        assert_eq!(texts(&statics.of_others(&HashSet::new())), [1, 2]);
        assert_eq!(forgotten, [1, 2, 3].map(|of_it| (1, Limit::Bytes, of_it)));
        assert_eq!(texts(&map.take_left_out()), [4, 5, 6], "to be recorded after the pause");
    }

    #[test]
    fn each_limit_is_counted_by_itself() {
        let mut map = LatchedMessages::default();
        start_again(&mut map, 1..=MAX_PUBLISHERS as u8 + 2);
        let mut forgotten = Vec::new();
        make_room(&mut [&mut map], 6_200, |_, limit, of_it| forgotten.push((limit, of_it)));
        let expected = [(Limit::Publishers, 1), (Limit::Publishers, 2), (Limit::Bytes, 1)];
        assert_eq!(forgotten, expected);
    }

    #[test]
    fn what_the_last_publisher_of_a_topic_said_is_kept_whatever_its_size() {
        let mut maps = [LatchedMessages::default(), LatchedMessages::default()];
        maps.iter_mut().for_each(|map| start_again(map, 1..=1));
        start_again(&mut maps[1], 2..=3);
        let [first, second] = &mut maps;
        make_room(&mut [first, second], 99, |topic, _, _| assert_eq!(topic, 1));
        assert_eq!(texts(&first.of_others(&HashSet::new())), [1]);
        assert_eq!(texts(&second.of_others(&HashSet::new())), [3]);
    }
}
