//! Reads a run's messages ahead of their time, on a thread of its own: bounded in bytes, and waiting when full.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::export::ExportError;
use crate::export::ros2::{RosRun, TrackLosses};
use crate::ros::StopFlag;
use crate::track::ByteBound;

/// How many bytes of messages are read ahead. A picture takes milliseconds to decode, and must not hold up the others.
const LIMIT_BYTES: usize = 64 << 20;
/// What a small message takes besides its bytes.
const ITEM_BYTES: usize = size_of::<Item>();

/// How often who waits for a message looks whether the replay is stopped: at its deadline nobody wakes it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

/// Closes it when dropped, also where a side panics: the other one would wait for ever.
pub(super) struct Closing<'a>(&'a ReadAhead);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Default for ReadAhead {
    fn default() -> Self {
        let bound = ByteBound::new(LIMIT_BYTES);
        let queue = Queue { items: VecDeque::new(), bound, is_closed: false };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }
}

impl ReadAhead {
    /// Reads `run` once, or again and again, until it is closed or stopped.
    pub(super) fn fill(&self, run: &RosRun, is_looping: bool, stop: &StopFlag) {
        self.fill_by(is_looping, || self.fill_once(run, stop));
    }

    /// `fill_once` returns whether it goes on.
    fn fill_by(&self, is_looping: bool, mut fill_once: impl FnMut() -> Result<bool, ExportError>) {
        let _closing = self.closing();
        loop {
            let is_going_on = match fill_once() {
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

    /// The next item, as soon as there is one; `None` after the last, or once the replay is stopped.
    pub(super) fn take(&self, stop: &StopFlag) -> Option<Item> {
        let mut queue = self.queue.lock();
        while !stop.is_set() {
            if let Some(item) = queue.items.pop_front() {
                queue.bound.release(item.bytes());
                self.changed.notify_all();
                return Some(item);
            }
            if queue.is_closed {
                break;
            }
            self.changed.wait_for(&mut queue, LOOK_EVERY);
        }
        None
    }

    /// Closes it once that is dropped.
    pub(super) fn closing(&self) -> Closing<'_> {
        Closing(self)
    }

    /// Ends it for both sides. What is in it can still be taken.
    fn close(&self) {
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_reader_that_panics_leaves_nobody_waiting() {
        let ahead = ReadAhead::default();
        thread::scope(|scope| {
            let reading = scope.spawn(|| {
                ahead.fill_by(false, || {
                    ahead.put(Item::End { losses: Vec::new() });
                    panic!("a picture that no decoder likes");
                });
            });
            let stop = StopFlag::default();
            assert!(matches!(ahead.take(&stop), Some(Item::End { .. })));
            assert!(ahead.take(&stop).is_none());
            assert!(reading.join().is_err());
        });
    }

    #[test]
    fn a_stop_ends_the_wait_for_a_reader_that_gives_nothing() {
        let (ahead, stop) = (ReadAhead::default(), StopFlag::default());
        thread::scope(|scope| {
            let taking = scope.spawn(|| ahead.take(&stop).is_none());
            stop.stop();
            assert!(taking.join().unwrap());
        });
    }
}
