//! A whole recording by the definitions that it carries.

use std::collections::BTreeMap;

use mldash_bridge::message::{Decoder, Element, Layout};
use mldash_bridge::track::{Timestamp, Value};

use super::{each, everything, message};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");

/// Every message of every topic, decoded.
fn decode_bag(layout: impl Fn(&str) -> Layout) -> BTreeMap<String, Vec<Element>> {
    let bytes = std::fs::read(BAG).unwrap();
    let mut decoders = BTreeMap::new();
    let mut rows: BTreeMap<String, Vec<Element>> = BTreeMap::new();
    for recorded in mcap::MessageStream::new(&bytes).unwrap() {
        let recorded = recorded.unwrap();
        let topic = &recorded.channel.topic;
        let decoder = decoders.entry(topic.clone()).or_insert_with(|| {
            let schema = recorded.channel.schema.as_ref().unwrap();
            let text = std::str::from_utf8(&schema.data).unwrap();
            Decoder::compile(&message(&schema.name, text), &layout(topic)).unwrap()
        });
        let mut elements = Vec::new();
        decoder.decode(&recorded.data, &mut elements).unwrap();
        rows.entry(topic.clone()).or_default().append(&mut elements);
    }
    rows
}

#[test]
fn every_message_of_a_recording_decodes() {
    let rows = decode_bag(|_| everything());
    let counts: Vec<(&str, usize)> = rows.iter().map(|(t, r)| (&**t, r.len())).collect();
    let expected = [
        ("/camera/camera_info", 225),
        ("/camera/image_raw/compressed", 5),
        ("/chatter", 23),
        ("/odom", 225),
        ("/points", 225),
        ("/pose", 225),
        ("/robot_description", 1),
        ("/scan", 225),
        ("/tf", 225),
        ("/tf_static", 1),
    ];
    assert_eq!(counts, expected);
    for scan in &rows["/scan"] {
        let Some(Value::Array(ranges)) = scan.fields.get("ranges") else { panic!("{scan:?}") };
        assert_eq!(ranges.len(), 361);
    }
    for cloud in &rows["/points"] {
        let int = |column: &str| match cloud.fields.get(column) {
            Some(Value::Int(i)) => usize::try_from(*i).unwrap(),
            other => panic!("{column}: {other:?}"),
        };
        let Some(Value::Array(data)) = cloud.fields.get("data") else { panic!("no data") };
        assert_eq!(data.len(), int("row_step") * int("height"));
    }
}

#[test]
fn stamps_of_a_recording_rise() {
    let rows = decode_bag(|topic| match topic {
        "/tf" | "/tf_static" => each("transforms", everything()),
        _ => everything(),
    });
    assert_eq!(rows["/tf"].len(), 450);
    let has_no_header = |topic: &str| matches!(topic, "/chatter" | "/robot_description");
    for (topic, rows) in rows.iter().filter(|(topic, _)| !has_no_header(topic)) {
        let stamps: Option<Vec<Timestamp>> = rows.iter().map(|row| row.stamp).collect();
        assert!(stamps.unwrap_or_default().is_sorted(), "{topic}");
    }
    for topic in ["/chatter", "/robot_description"] {
        assert!(rows[topic].iter().all(|row| row.stamp.is_none()), "{topic}");
    }
}
