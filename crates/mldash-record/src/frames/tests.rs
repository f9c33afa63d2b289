use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use super::super::{Received, Recorder, TopicPlan};
use super::*;
use crate::mapping::Mapping;
use mldash_message::MessageType;
use mldash_track::{FileInfo, Options, Query};

const HEADER: &str = "\n===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
                      ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";

fn topic(recorder: &mut Recorder, topic: &str, type_name: &str, fields: &str) -> usize {
    topic_with(recorder, topic, "", type_name, fields)
}

/// `entry` is the rest of the topic's entry in the mapping.
fn topic_with(
    recorder: &mut Recorder,
    topic: &str,
    entry: &str,
    type_name: &str,
    fields: &str,
) -> usize {
    let text = format!("topics: [{{topic: {topic}{entry}}}]");
    let mapping = Mapping::parse(&text, "m.yaml").unwrap();
    let name = type_name.parse().unwrap();
    let message: Arc<MessageType> =
        MessageType::from_bundle(&name, &format!("std_msgs/Header header\n{fields}{HEADER}"))
            .unwrap();
    let rule = mapping.rule_for(topic, &name).unwrap();
    recorder.add_topic(TopicPlan::new(topic, topic, &message, &rule).unwrap())
}

/// A header with this stamp and, behind an empty frame id, `rest`.
fn stamped(sec: u8, rest: &[&[u8]]) -> Vec<u8> {
    let header = [0, 1, 0, 0, sec, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    [&header[..], &rest.concat()].concat()
}

fn recorder() -> (tempfile::TempDir, Recorder) {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("tests/frames/run", Options::local(root.path())).unwrap();
    (root, Recorder::new(exp))
}

fn camera(recorder: &mut Recorder) -> usize {
    camera_with(recorder, "")
}

fn camera_with(recorder: &mut Recorder, entry: &str) -> usize {
    let fields = "string format\nuint8[] data";
    topic_with(recorder, "/camera", entry, "sensor_msgs/msg/CompressedImage", fields)
}

/// 600 bytes that call themselves a picture.
fn picture(sec: u8) -> Vec<u8> {
    picture_of(sec, 7)
}

fn picture_of(sec: u8, byte: u8) -> Vec<u8> {
    let length = 600_u32.to_le_bytes();
    stamped(sec, &[&1_u32.to_le_bytes(), &[0, 0, 0, 0], &length, &[byte; 600]])
}

#[test]
fn pictures_that_come_too_fast_are_dropped_counted_and_cost_other_topics_nothing() {
    let (_root, mut recorder) = recorder();
    // Nobody works: what is taken waits.
    recorder.frames.workers = Workers::new(0, 1000);
    let camera = camera(&mut recorder);
    let arm = topic(&mut recorder, "/arm", "my_msgs/msg/Arm", "uint32 joint");

    for sec in 1..=3 {
        recorder.record(camera, picture(sec), Received::At(1));
        recorder.record(arm, stamped(sec, &[&[5, 0, 0, 0]]), Received::At(1));
    }
    let account = recorder.account();
    assert!(account.adds_up());
    let [camera, arm] = &account.topics[..] else { panic!("{account:?}") };
    // The first is in nobody's account before it is stored.
    assert_eq!((camera.received, camera.stored), (2, 0));
    assert_eq!(camera.dropped[&DropReason::BlobQueueFull], 2);
    assert!(camera.errors[0].contains("max_rate"), "{:?}", camera.errors);
    assert_eq!((arm.received, arm.stored), (3, 3));
}

/// The fields of all rows; the paths and checksums of all files.
fn stored(root: &Path) -> (Vec<Fields>, Vec<(String, String)>) {
    let exp = Experiment::open_read_only("tests/frames/run", root).unwrap();
    let rows = exp.tracks("camera").read(&Query::all()).unwrap();
    let file = |file: FileInfo| (format!("{}/{}", file.path, file.filename), file.checksum);
    let files = exp.files("").list().unwrap();
    (rows.into_iter().map(|row| row.fields).collect(), files.into_iter().map(file).collect())
}

/// Records four pictures. `entry` is the rest of the topic's entry in the mapping.
fn record_pictures(root: &Path, entry: &str) {
    let exp = Experiment::open("tests/frames/run", Options::local(root)).unwrap();
    let mut recorder = Recorder::new(exp);
    let camera = camera_with(&mut recorder, entry);
    for sec in 1..=4 {
        recorder.record(camera, picture(sec), Received::At(1));
    }
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up());
}

#[test]
fn pictures_whose_rows_a_crash_took_get_the_same_files_when_they_come_again() {
    for kept_rows in 0..4 {
        let root = tempfile::tempdir().unwrap();
        record_pictures(root.path(), "");
        let expected = stored(root.path());
        assert_eq!((expected.0.len(), expected.1.len()), (4, 4));
        // As `kill -9` leaves it: the files are saved, and the last rows were never flushed.
        let track = root.path().join("tests/frames/run/tracks/camera");
        let rows = fs::read_to_string(track.join("data.jsonl")).unwrap();
        fs::remove_dir_all(&track).unwrap();
        if kept_rows > 0 {
            let kept: Vec<&str> = rows.split_inclusive('\n').take(kept_rows).collect();
            fs::create_dir_all(&track).unwrap();
            fs::write(track.join("data.jsonl"), kept.concat()).unwrap();
        }
        record_pictures(root.path(), "");
        assert_eq!(stored(root.path()), expected, "{kept_rows} rows kept");
    }
}

