//! The message queue from the node to the recorder. It is limited in bytes and never blocks the
//! node.
//!
//! It has two lanes, so that large messages can't starve small ones. A topic that has sent a
//! message above [`HEAVY_MESSAGE_BYTES`] uses the heavy lane, which has its own limit and is served
//! after the light one. A topic moves there once and for good, behind its messages in the light
//! lane, so its messages stay in order.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::record::{HEAVY_MESSAGE_BYTES, QueueFill};
use crate::track::ByteBound;

/// The maximum size of a batch of light messages.
const BATCH_BYTES: usize = 1 << 20;
/// With so many commands waiting, what can be reported later is.
const MAX_REPORTS: usize = 1_000;

/// A message as received.
#[derive(Debug)]
pub(super) struct RawMessage {
    pub(super) topic: usize,
    /// CDR, starting with the encapsulation header.
    pub(super) cdr: Vec<u8>,
    /// Receive time in ROS time; `None` while a simulated clock does not run.
    pub(super) received_nanos: Option<i64>,
    /// Publish time by the publisher's clock; `None` if the middleware does not report it.
    pub(super) source_nanos: Option<i64>,
    /// Arrival time by the system clock.
    pub(super) arrived_nanos: i64,
    /// Whether it came before the part that it is for, or in a pause, and was kept. It counts for no limit of
    /// the part.
    pub(super) is_repeat: bool,
}

impl RawMessage {
    /// The bytes that it counts against the queue's limit.
    fn cost(&self) -> usize {
        self.cdr.len() + size_of::<Self>()
    }
}

/// What the recorder takes from the queue.
#[derive(Debug)]
pub(super) enum Taken<C> {
    /// A command. It comes before any message pushed after it. If it was pushed behind messages, it
    /// comes after those pushed before it.
    Control(C),
    /// Messages in the buffer, the oldest of the lane whose turn it is.
    Messages,
    /// Closed and empty.
    Closed,
}

/// The bounded queue. `C` is the type of commands from the node to the recorder.
#[derive(Debug)]
pub(super) struct MessageQueue<C> {
    state: Mutex<State<C>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<C> {
    control: VecDeque<Told<C>>,
    /// Number of messages pushed so far.
    pushed: u64,
    light: Lane,
    heavy: Lane,
    /// By topic number: whether it uses the heavy lane.
    heavy_topics: Vec<bool>,
    closed: bool,
    /// Whether the recorder sleeps. Waking it costs a system call.
    waiting: bool,
}

/// A command, and the number of messages that go first.
#[derive(Debug)]
struct Told<C> {
    control: C,
    behind: u64,
}

#[derive(Debug)]
struct Lane {
    /// Each with its number among all messages, counted from 0.
    messages: VecDeque<(u64, RawMessage)>,
    bound: ByteBound,
}

impl Lane {
    fn new(limit_bytes: usize) -> Self {
        Self { messages: VecDeque::new(), bound: ByteBound::new(limit_bytes) }
    }

    fn push(&mut self, number: u64, message: RawMessage) -> Result<(), RawMessage> {
        if !self.bound.try_add(message.cost()) {
            return Err(message);
        }
        self.messages.push_back((number, message));
        Ok(())
    }

