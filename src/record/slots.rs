//! Which times of a track are taken, and by which messages, so that no message is written over another.
//! Knows the rows that this recording made of late; what else a track holds is asked of the store. Pure
//! bookkeeping over times and identities.
//!
//! A message whose time is later than all others is let through at once, which is nearly every one. For
//! the rest, the times from its own on are gone through, one float after the other, up to the first that
//! is free. Those that this recording took are told apart by identity. A row of an earlier recording that
//! says the same as the message is taken for the same message, once for each identity: so a bag that is
//! imported again finds the very rows that it made.

mod chain;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chain::Chain;

use crate::mapping::SameStamp;
use crate::track::Timestamp;

/// Rows are known for at least so long, of the time that stamps tell, and for no more than twice as long.
const SPAN_SECS: f64 = 5.0;

/// Half of what is known at most of one track, which is 4 MiB.
const MAX_ROWS: usize = 1 << 15;

/// Where more rows than this are gone through, the way is remembered. Tests go long ways, too.
const LONG_WAY: usize = if cfg!(test) { 4 } else { 32 };

/// So many ways are remembered, each for one time.
const MAX_CHAINS: usize = 4;

/// A message, or an element, on its way into a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The number of its topic among those that lead into the track.
    pub(super) topic: u32,
    pub(super) ts: Timestamp,
    /// The same only for the same bytes of the same topic at the same time.
    pub(super) identity: u64,
    /// Whether other topics, which are merged with this one in the track, have all of its columns: what the
    /// store holds at its time may then be its own row with another topic's over it.
    pub(super) is_written_over: bool,
}

/// What the store holds at a time, beside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Nothing,
    /// What the message says; at another time than the message's own, nothing besides.
    Same,
    /// Only columns that the message's topic does not have.
    Foreign,
    /// Something else.
    Other,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A row of its own at this time, which is free.
    Free(Timestamp),
    /// The row of its time, which holds nothing of its topic.
    Join,
    /// The row of its time, over what its topic holds there. Under `merge` only.
    Over,
    /// Nowhere: its row is there.
    Repeat,
    /// Nowhere: another message of its topic holds its time. Under `drop` only.
    Refused,
}

/// The times of one track.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Rows of this recording, those of late and those before.
    recent: [Stretch; 2],
    /// How many topics lead into the track.
    topics: u32,
    /// The latest row of all.
    last: Option<Timestamp>,
    /// Up to here the store may hold rows that are not in `recent`.
    unknown_through: Option<Timestamp>,
    /// The one used last at the end.
    chains: Vec<Chain>,
}

/// Rows of a stretch of time: by time and topic, since a topic has one message in a row.
#[derive(Debug, Default)]
struct Stretch {
    rows: HashMap<(Timestamp, u32), Taken>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// A message's part in a row.
#[derive(Clone, Copy, Debug)]
struct Taken {
    identity: u64,
    /// The message's own time is an earlier one.
    is_moved: bool,
    /// There was no row at this time before.
    is_new: bool,
}

/// What was seen on the way to a free time.
#[derive(Debug)]
struct Way {
    start: Timestamp,
    steps: usize,
    unclaimed: Vec<Timestamp>,
}

impl Slots {
    /// Of a track whose latest row is at `last`.
    pub(super) fn behind(last: Option<Timestamp>) -> Self {
        Self { last, unknown_through: last, ..Self::default() }
    }

