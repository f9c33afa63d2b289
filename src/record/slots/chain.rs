//! The messages of one time where they are many, as under a clock that stands still: so that the way behind
//! them is not gone anew for each.

use std::collections::HashSet;

use super::Arrival;
use crate::track::Timestamp;

/// Messages of one time that are known to be repeats when they come again.
const MAX_IDENTITIES: usize = 1 << 16;

/// Rows of earlier recordings, passed over on a way, that later messages of the time are compared with.
const MAX_UNCLAIMED: usize = 16;

/// The messages of one time, and how far their rows reach.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) ts: Timestamp,
    /// The topics for which `ts` is taken.
    pub(super) topics: Vec<u32>,
    pub(super) identities: HashSet<u64>,
    /// Rows of earlier recordings that no message of this one was found to be.
    pub(super) unclaimed: Vec<Timestamp>,
    /// All from `ts` to before this one are taken.
    pub(super) next: Timestamp,
}

impl Chain {
    pub(super) fn new(ts: Timestamp) -> Self {
        let (topics, identities, unclaimed) = (Vec::new(), HashSet::new(), Vec::new());
        Self { ts, topics, identities, unclaimed, next: ts }
    }

    pub(super) fn is_for(&self, arrival: Arrival) -> bool {
        self.ts == arrival.ts && self.topics.contains(&arrival.topic)
    }

    pub(super) fn add(&mut self, arrival: Arrival) {
        if self.identities.len() >= MAX_IDENTITIES {
            self.identities.clear();
        }
        self.identities.insert(arrival.identity);
        if !self.topics.contains(&arrival.topic) {
            self.topics.push(arrival.topic);
        }
    }

    /// A row that no message of this recording was found to be.
    pub(super) fn pass_over(&mut self, rows: Vec<Timestamp>) {
        self.unclaimed.extend(rows);
        self.unclaimed.truncate(MAX_UNCLAIMED);
    }
}
