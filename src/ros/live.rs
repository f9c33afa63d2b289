//! The ROS side on a real ROS 2. Subscriptions, discovery and waiting use rcl directly
//! ([`rcl`](super::rcl)), on their own thread. Services, parameters, diagnostics and the log use an
//! r2r node on another thread.

mod backlog;
mod clock;
mod control;
mod discovery;
mod introspection;
mod latched;
mod listener;
mod listening;
mod node_loop;
mod observe;
mod parameter_services;
mod parameters;
mod part_changes;
mod qos;
mod queue;
mod reader;
mod readers;
mod replay;
mod report;
mod request_queue;
mod rosout;
mod said_labels;
mod selection;
mod sequences;
mod services;
mod sourced;
mod stall;
mod triggers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::channel::oneshot;

use super::{
    GraphReport, GraphTopic, Mapped, NodeName, NodeSettings, RecordedTopic, RosArguments, RosError,
    RosParameters, StopFlag,
};
use crate::mapping::{ClockJump, Mapping};
use crate::message::Definitions;
use crate::record::Recorder;
use crate::record::panic_text;
use control::{Control, News, record_queue};
use discovery::Discovery;
use listener::Listener;
use listening::Nodes;
use node_loop::{NodeLinks, NodeLoop};
use observe::Observer;
use queue::MessageQueue;
use request_queue::{Request, RequestQueue};
use said_labels::SaidLabels;

/// Queue limit in bytes for messages of ordinary size, between the node and the recorder.
const LIGHT_LIMIT_BYTES: usize = 64 << 20;
/// Queue limit in bytes for large messages.
const HEAVY_LIMIT_BYTES: usize = 256 << 20;

/// The bridge on the ROS graph, before and during recording: the node for users, and the nodes that
/// subscribe.
pub struct RosNode {
    node: r2r::Node,
    listening: Nodes,
    name: NodeName,
    args: RosArguments,
}

/// Settings of the listening thread, besides what it records.
#[derive(Clone, Copy, Debug)]
struct ListenSettings {
    clock_jump: ClockJump,
    gather: Duration,
    use_sim_time: bool,
    start_paused: bool,
}

/// The ROS 2 that this program was built for and the middleware that it would use: `jazzy, rmw_fastrtps_cpp`.
pub fn built_with() -> Option<String> {
    // Where nothing is sourced, there is no middleware to ask.
    let middleware = match sourced::check(r2r::ROS_DISTRO) {
        Ok(()) => super::rcl::middleware(),
        Err(_) => "not sourced here".to_owned(),
    };
    Some(format!("{}, {middleware}", r2r::ROS_DISTRO))
}

impl RosNode {
    /// Joins the graph. `__node` and `__ns` in the arguments override `default_name`.
    ///
    /// # Errors
    /// Fails if no ROS 2 is sourced or it does not start: no middleware, a bad domain id, or
    /// arguments that it refuses.
    pub fn start(default_name: &str, args: &RosArguments) -> Result<Self, RosError> {
        sourced::check(r2r::ROS_DISTRO)?;
        let start = || {
            let context = r2r::Context::create()?;
            r2r::Node::create(context, default_name, "")
        };
        // r2r panics if rcl refuses to start.
        let node = catch_unwind(AssertUnwindSafe(start))
            .map_err(|panic| RosError::Start(panic_text(&*panic)))?
            .map_err(|error| RosError::Start(error.to_string()))?;
        let start_error = |error: r2r::Error| RosError::Start(error.to_string());
        let base = node.name().map_err(start_error)?;
        let namespace = node.namespace().map_err(start_error)?;
        super::rcl::log_here();
        let name = NodeName::new(&base, &namespace);
        let listening = Nodes::start(&name, args);
        let listening = listening.map_err(|error| RosError::Start(error.to_string()))?;
        Ok(Self { node, listening, name, args: args.clone() })
    }

