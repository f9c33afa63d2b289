//! What the bridge subscribes to and how: types, QoS that follows the publishers, remapped names, loss.

use std::fs;
use std::path::PathBuf;

use mldash_bridge::track::{Row, Value as FieldValue};
use serde_json::{Value, json};

use super::support::{Graph, Operator, Recording, numbers};

/// Of each topic of a flood.
const FLOOD_HZ: u32 = 2_000;
const STRING: &str = "std_msgs/msg/String";
const INT: &str = "std_msgs/msg/Int32";

/// The `data` of a track's rows, in their order.
fn data(recording: &Recording, experiment: &str, track: &str) -> Vec<String> {
    let rows = recording.rows_in(experiment, track);
    let text = |row: &Row| match row.fields.get("data") {
        Some(FieldValue::Text(text)) => text.clone(),
        Some(FieldValue::Int(number)) => number.to_string(),
        other => panic!("{other:?} in {track}"),
    };
    rows.iter().map(text).collect()
}

fn offer(operator: &mut Operator, name: &str, topic: &str, type_name: &str, qos: &str) {
    operator.ask(&json!({"offer": name, "topic": topic, "type": type_name, "qos": qos}));
}

fn send(operator: &mut Operator, name: &str, data: &[&str]) {
    operator.ask(&json!({"send": name, "data": data}));
}

#[test]
fn two_types_on_the_last_topic_of_the_graph_are_told_apart() {
    let graph = Graph::new();
    // Fast DDS has one type a topic in each process, so these are two.
    let (mut operator, mut second) = (graph.operator(), graph.operator());
    offer(&mut operator, "talker", "/zzz", STRING, "reliable");
    offer(&mut second, "counter", "/zzz", INT, "reliable");
    second.ask(&json!({"listen": "/zzzz", "type": STRING}));
    offer(&mut operator, "other", "/zzzz", INT, "reliable");
    let mapping = "topics:\n  - {topic: /zzz, type: std_msgs/msg/String}\n  - topic: /zzzz\n";
    let bridge = graph.bridge(mapping);
    send(&mut operator, "talker", &["a", "b"]);
    operator.ask(&json!({"send": "other", "data": [7]}));

    let file = graph.file("m.yaml", mapping);
    let args = ["check", file.to_str().unwrap(), "--graph", "--json", "--for", "8"];
    let check = graph.bare_bridge(&args).end().ended;
    let report: Value = serde_json::from_str(&check.stdout).unwrap();
    let topics = report["topics"].as_array().unwrap();
    let of = |name: &str| topics.iter().find(|topic| topic["topic"] == name).unwrap();
    assert_eq!((&of("/zzz")["type"], &of("/zzz")["other_types"]), (&json!(STRING), &json!([INT])));
    assert_eq!(of("/zzzz")["type"], INT, "nobody publishes the other one");
    let init = graph.bare_bridge(&["init", "--for", "8"]).end().ended;
    assert!(
        init.stdout.contains("- topic: /zzz\n") && init.stdout.contains(INT),
        "{}",
        init.stdout
    );

    let recording = bridge.interrupt();
    // By their receive times: one that the middleware had to send again may come after the next.
    let mut said = data(&recording, "tests/ros/run", "zzz");
    said.sort();
    assert_eq!(said, ["a", "b"]);
    assert_eq!(data(&recording, "tests/ros/run", "zzzz"), ["7"]);
    let refused = recording.account()["refused"].to_string();
    assert!(refused.contains("/zzz") && refused.contains(INT), "{refused}");
}

#[test]
fn a_topic_that_changes_its_type_is_recorded_in_a_track_for_each() {
    let graph = Graph::new();
    let (mut operator, mut second) = (graph.operator(), graph.operator());
    let mapping = "topics:\n  - {topic: /mode, on_type_change: split_track}\n";
    let bridge = graph.bridge(mapping);
    offer(&mut operator, "texts", "/mode", STRING, "reliable");
    send(&mut operator, "texts", &["a", "b"]);
    offer(&mut second, "numbers", "/mode", INT, "reliable");
    second.ask(&json!({"send": "numbers", "data": [1, 2, 3]}));
    // Who compares the mapping with the graph at this moment is told the same.
    let file = graph.file("m.yaml", mapping);
    let args = ["check", file.to_str().unwrap(), "--graph", "--json", "--for", "8"];
    let check = graph.bare_bridge(&args).end().ended;
    let report: Value = serde_json::from_str(&check.stdout).unwrap();
    let topics = report["topics"].as_array().unwrap();
    let mode = topics.iter().find(|topic| topic["topic"] == "/mode").unwrap();
    assert_eq!(mode["mapped"], "recorded", "{mode:#}");
    operator.ask(&json!({"withdraw": "texts"}));
    let recording = bridge.interrupt();
    assert_eq!(data(&recording, "tests/ros/run", "mode"), ["a", "b"]);
    assert_eq!(data(&recording, "tests/ros/run", "mode.std_msgs.Int32"), ["1", "2", "3"]);
    let topics = recording.account()["topics"].clone();
    let recorded: Vec<_> = topics
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (&t["topic"], &t["type"], &t["stored"]))
        .collect();
    let mode = json!("/mode");
    assert_eq!(recorded, [(&mode, &json!(STRING), &json!(2)), (&mode, &json!(INT), &json!(3))]);
}

