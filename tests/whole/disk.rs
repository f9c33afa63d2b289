//! A disk that fills up under a recording, and has space again.

use std::time::{Duration, Instant};

use mldash_bridge::mapping::{Mapping, PartAction, PartChange};
use mldash_bridge::message::MessageType;
use mldash_bridge::record::{
    Account, DiskLevel, DropReason, HEAVY_MESSAGE_BYTES, Received, Recorder, TopicPlan, WhenBehind,
};
use mldash_bridge::track::{Experiment, Options, Query, Value};

use crate::small_disk::SmallDisk;

const RUN: &str = "tests/disk/run";
const MIB: u64 = 1 << 20;
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

const LIGHT: usize = 0;
const HEAVY: usize = 1;

/// Records two topics of texts, `/light` and `/heavy`, onto a small disk.
struct Recording<'d> {
    disk: &'d SmallDisk,
    recorder: Recorder,
    nanos: i64,
}

impl<'d> Recording<'d> {
    fn start(disk: &'d SmallDisk, mapping: &str, options: impl FnOnce(Options) -> Options) -> Self {
        let exp = Experiment::open(RUN, options(Options::local(disk.path()))).unwrap();
        let mut recorder = Recorder::new(exp);
        let mapping = Mapping::parse(mapping, "test.yaml").unwrap();
        recorder.guard_disk(mapping.min_free());
        let type_name = "std_msgs/msg/String".parse().unwrap();
        let text = MessageType::from_bundle(&type_name, "string data").unwrap();
        for topic in ["/light", "/heavy"] {
            let rule = mapping.rule_for(topic, &type_name).unwrap();
            recorder.add_topic(TopicPlan::new(topic, topic, &text, &rule).unwrap());
        }
        Self { disk, recorder, nanos: 0 }
    }

    /// Records a text, at a time of its own.
    fn record(&mut self, topic: usize, text: &str) {
        self.nanos += 1_000_000_000;
        let mut cdr = vec![0, 1, 0, 0];
        cdr.extend((text.len() as u32 + 1).to_le_bytes());
        cdr.extend(text.as_bytes());
        cdr.push(0);
        self.recorder.record(topic, cdr, Received::At(self.nanos));
    }

    fn record_large(&mut self) {
        self.record(HEAVY, &"x".repeat(HEAVY_MESSAGE_BYTES));
    }

