//! What stays in the row, what becomes a file, and how files are named and counted.

use mldash_bridge::track::{Row, Value};

use super::made::{IMAGE, Image, noise, stamp_nanos};
use crate::decode::encoder::encode;
use crate::made_bag::{Imported, MadeBag, Type, header, with_header};

/// A message of ours with a picture and bytes in it.
const SHOT: Type = (
    "my_msgs/msg/Shot",
    concat!(
        with_header!(
            "std_msgs/Header header\nsensor_msgs/Image left\nuint8[] raw\nNote[] notes\nfloat64 x"
        ),
        "===\nMSG: sensor_msgs/Image\nstd_msgs/Header header\nuint32 height\nuint32 width\n\
         string encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data\n\
         ===\nMSG: my_msgs/Note\nuint8[] ink\n"
    ),
);

fn shot(millis: u32, raw_bytes: usize, ink_bytes: usize) -> Vec<u8> {
    encode(|e| {
        header(e, stamp_nanos(millis));
        gray(200, 400).write(header(e, stamp_nanos(millis)));
        e.length(raw_bytes).raw(&noise(raw_bytes));
        e.length(1).length(ink_bytes).raw(&noise(ink_bytes)).f64s(&[0.5])
    })
}

fn gray(width: u32, height: u32) -> Image {
    let data = noise((width * height) as usize);
    Image { encoding: "mono8", width, height, step: width, is_bigendian: false, data }
}

fn frames(rows: &[Row]) -> Vec<(f64, String)> {
    let frame = |row: &Row| match row.fields.get("path") {
        Some(Value::Text(path)) => (row.ts.as_secs() - 1_700_000_000.0, path.clone()),
        other => panic!("{other:?}"),
    };
    rows.iter().map(frame).collect()
}

/// A bag of gray images with these stamps, logged in this order.
fn gray_bag(millis: &[u32]) -> MadeBag {
    let mut bag = MadeBag::new();
    for (i, millis) in (1..).zip(millis) {
        bag.add("/camera", IMAGE, i, &gray(8, 8).cdr(*millis));
    }
    bag
}

const CAMERA: &str = "topics:\n  - topic: /camera\n";

#[test]
fn frames_are_numbered_as_they_come_whatever_each_takes_to_encode() {
    let mut bag = MadeBag::new();
    for i in 0..60 {
        // Large and small ones, so that they are done in another order.
        let size = if i % 3 == 0 { 700 } else { 2 };
        bag.add("/camera", IMAGE, u64::from(i), &gray(size, size).cdr(i * 10 + 10));
    }
    let imported = bag.import(CAMERA);
    let expected: Vec<String> = (0..60).map(|i| format!("camera/{i:06}.png")).collect();
    let paths: Vec<String> =
        frames(&imported.rows("camera")).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, expected);
    assert_eq!(imported.files(), expected);
}

#[test]
fn another_import_goes_on_behind_the_frames_that_are_there() {
    let imported = gray_bag(&[10, 20, 30]).import(CAMERA).again(CAMERA);
    assert_eq!(imported.files().len(), 6);
    let expected = [(0.01, 3), (0.02, 4), (0.03, 5)];
    let frames = frames(&imported.rows("camera"));
    assert_eq!(frames.len(), 3);
    for ((ts, path), (expected_ts, index)) in frames.iter().zip(expected) {
        assert!((ts - expected_ts).abs() < 1e-6);
        assert_eq!(*path, format!("camera/{index:06}.png"));
    }
}

#[test]
fn a_late_frame_keeps_the_number_that_it_came_with_and_the_later_of_one_stamp_wins() {
    let imported = gray_bag(&[20, 30, 10, 30]).import(CAMERA);
    let paths: Vec<String> =
        frames(&imported.rows("camera")).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["camera/000002.png", "camera/000000.png", "camera/000003.png"]);
    let topic = imported.topic("/camera");
    assert_eq!((&topic["stored"], &topic["merged"]), (&3.into(), &1.into()));
}

#[test]
fn what_rates_and_changes_leave_out_is_not_encoded() {
    let thinned =
        gray_bag(&[0, 10, 100, 110, 200]).import("topics:\n  - topic: /camera\n    max_rate: 10\n");
    assert_eq!(thinned.files().len(), 3);
    assert_eq!(thinned.topic("/camera")["throttled"], 2);

    let mut bag = gray_bag(&[10, 20]);
    let mut changed = gray(8, 8);
    changed.data[63] ^= 1;
    bag.add("/camera", IMAGE, 3, &changed.cdr(30));
    let changes = bag.import("topics:\n  - topic: /camera\n    on_change: true\n");
    assert_eq!(frames(&changes.rows("camera")).len(), 2);
    assert_eq!(changes.files(), ["camera/000000.png", "camera/000001.png"]);
    assert_eq!(changes.topic("/camera")["unchanged"], 1);
}

