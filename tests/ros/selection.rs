//! Recording a live graph without a mapping file: by options and by ROS parameters.

use serde_json::json;

use super::program::program;
use super::support::{Bridge, Graph, Operator};

const RUN: &str = "tests/ros/run";

fn topics_of(
    graph: &Graph,
    args: &[&str],
    publish: impl FnOnce(&Bridge, &mut Operator),
) -> Vec<String> {
    let bridge = graph.bridge_with(args);
    let mut operator = graph.operator();
    publish(&bridge, &mut operator);
    bridge.interrupt().tracks()
}

#[test]
fn named_topics_are_recorded_under_remapping_and_in_a_namespace_and_the_meaning_is_kept() {
    let graph = Graph::new();
    let args = ["--topics", "/pose", "odom", "/pose", "--ros-args", "-r", "__ns:=/r1"];
    let bridge = graph.bridge_with(&[&args[..], &["-r", "/pose:=/seen/pose"]].concat());
    let mut operator = graph.operator();
    for (topic, numbers) in [("/seen/pose", 0..10), ("/r1/odom", 10..15)] {
        operator.publish(topic, numbers, 0);
    }
    bridge.signal(rustix::process::Signal::INT);
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0), "{}", recording.ended.stderr);
    recording.assert_adds_up();
    assert_eq!(recording.rows("pose").len(), 10);
    assert_eq!(recording.rows("r1/odom").len(), 5);
    let meant = recording.experiment_file(RUN)["metadata"]["mapping"].clone();
    assert!(meant.as_str().unwrap().contains("  - topic: \"odom\"\n"), "{meant}");

    // The mapping that the options mean records the same.
    let file = graph.path("meant.yaml");
    let root = graph.path("root");
    let write = ["run", "--topics", "/pose", "odom", "/pose", "--experiment", RUN, "--root"];
    let written = program(write).arg(&root).arg("--write-config").arg(&file).run();
    assert_eq!(written.code, 0, "{}", written.stderr);
    // Before it, the file says how an editor knows its keys.
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.ends_with(meant.as_str().unwrap()), "{written}");
    let checked = program(["check"]).arg(&file).run();
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let graph = Graph::new();
    let args = ["--config", file.to_str().unwrap(), "--ros-args", "-r", "__ns:=/r1"];
    let bridge = graph.bridge_with(&[&args[..], &["-r", "/pose:=/seen/pose"]].concat());
    let mut operator = graph.operator();
    for (topic, numbers) in [("/seen/pose", 0..10), ("/r1/odom", 10..15)] {
        operator.publish(topic, numbers, 0);
    }
    bridge.signal(rustix::process::Signal::INT);
    let again = bridge.end();
    for track in ["pose", "r1/odom"] {
        assert_eq!(again.rows(track), recording.rows(track), "{track}");
    }
}

#[test]
fn all_topics_are_recorded_but_those_that_are_excluded() {
    let graph = Graph::new();
    let robot = graph.robot("whole_robot");
    robot.wait_until_published();
    let args = ["--all", "--exclude", "/cam/**", "--exclude-types", "sensor_msgs/msg/Imu"];
    let bridge = graph.bridge_with(&args);
    bridge.wait_for_topics(&["/pose", "/tf", "/robot_description"]);
    for track in ["pose", "tf/base", "robot_description"] {
        bridge.wait_for_rows(track, 1);
    }
    robot.finish();
    let mut tracks = bridge.interrupt().tracks();
    // The bridge's own, which is there after a second.
    tracks.retain(|track| track != "diagnostics");
    assert_eq!(tracks, ["pose", "robot_description", "tf/base"]);
}

#[test]
fn a_regular_expression_selects_among_topics_that_come_later() {
    let graph = Graph::new();
    let tracks = topics_of(&graph, &["--regex", "^/arm_[0-9]/"], |bridge, operator| {
        let text = "std_msgs/msg/String";
        for (name, topic) in [("a", "/arm_1/state"), ("b", "/leg_1/state"), ("c", "/arm_2/state")] {
            let offer = json!({"offer": name, "topic": topic, "type": text, "qos": "reliable"});
            operator.ask(&offer);
        }
        for name in ["a", "c"] {
            operator.ask(&json!({"send": name, "data": ["x"]}));
        }
        operator.wait_until_taken(2);
        assert!(!bridge.log().contains("/leg_1"), "{}", bridge.log());
    });
    assert_eq!(tracks, ["arm_1/state", "arm_2/state"]);
}

#[test]
fn parameters_select_topics_as_options_do_and_show_what_is_selected() {
    let graph = Graph::new();
    // As launch files write lists, and as people do.
    let args = ["--ros-args", "-p", "topics:=/pose /seen/*", "-p", "exclude:=[/seen/b]"];
    let bridge = graph.bridge_with(&args);
    let mut operator = graph.operator();
    for topic in ["/pose", "/seen/a"] {
        operator.publish(topic, 0..5, 0);
    }
    let listed = operator.ask(&json!({"get": ["config", "regex", "all"]}));
    assert_eq!(listed["values"], json!(["", "", false]));
    let recording = bridge.interrupt();
    assert_eq!(recording.tracks(), ["pose", "seen/a"]);
    let meant = recording.experiment_file(RUN)["metadata"]["mapping"].clone();
    assert!(meant.as_str().unwrap().contains("/parameter_events, /seen/b]"), "{meant}");

    // One or the other; the command line goes before both.
    let graph = Graph::new();
    let config = graph.file("mapping.yaml", "topics:\n  - topic: /pose\n");
    let config = format!("config:={}", config.display());
    let both = ["--ros-args", "-p", &config, "-p", "all:=true"];
    let refused = graph.bridge_with(&both).end();
    assert_eq!(refused.ended.status.code(), Some(2), "{}", refused.ended.stderr);
    assert!(refused.ended.stderr.contains("give one of the two"), "{}", refused.ended.stderr);
    let bridge = graph.bridge_with(&[&["--topics", "/pose"][..], &both].concat());
    let mut operator = graph.operator();
    operator.publish("pose", 0..5, 0);
    assert_eq!(bridge.interrupt().tracks(), ["pose"]);
}
