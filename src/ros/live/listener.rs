//! The listening thread: sleeps until something arrives, takes all messages, and hands them to the
//! recorder in batches. It never waits for the recorder, the disk or a service.

use std::thread;
use std::time::{Duration, Instant};

use super::calls::{Calls, Request};
use super::clock::ReceiveClock;
use super::control::Control;
use super::discovery::{Discovery, NewTopic};
use super::queue::{MessageQueue, RawMessage};
use super::reader::{Arrival, TopicReader};
use super::services::{Answer, Call, Reply};
use super::{ListenSettings, Nodes, RosError, StopFlag, qos::ChosenQos};
use crate::mapping::ClockJump;
use crate::record::DropReason;
use crate::ros::rcl::{RclError, Ready, Subscription, WaitSet};

/// How often to look at a graph that keeps changing.
const DISCOVER_EVERY: Duration = Duration::from_millis(50);
/// How long to drain the middleware after a stop.
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);
/// How long to drain the messages that came before a pause or a split.
const DRAIN_BEFORE_CALL: Duration = Duration::from_millis(500);
/// How often to look at `/clock` when nothing else arrives; it does not wake the thread.
const CLOCK_EVERY: Duration = Duration::from_millis(100);
/// How long to wait before retrying a failing middleware.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// A batch is handed over before it exceeds this.
const BATCH_BYTES: usize = 1 << 20;

/// The state of the listening thread.
pub(super) struct Listener<'a> {
    nodes: Nodes,
    wait_set: WaitSet,
    ready: Ready,
    discovery: Discovery,
    readers: Readers<'a>,
    calls: Calls,
    stop: &'a StopFlag,
    clock_jump: ClockJump,
    gather: Duration,
}

/// The recorded topics and their path to the recorder.
struct Readers<'a> {
    /// By topic number.
    list: Vec<Counted>,
    queue: &'a MessageQueue<Control>,
    clock: ReceiveClock,
    batch: Vec<RawMessage>,
    batch_bytes: usize,
    /// By topic number: messages that did not fit in the queue since the last report.
    queue_full: Vec<u64>,
    paused: bool,
}

/// A topic's reader, and what was left out since the last report.
struct Counted {
    reader: TopicReader,
    type_name: String,
    paused: u64,
}

impl<'a> Listener<'a> {
    /// Listens on `node`. Other threads send requests through `calls`.
    ///
    /// # Errors
    /// Fails if rcl can't wait.
    pub(super) fn new(
        nodes: Nodes,
        settings: ListenSettings,
        discovery: Discovery,
        calls: Calls,
        queue: &'a MessageQueue<Control>,
        stop: &'a StopFlag,
    ) -> Result<Self, RosError> {
        let wait_set =
            WaitSet::new(nodes.first()).map_err(|error| RosError::Node(error.to_string()))?;
        let mut listener = Self {
            nodes,
            wait_set,
            ready: Ready::default(),
            discovery,
            readers: Readers {
                list: Vec::new(),
                queue,
                clock: ReceiveClock::default(),
                batch: Vec::new(),
                batch_bytes: 0,
                queue_full: Vec::new(),
                paused: false,
            },
            calls,
            stop,
            clock_jump: settings.clock_jump,
            gather: settings.gather,
        };
        listener.set_sim_time(settings.use_sim_time);
        listener.set_paused(settings.start_paused);
        Ok(listener)
    }

