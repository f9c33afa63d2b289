//! The ROS side on a real ROS 2, by way of r2r.

#[path = "live/clock.rs"]
mod clock;
#[path = "live/control.rs"]
mod control;
#[path = "live/discovery.rs"]
mod discovery;
#[path = "live/handover.rs"]
mod handover;
#[path = "live/middleware.rs"]
mod middleware;
#[path = "live/node_loop.rs"]
mod node_loop;
#[path = "live/observe.rs"]
mod observe;
#[path = "live/parameters.rs"]
mod parameters;
#[path = "live/publishers.rs"]
mod publishers;
#[path = "live/qos.rs"]
mod qos;
#[path = "live/queue.rs"]
mod queue;
#[path = "live/report.rs"]
mod report;
#[path = "live/rosout.rs"]
mod rosout;
#[path = "live/services.rs"]
mod services;
#[path = "live/subscribe.rs"]
mod subscribe;
#[path = "live/subscriptions.rs"]
mod subscriptions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{
    GraphReport, GraphTopic, Mapped, NodeName, NodeSettings, RecordedTopic, RosArguments, RosError,
    RosParameters, StopFlag, UnmatchedEntry,
};
use crate::mapping::Mapping;
use crate::message::Definitions;
use crate::record::Recorder;
use crate::record::workers::panic_text;
use control::{Control, record_queue};
use discovery::Discovery;
use node_loop::NodeLoop;
use observe::Observer;
use queue::MessageQueue;

/// Bytes that messages of ordinary size may take between the node and the recorder.
const LIGHT_LIMIT_BYTES: usize = 64 << 20;
/// Bytes that large ones may take.
const HEAVY_LIMIT_BYTES: usize = 256 << 20;

/// A node on the graph, before and while it records.
pub struct RosNode {
    node: r2r::Node,
    name: NodeName,
    args: RosArguments,
}

impl RosNode {
    /// Joins the graph. `default_name` gives way to `__node` and `__ns` in the arguments.
    ///
    /// # Errors
    /// ROS 2 that does not start: no middleware, a bad domain id, arguments that it refuses.
    pub fn start(default_name: &str, args: &RosArguments) -> Result<Self, RosError> {
        let start = || {
            let context = r2r::Context::create()?;
            r2r::Node::create(context, default_name, "")
        };
        // r2r panics where rcl refuses to start.
        let node = catch_unwind(AssertUnwindSafe(start))
            .map_err(|panic| RosError::Start(panic_text(&*panic)))?
            .map_err(|error| RosError::Start(error.to_string()))?;
        let start_error = |error: r2r::Error| RosError::Start(error.to_string());
        let base = node.name().map_err(start_error)?;
        let namespace = node.namespace().map_err(start_error)?;
        Ok(Self { node, name: NodeName::new(&base, &namespace), args: args.clone() })
    }

    /// The node's name on the graph.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The ROS distribution that this was built against.
    pub fn distro(&self) -> &'static str {
        r2r::ROS_DISTRO
    }

    /// The middleware that is in use: `rmw_fastrtps_cpp`.
    pub fn middleware(&self) -> String {
        middleware::name()
    }

    /// The settings given as ROS parameters; others that were given are warned about.
    ///
    /// # Errors
    /// A parameter of the wrong type.
    pub fn parameters(&self) -> Result<RosParameters, RosError> {
        let wrong = |name: &'static str, expected: &'static str| {
            move |error: r2r::Error| RosError::Parameter {
                name,
                expected,
                reason: error.to_string(),
            }
        };
        let text = |name: &'static str| {
            let value = self.node.get_parameter::<Option<String>>(name);
            let value = value.map_err(wrong(name, "a string"))?;
            Ok(value.filter(|text| !text.is_empty()))
        };
        let start_paused = self.node.get_parameter::<Option<bool>>("start_paused");
        parameters::warn_of_others(&self.node);
        Ok(RosParameters {
            config: text("config")?,
            experiment: text("experiment")?,
            root: text("root")?,
            remote: text("remote")?,
            start_paused: start_paused.map_err(wrong("start_paused", "true or false"))?,
        })
    }

    /// What is on the graph, held against `mapping`, resolved for this node; what it wants is listened
    /// to for so long, or until `stop` is set.
    ///
    /// # Errors
    /// The node failed.
    pub fn observe(
        self,
        mapping: Mapping,
        definitions: Definitions,
        listen: Duration,
        stop: &StopFlag,
    ) -> Result<GraphReport, RosError> {
        let discovery = Discovery::new(mapping, definitions, self.args, self.name);
        let observer = Observer::new(self.node, discovery);
        catch_unwind(AssertUnwindSafe(|| observer.observe(listen, stop)))
            .map_err(|panic| RosError::Node(panic_text(&*panic)))
    }

    /// Records what `mapping`, resolved for this node, asks for until `stop` is set; then takes
    /// what is queued. Decoding and storing run on the calling thread, the node on its own.
    ///
    /// # Errors
    /// The node thread did not start or panicked; what it had taken is recorded all the same.
    pub fn record(
        self,
        mapping: Mapping,
        definitions: Definitions,
        settings: NodeSettings,
        recorder: &mut Recorder,
        stop: &StopFlag,
    ) -> Result<(), RosError> {
        let board = recorder.board();
        let discovery = Discovery::new(mapping, definitions, self.args, self.name.clone());
        let (node, name) = (self.node, self.name);
        record_from(recorder, stop, move |queue, stop| {
            NodeLoop::new(node, &name, settings, discovery, board, queue, stop)?.run()
        })
    }
}

