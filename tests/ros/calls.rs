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

#[test]
fn requests_and_responses_are_tracks_that_align_and_what_is_silent_is_said() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/light"}));
    operator.ask(&json!({"serve": "/dark", "introspection": false}));
    let bridge = graph.bridge("services: [/light, /dark]\n");
    operator.ask(&json!({"request": "/light", "data": true}));
    operator.ask(&json!({"request": "/light", "data": false}));
    bridge.wait_for_log("service /dark: its introspection is off");
    let log = bridge.log();
    let recording = bridge.interrupt();
    assert_eq!(log.matches("introspection is off").count(), 1, "{log}");
    let requests = recording.rows("light/request");
    let responses = recording.rows("light/response");
    // A client and a server each tell of the request and of the response.
    let sorted = |rows: &[Row], column: &str| {
        let mut found = numbers(rows, column);
        found.sort_by(f64::total_cmp);
        found
    };
    assert_eq!(sorted(&requests, "info.event_type"), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(sorted(&responses, "info.event_type"), [2.0, 2.0, 3.0, 3.0]);
    assert_eq!(
        sorted(&requests, "info.sequence_number"),
        sorted(&responses, "info.sequence_number"),
        "they tell which belong together"
    );
    let on = |rows: &[Row], column: &str| {
        rows.iter().filter(|row| row.fields.get(column) == Some(&FieldValue::Bool(true))).count()
    };
    assert_eq!((on(&requests, "data"), on(&responses, "success")), (2, 4));
    assert!(requests[0].fields.get("info.client_gid").is_some(), "{:?}", requests[0]);
    let topic = recording.topic("/light/_service_event");
    assert_eq!((&topic["received"], &topic["stored"]), (&json!(8), &json!(8)));
    let account = recording.account();
    assert!(account["refused"]["service /dark"].as_str().unwrap().contains("introspection is off"));
    assert_eq!(account["complete"], false);
    assert_eq!(account["unmatched"], json!(["service /dark"]));
}

#[test]
fn check_says_which_services_tell_nothing_and_flags_ask_for_all_of_them() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/light"}));
    operator.ask(&json!({"serve": "/dark", "introspection": false}));
    let mapping = graph.file("m.yaml", "services: [/light, /dark]\n");
    let ended = graph.bare_bridge(&["check", mapping.to_str().unwrap(), "--graph"]).end().ended;
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("service /dark, line 1: its introspection is off"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("light/request"), "{}", ended.stdout);

    let mapping = graph.file("plain.yaml", "topics: [{topic: /nothing}]\n");
    let bridge = graph.bridge_with(&["--config", mapping.to_str().unwrap(), "--all-services"]);
    operator.ask(&json!({"request": "/light", "data": true}));
    bridge.wait_for_log("services /dark: of each, its introspection is off");
    let recording = bridge.interrupt();
    assert_eq!(recording.tracks(), ["light/request", "light/response"]);
    assert_eq!(recording.account()["complete"], true, "nobody named /dark");
}

#[test]
fn services_alone_are_recorded_and_those_of_parameters_go_beside_a_mapping() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/light"}));
    operator.ask(&json!({"serve": "/lamp"}));
    let bridge = graph.bridge_with(&["--services", "/light"]);
    operator.ask(&json!({"request": "/light", "data": true}));
    bridge.wait_for_rows("light/response", 2);
    let recording = bridge.interrupt();
    assert_eq!(recording.tracks(), ["light/request", "light/response"]);
    let meant = recording.experiment_file("tests/ros/run")["metadata"]["mapping"].clone();
    assert!(meant.as_str().unwrap().ends_with("services: /light\n"), "{meant}");

    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/light"}));
    operator.ask(&json!({"serve": "/lamp"}));
    let mapping = graph.file("m.yaml", "services: /light\n");
    let config = format!("config:={}", mapping.display());
    let parameters = ["--ros-args", "-p", &config, "-p", "services:=/lamp", "-p", "actions:=all"];
    let bridge = graph.bridge_with(&parameters);
    operator.ask(&json!({"request": "/light", "data": true}));
    operator.ask(&json!({"request": "/lamp", "data": true}));
    let listed = operator.ask(&json!({"get": ["services", "actions"]}));
    assert_eq!(listed["values"], json!([["/lamp"], ["/**"]]));
    for track in ["light/response", "lamp/response"] {
        bridge.wait_for_rows(track, 2);
    }
    let tracks = ["lamp/request", "lamp/response", "light/request", "light/response"];
    assert_eq!(bridge.interrupt().tracks(), tracks);
}

