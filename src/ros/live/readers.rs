//! The recorded topics and their path to the recorder: messages are taken from the middleware, gathered in a batch and handed over,
//! with what is left out or missing of each topic.

use std::ops::ControlFlow;
use std::time::Instant;

use super::clock::ReceiveClock;
use super::control::Control;
use super::listening::{Listened, Listening};
use super::part_changes::PartChanges;
use super::queue::{MessageQueue, RawMessage};
use super::reader::{Arrival, TopicReader};
use crate::record::DropReason;

/// A batch is handed over before it exceeds this.
const BATCH_BYTES: usize = 1 << 20;

/// The recorded topics and their path to the recorder.
pub(super) struct Readers<'a> {
    pub(super) listening: Listening<LeftOut>,
    pub(super) changes: PartChanges,
    pub(super) queue: &'a MessageQueue<Control>,
    pub(super) clock: ReceiveClock,
    batch: Vec<RawMessage>,
    batch_bytes: usize,
    /// By topic number: messages that did not fit in the queue since the last report.
    pub(super) queue_full: Vec<u64>,
    paused: bool,
}

/// Messages of a topic that were left out since the last report.
#[derive(Default)]
pub(super) struct LeftOut {
    paused: u64,
}

/// What was taken of a topic in a turn.
struct Drained {
    messages: usize,
    /// When the last of them arrived, by the system clock; the far future if the middleware does not say.
    last_nanos: i64,
}

impl<'a> Readers<'a> {
    /// Nothing is subscribed to yet.
    pub(super) fn new(
        listening: Listening<LeftOut>,
        changes: PartChanges,
        queue: &'a MessageQueue<Control>,
    ) -> Self {
        Self {
            listening,
            changes,
            queue,
            clock: ReceiveClock::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            queue_full: Vec::new(),
            paused: false,
        }
    }

    /// Takes what has arrived on these subscriptions, in order. `ready` holds their places in
    /// [`Listening::subscriptions`].
    pub(super) fn drain(&mut self, ready: &[usize]) -> usize {
        let (mut first, mut ready) = (0, ready.iter().copied().peekable());
        let mut taken = 0;
        for topic in 0..self.listening.topics.len() {
            if ready.peek().is_none() {
                break;
            }
            let end = first + self.listening.topics[topic].reader.subscriptions().count();
            let mut is_ready = false;
            while ready.next_if(|index| *index < end).is_some() {
                is_ready = true;
            }
            first = end;
            if is_ready {
                taken += self.drain_topic(topic).messages;
            }
        }
        taken
    }

    /// Takes a turn's messages of each topic.
    pub(super) fn drain_every(&mut self) {
        (0..self.listening.topics.len()).for_each(|topic| {
            self.drain_topic(topic);
        });
    }

    /// Takes a turn's messages of each of these topics. Keeps those of which more may have arrived by this
    /// system time. It does not wait for what comes later, so no flood can make it endless.
    pub(super) fn drain_arrived_by(&mut self, nanos: i64, topics: &mut Vec<usize>) {
        topics.retain(|topic| {
            let taken = self.drain_topic(*topic);
            taken.messages > 0 && taken.last_nanos < nanos
        });
    }

    /// The numbers of all topics.
    pub(super) fn numbers(&self) -> Vec<usize> {
        (0..self.listening.topics.len()).collect()
    }

