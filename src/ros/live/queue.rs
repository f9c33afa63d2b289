//! Messages on their way from the node to the recorder: bounded in bytes, never blocking the node.
//!
//! Two lanes, so that large messages can't starve small ones: a topic that has sent one above
//! [`HEAVY_MESSAGE_BYTES`] goes by the heavy lane, whose bound is its own and which is served after the
//! light one. A topic moves to it once and for good, behind what it has in the light lane, so its
//! messages keep their order.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::record::{HEAVY_MESSAGE_BYTES, QueueFill};

/// A message as it came off the wire.
#[derive(Debug)]
pub(super) struct RawMessage {
    pub(super) topic: usize,
    /// CDR, encapsulation header first.
    pub(super) cdr: Vec<u8>,
    pub(super) received_nanos: i64,
}

impl RawMessage {
    /// What it takes of the queue's bound.
    fn cost(&self) -> usize {
        self.cdr.len() + size_of::<Self>()
    }
}

/// What the recorder takes off the queue.
#[derive(Debug)]
pub(super) enum Taken<C> {
    /// Something other than a message; before any message that was pushed after it, and after those
    /// before it if it was pushed behind them.
    Control(C),
    /// The oldest message of the lane whose turn it is.
    Message(RawMessage),
    /// Closed and empty.
    Closed,
}

/// The bounded queue; `C` is what the node tells the recorder besides messages.
#[derive(Debug)]
pub(super) struct MessageQueue<C> {
    state: Mutex<State<C>>,
    filled: Condvar,
    light_limit_bytes: usize,
    heavy_limit_bytes: usize,
}

#[derive(Debug)]
struct State<C> {
    control: VecDeque<Told<C>>,
    /// Messages that were pushed so far.
    pushed: u64,
    light: Lane,
    heavy: Lane,
    /// By topic number: whether it goes by the heavy lane.
    heavy_topics: Vec<bool>,
    closed: bool,
    /// Whether the recorder sleeps; waking it costs a system call.
    waiting: bool,
}

/// What is told, and the number of messages that go first.
#[derive(Debug)]
struct Told<C> {
    control: C,
    behind: u64,
}

#[derive(Debug, Default)]
struct Lane {
    /// Each with its number among all messages, counted from 0.
    messages: VecDeque<(u64, RawMessage)>,
    bytes: usize,
}

impl Lane {
    fn push(
        &mut self,
        number: u64,
        message: RawMessage,
        limit_bytes: usize,
    ) -> Result<(), RawMessage> {
        let cost = message.cost();
        // One message larger than the bound is let through alone rather than never.
        if self.bytes > 0 && self.bytes + cost > limit_bytes {
            return Err(message);
        }
        self.bytes += cost;
        self.messages.push_back((number, message));
        Ok(())
    }

    /// The oldest message, if its number is below `end`.
    fn pop_before(&mut self, end: u64) -> Option<RawMessage> {
        self.messages.front().filter(|(number, _)| *number < end)?;
        let (_, message) = self.messages.pop_front()?;
        self.bytes -= message.cost();
        Some(message)
    }
}

