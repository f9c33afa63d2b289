//! The ROS side on a real ROS 2, by way of r2r.

#[path = "live/discovery.rs"]
mod discovery;
#[path = "live/handover.rs"]
mod handover;
#[path = "live/node_loop.rs"]
mod node_loop;
#[path = "live/observe.rs"]
mod observe;
#[path = "live/publishers.rs"]
mod publishers;
#[path = "live/qos.rs"]
mod qos;
#[path = "live/queue.rs"]
mod queue;
#[path = "live/subscribe.rs"]
mod subscribe;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{
    GraphReport, GraphTopic, Mapped, NodeName, RecordedTopic, RosArguments, RosError,
    RosParameters, StopFlag, UnmatchedEntry,
};
use crate::mapping::Mapping;
use crate::message::Definitions;
use crate::record::workers::panic_text;
use crate::record::{DropReason, Recorder, TopicPlan};
use discovery::Discovery;
use node_loop::NodeLoop;
use observe::Observer;
use queue::{MessageQueue, Taken};

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

/// What the node tells the recorder besides messages.
enum Control {
    /// The topic of the next number.
    AddTopic(Box<TopicPlan>),
    /// A topic that can't be recorded, and why.
    Refuse { topic: String, reason: String },
    /// Messages that found the queue full.
    QueueFull { topic: usize, messages: u64 },
    /// Entries of the mapping that no topic came for.
    Unmatched(Vec<String>),
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

    /// The settings given as ROS parameters.
    ///
    /// # Errors
    /// A parameter that is not a string.
    pub fn parameters(&self) -> Result<RosParameters, RosError> {
        let text = |name: &'static str| match self.node.get_parameter::<Option<String>>(name) {
            Ok(value) => Ok(value.filter(|text| !text.is_empty())),
            Err(error) => Err(RosError::Parameter { name, reason: error.to_string() }),
        };
        Ok(RosParameters {
            config: text("config")?,
            experiment: text("experiment")?,
            root: text("root")?,
            remote: text("remote")?,
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
        recorder: &mut Recorder,
        stop: &StopFlag,
    ) -> Result<(), RosError> {
        let queue = Arc::new(MessageQueue::new(LIGHT_LIMIT_BYTES, HEAVY_LIMIT_BYTES));
        let discovery = Discovery::new(mapping, definitions, self.args, self.name);
        let node_thread = {
            let (queue, stop) = (queue.clone(), stop.clone());
            let run = move || {
                let node_loop = || NodeLoop::new(self.node, discovery, &queue, &stop)?.run();
                // A panic of r2r must not cost the rows that were received: it ends here.
                let ended = catch_unwind(AssertUnwindSafe(node_loop));
                queue.close();
                stop.stop();
                ended.unwrap_or_else(|panic| Err(RosError::Node(panic_text(&*panic))))
            };
            thread::Builder::new().name("ros-node".into()).spawn(run).map_err(RosError::Thread)?
        };
        record_queue(&queue, recorder);
        node_thread.join().unwrap_or_else(|panic| Err(RosError::Node(panic_text(&*panic))))
    }
}

/// The recorder's side of the queue, until it is closed and empty.
fn record_queue(queue: &MessageQueue<Control>, recorder: &mut Recorder) {
    loop {
        match queue.take() {
            Taken::Message(message) => {
                recorder.record(message.topic, message.cdr, message.received_nanos);
            }
            Taken::Control(Control::AddTopic(plan)) => {
                recorder.add_topic(*plan);
            }
            Taken::Control(Control::Refuse { topic, reason }) => recorder.refuse(topic, reason),
            Taken::Control(Control::QueueFull { topic, messages }) => {
                recorder.drop_messages(topic, DropReason::QueueFull, messages);
            }
            Taken::Control(Control::Unmatched(entries)) => recorder.set_unmatched(entries),
            Taken::Closed => return,
        }
    }
}
