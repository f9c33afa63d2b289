//! Reads a run's messages ahead of their time, on a thread of its own: bounded in bytes, and waiting when full.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::export::ExportError;
use crate::export::ros2::{RosRun, TrackLosses};
use crate::ros::StopFlag;
use crate::track::ByteBound;

/// How many bytes of messages are read ahead. A picture takes milliseconds to decode, and must not hold up the others.
const LIMIT_BYTES: usize = 64 << 20;
/// What a small message takes besides its bytes.
const ITEM_BYTES: usize = size_of::<Item>();

/// What is read.
pub(super) enum Item {
    Message {
        topic: usize,
        log_nanos: i64,
        cdr: Vec<u8>,
    },
    /// The run is over; what was lost of it.
    End {
        losses: Vec<TrackLosses>,
    },
    /// It can't be read any further.
    Failed(ExportError),
}

/// Messages in order, from the thread that reads to the one that publishes.
pub(super) struct ReadAhead {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    items: VecDeque<Item>,
    bound: ByteBound,
    /// Nothing more comes, or nobody takes more.
    is_closed: bool,
}

impl Default for ReadAhead {
    fn default() -> Self {
        let bound = ByteBound::new(LIMIT_BYTES);
        let queue = Queue { items: VecDeque::new(), bound, is_closed: false };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }
}

impl ReadAhead {
    /// Reads `run` once, or again and again, until it is [closed](Self::close) or stopped.
    pub(super) fn fill(&self, run: &RosRun, is_looping: bool, stop: &StopFlag) {
        loop {
            let is_going_on = match self.fill_once(run, stop) {
                Ok(is_going_on) => is_going_on,
                Err(error) => {
                    self.put(Item::Failed(error));
                    false
                }
            };
            if !is_going_on || !is_looping {
                break;
            }
        }
        self.close();
    }

    fn fill_once(&self, run: &RosRun, stop: &StopFlag) -> Result<bool, ExportError> {
        let mut messages = run.messages();
        while let Some(message) = messages.next()? {
            let (topic, log_nanos, cdr) = (message.topic, message.log_nanos, message.cdr.to_vec());
            if stop.is_set() || !self.put(Item::Message { topic, log_nanos, cdr }) {
                return Ok(false);
            }
        }
        Ok(self.put(Item::End { losses: messages.losses() }))
    }

    /// Waits for room. Returns false if nobody takes more.
    fn put(&self, item: Item) -> bool {
        let mut queue = self.queue.lock();
        let bytes = item.bytes();
        while !queue.is_closed && !queue.bound.try_add(bytes) {
            self.changed.wait(&mut queue);
        }
        if queue.is_closed {
            return false;
        }
        queue.items.push_back(item);
        self.changed.notify_all();
        true
    }

    /// The next item, as soon as there is one; `None` after the last.
    pub(super) fn take(&self) -> Option<Item> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(item) = queue.items.pop_front() {
                queue.bound.release(item.bytes());
                self.changed.notify_all();
                return Some(item);
            }
            if queue.is_closed {
                return None;
            }
            self.changed.wait(&mut queue);
        }
    }

    /// Ends it for both sides. What is in it can still be taken.
    pub(super) fn close(&self) {
        self.queue.lock().is_closed = true;
        self.changed.notify_all();
    }
}

impl Item {
    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::Message { cdr, .. } => cdr.len(),
                Self::End { .. } | Self::Failed(_) => 0,
            }
    }
}
