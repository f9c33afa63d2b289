//! What is published is what is read back, field by field.

use std::path::Path;

use crate::account::assert_received_robots_bag;

use super::support::Graph;

const EVERY_TYPE: &str = r#"
topics:
  - topic: /pose
  - topic: /scan
  - topic: /points
    blobs: inline
  - topic: /imu
  - topic: /joint_states
  - topic: /odom
  - topic: /chatter
  - topic: /camera/*/camera_info
    track: info/{1}
  - topic: /tf
    each: transforms
    track: tf/{child_frame_id}
"#;

#[test]
fn every_row_of_every_type_is_what_was_published() {
    let graph = Graph::new();
    let bridge = graph.bridge(EVERY_TYPE);
    let expected = graph.robot("every_type").finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    assert_eq!(
        recording.tracks(),
        [
            "chatter",
            "imu",
            "info/left",
            "info/right",
            "joint_states",
            "odom",
            "points",
            "pose",
            "scan",
            "tf/base",
            "tf/wheel/left"
        ]
    );
    assert_eq!(recording.topic("/tf")["received"], 80, "under `each` the unit is the element");
    assert_eq!(recording.topic("/chatter")["notes"]["receive_time_used"], 40);
    let scan = recording.topic("/scan");
    assert_eq!(scan["notes"], serde_json::json!({ "far_from_clock": 40 }), "stamped in 2023");
    assert!(scan["stamps_ahead_secs"].as_f64().unwrap() < -1e7, "{scan:#}");
}

#[test]
fn messages_of_a_package_of_ones_own_are_recorded_like_any_others() {
    let graph = Graph::new();
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interfaces/mldash_test_msgs");
    let overlay = graph.overlay(&package);
    let mapping = "topics:
  - {topic: /grip, type: mldash_test_msgs/msg/Grip}
  - {topic: /fingers, each: fingers, track: 'finger/{name}', fields: [angle]}";
    let bridge = graph.bridge_with_overlay(mapping, &overlay);
    let expected = graph.robot_with_overlay("custom_type", &overlay).finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    assert_eq!(recording.tracks(), ["finger/index", "finger/ring", "grip"]);
}

#[test]
fn rows_of_one_stamp_merge_and_late_ones_are_sorted_in() {
    let graph = Graph::new();
    // Every row is flushed at once, so that merging happens across flushes.
    let bridge = graph.bridge("flush: {batch: 1}\ntopics:\n  - topic: /pose\n");
    let expected = graph.robot("dense").finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    let topic = recording.topic("/pose");
    assert_eq!(
        (&topic["received"], &topic["stored"], &topic["merged"]),
        (&6.into(), &4.into(), &2.into())
    );
}

#[test]
fn messages_without_a_usable_stamp_lie_on_the_receive_time_and_are_counted() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - topic: /pose\n");
    let bounds = graph.robot("zero_stamps").finish();
    let recording = bridge.interrupt();
    let bounds: serde_json::Value = serde_json::from_str(&bounds[0].1).unwrap();
    let rows = recording.rows("pose");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let ts = row.ts.as_secs();
        assert!(
            ts >= bounds["timestamp"].as_f64().unwrap() && ts <= bounds["until"].as_f64().unwrap()
        );
    }
    assert_eq!(recording.topic("/pose")["notes"]["receive_time_used"], 3);
    let warnings = recording.ended.stderr.matches("without a usable header stamp").count();
    assert_eq!(warnings, 1, "{}", recording.ended.stderr);
}

#[test]
fn receive_times_are_simulated_time_when_the_node_uses_it() {
    let graph = Graph::new();
    let config =
        graph.file("m.yaml", "topics:\n  - {topic: /chatter, stamp: receive}\n  - topic: /clock\n");
    let bridge = graph.bridge_with(&[
        "--config",
        config.to_str().unwrap(),
        "--ros-args",
        "-p",
        "use_sim_time:=true",
    ]);
    let expected = graph.robot("sim_time").finish();
    bridge.interrupt().assert_rows(&expected);
}

#[test]
fn fields_rates_and_changes_follow_the_mapping() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        r#"
topics:
  - topic: /flood/pose_0
    track: projected
    fields: {p: pose.position, frame_id: header.frame_id}
  - topic: /flood/pose_1
    track: thinned
    max_rate: 10
  - topic: /flood/pose_2
    track: once
    fields: [header.frame_id]
    on_change: true
"#,
    );
    let mut operator = graph.operator();
    let mut flood = graph.flood(3, 100);
    bridge.wait_for_rows("projected", 200);
    let messages = flood.stop();
    operator.wait_until_taken(3 * messages as u64);
    flood.leave();
    let recording = bridge.interrupt();
    let rows = recording.rows("projected");
    assert_eq!(rows.len(), messages);
    let line = format!("{:?}", rows[7].fields);
    assert_eq!(rows[7].fields.len(), 2, "{line}");
    assert!(line.contains("7.0") && line.contains("0.875") && line.contains("flood_0"), "{line}");

    let times: Vec<f64> = recording.rows("thinned").iter().map(|row| row.ts.as_secs()).collect();
    assert_eq!(times.len(), messages.div_ceil(10));
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] > 0.099), "{times:?}");
    assert_eq!(recording.topic("/flood/pose_1")["throttled"], messages - times.len());

    assert_eq!(recording.rows("once").len(), 1);
    assert_eq!(recording.topic("/flood/pose_2")["unchanged"], messages - 1);
}

#[test]
fn a_played_bag_is_recorded_whole() {
    let graph = Graph::new();
    let bag = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml");
    let bridge = graph.bridge_with(&["--config", config]);
    graph.run_example(
        "play_bag",
        &[bag, "--rate", "30", "--wait-for-subscribers", "180", "--linger", "180"],
    );
    let recording = bridge.interrupt();
    assert_received_robots_bag(&recording.account());
    assert_eq!(recording.rows("robot/scan").len(), 225);
    assert_eq!(recording.topic("/camera/image_raw/compressed")["stored"], 5);
}

#[test]
fn the_default_mapping_records_a_robot_that_it_has_never_seen() {
    let graph = Graph::new();
    let bag = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/bridge.yaml");
    let bridge = graph.bridge_with(&["--config", config]);
    graph.run_example(
        "play_bag",
        &[bag, "--rate", "30", "--wait-for-subscribers", "180", "--linger", "180"],
    );
    let recording = bridge.interrupt();
    assert_eq!(
        recording.tracks(),
        [
            "camera/camera_info",
            "camera/image_raw/compressed",
            "chatter",
            "odom",
            "points",
            "pose",
            "robot_description",
            "scan",
            "tf/base_link",
            "tf/odom",
            "tf_static/camera",
            "tf_static/laser"
        ]
    );
    assert_eq!(recording.rows("points").len(), 225);
    assert_eq!(recording.topic("/camera/image_raw/compressed")["stored"], 5);
    let unmatched = recording.account()["unmatched"].to_string();
    assert!(unmatched.contains("/** (sensor_msgs/msg/Imu)"), "{unmatched}");
}
