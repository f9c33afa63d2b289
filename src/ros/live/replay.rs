//! Publishes the messages of a run, each topic with the QoS that it was recorded with, and offers `~/pause` and `~/resume`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::FutureExt;
use futures::stream::{Stream, StreamExt};
use r2r::std_srvs::srv::Trigger;
use r2r::{QosProfile as ServiceQos, ServiceRequest};

use super::services::{Answer, answer};
use super::{RosError, RosNode, StopFlag};
use crate::export::ros2::{RosRun, RosTopic};
use crate::mapping::{Durability, Reliability};
use crate::message::{Definitions, MessageType, TypeName};
use crate::record::{OfferedQos, panic_text};
use crate::ros::rcl::{self, Node, Publisher, QosProfile, RclError, TypeSupport};
use crate::ros::replay::{Bus, Pause, ReplayError, ReplayReport, ReplaySettings, play};

const CLOCK: &str = "/clock";
const CLOCK_TYPE: &str = "rosgraph_msgs/msg/Clock";
/// How long services may go without being looked at.
const SPIN: Duration = Duration::from_millis(20);
/// How long the last messages may take to reach their subscribers.
const LINGER: Duration = Duration::from_secs(2);
/// The depth for a topic whose publishers kept all messages.
const KEEP_ALL_DEPTH: usize = 1000;

impl RosNode {
    /// Publishes the messages of `run` until its end or until `stop` is set. Topics whose types are not installed, or have
    /// other definitions there, are left out and named at once.
    ///
    /// # Errors
    /// Fails if the run can't be read or the middleware fails.
    pub fn replay(
        self,
        run: &RosRun,
        settings: &ReplaySettings,
        stop: &StopFlag,
    ) -> Result<ReplayReport, ReplayError> {
        let node = self.listening.first().clone();
        let has_clock = settings.clock_hz.is_some();
        let installed = Definitions::from_environment();
        let mut refused = Vec::new();
        let publishers = run.topics().iter().map(|topic| {
            let name = self.args.remapped(&topic.name, &self.name);
            if has_clock && name == CLOCK {
                refused.push((name, "`--clock` publishes it".to_owned()));
                return None;
            }
            if let Some(reason) = differs(&installed, topic) {
                refused.push((name, reason));
                return None;
            }
            match publisher(&node, &name, &topic.type_name, topic.qos()) {
                Ok(publisher) => {
                    tracing::info!("publishing {name} ({}; {})", topic.type_name, shown(topic));
                    Some(publisher)
                }
                Err(error) => {
                    refused.push((name, error.to_string()));
                    None
                }
            }
        });
        let publishers: Vec<Option<Publisher>> = publishers.collect();
        for (name, reason) in &refused {
            tracing::warn!("{name} is not published: {reason}");
        }
        if publishers.iter().all(Option::is_none) {
            let messages = vec![0; run.topics().len()];
            return Ok(ReplayReport { messages, refused, ..ReplayReport::default() });
        }
        let clock = has_clock
            .then(|| publisher(&node, CLOCK, CLOCK_TYPE, OfferedQos::default()))
            .transpose()
            .map_err(|error| RosError::Node(error.to_string()))?;
        let mut graph = Graph { publishers, clock };
        let is_over = AtomicBool::new(false);
        let mut services_node = self.node;
        let played = thread::scope(|scope| {
            let serve = || serve(&mut services_node, &settings.pause, &is_over);
            let services = thread::Builder::new().name("ros-node".into());
            let services = services.spawn_scoped(scope, serve).map_err(RosError::Thread)?;
            graph.await_subscribers(settings.wait_for_subscribers, stop);
            let played = play(run, settings, &mut graph, stop);
            graph.linger(stop);
            is_over.store(true, Ordering::Relaxed);
            // Its panics are caught in its own thread.
            let _ = services.join();
            played
        });
        played.map(|report| ReplayReport { refused, ..report })
    }
}

/// Why the messages of a topic are no messages of the installed type of its name, if they are none. Subscribers would
/// take their bytes for something else.
fn differs(installed: &Definitions, topic: &RosTopic) -> Option<String> {
    let name: TypeName = topic.type_name.parse().ok()?;
    // Without an installed definition, whether there is a type shows when it is loaded.
    let installed = installed.resolve(&name).ok()?;
    let recorded = MessageType::from_bundle(&name, &topic.definition).ok()?;
    let type_name = &topic.type_name;
    (!recorded.is_like(&installed)).then(|| {
        format!(
            "it was recorded with another definition of {type_name} than the one that is installed; source a workspace \
             with the recorded one, or use `export --ros2`"
        )
    })
}