    /// Runs until told to stop, then takes what has arrived.
    pub(super) fn run(mut self) {
        for found in self.discovery.expected() {
            self.deal_with(found);
        }
        let (mut discover_at, mut discovered) = (Some(Instant::now()), None::<Instant>);
        let mut last_drain = Instant::now();
        while !self.stop.is_set() {
            if discover_at.is_some_and(|at| Instant::now() >= at) {
                (discover_at, discovered) = (None, Some(Instant::now()));
                self.discover();
            }
            if let Err(error) = self.wait(discover_at) {
                tracing::error!("waiting for messages failed, trying again: {error}");
                thread::sleep(RETRY_AFTER);
                // Take what has arrived anyway.
                self.ready.subscriptions = (0..self.readers.subscriptions().count()).collect();
            }
            if self.ready.graph {
                let soonest = discovered.map_or(Instant::now(), |last| last + DISCOVER_EVERY);
                discover_at.get_or_insert(soonest);
            }
            self.watch_clock();
            let taken = self.readers.drain(&self.ready.subscriptions);
            self.readers.hand_over();
            self.answer_calls();
            self.readers.retire();
            self.readers.hand_over();
            last_drain = self.gather(taken, last_drain);
        }
        self.drain_all(DRAIN_AT_MOST);
        self.readers.end_echoes();
        self.readers.hand_over();
        // A publisher may have come and gone between two looks at the graph.
        for counted in self.readers.list.iter().filter(|counted| counted.reader.has_heard()) {
            self.discovery.note_published(counted.reader.topic(), &counted.type_name);
        }
        self.readers.queue.push_control(Control::Unmatched(self.discovery.unmatched()));
    }

    /// Under load, lets messages collect in the middleware before the next wake-up, because waking
    /// up costs more than a message. The middleware noted each arrival time, so no row changes.
    fn gather(&self, taken: usize, last_drain: Instant) -> Instant {
        let now = Instant::now();
        let is_loaded = taken > 1 || (taken > 0 && now - last_drain < self.gather);
        if is_loaded && !self.gather.is_zero() {
            thread::sleep(self.gather);
        }
        now
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, discover_at: Option<Instant>) -> Result<(), RclError> {
        let due = self.readers.list.iter().filter_map(|counted| counted.reader.due_at());
        let due = due.chain(discover_at).chain(self.stop.deadline()).min();
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = match self.readers.clock.is_simulated() {
            true => Some(timeout.map_or(CLOCK_EVERY, |timeout| timeout.min(CLOCK_EVERY))),
            false => timeout,
        };
        let subscriptions: Vec<_> = self.readers.subscriptions().collect();
        self.wait_set.wait(subscriptions.into_iter(), self.calls.guard(), timeout, &mut self.ready)
    }

    /// Hands over everything that the middleware holds now.
    fn drain_all(&mut self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        while self.readers.drain_every() > 0 && Instant::now() < deadline && !self.stop.is_hurried()
        {
            self.readers.hand_over();
        }
        self.readers.hand_over();
    }

    fn discover(&mut self) {
        for found in self.discovery.scan(self.nodes.first()) {
            self.deal_with(found);
        }
        for counted in &mut self.readers.list {
            let publishers = counted.reader.take_incompatible();
            if publishers > 0 {
                // Discovery has named the nodes, or will once it knows them.
                let topic = counted.reader.topic();
                tracing::debug!("{topic}: {publishers} publishers offer less than was asked for");
            }
        }
    }

    fn deal_with(&mut self, found: NewTopic) {
        match found {
            NewTopic::Record { topic, type_name, qos, plan } => {
                let types = self.readers.list.iter().filter(|c| c.reader.topic() == topic).count();
                let reader = self
                    .nodes
                    .of_type(types)
                    .and_then(|node| TopicReader::new(node, &topic, &type_name, qos));
                match reader {
                    Ok(reader) => {
                        tracing::info!("recording {} ({type_name}; {qos})", plan.mapped_topic());
                        self.readers.add(reader, type_name);
                        self.readers.queue.push_control(Control::AddTopic(plan));
                    }
                    Err(error) => {
                        self.discovery.set_refused(&topic, &type_name);
                        self.refuse(topic, error.to_string());
                    }
                }
            }
            NewTopic::Resubscribe { topic, type_name, qos } => {
                self.adapt(&topic, &type_name, qos);
            }
            NewTopic::Refuse { name, reason } => self.refuse(name, reason),
        }
    }

    fn adapt(&mut self, topic: &str, type_name: &str, qos: ChosenQos) {
        let Some(reader) = self.readers.of(topic, type_name) else { return };
        match reader.adapt(qos) {
            Ok(()) => tracing::info!("{topic}: publishers changed, now asking for {qos}"),
            Err(error) => tracing::error!("{topic}: can't subscribe again: {error}"),
        }
    }

