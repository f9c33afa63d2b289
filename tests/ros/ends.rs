//! How a recording ends, and what it costs when it does not end well.

use std::time::Duration;

use mldash_bridge::track::{Array, Row, Timestamp, Value};
use rustix::process::Signal;
use serde_json::json;

use crate::kills::Kills;

use super::support::{Graph, flooded};

/// Of each topic of a flood.
const FLOOD_HZ: u32 = 1_000;

#[test]
fn nothing_of_three_topics_at_a_kilohertz_is_lost() {
    let graph = Graph::new();
    let bridge = graph.bridge("topics:\n  - topic: /flood/*\n");
    let flood = graph.flood(3, FLOOD_HZ);
    bridge.wait_for_rows(&flooded(2), 2_000);
    let messages = flood.finish(&bridge);
    let recording = bridge.interrupt();
    for track in [flooded(0), flooded(1), flooded(2)] {
        let rows = recording.rows(&track);
        assert_eq!(rows.len(), messages);
        assert_flood(&rows, &track);
        let topic = recording.topic(&format!("/{track}"));
        assert_eq!((&topic["stored"], &topic["lost"]), (&json!(messages), &json!(0)));
    }
}

#[test]
fn interrupted_mid_stream_it_keeps_all_that_it_received() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        if signal == Signal::HUP && is_hangup_ignored() {
            eprintln!("skipped: SIGHUP, which the bridge ignores under nohup as this test does");
            continue;
        }
        let graph = Graph::new();
        let bridge = graph.bridge("topics:\n  - topic: /flood/*\n");
        let flood = graph.flood(3, FLOOD_HZ);
        bridge.wait_for_log("the first message of /flood/pose_2 is here");
        bridge.signal(signal);
        // In a hurry, twice: it still writes what it has.
        bridge.signal(signal);
        let recording = bridge.end();
        drop(flood);
        assert_eq!(recording.ended.status.code(), Some(0), "{}", recording.ended.stderr);
        recording.assert_adds_up();
        for k in 0..3 {
            let topic = recording.topic(&format!("/flood/pose_{k}"));
            let rows = recording.rows(&format!("flood/pose_{k}")).len();
            assert!(rows > 0);
            assert_eq!(topic["stored"], rows);
            assert_eq!(topic["received"], rows, "{topic:#}");
        }
    }
}

/// Whether this process, and so its children, ignores SIGHUP, the first of the signals.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

#[test]
fn killed_it_keeps_all_that_was_flushed_and_the_next_run_continues() {
    let graph = Graph::new();
    let bridge = graph.bridge("flush: {batch: 1}\ntopics:\n  - topic: /pose\n");
    let expected = graph.robot("poses").finish();
    bridge.wait_for_log("the first message of /pose is here");
    // All rows are in the store as soon as a reader sees them.
    bridge.wait_for_rows("pose", 20);
    bridge.signal(Signal::KILL);
    let killed = bridge.end();
    killed.assert_rows(&expected);

    let bridge = graph.bridge("topics:\n  - topic: /pose\n");
    graph.robot("poses").finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    assert_eq!(recording.topic("/pose")["merged"], 20, "the same rows again are the same rows");
}

#[test]
fn killed_at_any_moment_it_keeps_what_a_reader_saw_and_the_next_run_goes_on() {
    let mut kills = Kills::of("run", 3);
    let graph = Graph::new();
    let mapping = "flush: {interval: 0.02}\ntopics:\n  - topic: /flood/*\n";
    let tracks = ["flood/pose_0", "flood/pose_1", "flood/pose_2"];
    for round in 0..kills.count {
        let bridge = graph.bridge(mapping);
        let flood = graph.flood(3, FLOOD_HZ);
        // Some are killed before there is anything to record.
        if kills.random.u8(..4) > 0 {
            bridge.wait_for_log("the first message of /flood/pose_2 is here");
        }
        std::thread::sleep(kills.moment(Duration::from_secs(1)));
        let seen = tracks.map(|track| bridge.rows_in_store(track));
        bridge.signal(Signal::KILL);
        let killed = bridge.end();
        drop(flood);
        for (track, seen) in tracks.iter().zip(seen) {
            if seen == 0 {
                continue;
            }
            let rows = killed.rows(track);
            assert!(rows.len() >= seen, "round {round}: {} of {seen} rows", rows.len());
            assert_flood(&rows, track);
        }
    }
    let bridge = graph.bridge(mapping);
    let mut operator = graph.operator();
    let mut flood = graph.flood(3, FLOOD_HZ);
    bridge.wait_for_log("the first message of /flood/pose_2 is here");
    let messages = flood.stop();
    operator.wait_until_taken(3 * messages as u64);
    flood.leave();
    let recording = bridge.interrupt();
    for track in tracks {
        assert_flood(&recording.rows(track), track);
        assert_eq!(recording.topic(&format!("/{track}"))["received"], messages);
    }
}

/// Each message of the flood once, from the first on, as it was published.
fn assert_flood(rows: &[Row], track: &str) {
    for (i, row) in rows.iter().enumerate() {
        let nanos = 1_700_000_000_000_000_000 + i as i64 * 1_000_000;
        assert_eq!(row.ts, Timestamp::from_nanos(nanos), "{track}: row {i}");
        let Some(Value::Array(Array::F64(position))) = row.fields.get("pose.position") else {
            panic!("{track}: {row:?}");
        };
        assert_eq!((position[0], position[2]), (i as f64, i as f64 / 8.0), "{track}");
    }
}

#[test]
fn a_duration_ends_it() {
    let graph = Graph::new();
    let config = graph.file("m.yaml", "topics:\n  - topic: /pose\n");
    let bridge = graph.bridge_with(&["--config", config.to_str().unwrap(), "--duration", "0.5"]);
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0));
    recording.assert_adds_up();
}
