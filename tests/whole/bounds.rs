//! What a graph can ask of a recorder without end is bounded, counted and said.

use mldash_bridge::mapping::{Mapping, PartAction, PartChange};
use mldash_bridge::message::MessageType;
use mldash_bridge::record::{DropReason, Received, Recorder, TopicPlan};
use mldash_bridge::track::{Experiment, Options};

fn recorder(root: &std::path::Path, mapping: &str) -> Recorder {
    let exp = Experiment::open("tests/bounds/run", Options::local(root)).unwrap();
    let mut recorder = Recorder::new(exp);
    let mapping = Mapping::parse(mapping, "test.yaml").unwrap();
    let type_name = "std_msgs/msg/String".parse().unwrap();
    let text = MessageType::from_bundle(&type_name, "string data").unwrap();
    let rule = mapping.rule_for("/chatter", &type_name).unwrap();
    recorder.add_topic(TopicPlan::new("/chatter", "/chatter", &text, &rule).unwrap());
    recorder
}

fn text(text: &str) -> Vec<u8> {
    let mut cdr = vec![0, 1, 0, 0];
    cdr.extend((text.len() as u32 + 1).to_le_bytes());
    cdr.extend(text.as_bytes());
    cdr.push(0);
    cdr
}

#[test]
#[ignore = "by hand: ten thousand tracks take minutes"]
fn a_topic_whose_values_never_repeat_leads_to_10_000_tracks_and_the_rest_is_counted() {
    // Ten thousand folders take minutes where each waits for a disk.
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let root = tempfile::tempdir_in(place).unwrap();
    let mapping = "topics: [{topic: /chatter, stamp: receive, track: 'said/{data}'}]";
    let mut recorder = recorder(root.path(), mapping);
    for i in 0..10_005_i64 {
        recorder.record(0, text(&format!("word {i}")), Received::At((i + 1) * 1_000_000));
    }
    // Those that there are go on.
    recorder.record(0, text("word 7"), Received::At(1_000_000_000_000));
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up() && !account.complete);
    let topic = &account.topics[0];
    assert_eq!((topic.received, topic.stored), (10_006, 10_001));
    assert_eq!(topic.dropped[&DropReason::TooManyTracks], 5);
    assert!(topic.errors.iter().any(|error| error.contains("10000 tracks")), "{:?}", topic.errors);
}

#[test]
fn of_topics_that_can_not_be_recorded_65_536_are_named_and_the_others_counted() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "topics: [{topic: /chatter, stamp: receive}]");
    for i in 0..65_536 + 500 {
        recorder.refuse(format!("/camera (of /viewer_{i})"), "offers less".to_owned());
    }
    recorder.change_part(&PartChange::new(PartAction::Split)).unwrap();
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert_eq!(account.refused.len(), 65_537);
    assert_eq!(account.refused["…"], "and 500 more, which the log names");
    assert!(!account.complete);
}
