//! Parts as episodes on a live graph: `~/discard`, `~/stop`, `~/start`, `split_on`, and what parameters
//! say of a part.

use mldash_bridge::track::Row;
use serde_json::{Value, json};

use super::support::{Graph, Operator, Recording, flooded, numbers};

/// Of each topic of a flood.
const FLOOD_HZ: u32 = 1_000;
const POSE: &str = "topics:\n  - topic: /pose\n";
const STATIC: &str =
    "  - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}\n";

fn part(number: usize) -> String {
    match number {
        1 => "tests/ros/run".to_owned(),
        number => format!("tests/ros/run_{number:03}"),
    }
}

/// What `experiment.json` says of a part.
fn metadata(recording: &Recording, number: usize) -> Value {
    recording.experiment_file(&part(number))["metadata"].clone()
}

fn set(operator: &mut Operator, parameters: &Value) -> Value {
    operator.ask(&json!({ "set": parameters }))
}

#[test]
fn between_stop_and_start_nothing_is_recorded_and_latched_topics_are_in_every_part() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let bridge = graph.bridge(&format!("{POSE}{STATIC}"));
    let mut operator = graph.operator();
    bridge.wait_for_log("the first message of /tf_static is here");
    operator.publish("pose", 0..50, 0);
    let ended = operator.call_well("stop");
    assert_eq!(ended, "tests/ros/run is ended; nothing is recorded until ~/start");
    assert_eq!(operator.status()["stopped"], true);
    operator.wait_for_diagnostic("mldash_bridge: recording", "warn");
    operator.publish("pose", 50..80, 0);
    for refused in ["stop", "split", "discard"] {
        let answer = operator.call(refused);
        assert_eq!(answer["success"], false, "{refused}");
        let told = "tests/ros/run has ended, and ~/start begins the next";
        assert!(answer["message"].as_str().unwrap().contains(told), "{answer}");
    }
    assert_eq!(operator.call_well("start"), "recording into tests/ros/run_002");
    let answer = operator.call("start");
    assert!(answer["message"].as_str().unwrap().contains("run_002 is being recorded"), "{answer}");
    operator.publish("pose", 80..90, 0);
    let said = operator.call_well("discard");
    assert_eq!(said, "tests/ros/run_002 is discarded; recording into tests/ros/run_003");
    operator.publish("pose", 90..100, 0);
    // What is kept for late subscribers comes again for every part.
    operator.wait_until_repeated("/tf_static");
    robot.finish();
    let recording = bridge.interrupt();
    for (number, range) in [(1, 0..50), (2, 80..90), (3, 90..100)] {
        let part = part(number);
        assert_eq!(recording.poses_in(&part), range.collect::<Vec<u64>>(), "{part}");
        assert_eq!(recording.rows_in(&part, "tf_static/laser").len(), 1, "{part}");
        assert_eq!(recording.experiment_file(&part)["status"], "COMPLETED", "{part}");
    }
    assert_eq!(metadata(&recording, 2)["discarded"], true);
    assert_eq!(metadata(&recording, 3).get("discarded"), None);
    let root = graph.path("root");
    let second = std::fs::read(root.join(part(2)).join("account.json")).unwrap();
    let second: Value = serde_json::from_slice(&second).unwrap();
    assert_eq!(second["while_stopped"], json!({"/pose": 30}));
    assert_eq!(second["complete"], true);
}

#[test]
fn parts_that_begin_in_a_pause_have_the_latched_topics() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let bridge = graph.bridge(&format!("{POSE}{STATIC}"));
    let mut operator = graph.operator();
    bridge.wait_for_log("the first message of /tf_static is here");
    for (number, ends_by) in [(2, "split"), (3, "discard")] {
        operator.call_well("pause");
        operator.call_well(ends_by);
        // The latched message comes again while it is paused.
        bridge.wait_for_rows_over(&[part(number)], "tf_static/laser", 1);
        operator.call_well("resume");
    }
    robot.finish();
    let recording = bridge.interrupt();
    for number in 1..=3 {
        assert_eq!(recording.rows_in(&part(number), "tf_static/laser").len(), 1, "{number}");
    }
    assert_eq!(recording.topic("/tf_static")["dropped"], json!({}));
}

