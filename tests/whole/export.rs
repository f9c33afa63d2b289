//! A run as one MCAP file: whoever reads it finds every value of every row, at its time, and the files.

mod types;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mldash_bridge::fields;
use mldash_bridge::track::{ColumnType, Experiment, Format, Options, Query, RowSchema};
use serde_json::Value as Json;

use crate::dataset::{oracle, record, source};
use crate::program::{Done, program};

const RUN: &str = "alice/lab/run";
const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
/// Any time whose float is no whole nanosecond.
const AT: f64 = 1_700_000_000.123_456_7;

fn export(root: &Path, args: &[&str]) -> Done {
    program(["export", RUN, "--root"]).arg(root).args(args).current_dir(root).run()
}

/// Exports the run, and returns the file.
fn exported(root: &Path, args: &[&str]) -> PathBuf {
    let done = export(root, &[&["-o", "run.mcap", "--force"], args].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    root.join("run.mcap")
}

/// The messages of a file: topic, time, schema, and the text of those that are JSON.
fn messages(file: &Path) -> Vec<(String, u64, String, String)> {
    let file = fs::read(file).unwrap();
    let messages = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap);
    let described = messages.map(|message| {
        let schema = message.channel.schema.as_ref().unwrap();
        let is_json = message.channel.message_encoding == "json";
        let text =
            if is_json { String::from_utf8(message.data.into_owned()) } else { Ok(String::new()) };
        (message.channel.topic.clone(), message.log_time, schema.name.clone(), text.unwrap())
    });
    described.collect()
}

fn topics(file: &Path) -> Vec<String> {
    let mut topics: Vec<String> = messages(file).into_iter().map(|(topic, ..)| topic).collect();
    topics.sort();
    topics.dedup();
    topics
}

/// The names of the attachments.
fn attached(file: &Path) -> Vec<String> {
    let summary = mcap::Summary::read(&fs::read(file).unwrap()).unwrap().unwrap();
    summary.attachment_indexes.iter().map(|index| index.name.clone()).collect()
}

/// What the metadata record says.
fn about(file: &Path) -> BTreeMap<String, String> {
    let file = fs::read(file).unwrap();
    let summary = mcap::Summary::read(&file).unwrap().unwrap();
    let [index] = summary.metadata_indexes.as_slice() else { panic!("{summary:?}") };
    mcap::read::metadata(&file, index).unwrap().metadata
}

/// Holds every message against the rows, and returns what the other reader counted.
fn hold_against_rows(root: &Path, file: &Path, renamed: &[&str]) -> Json {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let rows = root.join("rows");
    fs::create_dir(&rows).unwrap();
    for track in exp.list().unwrap() {
        let text = exp.tracks(&track.topic).export(&Query::all(), Format::Jsonl).unwrap();
        fs::write(rows.join(format!("{}.jsonl", track.topic.replace('/', "+"))), text).unwrap();
    }
    let files = exp.folder().join("files");
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&file, &rows, &files];
    args.extend(renamed.iter().map(|name| name as &dyn AsRef<std::ffi::OsStr>));
    serde_json::from_str(&oracle("same_as_run.py", &args)).unwrap()
}

