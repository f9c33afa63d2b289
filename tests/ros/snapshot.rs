//! Snapshots on a live graph: what is held, what `~/save` and `save_on` write, and what is let go.

use serde_json::{Value, json};

use super::support::{Bridge, Graph, Operator};

const MAPPING: &str = "
topics:
  - topic: /pose
  - {topic: /tf_static, each: transforms, track: 'tf_static/{child_frame_id}'}
snapshot: {keep: 60s, memory: 64MiB}
";

fn part(number: usize) -> String {
    match number {
        1 => "tests/ros/run".to_owned(),
        number => format!("tests/ros/run_{number:03}"),
    }
}

/// Waits until so many messages are held.
fn wait_until_held(operator: &mut Operator, messages: u64) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(50);
    loop {
        let status = operator.status();
        let held = status["snapshot"]["held_messages"].as_u64().unwrap();
        if held == messages {
            return status;
        }
        assert!(std::time::Instant::now() < deadline, "{held} of {messages} are held");
    }
}

/// Saves, and waits until it is written.
fn save(bridge: &Bridge, operator: &mut Operator, number: usize) -> String {
    let said = operator.call_well("save");
    assert!(said.ends_with(&format!("into {}", part(number))), "{said}");
    bridge.wait_for_log(&format!("{} is saved: ", part(number)));
    said
}

#[test]
fn each_save_is_a_whole_experiment_with_the_latched_topics_and_it_holds_on() {
    let graph = Graph::new();
    let robot = graph.robot("latched");
    robot.wait_until_published();
    let bridge = graph.bridge(MAPPING);
    let mut operator = graph.operator();
    bridge.wait_for_log("the first message of /tf_static is here");
    operator.publish("pose", 0..50, 0);
    let status = wait_until_held(&mut operator, 51);
    assert_eq!((&status["stopped"], &status["snapshot"]["saves"]), (&json!(false), &json!(0)));
    assert_eq!(status["snapshot"]["memory_bytes"], 64 << 20);
    assert!(status["snapshot"]["held_bytes"].as_u64().unwrap() > 51 * 80, "{status}");
    let diagnostic = operator.wait_for_diagnostic("mldash_bridge: recording", "ok");
    assert!(diagnostic["message"].as_str().unwrap().starts_with("holding "), "{diagnostic}");
    assert!(diagnostic["values"].get("held (bytes)").is_some(), "{diagnostic}");
    let said = save(&bridge, &mut operator, 1);
    assert!(said.starts_with("saving 51 messages of the last "), "{said}");
    // Another process can read it by now, while this one holds on.
    assert_eq!(bridge.rows_in_store("pose"), 50);
    operator.publish("pose", 50..80, 0);
    wait_until_held(&mut operator, 30);
    save(&bridge, &mut operator, 2);
    for refused in ["split", "discard", "stop", "start", "flush"] {
        let answer = operator.call(refused);
        assert_eq!(answer["success"], false, "{refused}");
        assert!(answer["message"].as_str().unwrap().contains("~/save"), "{answer}");
    }
    operator.publish("pose", 80..100, 0);
    wait_until_held(&mut operator, 20);
    robot.finish();
    let recording = bridge.interrupt();
    assert!(
        recording.ended.stderr.contains("20 messages of the last "),
        "{}",
        recording.ended.stderr
    );
    assert!(recording.ended.stderr.contains("were held and are not saved"));
    for (number, range) in [(1, 0..50), (2, 50..80)] {
        let part = part(number);
        assert_eq!(recording.poses_in(&part), range.collect::<Vec<u64>>(), "{part}");
        assert_eq!(recording.rows_in(&part, "tf_static/laser").len(), 1, "{part}");
        let file = recording.experiment_file(&part);
        assert_eq!(file["status"], "COMPLETED", "{part}");
    }
    assert!(!graph.path("root").join(part(3)).exists());
    let account = recording.account();
    assert_eq!((&account["experiment"], &account["complete"]), (&json!(part(2)), &json!(true)));
    assert_eq!(account["not_saved"], json!({"/pose": 20}));
    assert_eq!(account["earlier_parts"][0]["received"], 51);
}

