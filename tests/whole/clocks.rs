//! Clocks that are set back, stand still, start at zero or run elsewhere, under `import`; tests/ros has
//! the same on a live graph.

use mldash_bridge::track::{Timestamp, Value};

use super::made_bag::{MadeBag, STAMPED, TEXT, stamped, text};

const SEC: i64 = 1_000_000_000;
const TODAY: i64 = 1_700_000_000 * SEC;

fn log(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap()
}

#[test]
fn a_clock_that_jumps_back_is_counted_once_a_jump_and_its_rows_are_sorted_in() {
    let mut bag = MadeBag::new();
    // A simulator that is started three times; the bag's own clock goes on.
    for (run, starts_at) in [50, 10, 12].into_iter().enumerate() {
        for i in 0..5 {
            let log_nanos = TODAY + (run as i64 * 100 + i) * SEC;
            bag.add("/x", STAMPED, log(log_nanos), &stamped((starts_at + i) * SEC, run as f64));
        }
    }
    let imported = bag.import("topics: [{topic: /x}]");
    let expected: Vec<f64> = (10..17).chain(50..55).map(f64::from).collect();
    assert_eq!(imported.times("x"), expected);
    let topic = imported.topic("/x");
    assert_eq!(topic["notes"]["clock_jumped_back"], 2);
    assert_eq!(topic["merged"], 3, "12, 13 and 14 s were there before");
    let said = imported.done.stderr.matches("jumped back to 10 s").count();
    assert_eq!(said, 1, "{}", imported.done.stderr);
    assert_eq!(imported.done.stderr.matches("jumped back").count(), 1);
}

#[test]
fn a_new_stretch_of_time_begins_with_a_row_under_max_rate_and_on_change() {
    let mut bag = MadeBag::new();
    for (i, stamp) in [100, 101, 102, 5, 6, 7].into_iter().enumerate() {
        let log_nanos = log(TODAY + i as i64 * SEC);
        bag.add("/slow", STAMPED, log_nanos, &stamped(stamp * SEC, 1.0));
        bag.add("/same", STAMPED, log_nanos, &stamped(stamp * SEC, 1.0));
    }
    let imported =
        bag.import("topics: [{topic: /slow, max_rate: 0.1}, {topic: /same, on_change: true}]");
    assert_eq!(imported.times("slow"), [5.0, 100.0]);
    assert_eq!(imported.times("same"), [5.0, 100.0]);
    assert_eq!(imported.topic("/slow")["throttled"], 4);
    assert_eq!(imported.topic("/same")["unchanged"], 4);
}

#[test]
fn a_clock_that_stands_still_merges_rows_and_is_no_jump() {
    let mut bag = MadeBag::new();
    for i in 0..10 {
        bag.add("/x", STAMPED, log(TODAY + i * SEC), &stamped(7 * SEC, i as f64));
    }
    let imported = bag.import("topics: [{topic: /x}]");
    let rows = imported.rows("x");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].fields.get("x"), Some(&Value::F64(9.0)), "the later one wins");
    let topic = imported.topic("/x");
    assert_eq!((&topic["merged"], &topic["notes"]), (&9.into(), &serde_json::json!({})));
}

#[test]
fn stamps_of_another_clock_are_said_once_with_how_far_they_are() {
    let mut bag = MadeBag::new();
    for i in 0..20 {
        let now = TODAY + i * SEC;
        bag.add("/lidar", STAMPED, log(now), &stamped(now - 3600 * SEC, 0.0));
        bag.add("/lidar_2", STAMPED, log(now), &stamped(now - 3601 * SEC, 0.0));
        bag.add("/imu", STAMPED, log(now), &stamped(now - SEC / 10, 0.0));
        bag.add("/latched", STAMPED, log(now), &stamped(TODAY - 3600 * SEC, i as f64));
    }
    let imported = bag.import("topics: [{topic: /lidar*}, {topic: /imu}, {topic: /latched}]");
    let lidar = imported.topic("/lidar");
    assert_eq!(lidar["notes"]["far_from_clock"], 20);
    assert_eq!(lidar["stamps_ahead_secs"], -3600.0);
    let said = imported.done.stderr.matches("/lidar: stamps lie 3600.000 s behind").count();
    assert_eq!(said, 1, "{}", imported.done.stderr);
    assert_eq!(imported.topic("/lidar_2")["stamps_ahead_secs"], -3601.0);
    assert_eq!(imported.done.stderr.matches("WARN").count(), 1, "one clock, one warning");
    for near in ["/imu", "/latched"] {
        assert_eq!(imported.topic(near)["notes"], serde_json::json!({}), "{near}");
    }
}