    fn refuse(&self, topic: String, reason: String) {
        tracing::error!("{topic} is not recorded: {reason}");
        self.readers.queue.push_control(Control::Refuse { topic, reason });
    }

    /// Messages received before a clock jump belong to the part before.
    fn watch_clock(&mut self) {
        let Some(jumped_at) = self.readers.clock.update() else { return };
        match self.clock_jump {
            ClockJump::Sort => tracing::warn!(
                "/clock jumped back (the simulator or bag was started again?); rows are sorted in by \
                 their times. `clock_jump: split` in the mapping goes on in a new experiment"
            ),
            ClockJump::Split => {
                tracing::info!("/clock jumped back; going on in a new experiment");
                self.readers.drain_every();
                let later = self.readers.take_batch_since(jumped_at);
                self.readers.end_echoes();
                self.readers.hand_over();
                self.readers.queue.push_behind_messages(Control::ClockJumped);
                self.readers.batch = later;
                self.readers.hand_over();
            }
        }
    }

    fn answer_calls(&mut self) {
        for request in self.calls.take() {
            match request {
                Request::Call(call, reply) => {
                    // Messages from before the call are handled under the old state.
                    self.drain_all(DRAIN_BEFORE_CALL);
                    self.answer(call, reply);
                }
                Request::PartStarted => self.readers.repeat_latched(),
                Request::SimTime(use_sim_time) => self.set_sim_time(use_sim_time),
            }
        }
    }

    fn answer(&mut self, call: Call, reply: Reply) {
        let queue = self.readers.queue;
        match call {
            Call::Pause => {
                self.set_paused(true);
                super::control::send(
                    reply,
                    Answer::done("paused: messages are counted and left out"),
                );
            }
            Call::Resume => {
                self.set_paused(false);
                super::control::send(reply, Answer::done("recording"));
            }
            Call::Flush => queue.push_behind_messages(Control::Flush(reply)),
            Call::Split => {
                // What a part still waits for belongs to that part.
                self.readers.end_echoes();
                self.readers.hand_over();
                queue.push_behind_messages(Control::Split(reply));
            }
            Call::Status => queue.push_behind_messages(Control::Status(queue.fill(), reply)),
        }
    }

    fn set_sim_time(&mut self, use_sim_time: bool) {
        if use_sim_time == self.readers.clock.is_simulated() {
            return;
        }
        let topic = self.discovery.name_on_graph("/clock");
        let topic = use_sim_time.then_some(topic.as_str());
        if let Err(error) = self.readers.clock.set_simulated(self.nodes.first(), topic) {
            tracing::error!("can't listen to /clock; receive times are the system's: {error}");
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if self.readers.set_paused(paused) {
            let text = if paused { "paused: messages are counted and left out" } else { "resumed" };
            tracing::info!("{text}");
            self.readers.queue.push_control(Control::Paused(paused));
            self.readers.hand_over();
        }
    }
}

impl Readers<'_> {
    fn add(&mut self, reader: TopicReader, type_name: String) {
        self.list.push(Counted { reader, type_name, paused: 0 });
        self.queue_full.push(0);
    }

    fn of(&mut self, topic: &str, type_name: &str) -> Option<&mut TopicReader> {
        let mut list = self.list.iter_mut();
        let counted = list.find(|c| c.reader.topic() == topic && c.type_name == type_name)?;
        Some(&mut counted.reader)
    }

    fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.list.iter().flat_map(|counted| counted.reader.subscriptions())
    }

    /// Takes what has arrived on these subscriptions, in order. `ready` holds their places in
    /// [`subscriptions`](Self::subscriptions).
    fn drain(&mut self, ready: &[usize]) -> usize {
        let (mut first, mut ready) = (0, ready.iter().copied().peekable());
        let mut taken = 0;
        for topic in 0..self.list.len() {
            if ready.peek().is_none() {
                break;
            }
            let end = first + self.list[topic].reader.subscriptions().count();
            let mut is_ready = false;
            while ready.next_if(|index| *index < end).is_some() {
                is_ready = true;
            }
            first = end;
            if is_ready {
                taken += self.drain_topic(topic);
            }
        }
        taken
    }

    fn drain_every(&mut self) -> usize {
        (0..self.list.len()).map(|topic| self.drain_topic(topic)).sum()
    }

    fn drain_topic(&mut self, topic: usize) -> usize {
        let Self { list, queue, clock, batch, batch_bytes, queue_full, paused } = self;
        let Counted { reader, paused: left_out, .. } = &mut list[topic];
        let taken = reader.drain(*paused, |arrival| {
            if *paused {
                *left_out += 1;
                return;
            }
            *batch_bytes += arrival.cdr.len();
            batch.push(raw_message(topic, &arrival, clock));
            if *batch_bytes >= BATCH_BYTES {
                *batch_bytes = 0;
                queue.push_all(batch, |topic| queue_full[topic] += 1);
            }
        });
        taken.unwrap_or_else(|error| {
            // Messages that it could not hand over show up as gaps.
            tracing::error!("{}: messages could not be taken: {error}", reader.topic());
            0
        })
    }

    /// Hands the collected messages to the recorder and reports what is missing.
    fn hand_over(&mut self) {
        let Self { list, queue, batch, batch_bytes, queue_full, .. } = self;
        *batch_bytes = 0;
        queue.push_all(batch, |topic| queue_full[topic] += 1);
        for (topic, (counted, full)) in list.iter_mut().zip(queue_full).enumerate() {
            let report = |count: &mut u64, reason| {
                let messages = std::mem::take(count);
                if messages > 0 {
                    queue.push_control(Control::Dropped { topic, reason, messages });
                }
            };
            report(full, DropReason::QueueFull);
            report(&mut counted.paused, DropReason::Paused);
            let change = counted.reader.take_lost_change();
            if change != 0 {
                queue.push_control(Control::Lost { topic, change });
            }
            if counted.reader.take_unnumbered() {
                queue.push_control(Control::LossUnknown { topic });
            }
        }
    }

    /// Takes the collected messages that arrived at or after this system time.
    fn take_batch_since(&mut self, nanos: i64) -> Vec<RawMessage> {
        let all = std::mem::take(&mut self.batch);
        let (later, before) = all.into_iter().partition(|message| message.arrived_nanos >= nanos);
        self.batch = before;
        later
    }

    fn retire(&mut self) {
        let now = Instant::now();
        let Self { list, clock, batch, .. } = self;
        for (topic, counted) in list.iter_mut().enumerate() {
            counted.reader.retire(now, |arrival| batch.push(raw_message(topic, &arrival, clock)));
        }
    }

    fn end_echoes(&mut self) {
        let Self { list, clock, batch, .. } = self;
        for (topic, counted) in list.iter_mut().enumerate() {
            counted.reader.end_echo(|arrival| batch.push(raw_message(topic, &arrival, clock)));
        }
    }

    fn repeat_latched(&mut self) {
        for counted in &mut self.list {
            if let Err(error) = counted.reader.repeat_latched() {
                let topic = counted.reader.topic();
                tracing::error!("{topic}: can't ask for latched messages again: {error}");
            }
        }
    }

    /// Pauses or resumes. On resume, latched messages that came meanwhile are recorded, since they
    /// would not come again. Returns true if the state changed.
    fn set_paused(&mut self, paused: bool) -> bool {
        let is_change = std::mem::replace(&mut self.paused, paused) != paused;
        if is_change && !paused {
            let Self { list, clock, batch, .. } = self;
            for (topic, counted) in list.iter_mut().enumerate() {
                counted
                    .reader
                    .take_left_out(|arrival| batch.push(raw_message(topic, &arrival, clock)));
            }
        }
        is_change
    }
}

fn raw_message(topic: usize, arrival: &Arrival<'_>, clock: &mut ReceiveClock) -> RawMessage {
    RawMessage {
        topic,
        cdr: arrival.cdr.to_vec(),
        received_nanos: clock.received_nanos(&arrival.info),
        source_nanos: arrival.info.source_nanos,
        arrived_nanos: arrival.info.received_nanos.unwrap_or_default(),
    }
}