#[test]
fn what_is_never_saved_is_counted_by_what_became_of_it() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics: [{topic: /pose}]\nsnapshot: {keep: 0.5s}\n");
    let mut operator = graph.operator();
    operator.publish("pose", 0..50, 0);
    wait_until_held(&mut operator, 0);
    operator.publish("pose", 50..70, 0);
    let recording = bridge.interrupt();
    let pose = recording.topic("/pose");
    let dropped = |reason: &str| pose["dropped"][reason].as_u64().unwrap_or_default();
    assert_eq!((&pose["received"], &pose["stored"]), (&json!(70), &json!(0)), "{pose}");
    assert!(dropped("out_of_window") >= 50, "{pose}");
    assert_eq!(dropped("out_of_window") + dropped("not_saved"), 70, "{pose}");
    assert_eq!(recording.account()["complete"], true);
}

#[test]
fn a_topic_saves_a_flood_with_the_message_that_asks_and_no_message_is_lost_or_twice() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics: [{topic: /flood/*}, {topic: /estop}]\n\
         snapshot: {keep: 60s}\n\
         save_on: {topic: /estop, field: data, becomes: true, success: false}\n",
    );
    let mut operator = graph.operator();
    let bool_type = "std_msgs/msg/Bool";
    operator.ask(&json!({"offer": "b", "topic": "/estop", "type": bool_type, "qos": "reliable"}));
    bridge.wait_for_log("/estop (std_msgs/msg/Bool) saves, as `save_on` says");
    bridge.wait_for_topics(&["/estop"]);
    let flood =
        graph.start_example("flood", &["--topics", "2", "--rate", "1000", "--duration", "12"]);
    bridge.wait_for_log("the first message of /flood/pose_1 is here");
    // With the call at the end, as many as may be written at the same time.
    const PRESSES: usize = 3;
    for press in 1..=PRESSES {
        operator.ask(&json!({"send": "b", "data": [true, true, false]}));
        // The next one comes while this one may still be written.
        bridge.wait_for_log(&format!("into {}", part(press)));
    }
    let ended = flood.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    let said = operator.call_well("save");
    assert!(said.ends_with(&part(PRESSES + 1)), "{said}");
    let recording = bridge.interrupt();
    let account = recording.account();
    assert_eq!(account["experiment"], part(PRESSES + 1), "one save for each press, and the call");
    for track in ["flood/pose_0", "flood/pose_1"] {
        let mut all = Vec::new();
        for number in 1..=PRESSES + 1 {
            let rows = recording.rows_in(&part(number), track);
            all.extend(
                rows.iter()
                    .map(|row| ((row.ts.as_secs() - 1_700_000_000.0) * 1000.0).round() as u64),
            );
        }
        all.sort_unstable();
        assert_eq!(all, (0..12_000).collect::<Vec<u64>>(), "{track}");
    }
    for number in 1..=PRESSES {
        let part = part(number);
        let pressed = recording.rows_in(&part, "estop");
        let is_pressed = pressed.iter().any(|row| row.fields.get("data") == Some(&true.into()));
        assert!(is_pressed, "{part} lacks the message that asked for it");
        let file = recording.experiment_file(&part);
        assert_eq!(
            (&file["metadata"]["success"], &file["status"]),
            (&json!(false), &json!("COMPLETED"))
        );
    }
    for earlier in account["earlier_parts"].as_array().unwrap() {
        assert_eq!(
            (&earlier["complete"], &earlier["dropped"]),
            (&json!(true), &json!(0)),
            "{earlier}"
        );
    }
}

#[test]
fn a_pause_leaves_messages_out_of_the_window() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics: [{topic: /pose}]\nsnapshot: {keep: 60s}\n");
    let mut operator = graph.operator();
    operator.publish("pose", 0..10, 0);
    operator.call_well("pause");
    operator.publish("pose", 10..20, 0);
    let resumed = operator.call_well("resume");
    assert!(resumed.contains("held until ~/save"), "{resumed}");
    operator.publish("pose", 20..30, 0);
    wait_until_held(&mut operator, 20);
    save(&bridge, &mut operator, 1);
    let recording = bridge.interrupt();
    assert_eq!(recording.poses_in(&part(1)), (0..10).chain(20..30).collect::<Vec<u64>>());
    assert_eq!(recording.topic("/pose")["dropped"], json!({"paused": 10}));
}

#[test]
fn without_a_snapshot_there_is_nothing_to_save() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics: [{topic: /pose}]\n");
    let mut operator = graph.operator();
    let answer = operator.call("save");
    assert_eq!(answer["success"], false);
    assert!(answer["message"].as_str().unwrap().contains("snapshot: {keep: 30s}"), "{answer}");
    operator.publish("pose", 0..10, 0);
    assert_eq!(bridge.interrupt().poses_in(&part(1)).len(), 10);
}
