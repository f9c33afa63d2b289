//! The real ML-Dash SDK beside us: it reads what we write, we read what it writes, and a recording
//! may go back and forth between the two.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Format, Options, Query, Row, RunStatus, Value};
use serde_json::{Value as Json, json};

use crate::parquet_table::ParquetTable;
use crate::python::python;

const RUN: &str = "alice/warehouse/run-1";

/// Runs tests/interop/sdk.py with `args` on the experiment under `root`.
fn sdk(command: &str, root: &Path, args: &[&str], stdin: &str) -> String {
    let mut child = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sdk.py"))
        .args([command, root.to_str().unwrap(), RUN])
        .args(args)
        .env("ML_DASH_NO_VERSION_CHECK", "1")
        .env("ML_DASH_CONFIG_DIR", root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Has the SDK append, flushing after each group of `(_ts, fields)`.
fn sdk_writes(root: &Path, topic: &str, flushes: &[&[(f64, &str)]]) {
    let mut steps = String::new();
    for rows in flushes {
        for (ts, fields) in *rows {
            steps += &format!("{{\"topic\":\"{topic}\",\"_ts\":{ts:?},\"fields\":{fields}}}\n");
        }
        steps += "{\"flush\":true}\n";
    }
    sdk("write", root, &[], &steps);
}

/// What the SDK makes of a track in every way it has.
fn sdk_reads(root: &Path, topic: &str, args: &[&str]) -> Json {
    let args: Vec<&str> = [topic].iter().chain(args).copied().collect();
    serde_json::from_str(&sdk("read", root, &args, "")).unwrap()
}

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, Options::local(root)).unwrap()
}

/// Rows in the words of sdk.py.
fn as_json(rows: &[Row]) -> Vec<Json> {
    let entry = |row: &Row| {
        let fields = row.fields.iter().map(|(name, v)| (name.to_string(), value_as_json(v)));
        let time = ("timestamp".to_owned(), json!(row.ts.as_secs()));
        Json::Object([time].into_iter().chain(fields).collect())
    };
    rows.iter().map(entry).collect()
}

fn value_as_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::UInt(u) => json!(u),
        Value::F32(f) => value_as_json(&Value::F64((*f).into())),
        Value::F64(f) if f.is_finite() => json!(f),
        Value::F64(f) => json!(f.to_string().to_lowercase()),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(bytes),
        Value::Array(array) => mldash_bridge::with_array!(array, v => {
            v.iter().map(|x| value_as_json(&Value::from(*x))).collect()
        }),
        Value::List(items) => items.iter().map(value_as_json).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.to_string(), value_as_json(v))).collect())
        }
    }
}

/// Rows of which every one has every column: the SDK's Parquet only has those of the first.
fn record_even_rows(exp: &Experiment, topic: &str) {
    for i in [3, 1, 0, 2] {
        let detection = [("label".into(), "håndflade\n".into()), ("score".into(), 0.5.into())];
        let row = fields! {
            "q": [0.1 * f64::from(i), -0.22, f64::from(i)],
            "ranges": [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0],
            "arm": { "mode": "hold", "joints": i },
            "seen": vec![Value::Map(detection.into())],
            "ok": i % 2 == 0,
            "none": Value::Null,
            "big": i64::MAX - i64::from(i),
        };
        exp.tracks(topic).append(row, f64::from(i) / 4.0 + 1_700_000_000.0).unwrap();
        exp.flush().unwrap();
    }
}

