//! What a row's time is on a live graph, where messages share a stamp or are stamped by who sent them.

use mldash_bridge::track::{Row, Value};
use serde_json::json;

use super::support::Graph;

const JOINTS: &str = "sensor_msgs/msg/JointState";
const TODAY: i32 = 1_700_000_000;

#[test]
fn two_nodes_that_publish_with_one_stamp_have_a_row_for_each_message() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    let bridge = graph.bridge("topics:\n  - {topic: /joint_states, stamp_ns: true}\n");
    for side in ["left", "right"] {
        operator.ask(
            &json!({"offer": side, "topic": "/joint_states", "type": JOINTS, "qos": "reliable"}),
        );
    }
    let joints = |side: &str| (0..50).map(|i| json!([TODAY + i, side])).collect::<Vec<_>>();
    for side in ["left", "right"] {
        operator.ask(&json!({"send": side, "joints": joints(side)}));
    }
    let recording = bridge.interrupt();
    let rows = recording.rows("joint_states");
    assert_eq!(rows.len(), 100);
    for (i, pair) in (0_i32..).zip(rows.chunks(2)) {
        let stamp = f64::from(TODAY + i);
        assert_eq!(pair[0].ts.as_secs(), stamp);
        assert!(pair[1].ts.as_secs() - stamp < 1e-6, "{pair:?}");
        let stamps = pair.iter().map(|row| row.fields.get("stamp_ns").cloned());
        let nanos = Value::Int(i64::from(TODAY + i) * 1_000_000_000);
        assert!(stamps.into_iter().all(|stamp| stamp.as_ref() == Some(&nanos)), "{pair:?}");
        let mut names: Vec<_> =
            pair.iter().map(|row| format!("{:?}", row.fields.get("name"))).collect();
        names.sort();
        assert!(names[0].contains("left") && names[1].contains("right"), "{names:?}");
    }
    let topic = recording.topic("/joint_states");
    assert_eq!((&topic["stored"], &topic["merged"]), (&json!(100), &json!(0)));
    assert_eq!(topic["notes"]["stamp_moved"], 50);
}

#[test]
fn a_topic_can_lie_at_the_times_at_which_its_messages_were_sent() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(
        &json!({"offer": "a", "topic": "/text", "type": "std_msgs/msg/String", "qos": "reliable"}),
    );
    let bridge = graph.bridge("topics:\n  - {topic: /text, stamp: source, receive_ts: true}\n");
    operator.ask(&json!({"send": "a", "data": ["at once"]}));
    bridge.wait_for_rows("text", 1);
    bridge.suspended_while(|| {
        operator.ask(&json!({"send": "a", "data": ["late"], "unacknowledged": true}));
        std::thread::sleep(std::time::Duration::from_secs(2));
    });
    bridge.wait_for_rows("text", 2);
    let recording = bridge.interrupt();
    let lag = |row: &Row| match row.fields.get("receive_ts") {
        Some(Value::F64(received)) => received - row.ts.as_secs(),
        other => panic!("{other:?}"),
    };
    let lags: Vec<_> = recording.rows("text").iter().map(lag).collect();
    assert!(lags[0] >= 0.0 && lags[1] >= 1.9, "{lags:?}");
    assert_eq!(recording.topic("/text")["notes"], json!({}), "no receive time stepped in");
}
