//! A recording that is replayed is recorded again as it was, at its own pace and with its QoS.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::{MessageType, TypeName};
use mldash_bridge::record::{Received, Recorder, TopicPlan};
use mldash_bridge::ros::rcl::{
    Context, Durability, GuardCondition, Node, QosProfile, Ready, Reliability, Subscription,
    TypeSupport, WaitSet,
};
use mldash_bridge::track::{Experiment, Options};
use rustix::process::Signal;

use super::import::{BAG, RUN, pictures, rows};
use super::support::{Bridge, Domain, Graph};
use crate::program::program;

const PATIENCE: Duration = Duration::from_secs(60);
const WHOLE: &str = "min_free: 0\ntopics:\n  - {topic: /tf, each: transforms, track: 'tf/{child_frame_id}'}\n  \
    - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n  - topic: /scan\n  - topic: /odom\n  \
    - topic: /pose\n  - topic: /points\n  - topic: /chatter\n  - topic: /robot_description\n  \
    - {topic: /camera/image_raw/compressed, track: camera/image}\n  - topic: /camera/camera_info\n";

/// Imports the bag whole.
fn imported(mapping: &Path, root: &Path) {
    fs::write(mapping, WHOLE).unwrap();
    let import = program(["import", BAG, "--experiment", RUN, "--config"]).arg(mapping);
    let done = import.arg("--root").arg(root).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}

/// Replays it until its end.
fn replay(graph: &Graph, root: &str, args: &[&str]) -> Bridge {
    let root = graph.path(root);
    let mut all = vec!["replay", RUN, "--root", root.to_str().unwrap()];
    all.extend(args);
    graph.bare_bridge(&all)
}

#[test]
fn what_is_replayed_is_recorded_as_it_was_imported() {
    let graph = Graph::new();
    imported(&graph.path("whole.yaml"), &graph.path("first"));
    let bridge = graph.bridge(WHOLE);
    let ended = replay(&graph, "first", &["--rate", "20", "--wait-for-subscribers", "30"]).end();
    let said = &ended.ended;
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("published 1606 messages on 10 topics"), "{}", said.stderr);
    assert!(said.stderr.contains("after they were due: half of them within"), "{}", said.stderr);
    bridge.interrupt();

    let [first, again] =
        ["first", "root"].map(|root| Experiment::open_read_only(RUN, graph.path(root)).unwrap());
    let names = |exp: &Experiment| -> Vec<String> {
        exp.list().unwrap().into_iter().map(|track| track.topic).collect()
    };
    assert_eq!(names(&first), names(&again));
    for track in names(&first) {
        let (first, again) = (rows(&first, &track), rows(&again, &track));
        assert_eq!(first.len(), again.len(), "rows of {track}");
        for (i, (first, again)) in first.iter().zip(&again).enumerate() {
            assert!(first == again, "row {i} of {track}:\n{first:.300}\n{again:.300}");
        }
    }
    assert!(pictures(&first) == pictures(&again), "the files differ");
}

fn node(domain: &Domain) -> (Context, Node) {
    let context = Context::in_domain(domain.id() as usize).unwrap();
    let node = Node::new(&context, "late", "").unwrap();
    (context, node)
}

/// Takes messages until there are so many.
fn take(
    context: &Context,
    node: &Node,
    subscription: &mut Subscription,
    count: usize,
) -> Vec<Vec<u8>> {
    let (mut set, guard) = (WaitSet::new(node).unwrap(), GuardCondition::new(context).unwrap());
    let (mut ready, mut taken) = (Ready::default(), Vec::new());
    while taken.len() < count {
        set.wait([&*subscription].into_iter(), &guard, Some(PATIENCE), &mut ready).unwrap();
        while let Some(message) = subscription.take().unwrap() {
            taken.push(message.cdr.to_vec());
        }
    }
    taken
}