#[test]
fn the_sdk_continues_an_experiment_whose_run_we_told_of() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.start_run(json!({"host": "rover"}).as_object().unwrap().clone()).unwrap();
    exp.tracks("arm").append(fields! { "q": 1 }, 1.0).unwrap();
    exp.close().unwrap();
    sdk_writes(root.path(), "arm", &[&[(2.0, r#"{"q": 2}"#)]]);
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(reader.tracks("arm").read(&Query::all()).unwrap().len(), 2);
    let notes = reader.notes().unwrap();
    assert_eq!(notes.status, Some(RunStatus::Completed));
    assert_eq!(notes.metadata.unwrap()["host"], "rover");
}

#[test]
fn files_go_back_and_forth_between_the_sdk_and_us() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    for name in ["frame.jpg", "new.txt", "old.txt"] {
        exp.files("frames").save_bytes(format!("our {name}"), name).unwrap();
    }
    exp.close().unwrap();

    // The SDK reports its uploads on stdout too.
    let said = sdk("files", root.path(), &["frames"], "");
    let seen: Json = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let texts = json!({
        "frame.jpg": "our frame.jpg", "new.txt": "our new.txt", "old.txt": "our old.txt",
    });
    assert_eq!(seen["texts"], texts);
    let types = json!({
        "frame.jpg": "image/jpeg", "new.txt": "text/plain", "old.txt": "text/plain",
    });
    assert_eq!(seen["types"], types);

    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    let frames = exp.files("frames");
    let names: Vec<String> = frames.list().unwrap().into_iter().map(|f| f.filename).collect();
    assert_eq!(names, ["frame.jpg", "new.txt"]);
    assert_eq!(frames.read("new.txt").unwrap(), b"from the SDK");
}

#[test]
fn the_sdk_reads_what_we_write_in_every_way_it_has() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record_even_rows(&exp, "robot/pose");
    exp.tracks("robot/mode").append(fields! { "m": 1 }, 1.0).unwrap();
    exp.close().unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let pose = exp.tracks("robot/pose");
    let file = root.path().join("ours.parquet");
    fs::write(&file, pose.export(&Query::all(), Format::Parquet).unwrap()).unwrap();
    let rows = as_json(&pose.read(&Query::all()).unwrap());

    let sdk = sdk_reads(root.path(), "robot/pose", &[file.to_str().unwrap()]);
    assert_eq!(sdk["json"], json!({ "entries": rows, "count": 4 }));
    assert_eq!(sdk["jsonl"], json!(rows));
    assert_eq!(sdk["iterated"], json!(rows));
    assert_eq!(sdk["range"], json!({ "entries": rows[..2], "count": 2 }));
    assert_eq!(sdk["found"], json!(rows[..3]));
    assert_eq!(sdk["parquet"]["rows"], json!(rows));
    assert_eq!(sdk["file"], sdk["parquet"], "our Parquet and the SDK's, types and rows");
    let tracks = sdk["listed"].as_array().unwrap();
    let pose = tracks.iter().find(|track| track["topic"] == "robot/pose").unwrap();
    assert_eq!((tracks.len(), &pose["totalEntries"]), (2, &json!(4)));
    assert_eq!(pose["columns"].as_array().unwrap().len(), 8);
    assert_eq!(
        (&pose["firstTimestamp"], &pose["lastTimestamp"]),
        (&rows[0]["timestamp"], &rows[3]["timestamp"])
    );
}

#[test]
fn the_sdk_sees_packed_tracks_without_rows_until_they_are_unpacked_and_appends_beside_them() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for i in 0..3 {
        exp.tracks("arm").append(fields! { "q": i }, f64::from(i)).unwrap();
    }
    exp.close().unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    exp.pack(|| std::ops::ControlFlow::Continue(())).unwrap();
    let glance =
        || -> Json { serde_json::from_str(&sdk("glance", root.path(), &["arm"], "")).unwrap() };
    let packed = glance();
    assert_eq!((&packed["rows"], &packed["listed"][0]["totalEntries"]), (&json!([]), &json!(3)));
    sdk_writes(root.path(), "arm", &[&[(1.0, r#"{"q": 9}"#), (7.0, r#"{"q": 7}"#)]]);
    let rows = exp.tracks("arm").read(&Query::all()).unwrap();
    let expected = [(0.0, 0), (1.0, 9), (2.0, 2), (7.0, 7)];
    let expected: Vec<Json> =
        expected.iter().map(|(ts, q)| json!({ "timestamp": ts, "q": q })).collect();
    assert_eq!(as_json(&rows), expected);
    exp.unpack().unwrap();
    Experiment::open(RUN, Options::local(root.path())).unwrap().close().unwrap();
    assert_eq!(glance()["rows"], json!(expected));
}

#[test]
fn our_mocap_json_and_jsonl_are_what_the_sdk_returns() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for i in 0..3 {
        exp.tracks("arm").append(fields! { "q": [i, 2], "w": 0.5 }, f64::from(i)).unwrap();
    }
    exp.tracks("arm").append(fields! { "late": "x" }, 9.5).unwrap();
    exp.close().unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let ours = |format| exp.tracks("arm").export(&Query::all(), format).unwrap();
    let parse = |text: &[u8]| serde_json::from_slice::<Json>(text).unwrap();
    let sdk = sdk_reads(root.path(), "arm", &[]);
    assert_eq!(parse(&ours(Format::Mocap)), sdk["mocap"]);
    assert_eq!(parse(&ours(Format::Json)), sdk["json"]);
    let lines: Vec<Json> = ours(Format::Jsonl).split(|b| *b == b'\n').map(parse).collect();
    assert_eq!(json!(lines), sdk["jsonl"]);
}

#[test]
fn what_the_sdk_writes_unsorted_and_unmerged_we_read_sorted_and_merged() {
    let root = tempfile::tempdir().unwrap();
    sdk_writes(
        root.path(),
        "robot/pose",
        &[
            &[
                (5.0, r#"{"q": [NaN, 1], "mode": "b\u00e5d"}"#),
                (3.0, r#"{"big": 18446744073709551615}"#),
            ],
            &[
                (1.0, r#"{"arm": {"j": {"x": 1}}, "none": null}"#),
                (5.0, r#"{"mode": "hold", "inf": -Infinity}"#),
            ],
            &[(3.0, r#"{"seen": [{"id": 1}, [2, "x"], true]}"#)],
        ],
    );
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let rows = as_json(&exp.tracks("robot/pose").read(&Query::all()).unwrap());
    let expected = json!([
        { "timestamp": 1.0, "arm.j.x": 1, "none": null },
        { "timestamp": 3.0, "big": u64::MAX, "seen": [{ "id": 1 }, [2, "x"], true] },
        { "timestamp": 5.0, "q": ["nan", 1], "mode": "hold", "inf": "-inf" },
    ]);
    assert_eq!(json!(rows), expected);
    let tracks = exp.list().unwrap();
    assert_eq!((tracks[0].topic.as_str(), tracks[0].total_entries), ("robot/pose", 3));
    let table = exp.tracks("robot/pose").export(&Query::all(), Format::Parquet).unwrap();
    let rows = exp.tracks("robot/pose").read(&Query::all()).unwrap();
    ParquetTable::read(&table).assert_holds(&rows);
}

#[test]
fn a_recording_goes_back_and_forth_between_the_sdk_and_us() {
    let root = tempfile::tempdir().unwrap();
    sdk_writes(root.path(), "arm", &[&[(2.0, r#"{"a": 1}"#)], &[(1.0, r#"{"a": 2}"#)]]);
    let exp = open(root.path());
    exp.tracks("arm").append(fields! { "b": 3 }, 2.0).unwrap();
    exp.tracks("arm").append(fields! { "a": 4 }, 3.0).unwrap();
    exp.close().unwrap();
    let mut expected = vec![
        json!({ "timestamp": 1.0, "a": 2 }),
        json!({ "timestamp": 2.0, "a": 1, "b": 3 }),
        json!({ "timestamp": 3.0, "a": 4 }),
    ];
    assert_eq!(sdk_reads(root.path(), "arm", &[])["iterated"], json!(expected));

    sdk_writes(root.path(), "arm", &[&[(4.0, r#"{"a": 5}"#), (3.0, r#"{"a": 6}"#)]]);
    expected[2] = json!({ "timestamp": 3.0, "a": 6 });
    expected.push(json!({ "timestamp": 4.0, "a": 5 }));
    let exp = open(root.path());
    assert_eq!(as_json(&exp.tracks("arm").read(&Query::all()).unwrap()), expected);
    exp.close().unwrap();
    assert_eq!(sdk_reads(root.path(), "arm", &[])["iterated"], json!(expected));
}

#[test]
fn a_topic_whose_folder_the_sdk_gave_to_another_is_refused_with_both_names() {
    let root = tempfile::tempdir().unwrap();
    sdk_writes(root.path(), "robot/pose", &[&[(1.0, r#"{"a": 1}"#)]]);
    let exp = open(root.path());
    let error = exp.tracks("robot_pose").append(fields! { "a": 2 }, 2.0).unwrap_err().to_string();
    assert!(error.contains("`robot_pose`") && error.contains("`robot/pose`"), "{error}");
    let error = exp.tracks("robot_pose").read(&Query::all()).unwrap_err().to_string();
    assert!(error.contains("`robot_pose`") && error.contains("`robot/pose`"), "{error}");
    exp.tracks("robot/pose").append(fields! { "a": 2 }, 2.0).unwrap();
    exp.close().unwrap();
    assert_eq!(sdk_reads(root.path(), "robot/pose", &[])["json"]["count"], 2);
}
