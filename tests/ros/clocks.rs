//! Simulated time on a live graph: before it runs, standing still, and started anew.

use mldash_bridge::track::Row;

use super::support::{Graph, Recording};

/// What is recorded of a simulator at 50 s, which starts anew at 10 s.
fn simulator_started_anew(graph: &Graph, top_keys: &str) -> Recording {
    let topics = "topics:
  - {topic: /chatter, stamp: receive}
  - {topic: /pose, stamp_ns: true}
  - {topic: /robot_description, stamp: receive}";
    let config = graph.file("m.yaml", &format!("{top_keys}\n{topics}"));
    let config = config.to_str().unwrap();
    let sim_time = ["--ros-args", "-p", "use_sim_time:=true"];
    let bridge = graph.bridge_with(&[&["--config", config][..], &sim_time].concat());
    let robot = graph.robot("sim_restart");
    robot.wait_until_published();
    bridge.wait_for_log("the first message of /robot_description is here");
    robot.finish();
    bridge.interrupt()
}

fn times(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|row| row.ts.as_secs()).collect()
}

#[test]
fn a_simulator_that_starts_late_stands_still_and_starts_anew_loses_no_row() {
    let graph = Graph::new();
    let recording = simulator_started_anew(&graph, "");

    assert_eq!(times(&recording.rows("robot_description")), [50.0]);
    let description = recording.topic("/robot_description");
    assert_eq!(description["notes"], serde_json::json!({ "waited_for_clock": 1 }));

    // Without a header rows lie on the clock, which showed two times in all.
    assert_eq!(times(&recording.rows("chatter")), [10.0, 50.0]);
    let chatter = recording.topic("/chatter");
    assert_eq!((&chatter["received"], &chatter["merged"]), (&200.into(), &198.into()));
    assert_eq!(chatter["notes"]["clock_jumped_back"], 1);

    // 50 to 149 s, then 10 to 109 s: sixty of the second run share their time with the first.
    let poses = times(&recording.rows("pose"));
    assert_eq!(poses, (10..150).map(f64::from).collect::<Vec<_>>());
    let pose = recording.topic("/pose");
    assert_eq!((&pose["received"], &pose["merged"]), (&200.into(), &60.into()));
    assert_eq!(pose["notes"]["clock_jumped_back"], 1);
    let stderr = &recording.ended.stderr;
    assert_eq!(stderr.matches("/pose: time jumped back to 10 s").count(), 1, "{stderr}");
}

#[test]
fn a_clock_below_0_does_not_run_and_costs_neither_rows_nor_services() {
    let graph = Graph::new();
    let topics = "topics: [{topic: /chatter, stamp: receive}, {topic: /pose}]";
    let config = graph.file("m.yaml", topics);
    let sim_time = ["--ros-args", "-p", "use_sim_time:=true"];
    let bridge =
        graph.bridge_with(&[&["--config", config.to_str().unwrap()], &sim_time[..]].concat());
    let robot = graph.robot("clock_below_0");
    robot.wait_until_published();
    bridge.wait_for_log("/chatter: messages without a stamp wait for the ROS clock");
    let mut operator = graph.operator();
    operator.call_well("status");
    operator.wait_for_diagnostic("mldash_bridge: recording", "ok");
    robot.finish();
    let recording = bridge.interrupt();
    let stderr = &recording.ended.stderr;
    assert!(!stderr.contains("panic") && !stderr.contains("have ended"), "{stderr}");
    assert_eq!(recording.topic("/pose")["stored"], 20);
    let chatter = recording.topic("/chatter");
    assert_eq!(
        (&chatter["received"], &chatter["notes"]["waited_for_clock"]),
        (&21.into(), &20.into())
    );
    assert!(times(&recording.rows("chatter")).iter().all(|at| (7.0..7.1).contains(at)));
}

#[test]
fn a_simulator_that_starts_anew_can_have_an_experiment_for_each_run() {
    let graph = Graph::new();
    let recording = simulator_started_anew(&graph, "clock_jump: split");
    let account = recording.account();
    assert_eq!(account["experiment"], "tests/ros/run_002");
    let parts = ["tests/ros/run", "tests/ros/run_002"];
    let poses = parts.map(|part| times(&recording.rows_in(part, "pose")));
    // The first of a run may overtake its clock, on another topic.
    assert_eq!(poses.iter().map(Vec::len).sum::<usize>(), 200, "no run merges with the other");
    assert!(poses[0].contains(&149.0) && !poses[1].contains(&149.0), "{poses:?}");
    assert!(poses[1].contains(&109.0) && !poses[0].contains(&49.0), "{poses:?}");
    assert_eq!(times(&recording.rows_in(parts[1], "chatter")), [10.0]);
}
