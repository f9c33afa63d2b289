//! What is in a store: `mldash_bridge experiments`, and `tracks` without an experiment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, ExperimentNotes, Metadata, Options, RunStatus};
use serde_json::{Value as Json, json};

use crate::program::{Done, program};

fn record(root: &Path, name: &str, rows: u32) -> Experiment {
    let exp = Experiment::open(name, Options::local(root)).unwrap();
    for i in 0..rows {
        exp.tracks("arm").append(fields! { "q": i }, 10.0 + f64::from(i) / 2.0).unwrap();
    }
    exp.flush().unwrap();
    exp
}

fn run(root: &Path, args: &[&str]) -> Done {
    program(args).arg("--root").arg(root).run()
}

fn listed(root: &Path, args: &[&str]) -> Vec<Json> {
    let done = run(root, &[&["experiments", "--json"], args].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    serde_json::from_slice(&done.stdout).unwrap()
}

fn names(listed: &[Json]) -> Vec<&str> {
    listed.iter().map(|experiment| experiment["name"].as_str().unwrap()).collect()
}

#[test]
fn experiments_are_listed_with_start_length_rows_bytes_status_and_tags() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), "alice/lab/monday/run-1", 5);
    exp.files("frames").save_bytes([7; 1000], "1.jpg").unwrap();
    let tags = Some(vec!["kitchen".to_owned(), "arm".to_owned()]);
    exp.annotate(ExperimentNotes { tags, ..Default::default() }).unwrap();
    exp.start_run(Metadata::new()).unwrap();
    exp.close().unwrap();
    record(root.path(), "alice/lab/run-2", 1).close().unwrap();

    let list = listed(root.path(), &[]);
    assert_eq!(names(&list), ["alice/lab/monday/run-1", "alice/lab/run-2"]);
    let first = &list[0];
    assert_eq!(first["startTimestamp"], 10.0);
    assert_eq!(first["lengthSecs"], 2.0);
    assert_eq!((&first["tracks"], &first["totalEntries"]), (&json!(1), &json!(5)));
    let rows_bytes = fs::metadata(exp_data(root.path())).unwrap().len();
    assert_eq!(first["sizeBytes"], rows_bytes + 1000);
    assert_eq!((&first["status"], &first["isExact"]), (&json!("COMPLETED"), &json!(true)));
    assert_eq!(first["tags"], json!(["kitchen", "arm"]));
    assert_eq!(list[1]["status"], Json::Null);

    let table = run(root.path(), &["experiments"]);
    let row = table.text().lines().find(|line| line.contains("run-1")).unwrap();
    for cell in ["alice/lab/monday/run-1", "10.000 s", "2.0 s", "5", "COMPLETED", "kitchen, arm"] {
        assert!(row.contains(cell), "{cell}: {row}");
    }
    let tracks = run(root.path(), &["tracks"]);
    assert_eq!((tracks.code, tracks.text()), (0, table.text()), "{}", tracks.stderr);
}

fn exp_data(root: &Path) -> std::path::PathBuf {
    root.join("alice/lab/monday/run-1/tracks/arm/data.jsonl")
}

#[test]
fn a_live_recording_starts_with_its_run_whatever_the_age_of_what_is_latched() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
    exp.start_run(Metadata::new()).unwrap();
    let started = exp.notes().unwrap().metadata.unwrap()["started_at"].as_str().unwrap().to_owned();
    let started = started.parse::<jiff::Timestamp>().unwrap().as_duration().as_secs_f64();
    exp.tracks("tf_static").append(fields! { "x": 1 }, started - 7200.0).unwrap();
    exp.tracks("odom").append(fields! { "x": 1 }, started + 30.0).unwrap();
    exp.close().unwrap();
    let list = listed(root.path(), &[]);
    assert_eq!(list[0]["startTimestamp"], started);
    assert_eq!(list[0]["lengthSecs"], 30.0);
}

