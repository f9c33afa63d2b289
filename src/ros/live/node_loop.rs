//! The node's thread: spins, drains every subscription after each spin, and never waits for
//! anything else. r2r's streams hold ten messages and drop the rest without a word; a spin puts at
//! most one message into each, so draining all of them after every spin loses none.

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};

use super::discovery::{Discovery, NewTopic};
use super::handover::{Handover, Side};
use super::qos::ChosenQos;
use super::queue::{MessageQueue, RawMessage};
use super::subscribe::Messages;
use super::{Control, RosError, StopFlag};

/// A spin can't be woken from outside: this bounds how late a stop or a new topic is seen.
const SPIN: Duration = Duration::from_millis(20);
/// How often the graph is asked for topics.
const DISCOVER_EVERY: Duration = Duration::from_millis(100);
/// How long the last messages may take to come out of the middleware after a stop.
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);

/// A topic that is being recorded.
struct Subscription {
    /// What it was subscribed by: the name before remapping.
    name: String,
    messages: Messages,
    /// While it is being subscribed anew.
    handover: Option<Handover<Messages>>,
    queue_full: u64,
}

impl Subscription {
    /// A message that has arrived, if there is one.
    fn take(&mut self) -> Option<Vec<u8>> {
        let Some(handover) = &mut self.handover else {
            return self.messages.arrived();
        };
        while let Some(cdr) = handover.old.arrived() {
            if !handover.is_repeat(Side::Old, &cdr) {
                return Some(cdr);
            }
        }
        while let Some(cdr) = self.messages.arrived() {
            if !handover.is_repeat(Side::New, &cdr) {
                return Some(cdr);
            }
        }
        if handover.is_over() {
            // The old subscription goes with its stream, at its next message.
            self.handover = None;
        }
        None
    }
}

/// Everything that lives on the node's thread.
pub(super) struct NodeLoop<'a> {
    node: r2r::Node,
    discovery: Discovery,
    queue: &'a MessageQueue<Control>,
    stop: &'a StopFlag,
    /// By topic number.
    subscriptions: Vec<Subscription>,
    clock: std::sync::Arc<std::sync::Mutex<r2r::Clock>>,
    /// Answers `ros2 param`, and switches to simulated time.
    parameters: Option<BoxFuture<'static, ()>>,
}

impl<'a> NodeLoop<'a> {
    pub(super) fn new(
        mut node: r2r::Node,
        discovery: Discovery,
        queue: &'a MessageQueue<Control>,
        stop: &'a StopFlag,
    ) -> Result<Self, RosError> {
        let (parameters, _changes) = node
            .make_parameter_handler()
            .map_err(|error| RosError::Node(format!("can't serve parameters: {error}")))?;
        let clock = node.get_ros_clock();
        let parameters = Some(parameters.boxed());
        Ok(Self { node, discovery, queue, stop, subscriptions: Vec::new(), clock, parameters })
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
            self.poll_parameters();
            self.drain();
        }
        let deadline = Instant::now() + DRAIN_AT_MOST;
        // Two spins without a message: the first may have served a timer or a service.
        let mut idle_spins = 0;
        while idle_spins < 2 && Instant::now() < deadline {
            self.node.spin_once(Duration::ZERO);
            idle_spins = if self.drain() { 0 } else { idle_spins + 1 };
        }
        self.queue.push_control(Control::Unmatched(self.discovery.unmatched()));
        Ok(())
    }

    fn discover(&mut self) {
        for found in self.discovery.scan(&self.node) {
            match found {
                NewTopic::Record { name, type_name, qos, plan } => {
                    match Messages::of(&mut self.node, &name, &type_name, &qos) {
                        Ok(messages) => {
                            tracing::info!("recording {name} ({type_name}; {qos})");
                            self.subscriptions.push(Subscription {
                                name,
                                messages,
                                handover: None,
                                queue_full: 0,
                            });
                            self.queue.push_control(Control::AddTopic(plan));
                        }
                        Err(reason) => self.refuse(name, reason),
                    }
                }
                NewTopic::Resubscribe { name, type_name, qos, .. } => {
                    self.resubscribe(&name, &type_name, &qos);
                }
                NewTopic::Refuse { name, reason } => self.refuse(name, reason),
            }
        }
    }

    fn resubscribe(&mut self, name: &str, type_name: &str, qos: &ChosenQos) {
        let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.name == name) else {
            return;
        };
        tracing::warn!("{name}: publishers changed; subscribing again ({qos})");
        match Messages::of(&mut self.node, name, type_name, qos) {
            Ok(messages) => {
                let old = std::mem::replace(&mut subscription.messages, messages);
                subscription.handover = Some(Handover::from(old));
            }
            Err(reason) => tracing::error!("{name}: can't subscribe again: {reason}"),
        }
    }

    fn refuse(&self, topic: String, reason: String) {
        tracing::error!("{topic} is not recorded: {reason}");
        self.queue.push_control(Control::Refuse { topic, reason });
    }

    /// Hands over everything that the last spin brought; whether there was anything.
    fn drain(&mut self) -> bool {
        let mut any = false;
        for (topic, subscription) in self.subscriptions.iter_mut().enumerate() {
            while let Some(cdr) = subscription.take() {
                any = true;
                let received_nanos = now_nanos(&self.clock);
                if self.queue.push(RawMessage { topic, cdr, received_nanos }).is_err() {
                    subscription.queue_full += 1;
                }
            }
            let messages = std::mem::take(&mut subscription.queue_full);
            if messages > 0 {
                self.queue.push_control(Control::QueueFull { topic, messages });
            }
        }
        any
    }

    fn poll_parameters(&mut self) {
        if let Some(handler) = &mut self.parameters
            && handler.now_or_never().is_some()
        {
            self.parameters = None;
        }
    }
}

/// ROS time: the system's, or `/clock` under `use_sim_time`.
fn now_nanos(clock: &std::sync::Mutex<r2r::Clock>) -> i64 {
    let mut clock = clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let since_epoch = clock.get_now().unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