#[test]
fn an_offset_brings_a_devices_rows_onto_the_clock() {
    let mut bag = MadeBag::new();
    for i in 0..20 {
        let now = TODAY + i * SEC;
        bag.add("/lidar", STAMPED, log(now), &stamped(now - 3600 * SEC, 0.0));
        bag.add("/key", TEXT, log(now), &text("w"));
    }
    let imported = bag.import(
        "topics:
  - {topic: /lidar, stamp_offset: 3600}
  - {topic: /key, stamp: receive, stamp_offset: -0.25}",
    );
    assert_eq!(imported.times("lidar")[0], 1.7e9);
    assert_eq!(imported.times("key")[0], 1.7e9 - 0.25);
    assert_eq!(imported.topic("/lidar")["notes"], serde_json::json!({}));
}

#[test]
fn times_are_kept_exactly_in_columns_of_their_own() {
    let mut bag = MadeBag::new();
    let (sent, came) = (TODAY + 123_456_789, TODAY + 223_456_789);
    bag.add("/x", STAMPED, log(came), &stamped(sent, 1.5));
    bag.add("/text", TEXT, log(came), &text("hi"));
    bag.add("/text", TEXT, log(came + SEC), &text("hi"));
    let imported = bag.import(
        "topics:
  - {topic: /x, receive_ts: true, stamp_ns: true, stamp_offset: -0.035}
  - {topic: /text, stamp: receive, on_change: true, receive_ts: true, stamp_ns: true}",
    );
    let row = &imported.rows("x")[0];
    assert_eq!(row.ts, Timestamp::from_nanos(sent - 35_000_000));
    assert_eq!(row.fields.get("stamp_ns"), Some(&Value::Int(sent)));
    let received = Timestamp::from_nanos(came).as_secs();
    assert_eq!(row.fields.get("receive_ts"), Some(&Value::F64(received)));
    let texts = imported.rows("text");
    assert_eq!(texts.len(), 1, "a time is no change");
    assert_eq!(texts[0].fields.get("stamp_ns"), Some(&Value::Int(came)));
}

#[test]
fn what_comes_before_simulated_time_starts_waits_for_its_first_tick() {
    let mut bag = MadeBag::new();
    bag.add("/robot_description", TEXT, 0, &text("<robot/>"));
    bag.add("/x", STAMPED, 0, &stamped(0, 0.5));
    bag.add("/x", STAMPED, log(SEC / 100), &stamped(SEC / 100, 1.0));
    bag.add("/x", STAMPED, log(SEC / 50), &stamped(SEC / 50, 2.0));
    let imported = bag.import("topics: [{topic: /robot_description, stamp: receive}, {topic: /x}]");
    assert_eq!(imported.times("robot_description"), [0.01]);
    assert_eq!(imported.times("x"), [0.01, 0.02]);
    let notes = imported.topic("/robot_description")["notes"].clone();
    assert_eq!(notes, serde_json::json!({ "waited_for_clock": 1 }));
}

#[test]
fn what_waits_for_a_clock_that_never_starts_is_counted_as_dropped() {
    let mut bag = MadeBag::new();
    bag.add("/robot_description", TEXT, 0, &text("<robot/>"));
    let imported = bag.import("topics: [{topic: /robot_description, stamp: receive}]");
    assert_eq!(imported.topic("/robot_description")["dropped"]["no_clock"], 1);
}