#[test]
fn services_of_parameters_go_beside_the_command_lines_mapping_to_which_their_topics_give_way() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/lamp"}));
    let mapping = graph.file("m.yaml", "topics: [{topic: /pose}]\n");
    let (config, parameters) =
        (mapping.to_str().unwrap(), ["-p", "services:=/lamp", "-p", "topics:=/odom"]);
    let bridge =
        graph.bridge_with(&[&["--config", config, "--ros-args"][..], &parameters].concat());
    bridge.wait_for_log("the command line says which topics are recorded");
    operator.ask(&json!({"request": "/lamp", "data": true}));
    bridge.wait_for_rows("lamp/response", 2);
    operator.publish("pose", 0..5, 0);
    bridge.wait_for_rows("pose", 5);
    assert_eq!(bridge.interrupt().tracks(), ["lamp/request", "lamp/response", "pose"]);
}

#[test]
fn a_remapped_service_is_recorded_by_the_mappings_name_for_it() {
    let graph = Graph::new();
    let mut operator = graph.operator();
    operator.ask(&json!({"serve": "/r1/light"}));
    let mapping = graph.file("m.yaml", "services: /light\n");
    let config = mapping.to_str().unwrap();
    let bridge = graph.bridge_with(&["--config", config, "--ros-args", "-r", "/light:=/r1/light"]);
    operator.ask(&json!({"request": "/r1/light", "data": true}));
    let recording = bridge.interrupt();
    assert_eq!(recording.rows("light/request").len(), 2);
}

#[test]
fn an_action_is_recorded_with_its_goals_and_results_where_they_are_published() {
    let graph = Graph::new();
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interfaces/arm_msgs");
    let overlay = graph.overlay(&package);
    let mut operator = graph.operator_with_overlay(&overlay);
    let reach = "arm_msgs/action/Reach";
    operator.ask(&json!({"act": "/reach", "type": reach}));
    // The services of an action server by hand: those of rclpy's in Jazzy have no introspection.
    operator.ask(&json!({"act_openly": "/open", "type": reach}));
    let bridge = graph.bridge_with_overlay("actions: all\n", &overlay);
    bridge.wait_for_topics(&["/reach/_action/feedback", "/reach/_action/status"]);
    operator.ask(&json!({"reach": "/reach", "target": 3.0}));
    let opened = operator.ask(&json!({"reach_openly": "/open", "target": 2.5}));
    assert_eq!(opened["reached"], true);
    bridge.wait_for_log("actions /reach: of each, the introspection of its services is off");
    let recording = bridge.interrupt();
    assert_eq!(numbers(&recording.rows("reach/feedback"), "feedback.distance"), [2.0, 1.0, 0.0]);
    let states = numbers(&recording.rows("reach/status"), "status");
    // Accepted or executing first, succeeded at last.
    assert_eq!(states.last(), Some(&4.0), "{states:?}");
    let goals = recording.rows("open/send_goal/request");
    assert_eq!(numbers(&goals, "goal.target"), [2.5]);
    let results = recording.rows("open/get_result/response");
    assert_eq!(results[0].fields.get("result.reached"), Some(&FieldValue::Bool(true)));
    assert_eq!(numbers(&results, "status"), [4.0]);
    let accepted = recording.rows("open/send_goal/response");
    assert_eq!(accepted[0].fields.get("accepted"), Some(&FieldValue::Bool(true)));
    assert_eq!(recording.account()["complete"], true);
}
