//! Simulated time on a live graph: before it runs, standing still, and started anew.

use mldash_bridge::track::Row;

use super::support::Graph;

fn times(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|row| row.ts.as_secs()).collect()
}

#[test]
fn a_simulator_that_starts_late_stands_still_and_starts_anew_loses_no_row() {
    let graph = Graph::new();
    let config = graph.file(
        "m.yaml",
        "topics:
  - {topic: /chatter, stamp: receive}
  - {topic: /pose, stamp_ns: true}
  - {topic: /robot_description, stamp: receive}",
    );
    let config = config.to_str().unwrap();
    let sim_time = ["--ros-args", "-p", "use_sim_time:=true"];
    let bridge = graph.bridge_with(&[&["--config", config][..], &sim_time].concat());
    let robot = graph.robot("sim_restart");
    robot.wait_until_published();
    bridge.wait_for_log("the first message of /robot_description is here");
    robot.finish();
    let recording = bridge.interrupt();

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
