//! Tests slots over a map as the store: what happens to messages, in whatever order their times
//! come.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const TODAY: f64 = 1.7e9;

/// The content of each topic in a row; `None` if a topic has none there.
type Content = [Option<u8>; 2];

/// A message: its topic, time and content.
type Message = (u32, Timestamp, u8);

/// A track on disk. Its rows are never forgotten.
#[derive(Clone, Debug, Default, PartialEq)]
struct Store {
    rows: BTreeMap<Timestamp, Content>,
    /// Whether the topics have the same columns, so that a row holds the later one's.
    is_mixed: bool,
}

/// One recording into it.
struct Run<'a> {
    store: &'a mut Store,
    slots: Slots,
    is_written_over: bool,
    rule: SameStamp,
    /// The row of each message.
    rows_of: BTreeMap<(Timestamp, u32, u8), Timestamp>,
    looks: usize,
    stored: usize,
    repeats: usize,
    refused: usize,
}

/// `ticks` floats after `secs`.
fn at(secs: f64, ticks: u32) -> Timestamp {
    let start = Timestamp::new(secs).unwrap();
    (0..ticks).fold(start, |ts, _| ts.next().unwrap())
}

impl Store {
    fn stored_at(&self, (topic, ts, content): Message, at: Timestamp) -> Stored {
        let column = if self.is_mixed { 0 } else { topic as usize };
        let Some(row) = self.rows.get(&at) else { return Stored::Nothing };
        let is_alone = row.iter().flatten().count() == 1;
        match row[column] {
            None => Stored::Foreign,
            Some(said) if said == content && (at == ts || is_alone) => Stored::Same,
            Some(_) => Stored::Other,
        }
    }

    fn write(&mut self, (topic, _, content): Message, at: Timestamp) {
        let column = if self.is_mixed { 0 } else { topic as usize };
        self.rows.entry(at).or_default()[column] = Some(content);
    }

    /// Records messages in a newly started process.
    fn record(&mut self, rule: SameStamp, messages: &[Message]) -> Run<'_> {
        let slots = Slots::behind(self.rows.keys().next_back().copied());
        let is_written_over = self.is_mixed && !self.rows.is_empty();
        let mut run = Run {
            store: self,
            slots,
            is_written_over,
            rule,
            rows_of: BTreeMap::new(),
            looks: 0,
            stored: 0,
            repeats: 0,
            refused: 0,
        };
        messages.iter().for_each(|message| run.take(*message));
        run
    }
}

impl Run<'_> {
    fn take(&mut self, message: Message) {
        let (topic, ts, content) = message;
        let identity =
            (ts.as_secs().to_bits() << 16) | (u64::from(topic) << 8) | u64::from(content);
        let arrival = Arrival { topic, ts, identity, is_written_over: self.is_written_over };
        let stored_at = |at| {
            self.looks += 1;
            Ok::<_, Infallible>(self.store.stored_at(message, at))
        };
        let Ok(place) = self.slots.place(arrival, self.rule, stored_at);
        match place {
            Place::Free(at) => {
                assert!(!self.store.rows.contains_key(&at), "{at} is not free for {message:?}");
                self.store.write(message, at);
                self.slots.take(arrival, at, true);
                self.rows_of.insert((ts, topic, content), at);
                self.stored += 1;
            }
            Place::Join | Place::Over => {
                let column = if self.store.is_mixed { 0 } else { topic as usize };
                let before = self.store.rows.get(&ts).and_then(|row| row[column]);
                let may_write_over = self.store.is_mixed || self.rule == SameStamp::Merge;
                assert!(before.is_none() || may_write_over, "{message:?} over {before:?}");
                self.store.write(message, ts);
                self.slots.take(arrival, ts, false);
                self.rows_of.insert((ts, topic, content), ts);
                self.stored += 1;
            }
            Place::Repeat => self.repeats += 1,
            Place::Refused => self.refused += 1,
        }
    }
}

fn arrival(ts: Timestamp, identity: u64) -> Arrival {
    Arrival { topic: 0, ts, identity, is_written_over: false }
}

fn keep(messages: &[Message]) -> Store {
    let mut store = Store::default();
    store.record(SameStamp::Keep, messages);
    store
}

fn times(store: &Store) -> Vec<Timestamp> {
    store.rows.keys().copied().collect()
}

#[test]
fn messages_of_one_time_lie_on_the_floats_behind_it_and_repeats_nowhere() {
    let t = at(TODAY, 0);
    let store = keep(&[(0, t, 1), (0, t, 2), (0, t, 1), (0, t, 3), (0, t, 2)]);
    assert_eq!(times(&store), [t, at(TODAY, 1), at(TODAY, 2)]);
}

