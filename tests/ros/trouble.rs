//! Bad input and bad luck: said clearly, counted, and no harm to the rest.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::small_disk::SmallDisk;

use super::support::Graph;

#[test]
fn a_topic_that_gets_a_second_type_is_reported_and_its_first_type_recorded() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - topic: /pose\n");
    let robot = graph.robot("poses_that_stay");
    robot.wait_until_published();
    let other = graph.robot("another_type");
    bridge.wait_for_log("the topic is published as std_msgs/msg/String too");
    other.finish();
    let expected = robot.finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    let refused = recording.account()["refused"].to_string();
    assert!(refused.contains("std_msgs/msg/String"), "{refused}");
}

#[test]
fn an_entry_of_another_type_than_the_topics_is_refused_and_the_others_go_on() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics:\n  - {topic: /pose, type: geometry_msgs/msg/PoseStamped}\n  - {topic: /image, type: sensor_msgs/msg/Imu}\n",
    );
    // The robot waits for a subscriber on both topics in vain.
    let robot = graph.robot("images");
    bridge.wait_for_log("/image is not recorded");
    bridge.wait_for_topics(&["/pose"]);
    drop(robot);
    let refused = bridge.interrupt().account()["refused"]["/image"].as_str().unwrap().to_owned();
    assert!(refused.contains("sensor_msgs/msg/Image"), "{refused}");
}

#[test]
fn a_root_that_can_not_be_written_fails_at_once_and_says_where() {
    let graph = Graph::new();
    graph.file("root", "a file where a folder should be");
    let recording = graph.bridge("topics:\n  - topic: /pose\n").end();
    assert_eq!(recording.ended.status.code(), Some(1));
    let root = graph.path("root").display().to_string();
    assert!(recording.ended.stderr.contains(&root), "{}", recording.ended.stderr);
}

#[test]
fn a_full_disk_is_said_and_what_it_cost_is_in_the_account() {
    let graph = Graph::new();
    let bridge = graph.bridge_in_little_space("flush: {batch: 1}\ntopics:\n  - topic: /flood/*\n");
    let mut operator = graph.operator();
    let mut flood = graph.flood(1, 500);
    bridge.wait_for_log("can't write rows to the store");
    let messages = flood.stop() as u64;
    operator.wait_until_taken(messages);
    flood.leave();
    bridge.signal(rustix::process::Signal::INT);
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(1));
    recording.assert_adds_up();
    let topic = recording.topic("/flood/pose_0");
    let stored = topic["stored"].as_u64().unwrap();
    assert_eq!(topic["received"], messages);
    assert!(stored > 0 && stored < messages, "{topic:#}");
    assert_eq!(topic["dropped"]["store_full"], messages - stored);
    assert_eq!(recording.rows("flood/pose_0").len() as u64, stored);
}

#[test]
fn a_disk_that_runs_low_stops_the_recording_until_there_is_space_again() {
    let Some(disk) = SmallDisk::mount(16 << 20) else { return };
    let graph = Graph::new();
    std::os::unix::fs::symlink(disk.path(), graph.path("root")).unwrap();
    let bridge = graph.bridge("min_free: 8MiB\ntopics:\n  - topic: /flood/*\n");
    bridge.wait_for_log("is on the graph");
    let mut operator = graph.operator();
    disk.fill_but(2 << 20);
    bridge.wait_for_log("`min_free` is 8 MiB: nothing is recorded until there is more");
    let mut flood = graph.flood(1, 100);
    bridge.wait_for_log("the first message of /flood/pose_0 is here");
    let dropped = flood.stop();
    operator.wait_until_taken(dropped as u64);
    flood.leave();
    disk.clear();
    bridge.wait_for_log("again: all topics are recorded");
    let flood = graph.flood(1, 100);
    bridge.wait_for_rows("flood/pose_0", 100);
    let stored = flood.finish(&bridge);
    let recording = bridge.interrupt();
    let topic = recording.topic("/flood/pose_0");
    let counts = (&topic["received"], &topic["stored"], &topic["dropped"]["disk_low"]);
    assert_eq!(counts, (&json!(dropped + stored), &json!(stored), &json!(dropped)), "{topic:#}");
    assert_eq!(recording.rows("flood/pose_0").len(), stored);
    let stderr = &recording.ended.stderr;
    assert_eq!(stderr.matches("min_free").count(), 1, "{stderr}");
}

#[test]
fn bad_mappings_end_it_before_anything_is_written() {
    let graph = Graph::new();
    let recording = graph
        .bridge("topics:\n  - topic: /pose\n    type: geometry_msgs/msg/PoseStamped\n    fields: [pose.positon]\n    tracks: pose\n")
        .end();
    assert_eq!(recording.ended.status.code(), Some(2));
    let stderr = &recording.ended.stderr;
    assert!(stderr.contains("mapping.yaml:5:5"), "{stderr}");
    assert!(stderr.contains("mapping.yaml:4:14"), "{stderr}");
    assert!(stderr.contains("position"), "{stderr}");
    assert!(!graph.path("root").exists());
}

#[test]
fn wrong_ros_arguments_are_wrong_usage() {
    let graph = Graph::new();
    let recording = graph.bridge_with(&["--ros-args", "-r", "nonsense"]).end();
    assert_eq!(recording.ended.status.code(), Some(2));
    assert!(recording.ended.stderr.contains("nonsense"), "{}", recording.ended.stderr);
}

#[test]
fn a_second_bridge_on_the_same_experiment_names_the_first() {
    let graph = Graph::new();
    let first = graph.bridge("topics:\n  - topic: /pose\n");
    first.wait_for_log("/mldash_bridge is on the graph");
    let second = graph.bridge("topics:\n  - topic: /pose\n").end();
    assert_eq!(second.ended.status.code(), Some(1));
    assert!(second.ended.stderr.contains("tests/ros/run"), "{}", second.ended.stderr);
    first.interrupt();
}

#[test]
fn the_python_sdk_reads_the_same_rows() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics:\n  - topic: /pose\n  - topic: /scan\n  - topic: /imu\n  - topic: /joint_states\n  - topic: /odom\n  - topic: /points\n  - topic: /chatter\n  - topic: /camera/*/camera_info\n  - {topic: /tf, each: transforms, track: 'tf/{child_frame_id}'}\n",
    );
    graph.robot("every_type").finish();
    let recording = bridge.interrupt();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ros/sdk_reads.py");
    let mut sdk = Command::new("python3");
    sdk.arg(script).arg(env!("CARGO_BIN_EXE_mldash_bridge")).arg(graph.path("root"));
    let output = sdk.args(recording.tracks()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "rows compared: 440");
}