/// Records what `node_loop`, on a thread of its own, puts into the queue.
fn record_from(
    recorder: &mut Recorder,
    stop: &StopFlag,
    node_loop: impl FnOnce(&MessageQueue<Control>, &StopFlag) -> Result<(), RosError> + Send + 'static,
) -> Result<(), RosError> {
    recorder.hurry_when(stop.hurry_flag());
    let queue = Arc::new(MessageQueue::new(LIGHT_LIMIT_BYTES, HEAVY_LIMIT_BYTES));
    let node_thread = {
        let (queue, stop) = (queue.clone(), stop.clone());
        let run = move || {
            // A panic of r2r must not cost the rows that were received: it ends here.
            let ended = catch_unwind(AssertUnwindSafe(|| node_loop(&queue, &stop)));
            queue.close();
            stop.stop();
            ended.unwrap_or_else(|panic| Err(RosError::Node(panic_text(&*panic))))
        };
        thread::Builder::new().name("ros-node".into()).spawn(run).map_err(RosError::Thread)?
    };
    record_queue(&queue, recorder, stop);
    node_thread.join().unwrap_or_else(|panic| Err(RosError::Node(panic_text(&*panic))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageType;
    use crate::record::{DropReason, TopicPlan};
    use crate::track::{Experiment, Options, Query};
    use queue::RawMessage;

    fn message(received_nanos: i64) -> RawMessage {
        let cdr = vec![0, 1, 0, 0, 2, 0, 0, 0, b'x', 0];
        RawMessage { topic: 0, cdr, received_nanos }
    }

    /// A recorder, and the plan of `/chatter`.
    fn recorder(root: &std::path::Path) -> (Recorder, Box<TopicPlan>) {
        let exp = Experiment::open("tests/ros/run", Options::local(root)).unwrap();
        let mapping = Mapping::parse("topics: [{topic: /chatter}]", "test.yaml").unwrap();
        let type_name = "std_msgs/msg/String".parse().unwrap();
        let message = MessageType::from_bundle(&type_name, "string data").unwrap();
        let rule = mapping.rule_for("/chatter", &type_name).unwrap();
        let plan = TopicPlan::new("/chatter", "/chatter", &message, &rule).unwrap();
        (Recorder::new(exp), Box::new(plan))
    }

    #[test]
    fn a_panic_of_the_node_ends_the_recording_in_order_with_all_that_was_received() {
        let root = tempfile::tempdir().unwrap();
        let (mut recorder, plan) = recorder(root.path());
        let stop = StopFlag::default();
        let ended = record_from(&mut recorder, &stop, move |queue, _| {
            queue.push_control(Control::AddTopic(plan));
            queue.push(message(1_000_000_000)).unwrap();
            queue.push(message(2_000_000_000)).unwrap();
            panic!("rcl said something r2r does not know");
        });
        let failure = ended.unwrap_err().to_string();
        assert!(failure.contains("rcl said something"), "{failure}");
        assert!(stop.is_set());
        let (account, closed) = recorder.finish(Some(failure.clone()));
        closed.unwrap();
        assert!(account.adds_up() && !account.complete);
        assert_eq!(account.failure, Some(failure));
        let exp = Experiment::open_read_only("tests/ros/run", root.path()).unwrap();
        assert_eq!(exp.tracks("chatter").read(&Query::all()).unwrap().len(), 2);
    }

    #[test]
    fn in_a_hurry_what_is_queued_is_counted_and_left_out() {
        let root = tempfile::tempdir().unwrap();
        let (mut recorder, plan) = recorder(root.path());
        let stop = StopFlag::default();
        stop.hurry();
        let ended = record_from(&mut recorder, &stop, move |queue, _| {
            queue.push_control(Control::AddTopic(plan));
            queue.push(message(1_000_000_000)).unwrap();
            Ok(())
        });
        ended.unwrap();
        let (account, closed) = recorder.finish(None);
        closed.unwrap();
        assert_eq!(account.topics[0].dropped[&DropReason::Stopped], 1);
        assert!(account.adds_up());
    }
}