#[test]
fn a_recording_that_is_stopped_and_then_ended_is_whole() {
    let graph = Graph::new();
    let bridge = graph.bridge(POSE);
    let mut operator = graph.operator();
    operator.publish("pose", 0..20, 0);
    operator.call_well("stop");
    operator.publish("pose", 20..25, 0);
    let recording = bridge.interrupt();
    let account = recording.account();
    assert_eq!(account["experiment"], "tests/ros/run");
    assert_eq!(account["while_stopped"], json!({"/pose": 5}));
    assert_eq!(recording.topic("/pose")["received"], 20);
    assert!(!graph.path("root").join(part(2)).exists());
}

#[test]
fn parameters_say_what_is_noted_of_the_part_and_only_the_task_goes_on() {
    let graph = Graph::new();
    let config =
        graph.file("mapping.yaml", &format!("{POSE}tags: [kitchen]\nmetadata: {{task: look}}\n"));
    let bridge = graph.bridge_with(&[
        "--config",
        config.to_str().unwrap(),
        "--tag",
        "arm",
        "--ros-args",
        "-p",
        "operator:=ann",
        "-p",
        "tags:=[night]",
    ]);
    let mut operator = graph.operator();
    operator.publish("pose", 0..10, 0);
    let get = |operator: &mut Operator| {
        operator.ask(&json!({"get": ["task", "success", "notes", "operator"]}))["values"].clone()
    };
    assert_eq!(get(&mut operator), json!(["look", "", "", "ann"]));
    assert_eq!(set(&mut operator, &json!({"task": "pick"}))["successful"], true);
    assert_eq!(set(&mut operator, &json!({"success": false}))["successful"], true);
    assert_eq!(set(&mut operator, &json!({"success": true, "notes": "slow"}))["successful"], true);
    assert_eq!(get(&mut operator), json!(["pick", true, "slow", "ann"]));
    for (wrong, reason) in [
        (json!({"task": "a\nb"}), "a task is a single line of text"),
        (json!({"task": true}), "it is a text, not boolean"),
        (json!({"success": "maybe"}), "it is true or false"),
        (json!({"operator": "bob"}), "fixed while the node records"),
    ] {
        let refused = set(&mut operator, &wrong);
        assert_eq!(refused["successful"], false, "{wrong}");
        assert!(refused["reason"].as_str().unwrap().contains(reason), "{refused}");
    }
    operator.call_well("split");
    assert_eq!(get(&mut operator), json!(["pick", "", "", "ann"]), "they are about one part");
    assert_eq!(set(&mut operator, &json!({"success": true}))["successful"], true);
    assert_eq!(set(&mut operator, &json!({"success": ""}))["successful"], true);
    operator.call_well("stop");
    assert_eq!(set(&mut operator, &json!({"success": false, "task": "place"}))["successful"], true);
    // The recorder has noted it once it answers.
    operator.status();
    let shown = json!(["place", false, "", "ann"]);
    assert_eq!(get(&mut operator), shown, "the task is the next part's");
    operator.call_well("start");
    let recording = bridge.interrupt();
    let [first, second, third] = [1, 2, 3].map(|number| metadata(&recording, number));
    assert_eq!((&first["task"], &first["success"]), (&json!("pick"), &json!(true)));
    assert_eq!((&second["task"], &second["success"]), (&json!("pick"), &json!(false)));
    assert_eq!((&third["task"], third.get("success")), (&json!("place"), None));
    for number in 1..=3 {
        let file = recording.experiment_file(&part(number));
        assert_eq!(file["tags"], json!(["kitchen", "night", "arm"]), "{number}");
        assert_eq!(file["metadata"]["operator"], "ann", "{number}");
        let notes = if number == 1 { json!("slow") } else { Value::Null };
        assert_eq!(file["description"], notes, "{number}");
    }
}

