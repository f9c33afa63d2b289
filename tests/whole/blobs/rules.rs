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

/// A bag of gray images, each unlike the others, with these stamps and logged in this order.
fn varied_bag(millis: &[u32]) -> MadeBag {
    let mut bag = MadeBag::new();
    for (i, millis) in (0..).zip(millis) {
        let mut image = gray(8, 8);
        image.data[0] = i;
        bag.add("/camera", IMAGE, u64::from(i) + 1, &image.cdr(*millis));
    }
    bag
}

#[test]
fn another_import_of_the_same_pictures_gives_the_same_rows_and_no_file_more() {
    let imported = varied_bag(&[10, 20, 20, 30]).import(CAMERA);
    let rows = imported.rows("camera");
    let again = imported.again(CAMERA);
    assert_eq!(again.rows("camera"), rows);
    assert_eq!(again.files().len(), 4);
    let topic = again.topic("/camera");
    assert_eq!((&topic["stored"], &topic["merged"]), (&0.into(), &4.into()));
}

#[test]
fn pictures_of_stamps_that_are_taken_get_rows_and_files_behind_those_that_are_there() {
    let imported = varied_bag(&[10, 20]).import(CAMERA);
    let mut more = MadeBag::new();
    // The same picture, another one of its size, and a later one.
    let mut image = gray(8, 8);
    image.data[0] = 0;
    more.add("/camera", IMAGE, 1, &image.cdr(10));
    image.data[0] = 77;
    more.add("/camera", IMAGE, 2, &image.cdr(20));
    more.add("/camera", IMAGE, 3, &image.cdr(30));
    let imported = imported.and(more, CAMERA);
    let rows = frames(&imported.rows("camera"));
    let paths: Vec<&str> = rows.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, [0, 1, 2, 3].map(|i| format!("camera/{i:06}.png")));
    assert!(rows[1].0 < rows[2].0 && rows[2].0 - rows[1].0 < 1e-6, "{rows:?}");
    assert_eq!(imported.files().len(), 4);
    let topic = imported.topic("/camera");
    assert_eq!((&topic["stored"], &topic["merged"]), (&2.into(), &1.into()));
    assert_eq!(topic["notes"]["stamp_moved"], 1);
}

#[test]
fn a_late_frame_keeps_the_number_that_it_came_with_and_frames_of_one_stamp_are_two_rows() {
    let imported = varied_bag(&[20, 30, 10, 30]).import(CAMERA);
    let frames = frames(&imported.rows("camera"));
    let paths: Vec<&str> = frames.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, [2, 0, 1, 3].map(|i| format!("camera/{i:06}.png")));
    let topic = imported.topic("/camera");
    assert_eq!((&topic["stored"], &topic["merged"]), (&4.into(), &0.into()));

    let merged =
        varied_bag(&[20, 30, 30]).import("topics:\n  - topic: /camera\n    same_stamp: merge\n");
    assert_eq!(self::frames(&merged.rows("camera"))[1].1, "camera/000002.png", "the later one");
    assert_eq!(merged.topic("/camera")["merged"], 1);
}

#[test]
fn a_picture_that_comes_twice_is_one_row_and_one_file() {
    let imported = gray_bag(&[20, 30, 30]).import(CAMERA);
    assert_eq!(imported.files(), ["camera/000000.png", "camera/000001.png"]);
    let topic = imported.topic("/camera");
    assert_eq!((&topic["stored"], &topic["merged"]), (&2.into(), &1.into()));
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
