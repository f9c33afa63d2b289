//! The listening thread: sleeps until something arrives, takes all messages, and hands them to the
//! recorder in batches. It never waits for the recorder, the disk or a service.

mod requests;

use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use super::discovery::{Discovery, NewTopic};
use super::listening::{Listening, Nodes};
use super::part_changes::{MAX_CHANGES, PartChanges};
use super::queue::MessageQueue;
use super::reader::system_nanos;
use super::readers::Readers;
use super::request_queue::{Request, RequestQueue};
use super::triggers::Ineffective;
use super::{ListenSettings, RosError, StopFlag, qos::ChosenQos};
use crate::mapping::{ClockJump, PartAction};
use crate::ros::rcl::{RclError, Ready};

/// How often to look at a graph that keeps changing.
const DISCOVER_EVERY: Duration = Duration::from_millis(50);
/// How long messages may wait while topics are subscribed to.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// How long after a message that asks for a save it is made: the subscription that records the topic
/// may get the message a moment after the one that listens for it.
const SAVE_AFTER: Duration = Duration::from_millis(5);
/// How often to look at `/clock` when nothing else arrives; it does not wake the thread.
const CLOCK_EVERY: Duration = Duration::from_millis(100);
/// How long to wait before retrying a failing middleware.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The state of the listening thread.
pub(super) struct Listener<'a> {
    ready: Ready,
    discovery: Discovery,
    readers: Readers<'a>,
    requests: RequestQueue,
    stop: &'a StopFlag,
    clock_jump: ClockJump,
    gather: Duration,
    /// Changes of parts, other than stops, that the recorder has not dealt with yet.
    parts_under_way: usize,
}

impl<'a> Listener<'a> {
    /// Listens on `node`. Other threads send requests through `requests`.
    ///
    /// # Errors
    /// Fails if rcl can't wait.
    pub(super) fn new(
        nodes: Nodes,
        settings: ListenSettings,
        discovery: Discovery,
        requests: RequestQueue,
        queue: &'a MessageQueue<Control>,
        stop: &'a StopFlag,
    ) -> Result<Self, RosError> {
        let listening = Listening::new(nodes).map_err(|error| RosError::Node(error.to_string()))?;
        let mut listener = Self {
            ready: Ready::default(),
            readers: Readers::new(listening, PartChanges::new(discovery.split_on()), queue),
            discovery,
            requests,
            stop,
            clock_jump: settings.clock_jump,
            gather: settings.gather,
            parts_under_way: 0,
        };
        if settings.use_sim_time {
            listener.follow_clock();
        }
        if settings.start_paused {
            listener.set_paused(true, None);
        }
        Ok(listener)
    }