#[test]
fn the_mapping_may_keep_pictures_in_the_row_or_do_without() {
    let inline = gray_bag(&[10]).import("topics:\n  - topic: /camera\n    blobs: inline\n");
    assert_eq!(inline.rows("camera")[0].fields.get("data"), Some(&as_ints(&gray(8, 8).data)));
    let small =
        gray_bag(&[10]).import("topics:\n  - topic: /camera\n    blobs: {max_inline: 64B}\n");
    assert_eq!(small.rows("camera"), inline.rows("camera"));
    let large =
        gray_bag(&[10]).import("topics:\n  - topic: /camera\n    blobs: {max_inline: 63B}\n");
    assert_eq!(large.files(), ["camera/000000.png"]);
    let without = gray_bag(&[10]).import("topics:\n  - topic: /camera\n    blobs: drop\n");
    assert_eq!(without.topic("/camera")["dropped"]["blobs_off"], 1);
    let only = gray_bag(&[10]).import("topics:\n  - topic: /camera\n    fields: [width]\n");
    assert_eq!(only.rows("camera")[0].fields.len(), 1);
    assert_eq!(only.files(), [""; 0]);
}

/// Bytes as they are read back.
fn as_ints(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| i64::from(*byte)).collect::<Vec<_>>().into()
}

#[test]
fn fields_may_be_chosen_and_renamed_and_the_file_is_told_all_the_same() {
    let imported = gray_bag(&[10]).import(
        "topics:\n  - topic: /camera\n    fields: {picture: data, frame: header.frame_id}\n",
    );
    let row = &imported.rows("camera")[0];
    assert_eq!(row.fields.get("frame"), Some(&"map".into()));
    let columns: Vec<&str> = row.fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(
        columns,
        ["frame", "path", "frame_", "index", "width", "height", "encoding", "bytes"]
    );
}

fn import_shot(raw_bytes: usize, ink_bytes: usize, options: &str) -> Imported {
    let mut bag = MadeBag::new();
    bag.add("/shot", SHOT, 1, &shot(10, raw_bytes, ink_bytes));
    bag.import(&format!("topics:\n  - topic: /shot\n    blobs: {options}\n"))
}

#[test]
fn pictures_and_bytes_in_messages_of_any_type_become_files() {
    let imported = import_shot(70_000, 3, "file");
    assert_eq!(imported.files(), ["shot/left/000000.png", "shot/raw/000000.bin"]);
    let raw = std::fs::read(imported.file("shot/raw/000000.bin")).unwrap();
    assert!(raw == noise(70_000));
    let row = &imported.rows("shot")[0];
    for (column, value) in [
        ("left.path", Value::from("shot/left/000000.png")),
        ("left.width", 200.into()),
        ("left.encoding", "mono8".into()),
        ("raw.path", "shot/raw/000000.bin".into()),
        ("raw.bytes", 70_000.into()),
        ("raw.index", 0.into()),
        ("x", 0.5.into()),
    ] {
        assert_eq!(row.fields.get(column), Some(&value), "{column}");
    }
    assert_eq!(row.fields.get("raw"), None);
}

#[test]
fn small_byte_arrays_stay_in_the_row() {
    let imported = import_shot(3, 3, "file");
    assert_eq!(imported.rows("shot")[0].fields.get("raw"), Some(&as_ints(&noise(3))));
    assert_eq!(imported.files(), ["shot/left/000000.png"]);
}

#[test]
fn a_large_byte_array_in_a_list_of_messages_is_refused_with_what_to_do() {
    let topic = import_shot(3, 70_000, "file").topic("/shot");
    assert_eq!(topic["dropped"]["blob_too_large"], 1);
    assert!(topic["errors"][0].as_str().unwrap().contains("blobs: inline"), "{topic:#}");
    assert_eq!(import_shot(3, 70_000, "inline").topic("/shot")["stored"], 1);
    let without = import_shot(3, 70_000, "drop").topic("/shot");
    assert_eq!((&without["stored"], &without["notes"]["blob_left_out"]), (&1.into(), &1.into()));
}