#[test]
fn a_real_message_at_a_time_that_was_given_away_moves_on_itself() {
    let (t, next) = (at(TODAY, 0), at(TODAY, 1));
    let store = keep(&[(0, t, 1), (0, t, 2), (0, next, 3), (0, next, 4), (0, t, 5)]);
    let said: Vec<u8> = store.rows.values().map(|row| row[0].unwrap()).collect();
    assert_eq!(said, [1, 2, 3, 4, 5]);
    assert_eq!(times(&store), [0, 1, 2, 3, 4].map(|ticks| at(TODAY, ticks)));
}

#[test]
fn two_topics_share_the_row_of_a_time_and_no_row_that_was_moved() {
    let (t, next) = (at(TODAY, 0), at(TODAY, 1));
    let store = keep(&[(0, t, 1), (1, t, 2), (0, t, 3), (1, t, 4), (1, next, 5)]);
    let said: Vec<Content> = store.rows.values().copied().collect();
    assert_eq!(
        said,
        [[Some(1), Some(2)], [Some(3), None], [None, Some(4)], [None, Some(5)]],
        "{store:?}"
    );
}

#[test]
fn what_the_rules_other_than_keep_do() {
    let t = at(TODAY, 0);
    let messages = [(0, t, 1), (0, t, 2), (0, t, 2), (0, t, 1), (1, t, 7)];
    let mut store = Store::default();
    let run = store.record(SameStamp::Drop, &messages);
    assert_eq!((run.stored, run.refused, run.repeats), (2, 2, 1));
    assert_eq!(store.rows[&t], [Some(1), Some(7)]);
    let mut again = store.clone();
    let run = again.record(SameStamp::Drop, &messages);
    assert_eq!((run.stored, run.refused, run.repeats), (0, 2, 3));
    assert_eq!(again, store);

    let mut store = Store::default();
    store.record(SameStamp::Merge, &messages);
    assert_eq!(store.rows, BTreeMap::from([(t, [Some(1), Some(7)])]), "the last one stands");
}

#[test]
fn rising_times_and_two_clocks_that_differ_a_little_cost_no_look_into_the_store() {
    let mut store = Store::default();
    let rising = (0..5000).map(|i| (0, at(TODAY + f64::from(i) * 0.001, 0), 0));
    let behind = (0..5000).map(|i| (0, at(TODAY + f64::from(i) * 0.001 - 3.0, 1), 0));
    let messages: Vec<Message> = rising.zip(behind).flat_map(|(a, b)| [a, b]).collect();
    let run = store.record(SameStamp::Keep, &messages);
    assert_eq!((run.looks, run.stored), (0, 10_000));
}

#[test]
fn a_stamp_that_stands_still_costs_the_same_for_every_message() {
    let mut store = Store::default();
    let t = at(5.0, 0);
    let mut run = store.record(SameStamp::Keep, &[]);
    let count = MAX_ROWS as u64 + 20_000;
    for identity in 0..count {
        let arrival = arrival(t, identity);
        let mut looks = 0;
        let stored_at = |_| {
            looks += 1;
            Ok::<_, Infallible>(Stored::Other)
        };
        let Ok(place) = run.slots.place(arrival, SameStamp::Keep, stored_at);
        let Place::Free(at) = place else { panic!("{place:?}") };
        assert_eq!(at.as_secs().to_bits(), t.as_secs().to_bits() + identity);
        assert_eq!(looks, 0);
        run.slots.take(arrival, at, true);
    }
    assert!(run.slots.recent.len() <= MAX_ROWS && run.slots.chains.len() == 1);
    assert!(run.slots.chains[0].identities.len() <= MAX_IDENTITIES);
    let last = arrival(t, count - 1);
    let Ok(place) = run.slots.place(last, SameStamp::Keep, |_| Ok::<_, Infallible>(Stored::Other));
    assert_eq!(place, Place::Repeat);
}

#[test]
fn a_search_that_begins_anew_at_a_repeat_knows_the_rows_behind_it() {
    let t = at(TODAY, 0);
    let mut messages: Vec<Message> = (0..13).map(|content| (0, t, content)).collect();
    // So many other searches that the one for `t` is no longer remembered.
    for group in 1..=MAX_CHAINS as u32 {
        let other = at(TODAY + f64::from(group), 0);
        messages.extend((0..13).map(|content| (0, other, content)));
    }
    let count = messages.len();
    messages.extend([(0, t, 9), (0, t, 99), (0, t, 11)]);
    let mut store = Store::default();
    let run = store.record(SameStamp::Keep, &messages);
    assert_eq!((run.stored, run.repeats), (count + 1, 2));
}

