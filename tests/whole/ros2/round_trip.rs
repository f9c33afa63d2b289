//! Import, export, import: the same rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{DATA, Lab};
use crate::decode::encoder::encode;
use crate::made_bag::{MadeBag, TEXT, header, text, with_header};
use crate::python::oracle_python;

const EVERYTHING: &str = "topics: [{topic: /**}]\n";
const EACH_FRAME: &str = "topics:\n  - {topic: /**/tf, each: transforms, track: '{topic}/{child_frame_id}'}\n  \
    - {topic: /**/tf_static, each: transforms, track: '{topic}/{child_frame_id}'}\n  - {topic: /**}\n";
const EXACT: &str = "topics: [{topic: /**, receive_ts: true, stamp_ns: true}]\n";

fn bag(name: &str) -> std::path::PathBuf {
    Path::new(DATA).join(name)
}

#[test]
fn a_real_bag_gives_the_same_rows_and_files_after_a_round_trip() {
    for mapping in [EVERYTHING, EACH_FRAME, EXACT] {
        Lab::new().assert_round_trip(&bag("sena_lab_loop.mcap"), mapping);
    }
}

#[test]
fn small_bags_from_the_wild_give_the_same_rows_after_a_round_trip() {
    for name in [
        "two_publishers_one_stamp.mcap",
        "cases/channel_again_unchunked.mcap",
        "cases/latin1_definition.db3",
        "cases/no_builtin_time.mcap",
        "cases/pad4.mcap",
        "cases/pad7.mcap",
        "cases/parquet_run0.mcap",
        "cases/parquet_run1.mcap",
        "cases/ros1_header_and_time.mcap",
        "cases/topic_names.mcap",
        "cases/wal_only",
    ] {
        Lab::new().assert_round_trip(&bag(name), EVERYTHING);
    }
    let hidden = "topics: [{topic: /**/_service_event}, {topic: /**/_action/feedback}]\n";
    Lab::new().assert_round_trip(&bag("cases/service_action.mcap"), hidden);
    let each_frame = "topics: [{topic: /tf, each: transforms, track: 'tf/{child_frame_id}.'}]\n";
    Lab::new().assert_round_trip(&bag("tf_slash.mcap"), each_frame);
}

#[test]
fn the_messages_are_those_of_the_bag_to_readers_of_others() {
    let lab = Lab::new();
    let original = bag("sena_lab_loop.mcap");
    let done = lab.import(&original, EXACT, "root");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done = lab.export("root", "run.mcap");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/same_messages.py");
    // A receive time is kept as a float of seconds.
    let compared = Command::new(oracle_python())
        .args([script, "240"])
        .args([&original, &lab.path("run.mcap")])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{stderr}");
    let stdout = String::from_utf8(compared.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 10, "{stdout}");
}

/// The profiles of each topic's publishers, as a bag says them.
fn offered(bag: &Path) -> BTreeMap<String, String> {
    let file = std::fs::read(bag).unwrap();
    let summary = mcap::Summary::read(&file).unwrap().unwrap();
    let offered = |channel: &mcap::Channel<'_>| {
        (channel.topic.clone(), channel.metadata["offered_qos_profiles"].clone())
    };
    summary.channels.values().map(|channel| offered(channel)).collect()
}

#[test]
fn what_publishers_offered_is_said_again_in_the_words_of_today() {
    let mut made = MadeBag::new();
    made.add("/plain", TEXT, 1_000_000_000, &text("a"));
    made.offer("- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n");
    made.add("/map", TEXT, 2_000_000_000, &text("b"));
    made.offer("- history: 2\n  depth: 0\n  reliability: 2\n  durability: 2\n- history: keep_last\n  depth: 7\n");
    made.add("/scan", TEXT, 3_000_000_000, &text("c"));
    let (_folder, bag) = made.finish();
    let lab = Lab::new();
    lab.assert_round_trip(&bag, EVERYTHING);
    let offered = offered(&lab.path("again.mcap"));
    assert_eq!(offered["/plain"], "");
    let latched = "- history: keep_last\n  depth: 1\n  reliability: reliable\n  durability: transient_local\n";
    assert!(offered["/map"].starts_with(latched), "{offered:?}");
    let scan = &offered["/scan"];
    assert!(
        scan.starts_with("- history: keep_all\n  depth: 0\n  reliability: best_effort\n"),
        "{scan}"
    );
    assert!(
        scan.contains("\n- history: keep_last\n  depth: 7\n  reliability: reliable\n"),
        "{scan}"
    );
}

