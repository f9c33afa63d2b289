//! A real recording decodes whole, every topic by the definitions that the bag brings.

use std::collections::BTreeMap;
use std::fs;

use mldash_bridge::message::{Decoder, Layout, MessageType};
use mldash_bridge::track::Value;

#[test]
fn every_message_of_a_recording_decodes_with_its_own_definition() {
    let bag = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
    let bag = fs::read(bag).unwrap();
    let mut decoders: BTreeMap<String, Decoder> = BTreeMap::new();
    let mut messages = BTreeMap::new();
    let mut elements = Vec::new();
    for message in mcap::MessageStream::new(&bag).unwrap() {
        let message = message.unwrap();
        let topic = &message.channel.topic;
        let decoder = decoders.entry(topic.clone()).or_insert_with(|| {
            let schema = message.channel.schema.as_ref().unwrap();
            let text = String::from_utf8(schema.data.to_vec()).unwrap();
            let message = MessageType::from_bundle(&schema.name.parse().unwrap(), &text).unwrap();
            Decoder::compile(&message, &Layout::default()).unwrap()
        });
        decoder.decode(&message.data, &mut elements).unwrap_or_else(|e| panic!("{topic}: {e}"));
        assert_eq!(elements.len(), 1);
        if topic == "/scan" {
            let ranges = elements[0].fields.get("ranges").unwrap();
            assert!(matches!(ranges, Value::Array(ranges) if ranges.len() == 361));
            assert_eq!(elements[0].fields.get("frame_id"), Some(&"laser".into()));
            assert!(elements[0].stamp.is_some());
        }
        *messages.entry(topic.clone()).or_insert(0) += 1;
    }
    assert_eq!(messages["/scan"], 225);
    assert_eq!(messages.len(), 10);
}