#[test]
fn what_could_not_be_stored_is_no_repeat_when_it_comes_again() {
    let t = at(TODAY, 0);
    let mut slots = Slots::behind(None);
    let nothing = |_| Ok::<_, Infallible>(Stored::Nothing);
    for identity in [1, 2] {
        let arrival = arrival(t, identity);
        let Ok(Place::Free(at)) = slots.place(arrival, SameStamp::Keep, nothing) else { panic!() };
        slots.take(arrival, at, true);
    }
    slots.give_back(2, at(TODAY, 1));
    let again = arrival(t, 2);
    assert_eq!(slots.place(again, SameStamp::Keep, nothing), Ok(Place::Free(at(TODAY, 1))));
    let first = Arrival { identity: 1, ..again };
    assert_eq!(slots.place(first, SameStamp::Keep, nothing), Ok(Place::Repeat));
}

/// Close times: equal, adjacent, or near enough to be remembered.
fn close_time() -> impl Strategy<Value = Timestamp> {
    (0..4_u32, 0..5_u32).prop_map(|(group, ticks)| at(TODAY + f64::from(group) * 1.5, ticks))
}

/// Any times: back and forth between stretches that are too far apart for both to be remembered.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (0..4_u32, 0..5_u32).prop_map(|(group, ticks)| at(TODAY + f64::from(group) * 17.0, ticks))
}

fn messages(
    topics: u32,
    time: impl Strategy<Value = Timestamp>,
) -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec((0..topics, time, 0..4_u8), 0..120)
}

fn assert_same_once_more(store: &Store, messages: &[Message]) {
    let mut again = store.clone();
    let run = again.record(SameStamp::Keep, messages);
    assert_eq!((run.stored, run.repeats), (0, messages.len()));
    assert_eq!(again, *store);
}

fn distinct(messages: &[Message]) -> usize {
    messages.iter().collect::<BTreeSet<_>>().len()
}

proptest! {
    #[test]
    fn every_distinct_message_of_one_recording_is_in_a_row_of_its_own(
        messages in messages(2, close_time()),
    ) {
        let mut store = Store::default();
        let run = store.record(SameStamp::Keep, &messages);
        prop_assert_eq!(run.stored, distinct(&messages));
        prop_assert_eq!(run.stored + run.repeats, messages.len());
        let rows_of = std::mem::take(&mut run.rows_of.clone());
        for topic in 0..2 {
            let of_topic = rows_of.iter().filter(|((_, t, _), _)| *t == topic);
            let rows: Vec<Timestamp> = of_topic.clone().map(|(_, row)| *row).collect();
            prop_assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
        }
        for ((ts, topic, content), row) in rows_of {
            prop_assert_eq!(store.rows[&row][topic as usize], Some(content));
            // No earlier time is free.
            let mut slot = ts;
            while slot < row {
                prop_assert!(store.rows.contains_key(&slot));
                slot = slot.next().unwrap();
            }
            prop_assert_eq!(slot, row);
        }
    }

    #[test]
    fn the_same_messages_once_more_give_the_same_rows(
        messages in messages(1, prop_oneof![close_time(), any_time()]),
        earlier in messages(1, prop_oneof![close_time(), any_time()]),
    ) {
        // Also after other messages were recorded.
        let mut store = keep(&earlier);
        store.record(SameStamp::Keep, &messages);
        assert_same_once_more(&store, &messages);
    }

    #[test]
    fn the_same_messages_of_two_topics_once_more_give_the_same_rows(
        messages in messages(2, close_time()),
    ) {
        assert_same_once_more(&keep(&messages), &messages);
    }

    #[test]
    fn a_recording_writes_over_nothing_and_loses_nothing(
        earlier in messages(2, prop_oneof![close_time(), any_time()]),
        messages in messages(2, prop_oneof![close_time(), any_time()]),
    ) {
        let before = keep(&earlier);
        let mut store = before.clone();
        store.record(SameStamp::Keep, &messages);
        for (ts, row) in &before.rows {
            let now = store.rows[ts];
            prop_assert!((0..2).all(|topic| row[topic].is_none() || row[topic] == now[topic]));
        }
        for (topic, ts, content) in earlier.into_iter().chain(messages) {
            let mut slot = ts;
            while store.rows[&slot][topic as usize] != Some(content) {
                slot = slot.next().unwrap();
                prop_assert!(store.rows.contains_key(&slot), "{topic} {ts} {content} is lost");
            }
        }
    }

    #[test]
    fn topics_of_the_same_columns_merge_the_same_way_each_time(
        messages in prop::collection::vec((0..2_u32, 0..30_u32), 0..60),
    ) {
        // Messages with distinct contents, at times that are not adjacent.
        let messages: Vec<Message> = messages
            .into_iter()
            .zip(0..)
            .map(|((topic, time), content)| (topic, at(TODAY + f64::from(time), 0), content))
            .collect();
        let mut store = Store { is_mixed: true, ..Store::default() };
        store.record(SameStamp::Keep, &messages);
        let mut again = store.clone();
        again.record(SameStamp::Keep, &messages);
        prop_assert_eq!(again, store);
    }
}