#[test]
fn a_player_does_not_wait_for_a_run_that_begins_long_after_its_latched_messages() {
    let mut made = MadeBag::new();
    made.offer("- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n");
    let (boot, begin) = (1_000_000_000, 3_601_000_000_000);
    made.add("/map", TEXT, boot, &text("m"));
    made.offer("");
    made.add("/plain", TEXT, begin, &text("a"));
    made.add("/plain", TEXT, begin + 1, &text("b"));
    let (_folder, bag) = made.finish();
    let lab = Lab::new();
    assert_eq!(lab.import(&bag, EVERYTHING, "root").code, 0);
    assert_eq!(lab.export("root", "run.mcap").code, 0);
    let file = std::fs::read(lab.path("run.mcap")).unwrap();
    let messages = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap);
    let first = messages.take(2).map(|m| (m.channel.topic.clone(), m.log_time, m.publish_time));
    let expected = [("/map".to_owned(), begin, boot), ("/plain".to_owned(), begin, begin)];
    assert_eq!(first.collect::<Vec<_>>(), expected);
}

#[test]
fn the_offset_of_a_stamp_that_messages_lack_moves_nothing() {
    let mut made = MadeBag::new();
    made.add("/text", TEXT, 100_000_000_000, &text("a"));
    let (_folder, bag) = made.finish();
    for mapping in [
        "topics: [{topic: /text, stamp_offset: -0.5}]\n",
        "topics: [{topic: /text, stamp: receive, stamp_offset: -0.5}]\n",
    ] {
        Lab::new().assert_round_trip(&bag, mapping);
    }
}

#[test]
fn pixels_come_back_exactly_where_their_file_has_them() {
    let mut made = MadeBag::new();
    let image = (
        "sensor_msgs/msg/Image",
        with_header!(
            "std_msgs/Header header\nuint32 height\nuint32 width\n\
        string encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data"
        ),
    );
    for (i, encoding) in ["rgb8", "bgr8", "16UC1"].into_iter().enumerate() {
        let pixels: Vec<u8> = (0..36).map(|byte| byte * 7).collect();
        let cdr = encode(|e| {
            let stamp = 1_700_000_000_000_000_000 + i as i64;
            header(e, stamp + i as i64 * 100_000_000)
                .number(3_u32.to_le_bytes())
                .number(2_u32.to_le_bytes());
            let step: u32 = if encoding == "16UC1" { 4 } else { 6 };
            e.text(encoding).number([0]).number(step.to_le_bytes());
            e.length(3 * step as usize).raw(&pixels[..3 * step as usize])
        });
        made.add("/image", image, 1_700_000_000_000_000_000 + i as u64, &cdr);
    }
    let (_folder, bag) = made.finish();
    let exact =
        "topics: [{topic: /image, stamp_ns: true, receive_ts: true, blobs: {image: png}}]\n";
    Lab::new().assert_round_trip(&bag, exact);

    let lab = Lab::new();
    assert_eq!(lab.import(&bag, EVERYTHING, "root").code, 0);
    let done = lab.export("root", "run.mcap");
    assert_eq!(done.code, 3, "{}", done.stderr);
    let said = "track image: 2 of 3 rows are left out; the first at 1700000000: image/000000.jpg: its picture is a JPEG";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    assert!(done.stderr.contains("1 messages on 1 topics"), "{}", done.stderr);
}