    /// The oldest message, if its number is below `end`.
    fn pop_before(&mut self, end: u64) -> Option<RawMessage> {
        self.messages.front().filter(|(number, _)| *number < end)?;
        let (_, message) = self.messages.pop_front()?;
        self.bound.release(message.cost());
        Some(message)
    }
}

impl<C> State<C> {
    /// Queues a message, or hands it back when its lane is full.
    fn push(&mut self, message: RawMessage) -> Result<(), RawMessage> {
        let topic = message.topic;
        if self.heavy_topics.len() <= topic {
            self.heavy_topics.resize(topic + 1, false);
        }
        self.heavy_topics[topic] |= message.cdr.len() > HEAVY_MESSAGE_BYTES;
        if self.heavy_topics[topic] {
            self.heavy.push(self.pushed, message)?;
        } else {
            self.light.push(self.pushed, message)?;
        }
        self.pushed += 1;
        Ok(())
    }
}

impl<C> MessageQueue<C> {
    /// Creates a queue with these limits in bytes for each lane.
    pub(super) fn new(light_limit_bytes: usize, heavy_limit_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                control: VecDeque::new(),
                pushed: 0,
                light: Lane::new(light_limit_bytes),
                heavy: Lane::new(heavy_limit_bytes),
                heavy_topics: Vec::new(),
                closed: false,
                waiting: false,
            }),
            filled: Condvar::new(),
        }
    }

    /// Queues messages in order and empties `batch`; never waits. Calls `full` with the topic of
    /// each message that did not fit in its lane.
    pub(super) fn push_all(&self, batch: &mut Vec<RawMessage>, mut full: impl FnMut(usize)) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for message in batch.drain(..) {
            let topic = message.topic;
            if state.push(message).is_err() {
                full(topic);
            }
        }
        self.wake(&mut state);
    }

    /// Sends a command to the recorder. Commands do not count against the limit.
    pub(super) fn push_control(&self, control: C) {
        self.tell(control, |_| 0);
    }

    /// Like [`push_control`](Self::push_control), but after all messages pushed so far are taken.
    pub(super) fn push_behind_messages(&self, control: C) {
        self.tell(control, |pushed| pushed);
    }

    /// The number of commands that wait and are of this kind.
    pub(super) fn waiting(&self, is_of_kind: impl Fn(&C) -> bool) -> usize {
        self.state.lock().control.iter().filter(|told| is_of_kind(&told.control)).count()
    }

    fn tell(&self, control: C, behind: impl FnOnce(u64) -> u64) {
        let mut state = self.state.lock();
        let behind = behind(state.pushed);
        state.control.push_back(Told { control, behind });
        self.wake(&mut state);
    }

    /// Whether the recorder keeps up with commands. Counts that nobody waits for are then reported;
    /// otherwise they add up where they are, so that a recorder that hangs costs no memory.
    pub(super) fn takes_reports(&self) -> bool {
        self.state.lock().control.len() < MAX_REPORTS
    }

    /// The fill level of the queue.
    pub(super) fn fill(&self) -> QueueFill {
        let state = self.state.lock();
        QueueFill {
            light_bytes: state.light.bound.used_bytes(),
            light_limit_bytes: state.light.bound.limit_bytes(),
            heavy_bytes: state.heavy.bound.used_bytes(),
            heavy_limit_bytes: state.heavy.bound.limit_bytes(),
            ..QueueFill::default()
        }
    }

    /// Closes the queue: nothing more is pushed.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.wake(&mut state);
    }

    /// Waits for the next thing to do. Puts messages into `messages`: the available light ones, up
    /// to [`BATCH_BYTES`], or one heavy one, after which light ones are served again.
    pub(super) fn take(&self, messages: &mut Vec<RawMessage>) -> Taken<C> {
        let mut state = self.state.lock();
        loop {
            let end = state.control.front().map_or(u64::MAX, |told| told.behind);
            let State { light, heavy, .. } = &mut *state;
            let mut bytes = 0;
            while bytes < BATCH_BYTES
                && let Some(message) = light.pop_before(end)
            {
                bytes += message.cost();
                messages.push(message);
            }
            if messages.is_empty() {
                messages.extend(heavy.pop_before(end));
            }
            if !messages.is_empty() {
                return Taken::Messages;
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
        RawMessage {
            topic,
            cdr: vec![0; len],
            received_nanos: Some(0),
            source_nanos: None,
            arrived_nanos: 0,
            is_repeat: false,
        }
    }

    #[test]
    fn counts_wait_while_the_recorder_does_not_take_them() {
        let queue = MessageQueue::new(1000, 1000);
        for _ in 0..MAX_REPORTS {
            assert!(queue.takes_reports());
            queue.push_control(());
        }
        assert!(!queue.takes_reports());
        assert!(matches!(queue.take(&mut Vec::new()), Taken::Control(())));
        assert!(queue.takes_reports());
    }

    #[test]
    fn what_waits_is_counted_by_its_kind() {
        let queue = MessageQueue::new(1000, 1000);
        for command in ["count", "split", "count"] {
            queue.push_control(command);
        }
        assert_eq!(queue.waiting(|command| *command == "split"), 1);
        queue.take(&mut Vec::new());
        queue.take(&mut Vec::new());
        assert_eq!(queue.waiting(|command| *command == "split"), 0);
    }

    /// Pushes messages, given by topic and length. Returns the topics of those that did not fit.
    fn push<C>(queue: &MessageQueue<C>, messages: &[(usize, usize)]) -> Vec<usize> {
        let mut full = Vec::new();
        let mut batch = messages.iter().map(|(topic, len)| message(*topic, *len)).collect();
        queue.push_all(&mut batch, |topic| full.push(topic));
        full
    }

    fn drain(queue: &MessageQueue<&str>) -> Vec<String> {
        queue.close();
        let (mut taken, mut messages) = (Vec::new(), Vec::new());
        loop {
            match queue.take(&mut messages) {
                Taken::Control(control) => taken.push(control.to_owned()),
                Taken::Messages => {
                    taken
                        .extend(messages.drain(..).map(|m| format!("{}:{}", m.topic, m.cdr.len())));
                }
                Taken::Closed => return taken,
            }
        }
    }

    #[test]
    fn a_full_heavy_lane_costs_light_messages_nothing() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        assert_eq!(push(&queue, &[(0, 300_000); 10]), [0; 7]);
        assert!(push(&queue, &[(1, 100); 10]).is_empty());
        let taken = drain(&queue);
        assert!(taken[..10].iter().all(|m| m == "1:100"), "{taken:?}");
    }

    #[test]
    fn a_topic_keeps_its_order_when_it_turns_heavy() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        push(&queue, &[(0, 10), (0, 100_000), (0, 20), (0, 30)]);
        assert_eq!(drain(&queue), ["0:10", "0:100000", "0:20", "0:30"]);
    }

    #[test]
    fn light_messages_have_their_turn_between_heavy_ones() {
        let queue: MessageQueue<&str> = MessageQueue::new(10_000, 1_000_000);
        push(&queue, &[(0, 100_000), (0, 100_001)]);
        let mut messages = Vec::new();
        assert!(matches!(queue.take(&mut messages), Taken::Messages));
        assert_eq!(messages.drain(..).map(|m| m.cdr.len()).collect::<Vec<_>>(), [100_000]);
        push(&queue, &[(1, 1), (1, 2)]);
        assert_eq!(drain(&queue), ["1:1", "1:2", "0:100001"]);
    }

    #[test]
    fn control_comes_before_the_messages_behind_it() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        queue.push_control("topic 0 is /pose");
        push(&queue, &[(0, 1)]);
        assert_eq!(drain(&queue), ["topic 0 is /pose", "0:1"]);
    }

    #[test]
    fn what_is_told_behind_messages_comes_after_those_of_both_lanes_and_before_the_next() {
        let queue = MessageQueue::new(10_000, 1_000_000);
        push(&queue, &[(0, 100_000), (1, 1)]);
        queue.push_behind_messages("split");
        push(&queue, &[(1, 2), (0, 100_001)]);
        queue.push_control("look");
        assert_eq!(drain(&queue), ["1:1", "0:100000", "split", "look", "1:2", "0:100001"]);
    }

    #[test]
    fn a_message_that_does_not_fit_is_told() {
        let queue: MessageQueue<&str> = MessageQueue::new(1_000, 1_000);
        assert_eq!(push(&queue, &[(0, 900), (3, 900)]), [3]);
        assert_eq!(drain(&queue), ["0:900"]);
    }
}
