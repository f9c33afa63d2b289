//! Running a recorder: services, diagnostics, the log, parameters, what the experiment says of it.

use rustix::process::Signal;
use serde_json::json;

use super::support::{Bridge, Graph, Operator, flooded, numbers};

/// Of each topic of a flood.
const FLOOD_HZ: u32 = 1_000;
const POSE: &str = "topics:\n  - topic: /pose\n";

/// The bridge's services, and rows of poses as numbers.
fn started(graph: &Graph, mapping: &str) -> (Bridge, Operator) {
    (graph.bridge(mapping), graph.operator())
}

#[test]
fn paused_messages_are_counted_and_left_out_and_all_others_recorded() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    operator.publish("pose", 0..50, 0);
    operator.call_well("pause");
    assert_eq!(operator.status()["paused"], true);
    operator.publish("pose", 50..80, 0);
    operator.call_well("resume");
    operator.publish("pose", 80..100, 0);
    let recording = bridge.interrupt();
    let pose = recording.topic("/pose");
    assert_eq!((&pose["received"], &pose["stored"]), (&json!(100), &json!(70)), "{pose:#}");
    assert_eq!(pose["dropped"], json!({"paused": 30}));
    let expected: Vec<u64> = (0..50).chain(80..100).collect();
    assert_eq!(recording.poses_in("tests/ros/run"), expected);
}

#[test]
fn it_starts_paused_when_told_to_and_latched_topics_are_recorded_once_it_goes_on() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let (bridge, mut operator) = started(
        &graph,
        "start_paused: true\ntopics:\n  - topic: /pose\n  - topic: /robot_description\n",
    );
    operator.publish("pose", 0..10, 0);
    bridge.wait_for_log("/robot_description: dropped, paused");
    operator.call_well("resume");
    bridge.wait_for_log("the first message of /robot_description is here");
    operator.publish("pose", 10..20, 0);
    robot.finish();
    let recording = bridge.interrupt();
    assert_eq!(recording.topic("/pose")["dropped"], json!({"paused": 10}));
    assert_eq!(recording.poses_in("tests/ros/run"), (10..20).collect::<Vec<_>>());
    assert_eq!(recording.rows("robot_description").len(), 1);
    let metadata = &recording.experiment_file("tests/ros/run")["metadata"];
    assert_eq!(metadata["robot_description"], "<robot/>");
}

#[test]
fn a_split_parts_the_messages_between_two_experiments_and_none_is_lost_or_twice() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let (bridge, mut operator) = started(
        &graph,
        "topics:\n  - topic: /pose\n  - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n",
    );
    bridge.wait_for_log("the first message of /tf_static is here");
    operator.publish("pose", 0..100, 0);
    let said = operator.call_well("split");
    assert_eq!(said, "recording into tests/ros/run_002");
    operator.publish("pose", 100..250, 0);
    operator.call_well("split");
    operator.publish("pose", 250..260, 0);
    // What is kept for late subscribers comes again for every part.
    operator.wait_until_repeated("/tf_static");
    robot.finish();
    let recording = bridge.interrupt();
    for (part, range) in [("run", 0..100), ("run_002", 100..250), ("run_003", 250..260)] {
        let part = format!("tests/ros/{part}");
        assert_eq!(recording.poses_in(&part), range.collect::<Vec<_>>(), "{part}");
        assert_eq!(recording.rows_in(&part, "tf_static/laser").len(), 1, "{part}");
        assert_eq!(recording.experiment_file(&part)["status"], "COMPLETED", "{part}");
    }
    let earlier = recording.account()["earlier_parts"].clone();
    assert_eq!(earlier[0]["experiment"], "tests/ros/run");
    assert_eq!((&earlier[0]["received"], &earlier[1]["stored"]), (&json!(101), &json!(151)));
}

#[test]
fn a_split_that_fails_changes_nothing_and_repeats_nothing() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let (bridge, mut operator) = started(
        &graph,
        "topics:\n  - topic: /pose\n  - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n",
    );
    bridge.wait_for_log("the first message of /tf_static is here");
    // A name that leads nowhere: there is nothing, and nothing can be made.
    let next = graph.path("root/tests/ros/run_002");
    std::os::unix::fs::symlink("/nowhere/at/all", &next).unwrap();
    let answer = operator.call("split");
    assert_eq!(answer["success"], false, "{answer}");
    operator.publish("pose", 0..50, 0);
    assert_eq!(operator.status()["experiment"], "tests/ros/run");
    robot.finish();
    let recording = bridge.interrupt();
    assert_eq!(recording.topic("/tf_static")["received"], 1);
    assert_eq!(recording.topic("/pose")["stored"], 50);
    assert_eq!(recording.poses_in("tests/ros/run").len(), 50);
}