    fn wait_for(&self, level: DiskLevel) {
        let deadline = Instant::now() + PATIENCE;
        while self.recorder.disk().unwrap().level != level {
            assert!(Instant::now() < deadline, "{level:?} is not reached");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn finish(self) -> Account {
        let (account, closed) = self.recorder.finish(None);
        closed.unwrap();
        assert!(account.adds_up(), "{account:#?}");
        for topic in &account.topics {
            let rows = texts(self.disk, &topic.topic[1..]);
            assert_eq!(rows.len() as u64, topic.stored, "{account:#?}");
        }
        account
    }
}

/// The texts of a track, by time.
fn texts(disk: &SmallDisk, track: &str) -> Vec<(f64, String)> {
    let exp = Experiment::open_read_only(RUN, disk.path()).unwrap();
    let rows = exp.tracks(track).read(&Query::all()).unwrap();
    let text = |value: &mldash_bridge::track::Value| format!("{value:?}");
    rows.iter().map(|row| (row.ts.as_secs(), text(row.fields.get("data").unwrap()))).collect()
}

#[test]
fn large_messages_stop_first_then_all_and_both_go_on_when_space_returns() {
    let Some(disk) = SmallDisk::mount(16 * MIB) else { return };
    let mapping = "min_free: 8MiB\ntopics: [{topic: /*, stamp: receive}]";
    let mut recording = Recording::start(&disk, mapping, |options| options);
    recording.record(LIGHT, "a");
    recording.record_large();

    disk.fill_but(6 * MIB);
    recording.wait_for(DiskLevel::LightOnly);
    recording.record(LIGHT, "b");
    recording.record_large();
    recording.record(HEAVY, "small, but of a topic that is not");

    disk.fill_but(3 * MIB);
    recording.wait_for(DiskLevel::Nothing);
    recording.record(LIGHT, "c");
    recording.record_large();

    disk.clear();
    recording.wait_for(DiskLevel::Enough);
    recording.record(LIGHT, "d");
    recording.record_large();

    let account = recording.finish();
    let counts = |topic: usize| {
        let topic = &account.topics[topic];
        (topic.received, topic.stored, topic.dropped.get(&DropReason::DiskLow).copied())
    };
    assert_eq!(counts(LIGHT), (4, 3, Some(1)));
    assert_eq!(counts(HEAVY), (5, 2, Some(3)));
    let error = account.topics[HEAVY].errors.join("\n");
    assert!(error.contains("are free, and `min_free` is 8 MiB"), "{error}");
}

#[test]
fn the_disk_is_watched_on_when_the_first_part_of_a_recording_was_taken_away() {
    let Some(disk) = SmallDisk::mount(16 * MIB) else { return };
    let mapping = "min_free: 8MiB\ntopics: [{topic: /*, stamp: receive}]";
    let mut recording = Recording::start(&disk, mapping, |options| options);
    recording.record(LIGHT, "a");
    recording.recorder.change_part(&PartChange::new(PartAction::Split)).unwrap();
    let first = disk.path().join(RUN);
    let deadline = Instant::now() + PATIENCE;
    while !first.join("account.json").exists() {
        assert!(Instant::now() < deadline, "the first part is not closed");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::rename(&first, disk.path().join("taken-away")).unwrap();
    disk.fill_but(3 * MIB);
    recording.wait_for(DiskLevel::Nothing);
    recording.record(LIGHT, "b");
    let (account, closed) = recording.recorder.finish(None);
    closed.unwrap();
    assert_eq!(account.topics[LIGHT].dropped[&DropReason::DiskLow], 1);
}

#[test]
fn a_disk_that_is_full_costs_nothing_that_was_flushed_and_is_recorded_to_again() {
    let Some(disk) = SmallDisk::mount(4 * MIB) else { return };
    let mapping = "min_free: 0\ntopics: [{topic: /*, stamp: receive}]";
    let small = |options: Options| {
        options.batch_rows(8).flush_interval(Duration::from_millis(50)).buffer_bytes(256 << 10)
    };
    let mut recording = Recording::start(&disk, mapping, small);
    let text = "0123456789abcdef".repeat(256);
    let dropped = |recording: &Recording<'_>| {
        let account = recording.recorder.account();
        account.topics[LIGHT].dropped.get(&DropReason::StoreFull).copied().unwrap_or_default()
    };

    recording.record(LIGHT, &text);
    disk.fill_but(MIB);
    let deadline = Instant::now() + PATIENCE;
    while dropped(&recording) == 0 {
        assert!(Instant::now() < deadline, "the disk does not fill up");
        recording.record(LIGHT, &text);
    }
    let before = recording.recorder.account().topics[LIGHT].stored;
    disk.clear();
    while recording.recorder.account().topics[LIGHT].stored < before + 100 {
        assert!(Instant::now() < deadline, "it is not recorded again");
        recording.record(LIGHT, &text);
        std::thread::sleep(Duration::from_millis(1));
    }
    let lost = dropped(&recording);
    let account = recording.finish();

    assert_eq!(account.failure, None);
    assert_eq!(account.missing, [format!("dropped: {lost} store_full")]);
    let topic = &account.topics[LIGHT];
    assert_eq!(topic.dropped.get(&DropReason::StoreFull), Some(&lost));
    assert_eq!(topic.received, topic.stored + lost);
    let rows = texts(&disk, "light");
    assert_eq!(rows[0].0, 1.0);
    assert!(
        rows.iter().all(|(_, stored)| stored.contains(&text)),
        "a row is not what was recorded"
    );
}

#[test]
fn a_row_never_names_a_picture_that_a_full_disk_did_not_take() {
    let Some(disk) = SmallDisk::mount(4 * MIB) else { return };
    let exp = Experiment::open(RUN, Options::local(disk.path()).batch_rows(1)).unwrap();
    let mut recorder = Recorder::new(exp);
    recorder.set_when_behind(WhenBehind::Wait);
    let mapping = "topics: [{topic: /camera, stamp: receive, blobs: file}]";
    let mapping = Mapping::parse(mapping, "test.yaml").unwrap();
    let type_name = "sensor_msgs/msg/CompressedImage".parse().unwrap();
    let definition = "string format\nuint8[] data\n";
    let image = MessageType::from_bundle(&type_name, definition).unwrap();
    let rule = mapping.rule_for("/camera", &type_name).unwrap();
    let camera = recorder.add_topic(TopicPlan::new("/camera", "/camera", &image, &rule).unwrap());
    let picture = |number: u8| [&[0xff, 0xd8, 0xff][..], &vec![number; 50_000]].concat();
    let mut record = |numbers: std::ops::Range<u8>| {
        for number in numbers.clone() {
            let data = picture(number);
            let mut cdr = b"\0\x01\0\0\x05\0\0\0jpeg\0\0\0\0".to_vec();
            cdr.extend((data.len() as u32).to_le_bytes());
            cdr.extend(data);
            recorder.record(camera, cdr, Received::At(i64::from(number) + 1));
        }
        // Until each has become a file or not.
        let deadline = Instant::now() + PATIENCE;
        while recorder.account().topics[camera].received < u64::from(numbers.end) {
            assert!(Instant::now() < deadline, "pictures are not done");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    record(0..10);
    disk.fill_but(MIB);
    record(10..60);
    disk.clear();
    record(60..70);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();

    assert!(account.adds_up());
    let topic = &account.topics[0];
    assert_eq!(topic.received, 70);
    assert!(topic.dropped_total() > 20, "{topic:#?}");
    let exp = Experiment::open_read_only(RUN, disk.path()).unwrap();
    let rows = exp.tracks("camera").read(&Query::all()).unwrap();
    assert_eq!(rows.len() as u64, topic.stored);
    for row in &rows {
        let number = (row.ts.as_secs() * 1e9).round() as u8 - 1;
        let Some(Value::Text(path)) = row.fields.get("path") else { panic!("{row:?}") };
        let bytes = exp.files("").read(path).unwrap();
        assert!(bytes == picture(number), "{path} is not the picture {number}");
    }
    let last = rows.last().unwrap().ts.as_secs();
    assert!((last - 70e-9).abs() < 1e-12, "it is not recorded again: {last}");
}
