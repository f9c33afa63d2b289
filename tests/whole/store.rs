//! The local store's promises, one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mldash_bridge::fields;
use mldash_bridge::track::{
    Appended, Experiment, Format, Options, Query, TrackError, Value, WhenFull,
};

const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, unhurried(root)).unwrap()
}

/// Flushes only when told to.
fn unhurried(root: &Path) -> Options {
    let hour = Duration::from_secs(3600);
    Options::local(root).flush_interval(hour).batch_rows(usize::MAX)
}

fn data_file(root: &Path, folder: &str) -> PathBuf {
    root.join(RUN).join("tracks").join(folder).join("data.jsonl")
}

fn times(exp: &Experiment, topic: &str) -> Vec<f64> {
    exp.tracks(topic).read(&Query::all()).unwrap().iter().map(|r| r.ts.as_secs()).collect()
}

#[test]
fn rows_of_one_time_merge_within_a_flush_across_flushes_and_across_runs() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let pose = exp.tracks("robot/pose");
    assert_eq!(pose.append(fields! { "q": 1, "e": 1 }, 2.0).unwrap(), Appended::New);
    assert_eq!(pose.append(fields! { "q": 2 }, 2.0).unwrap(), Appended::Merged);
    pose.flush().unwrap();
    assert_eq!(pose.append(fields! { "e": 3, "f": 3 }, 2.0).unwrap(), Appended::Late);
    let closed = exp.close().unwrap();
    assert_eq!(closed.tracks[0].merged_on_disk, 1);

    let exp = open(root.path());
    assert_eq!(exp.tracks("robot/pose").append(fields! { "g": 4 }, 2.0).unwrap(), Appended::Late);
    exp.close().unwrap();

    let text = fs::read_to_string(data_file(root.path(), "robot_pose")).unwrap();
    assert_eq!(text, "{\"timestamp\":2.0,\"q\":2,\"e\":3,\"f\":3,\"g\":4}\n");
}

#[test]
fn rows_out_of_order_are_read_sorted_at_any_moment_and_lie_sorted_once_closed() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for ts in [5.0, 1.0, 3.0] {
        exp.tracks("t").append(fields! { "v": ts }, ts).unwrap();
        exp.flush().unwrap();
    }
    assert_eq!(times(&exp, "t"), [1.0, 3.0, 5.0]);
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(times(&reader, "t"), [1.0, 3.0, 5.0]);
    exp.close().unwrap();
    let text = fs::read_to_string(data_file(root.path(), "t")).unwrap();
    let firsts: Vec<&str> = text.lines().map(|l| &l[13..16]).collect();
    assert_eq!(firsts, ["1.0", "3.0", "5.0"]);
}

#[test]
fn an_append_after_close_is_an_error_not_a_loss() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let track = exp.tracks("t");
    track.append(fields! { "v": 1 }, 1.0).unwrap();
    let unopened = exp.tracks("u");
    exp.close().unwrap();
    for track in [track, unopened] {
        let error = track.append(fields! { "v": 2 }, 2.0).unwrap_err();
        assert!(matches!(error, TrackError::Closed(_)), "{error}");
    }
}

#[test]
fn closing_leaves_a_tidy_file_alone() {
    use std::os::unix::fs::MetadataExt;
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.tracks("t").append(fields! { "v": 1 }, 1.0).unwrap();
    exp.flush().unwrap();
    let inode = fs::metadata(data_file(root.path(), "t")).unwrap().ino();
    exp.tracks("t").append(fields! { "v": 2 }, 2.0).unwrap();
    exp.close().unwrap();
    assert_eq!(fs::metadata(data_file(root.path(), "t")).unwrap().ino(), inode);
}

#[test]
fn a_batch_and_the_interval_flush_without_being_asked() {
    let root = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let by_batch = Options::local(root.path()).flush_interval(hour).batch_rows(10);
    let exp = Experiment::open(RUN, by_batch).unwrap();
    for i in 0..10 {
        exp.tracks("batch").append(fields! { "i": i }, f64::from(i)).unwrap();
    }
    await_lines(&data_file(root.path(), "batch"), 10);
    exp.close().unwrap();

    let soon = Options::local(root.path()).flush_interval(Duration::from_millis(5));
    let exp = Experiment::open(RUN, soon).unwrap();
    exp.tracks("interval").append(fields! { "i": 0 }, 0.0).unwrap();
    await_lines(&data_file(root.path(), "interval"), 1);
}

