//! What each key of a mapping does to messages, on the real decoder, recorder and store.

use mldash_bridge::fields;
use mldash_bridge::track::Value;

use super::decode::encoder::encode;
use super::made_bag::{MadeBag, STAMPED, TEXT, Type, header, stamped, text, with_header};

const SEC: i64 = 1_000_000_000;
const JOINTS: Type = (
    "made_msgs/msg/Joints",
    with_header!("std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat32 degrees"),
);
const TRANSFORMS: Type = (
    "tf2_msgs/msg/TFMessage",
    with_header!(
        "geometry_msgs/TransformStamped[] transforms
===
MSG: geometry_msgs/TransformStamped
std_msgs/Header header
string child_frame_id
float64 x"
    ),
);

fn joints(stamp_nanos: i64, positions: &[f64]) -> Vec<u8> {
    encode(|e| {
        header(e, stamp_nanos).length(2).text("left").text("right");
        e.length(positions.len()).f64s(positions).number(90.0_f32.to_le_bytes())
    })
}

/// One transform for each child, at its own stamp.
fn transforms(children: &[(&str, i64)]) -> Vec<u8> {
    encode(|e| {
        e.length(children.len());
        for (child, stamp_nanos) in children {
            header(e, *stamp_nanos).text(child).f64s(&[*stamp_nanos as f64]);
        }
        e
    })
}