#[test]
fn who_comes_late_gets_latched_topics_while_paused_and_the_rest_once_it_goes_on() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let bridge = graph.bridge(
        "min_free: 0\ntopics:\n  - {topic: /pose, receive_ts: true}\n  - topic: /robot_description\n  \
         - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n",
    );
    let mut operator = graph.operator();
    bridge.wait_for_log("the first message of /tf_static is here");
    bridge.wait_for_log("the first message of /robot_description is here");
    operator.publish("pose", 0..50, 100);
    robot.finish();
    bridge.interrupt();

    let args = ["--paused", "--clock", "--ros-args", "-r", "__node:=mldash_bridge"];
    let replayed = replay(&graph, "root", &args);
    replayed.wait_for_log("publishing /tf_static (tf2_msgs/msg/TFMessage; latched)");
    replayed.wait_for_log("publishing /robot_description (std_msgs/msg/String; latched)");
    replayed.wait_for_log("publishing /pose (geometry_msgs/msg/PoseStamped; reliable)");
    let (context, node) = node(graph.domain());
    let qos =
        |durability| QosProfile { reliability: Reliability::Reliable, durability, depth: 100 };
    let subscribe = |topic: &str, ty: &str, durability| {
        let ty = TypeSupport::load(ty).unwrap();
        Subscription::new(&node, topic, ty, qos(durability)).unwrap()
    };
    let latched = Durability::TransientLocal;
    let mut transforms = subscribe("/tf_static", "tf2_msgs/msg/TFMessage", latched);
    let mut description = subscribe("/robot_description", "std_msgs/msg/String", latched);
    let mut poses = subscribe("/pose", "geometry_msgs/msg/PoseStamped", Durability::Volatile);
    take(&context, &node, &mut transforms, 1);
    take(&context, &node, &mut description, 1);
    let mut clock = subscribe("/clock", "rosgraph_msgs/msg/Clock", Durability::Volatile);
    let stands = take(&context, &node, &mut clock, 3);
    assert!(stands.iter().all(|time| *time == stands[0]), "{stands:?}");
    assert!(poses.take().unwrap().is_none());
    let deadline = Instant::now() + PATIENCE;
    while poses.publisher_count().unwrap() == 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }

    assert_eq!(operator.call_well("pause"), "it is paused already");
    assert_eq!(operator.call_well("resume"), "resumed");
    assert_eq!(take(&context, &node, &mut poses, 50).len(), 50);
    let ended = replayed.end();
    assert_eq!(ended.ended.status.code(), Some(0), "{}", ended.ended.stderr);
    let goes = take(&context, &node, &mut clock, 1);
    assert!(goes.iter().any(|time| *time != stands[0]), "{goes:?}");
}

#[test]
fn a_topic_with_another_definition_than_the_installed_one_is_left_out_and_named() {
    let graph = Graph::new();
    let exp = Experiment::open(RUN, Options::local(graph.path("first"))).unwrap();
    let mut recorder = Recorder::new(exp);
    let mapping = Mapping::parse("topics: [{topic: /**, stamp: receive}]", "test.yaml").unwrap();
    let type_name: TypeName = "std_msgs/msg/UInt8".parse().unwrap();
    for (topic, definition, cdr) in [
        ("/level", "int16 data", vec![0, 1, 0, 0, 5, 0]),
        ("/mode", "uint8 data  # with other words", vec![0, 1, 0, 0, 5]),
    ] {
        let message = MessageType::from_bundle(&type_name, definition).unwrap();
        let rule = mapping.rule_for(topic, &type_name).unwrap();
        let number = recorder.add_topic(TopicPlan::new(topic, topic, &message, &rule).unwrap());
        recorder.record(number, cdr, Received::At(1_700_000_000_000_000_000));
    }
    let (_, closed) = recorder.finish(None);
    closed.unwrap();
    let ended = replay(&graph, "first", &[]).end().ended;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    for said in [
        "/level is not published: it was recorded with another definition of std_msgs/msg/UInt8",
        "published 1 messages on 1 topics",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

#[test]
fn a_loop_goes_on_until_it_is_interrupted() {
    let graph = Graph::new();
    let mapping = graph.file("all.yaml", "min_free: 0\ntopics: [{topic: /**}]\n");
    let bag = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/two_publishers_one_stamp.mcap");
    let import = program(["import", bag, "--experiment", RUN, "--config"]).arg(mapping);
    assert_eq!(import.arg("--root").arg(graph.path("first")).run().code, 0);
    let replayed = replay(&graph, "first", &["--loop", "--rate", "10"]);
    let (context, node) = node(graph.domain());
    let qos = QosProfile {
        reliability: Reliability::Reliable,
        durability: Durability::Volatile,
        depth: 100,
    };
    let ty = TypeSupport::load("sensor_msgs/msg/JointState").unwrap();
    let mut joints = Subscription::new(&node, "/joint_states", ty, qos).unwrap();
    // The bag has ten.
    assert!(take(&context, &node, &mut joints, 25).len() >= 25);
    replayed.signal(Signal::INT);
    let ended = replayed.end();
    assert_eq!(ended.ended.status.code(), Some(0), "{}", ended.ended.stderr);
    assert!(ended.ended.stderr.contains(" passes"), "{}", ended.ended.stderr);
}
