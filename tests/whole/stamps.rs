//! Messages whose stamps are those of others: none is lost, none is written over, and once more is the
//! same rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::{MessageType, TypeName};
use mldash_bridge::record::{Account, DropReason, Note, Received, Recorder, TopicPlan};
use mldash_bridge::track::{Experiment, Options, Query, Row, Value};
use proptest::prelude::*;

use super::decode::encoder::encode;
use super::made_bag::{
    Imported, MadeBag, STAMPED, TEXT, Type, header, import_file, stamped, text, with_header,
};

const SEC: i64 = 1_000_000_000;
const TODAY: i64 = 1_700_000_000 * SEC;
const RUN: &str = "tests/stamps/run";

const TF: Type = (
    "tf2_msgs/msg/TFMessage",
    concat!(
        "geometry_msgs/TransformStamped[] transforms\n===\nMSG: geometry_msgs/TransformStamped\n",
        with_header!("std_msgs/Header header\nstring child_frame_id\nfloat64 x"),
    ),
);

/// The same fields under other names.
const OTHER: Type = ("made_msgs/msg/Other", with_header!("std_msgs/Header header\nfloat64 y"));

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn log(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap()
}

fn transforms(of: &[(&str, i64, f64)]) -> Vec<u8> {
    encode(|e| {
        let e = e.length(of.len());
        for (child, nanos, x) in of {
            header(e, *nanos).text(child).f64s(&[*x]);
        }
        e
    })
}

/// A column as numbers.
fn numbers(rows: &[Row], column: &str) -> Vec<f64> {
    let number = |row: &Row| match row.fields.get(column) {
        Some(Value::F64(number)) => *number,
        other => panic!("{other:?} in {row:?}"),
    };
    rows.iter().map(number).collect()
}

fn count(topic: &serde_json::Value, key: &str) -> u64 {
    topic[key].as_u64().unwrap()
}

/// That once more is the same: rows, and a repeat for every row.
fn assert_same_once_more(imported: Imported, mapping: &str, topic: &str) -> Imported {
    let rows = |imported: &Imported| -> BTreeMap<String, Vec<Row>> {
        let tracks = imported.tracks();
        tracks.into_iter().map(|track| (track.clone(), imported.rows(&track))).collect()
    };
    let (before, first) = (rows(&imported), imported.topic(topic));
    let again = imported.again(mapping);
    assert_eq!(rows(&again), before);
    let account = again.topic(topic);
    assert_eq!(count(&account, "stored"), 0, "{account:#}");
    let known = count(&first, "stored") + count(&first, "merged");
    assert_eq!(count(&account, "merged"), known, "{account:#}");
    again
}

#[test]
fn two_nodes_on_one_topic_with_the_same_stamps_lose_nothing() {
    let mapping = "topics: [{topic: /**}]";
    let imported = import_file(&data("two_publishers_one_stamp.mcap"), mapping);
    let rows = imported.rows("joint_states");
    assert_eq!(rows.len(), 10);
    for pair in rows.chunks(2) {
        assert_eq!(pair[1].ts.as_secs(), pair[0].ts.as_secs().next_up());
        let joints = |row: &Row| format!("{:?}", row.fields.get("name"));
        assert!(joints(&pair[0]).contains("fl") && joints(&pair[1]).contains("arm1"));
    }
    let topic = imported.topic("/joint_states");
    assert_eq!((count(&topic, "stored"), count(&topic, "merged")), (10, 0));
    assert_eq!(topic["notes"]["stamp_moved"], 5);
    assert_same_once_more(imported, mapping, "/joint_states");
}

#[test]
fn the_stamp_as_it_came_is_in_stamp_ns_where_a_row_had_to_move() {
    let mapping = "topics: [{topic: /**, stamp_ns: true}]";
    let imported = import_file(&data("two_publishers_one_stamp.mcap"), mapping);
    let rows = imported.rows("joint_states");
    for (i, pair) in (0..).zip(rows.chunks(2)) {
        let nanos = Value::Int(TODAY + i * 20_000_000);
        assert!(pair.iter().all(|row| row.fields.get("stamp_ns") == Some(&nanos)), "{pair:?}");
    }
}