#[test]
fn fields_project_rename_and_take_parts_of_arrays() {
    let mut bag = MadeBag::new();
    bag.add("/a/joints", JOINTS, 1, &joints(SEC, &[0.0, 0.1, 0.2, 0.3, 0.4]));
    bag.add("/b/joints", JOINTS, 1, &joints(SEC, &[0.0, 0.1, 0.2, 0.3, 0.4]));
    let imported = bag.import(
        "topics:
  - topic: /a/joints
    fields: [\"position[::2]\", name]
  - topic: /b/joints
    fields: {gripper: \"position[-1]\", arm: \"position[0:3]\", degrees: degrees, in: header.frame_id}",
    );
    let a = fields! { "position": [0.0, 0.2, 0.4], "name": ["left", "right"] };
    let b = fields! { "gripper": 0.4, "arm": [0.0, 0.1, 0.2], "degrees": 90.0, "in": "map" };
    for (track, expected) in [("a/joints", a), ("b/joints", b)] {
        let row = imported.rows(track).remove(0);
        assert_eq!(row.fields.len(), expected.len(), "{row:?}");
        for (column, value) in expected {
            assert_eq!(
                number_list(row.fields.get(&column).unwrap()),
                number_list(&value),
                "{column}"
            );
        }
    }
}

/// Values as text: how an array is held in memory is no matter here.
fn number_list(value: &Value) -> String {
    let text = format!("{value:?}");
    text.replace("Array(F64(", "").replace("List(", "").replace("F64(", "").replace(')', "")
}

#[test]
fn a_rate_is_held_by_stamps_whatever_bursts_they_come_in() {
    let mut bag = MadeBag::new();
    for i in 0..100 {
        // 100 Hz by their stamps, all received at once.
        bag.add("/x", STAMPED, 5, &stamped(i * SEC / 100 + 1, 0.0));
    }
    let imported = bag.import("topics: [{topic: /x, max_rate: 10}]");
    assert_eq!(imported.rows("x").len(), 10);
    assert_eq!(imported.topic("/x")["throttled"], 90);
}

#[test]
fn only_changes_of_a_field_are_kept_on_change() {
    let mut bag = MadeBag::new();
    for (i, x) in [1.0, 1.0, f64::NAN, f64::NAN, 1.0].into_iter().enumerate() {
        let stamp_nanos = i as i64 + SEC;
        bag.add("/x", STAMPED, stamp_nanos as u64, &stamped(stamp_nanos, x));
    }
    let imported = bag.import("topics: [{topic: /x, on_change: true}]");
    assert_eq!(imported.rows("x").len(), 3);
    assert_eq!(imported.topic("/x")["unchanged"], 2);
}

#[test]
fn each_element_has_its_own_track_stamp_rate_and_change() {
    let mut bag = MadeBag::new();
    for i in 1..=4 {
        let children = [("base", i * SEC), ("arm/hand", i * SEC + 7)];
        bag.add("/tf", TRANSFORMS, i as u64, &transforms(&children));
    }
    let imported = bag.import(
        "topics:
  - topic: /tf
    each: transforms
    stamp: transforms.header.stamp
    track: frames/{child_frame_id}
    fields: [x]
    max_rate: 0.5",
    );
    assert_eq!(imported.tracks(), ["frames/arm/hand", "frames/base"]);
    assert_eq!(imported.times("frames/base"), [1.0, 3.0]);
    assert_eq!(imported.times("frames/arm/hand"), [1.000000007, 3.000000007]);
    let topic = imported.topic("/tf");
    assert_eq!((&topic["received"], &topic["throttled"]), (&8.into(), &4.into()));
}

#[test]
fn globs_name_tracks_and_leave_out_what_is_excluded_or_hidden() {
    let mut bag = MadeBag::new();
    for topic in [
        "/cam/left/info",
        "/cam/right/info",
        "/cam/right/debug/info",
        "/robot1/state",
        "/robot1/secret",
        "/fib/_action/status",
        "/add/_service_event",
        "/asked/_action/status",
    ] {
        bag.add(topic, TEXT, 1, &text(topic));
    }
    let imported = bag.import(
        "topics:
  - {topic: /cam/*/info, track: 'info/{1}', stamp: receive}
  - {topic: '/*/s*', track: 'by/{2}/{topic}', stamp: receive}
  - {topic: /asked/_action/status, stamp: receive}
  - {topic: '/**', track: 'rest/{topic}', stamp: receive}
exclude: ['/*/secret']",
    );
    assert_eq!(
        imported.tracks(),
        [
            "asked/_action/status",
            "by/tate/robot1/state",
            "info/left",
            "info/right",
            "rest/cam/right/debug/info"
        ]
    );
}

#[test]
fn a_type_s_defaults_hold_for_all_its_topics_that_do_not_say_otherwise() {
    let mut bag = MadeBag::new();
    for i in 1..=4 {
        for topic in ["/a", "/b", "/c"] {
            bag.add(topic, STAMPED, i as u64, &stamped(i * SEC, 0.0));
        }
        bag.add("/other", JOINTS, i as u64, &joints(i * SEC, &[]));
    }
    let imported = bag.import(
        "types:
  made_msgs/msg/Stamped: {fields: [x], max_rate: 0.5, stamp_offset: 10, stamp_ns: true}
topics:
  - topic: /**
  - {topic: /b, max_rate: 100, fields: {y: x}, stamp_ns: false}",
    );
    assert_eq!(imported.times("a"), [11.0, 13.0]);
    assert_eq!(imported.times("c"), [11.0, 13.0]);
    assert_eq!(imported.times("b"), [11.0, 12.0, 13.0, 14.0]);
    assert_eq!(imported.times("other"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(imported.rows("a")[0].fields, fields! { "x": 0.0, "stamp_ns": SEC });
    assert_eq!(imported.rows("b")[0].fields, fields! { "y": 0.0 });
}

#[test]
fn a_column_of_the_message_is_never_written_over_by_a_time() {
    let mut bag = MadeBag::new();
    bag.add("/x", STAMPED, 1, &stamped(SEC, 0.0));
    let imported = bag.import("topics: [{topic: /x, fields: {receive_ts: x}, receive_ts: true}]");
    let refused = imported.account()["refused"]["/x"].as_str().unwrap().to_owned();
    assert!(refused.contains("already have a field for the column `receive_ts`"), "{refused}");
}

#[test]
fn a_second_type_of_a_topic_in_a_bag_is_refused_or_gets_its_own_track() {
    let bag = || {
        let mut bag = MadeBag::new();
        bag.add("/mode", TEXT, 1, &text("a"));
        bag.add("/mode", STAMPED, 2, &stamped(SEC, 1.0));
        bag
    };
    let refused = bag().import("topics: [{topic: /mode}]");
    let reason = refused.account()["refused"]["/mode (made_msgs/msg/Stamped)"].clone();
    assert!(reason.as_str().unwrap().contains("`on_type_change: split_track`"), "{reason}");
    assert_eq!(refused.rows("mode").len(), 1);
    let split = bag().import("topics: [{topic: /mode, on_type_change: split_track}]");
    assert_eq!(split.rows("mode").len(), 1);
    assert_eq!(split.rows("mode.made_msgs.Stamped").len(), 1);
    assert!(split.is_complete(), "{:#}", split.account());
}
