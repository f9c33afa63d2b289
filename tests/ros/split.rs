//! Parts that end by themselves on a live graph: nothing is lost, and latched topics are in each.

use serde_json::json;

use super::support::{Graph, Recording};

const RUN: &str = "tests/ros/run";
const STATIC: &str =
    "  - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n";

fn part(number: usize) -> String {
    match number {
        1 => RUN.to_owned(),
        number => format!("{RUN}_{number:03}"),
    }
}

/// The number of parts.
fn count(recording: &Recording) -> usize {
    recording.account()["earlier_parts"].as_array().map_or(0, Vec::len) + 1
}

/// Floods the bridge beside a latched topic. Returns the recording, in which every message is in one part, and
/// the latched one in each.
fn flood_into_parts(graph: &Graph, split: &str, flags: &[&str]) -> Recording {
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let mapping = format!("{split}topics:\n  - topic: /flood/*\n{STATIC}");
    let config = graph.file("mapping.yaml", &mapping);
    let bridge = graph.bridge_with(&[&["--config", config.to_str().unwrap()], flags].concat());
    bridge.wait_for_log("the first message of /tf_static is here");
    let flood =
        graph.start_example("flood", &["--topics", "2", "--rate", "1000", "--duration", "10"]);
    let ended = flood.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    robot.finish();
    let recording = bridge.interrupt();
    let parts = count(&recording);
    for track in ["flood/pose_0", "flood/pose_1"] {
        let mut all = Vec::new();
        for number in 1..=parts {
            let rows = recording.rows_in(&part(number), track);
            all.extend(
                rows.iter()
                    .map(|row| ((row.ts.as_secs() - 1_700_000_000.0) * 1000.0).round() as u64),
            );
        }
        // In their order over all parts, none missing and none twice.
        assert_eq!(all, (0..10_000).collect::<Vec<u64>>(), "{track}");
    }
    for number in 1..=parts {
        assert_eq!(recording.rows_in(&part(number), "tf_static/laser").len(), 1, "{number}");
        assert_eq!(recording.experiment_file(&part(number))["status"], "COMPLETED", "{number}");
    }
    assert_eq!(recording.account()["complete"], true);
    recording
}

#[test]
fn a_flood_is_split_by_time_and_every_message_is_in_exactly_one_part() {
    let graph = Graph::new();
    let flag = ["--split-every", "2s"];
    let recording = flood_into_parts(&graph, "split: {every: 1h}\n", &flag);
    let parts = count(&recording);
    assert!((4..=6).contains(&parts), "{parts} parts of 2 s in 10 s");
    let log = &recording.ended.stderr;
    assert!(log.contains("tests/ros/run is full: it lasts 2s"), "{log}");
}

#[test]
fn a_flood_is_split_by_rows_and_by_size_and_every_message_is_in_exactly_one_part() {
    let graph = Graph::new();
    let by_rows = flood_into_parts(&graph, "split: {rows: 4000}\n", &[]);
    // A part may have what was taken before the recorder came that far.
    let parts = count(&by_rows);
    assert!((4..=5).contains(&parts), "{parts} parts of 4,000 rows of 20,000");
    let first = by_rows.rows_in(&part(1), "flood/pose_0").len();
    assert!((1_500..3_000).contains(&first), "{first} rows of one of two topics");
    let by_size = flood_into_parts(&Graph::new(), "split: {size: 1MiB}\n", &[]);
    let bytes = by_size.account()["topics"][0]["bytes"].as_u64().unwrap();
    assert!(bytes < 1 << 20, "{bytes}");
    assert!(count(&by_size) > 1);
}

#[test]
fn a_part_without_messages_does_not_end_and_a_pause_and_a_stop_make_none() {
    let graph = Graph::new();
    let bridge = graph.bridge("split: {every: 3s}\ntopics:\n  - topic: /pose\n");
    let mut operator = graph.operator();
    operator.publish("pose", 0..10, 0);
    operator.call_well("pause");
    std::thread::sleep(std::time::Duration::from_millis(3200));
    operator.publish("pose", 10..20, 0);
    operator.call_well("resume");
    operator.call_well("stop");
    operator.publish("pose", 20..30, 0);
    std::thread::sleep(std::time::Duration::from_millis(3200));
    operator.call_well("start");
    operator.publish("pose", 30..40, 0);
    std::thread::sleep(std::time::Duration::from_millis(3200));
    let recording = bridge.interrupt();
    assert_eq!(count(&recording), 2, "{}", recording.ended.stderr);
    assert_eq!(recording.poses_in(&part(1)), (0..10).collect::<Vec<u64>>());
    assert_eq!(recording.poses_in(&part(2)), (30..40).collect::<Vec<u64>>());
}

#[test]
fn under_sim_time_a_part_lasts_by_the_ros_clock() {
    let graph = Graph::new();
    let mapping = "split: {every: 10s}\ntopics:\n  - {topic: /text, stamp: receive}\n";
    let config = graph.file("mapping.yaml", mapping);
    let args = ["--config", config.to_str().unwrap(), "--ros-args", "-p", "use_sim_time:=true"];
    let bridge = graph.bridge_with(&args);
    let mut operator = graph.operator();
    let text =
        json!({"offer": "t", "topic": "/text", "type": "std_msgs/msg/String", "qos": "reliable"});
    operator.ask(&text);
    for (secs, parts) in [(100, 1), (109, 1), (110, 2), (111, 2), (119, 2), (125, 3)] {
        operator.ask(&json!({"tick": secs}));
        operator.ask(&json!({"send": "t", "data": ["a", "b"]}));
        // Behind it, the recorder has taken them and the part has changed.
        operator.call_well("flush");
        if secs == 110 || secs == 125 {
            bridge.wait_for_log(&format!("recording into {}", part(parts)));
        }
    }
    let recording = bridge.interrupt();
    // The messages that show that the time is over may be in the part before.
    let rows = |number| recording.rows_in(&part(number), "text").len();
    assert_eq!((count(&recording), rows(1) + rows(2) + rows(3)), (3, 12));
}