#[test]
fn two_frames_never_share_a_row() {
    let mapping =
        "topics: [{topic: /**/tf, each: transforms, track: \"{topic}/{child_frame_id}\"}]";
    let imported = import_file(&data("tf_slash.mcap"), mapping);
    assert!(!imported.is_complete());
    assert_eq!(imported.tracks(), ["tf/base_link"]);
    assert_eq!(imported.rows("tf/base_link").len(), 1);
    let topic = imported.topic("/tf");
    assert_eq!(topic["dropped"], serde_json::json!({ "track_collision": 1 }));
    let why = topic["errors"][0].as_str().unwrap();
    assert!(why.contains("`/base_link` and `base_link`"), "{why}");
    assert!(why.contains("`tf/base_link`") || why.contains("track"), "{why}");
}

#[test]
fn names_that_only_come_to_the_same_track_are_told_apart_and_named() {
    let tf = |child: &str| transforms(&[(child, TODAY, 1.0)]);
    let mut bag = MadeBag::new();
    bag.add("/tf", TF, 1, &tf("b/c"));
    bag.add("/tf/b", TF, 2, &tf("c"));
    bag.add("/tf_static", TF, 3, &tf("b/c"));
    let each = "each: transforms, track: \"{topic}/{child_frame_id}\"";
    let mapping = format!(
        "topics: [{{topic: /tf, {each}}}, {{topic: /tf/b, {each}}}, {{topic: /tf_static, {each}}}]"
    );
    let imported = bag.import(&mapping);
    assert_eq!(imported.tracks(), ["tf/b/c", "tf_static/b/c"]);
    assert_eq!(imported.topic("/tf/b")["dropped"]["track_collision"], 1);
    let last = imported.done.stderr.lines().last().unwrap_or_default().to_owned();
    assert!(last.contains("INCOMPLETE: dropped: 1 track_collision"), "{}", imported.done.stderr);
}

