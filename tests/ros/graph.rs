//! Finding topics, and asking for them so that they come.

use rustix::process::Signal;

use super::support::{Graph, flooded};

#[test]
fn latched_topics_published_before_the_bridge_started_are_recorded() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let bridge = graph.bridge(
        "topics:\n  - topic: /robot_description\n  - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n",
    );
    bridge.wait_for_topics(&["/robot_description", "/tf_static"]);
    // Delivery follows the match at once, and a stop takes what is on its way.
    bridge.wait_for_log("the first message of /robot_description is here");
    bridge.wait_for_log("the first message of /tf_static is here");
    let expected = robot.finish();
    bridge.interrupt().assert_rows(&expected);
}

#[test]
fn a_best_effort_sensor_is_recorded() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - topic: /imu\n");
    let expected = graph.robot("best_effort").finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    assert!(recording.ended.stderr.contains("best effort"), "{}", recording.ended.stderr);
}

#[test]
fn a_publisher_that_offers_less_than_the_mapping_asks_for_is_named() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - {topic: /imu, qos: {reliability: reliable}}\n");
    let robot = graph.robot("best_effort");
    bridge.wait_for_log("which offers less than the mapping's `qos` asks for (reliable, volatile");
    drop(robot);
    let recording = bridge.interrupt();
    assert_eq!(recording.topic("/imu")["received"], 0);
    let refused = recording.account()["refused"].to_string();
    assert!(refused.contains("/imu (of /"), "{refused}");
}

#[test]
fn a_best_effort_publisher_that_joins_a_reliable_one_is_recorded_too() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - topic: /pose\n");
    let expected = graph.robot("mixed_qos").finish();
    bridge.interrupt().assert_rows(&expected);
}

#[test]
fn a_topic_that_comes_later_is_picked_up_by_its_glob() {
    let graph = Graph::new();
    let bridge =
        graph.bridge("topics:\n  - topic: /flood/*\n  - topic: /pose\n  - topic: /never\n");
    let poses = graph.robot("poses").finish();
    bridge.wait_for_topics(&["/pose"]);
    let flood = graph.flood(2, 100);
    bridge.wait_for_rows(&flooded(1), 20);
    let messages = flood.finish(&bridge);
    let recording = bridge.interrupt();
    recording.assert_rows(&poses);
    assert_eq!(recording.rows(&flooded(0)).len(), messages);
    assert_eq!(recording.rows(&flooded(1)).len(), messages);
    assert_eq!(recording.account()["unmatched"], serde_json::json!(["/never"]));
}

#[test]
fn every_message_of_more_topics_than_open_files_is_stored() {
    // The soft limit is raised to the hard one; within the hard one tracks' files are opened and closed.
    for limit in ["-Sn 256", "-n 256"] {
        let graph = Graph::new();
        let bridge = graph.bridge_within(limit, "topics:\n  - topic: /flood/*\n");
        let flood = graph.flood(300, 10);
        bridge.wait_for_rows(&flooded(299), 50);
        let messages = flood.finish(&bridge);
        let recording = bridge.interrupt();
        let rows: usize = (0..300).map(|topic| recording.rows(&flooded(topic)).len()).sum();
        assert_eq!(rows, 300 * messages, "{limit}: {}", recording.ended.stderr);
        assert!(!recording.ended.stderr.contains("ERROR"), "{}", recording.ended.stderr);
    }
}

#[test]
fn hidden_topics_of_actions_and_services_are_recorded_only_when_asked_for() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics:
  - {topic: '/**', stamp: receive}
  - {topic: /fibonacci/_action/status, stamp: receive}
exclude: [/rosout, /parameter_events]",
    );
    let _robot = graph.robot("whole_robot");
    for topic in ["/pose", "/fibonacci/_action/status"] {
        bridge.wait_for_log(&format!("the first message of {topic} is here"));
    }
    let recording = bridge.interrupt();
    let tracks = recording.tracks();
    assert!(tracks.contains(&"fibonacci/_action/status".to_owned()), "{tracks:?}");
    assert!(!tracks.iter().any(|track| track.contains("_service_event")), "{tracks:?}");
}

#[test]
fn remaps_namespace_and_node_name_are_those_of_any_ros_node() {
    let graph = Graph::new();
    let config = graph.file("m.yaml", "topics:\n  - topic: position\n    track: robot/pose\n");
    let bridge = graph.bridge_with(&[
        "--config",
        config.to_str().unwrap(),
        "--ros-args",
        "-r",
        "__ns:=/lab",
        "-r",
        "__node:=recorder",
        "-r",
        "position:=/pose",
    ]);
    bridge.wait_for_log("/lab/recorder");
    let expected = graph.robot("poses").finish();
    let recording = bridge.interrupt();
    assert_eq!(recording.topic("/pose")["stored"], 20);
    let expected: Vec<_> =
        expected.into_iter().map(|(_, row)| ("robot/pose".to_owned(), row)).collect();
    recording.assert_rows(&expected);
}

#[test]
fn settings_come_as_ros_parameters_and_from_a_parameter_file() {
    let graph = Graph::new();
    let config = graph.file("m.yaml", "topics:\n  - topic: /pose\n");
    let params = format!(
        "/**:\n  ros__parameters:\n    config: {}\n    root: {}\n    experiment: lost/to/the-later\n",
        config.display(),
        graph.path("root").display()
    );
    let params = graph.file("params.yaml", &params);
    let bridge = graph.bare_bridge(&[
        "--json",
        "--ros-args",
        "--params-file",
        params.to_str().unwrap(),
        "-p",
        "experiment:=tests/ros/run",
    ]);
    let expected = graph.robot("poses").finish();
    bridge.interrupt().assert_rows(&expected);
}

#[test]
fn a_mistyped_ros_parameter_is_said_and_one_of_the_wrong_type_is_wrong_usage() {
    let graph = Graph::new();
    let config = graph.file("m.yaml", "topics:\n  - topic: /pose\n");
    let with = |parameter| {
        let config = config.to_str().unwrap();
        graph.bridge_with(&["--config", config, "--ros-args", "-p", parameter])
    };
    let bridge = with("start_pause:=true");
    bridge.wait_for_log("without effect: start_pause; this node has config");
    bridge.interrupt();
    let ended = with("start_paused:=maybe").end().ended;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`start_paused` must be true or false"), "{}", ended.stderr);
}

#[test]
fn nothing_to_record_is_no_failure_and_is_said() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - topic: /nobody\n");
    bridge.wait_for_log("/mldash_bridge is on the graph");
    bridge.signal(Signal::TERM);
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0));
    assert_eq!(recording.account()["unmatched"], serde_json::json!(["/nobody"]));
    assert!(!recording.ended.stderr.contains("wait set"), "{}", recording.ended.stderr);
}
