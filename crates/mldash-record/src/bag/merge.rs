//! Sorts the messages of several bags by log time, within a bounded window.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::error::BagError;
use super::file::{BagFile, BagMessage};
use super::topics::BagTopics;

/// The limit on held messages of all bags together.
const WINDOW_BYTES: usize = 32 << 20;
/// The memory of a held message besides its own bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// Further errors are only logged.
const MAX_ERRORS: usize = 64;

/// The least that a bag may unpack in memory, however many are read side by side.
const MIN_UNPACKED_BYTES: usize = 1 << 20;

/// Bags that are read side by side. A part of the window is held for every bag that has begun and
/// not ended. A bag that begins later is not opened before its time has come.
pub(super) struct Merge {
    bags: Vec<Bag>,
    held: BinaryHeap<Reverse<Held>>,
    /// Messages read so far.
    sequence: u64,
    errors: Vec<BagError>,
}

/// The files of a bag, which follow each other in time.
struct Bag {
    files: VecDeque<BagFile>,
    /// The log time of its first message; `None` if it is unknown or has come.
    starts_at: Option<i64>,
    /// Bytes on disk of files that have ended.
    read_bytes: u64,
    held_bytes: usize,
}

/// Ordered by log time (those without one last), then by bag, then by position in the bag.
struct Held {
    bag: usize,
    sequence: u64,
    message: BagMessage,
}

impl Merge {
    pub(super) fn new(bags: Vec<Vec<BagFile>>) -> Self {
        // A single bag has nothing to wait for.
        let is_alone = bags.len() == 1;
        let bag = |files: Vec<BagFile>| {
            let first = files.first().filter(|_| !is_alone);
            let starts_at = first.and_then(BagFile::starts_at);
            Bag { files: files.into(), starts_at, read_bytes: 0, held_bytes: 0 }
        };
        Self {
            bags: bags.into_iter().map(bag).collect(),
            held: BinaryHeap::new(),
            sequence: 0,
            errors: Vec::new(),
        }
    }

    /// The earliest message held.
    pub(super) fn next(&mut self, topics: &mut BagTopics<'_>) -> Option<BagMessage> {
        loop {
            let is_read = |bag: &&Bag| bag.starts_at.is_none() && !bag.files.is_empty();
            let window_bytes = WINDOW_BYTES / self.bags.iter().filter(is_read).count().max(1);
            for bag in 0..self.bags.len() {
                self.fill(bag, window_bytes, topics);
            }
            let earliest = self.held.peek().map(|Reverse(held)| held.key().0);
            let waiting = self.bags.iter_mut().filter(|bag| bag.starts_at.is_some());
            match waiting.min_by_key(|bag| bag.starts_at) {
                Some(next) if earliest.is_none_or(|earliest| next.starts_at <= Some(earliest)) => {
                    next.starts_at = None;
                }
                _ => break,
            }
        }
        let Reverse(held) = self.held.pop()?;
        if let Some(bag) = self.bags.get_mut(held.bag) {
            bag.held_bytes -= held.message.held_bytes();
        }
        Some(held.message)
    }

    /// Bytes on disk that were read of all bags.
    pub(super) fn read_bytes(&self) -> u64 {
        let of_bag = |bag: &Bag| bag.read_bytes + bag.files.front().map_or(0, BagFile::read_bytes);
        self.bags.iter().map(of_bag).sum()
    }

    /// What could not be read.
    pub(super) fn into_errors(self) -> Vec<BagError> {
        self.errors
    }

    fn fill(&mut self, index: usize, window_bytes: usize, topics: &mut BagTopics<'_>) {
        let Some(bag) = self.bags.get_mut(index).filter(|bag| bag.starts_at.is_none()) else {
            return;
        };
        let unpacked_bytes = window_bytes.max(MIN_UNPACKED_BYTES);
        while bag.held_bytes < window_bytes {
            let Some(file) = bag.files.front_mut() else { return };
            match file.next(topics, unpacked_bytes) {
                Ok(Some(message)) => {
                    bag.held_bytes += message.held_bytes();
                    self.sequence += 1;
                    let sequence = self.sequence;
                    self.held.push(Reverse(Held { bag: index, sequence, message }));
                }
                Ok(None) => {
                    bag.read_bytes += file.size_bytes();
                    bag.files.pop_front();
                }
                Err(error) => {
                    tracing::warn!("{}", error.line());
                    if self.errors.len() < MAX_ERRORS {
                        self.errors.push(error);
                    }
                }
            }
        }
    }
}

impl BagMessage {
    pub(super) fn held_bytes(&self) -> usize {
        self.cdr.len() + MESSAGE_OVERHEAD_BYTES
    }
}

impl Held {
    fn key(&self) -> (i64, usize, u64) {
        (self.message.log_time.unwrap_or(i64::MAX), self.bag, self.sequence)
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
