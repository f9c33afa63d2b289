//! Which times of a track are taken, and by which messages, so that no message overwrites another.
//! It knows the recent rows of this recording; for all others it asks the store. Pure bookkeeping
//! of times and identities.
//!
//! A message whose time is later than all others passes at once; nearly every message does. For the
//! rest, a search tries the times from the message's own time on, one float after the other, up to
//! the first free one. Rows of this recording are distinguished by identity. A row of an earlier
//! recording with the same content counts as the same message, once for each identity. So a bag
//! that is imported again finds the rows that it made.

use std::collections::{HashSet, VecDeque};

use crate::mapping::SameStamp;
use mldash_track::Timestamp;

/// Older rows, this far behind the latest, are left to the store.
const SPAN_SECS: f64 = 10.0;

/// The maximum number of rows to remember per track: 1.5 MiB.
const MAX_ROWS: usize = 1 << 16;

/// A search over more rows than this is remembered.
const LONG_SEARCH: usize = 8;

/// How many searches to remember, each for one time.
const MAX_CHAINS: usize = 4;

/// Maximum number of messages of one time that are recognized as repeats when they come again.
const MAX_IDENTITIES: usize = 1 << 16;

/// Maximum number of rows of earlier recordings passed in a search, to compare with later messages
/// of the same time.
const MAX_UNCLAIMED: usize = 16;

/// A message, or an element, to be placed in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The number of its topic among those of the track.
    pub(super) topic: u32,
    pub(super) ts: Timestamp,
    /// Equal only for the same bytes of the same topic at the same time.
    pub(super) identity: u64,
    /// Whether other topics, merged with this one in the track, have all of its columns. The store
    /// may then hold its own row at its time, overwritten by another topic's.
    pub(super) is_written_over: bool,
}

/// What the store holds at a time, compared with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Nothing,
    /// The message's content. At a time other than the message's own, nothing else.
    Same,
    /// Only columns that the message's topic does not have.
    Foreign,
    /// Something else.
    Other,
}

/// Where to put a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a row of its own at this free time.
    Free(Timestamp),
    /// In the row of its time, which holds nothing of its topic.
    Join,
    /// In the row of its time, over what its topic holds there. Only under `merge`.
    Over,
    /// Nowhere: its row exists already.
    Repeat,
    /// Nowhere: another message of its topic holds its time. Only under `drop`.
    Refused,
}

/// The times of one track.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Rows of this recording in order of time.
    recent: VecDeque<Taken>,
    /// Up to this time the store may hold rows that are not in `recent`.
    unknown_through: Option<Timestamp>,
    /// The most recently used one is last.
    chains: Vec<Chain>,
}

/// A message's part in a row.
#[derive(Clone, Copy, Debug)]
struct Taken {
    ts: Timestamp,
    identity: u64,
    topic: u32,
    /// Whether the message's own time is earlier.
    is_moved: bool,
    /// Whether there was no row at this time before.
    is_new: bool,
}

/// The messages of one time, and how far their rows reach.
#[derive(Debug)]
struct Chain {
    ts: Timestamp,
    /// The topics that hold `ts` itself or a time after it.
    topics: Vec<u32>,
    identities: HashSet<u64>,
    /// Rows of earlier recordings not matched by any message of this one.
    unclaimed: Vec<Timestamp>,
    /// All times from `ts` to before this one are taken.
    next: Timestamp,
}

/// What a search for a free time passed.
#[derive(Debug, Default)]
struct Passed {
    steps: usize,
    topics: Vec<u32>,
    identities: Vec<u64>,
    unclaimed: Vec<Timestamp>,
}

impl Slots {
    /// For a track whose latest row is at `last`.
    pub(super) fn behind(last: Option<Timestamp>) -> Self {
        Self { unknown_through: last, ..Self::default() }
    }