    /// The node's name on the graph.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The ROS distribution that this program was built for.
    pub fn distro(&self) -> &'static str {
        r2r::ROS_DISTRO
    }

    /// The middleware in use: `rmw_fastrtps_cpp`.
    pub fn middleware(&self) -> String {
        super::rcl::middleware()
    }

    /// The settings given as ROS parameters. Warns about unknown parameters.
    ///
    /// # Errors
    /// Fails if a parameter has the wrong type.
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
            selection: selection::given(&self.node)?,
            experiment: text("experiment")?,
            root: text("root")?,
            remote: text("remote")?,
            start_paused: start_paused.map_err(wrong("start_paused", "true or false"))?,
            labels: parameters::given_labels(&self.node)?,
        })
    }

    /// Compares the graph with `mapping`, resolved for this node. Listens to the topics that the
    /// mapping asks for, for the given time or until `stop` is set.
    ///
    /// # Errors
    /// Fails if the node fails.
    pub fn observe(
        self,
        mapping: Mapping,
        definitions: Definitions,
        listen: Duration,
        stop: &StopFlag,
    ) -> Result<GraphReport, RosError> {
        let discovery = Discovery::new(mapping, definitions, self.args, self.name);
        Observer::new(self.listening, discovery)?.observe(listen, stop)
    }

    /// Records what `mapping`, resolved for this node, asks for until `stop` is set; then records
    /// what is queued. Decoding and storing run on the calling thread; listening and the node each
    /// have their own.
    ///
    /// # Errors
    /// Fails if a thread did not start or the listening thread panicked. What it had received is
    /// recorded anyway.
    pub fn record(
        self,
        mapping: Mapping,
        definitions: Definitions,
        settings: NodeSettings,
        recorder: &mut Recorder,
        stop: &StopFlag,
    ) -> Result<(), RosError> {
        let _stalls = stall::warn_of_stalls().map_err(RosError::Thread)?;
        let board = recorder.board();
        let listen = ListenSettings {
            clock_jump: settings.clock_jump,
            gather: mapping.gather(),
            use_sim_time: parameters::use_sim_time(&self.node),
            start_paused: settings.shown.start_paused,
        };
        let discovery = Discovery::new(mapping, definitions, self.args, self.name.clone());
        let (node, name, nodes) = (self.node, self.name, self.listening);
        let queue = Arc::new(MessageQueue::new(LIGHT_LIMIT_BYTES, HEAVY_LIMIT_BYTES));
        let requests = RequestQueue::new(nodes.context())?;
        {
            let requests = requests.clone();
            stop.call_when_set(move || requests.wake());
        }
        {
            let requests = requests.clone();
            settings.orders.connect(move |order| {
                // The log has the answer.
                let (reply, _) = oneshot::channel();
                requests.ask(Request::Call(order.into(), reply))
            });
        }
        let labels = recorder.experiment().notes().map(|notes| notes.labels());
        let said = SaidLabels::new(labels.unwrap_or_default());
        let node_thread = {
            let (queue, requests, stop) = (queue.clone(), requests.clone(), stop.clone());
            let said = said.clone();
            let board_alone = board.clone();
            spawn("ros-node", move || {
                // A panic of r2r costs the services, not the recording.
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    let links = NodeLinks { queue: &queue, requests: &requests, stop: &stop };
                    let node_loop = NodeLoop::new(node, &name, settings, board, said, links);
                    node_loop.map(NodeLoop::run)
                }));
                let reason = match ended {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(panic) => panic_text(&*panic),
                };
                tracing::error!(
                    "services, parameters and diagnostics have ended, the recording goes on: {reason}"
                );
                report::post_alone(&queue, &board_alone, &stop);
            })?
        };
        let tell = {
            let requests = requests.clone();
            move |news| match news {
                News::PartChanged { has_begun } => {
                    requests.ask(Request::PartChanged { has_begun });
                }
                News::PartFull => {
                    requests.ask(Request::PartFull);
                }
                News::Labelled { noted, is_asked_for } => said.note(noted, is_asked_for),
            }
        };
        let recorded = record_from(&queue, recorder, stop, tell, move |queue, stop| {
            Listener::new(nodes, listen, discovery, requests, queue, stop).map(Listener::run)
        });
        // Its panics are caught in its own thread.
        let _ = node_thread.join();
        recorded
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, RosError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(RosError::Thread)
}

/// Records what `listen`, on its own thread, puts into the queue.
fn record_from(
    queue: &Arc<MessageQueue<Control>>,
    recorder: &mut Recorder,
    stop: &StopFlag,
    tell: impl Fn(News),
    listen: impl FnOnce(&MessageQueue<Control>, &StopFlag) -> Result<(), RosError> + Send + 'static,
) -> Result<(), RosError> {
    recorder.hurry_when(stop.hurry_flag());
    let listening = {
        let (queue, stop) = (queue.clone(), stop.clone());
        let run = move || {
            // A panic must not lose received messages, so it is caught here.
            let ended = catch_unwind(AssertUnwindSafe(|| listen(&queue, &stop)));
            queue.close();
            stop.stop();
            ended.unwrap_or_else(|panic| Err(RosError::Node(panic_text(&*panic))))
        };
        spawn("ros-listen", run)?
    };
    record_queue(queue, recorder, stop, tell);
    listening.join().unwrap_or_else(|panic| Err(RosError::Node(panic_text(&*panic))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageType;
    use crate::record::{DropReason, TopicPlan};
    use crate::track::{Experiment, Options, Query};
    use queue::RawMessage;

    fn message(nanos: i64) -> RawMessage {
        let cdr = vec![0, 1, 0, 0, 2, 0, 0, 0, b'x', 0];
        let received_nanos = Some(nanos);
        let (source_nanos, is_repeat) = (None, false);
        RawMessage { topic: 0, cdr, received_nanos, source_nanos, arrived_nanos: nanos, is_repeat }
    }

    /// Records what `listen` puts into a queue.
    fn record(
        recorder: &mut Recorder,
        stop: &StopFlag,
        listen: impl FnOnce(&MessageQueue<Control>) -> Result<(), RosError> + Send + 'static,
    ) -> Result<(), RosError> {
        let queue = Arc::new(MessageQueue::new(LIGHT_LIMIT_BYTES, HEAVY_LIMIT_BYTES));
        record_from(&queue, recorder, stop, |_| {}, move |queue, _| listen(queue))
    }

    fn push(queue: &MessageQueue<Control>, nanos: &[i64]) {
        let mut messages = nanos.iter().map(|nanos| message(*nanos)).collect();
        queue.push_all(&mut messages, |_| panic!("there is room"));
    }

    /// A recorder, and the plan for `/chatter`.
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
        let ended = record(&mut recorder, &stop, move |queue| {
            queue.push_control(Control::AddTopic(plan));
            push(queue, &[1_000_000_000, 2_000_000_000]);
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
        let ended = record(&mut recorder, &stop, move |queue| {
            queue.push_control(Control::AddTopic(plan));
            push(queue, &[1_000_000_000]);
            Ok(())
        });
        ended.unwrap();
        let (account, closed) = recorder.finish(None);
        closed.unwrap();
        assert_eq!(account.topics[0].dropped[&DropReason::Stopped], 1);
        assert!(account.adds_up());
    }
}