fn await_lines(path: &Path, lines: usize) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(path).unwrap_or_default().lines().count() < lines {
        assert!(std::time::Instant::now() < deadline, "{} has no {lines} lines", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn without_a_buffer_every_append_is_in_the_store_when_it_returns() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, unhurried(root.path()).buffered(false)).unwrap();
    exp.tracks("t").append(fields! { "v": 1 }, 1.0).unwrap();
    let text = fs::read_to_string(data_file(root.path(), "t")).unwrap();
    assert_eq!(text, "{\"timestamp\":1.0,\"v\":1}\n");
}

#[test]
fn a_time_that_is_not_finite_and_a_field_called_timestamp_are_refused_with_the_topic() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let message = |r: Result<_, TrackError>| r.map(|_: Appended| ()).unwrap_err();
    let nan = message(exp.tracks("arm/q").append(fields! {}, f64::NAN));
    assert!(nan.to_string().contains("arm/q"), "{nan}");
    let reserved = message(exp.tracks("arm/q").append(fields! { "timestamp": 1 }, 1.0));
    assert!(matches!(reserved, TrackError::ReservedColumn { .. }), "{reserved}");
    let bad_name = message(exp.tracks("").append(fields! {}, 1.0));
    assert!(matches!(bad_name, TrackError::Name(_)), "{bad_name}");
}

#[test]
fn two_topics_that_share_a_folder_are_refused_with_both_names() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.tracks("robot/pose").append(fields! {}, 1.0).unwrap();
    let now = exp.tracks("robot_pose").append(fields! {}, 1.0).unwrap_err().to_string();
    exp.close().unwrap();
    let exp = open(root.path());
    let later = exp.tracks("robot_pose").append(fields! {}, 1.0).unwrap_err().to_string();
    for message in [now, later] {
        assert!(message.contains("`robot_pose`") && message.contains("`robot/pose`"), "{message}");
    }
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_experiment() {
    let root = tempfile::tempdir().unwrap();
    let first = open(root.path());
    let message = Experiment::open(RUN, unhurried(root.path())).unwrap_err().to_string();
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    first.close().unwrap();
    open(root.path());
}

#[test]
fn a_full_buffer_is_an_error_when_the_caller_will_not_wait_and_drains_when_it_will() {
    let root = tempfile::tempdir().unwrap();
    let small = unhurried(root.path()).buffer_bytes(2_000);
    let exp = Experiment::open(RUN, small.clone().when_full(WhenFull::Error)).unwrap();
    let row = || fields! { "v": vec![0_u8; 1_500] };
    exp.tracks("t").append(row(), 0.0).unwrap();
    // The first row is over half the budget, so its flush is under way; without one it stays full.
    let refused = (1..50).map(|i| exp.tracks("t").append(row(), f64::from(i)));
    for error in refused.filter_map(Result::err) {
        assert!(matches!(error, TrackError::BufferFull { limit_bytes: 2_000, .. }), "{error}");
    }
    exp.close().unwrap();

    let exp = Experiment::open(RUN, small.when_full(WhenFull::Wait)).unwrap();
    for i in 0..50 {
        exp.tracks("waited").append(row(), f64::from(i)).unwrap();
    }
    exp.close().unwrap();
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(times(&reader, "waited").len(), 50);
}

#[test]
fn many_threads_append_to_many_tracks_and_nothing_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path()).batch_rows(7)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let exp = &exp;
            scope.spawn(move || {
                for i in 0..500 {
                    let ts = f64::from(i * 8 + thread);
                    exp.tracks("shared").append(fields! { "i": i }, ts).unwrap();
                    exp.tracks(&format!("own/{thread}")).append(fields! { "i": i }, ts).unwrap();
                }
            });
        }
    });
    let closed = exp.close().unwrap();
    let rows: u64 = closed.tracks.iter().map(|t| t.info.total_entries).sum();
    assert_eq!(rows, 8 * 500 * 2);
    assert_eq!(closed.tracks.len(), 9);
}

