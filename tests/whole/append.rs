//! Appending: fields of every kind, what is refused and how it is told, `mldash_bridge append`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{
    Appended, Experiment, Format, Options, Query, TrackError, Value, WhenFull,
};
use serde_json::json;

use crate::program::{Done, program};

const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, Options::local(root)).unwrap()
}

fn stored(exp: &Experiment, topic: &str) -> String {
    String::from_utf8(exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap()).unwrap()
}

fn append_lines(root: &Path, topic: &str, lines: &str) -> Done {
    program(["append", RUN, topic, "--root"]).arg(root).stdin(lines).run()
}

fn read(root: &Path, topic: &str) -> String {
    let done = program(["read", RUN, topic, "--format", "jsonl", "--root"]).arg(root).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    done.text().trim_end_matches('\n').to_owned()
}

#[test]
fn fields_come_from_the_macro_from_structs_and_from_json() {
    #[derive(serde::Serialize)]
    struct Pose {
        q: [f32; 2],
        grip: Option<f64>,
    }
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let arm = exp.tracks("arm");
    arm.append(fields! { "png": Value::Bytes(b"\x89PNG".to_vec()), "a": { "b": true } }, 1.0)
        .unwrap();
    arm.append_serialize(&Pose { q: [0.1, f32::NAN], grip: None }, 2.0).unwrap();
    arm.append_serialize(&json!({ "a": { "b": [1, { "c": null }] } }), 3.0).unwrap();
    arm.append_json(r#"{"a": {"b": 1e-3}, "_ts": 4, "ranges": [1.5, Infinity]}"#).unwrap();
    assert_eq!(
        stored(&exp, "arm"),
        "{\"timestamp\":1.0,\"png\":\"iVBORw==\",\"a.b\":true}\n\
         {\"timestamp\":2.0,\"q\":[0.1,NaN],\"grip\":null}\n\
         {\"timestamp\":3.0,\"a.b\":[1,{\"c\":null}]}\n\
         {\"timestamp\":4.0,\"a.b\":0.001,\"ranges\":[1.5,Infinity]}"
    );
}

#[test]
fn a_json_row_without_a_usable_time_is_refused_with_the_topic_and_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let refused = |text: &str| {
        let message = exp.tracks("arm/q").append_json(text).unwrap_err().to_string();
        assert!(message.contains("`arm/q`"), "{message}");
        message
    };
    assert!(refused(r#"{"q": 1}"#).contains("`_ts` is missing"));
    assert!(refused(r#"{"timestamp": 1, "q": 1}"#).contains("`_ts` is missing"));
    assert!(refused(r#"{"_ts": "1.5"}"#).contains(r#"must be a number of seconds, got "1.5""#));
    assert!(refused(r#"{"_ts": null}"#).contains("got null"));
    assert!(refused(r#"{"_ts": true}"#).contains("got true"));
    assert!(refused(r#"{"_ts": [1]}"#).contains("got [1]"));
    assert!(refused(r#"{"_ts": NaN}"#).contains("must be finite, got NaN"));
    assert!(refused(r#"{"_ts": -Infinity}"#).contains("must be finite, got -Infinity"));
    assert!(refused(r#"{"_ts": 1e999}"#).contains("must be finite, got Infinity"));
    assert!(refused(r#"{"_ts": 1, "timestamp": 2}"#).contains("can't be called `timestamp`"));
    assert!(refused("[1]").contains("not a JSON object"));
    assert_eq!(stored(&exp, "arm/q"), "");
}

#[test]
fn fields_that_could_not_be_read_back_or_taken_for_the_time_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    exp.tracks("t").append(fields! { "deep": nested(64) }, 1.0).unwrap();
    let error = exp.tracks("t").append(fields! { "deep": nested(65) }, 2.0).unwrap_err();
    assert!(matches!(error, TrackError::TooDeep { .. }), "{error}");
    let error = exp.tracks("t").append(fields! { "_ts": 1.0 }, 2.0).unwrap_err();
    assert!(error.to_string().contains("can't be called `_ts`"), "{error}");
    assert_eq!(exp.tracks("t").read(&Query::all()).unwrap().len(), 1);
}

#[test]
fn a_row_that_finds_no_room_calls_for_a_flush_instead_of_waiting_for_the_interval() {
    let root = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let small = Options::local(root.path()).flush_interval(hour).buffer_bytes(10_000);
    let exp = Experiment::open(RUN, small.when_full(WhenFull::Wait)).unwrap();
    exp.tracks("t").append(fields! { "v": "x".repeat(3_000) }, 1.0).unwrap();
    exp.tracks("t").append(fields! { "v": "x".repeat(9_000) }, 2.0).unwrap();
    assert_eq!(exp.tracks("t").read(&Query::all()).unwrap().len(), 2);
}

#[test]
fn the_command_keeps_good_lines_tells_bad_ones_by_number_and_fails() {
    let root = tempfile::tempdir().unwrap();
    let lines = "{\"_ts\": 2, \"q\": [0.5]}\n\
                 {\"q\": 1}\n\
                 \n\
                 {\"_ts\": 1, \"mode\": \"hold\"}\r\n\
                 not json\n\
                 {\"_ts\": \"3\"}\n\
                 {\"_ts\": 2, \"e\": 7}";
    let done = append_lines(root.path(), "robot/pose", lines);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert_eq!(done.text(), "{\"topic\":\"robot/pose\",\"appended\":3,\"merged\":1,\"bad\":3}\n");
    let told: Vec<&str> = done.stderr.lines().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(told, ["line 2", "line 5", "line 6", "mldash_bridge"]);
    assert!(done.stderr.contains("line 2: track `robot/pose`: `_ts` is missing"));
    assert_eq!(
        read(root.path(), "robot/pose"),
        "{\"timestamp\":1.0,\"mode\":\"hold\"}\n{\"timestamp\":2.0,\"q\":[0.5],\"e\":7}"
    );
}

#[test]
fn the_command_merges_with_what_an_earlier_run_left() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(append_lines(root.path(), "t", "{\"_ts\": 1, \"a\": 1, \"b\": 1}").code, 0);
    let done = append_lines(root.path(), "t", "{\"_ts\": 1, \"b\": 2}\n{\"_ts\": 0}\n");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.text(), "{\"topic\":\"t\",\"appended\":2,\"merged\":1,\"bad\":0}\n");
    assert_eq!(read(root.path(), "t"), "{\"timestamp\":0.0}\n{\"timestamp\":1.0,\"a\":1,\"b\":2}");
}

#[test]
fn a_topic_that_can_not_be_one_is_wrong_usage_and_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let done = append_lines(root.path(), "../escape", "{\"_ts\": 1}");
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_second_process_is_refused_and_told_who_records() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let refused = append_lines(root.path(), "t", "{\"_ts\": 1}");
    assert_eq!((refused.code, refused.text()), (1, ""));
    let holder = format!("process {}", std::process::id());
    assert!(refused.stderr.contains(&holder), "{}", refused.stderr);
    // Readers are welcome meanwhile.
    exp.tracks("t").append(fields! { "v": 1 }, 1.0).unwrap();
    exp.flush().unwrap();
    assert_eq!(read(root.path(), "t"), "{\"timestamp\":1.0,\"v\":1}");
    exp.close().unwrap();
    assert_eq!(append_lines(root.path(), "t", "{\"_ts\": 2}").code, 0);
}

#[test]
fn a_command_that_is_interrupted_stores_what_it_has_read() {
    let root = tempfile::tempdir().unwrap();
    let append = program(["append", RUN, "t", "--root"]).arg(root.path());
    let mut writer = append.env("ML_DASH_FLUSH_INTERVAL", "3600").start();
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(b"{\"_ts\": 1}\n{\"_ts\": 2}\nthe end\n").unwrap();
    let mut told = String::new();
    BufReader::new(writer.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with("line 3"), "{told}");

    let pid = rustix::process::Pid::from_child(&writer);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(writer.wait().unwrap().code(), Some(1));
    let mut summary = String::new();
    writer.stdout.unwrap().read_to_string(&mut summary).unwrap();
    assert_eq!(summary, "{\"topic\":\"t\",\"appended\":2,\"merged\":0,\"bad\":1}\n");
    assert_eq!(read(root.path(), "t"), "{\"timestamp\":1.0}\n{\"timestamp\":2.0}");
}

#[test]
fn a_writer_that_was_killed_leaves_its_rows_and_no_lock() {
    let root = tempfile::tempdir().unwrap();
    let append = program(["append", RUN, "t", "--root"]).arg(root.path());
    let mut writer = append.env("ML_DASH_BUFFER_ENABLED", "false").start();
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(b"{\"_ts\": 1, \"v\": 1}\n{\"_ts\": 2, \"v\": 2}\n").unwrap();
    let data = root.path().join(RUN).join("tracks/t/data.jsonl");
    let written = || std::fs::read_to_string(&data).unwrap_or_default().lines().count() == 2;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !written() {
        assert!(Instant::now() < deadline, "it writes nothing");
        assert!(writer.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
    let held = Experiment::open(RUN, Options::local(root.path())).unwrap_err().to_string();
    assert!(held.contains(&format!("process {}", writer.id())), "{held}");
    writer.kill().unwrap();
    writer.wait().unwrap();

    let exp = open(root.path());
    let times: Vec<f64> =
        exp.tracks("t").read(&Query::all()).unwrap().iter().map(|r| r.ts.as_secs()).collect();
    assert_eq!(times, [1.0, 2.0]);
    assert_eq!(exp.tracks("t").append(fields! {}, 3.0).unwrap(), Appended::New);
}
