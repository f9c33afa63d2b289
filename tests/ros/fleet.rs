//! Several robots, and several bridges, on one machine.

use super::support::Graph;

#[test]
fn one_bridge_records_several_robots_into_tracks_apart() {
    let graph = Graph::new();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/multi_robot.yaml");
    let bridge = graph.bridge_with(&["--config", config]);
    let robots = ["/robot1", "/robot2"].map(|namespace| graph.robot_in(namespace, "fleet_member"));
    let expected = robots.map(|robot| robot.finish());
    let recording = bridge.interrupt();
    for expected in &expected {
        recording.assert_rows(expected);
    }
    assert_eq!(
        recording.tracks(),
        [
            "robot1/imu",
            "robot1/joint_states",
            "robot1/odom",
            "robot1/tf/base",
            "robot2/imu",
            "robot2/joint_states",
            "robot2/odom",
            "robot2/tf/base",
        ]
    );
}

#[test]
fn a_bridge_for_each_robot_records_beside_the_others_into_one_root() {
    let graph = Graph::new();
    // One mapping for all: what it names is relative to the bridge's namespace.
    let config = graph.file("m.yaml", "topics: [{topic: pose, track: pose}]");
    let root = graph.path("root");
    let bridge = |robot: &str| {
        let experiment = format!("tests/fleet/{robot}");
        let namespace = format!("__ns:=/{robot}");
        let args = ["run", "--json", "--experiment", &experiment, "--root", root.to_str().unwrap()];
        let ros = ["--config", config.to_str().unwrap(), "--ros-args", "-r", &namespace];
        graph.bare_bridge(&[&args[..], &ros].concat()).of_experiment(&experiment)
    };
    let bridges = ["robot1", "robot2"].map(bridge);
    let robots = ["/robot1", "/robot2"].map(|namespace| graph.robot_in(namespace, "poses"));
    let expected = robots.map(|robot| robot.finish());
    for (bridge, expected) in bridges.into_iter().zip(expected) {
        let expected: Vec<_> =
            expected.into_iter().map(|(_, row)| ("pose".to_owned(), row)).collect();
        let recording = bridge.interrupt();
        recording.assert_rows(&expected);
        assert_eq!(recording.tracks(), ["pose"], "nothing of the other robot");
    }
}