#[test]
fn a_split_in_the_middle_of_a_stream_loses_nothing() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, "topics:\n  - topic: /flood/*\n");
    let flood = graph.flood(2, FLOOD_HZ);
    bridge.wait_for_log("the first message of /flood/pose_1 is here");
    operator.call_well("split");
    bridge.wait_for_log("tests/ros/run is closed");
    let parts = ["tests/ros/run", "tests/ros/run_002"];
    bridge.wait_for_rows_over(&parts[1..], &flooded(1), 100);
    let messages = flood.finish_over(&bridge, &parts) as u64;
    let recording = bridge.interrupt();
    for track in [flooded(0), flooded(1)] {
        let [first, second] = parts.map(|part| recording.rows_in(part, &track));
        assert!(!first.is_empty() && !second.is_empty());
        let all = numbers(&[first, second].concat(), FLOOD_HZ);
        assert_eq!(all, (0..messages).collect::<Vec<u64>>(), "{track}");
    }
}

#[test]
fn flush_answers_once_all_that_came_before_is_in_the_store() {
    let graph = Graph::new();
    let (bridge, mut operator) =
        started(&graph, "flush: {interval: 3600, batch: 100000}\ntopics:\n  - topic: /pose\n");
    operator.publish("pose", 0..500, 0);
    operator.call_well("flush");
    assert_eq!(bridge.rows_in_store("pose"), 500);
    bridge.interrupt();
}

#[test]
fn status_is_json_with_every_topic() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    operator.publish("pose", 0..40, 0);
    operator.call_well("flush");
    let status = operator.status();
    assert_eq!(status["experiment"], "tests/ros/run");
    assert_eq!(status["paused"], false);
    let pose = &status["topics"][0];
    assert_eq!((&pose["topic"], &pose["received"]), (&json!("/pose"), &json!(40)));
    assert!(pose["rate_hz"].as_f64().unwrap() > 0.0 && pose["lag_secs"].as_f64().unwrap() > 1e6);
    assert!(status["disk"]["free"].as_u64().unwrap() > 0);
    bridge.interrupt();
}

#[test]
fn diagnostics_say_how_every_topic_stands() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(
        &graph,
        "required: [{topic: /pose, min_rate: 20}, /never]\ntopics:\n  - topic: /pose\n  - topic: /never\n",
    );
    // Above the rate for longer than it is measured over.
    operator.publish("pose", 0..400, 50);
    // Before anybody published it, it was a topic without a type that is waited for.
    let pose = "mldash_bridge: topic /pose";
    let pose = operator.ask(&json!({"diagnostic": pose, "level": "ok", "with": "type"}));
    assert!(!pose["hardware_id"].as_str().unwrap().is_empty());
    assert_eq!(pose["values"]["type"], "geometry_msgs/msg/PoseStamped");
    assert_eq!(pose["values"]["required (Hz)"], "20");
    let never = operator.wait_for_diagnostic("mldash_bridge: topic /never", "error");
    assert!(never["message"].as_str().unwrap().contains("required"), "{never}");
    operator.wait_for_diagnostic("mldash_bridge: queue", "ok");
    operator.wait_for_diagnostic("mldash_bridge: disk", "ok");
    let recording = operator.wait_for_diagnostic("mldash_bridge: recording", "ok");
    assert_eq!(recording["values"]["experiment"], "tests/ros/run");
    // Silence: first short of the rate, then overdue.
    bridge.wait_for_log("required topic /pose is at");
    operator.wait_for_diagnostic("mldash_bridge: topic /pose", "error");
    operator.publish("pose", 400..800, 50);
    bridge.wait_for_log("required topic /pose is back");
    operator.call_well("pause");
    operator.wait_for_diagnostic("mldash_bridge: recording", "warn");
    operator.call_well("resume");

    let recording = bridge.interrupt();
    let required = recording.account()["required"].clone();
    // A busy machine may publish more slowly, too.
    assert!(required[0]["times_short"].as_u64().unwrap() >= 1, "{required}");
    assert_eq!(required[1]["state"], "missing");
    let warnings = recording.ended.stderr.matches("required topic /never has not come").count();
    assert_eq!(warnings, 1, "{}", recording.ended.stderr);
}

#[test]
fn a_topic_that_stops_is_stale() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    operator.publish("pose", 0..20, 0);
    let stale = operator.wait_for_diagnostic("mldash_bridge: topic /pose", "stale");
    assert!(stale["message"].as_str().unwrap().contains("silent"), "{stale}");
    operator.publish("pose", 20..60, 0);
    operator.wait_for_diagnostic("mldash_bridge: topic /pose", "ok");
    bridge.interrupt();
}

