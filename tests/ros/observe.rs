//! `check --graph` and `init`: what they say of a robot that is running.

use serde_json::Value;

use super::support::{Graph, Robot};

const MAPPING: &str = "
topics:
  - topic: /pose
    track: robot/pose
  - topic: /im*
  - topic: /tf
    each: transforms
    track: tf/{child_frame_id}
  - topic: /orders
  - topic: /robot_description
    type: geometry_msgs/msg/PoseStamped
  - topic: /never
  - topic: /lidar/**
exclude: [/rosout]
";

/// A robot that is publishing by now.
fn robot(graph: &Graph) -> Robot {
    let robot = graph.robot("whole_robot");
    robot.wait_until_published();
    robot
}

fn topic<'r>(report: &'r Value, name: &str) -> &'r Value {
    let found = report["topics"].as_array().unwrap().iter().find(|topic| topic["topic"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[test]
fn a_mapping_is_compared_with_the_running_robot() {
    let graph = Graph::new();
    let _robot = robot(&graph);
    let mapping = graph.file("m.yaml", MAPPING);
    let args = ["check", mapping.to_str().unwrap(), "--graph", "--json", "--for", "5"];
    let ended = graph.bare_bridge(&args).end().ended;
    // Three entries name topics that are not recorded: two not published, one of another type.
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("3 topics that the mapping names"), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();

    let pose = topic(&report, "/pose");
    assert_eq!(pose["type"], "geometry_msgs/msg/PoseStamped");
    assert_eq!((&pose["mapped"], &pose["track"]), (&"recorded".into(), &"robot/pose".into()));
    assert_eq!(pose["publishers"], serde_json::json!(["/robot"]));
    assert_eq!(pose["qos_reasons"], serde_json::json!(["reliable: all publishers offer it"]));
    assert_eq!(pose["line"], 3);
    assert!(pose["messages"].as_u64().unwrap() > 1, "{pose:#}");
    assert!(pose["rate_hz"].as_f64().unwrap() > 0.0, "{pose:#}");
    let imu = topic(&report, "/imu");
    assert_eq!(imu["qos_reasons"], serde_json::json!(["best effort: /robot offers no more"]));
    assert_eq!(topic(&report, "/tf")["track"], "tf/{child_frame_id}");

    assert_eq!(topic(&report, "/orders")["mapped"], "awaited");
    let description = topic(&report, "/robot_description");
    assert_eq!(description["mapped"], "refused");
    assert!(description["reason"].as_str().unwrap().contains("line 11"), "{description:#}");
    let camera = topic(&report, "/cam/camera_info");
    assert_eq!(camera["mapped"], "unmapped");
    assert_eq!(topic(&report, "/rosout")["excluded"], true);
    assert_eq!(topic(&report, "/fibonacci/_action/status")["hidden"], true);
    let unmatched: Vec<&Value> =
        report["unmatched"].as_array().unwrap().iter().map(|entry| &entry["topic"]).collect();
    assert_eq!(unmatched, ["/orders", "/never", "/lidar/**"]);
}

#[test]
fn the_comparison_is_a_table_for_people() {
    let graph = Graph::new();
    let _robot = robot(&graph);
    let mapping = graph.file("m.yaml", "topics: [{topic: /imu}, {topic: /lidar/**}]");
    let args = ["check", mapping.to_str().unwrap(), "--graph", "--for", "3"];
    let ended = graph.bare_bridge(&args).end().ended;
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    for line in [
        "best effort: /robot offers no more",
        "no topic for line 1: /lidar/**",
        "not in the mapping: /pose (geometry_msgs/msg/PoseStamped)",
        "not in the mapping: /add/_service_event (std_msgs/msg/String; hidden)",
    ] {
        assert!(ended.stdout.contains(line), "{line} in\n{}", ended.stdout);
    }
    assert!(!ended.stderr.contains("wait set"), "{}", ended.stderr);
}

#[test]
fn a_second_type_of_a_topic_that_is_not_recorded_is_a_failure() {
    let graph = Graph::new();
    let _poses = robot(&graph);
    let texts = graph.robot("another_type");
    texts.wait_until_published();
    let check = |mapping: &str| {
        let mapping = graph.file("m.yaml", mapping);
        let args = ["check", mapping.to_str().unwrap(), "--graph", "--for", "3"];
        graph.bare_bridge(&args).end().ended
    };
    let ended = check("topics: [{topic: /pose}]");
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("can't be recorded: /pose ("), "{}", ended.stdout);
    let both = check("topics: [{topic: /pose, on_type_change: split_track}]");
    assert_eq!(both.status.code(), Some(0), "{}{}", both.stdout, both.stderr);
}

#[test]
fn what_init_writes_passes_the_check_and_records_the_robot() {
    let graph = Graph::new();
    let _robot = robot(&graph);
    let file = graph.path("robot.yaml");
    let path = file.to_str().unwrap();
    let init = graph.bare_bridge(&["init", "-o", path, "--for", "5"]).end().ended;
    assert_eq!(init.status.code(), Some(0), "{}", init.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    for part in
        ["  - topic: /pose\n", "each: transforms", "on_change: true", "  # - topic: /rosout"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("_action") && !text.contains("_service_event"), "{text}");

    let again = graph.bare_bridge(&["init", "-o", path]).end().ended;
    assert_eq!(again.status.code(), Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);

    let check = graph.bare_bridge(&["check", path]).end().ended;
    assert_eq!(check.status.code(), Some(0), "{}", check.stderr);
    assert!(check.stderr.contains("message types checked"), "{}", check.stderr);

    let bridge = graph.bridge_with(&["--config", path]);
    for topic in ["/pose", "/imu", "/tf", "/cam/camera_info", "/robot_description"] {
        bridge.wait_for_log(&format!("the first message of {topic} is here"));
    }
    let recording = bridge.interrupt();
    let tracks = recording.tracks();
    for track in ["pose", "imu", "tf/base", "cam/camera_info", "robot_description"] {
        assert!(tracks.iter().any(|found| found == track), "{track} in {tracks:?}");
    }
    assert_eq!(tracks.len(), 5, "{tracks:?}");
}

#[test]
fn an_empty_graph_is_no_mapping() {
    let graph = Graph::new();
    let init = graph.bare_bridge(&["init", "--for", "0.1"]).end().ended;
    assert_eq!(init.status.code(), Some(1), "{}", init.stderr);
    assert!(init.stderr.contains("is the robot running"), "{}", init.stderr);
    assert_eq!(init.stdout, "");
}