impl<C> MessageQueue<C> {
    /// A queue that holds at most these many bytes a lane.
    pub(super) fn new(light_limit_bytes: usize, heavy_limit_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                control: VecDeque::new(),
                pushed: 0,
                light: Lane::default(),
                heavy: Lane::default(),
                heavy_topics: Vec::new(),
                closed: false,
                waiting: false,
            }),
            filled: Condvar::new(),
            light_limit_bytes,
            heavy_limit_bytes,
        }
    }

    /// Queues a message, or hands it back when its lane is full; never waits.
    pub(super) fn push(&self, message: RawMessage) -> Result<(), RawMessage> {
        let mut state = self.state.lock();
        let topic = message.topic;
        if state.heavy_topics.len() <= topic {
            state.heavy_topics.resize(topic + 1, false);
        }
        state.heavy_topics[topic] |= message.cdr.len() > HEAVY_MESSAGE_BYTES;
        let number = state.pushed;
        if state.heavy_topics[topic] {
            state.heavy.push(number, message, self.heavy_limit_bytes)?;
        } else {
            state.light.push(number, message, self.light_limit_bytes)?;
        }
        state.pushed += 1;
        self.wake(&mut state);
        Ok(())
    }

    /// Tells the recorder something; it takes no part in the bound.
    pub(super) fn push_control(&self, control: C) {
        self.tell(control, |_| 0);
    }

    /// As [`push_control`](Self::push_control), once all messages pushed so far are taken.
    pub(super) fn push_behind_messages(&self, control: C) {
        self.tell(control, |pushed| pushed);
    }

    fn tell(&self, control: C, behind: impl FnOnce(u64) -> u64) {
        let mut state = self.state.lock();
        let behind = behind(state.pushed);
        state.control.push_back(Told { control, behind });
        self.wake(&mut state);
    }

    /// What waits.
    pub(super) fn fill(&self) -> QueueFill {
        let state = self.state.lock();
        QueueFill {
            light_bytes: state.light.bytes,
            light_limit_bytes: self.light_limit_bytes,
            heavy_bytes: state.heavy.bytes,
            heavy_limit_bytes: self.heavy_limit_bytes,
            ..QueueFill::default()
        }
    }

    /// Nothing is pushed from now on.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.wake(&mut state);
    }

    /// Waits for the next thing to do.
    pub(super) fn take(&self) -> Taken<C> {
        let mut state = self.state.lock();
        loop {
            let end = state.control.front().map_or(u64::MAX, |told| told.behind);
            let State { light, heavy, .. } = &mut *state;
            if let Some(message) = light.pop_before(end).or_else(|| heavy.pop_before(end)) {
                return Taken::Message(message);
            }
            if let Some(told) = state.control.pop_front() {
                return Taken::Control(told.control);
            }
            if state.closed {
                return Taken::Closed;
            }
            state.waiting = true;
            self.filled.wait(&mut state);
            state.waiting = false;
        }
    }

    fn wake(&self, state: &mut State<C>) {
        if state.waiting {
            self.filled.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: usize, len: usize) -> RawMessage {
        RawMessage { topic, cdr: vec![0; len], received_nanos: 0 }
    }

    fn drain(queue: &MessageQueue<&str>) -> Vec<String> {
        queue.close();
        let mut taken = Vec::new();
        loop {
            match queue.take() {
                Taken::Control(control) => taken.push(control.to_owned()),
                Taken::Message(m) => taken.push(format!("{}:{}", m.topic, m.cdr.len())),
                Taken::Closed => return taken,
            }
        }
    }

    #[test]
    fn a_full_heavy_lane_costs_light_messages_nothing() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        let heavy: Vec<bool> = (0..10).map(|_| queue.push(message(0, 300_000)).is_ok()).collect();
        assert_eq!(heavy.iter().filter(|taken| **taken).count(), 3);
        for _ in 0..10 {
            queue.push(message(1, 100)).unwrap();
        }
        let taken = drain(&queue);
        assert!(taken[..10].iter().all(|m| m == "1:100"), "{taken:?}");
    }

    #[test]
    fn a_topic_keeps_its_order_when_it_turns_heavy() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        for len in [10, 100_000, 20, 30] {
            queue.push(message(0, len)).unwrap();
        }
        assert_eq!(drain(&queue), ["0:10", "0:100000", "0:20", "0:30"]);
    }

    #[test]
    fn control_comes_before_the_messages_behind_it() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        queue.push_control("topic 0 is /pose");
        queue.push(message(0, 1)).unwrap();
        assert_eq!(drain(&queue), ["topic 0 is /pose", "0:1"]);
    }

    #[test]
    fn what_is_told_behind_messages_comes_after_those_of_both_lanes_and_before_the_next() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        queue.push(message(0, 100_000)).unwrap();
        queue.push(message(1, 1)).unwrap();
        queue.push_behind_messages("split");
        queue.push(message(1, 2)).unwrap();
        queue.push(message(0, 100_001)).unwrap();
        queue.push_control("look");
        assert_eq!(drain(&queue), ["1:1", "0:100000", "split", "look", "1:2", "0:100001"]);
    }

    #[test]
    fn a_message_that_does_not_fit_comes_back() {
        let queue: MessageQueue<&str> = MessageQueue::new(1_000, 1_000);
        queue.push(message(0, 900)).unwrap();
        assert_eq!(queue.push(message(0, 900)).unwrap_err().cdr.len(), 900);
        assert_eq!(drain(&queue), ["0:900"]);
    }
}