#[test]
fn the_log_reaches_rosout_from_its_first_line_on() {
    let graph = Graph::new();
    let bridge = graph.bridge(POSE);
    let mut operator = graph.operator();
    let first = operator.wait_for_rosout("is on the graph");
    assert_eq!((&first["name"], &first["level"]), (&json!("mldash_bridge"), &json!(20)));
    assert!(first["file"].as_str().unwrap().ends_with("run.rs"), "{first}");
    operator.publish("pose", 0..1, 0);
    operator.wait_for_rosout("recording /pose (geometry_msgs/msg/PoseStamped");
    bridge.interrupt();
}

#[test]
fn parameters_show_what_the_run_uses_and_stay_as_they_are() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    let listed = operator.ask(&json!({"list": true}));
    let expected = [
        "actions",
        "all",
        "config",
        "exclude",
        "exclude_types",
        "experiment",
        "notes",
        "operator",
        "regex",
        "remote",
        "root",
        "services",
        "start_paused",
        "success",
        "tags",
        "task",
        "topics",
        "use_sim_time",
    ];
    assert_eq!(listed["names"], json!(expected));
    let got = operator.ask(&json!({"get": ["experiment", "root", "use_sim_time", "config"]}));
    let (root, config) = (graph.path("root"), graph.path("mapping.yaml"));
    assert_eq!(got["values"], json!(["tests/ros/run", root, false, config]));
    for (name, why) in
        [("experiment", "fixed while the node records"), ("nonsense", "no such parameter")]
    {
        let set = operator.ask(&json!({"set": {name: "a/b/c"}}));
        assert_eq!(set["successful"], false);
        assert!(set["reason"].as_str().unwrap().contains(why), "{set}");
    }
    let described = operator.ask(&json!({"describe": ["experiment", "success", "nonsense"]}));
    let (string, not_set) = (4, 0);
    let types = [json!([string, true]), json!([not_set, false]), json!([not_set, false])];
    assert_eq!(described["types_and_read_only"], json!(types));
    assert_eq!(described["descriptions"][1], "Whether it did, in this part.");
    let got = operator.ask(&json!({"get": ["experiment"]}));
    assert_eq!(got["values"], json!(["tests/ros/run"]));
    bridge.interrupt();
}

#[test]
fn a_client_that_can_not_get_its_answer_costs_the_others_nothing() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    // It wants the answer to be kept for it, which no service does.
    operator.ask(&json!({"ask_in_vain": true}));
    bridge.wait_for_log("can't get its answer");
    let got = operator.ask(&json!({"get": ["experiment"]}));
    assert_eq!(got["values"], json!(["tests/ros/run"]));
    operator.ask(&json!({"set": {"task": "pick"}}));
    let got = operator.ask(&json!({"get": ["task"]}));
    assert_eq!(got["values"], json!(["pick"]));
    let recording = bridge.interrupt();
    let stderr = &recording.ended.stderr;
    assert!(!stderr.contains("panic") && !stderr.contains("have ended"), "{stderr}");
    assert_eq!(stderr.matches("can't get its answer").count(), 1, "{stderr}");
}

#[test]
fn what_is_answered_while_nothing_is_recorded_is_true() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    operator.publish("pose", 0..10, 0);
    let said = operator.call_well("pause");
    assert_eq!(said, "paused: messages are counted and left out until ~/resume");
    let said = operator.call_well("split");
    assert_eq!(said, "tests/ros/run_002 has begun, paused: nothing is recorded until ~/resume");
    assert_eq!(operator.call_well("resume"), "recording into tests/ros/run_002");
    operator.publish("pose", 10..15, 0);
    operator.call_well("stop");
    operator.publish("pose", 15..18, 0);
    let resumed = operator.call("resume");
    assert_eq!(resumed["success"], false, "{resumed}");
    assert!(resumed["message"].as_str().unwrap().contains("run_002 has ended"), "{resumed}");
    let said = operator.call_well("pause");
    assert!(said.contains("nothing is recorded anyway") && said.contains("~/start"), "{said}");
    // The part that has ended, and what has come since.
    let status = operator.status();
    assert_eq!((&status["stopped"], &status["paused"]), (&json!(true), &json!(true)));
    assert_eq!(status["experiment"], "tests/ros/run_002");
    assert_eq!(
        (&status["topics"][0]["stored"], &status["while_stopped"]["/pose"]),
        (&json!(5), &json!(3))
    );
    assert_eq!(operator.call_well("start"), "recording into tests/ros/run_003");
    assert_eq!(operator.status()["paused"], false);
    bridge.interrupt();
}