    fn drain_topic(&mut self, topic: usize) -> Drained {
        let Self { listening, changes, queue, clock, batch, batch_bytes, queue_full, paused } =
            self;
        let Listened { reader, tally: left_out, .. } = &mut listening.topics[topic];
        let mut last_nanos = 0;
        let taken = reader.drain(*paused, |arrival| {
            last_nanos = last_nanos.max(arrival.info.received_nanos.unwrap_or(i64::MAX));
            // A part that begins in a pause has what latched topics said before.
            if *paused && !arrival.is_repeat {
                left_out.paused += 1;
                return ControlFlow::Continue(());
            }
            *batch_bytes += arrival.cdr.len();
            let message = raw_message(topic, &arrival, clock);
            let arrived_nanos = message.arrived_nanos;
            batch.push(message);
            if *batch_bytes < BATCH_BYTES {
                return ControlFlow::Continue(());
            }
            changes.hear(queue);
            let Some(change_nanos) = changes.earliest() else {
                *batch_bytes = 0;
                queue.push_all(batch, |topic| queue_full[topic] += 1);
                return ControlFlow::Continue(());
            };
            // What arrived later is of the next part. It waits here, and more of it where it is.
            let later = take_since(batch, change_nanos);
            queue.push_all(batch, |topic| queue_full[topic] += 1);
            *batch_bytes = bytes_of(&later);
            *batch = later;
            match *batch_bytes >= BATCH_BYTES && arrived_nanos >= change_nanos {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let messages = taken.unwrap_or_else(|error| {
            // Messages that it could not hand over show up as gaps.
            tracing::error!("{}: messages could not be taken: {error}", reader.topic());
            0
        });
        if messages > 0 && reader.qos().latching_profile().is_some() {
            listening.bound_latched();
        }
        Drained { messages, last_nanos }
    }

    /// Hears what messages ask for.
    pub(super) fn hear(&mut self) {
        self.changes.hear(self.queue);
    }

    /// Hands the collected messages to the recorder, but for those of a part that is to come, and
    /// reports what is missing.
    pub(super) fn hand_over(&mut self) {
        let later = self.changes.earliest().map(|nanos| self.take_batch_since(nanos));
        let Self { queue, batch, batch_bytes, queue_full, .. } = self;
        *batch_bytes = 0;
        queue.push_all(batch, |topic| queue_full[topic] += 1);
        self.put_back(later.unwrap_or_default());
        if self.queue.takes_reports() {
            self.report_missing();
        }
    }

    /// Tells the recorder what was left out, dropped or lost since the last time.
    pub(super) fn report_missing(&mut self) {
        let Self { listening, queue, queue_full, .. } = self;
        for (topic, (listened, full)) in listening.topics.iter_mut().zip(queue_full).enumerate() {
            let report = |count: &mut u64, reason| {
                let messages = std::mem::take(count);
                if messages > 0 {
                    queue.push_control(Control::Dropped { topic, reason, messages });
                }
            };
            report(full, DropReason::QueueFull);
            report(&mut listened.tally.paused, DropReason::Paused);
            let change = listened.reader.take_lost_change();
            if change != 0 {
                queue.push_control(Control::Lost { topic, change });
            }
            if let Some(reason) = listened.reader.take_loss_unknown() {
                queue.push_control(Control::LossUnknown { topic, reason });
            }
        }
    }

    /// Takes the collected messages that arrived at or after this system time.
    pub(super) fn take_batch_since(&mut self, nanos: i64) -> Vec<RawMessage> {
        take_since(&mut self.batch, nanos)
    }

    /// Collects these messages behind those that are there.
    pub(super) fn put_back(&mut self, messages: Vec<RawMessage>) {
        self.batch_bytes += bytes_of(&messages);
        self.batch.extend(messages);
    }

    /// Ends subscriptions whose time is over, and collects copies of latched messages that did not come by them.
    pub(super) fn retire(&mut self) {
        let now = Instant::now();
        self.collect(|reader, take| reader.retire(now, take));
    }

    /// Waits for latched messages no longer: collects copies of those that have not come again.
    pub(super) fn end_echoes(&mut self) {
        self.collect(|reader, take| reader.end_echo(take));
    }

    /// Collects copies of all latched messages.
    pub(super) fn repeat_copies(&mut self) {
        self.collect(|reader, take| reader.repeat_copies(take));
    }

    /// Copies of all latched messages, apart from what is collected.
    pub(super) fn latched(&mut self) -> Vec<RawMessage> {
        self.messages_of(|reader, take| reader.repeat_copies(take))
    }

    /// Asks publishers for their latched messages again, for a part that has begun.
    pub(super) fn repeat_latched(&mut self) {
        for listened in &mut self.listening.topics {
            if let Err(error) = listened.reader.repeat_latched() {
                let topic = listened.reader.topic();
                tracing::error!("{topic}: can't ask for latched messages again: {error}");
            }
        }
    }

    /// Whether messages are counted and left out.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Pauses or resumes. On resume, latched messages that came meanwhile are recorded, since they
    /// would not come again. Returns true if the state changed.
    pub(super) fn set_paused(&mut self, paused: bool) -> bool {
        let is_change = std::mem::replace(&mut self.paused, paused) != paused;
        if is_change && !paused {
            let mut messages = self.messages_of(|reader, take| reader.take_left_out(take));
            messages.iter_mut().for_each(|message| message.is_repeat = true);
            self.put_back(messages);
        }
        is_change
    }

    /// Collects what `give` passes on of each topic.
    fn collect(&mut self, give: impl FnMut(&mut TopicReader, &mut dyn FnMut(Arrival<'_>))) {
        let messages = self.messages_of(give);
        self.put_back(messages);
    }

    /// What `give` passes on of each topic.
    fn messages_of(
        &mut self,
        mut give: impl FnMut(&mut TopicReader, &mut dyn FnMut(Arrival<'_>)),
    ) -> Vec<RawMessage> {
        let Self { listening, clock, .. } = self;
        let mut messages = Vec::new();
        for (topic, listened) in listening.topics.iter_mut().enumerate() {
            give(&mut listened.reader, &mut |arrival| {
                messages.push(raw_message(topic, &arrival, clock));
            });
        }
        messages
    }
}

/// Takes the messages that arrived at or after this system time.
fn take_since(batch: &mut Vec<RawMessage>, nanos: i64) -> Vec<RawMessage> {
    let all = std::mem::take(batch);
    let (later, before) = all.into_iter().partition(|message| message.arrived_nanos >= nanos);
    *batch = before;
    later
}

fn bytes_of(messages: &[RawMessage]) -> usize {
    messages.iter().map(|message| message.cdr.len()).sum()
}

fn raw_message(topic: usize, arrival: &Arrival<'_>, clock: &mut ReceiveClock) -> RawMessage {
    RawMessage {
        topic,
        cdr: arrival.cdr.to_vec(),
        received_nanos: clock.received_nanos(&arrival.info),
        source_nanos: arrival.info.source_nanos,
        arrived_nanos: arrival.info.received_nanos.unwrap_or_default(),
        is_repeat: arrival.is_repeat,
    }
}