/// `gripper_msgs/msg/Gripper`, to source.
fn gripper_msgs(graph: &Graph) -> PathBuf {
    let package = graph.path("gripper_msgs");
    fs::create_dir_all(package.join("msg")).unwrap();
    fs::write(package.join("msg/Gripper.msg"), "std_msgs/Header header\nfloat32 width\n").unwrap();
    graph.overlay(&package)
}

#[test]
fn a_type_that_is_sourced_is_recorded_though_the_bridge_was_built_before_it() {
    let graph = Graph::new();
    let overlay = gripper_msgs(&graph);
    let robot = graph.robot_with_overlay("gripper", &overlay);
    robot.wait_until_published();
    let mapping = graph.file("m.yaml", "topics:\n  - topic: /pose\n  - topic: /gripper\n");

    // Where its workspace is not sourced, it is named with the remedy, and the others go on.
    let init = graph.bare_bridge(&["init", "--for", "1"]).end().ended;
    assert!(init.stdout.contains("  # - topic: /gripper"), "{}{}", init.stdout, init.stderr);
    assert!(init.stdout.contains("source the workspace"), "{}", init.stdout);
    let root = graph.path("root");
    let (mapping, root) = (mapping.to_str().unwrap(), root.to_str().unwrap());
    let mut args = vec!["run", "--json", "--root", root, "--config", mapping, "--experiment"];
    args.push("tests/ros/before");
    let bridge = graph.bare_bridge(&args).of_experiment("tests/ros/before");
    bridge.wait_for_log("/gripper is not recorded");
    bridge.wait_for_topics(&["/pose"]);
    let recording = bridge.interrupt();
    let refused = recording.account()["refused"]["/gripper"].as_str().unwrap().to_owned();
    assert!(refused.contains("gripper_msgs/msg/Gripper"), "{refused}");
    assert!(refused.contains("source the workspace"), "{refused}");
    assert_eq!(recording.ended.stderr.matches("/gripper is not recorded").count(), 1);

    *args.last_mut().unwrap() = "tests/ros/run";
    let bridge = graph.bare_bridge_with_overlay(&args, &overlay);
    bridge.wait_for_log("the first message of /gripper is here");
    robot.finish();
    let recording = bridge.interrupt();
    assert!(!recording.rows("gripper").is_empty());
    assert_eq!(recording.account()["refused"], json!({}));
}

#[test]
fn a_best_effort_visitor_is_heard_and_the_topic_is_reliable_again_when_it_has_left() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    let bridge = graph.bridge("topics:\n  - topic: /talk\n");
    offer(&mut operator, "resident", "/talk", STRING, "reliable");
    send(&mut operator, "resident", &["1"]);
    offer(&mut operator, "visitor", "/talk", STRING, "best_effort");
    send(&mut operator, "visitor", &["2"]);
    bridge.wait_for_log("now asking for best effort");
    send(&mut operator, "resident", &["3"]);
    operator.ask(&json!({"withdraw": "visitor"}));
    bridge.wait_for_log("now asking for reliable");
    send(&mut operator, "resident", &["4"]);
    let recording = bridge.interrupt();
    assert_eq!(data(&recording, "tests/ros/run", "talk"), ["1", "2", "3", "4"]);
    assert_eq!(recording.topic("/talk")["lost"], 0);
}

#[test]
fn latched_messages_come_though_another_publisher_of_the_topic_is_volatile() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    offer(&mut operator, "server", "/map", STRING, "latched");
    offer(&mut operator, "slam", "/map", STRING, "reliable");
    operator.ask(&json!({"send": "server", "data": ["kept"], "unheard": true}));
    let bridge = graph.bridge("topics:\n  - topic: /map\n");
    bridge.wait_for_log("the first message of /map is here");
    send(&mut operator, "server", &["both"]);
    send(&mut operator, "slam", &["fresh"]);
    let recording = bridge.interrupt();
    assert_eq!(data(&recording, "tests/ros/run", "map"), ["kept", "both", "fresh"]);
    assert_eq!(recording.topic("/map")["received"], 3, "each message once");
}