#[test]
fn whether_it_starts_paused_is_a_parameter_too() {
    let graph = Graph::new();
    let config = graph.file("mapping.yaml", POSE);
    let config = config.to_str().unwrap();
    // As people write it, and as launch files do.
    for (said, paused) in [("true", true), ("True", true), ("False", false)] {
        let said = format!("start_paused:={said}");
        let bridge = graph.bridge_with(&["--config", config, "--ros-args", "-p", &said]);
        let mut operator = graph.operator();
        let got = operator.ask(&json!({"get": ["start_paused"]}));
        assert_eq!(got["values"], json!([paused]), "{said}");
        assert_eq!(operator.status()["paused"], paused, "{said}");
        bridge.interrupt();
    }
}

#[test]
fn the_experiment_says_what_recorded_it_and_how_that_ended() {
    let graph = Graph::new();
    let bridge = graph.bridge(POSE);
    bridge.wait_for_log("is on the graph");
    bridge.signal(Signal::KILL);
    let killed = bridge.end().experiment_file("tests/ros/run");
    assert_eq!(killed["status"], "RUNNING", "nobody was left to say otherwise");
    assert_eq!(killed["metadata"]["mapping"], POSE);
    for key in ["host", "started_at", "recorder", "mapping_file", "ros_domain_id"] {
        assert!(killed["metadata"][key].is_string(), "{key}: {killed:#}");
    }
    assert_eq!(killed["metadata"]["ros_distro"], std::env::var("ROS_DISTRO").unwrap());
    let rmw = killed["metadata"]["rmw"].as_str().unwrap();
    assert!(rmw.starts_with("rmw_"), "{rmw}");

    let recording = graph.bridge(POSE);
    recording.wait_for_log("was not closed (crash or kill)");
    recording.wait_for_log("is on the graph");
    let recording = recording.interrupt().experiment_file("tests/ros/run");
    assert_eq!(recording["status"], "COMPLETED");
    let earlier = &recording["metadata"]["earlier_runs"][0];
    assert_eq!(earlier["status"], "FAILED");
    assert_eq!(earlier["started_at"], killed["metadata"]["started_at"]);
}

#[test]
fn on_a_terminal_a_status_line_redraws_below_the_log() {
    let graph = Graph::new();
    let bridge = graph.bridge_on_a_terminal(POSE);
    let mut operator = graph.operator();
    operator.publish("pose", 0..1234, 0);
    bridge.wait_for_log("recording tests/ros/run: 1 topic");
    bridge.wait_for_log("1,234 rows");
    // Drawn anew, over what was there.
    bridge.wait_for_log("00:00:02 ");
    operator.call_well("pause");
    bridge.wait_for_log("PAUSED tests/ros/run: 1 topic");
    let log = bridge.log();
    let redrawn = log.split("00:00:02 ").next().unwrap();
    assert!(redrawn.contains("\u{1b}["), "the cursor goes back up: {log:?}");
    for line in log.lines().filter(|line| line.contains("INFO")) {
        // What was drawn on its line was wiped off before.
        let before = line.split("INFO").next().unwrap().rsplit("\r\u{1b}[2K").next().unwrap();
        assert!(!before.contains("rows") && !before.contains(" Hz"), "{line:?}");
    }
    let recording = bridge.interrupt();
    assert_eq!(recording.topic("/pose")["stored"], 1234);
    let left = recording.ended.stderr.rsplit("\u{1b}[2K").next().unwrap();
    assert_eq!(left, "", "it is gone in the end");
}

#[test]
fn a_terminal_that_takes_no_text_holds_up_nothing() {
    let graph = Graph::new();
    let bridge = graph.bridge_on_a_held_terminal(POSE);
    let mut operator = graph.operator();
    operator.publish("pose", 0..2000, 0);
    operator.call_well("split");
    operator.publish("pose", 2000..2500, 0);
    let recording = bridge.interrupt();
    // All that had arrived before the call is in the part before, however long that takes to take.
    assert_eq!(recording.poses_in("tests/ros/run"), (0..2000).collect::<Vec<_>>());
    assert_eq!(recording.poses_in("tests/ros/run_002"), (2000..2500).collect::<Vec<_>>());
    let pose = recording.topic("/pose");
    assert_eq!((&pose["stored"], &pose["lost"]), (&json!(500), &json!(0)));
}

#[test]
fn elsewhere_a_summary_is_logged_now_and_then() {
    let graph = Graph::new();
    let (bridge, mut operator) = started(&graph, POSE);
    operator.publish("pose", 0..1000, 0);
    bridge.wait_for_log("INFO recording tests/ros/run: 1 topic");
    let log = bridge.log();
    assert!(log.contains("1,000 rows") && !log.contains('\u{1b}'), "{log}");
    bridge.interrupt();
}