    /// Where a message goes; `look` says what the store holds at a time. Unless it is a repeat, whoever
    /// stores it says so by [`take`](Self::take).
    pub(super) fn place<E>(
        &mut self,
        arrival: Arrival,
        rule: SameStamp,
        mut look: impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Place, E> {
        let ts = arrival.ts;
        if self.last.is_none_or(|last| ts > last) {
            return Ok(Place::Free(ts));
        }
        match rule {
            SameStamp::Keep => self.place_beside(arrival, &mut look),
            SameStamp::Drop => self.place_if_first(arrival, &mut look),
            SameStamp::Merge => Ok(self.place_over(arrival)),
        }
    }

    /// Notes that a message was given `at`: its own time, or the free one that it was told. `is_new`: there
    /// was no row.
    pub(super) fn take(&mut self, arrival: Arrival, at: Timestamp, is_new: bool) {
        let Arrival { topic, identity, ts, .. } = arrival;
        if let Some(chain) = self.chains.iter_mut().find(|chain| chain.ts == ts) {
            chain.add(arrival);
            if at >= chain.next {
                chain.next = at.next().unwrap_or(at);
            }
        }
        if self.recent[0].is_full(at) {
            // What is given up is the store's to tell.
            self.unknown_through = self.unknown_through.max(self.recent[1].last);
            self.recent.swap(0, 1);
            self.recent[0].clear();
        }
        self.recent[0].insert(at, topic, Taken { identity, is_moved: at != ts, is_new });
        self.topics = self.topics.max(topic.saturating_add(1));
        self.last = self.last.max(Some(at));
    }

    /// Takes back what was given to a message that was not stored after all.
    pub(super) fn give_back(&mut self, arrival: Arrival, at: Timestamp) {
        let key = (at, arrival.topic);
        for stretch in &mut self.recent {
            if stretch.rows.get(&key).is_some_and(|taken| taken.identity == arrival.identity) {
                stretch.rows.remove(&key);
            }
        }
        for chain in &mut self.chains {
            chain.identities.remove(&arrival.identity);
        }
    }

    /// Whether the store holds nothing at a time that is not in `recent`.
    fn is_known(&self, ts: Timestamp) -> bool {
        self.unknown_through.is_none_or(|through| ts > through)
    }

    /// The topics that have a message in the row of a time.
    fn at(&self, ts: Timestamp) -> impl Iterator<Item = (u32, &Taken)> {
        (0..self.topics).filter_map(move |topic| Some((topic, self.of(ts, topic)?)))
    }

    fn of(&self, ts: Timestamp, topic: u32) -> Option<&Taken> {
        self.recent.iter().find_map(|stretch| stretch.rows.get(&(ts, topic)))
    }

    /// The row of the message's time, whatever its topic holds there.
    fn place_over(&mut self, arrival: Arrival) -> Place {
        let key = (arrival.ts, arrival.topic);
        match self.recent.iter_mut().find_map(|stretch| stretch.rows.get_mut(&key)) {
            Some(taken) if taken.identity != arrival.identity => {
                // The later one's fields stand.
                taken.identity = arrival.identity;
                Place::Over
            }
            _ => Place::Join,
        }
    }

    /// A row at the message's own time, if its topic does not hold that.
    fn place_if_first<E>(
        &mut self,
        arrival: Arrival,
        look: &mut impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Place, E> {
        if let Some(place) = self.try_slot(arrival, arrival.ts, &mut Way::from(arrival.ts), look)? {
            return Ok(place);
        }
        if self.of(arrival.ts, arrival.topic).is_some() {
            return Ok(Place::Refused);
        }
        let is_of_moved = self.at(arrival.ts).any(|(_, taken)| taken.is_moved);
        match is_of_moved {
            // It is the first of its topic, and its time is a moved row's of another.
            true => self.place_beside(arrival, look),
            false if arrival.is_written_over => Ok(Place::Join),
            false => Ok(Place::Refused),
        }
    }

    /// A row at the message's own time, else the first free one behind it.
    fn place_beside<E>(
        &mut self,
        arrival: Arrival,
        look: &mut impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Place, E> {
        let mut slot = arrival.ts;
        let known = self.chains.iter().position(|chain| chain.is_for(arrival));
        if let Some(at) = known {
            // To the end, so that it is the last to go.
            self.chains[at..].rotate_left(1);
            let chain = &self.chains[self.chains.len() - 1];
            if chain.identities.contains(&arrival.identity) {
                return Ok(Place::Repeat);
            }
            slot = chain.next;
            for passed in chain.unclaimed.clone() {
                if self.at(passed).next().is_none() && look(passed)? == Stored::Same {
                    self.claim(arrival, passed);
                    return Ok(Place::Repeat);
                }
            }
        }
        let mut way = Way::from(slot);
        let place = loop {
            if let Some(place) = self.try_slot(arrival, slot, &mut way, look)? {
                break place;
            }
            match slot.next() {
                Some(next) => slot = next,
                None => return Ok(Place::Refused),
            }
        };
        if way.steps > LONG_WAY {
            self.remember(arrival, slot, way, place);
        }
        let is_home_anybodys = || {
            let is_joined = |topic, taken: &Taken| topic != arrival.topic && !taken.is_moved;
            known.is_none() && self.at(arrival.ts).all(|(topic, taken)| is_joined(topic, taken))
        };
        match place {
            // What the store holds there may be this very message, with another topic's over it.
            Place::Free(at)
                if at != arrival.ts && arrival.is_written_over && is_home_anybodys() =>
            {
                Ok(Place::Join)
            }
            place => Ok(place),
        }
    }

    /// What a time is for a message; `None` when it is taken.
    fn try_slot<E>(
        &mut self,
        arrival: Arrival,
        slot: Timestamp,
        way: &mut Way,
        look: &mut impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Option<Place>, E> {
        way.steps += 1;
        let (mut is_empty, mut may_join, mut is_new) = (true, slot == arrival.ts, false);
        for (topic, taken) in self.at(slot) {
            if taken.identity == arrival.identity {
                return Ok(Some(Place::Repeat));
            }
            is_empty = false;
            may_join &= topic != arrival.topic && !taken.is_moved;
            is_new |= taken.is_new;
        }
        if !is_empty && !may_join {
            return Ok(None);
        }
        let stored = match self.is_known(slot) || is_new {
            // What is there is known, and of another topic.
            true => Stored::Nothing,
            false => look(slot)?,
        };
        Ok(match stored {
            Stored::Nothing if is_empty => Some(Place::Free(slot)),
            Stored::Nothing => Some(Place::Join),
            Stored::Foreign if may_join => Some(Place::Join),
            Stored::Same => {
                self.claim(arrival, slot);
                Some(Place::Repeat)
            }
            Stored::Foreign | Stored::Other => {
                way.unclaimed.push(slot);
                None
            }
        })
    }

    /// A row of an earlier recording is found to be a message's.
    fn claim(&mut self, arrival: Arrival, at: Timestamp) {
        if let Some(chain) = self.chains.iter_mut().find(|chain| chain.ts == arrival.ts) {
            chain.unclaimed.retain(|unclaimed| *unclaimed != at);
        }
        self.take(arrival, at, false);
    }

    /// Remembers that all times before `next` are taken.
    fn remember(&mut self, arrival: Arrival, next: Timestamp, way: Way, place: Place) {
        let known = self.chains.iter().position(|chain| chain.ts == arrival.ts);
        let mut chain = match known {
            Some(at) => self.chains.remove(at),
            None => Chain::new(arrival.ts),
        };
        chain.topics.push(arrival.topic);
        chain.topics.extend(self.at(arrival.ts).map(|(topic, _)| topic));
        chain.topics.sort_unstable();
        chain.topics.dedup();
        let steps = std::iter::successors(Some(way.start), |slot| slot.next());
        for slot in steps.take_while(|slot| *slot < next) {
            chain.identities.extend(self.at(slot).map(|(_, taken)| taken.identity));
        }
        chain.next = chain.next.max(next);
        if place == Place::Repeat {
            chain.add(arrival);
        }
        chain.pass_over(way.unclaimed);
        if self.chains.len() == MAX_CHAINS {
            self.chains.remove(0);
        }
        self.chains.push(chain);
    }
}

impl Stretch {
    /// Whether another stretch begins with a row at this time.
    fn is_full(&self, at: Timestamp) -> bool {
        let is_far = |first: Timestamp| (at.as_secs() - first.as_secs()).abs() > SPAN_SECS;
        self.rows.len() >= MAX_ROWS || self.first.is_some_and(is_far)
    }

    /// Keeps its memory: the next one will take about as much.
    fn clear(&mut self) {
        self.rows.clear();
        (self.first, self.last) = (None, None);
    }

    fn insert(&mut self, at: Timestamp, topic: u32, taken: Taken) {
        self.rows.insert((at, topic), taken);
        self.first.get_or_insert(at);
        self.last = self.last.max(Some(at));
    }
}

impl Way {
    fn from(start: Timestamp) -> Self {
        Self { start, steps: 0, unclaimed: Vec::new() }
    }
}