#[test]
fn a_button_splits_a_flood_and_every_message_is_in_exactly_one_part() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics:\n  - topic: /flood/*\n\
         split_on: {topic: /button, field: data, becomes: true}\n",
    );
    let mut operator = graph.operator();
    operator.ask(
        &json!({"offer": "b", "topic": "/button", "type": "std_msgs/msg/Bool", "qos": "reliable"}),
    );
    bridge.wait_for_log("/button (std_msgs/msg/Bool) changes parts");
    let flood = graph.flood(2, FLOOD_HZ);
    bridge.wait_for_log("the first message of /flood/pose_1 is here");
    const PRESSES: usize = 5;
    for press in 1..=PRESSES {
        operator.ask(&json!({"send": "b", "data": [true, true, false]}));
        bridge.wait_for_log(&format!("recording into {}", part(press + 1)));
        bridge.wait_for_log(&format!("{} is closed", part(press)));
    }
    let parts: Vec<String> = (1..=PRESSES + 1).map(part).collect();
    let messages = flood.finish_over(&bridge, &parts) as u64;
    let recording = bridge.interrupt();
    let account = recording.account();
    assert_eq!(account["experiment"], part(PRESSES + 1), "one split for each press");
    let mut received = account["topics"][0]["received"].as_u64().unwrap()
        + account["topics"][1]["received"].as_u64().unwrap();
    for earlier in account["earlier_parts"].as_array().unwrap() {
        assert_eq!(
            (&earlier["complete"], &earlier["dropped"]),
            (&json!(true), &json!(0)),
            "{earlier}"
        );
        received += earlier["received"].as_u64().unwrap();
    }
    assert_eq!(received, 2 * messages);
    for track in [flooded(0), flooded(1)] {
        let rows: Vec<Row> =
            parts.iter().flat_map(|part| recording.rows_in(part, &track)).collect();
        // In their order over all parts, none missing and none twice.
        assert_eq!(numbers(&rows, FLOOD_HZ), (0..messages).collect::<Vec<u64>>(), "{track}");
    }
}

#[test]
fn a_topic_says_what_to_do_whether_it_is_recorded_or_not() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "start_paused: true\ntopics:\n  - topic: /pose\n\
         split_on:\n\
         \x20 - {topic: /episode, type: std_msgs/msg/String, do: '{data}'}\n\
         \x20 - {topic: /task, task: 'pick the {data}', success: true}\n",
    );
    let mut operator = graph.operator();
    let text = "std_msgs/msg/String";
    // What a late subscriber would get was said to an earlier recording.
    operator.ask(&json!({"offer": "old", "topic": "/task", "type": text, "qos": "latched"}));
    operator.ask(&json!({"send": "old", "data": ["old"], "unheard": true, "unacknowledged": true}));
    operator.ask(&json!({"offer": "e", "topic": "/episode", "type": text, "qos": "best_effort"}));
    operator.ask(&json!({"offer": "t", "topic": "/task", "type": text, "qos": "reliable"}));
    bridge.wait_for_log("/task (std_msgs/msg/String) changes parts");
    let say = |operator: &mut Operator, who: &str, what: &str, told: &str| {
        operator.ask(&json!({"send": who, "data": [what], "unacknowledged": who == "e"}));
        bridge.wait_for_log(told);
    };
    operator.publish("pose", 0..10, 0);
    // It is paused, so a start is a resume of the part that waits.
    operator.call_well("resume");
    operator.publish("pose", 10..20, 0);
    say(&mut operator, "t", "cup", "recording into tests/ros/run_002");
    operator.publish("pose", 20..30, 0);
    say(&mut operator, "e", "discard", "tests/ros/run_002 is discarded");
    operator.publish("pose", 30..40, 0);
    say(&mut operator, "e", "stop", "tests/ros/run_003 is ended");
    operator.publish("pose", 40..50, 0);
    say(&mut operator, "e", "halt", "`halt` is not split, discard, stop or start");
    say(&mut operator, "e", "start", "recording into tests/ros/run_004");
    operator.publish("pose", 50..60, 0);
    let recording = bridge.interrupt();
    for (number, range) in [(1, 10..20), (2, 20..30), (3, 30..40), (4, 50..60)] {
        assert_eq!(recording.poses_in(&part(number)), range.collect::<Vec<u64>>(), "{number}");
    }
    let said = |number: usize| {
        let metadata = metadata(&recording, number);
        [metadata["task"].clone(), metadata["success"].clone(), metadata["discarded"].clone()]
    };
    let task = json!("pick the cup");
    assert_eq!(said(1), [Value::Null, json!(true), Value::Null]);
    assert_eq!(said(2), [task.clone(), Value::Null, json!(true)]);
    assert_eq!(said(4), [task, Value::Null, Value::Null]);
    assert_eq!(recording.account()["while_stopped"], json!({"/pose": 10}));
    assert_eq!(
        recording.account()["topics"].as_array().unwrap().len(),
        1,
        "/episode is not recorded"
    );
}

#[test]
fn a_start_of_a_recording_that_waits_paused_is_a_resume() {
    let graph = Graph::new();
    let bridge = graph.bridge(&format!("start_paused: true\n{POSE}"));
    let mut operator = graph.operator();
    operator.publish("pose", 0..10, 0);
    assert_eq!(operator.call_well("start"), "recording into tests/ros/run");
    operator.publish("pose", 10..20, 0);
    let recording = bridge.interrupt();
    assert_eq!(recording.poses_in("tests/ros/run"), (10..20).collect::<Vec<u64>>());
    assert_eq!(recording.topic("/pose")["dropped"], json!({"paused": 10}));
}

#[test]
fn a_trigger_that_does_not_fit_is_told_and_all_else_recorded() {
    let graph = Graph::new();
    let bridge =
        graph.bridge(&format!("{POSE}split_on: {{topic: /button, field: pressed, becomes: 1}}\n"));
    let mut operator = graph.operator();
    operator.ask(
        &json!({"offer": "b", "topic": "/button", "type": "std_msgs/msg/Bool", "qos": "reliable"}),
    );
    bridge.wait_for_log("split_on /button is not recorded");
    operator.publish("pose", 0..10, 0);
    let recording = bridge.interrupt();
    let account = recording.account();
    let refused = account["refused"]["split_on /button"].as_str().unwrap();
    assert!(refused.contains("has no field `pressed`"), "{refused}");
    assert_eq!(
        (&account["complete"], recording.poses_in("tests/ros/run").len()),
        (&json!(false), 10)
    );
}

#[test]
fn a_trigger_of_a_type_that_nobody_publishes_is_told_and_costs_no_recording() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics:\n  - topic: /button\nsplit_on: {topic: /button, type: std_msgs/msg/Bool}\n",
    );
    bridge.wait_for_log("/button (std_msgs/msg/Bool) changes parts");
    let mut operator = graph.operator();
    operator.ask(
        &json!({"offer": "b", "topic": "/button", "type": "std_msgs/msg/Int32", "qos": "reliable"}),
    );
    bridge.wait_for_log("split_on /button is not recorded");
    bridge.wait_for_topics(&["/button"]);
    operator.ask(&json!({"send": "b", "data": [1, 2, 3]}));
    operator.wait_until_taken(3);
    let recording = bridge.interrupt();
    let account = recording.account();
    let refused = account["refused"]["split_on /button"].as_str().unwrap();
    assert_eq!(refused, "it is published as std_msgs/msg/Int32, not as std_msgs/msg/Bool");
    assert_eq!(recording.topic("/button")["stored"], 3, "{account}");
}