#[test]
fn stamps_that_a_float_does_not_tell_apart_are_rows_of_their_own() {
    let mut bag = MadeBag::new();
    for i in 0..100 {
        // 100 ns apart, and the payload says nothing of which is which.
        bag.add("/x", STAMPED, log(TODAY + i), &stamped(TODAY + i * 100, 0.5));
    }
    let mapping = "topics: [{topic: /x, stamp_ns: true}]";
    let imported = bag.import(mapping);
    let rows = imported.rows("x");
    assert_eq!(rows.len(), 100);
    let stamps: Vec<i64> = rows
        .iter()
        .map(|row| match row.fields.get("stamp_ns") {
            Some(Value::Int(nanos)) => *nanos,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(stamps.is_sorted(), "rows keep the order of the stamps");
    assert_eq!(stamps.len(), stamps.iter().collect::<BTreeSet<_>>().len());
    assert_same_once_more(imported, mapping, "/x");
}

#[test]
fn without_a_column_for_the_stamp_they_are_told_apart_too() {
    let mut bag = MadeBag::new();
    for i in 0..100 {
        bag.add("/x", STAMPED, log(TODAY + i), &stamped(TODAY + i * 100, 0.5));
    }
    let imported = bag.import("topics: [{topic: /x}]");
    assert_eq!(imported.rows("x").len(), 100);
    assert_same_once_more(imported, "topics: [{topic: /x}]", "/x");
}

#[test]
fn texts_under_a_coarse_clock_are_all_there_but_for_those_that_are_the_same() {
    let mut bag = MadeBag::new();
    for i in 0..1000 {
        // Ten to a tick of 10 ms; the last two of a tick say the same.
        let (tick, n) = (i / 10, (i % 10).min(8));
        bag.add("/log", TEXT, log(TODAY + tick * SEC / 100), &text(&format!("{tick} {n}")));
    }
    let mapping = "topics: [{topic: /log, stamp: receive}]";
    let imported = bag.import(mapping);
    let said: Vec<String> =
        imported.rows("log").iter().map(|row| format!("{:?}", row.fields.get("data"))).collect();
    let expected = (0..900).map(|i| format!("Some(Text(\"{} {}\"))", i / 9, i % 9));
    assert_eq!(said, expected.collect::<Vec<_>>(), "in the order they came");
    let topic = imported.topic("/log");
    assert_eq!((count(&topic, "stored"), count(&topic, "merged")), (900, 100));
    assert_same_once_more(imported, mapping, "/log");
}

#[test]
fn transforms_of_one_child_from_two_nodes_are_all_there_and_repeated_ones_once() {
    let mut bag = MadeBag::new();
    for i in 0..20 {
        let stamp = TODAY + i * SEC / 10;
        bag.add("/tf", TF, log(stamp), &transforms(&[("base", stamp, 1.0), ("arm", stamp, 2.0)]));
        // Another node's, with one transform that is the first one's.
        bag.add(
            "/tf",
            TF,
            log(stamp + 5),
            &transforms(&[("arm", stamp, 2.0), ("base", stamp, 3.0)]),
        );
    }
    let mapping = "topics: [{topic: /tf, each: transforms, track: \"tf/{child_frame_id}\"}]";
    let imported = bag.import(mapping);
    let base = imported.rows("tf/base");
    assert_eq!(numbers(&base, "x"), [1.0, 3.0].repeat(20));
    assert_eq!(imported.rows("tf/arm").len(), 20);
    let topic = imported.topic("/tf");
    assert_eq!((count(&topic, "stored"), count(&topic, "merged")), (60, 20));
    assert_same_once_more(imported, mapping, "/tf");
}

#[test]
fn a_moved_row_makes_way_for_nobody_and_a_message_at_its_time_moves_on() {
    let tick = f64::from_bits(1.7e9_f64.to_bits() + 1) - 1.7e9;
    let next = TODAY + (tick * 1e9).round() as i64;
    let mut bag = MadeBag::new();
    for (i, (stamp, x)) in [(TODAY, 1.0), (TODAY, 2.0), (next, 3.0)].into_iter().enumerate() {
        bag.add("/x", STAMPED, i as u64 + 1, &stamped(stamp, x));
    }
    let imported = bag.import("topics: [{topic: /x}]");
    assert_eq!(numbers(&imported.rows("x"), "x"), [1.0, 2.0, 3.0]);
    assert_same_once_more(imported, "topics: [{topic: /x}]", "/x");
}

/// Two topics of one track at each stamp, and a second message of the first.
fn shared_track(second: Type) -> MadeBag {
    let mut bag = MadeBag::new();
    for i in 0..10 {
        let stamp = TODAY + i * SEC;
        bag.add("/a", STAMPED, log(stamp + 1), &stamped(stamp, i as f64));
        bag.add("/b", second, log(stamp + 2), &stamped(stamp, 100.0 + i as f64));
        bag.add("/a", STAMPED, log(stamp + 3), &stamped(stamp, 50.0 + i as f64));
    }
    bag
}

#[test]
fn several_topics_of_one_track_merge_by_time_and_one_topics_messages_do_not() {
    let mapping = "topics: [{topic: /*, track: both}]";
    let imported = shared_track(OTHER).import(mapping);
    let rows = imported.rows("both");
    assert_eq!(rows.len(), 20);
    let merged: Vec<Row> = rows.iter().step_by(2).cloned().collect();
    assert_eq!(numbers(&merged, "x"), (0..10).map(f64::from).collect::<Vec<_>>());
    assert_eq!(numbers(&merged, "y"), (100..110).map(f64::from).collect::<Vec<_>>());
    let moved: Vec<Row> = rows.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(numbers(&moved, "x"), (50..60).map(f64::from).collect::<Vec<_>>());
    let (a, b) = (imported.topic("/a"), imported.topic("/b"));
    assert_eq!((count(&a, "stored"), count(&a, "merged")), (20, 0));
    assert_eq!((count(&b, "stored"), count(&b, "merged")), (0, 10));
    assert_same_once_more(imported, mapping, "/a");
}

#[test]
fn topics_of_the_same_columns_merge_as_asked_for_each_time() {
    let mapping = "topics: [{topic: /*, track: both}]";
    let imported = shared_track(STAMPED).import(mapping);
    let before = imported.rows("both");
    let expected = (0..10).flat_map(|i| [100.0 + f64::from(i), 50.0 + f64::from(i)]);
    assert_eq!(numbers(&before, "x"), expected.collect::<Vec<_>>(), "the later topic's win");
    let again = imported.again(mapping);
    assert_eq!(again.rows("both"), before);
    assert_eq!(again.again(mapping).rows("both"), before);
}

#[test]
fn merge_and_drop_do_what_they_are_called() {
    let mut bag = MadeBag::new();
    for topic in ["/merge", "/drop", "/keep"] {
        for (i, x) in [1.0, 2.0, 2.0, 1.0].into_iter().enumerate() {
            bag.add(topic, STAMPED, i as u64 + 1, &stamped(TODAY, x));
        }
    }
    let mapping = "same_stamp: drop\ntopics: [{topic: /drop}, {topic: /merge, same_stamp: merge}, \
                   {topic: /keep, same_stamp: keep}]";
    let imported = bag.import(mapping);
    assert_eq!(numbers(&imported.rows("merge"), "x"), [1.0], "the last one");
    assert_eq!(numbers(&imported.rows("drop"), "x"), [1.0], "the first one");
    assert_eq!(numbers(&imported.rows("keep"), "x"), [1.0, 2.0]);
    let merge = imported.topic("/merge");
    assert_eq!((count(&merge, "stored"), count(&merge, "merged")), (1, 3));
    assert_eq!(merge["notes"], serde_json::json!({ "stamp_shared": 2 }));
    let drop = imported.topic("/drop");
    assert_eq!((count(&drop, "stored"), count(&drop, "merged")), (1, 1));
    assert_eq!(drop["dropped"], serde_json::json!({ "same_stamp": 2 }));
    let stderr = &imported.done.stderr;
    assert_eq!(
        stderr.matches("/merge: several messages have the same stamp").count(),
        1,
        "{stderr}"
    );
    assert_eq!(
        stderr.matches("/keep: several messages have the same stamp").count(),
        1,
        "{stderr}"
    );
    let again = imported.again(mapping);
    assert_eq!(numbers(&again.rows("merge"), "x"), [1.0]);
    assert_eq!(numbers(&again.rows("drop"), "x"), [1.0]);
    assert_eq!(again.topic("/drop")["dropped"], serde_json::json!({ "same_stamp": 2 }));
}

#[test]
fn what_is_thinned_by_its_stamp_takes_no_time_from_others() {
    let mut bag = MadeBag::new();
    for i in 0..100 {
        let stamp = TODAY + i / 2 * SEC / 100;
        bag.add("/slow", STAMPED, log(TODAY + i), &stamped(stamp, i as f64));
        bag.add("/change", STAMPED, log(TODAY + i), &stamped(stamp, (i / 4) as f64));
    }
    let mapping = "topics: [{topic: /slow, max_rate: 10}, {topic: /change, on_change: true}]";
    let imported = bag.import(mapping);
    let slow = imported.topic("/slow");
    assert_eq!((count(&slow, "stored"), count(&slow, "throttled")), (5, 95));
    let change = imported.topic("/change");
    assert_eq!((count(&change, "stored"), count(&change, "unchanged")), (25, 75));
    let again = imported.again(mapping);
    assert_eq!(count(&again.topic("/slow"), "merged"), 5);
    assert_eq!(count(&again.topic("/change"), "merged"), 25);
    assert_eq!(again.rows("slow").len(), 5);
}

#[test]
fn another_recording_into_the_experiment_writes_over_nothing() {
    let bag = |x: f64| {
        let mut bag = MadeBag::new();
        for i in 0..50 {
            let x = if i % 10 == 0 { 0.0 } else { x };
            bag.add("/x", STAMPED, log(TODAY + i), &stamped(TODAY + i * SEC, x));
        }
        bag
    };
    let mapping = "topics: [{topic: /x, receive_ts: true}]";
    let imported = bag(1.0).import(mapping).and(bag(2.0), mapping);
    let topic = imported.topic("/x");
    assert_eq!((count(&topic, "stored"), count(&topic, "merged")), (45, 5));
    assert_eq!(topic["notes"]["stamp_moved"], 45);
    let values = numbers(&imported.rows("x"), "x");
    assert_eq!(values.len(), 95);
    assert_eq!(values[..5], [0.0, 1.0, 2.0, 1.0, 2.0]);
}

/// A recorder of `/x` (stamped), `/text` (by the receive time) and, into the track of `/x`, of `/y`.
fn recorder(root: &Path) -> Recorder {
    let mapping =
        "topics: [{topic: /x}, {topic: /text, stamp: receive}, {topic: '/{x,y}', track: x}]";
    let mapping = mapping.replace("/{x,y}", "/y*");
    let mapping = Mapping::parse(&mapping, "test.yaml").unwrap();
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    let mut recorder = Recorder::new(exp);
    for (topic, (name, definition)) in [("/x", STAMPED), ("/text", TEXT), ("/y", OTHER)] {
        let name: TypeName = name.parse().unwrap();
        let message = MessageType::from_bundle(&name, definition).unwrap();
        let rule = mapping.rule_for(topic, &name).unwrap();
        recorder.add_topic(TopicPlan::new(topic, topic, &message, &rule).unwrap());
    }
    recorder
}

const X: usize = 0;
const SAYING: usize = 1;
const Y: usize = 2;

fn rows(root: &Path, track: &str) -> Vec<Row> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    exp.tracks(track).read(&Query::all()).unwrap()
}

fn finish(recorder: Recorder) -> Account {
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up(), "{account:#?}");
    account
}