    /// Runs until told to stop, then takes what has arrived.
    pub(super) fn run(mut self) {
        for found in self.discovery.expected() {
            self.deal_with(found);
        }
        self.discover_triggers();
        let (mut discover_at, mut discovered) = (Some(Instant::now()), None::<Instant>);
        let mut last_drain = Instant::now();
        let mut failing = None;
        while !self.stop.is_set() {
            if discover_at.is_some_and(|at| Instant::now() >= at) {
                (discover_at, discovered) = (None, Some(Instant::now()));
                self.discover();
            }
            let failed = self.wait(discover_at).err().map(|error| error.to_string());
            // A failure is reported once for as long as it stays the same.
            if let Some(failed) = failed.as_ref().filter(|_| failed != failing) {
                tracing::error!("waiting for messages failed, trying again: {failed}");
            }
            failing.clone_from(&failed);
            if failed.is_some() {
                thread::sleep(RETRY_AFTER);
                // Take what has arrived anyway.
                self.ready.subscriptions =
                    (0..self.readers.listening.subscriptions().count()).collect();
            }
            if self.ready.graph {
                let soonest = discovered.map_or(Instant::now(), |last| last + DISCOVER_EVERY);
                discover_at.get_or_insert(soonest);
            }
            self.watch_clock();
            self.discovery.introspection().tell(Instant::now());
            let taken = self.readers.drain(&self.ready.subscriptions);
            self.hear_triggers();
            self.readers.hand_over();
            self.answer_requests();
            self.readers.retire();
            self.readers.changes.retire(Instant::now());
            self.readers.hand_over();
            last_drain = self.gather(taken, last_drain);
        }
        // What was asked for before the end is done.
        self.answer_requests();
        self.hear_triggers();
        self.drain_all();
        self.readers.changes.forget();
        self.end_part();
        self.readers.hand_over();
        self.readers.report_missing();
        // A call's answer is then that the recording is over; what was said is still noted.
        for request in self.requests.close() {
            if let Request::Label(change) = request {
                self.readers.queue.push_behind_messages(Control::Label(change));
            }
        }
        // A publisher may have come and gone between two looks at the graph.
        for topic in self.readers.listening.topics.iter().filter(|topic| topic.reader.has_heard()) {
            self.discovery.note_published(topic.reader.topic(), &topic.type_name);
        }
        for (name, reason) in self.discovery.introspection().refused() {
            self.readers.queue.push_control(Control::Refuse { topic: name, reason });
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
        let topics = &self.readers.listening.topics;
        let due = topics.iter().filter_map(|topic| topic.reader.due_at());
        let due = due.chain(self.readers.changes.due_at());
        let due = due.chain(self.discovery.introspection().due_at());
        let due = due.chain(discover_at).chain(self.stop.deadline()).min();
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = match self.readers.clock.is_simulated() {
            true => Some(timeout.map_or(CLOCK_EVERY, |timeout| timeout.min(CLOCK_EVERY))),
            false => timeout,
        };
        let Self { readers: Readers { listening, changes, .. }, requests, ready, .. } = self;
        listening.wait(changes.subscriptions(), requests.guard(), timeout, ready)
    }

    /// Hands over everything that has arrived by now, however long that takes. In a hurry the recorder counts
    /// it and leaves it out.
    fn drain_all(&mut self) {
        let now_nanos = system_nanos();
        let mut topics = self.readers.numbers();
        while !topics.is_empty() {
            self.readers.drain_arrived_by(now_nanos, &mut topics);
            self.hear_triggers();
            self.readers.hand_over();
        }
        self.hear_triggers();
        self.readers.hand_over();
    }

    fn discover(&mut self) {
        let mut drained = Instant::now();
        for (name, types) in self.discovery.topics(self.readers.listening.graph()) {
            let graph = self.readers.listening.graph();
            for found in self.discovery.scan_topic(graph, name, &types) {
                self.deal_with(found);
            }
            // With many topics this takes a while. What is subscribed to already must not wait for it.
            if drained.elapsed() >= DRAIN_EVERY {
                self.readers.drain_every();
                self.hear_triggers();
                self.readers.hand_over();
                drained = Instant::now();
            }
        }
        self.discovery.look_at_calls(self.readers.listening.graph());
        self.discover_triggers();
        for topic in &mut self.readers.listening.topics {
            let publishers = topic.reader.take_incompatible();
            if publishers > 0 {
                // Discovery has named the nodes, or will once it knows them.
                let topic = topic.reader.topic();
                tracing::debug!("{topic}: {publishers} publishers offer less than was asked for");
            }
        }
    }

    fn discover_triggers(&mut self) {
        let Self { discovery, readers: Readers { listening, changes, .. }, .. } = self;
        for Ineffective { label, reason } in changes.discover(discovery, listening) {
            self.refuse(label, reason);
        }
    }

    /// Changes the part where messages ask for it: what arrived before such a message is in the part
    /// before.
    fn hear_triggers(&mut self) {
        self.readers.hear();
        // A flood of such messages must not keep the thread here; the rest waits.
        for _ in 0..MAX_CHANGES {
            let Some(asked_nanos) = self.readers.changes.earliest() else { break };
            let mut topics = self.readers.numbers();
            while !topics.is_empty() {
                self.readers.drain_arrived_by(asked_nanos, &mut topics);
            }
            if let Some((arrived_nanos, change)) = self.readers.changes.take_earliest() {
                if change.action == PartAction::Save {
                    // The message that asks for it is in what is saved.
                    thread::sleep(SAVE_AFTER);
                    self.readers.drain_every();
                    self.change_part(change, None);
                    continue;
                }
                let later = self.readers.take_batch_since(arrived_nanos);
                self.change_part(change, None);
                self.readers.put_back(later);
            }
            self.readers.hear();
        }
    }

    fn deal_with(&mut self, found: NewTopic) {
        match found {
            NewTopic::Record { topic, type_name, qos, plan } => {
                match self.readers.listening.subscribe(&topic, &type_name, qos) {
                    Ok(()) => {
                        tracing::info!("recording {} ({type_name}; {qos})", plan.mapped_topic());
                        self.readers.queue_full.push(0);
                        self.readers.queue.push_control(Control::AddTopic(plan));
                    }
                    Err(error) => {
                        self.discovery.set_refused(&topic, &type_name);
                        let name = self.readers.listening.name_of_refused(topic, &type_name);
                        self.refuse(name, error.to_string());
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
        match self.readers.listening.adapt(topic, type_name, qos) {
            Ok(()) => tracing::info!("{topic}: publishers changed, now asking for {qos}"),
            Err(error) => tracing::error!("{topic}: can't subscribe again: {error}"),
        }
    }

    fn refuse(&self, topic: String, reason: String) {
        tracing::error!("{topic} is not recorded: {reason}");
        self.readers.queue.push_control(Control::Refuse { topic, reason });
    }

    fn follow_clock(&mut self) {
        let topic = self.discovery.name_on_graph("/clock");
        let Readers { clock, listening, .. } = &mut self.readers;
        if let Err(error) = clock.follow(listening.graph(), &topic) {
            tracing::error!("can't listen to /clock; receive times are the system's: {error}");
        }
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
                self.readers.changes.split_at(jumped_at);
            }
        }
    }
}

impl Drop for Listener<'_> {
    /// Whoever still waits for an answer learns that the recording is over.
    fn drop(&mut self) {
        self.requests.close();
    }
}
