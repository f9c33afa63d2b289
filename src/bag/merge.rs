//! Messages of several bags in the order of their log times, within a bounded window.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::error::BagError;
use super::file::{BagFile, BagMessage};
use super::topics::BagTopics;

/// What is held of all bags together to be put in order.
const WINDOW_BYTES: usize = 32 << 20;
/// What a held message takes besides its own bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// Bags that are read side by side. Of every bag that has not ended, a window's worth is held.
pub(super) struct Merge {
    bags: Vec<Bag>,
    held: BinaryHeap<Reverse<Held>>,
    window_bytes: usize,
    /// Messages read so far.
    sequence: u64,
    errors: Vec<BagError>,
}

struct Bag {
    file: BagFile,
    held_bytes: usize,
    ended: bool,
}

/// Ordered by log time, then by bag, then by place in the bag.
struct Held {
    bag: usize,
    sequence: u64,
    message: BagMessage,
}

impl Merge {
    pub(super) fn new(files: Vec<BagFile>) -> Self {
        let window_bytes = WINDOW_BYTES / files.len().max(1);
        let bags = files.into_iter().map(|file| Bag { file, held_bytes: 0, ended: false });
        Self {
            bags: bags.collect(),
            held: BinaryHeap::new(),
            window_bytes: window_bytes.max(1),
            sequence: 0,
            errors: Vec::new(),
        }
    }

    /// The earliest message that is held.
    pub(super) fn next(&mut self, topics: &mut BagTopics<'_>) -> Option<BagMessage> {
        for bag in 0..self.bags.len() {
            self.fill(bag, topics);
        }
        let Reverse(held) = self.held.pop()?;
        if let Some(bag) = self.bags.get_mut(held.bag) {
            bag.held_bytes -= held.message.held_bytes();
        }
        Some(held.message)
    }

    /// Bytes read of all bags.
    pub(super) fn read_bytes(&self) -> u64 {
        self.bags.iter().map(|bag| bag.file.read_bytes()).sum()
    }

    /// Why bags ended before their end.
    pub(super) fn into_errors(self) -> Vec<BagError> {
        self.errors
    }

    fn fill(&mut self, index: usize, topics: &mut BagTopics<'_>) {
        let Some(bag) = self.bags.get_mut(index) else { return };
        while !bag.ended && bag.held_bytes < self.window_bytes {
            match bag.file.next(topics) {
                Ok(Some(message)) => {
                    bag.held_bytes += message.held_bytes();
                    self.sequence += 1;
                    let sequence = self.sequence;
                    self.held.push(Reverse(Held { bag: index, sequence, message }));
                }
                Ok(None) => bag.ended = true,
                Err(error) => {
                    bag.ended = true;
                    super::warn(&error);
                    self.errors.push(error);
                }
            }
        }
    }
}

impl BagMessage {
    fn held_bytes(&self) -> usize {
        self.cdr.len() + MESSAGE_OVERHEAD_BYTES
    }
}

impl Held {
    fn key(&self) -> (u64, usize, u64) {
        (self.message.log_time, self.bag, self.sequence)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