#[test]
fn messages_held_until_the_clock_runs_do_not_fall_together() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path());
    for said in ["a", "b", "b", "c"] {
        recorder.record(SAYING, text(said), Received::BeforeClock);
    }
    recorder.record(SAYING, text("d"), Received::At(SEC / 2));
    let account = finish(recorder);
    let said: Vec<String> = rows(root.path(), "text")
        .iter()
        .map(|row| format!("{:?}", row.fields.get("data")))
        .collect();
    assert_eq!(said, ["a", "b", "b", "c", "d"].map(|text| format!("Some(Text({text:?}))")));
    let notes = &account.topics[SAYING].notes;
    assert_eq!((notes[&Note::WaitedForClock], notes[&Note::StampMoved]), (4, 4));
}

#[test]
fn a_live_message_without_a_time_of_receipt_is_dropped_by_reason() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path());
    recorder.record(SAYING, text("never"), Received::Unknown);
    recorder.record(X, stamped(SEC, 1.0), Received::Unknown);
    let account = finish(recorder);
    assert_eq!(account.topics[SAYING].dropped[&DropReason::NoTime], 1);
    assert_eq!(account.topics[X].stored, 1);
    assert!(!account.complete);
    assert_eq!(account.missing, ["dropped: 1 no_time"]);
}