#[test]
fn a_pattern_selects_experiments_and_what_lies_below_folders() {
    let root = tempfile::tempdir().unwrap();
    for name in ["alice/lab/run-1", "alice/lab/run-1/part", "alice/field/run-1", "bob/lab/run-2"] {
        record(root.path(), name, 1).close().unwrap();
    }
    let selected = |pattern: &str| -> Vec<String> {
        let list = listed(root.path(), &[pattern]);
        names(&list).iter().map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(selected("bob"), ["bob/lab/run-2"]);
    assert_eq!(selected("*/lab/*"), ["alice/lab/run-1", "alice/lab/run-1/part", "bob/lab/run-2"]);
    assert_eq!(selected("**/run-2"), ["bob/lab/run-2"]);
    let folder = root.path().join("alice/field");
    assert_eq!(selected(folder.to_str().unwrap()), ["alice/field/run-1"]);
    // The root itself, as completion writes it.
    assert_eq!(selected(&format!("{}/", root.path().display())).len(), 4);

    let none = run(root.path(), &["experiments", "carol/**"]);
    assert_eq!((none.code, none.text()), (0, ""));
    assert!(none.stderr.contains("matches `carol/**`"), "{}", none.stderr);
    let wrong = run(root.path(), &["experiments", "a/[b"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}

#[test]
fn an_empty_root_and_none_at_all_end_differently() {
    let root = tempfile::tempdir().unwrap();
    let empty = run(root.path(), &["experiments", "--json"]);
    assert_eq!((empty.code, empty.text()), (0, "[]\n"));
    assert!(empty.stderr.contains("no experiments in"), "{}", empty.stderr);
    let absent = run(&root.path().join("nowhere"), &["experiments"]);
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains("`--root` says which folder"), "{}", absent.stderr);
}

#[test]
fn what_is_broken_is_listed_with_what_is_wrong_and_the_rest_is_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a/b/notes", "a/b/track", "a/b/well"] {
        record(root.path(), name, 3).close().unwrap();
    }
    fs::write(root.path().join("a/b/notes/experiment.json"), "{\"name\": ").unwrap();
    let data = root.path().join("a/b/track/tracks/arm/data.jsonl");
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    fs::create_dir_all(root.path().join("a/short")).unwrap();
    fs::write(root.path().join("a/short/experiment.json"), "{}").unwrap();
    // Neither hidden folders nor files are experiments, and a link may lead back up.
    fs::create_dir_all(root.path().join("a/b/.cache/run/tracks")).unwrap();
    for stray in ["README", "a/b/stray.txt", "a/b/well/tracks/stray.txt"] {
        fs::write(root.path().join(stray), "").unwrap();
    }
    symlink(root.path(), root.path().join("a/b/up")).unwrap();

    let done = run(root.path(), &["experiments", "--json"]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    let list: Vec<Json> = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(names(&list), ["a/b/notes", "a/b/track", "a/b/well", "a/short"]);
    let problem = |i: usize| list[i]["problems"][0].as_str().unwrap_or_default();
    assert!(problem(0).contains("experiment.json is not what"), "{}", problem(0));
    assert_eq!(list[0]["totalEntries"], 3);
    assert!(problem(1).contains("data.jsonl"), "{}", problem(1));
    assert_eq!((problem(2), &list[2]["totalEntries"]), ("", &json!(3)));
    assert!(problem(3).contains("2 of at least 3 parts"), "{}", problem(3));
    let table = run(root.path(), &["experiments"]);
    assert!(table.text().contains("\na/b/notes: "), "{}", table.text());
}

#[test]
fn an_experiment_is_listed_while_it_is_recorded_and_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), "a/b/run", 0);
    exp.start_run(Metadata::new()).unwrap();
    exp.tracks("arm").append(fields! { "q": 1 }, 1.0).unwrap();
    exp.flush().unwrap();
    let list = listed(root.path(), &[]);
    assert_eq!((&list[0]["totalEntries"], &list[0]["status"]), (&json!(1), &json!("RUNNING")));
    assert_eq!(list[0]["isBeingWritten"], true);
    exp.close().unwrap();

    // As a killed process leaves it.
    let exp = record(root.path(), "a/b/run", 0);
    let status = Some(RunStatus::Running);
    exp.annotate(ExperimentNotes { status, ..Default::default() }).unwrap();
    exp.close().unwrap();
    let table = run(root.path(), &["experiments"]);
    assert_eq!(table.code, 0);
    assert!(table.text().contains("NOT CLOSED"), "{}", table.text());
}

#[test]
fn a_list_reads_no_more_than_a_little_of_a_track_that_is_not_indexed() {
    let root = tempfile::tempdir().unwrap();
    record(root.path(), "a/b/run", 1).close().unwrap();
    let track = root.path().join("a/b/run/tracks/arm");
    let line = format!("{{\"timestamp\":1.0,\"q\":\"{}\"}}\n", "x".repeat(100_000));
    fs::write(track.join("data.jsonl"), line.repeat(20)).unwrap();
    let mut metadata: Json =
        serde_json::from_slice(&fs::read(track.join("metadata.json")).unwrap()).unwrap();
    metadata["totalEntries"] = json!(17);
    fs::write(track.join("metadata.json"), metadata.to_string()).unwrap();
    fs::remove_file(track.join(".index.json")).unwrap();
    let list = listed(root.path(), &[]);
    assert_eq!((&list[0]["totalEntries"], &list[0]["isExact"]), (&json!(17), &json!(false)));
    assert!(!track.join(".index.json").exists(), "a list writes nothing");
    let table = run(root.path(), &["experiments"]);
    assert!(table.text().contains("~17"), "{}", table.text());
}