#[test]
fn every_value_of_an_imported_bag_is_in_its_mcap_at_its_stamp() {
    let root = tempfile::tempdir().unwrap();
    let mapping = "
topics:
  - {topic: /tf, each: transforms, track: 'tf/{child_frame_id}'}
  - topic: /pose
    track: robot/pose
    fields: {q: pose.orientation, e: pose.position}
  - {topic: /points, track: cloud, stamp_ns: true}
  - topic: /**
exclude: [/odom]
";
    fs::write(root.path().join("m.yaml"), mapping).unwrap();
    let import = ["import", BAG, "--config", "m.yaml", "--task", "drive a loop", "--tag", "lab"];
    let imported = program(import).args(["--experiment", RUN, "--root", "."]);
    let imported = imported.current_dir(root.path()).run();
    assert_eq!(imported.code, 0, "{}", imported.stderr);

    let file = exported(root.path(), &[]);

    let renamed = ["robot/pose:q=orientation", "robot/pose:e=position"];
    let found = hold_against_rows(root.path(), &file, &renamed);
    let schemas = found["schemas"].as_object().unwrap();
    let drawn: BTreeMap<&str, u64> = (schemas.iter())
        .filter_map(|(name, count)| Some((name.strip_prefix("foxglove.")?, count.as_u64()?)))
        .collect();
    let expected = [
        ("CameraCalibration", 225),
        ("CompressedImage", 5),
        ("FrameTransform", 450),
        ("FrameTransforms", 1),
        ("LaserScan", 225),
        ("PointCloud", 225),
        ("PoseInFrame", 225),
    ];
    assert_eq!(drawn, BTreeMap::from(expected));
    assert!(found["values"].as_u64().unwrap() > 10_000, "{found}");

    let about = about(&file);
    let said = |key: &str| about.get(key).map(String::as_str);
    assert_eq!(said("experiment"), Some(RUN));
    assert_eq!(said("status"), Some("COMPLETED"));
    assert_eq!((said("task"), said("tags")), (Some("drive a loop"), Some("lab")));
    assert_eq!((said("account.received"), said("account.complete")), (Some("1380"), Some("true")));
    assert_eq!(attached(&file), ["mapping.yaml", "account.json"]);
}

/// The smallest JPEG that there is, nearly.
const JPEG: &[u8] = b"\xff\xd8\xff\xd9";

/// A row of a camera, whose picture is saved if there are bytes.
fn camera(exp: &Experiment, index: u32, picture: Option<&[u8]>) {
    let track = exp.tracks("camera");
    let columns = [
        ("frame_id", ColumnType::Text),
        ("path", ColumnType::Text),
        ("frame", ColumnType::Text),
        ("index", ColumnType::Int),
        ("encoding", ColumnType::Text),
        ("bytes", ColumnType::Int),
    ];
    let schema = RowSchema::new("/camera").type_name("sensor_msgs/msg/CompressedImage");
    let schema = columns.into_iter().fold(schema, |schema, (name, ty)| schema.column(name, ty));
    let (path, frame) = (format!("camera/{index}.jpg"), format!("{index}.jpg"));
    if let Some(bytes) = picture {
        exp.files("camera").save_bytes(bytes, &frame).unwrap();
    }
    let row = fields! { "frame_id": "eye", "path": path, "frame": frame, "index": index, "encoding": "jpeg", "bytes": 4 };
    track.with_schema(schema).append(row, AT + f64::from(index)).unwrap();
}

#[test]
fn a_picture_that_is_gone_is_named_and_counted_and_its_row_is_there() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    camera(&exp, 0, Some(JPEG));
    camera(&exp, 1, None);
    camera(&exp, 2, Some(JPEG));
    exp.close().unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let files = exp.files("");
    let third = files.path(&files.find("camera/2.jpg").unwrap().unwrap()).unwrap();
    fs::write(third, b"\xff\xd8\xff\xd8").unwrap();

    let done = export(root.path(), &["-o", "run.mcap"]);

    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(done.stderr.contains("track camera: camera/1.jpg is missing: "), "{}", done.stderr);
    assert!(done.stderr.contains("track camera: camera/2.jpg is missing: "), "{}", done.stderr);
    let file = root.path().join("run.mcap");
    let all = messages(&file);
    let of = |schema: &str| all.iter().filter(|(_, _, name, _)| name == schema).count();
    assert_eq!((of("foxglove.CompressedImage"), of("camera")), (1, 3));
    assert_eq!(about(&file)["missing_files"], "2");
    // Nothing is drawn of a row whose picture is gone: its frame_id is in its JSON.
    assert!(
        all.iter().any(|(.., text)| text.contains(r#""frame_id":"eye","path":"camera/1.jpg""#))
    );
    assert!(attached(&file).is_empty());
}

#[test]
fn files_that_no_schema_draws_are_attached() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    exp.files("radio").save_bytes(b"\x01\x02", "000000.bin").unwrap();
    exp.tracks("radio").append(fields! { "data.path": "radio/000000.bin" }, 2.5).unwrap();
    exp.tracks("radio").append(fields! { "data.path": "no/file" }, 3.0).unwrap();
    exp.files("").save_bytes(b"<robot/>", "robot.urdf").unwrap();
    exp.close().unwrap();
    let file = exported(root.path(), &[]);
    assert_eq!(attached(&file), ["radio/000000.bin", "robot.urdf"]);
    let bytes = fs::read(&file).unwrap();
    let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
    let first = mcap::read::attachment(&bytes, &summary.attachment_indexes[0]).unwrap();
    assert_eq!((&*first.data, first.log_time), (&b"\x01\x02"[..], 2_500_000_000));
    // Of a part of the run, only what its rows name.
    assert_eq!(attached(&exported(root.path(), &["--start", "2"])), ["radio/000000.bin"]);
    assert!(attached(&exported(root.path(), &["--start", "2.6"])).is_empty());
}

fn record_arm(root: &Path) -> Experiment {
    let exp = record(root, RUN);
    for secs in 0..10 {
        for track in ["arm/left", "arm/right", "imu"] {
            exp.tracks(track).append(fields! { "q": secs }, f64::from(secs)).unwrap();
        }
    }
    exp.flush().unwrap();
    exp
}

#[test]
fn tracks_and_times_can_be_chosen() {
    let root = tempfile::tempdir().unwrap();
    record_arm(root.path()).close().unwrap();
    let chosen = ["--tracks", "arm/*", "--start", "2", "--end", "4.5"];
    let file = exported(root.path(), &chosen);
    let times: Vec<u64> =
        messages(&file).iter().map(|(_, time, ..)| time / 1_000_000_000).collect();
    assert_eq!(times, [2, 2, 3, 3, 4, 4]);
    assert_eq!(topics(&file), ["/arm/left", "/arm/right"]);
    let about = about(&file);
    assert_eq!((&*about["tracks"], &*about["end"]), ("arm/left, arm/right", "4.5"));
    // A topic means its track, and a folder what lies below.
    assert_eq!(topics(&exported(root.path(), &["--tracks", "/imu", "arm"])).len(), 3);
    let done = export(root.path(), &["-o", "x.mcap", "--tracks", "imu", "leg/*"]);
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("has no track `leg/*`; there are: arm/left, arm/right, imu"),
        "{}",
        done.stderr
    );
    assert!(!root.path().join("x.mcap").exists());
}

#[test]
fn a_part_of_a_run_has_the_transforms_that_held_when_it_began() {
    let root = tempfile::tempdir().unwrap();
    let exp = record_arm(root.path());
    let vector = || ColumnType::list(ColumnType::Float);
    let schema = RowSchema::new("/tf_static").type_name("tf2_msgs/msg/TFMessage");
    let schema = schema.column("frame_id", ColumnType::Text);
    let schema = schema.column("child_frame_id", ColumnType::Text);
    let schema = schema.column("transform.translation", vector());
    let schema = schema.column("transform.rotation", vector());
    let transform = fields! {
        "frame_id": "base", "child_frame_id": "laser", "transform.translation": [0.5, 0.0, 0.0],
        "transform.rotation": [0.0, 0.0, 0.0, 1.0],
    };
    let tf = exp.tracks("tf/laser").with_schema(schema);
    tf.append(transform.clone(), 1.0).unwrap();
    tf.append(transform, 2.0).unwrap();
    exp.close().unwrap();
    let transforms = |args: &[&str]| -> Vec<(u64, u64)> {
        let file = fs::read(exported(root.path(), args)).unwrap();
        let messages = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap);
        let drawn = messages.filter(|message| message.channel.topic == "/tf/laser");
        drawn.map(|message| (message.log_time, message.publish_time)).collect()
    };
    let secs = |secs: &[(u64, u64)]| -> Vec<(u64, u64)> {
        secs.iter().map(|(log, publish)| (log * 1_000_000_000, publish * 1_000_000_000)).collect()
    };
    assert_eq!(transforms(&[]), secs(&[(1, 1), (2, 2)]));
    assert_eq!(transforms(&["--start", "5"]), secs(&[(5, 2)]));
    assert_eq!(transforms(&["--start", "2"]), secs(&[(2, 1), (2, 2)]));
    assert_eq!(transforms(&["--end", "1"]), secs(&[(1, 1)]));
}

#[test]
fn a_file_appears_whole_and_replaces_another_only_if_told() {
    let root = tempfile::tempdir().unwrap();
    record_arm(root.path()).close().unwrap();
    fs::write(root.path().join("run.mcap"), "mine").unwrap();
    let refused = export(root.path(), &["-o", "run.mcap"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("choose another name, or replace it with `--force`"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read(root.path().join("run.mcap")).unwrap(), b"mine");
    let file = exported(root.path(), &[]);
    assert_eq!(messages(&file).len(), 30);
    let piped = export(root.path(), &["-o", "-"]);
    assert_eq!(piped.stdout, fs::read(&file).unwrap());

    // A row before 1970 has no time in MCAP: nothing is left, and the old file stays.
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    exp.tracks("imu").append(fields! { "q": 0 }, -0.5).unwrap();
    exp.close().unwrap();
    let failed = export(root.path(), &["-o", "run.mcap", "--force"]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.stderr.contains("track `imu`: a row at -0.5 s has no time in MCAP"),
        "{}",
        failed.stderr
    );
    assert_eq!(fs::read(&file).unwrap(), piped.stdout);
    assert!(fs::read_dir(root.path()).unwrap().count() == 2, "no half file is left");
    // What a pipe got has no end.
    let failed = export(root.path(), &["-o", "-"]);
    assert!(failed.code == 1 && mcap::Summary::read(&failed.stdout).is_err());
    exported(root.path(), &["--start", "0"]);
}

#[test]
fn a_run_that_is_being_recorded_is_exported_up_to_now_which_is_said() {
    let root = tempfile::tempdir().unwrap();
    let exp = record_arm(root.path());
    let done = export(root.path(), &["-o", "run.mcap"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("is still being recorded"), "{}", done.stderr);
    let file = root.path().join("run.mcap");
    assert_eq!(messages(&file).len(), 30);
    assert_eq!(about(&file)["is_live"], "true");
    exp.close().unwrap();
    assert!(!about(&exported(root.path(), &[])).contains_key("is_live"));
}

#[test]
fn topics_for_columns_are_no_other_tracks() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    let schema = RowSchema::new("/odom").type_name("nav_msgs/msg/Odometry");
    let schema = schema.column("pose.pose.position", ColumnType::list(ColumnType::Float));
    let schema = schema.column("pose.pose.orientation", ColumnType::list(ColumnType::Float));
    let row = fields! { "pose.pose.position": [0.0; 3], "pose.pose.orientation": [0.0; 4], "x": 1 };
    exp.tracks("odom").with_schema(schema).append(row, 1.0).unwrap();
    exp.tracks("odom/columns").append(fields! { "mine": 1 }, 1.0).unwrap();
    exp.close().unwrap();
    let file = exported(root.path(), &[]);
    assert_eq!(topics(&file), ["/odom", "/odom/columns", "/odom/columns_"]);
}

#[test]
fn the_docs_name_every_schema_that_tracks_are_drawn_as() {
    let docs = fs::read_to_string(source("docs/export.md")).unwrap();
    let folder = source("crates/mldash-export/src/mcap/draw");
    let mut known = 0;
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let doc: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        for name in doc.split('`').filter_map(|word| word.strip_prefix("foxglove.")) {
            assert!(docs.contains(&format!("`{name}`")), "docs/export.md does not name {name}");
            known += 1;
        }
    }
    assert!(known > 10);
}