/// What is recorded: by which topic, when, and what it says. Times are ticks of a float, seconds apart or not
/// at all, and nanoseconds that no float tells apart.
fn arrivals(secs_apart: i64) -> impl Strategy<Value = Vec<(bool, i64, u8, bool)>> {
    let time = (0..3_i64, 0..4_i64, 0..2_i64).prop_map(move |(sec, tick, nanos)| {
        // 239 ns is a little more than a tick.
        TODAY + sec * secs_apart * SEC + tick * 239 + nanos * 40
    });
    prop::collection::vec(
        (prop::bool::weighted(0.2), time, 0..3_u8, prop::bool::weighted(0.05)),
        0..60,
    )
}

/// Records them, flushing now and then, and says what became of them.
fn record(root: &Path, arrivals: &[(bool, i64, u8, bool)]) -> Account {
    let mut recorder = recorder(root);
    for (is_other, nanos, x, flushes) in arrivals {
        let topic = if *is_other { Y } else { X };
        recorder.record(topic, stamped(*nanos, f64::from(*x)), Received::At(TODAY));
        if *flushes {
            recorder.flush().unwrap();
        }
    }
    finish(recorder)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stamps_come_each_message_has_a_row_and_once_more_is_the_same(
        arrivals in arrivals(2),
    ) {
        let root = tempfile::tempdir().unwrap();
        let account = record(root.path(), &arrivals);
        let first = rows(root.path(), "x");
        for (topic, column, is_other) in [(X, "x", false), (Y, "y", true)] {
            let of_topic = arrivals.iter().filter(|(other, ..)| *other == is_other);
            let distinct: BTreeSet<(i64, u8)> =
                of_topic.clone().map(|(_, nanos, x, _)| (*nanos, *x)).collect();
            let with_column = first.iter().filter(|row| row.fields.get(column).is_some()).count();
            prop_assert_eq!(with_column, distinct.len());
            let topic = &account.topics[topic];
            prop_assert_eq!(topic.received as usize, of_topic.count());
        }
        let again = record(root.path(), &arrivals);
        prop_assert_eq!(rows(root.path(), "x"), first);
        let stored: u64 = again.topics.iter().map(|topic| topic.stored).sum();
        prop_assert_eq!(stored, 0);
    }

    #[test]
    fn another_recording_of_whatever_stamps_leaves_every_row_as_it_was(
        earlier in arrivals(13),
        arrivals in arrivals(13),
    ) {
        let root = tempfile::tempdir().unwrap();
        record(root.path(), &earlier);
        let before = rows(root.path(), "x");
        record(root.path(), &arrivals);
        let now = rows(root.path(), "x");
        for row in before {
            let found = now.iter().find(|now| now.ts == row.ts).unwrap();
            for (column, value) in row.fields.iter() {
                prop_assert_eq!(found.fields.get(column), Some(value));
            }
        }
        for (is_other, _, x, _) in arrivals {
            let column = if is_other { "y" } else { "x" };
            let says = Value::F64(f64::from(x));
            prop_assert!(now.iter().any(|row| row.fields.get(column) == Some(&says)));
        }
    }
}