    /// Decides where a message goes. `stored_at` returns what the store holds at a time. Unless it is a
    /// repeat, the caller confirms storing it with [`take`](Self::take).
    pub(super) fn place<E>(
        &mut self,
        arrival: Arrival,
        rule: SameStamp,
        mut stored_at: impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Place, E> {
        let ts = arrival.ts;
        if self.recent.back().is_none_or(|last| ts > last.ts) && self.is_known(ts) {
            return Ok(Place::Free(ts));
        }
        match rule {
            SameStamp::Keep => self.place_beside(arrival, &mut stored_at),
            SameStamp::Drop => self.place_if_first(arrival, &mut stored_at),
            SameStamp::Merge => Ok(self.place_over(arrival)),
        }
    }

    /// Notes that a message was stored at `at`: its own time, or the free one that it was given.
    /// `is_new` means that there was no row.
    pub(super) fn take(&mut self, arrival: Arrival, at: Timestamp, is_new: bool) {
        let Arrival { topic, identity, ts, .. } = arrival;
        if let Some(chain) = self.chains.iter_mut().find(|chain| chain.ts == ts) {
            chain.add(arrival);
            if at >= chain.next {
                chain.next = at.next().unwrap_or(at);
            }
        }
        let taken = Taken { ts: at, identity, topic, is_moved: at != ts, is_new };
        match self.recent.back() {
            Some(last) if at.as_secs() < last.ts.as_secs() - SPAN_SECS => {
                // A new stretch of time begins. The store knows what was before.
                self.unknown_through = self.unknown_through.max(Some(last.ts));
                self.recent.clear();
                self.recent.push_back(taken);
            }
            Some(last) if at <= last.ts => {
                if self.at(at).all(|known| known.identity != identity) {
                    let place = self.recent.partition_point(|known| known.ts <= at);
                    self.recent.insert(place, taken);
                }
            }
            _ => self.recent.push_back(taken),
        }
        self.forget_old();
    }

    /// Releases the time of a message that was not stored after all.
    pub(super) fn give_back(&mut self, identity: u64, at: Timestamp) {
        self.recent.retain(|taken| taken.ts != at || taken.identity != identity);
        for chain in &mut self.chains {
            chain.identities.remove(&identity);
        }
    }

    /// Returns true if the store holds nothing at this time that is not in `recent`.
    fn is_known(&self, ts: Timestamp) -> bool {
        self.unknown_through.is_none_or(|through| ts > through)
    }

    fn at(&self, ts: Timestamp) -> impl Iterator<Item = &Taken> {
        let from = self.recent.partition_point(|taken| taken.ts < ts);
        self.recent.range(from..).take_while(move |taken| taken.ts == ts)
    }

    /// Places it in the row of the message's time, whatever its topic holds there.
    fn place_over(&mut self, arrival: Arrival) -> Place {
        let from = self.recent.partition_point(|taken| taken.ts < arrival.ts);
        let mut here = self.recent.range_mut(from..).take_while(|taken| taken.ts == arrival.ts);
        match here.find(|taken| taken.topic == arrival.topic) {
            Some(taken) if taken.identity != arrival.identity => {
                // The later message's fields win.
                taken.identity = arrival.identity;
                Place::Over
            }
            _ => Place::Join,
        }
    }

    /// Places it in a row at the message's own time, unless its topic holds that time.
    fn place_if_first<E>(
        &mut self,
        arrival: Arrival,
        stored_at: &mut impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Place, E> {
        if let Some(place) =
            self.try_slot(arrival, arrival.ts, &mut Passed::default(), stored_at)?
        {
            return Ok(place);
        }
        if self.at(arrival.ts).any(|taken| taken.topic == arrival.topic) {
            return Ok(Place::Refused);
        }
        let is_of_moved = self.at(arrival.ts).any(|taken| taken.is_moved);
        match is_of_moved {
            // It is the first of its topic, and a moved row of another topic is at its time.
            true => self.place_beside(arrival, stored_at),
            false if arrival.is_written_over => Ok(Place::Join),
            false => Ok(Place::Refused),
        }
    }

    /// Places it in a row at the message's own time, else at the first free time after it.
    fn place_beside<E>(
        &mut self,
        arrival: Arrival,
        stored_at: &mut impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Place, E> {
        let mut slot = arrival.ts;
        let known = self.chains.iter().position(|chain| chain.is_for(arrival));
        if let Some(at) = known {
            // Move it to the end, so that it is evicted last.
            self.chains[at..].rotate_left(1);
            let chain = &self.chains[self.chains.len() - 1];
            if chain.identities.contains(&arrival.identity) {
                return Ok(Place::Repeat);
            }
            slot = chain.next;
            for unclaimed in chain.unclaimed.clone() {
                if self.at(unclaimed).next().is_none() && stored_at(unclaimed)? == Stored::Same {
                    self.claim(arrival, unclaimed);
                    return Ok(Place::Repeat);
                }
            }
        }
        let mut passed = Passed::default();
        let place = loop {
            if let Some(place) = self.try_slot(arrival, slot, &mut passed, stored_at)? {
                break place;
            }
            match slot.next() {
                Some(next) => slot = next,
                None => return Ok(Place::Refused),
            }
        };
        // A chain has to know all rows that it skips, or it takes their messages' repeats for new.
        if known.is_some() || passed.steps > LONG_SEARCH {
            self.remember(arrival, slot, passed, place);
        }
        let is_home_anybodys = || {
            let is_joined = |taken: &Taken| taken.topic != arrival.topic && !taken.is_moved;
            known.is_none() && self.at(arrival.ts).all(is_joined)
        };
        match place {
            // The store's row there may be this very message, overwritten by another topic.
            Place::Free(at)
                if at != arrival.ts && arrival.is_written_over && is_home_anybodys() =>
            {
                Ok(Place::Join)
            }
            place => Ok(place),
        }
    }

    /// Where a message goes at this time; `None` if the time is taken.
    fn try_slot<E>(
        &mut self,
        arrival: Arrival,
        slot: Timestamp,
        passed: &mut Passed,
        stored_at: &mut impl FnMut(Timestamp) -> Result<Stored, E>,
    ) -> Result<Option<Place>, E> {
        passed.steps += 1;
        let (mut is_empty, mut may_join, mut is_new) = (true, slot == arrival.ts, false);
        for taken in self.at(slot) {
            if taken.identity == arrival.identity {
                return Ok(Some(Place::Repeat));
            }
            is_empty = false;
            may_join &= taken.topic != arrival.topic && !taken.is_moved;
            is_new |= taken.is_new;
            passed.identities.push(taken.identity);
            if slot == arrival.ts {
                passed.topics.push(taken.topic);
            }
        }
        if !is_empty && !may_join {
            return Ok(None);
        }
        let stored = match self.is_known(slot) || is_new {
            // The row there is known and belongs to another topic.
            true => Stored::Nothing,
            false => stored_at(slot)?,
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
                passed.unclaimed.push(slot);
                None
            }
        })
    }

    /// Matches a row of an earlier recording to a message.
    fn claim(&mut self, arrival: Arrival, at: Timestamp) {
        if let Some(chain) = self.chains.iter_mut().find(|chain| chain.ts == arrival.ts) {
            chain.unclaimed.retain(|unclaimed| *unclaimed != at);
        }
        self.take(arrival, at, false);
    }

    /// Remembers that all times before `next` are taken.
    fn remember(&mut self, arrival: Arrival, next: Timestamp, passed: Passed, place: Place) {
        let known = self.chains.iter().position(|chain| chain.ts == arrival.ts);
        let mut chain = match known {
            Some(at) => self.chains.remove(at),
            None => Chain::new(arrival.ts),
        };
        chain.next = chain.next.max(next);
        chain.topics.extend(passed.topics);
        chain.topics.push(arrival.topic);
        chain.topics.sort_unstable();
        chain.topics.dedup();
        chain.identities.extend(passed.identities);
        if place == Place::Repeat {
            chain.add(arrival);
        }
        chain.unclaimed.extend(passed.unclaimed);
        chain.unclaimed.truncate(MAX_UNCLAIMED);
        if self.chains.len() == MAX_CHAINS {
            self.chains.remove(0);
        }
        self.chains.push(chain);
    }

    fn forget_old(&mut self) {
        let Some(last) = self.recent.back() else { return };
        let oldest_secs = last.ts.as_secs() - SPAN_SECS;
        while let Some(first) = self.recent.front()
            && (first.ts.as_secs() < oldest_secs || self.recent.len() > MAX_ROWS)
        {
            self.unknown_through = self.unknown_through.max(Some(first.ts));
            self.recent.pop_front();
        }
    }
}

impl Chain {
    fn new(ts: Timestamp) -> Self {
        let (topics, identities, unclaimed) = (Vec::new(), HashSet::new(), Vec::new());
        Self { ts, topics, identities, unclaimed, next: ts }
    }

    fn is_for(&self, arrival: Arrival) -> bool {
        self.ts == arrival.ts && self.topics.contains(&arrival.topic)
    }

    fn add(&mut self, arrival: Arrival) {
        if self.identities.len() >= MAX_IDENTITIES {
            self.identities.clear();
        }
        self.identities.insert(arrival.identity);
        if !self.topics.contains(&arrival.topic) {
            self.topics.push(arrival.topic);
        }
    }
}

#[cfg(test)]
mod tests;
