//! Clocks that are set back, stand still, start at zero or run elsewhere, under `import`; tests/ros has
//! the same on a live graph.

use std::path::Path;

use mldash_bridge::fields;
use mldash_bridge::track::{Timestamp, Value};

use super::made_bag::{MadeBag, STAMPED, TEXT, import_file, stamped, text};

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
    let again = |secs: f64| [secs, secs.next_up()];
    let expected: Vec<f64> = [10.0, 11.0]
        .into_iter()
        .chain([12.0, 13.0, 14.0].into_iter().flat_map(again))
        .chain([15.0, 16.0, 50.0, 51.0, 52.0, 53.0, 54.0])
        .collect();
    assert_eq!(imported.times("x"), expected);
    let topic = imported.topic("/x");
    assert_eq!(topic["notes"]["clock_jumped_back"], 2);
    let jumps = serde_json::json!([{"from": 54.0, "to": 10.0}, {"from": 14.0, "to": 12.0}]);
    assert_eq!(topic["clock_jumps"], jumps);
    assert_eq!(topic["notes"]["stamp_moved"], 3, "12, 13 and 14 s were there before");
    assert_eq!((&topic["stored"], &topic["merged"]), (&15.into(), &0.into()));
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
fn a_stamp_that_stands_still_costs_no_row_and_is_noted_and_said_once() {
    let mut bag = MadeBag::new();
    for i in 0..100 {
        let now = log(TODAY + i * SEC);
        bag.add("/x", STAMPED, now, &stamped(7 * SEC, i as f64));
        bag.add("/y", STAMPED, now, &stamped(8 * SEC, i as f64));
        bag.add("/same", STAMPED, now, &stamped(9 * SEC, 0.5));
    }
    let imported = bag.import("topics: [{topic: /x}, {topic: /y}, {topic: /same}]");
    let rows = imported.rows("x");
    assert_eq!(rows.len(), 100);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row.ts.as_secs().to_bits(), 7_f64.to_bits() + i as u64);
        assert_eq!(row.fields.get("x"), Some(&Value::F64(i as f64)), "in the order they came");
    }
    let expected = serde_json::json!({ "stamp_moved": 99, "stamp_stands_still": 100 });
    assert_eq!(imported.topic("/x")["notes"], expected);
    assert_eq!(imported.topic("/y")["notes"], expected);
    let same = imported.topic("/same");
    assert_eq!((&same["stored"], &same["merged"]), (&1.into(), &99.into()));
    assert_eq!(same["notes"], serde_json::json!({ "stamp_stands_still": 100 }));
    let stderr = &imported.done.stderr;
    assert_eq!(stderr.matches("the stamp stands still").count(), 3, "{stderr}");
    let warned = stderr.lines().filter(|line| line.contains("WARN"));
    assert_eq!(warned.filter(|line| line.contains("stands still")).count(), 1, "{stderr}");
}

#[test]
fn stamps_of_another_clock_are_said_once_with_how_far_they_are() {
    let mut bag = MadeBag::new();
    for i in 0..20 {
        let now = TODAY + i * SEC;
        bag.add("/lidar", STAMPED, log(now), &stamped(now - 3600 * SEC, 0.0));
        bag.add("/lidar_2", STAMPED, log(now), &stamped(now - 3601 * SEC, 0.0));
        bag.add("/imu", STAMPED, log(now), &stamped(now - SEC / 10, 0.0));
        if i % 5 == 0 {
            bag.add("/latched", STAMPED, log(now), &stamped(TODAY - 3600 * SEC, 0.0));
        }
    }
    let imported = bag.import("topics: [{topic: /lidar*}, {topic: /imu}, {topic: /latched}]");
    let lidar = imported.topic("/lidar");
    assert_eq!(lidar["notes"]["far_from_clock"], 20);
    assert_eq!(lidar["stamps_ahead_secs"], -3600.0);
    let said = imported.done.stderr.matches("/lidar: stamps are 60.0 min older").count();
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
fn a_log_time_of_zero_is_a_time_and_what_can_not_be_one_is_dropped_and_counted() {
    let mut bag = MadeBag::new();
    let logged = [0, 5, 1_700_000_000_000_000_000, u64::MAX >> 1, (u64::MAX >> 1) + 1, u64::MAX];
    for (i, log_nanos) in logged.into_iter().enumerate() {
        bag.add("/text", TEXT, log_nanos, &text(&format!("{i}")));
        bag.add("/x", STAMPED, log_nanos, &stamped((i as i64 + 1) * SEC, 0.0));
    }
    let mapping = "topics: [{topic: /text, stamp: receive}, {topic: /x, receive_ts: true}]";
    let imported = bag.import(mapping);
    assert!(!imported.is_complete());
    assert_eq!(imported.times("text"), [0.0, 5e-9, 1.7e9, 9223372036.854776]);
    let topic = imported.topic("/text");
    assert_eq!(topic["dropped"], serde_json::json!({ "no_time": 2 }));
    assert!(topic["errors"][0].as_str().unwrap().contains("log time"), "{topic:#}");
    // Those that have a stamp need no other time.
    let rows = imported.rows("x");
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0].fields.get("receive_ts"), Some(&Value::F64(0.0)));
    assert_eq!(rows[5].fields.get("receive_ts"), None);
}

#[test]
fn the_bag_of_odd_log_times_is_what_it_says() {
    let bag = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/odd_log_times.mcap"));
    let imported = import_file(bag, "topics: [{topic: /**}]");
    let said = imported.rows("n").into_iter().map(|row| (row.ts.as_secs(), row.fields));
    let expected =
        [(0.0, 0), (5e-9, 1), (1.7e9, 2), (1.7e9_f64.next_up(), 6), (9223372036.854776, 3)];
    assert_eq!(said.collect::<Vec<_>>(), expected.map(|(ts, data)| (ts, fields! { "data": data })));
    assert_eq!(imported.topic("/n")["dropped"]["no_time"], 2);
}
