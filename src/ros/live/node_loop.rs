//! The node's thread: spins, drains every subscription after each spin, and never waits for
//! anything else. r2r's streams hold ten messages and drop the rest without a word; a spin puts at
//! most one message into each, so draining all of them after every spin loses none.

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};

use super::clock::RosClock;
use super::control::Control;
use super::discovery::{Discovery, NewTopic};
use super::queue::MessageQueue;
use super::report::Reports;
use super::rosout::Rosout;
use super::services::{Answer, Call, Services, answer};
use super::subscriptions::Subscriptions;
use super::{NodeName, NodeSettings, RosError, StopFlag, parameters};
use crate::mapping::ClockJump;
use crate::record::StatusBoard;

/// A spin can't be woken from outside: this bounds how late a stop or a new topic is seen.
const SPIN: Duration = Duration::from_millis(20);
/// How often the graph is asked for topics.
const DISCOVER_EVERY: Duration = Duration::from_millis(100);
/// How long the last messages may take to come out of the middleware after a stop.
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);
/// How long those may take that came before a pause or a split.
const DRAIN_BEFORE_CALL: Duration = Duration::from_millis(500);

/// Everything that lives on the node's thread.
pub(super) struct NodeLoop<'a> {
    node: r2r::Node,
    discovery: Discovery,
    queue: &'a MessageQueue<Control>,
    stop: &'a StopFlag,
    subscriptions: Subscriptions,
    services: Services,
    reports: Reports,
    rosout: Option<Rosout>,
    clock: RosClock,
    clock_jump: ClockJump,
    /// Answers `ros2 param`, and switches to simulated time.
    parameters: Option<BoxFuture<'static, ()>>,
}

impl<'a> NodeLoop<'a> {
    pub(super) fn new(
        mut node: r2r::Node,
        name: &NodeName,
        settings: NodeSettings,
        discovery: Discovery,
        board: StatusBoard,
        queue: &'a MessageQueue<Control>,
        stop: &'a StopFlag,
    ) -> Result<Self, RosError> {
        let offer_error = |what: &'static str| {
            move |error: r2r::Error| RosError::Node(format!("can't offer {what}: {error}"))
        };
        let parameters =
            parameters::serve(&mut node, &settings.shown).map_err(offer_error("parameters"))?;
        let services = Services::offer(&mut node).map_err(offer_error("services"))?;
        let reports = Reports::new(&mut node, name, board).map_err(offer_error("/diagnostics"))?;
        let rosout = settings.logs.map(|logs| Rosout::new(&mut node, name, logs));
        let rosout = rosout.transpose().map_err(offer_error("/rosout"))?;
        let clock = RosClock::of(&node);
        let mut node_loop = Self {
            node,
            discovery,
            queue,
            stop,
            subscriptions: Subscriptions::default(),
            services,
            reports,
            rosout,
            clock,
            clock_jump: settings.clock_jump,
            parameters: Some(parameters),
        };
        node_loop.set_paused(settings.shown.start_paused);
        Ok(node_loop)
    }

    /// Until told to stop; then takes what has arrived.
    pub(super) fn run(mut self) -> Result<(), RosError> {
        let mut discover_at = Instant::now();
        while !self.stop.is_set() {
            if Instant::now() >= discover_at {
                self.discover();
                discover_at = Instant::now() + DISCOVER_EVERY;
            }
            self.node.spin_once(SPIN);
            self.watch_clock();
            self.drain();
            self.poll_parameters();
            self.serve();
            self.reports.poll(self.queue, self.clock.now_nanos());
            self.publish_log();
        }
        self.drain_all(DRAIN_AT_MOST);
        self.queue.push_control(Control::Unmatched(self.discovery.unmatched()));
        self.publish_log();
        Ok(())
    }

    fn discover(&mut self) {
        for found in self.discovery.scan(&self.node) {
            match found {
                NewTopic::Record { name, type_name, qos, plan } => {
                    let words = format!("recording {name} ({type_name}; {qos})");
                    match self.subscriptions.add(&mut self.node, &name, &type_name, qos) {
                        Ok(()) => {
                            tracing::info!("{words}");
                            self.queue.push_control(Control::AddTopic(plan));
                        }
                        Err(reason) => self.refuse(name, reason),
                    }
                }
                NewTopic::Resubscribe { name, qos, .. } => {
                    self.subscriptions.adapt(&mut self.node, &name, qos);
                }
                NewTopic::Refuse { name, reason } => self.refuse(name, reason),
            }
        }
    }

    fn refuse(&self, topic: String, reason: String) {
        tracing::error!("{topic} is not recorded: {reason}");
        self.queue.push_control(Control::Refuse { topic, reason });
    }

    /// What was received before a jump belongs to the part before, and is handed over already.
    fn watch_clock(&mut self) {
        if !self.clock.has_jumped_back() {
            return;
        }
        match self.clock_jump {
            ClockJump::Sort => tracing::warn!(
                "the ROS clock jumped back (a simulator started anew?); rows of times that were there \
                 before merge with them. `clock_jump: split` in the mapping goes on in a new experiment"
            ),
            ClockJump::Split => {
                tracing::info!("the ROS clock jumped back; going on in a new experiment");
                self.queue.push_behind_messages(Control::ClockJumped);
                self.subscriptions.start_part(&mut self.node);
            }
        }
    }

    /// Hands over everything that the last spin brought; whether there was anything.
    fn drain(&mut self) -> bool {
        let clock = &self.clock;
        self.subscriptions.drain(self.queue, || clock.now_nanos())
    }

    /// Hands over everything that the middleware holds by now.
    fn drain_all(&mut self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        // Two spins without a message: the first may have served a timer or a service.
        let mut idle_spins = 0;
        while idle_spins < 2 && Instant::now() < deadline && !self.stop.is_hurried() {
            self.node.spin_once(Duration::ZERO);
            idle_spins = if self.drain() { 0 } else { idle_spins + 1 };
        }
    }

    fn serve(&mut self) {
        self.services.pass_answers();
        while let Some((call, request)) = self.services.next() {
            // What came before the call is dealt with as it was before.
            self.drain_all(DRAIN_BEFORE_CALL);
            match call {
                Call::Pause => {
                    self.set_paused(true);
                    answer(request, Answer::done("paused: messages are counted and left out"));
                }
                Call::Resume => {
                    self.set_paused(false);
                    answer(request, Answer::done("recording"));
                }
                Call::Flush => self.services.ask_recorder(self.queue, request, Control::Flush),
                Call::Split => {
                    self.services.ask_recorder(self.queue, request, Control::Split);
                    self.subscriptions.start_part(&mut self.node);
                }
                Call::Status => {
                    let fill = self.queue.fill();
                    let control = |reply| Control::Status(fill, reply);
                    self.services.ask_recorder(self.queue, request, control);
                }
            }
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if self.subscriptions.set_paused(&mut self.node, paused) {
            let text = if paused { "paused: messages are counted and left out" } else { "resumed" };
            tracing::info!("{text}");
            self.queue.push_control(Control::Paused(paused));
        }
    }

    fn publish_log(&mut self) {
        if let Some(rosout) = &mut self.rosout {
            rosout.publish();
        }
    }

    fn poll_parameters(&mut self) {
        if let Some(handler) = &mut self.parameters
            && handler.now_or_never().is_some()
        {
            self.parameters = None;
        }
    }
}