#[test]
fn what_the_sdk_wrote_unsorted_unmerged_and_with_nan_is_read_sorted_and_merged() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(RUN).join("tracks/arm_q");
    fs::create_dir_all(&folder).unwrap();
    let lines = "{\"timestamp\": 2.0, \"a\": NaN}\n{\"timestamp\": 1, \"a\": 1, \"b.c\": [1, {\"d\": 2}]}\n\
                 {\"timestamp\": 2.0, \"b\": -Infinity}";
    fs::write(folder.join("data.jsonl"), lines).unwrap();
    let metadata = r#"{"trackId": "local-track-arm_q", "topic": "arm/q", "columns": ["a"],
        "totalEntries": 9, "firstTimestamp": 0, "lastTimestamp": 0, "createdAt": "x", "fps": 25}"#;
    fs::write(folder.join("metadata.json"), metadata).unwrap();

    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    let text = reader.tracks("arm/q").export(&Query::all(), Format::Jsonl).unwrap();
    let expected = "{\"timestamp\": 1, \"a\": 1, \"b.c\": [1, {\"d\": 2}]}\n\
                    {\"timestamp\":2.0,\"a\":NaN,\"b\":-Infinity}";
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    let tracks = reader.list().unwrap();
    assert_eq!((tracks[0].total_entries, tracks[0].last_timestamp), (2, Some(2.0)));
    assert_eq!(tracks[0].columns, ["a", "b", "b.c"]);

    // Continuing it puts it in order and keeps what we don't know of.
    let exp = open(root.path());
    exp.tracks("arm/q").append(fields! { "a": 3 }, 3.0).unwrap();
    exp.close().unwrap();
    let text = fs::read_to_string(folder.join("data.jsonl")).unwrap();
    assert_eq!(text, format!("{expected}\n{{\"timestamp\":3.0,\"a\":3}}\n"));
    let metadata = fs::read_to_string(folder.join("metadata.json")).unwrap();
    assert!(metadata.contains("\"fps\":25") && metadata.contains("\"totalEntries\":3"));
}

#[test]
fn a_line_that_is_not_a_row_costs_only_itself_and_is_kept_aside() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.tracks("t").append(fields! { "v": 1 }, 1.0).unwrap();
    exp.close().unwrap();
    let path = data_file(root.path(), "t");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(
        "{\"timestamp\":2.0,\"v\"{\"timestamp\":3.0,\"v\":3}\n{\"timestamp\":4.0,\"v\":4}\n",
    );
    fs::write(&path, text).unwrap();
    let exp = open(root.path());
    assert_eq!(times(&exp, "t"), [1.0, 4.0]);
    let bad = fs::read_to_string(path.with_extension("jsonl.bad")).unwrap();
    assert_eq!(bad, "{\"timestamp\":2.0,\"v\"{\"timestamp\":3.0,\"v\":3}\n");
}

#[test]
fn an_edit_in_place_is_noticed_whatever_the_index_says() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for i in 0..3 {
        exp.tracks("t").append(fields! { "v": i }, f64::from(i)).unwrap();
    }
    exp.close().unwrap();
    let path = data_file(root.path(), "t");
    let text = fs::read_to_string(&path).unwrap().replace("\"timestamp\":1.0", "\"timestamp\":7.0");
    fs::write(&path, text).unwrap();
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(times(&reader, "t"), [0.0, 2.0, 7.0]);
}

#[test]
fn columns_range_and_limit_choose_what_is_read() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for i in 0..5000 {
        exp.tracks("t")
            .append(fields! { "a": i, "b": -i, "pad": "x".repeat(100) }, f64::from(i))
            .unwrap();
    }
    let read = |query: Query| {
        let text = exp.tracks("t").export(&query, Format::Json).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(
        read(Query::range(4000.0..=4001.0).columns(["b", "absent"])),
        "{\"entries\":[{\"timestamp\":4000.0,\"b\":-4000},{\"timestamp\":4001.0,\"b\":-4001}],\"count\":2}"
    );
    assert_eq!(read(Query::range(9999.0..)), "{\"entries\":[],\"count\":0}");
    let first = exp.tracks("t").read(&Query::range(2500.5..).limit(1)).unwrap();
    assert_eq!(first[0].fields.get("a"), Some(&Value::Int(2501)));
    assert_eq!(exp.tracks("absent").read(&Query::all()).unwrap(), []);
}