#[test]
fn a_latched_message_whose_publisher_has_gone_is_in_the_next_part_too() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    offer(&mut operator, "gone", "/tf_static", STRING, "latched");
    offer(&mut operator, "stays", "/tf_static", STRING, "latched");
    operator.ask(&json!({"send": "gone", "data": ["laser"], "unheard": true}));
    operator.ask(&json!({"send": "stays", "data": ["camera"], "unheard": true}));
    let bridge = graph.bridge("topics:\n  - topic: /tf_static\n");
    bridge.wait_for_rows("tf_static", 2);
    operator.ask(&json!({"withdraw": "gone"}));
    operator.call_well("split");
    operator.call_well("split");
    let recording = bridge.interrupt();
    for part in ["run", "run_002", "run_003"] {
        let mut found = data(&recording, &format!("tests/ros/{part}"), "tf_static");
        found.sort();
        assert_eq!(found, ["camera", "laser"], "{part}");
    }
}

#[test]
fn a_remapped_name_means_the_topic_that_it_is_remapped_to_and_no_other() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    offer(&mut operator, "real", "/scan", STRING, "reliable");
    offer(&mut operator, "robot", "/r1/scan", STRING, "reliable");
    offer(&mut operator, "other", "/other", STRING, "reliable");
    let mapping = graph.file("m.yaml", "topics:\n  - topic: /scan\n  - topic: /**\nexclude: [/rosout, /parameter_events, /diagnostics]\n");
    let mapping = mapping.to_str().unwrap();
    let bridge = graph.bridge_with(&["--config", mapping, "--ros-args", "-r", "/scan:=/r1/scan"]);
    send(&mut operator, "robot", &["of the robot"]);
    send(&mut operator, "other", &["x"]);
    operator.ask(&json!({"send": "real", "data": ["of another"], "unheard": true}));
    bridge.wait_for_log("a remap rule leads `/scan` to `/r1/scan`");
    bridge.wait_for_rows("other", 1);
    let recording = bridge.interrupt();
    assert_eq!(data(&recording, "tests/ros/run", "scan"), ["of the robot"]);
    assert_eq!(recording.tracks(), ["other", "scan"]);
    assert_eq!(recording.topic("/r1/scan")["received"], 1);
    assert!(recording.account()["refused"]["/scan"].is_string());
}

/// Stops the bridge for a while in the middle of a flood, so that more comes than the middleware keeps.
fn stopped_for_a_while(mapping: &str) -> Recording {
    let graph = Graph::new();
    let bridge = graph.bridge(mapping);
    let mut operator = graph.operator();
    let mut flood = graph.flood_without_shared_memory(1, FLOOD_HZ);
    bridge.wait_for_rows("flood/pose_0", 1_000);
    bridge.suspended_while(|| std::thread::sleep(std::time::Duration::from_secs(6)));
    bridge.wait_for_log("this program stood still for");
    bridge.wait_for_rows("flood/pose_0", 2_000);
    let published = flood.stop() as u64;
    // A best-effort publisher may know the subscription before the bridge knows the publisher. What came before
    // the first message that was taken is not known to be lost.
    let first = numbers(&bridge.stored_in("tests/ros/run", "flood/pose_0"), FLOOD_HZ)[0];
    let known = published - first;
    operator.wait_until_taken(known);
    flood.leave();
    let recording = bridge.interrupt();
    let topic = recording.topic("/flood/pose_0");
    let number = |key: &str| topic[key].as_u64().unwrap();
    assert_eq!(number("stored"), recording.rows("flood/pose_0").len() as u64);
    assert_eq!(number("stored") + number("lost"), known, "{topic:#}");
    recording
}

#[test]
fn what_a_stopped_bridge_misses_is_counted_with_a_reliable_subscription() {
    let recording = stopped_for_a_while("topics:\n  - {topic: /flood/*, qos: {depth: 100}}\n");
    assert!(recording.topic("/flood/pose_0")["lost"].as_u64().unwrap() > 0);
    let stderr = &recording.ended.stderr;
    assert!(stderr.contains("messages were lost before they were received"), "{stderr}");
    let missing = recording.account()["missing"].to_string();
    assert!(missing.contains("lost before they were received"), "{missing}");
}

#[test]
fn what_a_stopped_bridge_misses_is_counted_with_a_best_effort_subscription() {
    let recording = stopped_for_a_while(
        "topics:\n  - {topic: /flood/*, qos: {reliability: best_effort, depth: 100}}\n",
    );
    assert!(recording.topic("/flood/pose_0")["lost"].as_u64().unwrap() > 0);
}

#[test]
fn a_topic_that_the_mapping_names_with_its_type_is_heard_from_the_first_message_on() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - {topic: /once, type: std_msgs/msg/String}\n");
    bridge.wait_for_topics(&["/once"]);
    let mut operator = graph.operator();
    offer(&mut operator, "short", "/once", STRING, "reliable");
    send(&mut operator, "short", &["a"]);
    operator.ask(&json!({"withdraw": "short"}));
    let recording = bridge.interrupt();
    assert_eq!(data(&recording, "tests/ros/run", "once"), ["a"]);
    assert_eq!(recording.account()["unmatched"], json!([]));
}
