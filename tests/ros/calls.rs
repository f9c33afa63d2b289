//! What services and actions say of themselves on the graph: service events, feedback and status of actions.

use std::path::Path;

use mldash_bridge::track::{Row, Value as FieldValue};
use serde_json::json;

use super::support::Graph;

/// A column of some rows, as floats.
fn numbers(rows: &[Row], column: &str) -> Vec<f64> {
    let number = |row: &Row| match row.fields.get(column) {
        Some(FieldValue::Int(number)) => *number as f64,
        Some(FieldValue::F64(number)) => *number,
        other => panic!("{other:?} in {column}"),
    };
    rows.iter().map(number).collect()
}

#[test]
fn requests_and_responses_of_a_service_are_recorded_from_its_events() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/light"}));
    let bridge = graph.bridge("topics:\n  - topic: /light/_service_event\n");
    operator.ask(&json!({"request": "/light", "data": true}));
    operator.ask(&json!({"request": "/light", "data": false}));
    let recording = bridge.interrupt();
    let rows = recording.rows("light/_service_event");
    // A client and a server each tell of the request and of the response.
    let mut kinds = numbers(&rows, "info.event_type");
    kinds.sort_by(f64::total_cmp);
    assert_eq!(kinds, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    let requested: Vec<_> = rows.iter().filter_map(|row| row.fields.get("request")).collect();
    let on = |on: bool| FieldValue::List(vec![FieldValue::Map(vec![("data".into(), on.into())])]);
    assert_eq!(requested.iter().filter(|request| ***request == on(true)).count(), 2);
    assert_eq!(requested.iter().filter(|request| ***request == on(false)).count(), 2);
    assert_eq!(recording.topic("/light/_service_event")["type"], "std_srvs/srv/SetBool_Event");
}

#[test]
fn feedback_and_status_of_an_action_whose_type_came_after_the_build_are_recorded() {
    let graph = Graph::new();
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interfaces/arm_msgs");
    let overlay = graph.overlay(&package);
    let mut operator = graph.operator_with_overlay(&overlay);
    operator.ask(&json!({"act": "/reach", "type": "arm_msgs/action/Reach"}));
    let mapping = "topics:\n  - topic: /reach/_action/feedback\n  - topic: /reach/_action/status\n";
    let bridge = graph.bridge_with_overlay(mapping, &overlay);
    bridge.wait_for_topics(&["/reach/_action/feedback", "/reach/_action/status"]);
    operator.ask(&json!({"reach": "/reach", "target": 3.0}));
    let recording = bridge.interrupt();
    let feedback = recording.rows("reach/_action/feedback");
    assert_eq!(numbers(&feedback, "feedback.distance"), [2.0, 1.0, 0.0]);
    assert!(!recording.rows("reach/_action/status").is_empty());
    let of = |topic: &str| recording.topic(topic)["type"].clone();
    assert_eq!(of("/reach/_action/feedback"), "arm_msgs/action/Reach_FeedbackMessage");
    assert_eq!(of("/reach/_action/status"), "action_msgs/msg/GoalStatusArray");
}