fn publisher(
    node: &Node,
    topic: &str,
    type_name: &str,
    qos: OfferedQos,
) -> Result<Publisher, RclError> {
    let qos = QosProfile {
        reliability: match qos.reliability {
            Reliability::Reliable => rcl::Reliability::Reliable,
            Reliability::BestEffort => rcl::Reliability::BestEffort,
        },
        durability: match qos.durability {
            Durability::TransientLocal => rcl::Durability::TransientLocal,
            Durability::Volatile => rcl::Durability::Volatile,
        },
        depth: qos.depth.map_or(KEEP_ALL_DEPTH, |depth| depth.max(1) as usize),
    };
    Publisher::new(node, topic, TypeSupport::load(type_name)?, qos)
}

/// A topic's QoS in words.
fn shown(topic: &RosTopic) -> &'static str {
    let qos = topic.qos();
    match (qos.durability, qos.reliability) {
        (Durability::TransientLocal, _) => "latched",
        (Durability::Volatile, Reliability::Reliable) => "reliable",
        (Durability::Volatile, Reliability::BestEffort) => "best effort",
    }
}

/// The publishers.
struct Graph {
    /// By the run's number of a topic.
    publishers: Vec<Option<Publisher>>,
    clock: Option<Publisher>,
}

impl Graph {
    /// Waits until somebody listens to each topic. An error counts as nobody.
    fn await_subscribers(&self, at_most: Duration, stop: &StopFlag) {
        let until = Instant::now() + at_most;
        let is_heard = |publisher: &Publisher| publisher.subscription_count().is_ok_and(|n| n > 0);
        while !self.publishers.iter().flatten().all(is_heard) {
            if stop.is_set() || Instant::now() >= until {
                if !at_most.is_zero() {
                    tracing::warn!("beginning, though nobody listens to some of the topics");
                }
                return;
            }
            thread::sleep(SPIN);
        }
    }

    /// Lets the last messages arrive: a publisher that is gone sends nothing again.
    fn linger(&self, stop: &StopFlag) {
        for publisher in self.publishers.iter().flatten() {
            // An error says no more than that nobody knows.
            if stop.is_hurried() || !publisher.wait_for_all_acked(LINGER).unwrap_or(false) {
                return;
            }
        }
    }
}

impl Bus for Graph {
    fn publish(&mut self, topic: usize, cdr: &[u8]) -> Result<bool, RosError> {
        let Some(Some(publisher)) = self.publishers.get(topic) else { return Ok(false) };
        publisher.publish(cdr).map(|()| true).map_err(|error| RosError::Node(error.to_string()))
    }

    fn publish_time(&mut self, nanos: i64) -> Result<(), RosError> {
        let Some(clock) = &self.clock else { return Ok(()) };
        let sec = i32::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i32::MAX);
        let nanosec = nanos.rem_euclid(1_000_000_000) as u32;
        let cdr = [[0, 1, 0, 0], sec.to_le_bytes(), nanosec.to_le_bytes()].concat();
        clock.publish(&cdr).map_err(|error| RosError::Node(error.to_string()))
    }
}

type Requests = Box<dyn Stream<Item = ServiceRequest<Trigger::Service>> + Unpin>;

/// Answers services until the replay is over. A panic of r2r costs the services, not the replay.
fn serve(node: &mut r2r::Node, pause: &Pause, is_over: &AtomicBool) {
    let served = catch_unwind(AssertUnwindSafe(|| {
        let mut offered: Vec<(bool, Requests)> = Vec::new();
        for (name, pauses) in [("~/pause", true), ("~/resume", false)] {
            let requests = node.create_service::<Trigger::Service>(name, ServiceQos::default())?;
            offered.push((pauses, Box::new(requests)));
        }
        while !is_over.load(Ordering::Relaxed) {
            node.spin_once(SPIN);
            for (pauses, requests) in &mut offered {
                while let Some(request) = requests.next().now_or_never().flatten() {
                    let is_news = pause.set(*pauses);
                    let said = match (*pauses, is_news) {
                        (true, true) => "paused",
                        (true, false) => "it is paused already",
                        (false, true) => "resumed",
                        (false, false) => "it is not paused",
                    };
                    answer(request, Answer::done(said));
                }
            }
        }
        Ok::<(), r2r::Error>(())
    }));
    let reason = match served {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic_text(&*panic),
    };
    tracing::error!("the services have ended, the replay goes on: {reason}");
}