/// Records a picture of each of these times, which consists of that number.
fn record_seconds(root: &Path, seconds: RangeInclusive<u8>, is_ahead: bool) {
    let exp = Experiment::open("tests/frames/run", Options::local(root)).unwrap();
    let mut recorder = Recorder::new(exp);
    if is_ahead {
        recorder.look_ahead(|| false);
    }
    let topic = camera(&mut recorder);
    seconds.for_each(|sec| recorder.record(topic, picture_of(sec, sec), Received::At(1)));
    recorder.finish(None).1.unwrap();
}

/// Leaves what a power cut leaves: all rows, since they are synced as they come, and of the lists so many files
/// and messages.
fn cut_power(root: &Path, listed: usize, noted: u64) {
    let files = root.join("tests/frames/run/files");
    let metadata = files.join(".files_metadata.json");
    let mut list: serde_json::Value =
        serde_json::from_slice(&fs::read(&metadata).unwrap()).unwrap();
    let entries = list["files"].as_array_mut().unwrap();
    entries.sort_by_key(|file| file["filename"].to_string());
    entries.truncate(listed);
    fs::write(&metadata, list.to_string()).unwrap();
    let messages = fs::File::options().write(true).open(files.join("camera/.messages")).unwrap();
    messages.set_len(8 * noted).unwrap();
}

#[test]
fn after_a_power_cut_a_row_names_its_own_picture_or_none() {
    for (listed, noted) in (0..=4).flat_map(|listed| (0..=4).map(move |noted| (listed, noted))) {
        let root = tempfile::tempdir().unwrap();
        record_seconds(root.path(), 1..=4, false);
        cut_power(root.path(), listed, noted);
        record_seconds(root.path(), 5..=8, noted % 2 == 0);

        let exp = Experiment::open_read_only("tests/frames/run", root.path()).unwrap();
        let rows = exp.tracks("camera").read(&Query::all()).unwrap();
        assert_eq!(rows.len(), 8);
        for row in rows {
            let sec = row.ts.as_secs() as u8;
            let Some(Value::Text(path)) = row.fields.get("path") else { panic!("{row:?}") };
            // Whoever took rows and pictures that are lost here may have some that are later.
            let is_far = path.as_str() >= "camera/004096";
            assert_eq!(is_far, sec > 4 && listed.max(noted as usize) < 4, "{path} of {sec} s");
            let is_there = exp.files("").find(path).unwrap().is_some();
            assert_eq!(is_there, sec > 4 || usize::from(sec) <= listed, "{path} of {sec} s");
            if is_there {
                assert_eq!(exp.files("").read(path).unwrap()[0], sec, "{path} of {sec} s");
            }
        }
    }
}

#[test]
fn a_look_ahead_that_is_stopped_ends_and_costs_no_number() {
    let root = tempfile::tempdir().unwrap();
    record_seconds(root.path(), 1..=4, false);
    cut_power(root.path(), 2, 2);
    let exp = Experiment::open("tests/frames/run", Options::local(root.path())).unwrap();
    let mut recorder = Recorder::new(exp);
    let mut asked = 0;
    recorder.look_ahead(|| {
        asked += 1;
        asked == 2
    });
    assert_eq!(asked, 2, "it reads no further");
    let topic = camera(&mut recorder);
    recorder.record(topic, picture_of(5, 5), Received::At(1));
    recorder.finish(None).1.unwrap();
    let (rows, _) = stored(root.path());
    // The first number behind those that the rows name, and what a server may have.
    assert_eq!(rows[4].get("path"), Some(&Value::from("camera/004100.bin")));
}

#[test]
fn pictures_that_come_again_keep_their_files_under_merge_too() {
    let root = tempfile::tempdir().unwrap();
    record_pictures(root.path(), ", same_stamp: merge");
    let expected = stored(root.path());
    record_pictures(root.path(), ", same_stamp: merge");
    assert_eq!(stored(root.path()), expected);
}

#[test]
fn a_file_with_a_huge_number_as_its_name_costs_nothing() {
    let root = tempfile::tempdir().unwrap();
    for name in ["4000000000.png", "18446744073709551615.png"] {
        let exp = Experiment::open("tests/frames/run", Options::local(root.path())).unwrap();
        exp.files("camera").save_bytes(b"of another program", name).unwrap();
        exp.close().unwrap();
        record_pictures(root.path(), "");
    }
    let names: Vec<String> = stored(root.path()).1.into_iter().map(|(path, _)| path).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains("/400000000")).count(), 5, "{names:?}");
}

#[test]
fn in_a_hurry_what_waits_is_counted_and_left_out() {
    let (_root, mut recorder) = recorder();
    let camera = camera(&mut recorder);
    recorder.record(camera, picture(1), Received::At(1));
    recorder.flush().unwrap();
    assert_eq!(recorder.account().topics[0].stored, 1, "flushed is stored");
    recorder.hurry_when(Arc::new(AtomicBool::new(true)));
    recorder.record(camera, picture(2), Received::At(1));
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up());
    assert_eq!((account.topics[0].received, account.topics[0].stored), (2, 1));
    assert_eq!(account.topics[0].dropped[&DropReason::Stopped], 1);
}
