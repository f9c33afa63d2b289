//! What others and power cuts do to the files around the rows: the rows are read and recorded into
//! all the same, and each track and experiment stands alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use mldash_bridge::fields;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::MessageType;
use mldash_bridge::record::{DropReason, Received, Recorder, TopicPlan};
use mldash_bridge::track::{
    CloseError, ColumnType, Experiment, Options, Query, RowSchema, TrackError,
};
use serde_json::{Value as Json, json};

use crate::http::Client;
use crate::program::{Done, program};
use crate::server::{Server, TOKEN};

const RUN: &str = "alice/warehouse/run-1";
const NODES: &str = "/api/namespaces/alice/nodes";

/// Records two tracks, one of them with a topic that its folder's name does not tell.
fn recorded(root: &Path) -> PathBuf {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    let schema = RowSchema::new("/pose").column("q", ColumnType::Float);
    let pose = exp.tracks("robot/pose").with_schema(schema);
    for ts in [1.0, 2.0] {
        pose.append(fields! { "q": ts }, ts).unwrap();
        exp.tracks("arm").append(fields! { "q": ts }, ts).unwrap();
    }
    let folder = exp.folder().to_owned();
    exp.close().unwrap();
    folder
}

fn times(root: &Path, topic: &str) -> Vec<f64> {
    times_of(RUN, root, topic)
}

fn times_of(name: &str, root: &Path, topic: &str) -> Vec<f64> {
    let exp = Experiment::open_read_only(name, root).unwrap();
    exp.tracks(topic).read(&Query::all()).unwrap().iter().map(|row| row.ts.as_secs()).collect()
}

fn run(root: &Path, args: &[&str], stdin: &str) -> Done {
    program(args).arg("--root").arg(root).stdin(stdin).run()
}

fn topics(root: &Path) -> (Vec<String>, String) {
    let done = run(root, &["tracks", RUN, "--json"], "");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let tracks: Vec<Json> = serde_json::from_slice(&done.stdout).unwrap();
    let topics = tracks.iter().map(|track| track["topic"].as_str().unwrap().to_owned());
    (topics.collect(), done.stderr)
}

const STATES: [&str; 5] = ["empty", "garbage", "a folder", "missing", "unreadable"];

fn damage(path: &Path, state: &str) {
    fs::remove_file(path).unwrap();
    match state {
        "empty" => fs::write(path, "").unwrap(),
        "garbage" => fs::write(path, b"\0\0\xff{\"topic\": 1").unwrap(),
        "a folder" => {
            fs::create_dir(path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
        }
        "missing" => {}
        // Also for root.
        "unreadable" => symlink(path, path).unwrap(),
        _ => unreachable!(),
    }
}

#[test]
fn whatever_state_the_files_around_the_rows_are_in_rows_are_read_and_recording_goes_on() {
    let pose = "tracks/robot_pose";
    let files = [
        "experiment.json".to_owned(),
        format!("{pose}/metadata.json"),
        format!("{pose}/.index.json"),
        format!("{pose}/.schema.json"),
    ];
    for file in &files {
        for state in STATES {
            let root = tempfile::tempdir().unwrap();
            let root = root.path();
            let path = recorded(root).join(file);
            damage(&path, state);
            let what = format!("{file} is {state}");

            assert_eq!(times(root, "robot/pose"), [1.0, 2.0], "{what}");
            let (listed, warnings) = topics(root);
            assert_eq!(listed, ["arm", "robot/pose"], "{what}");
            assert!(warnings.matches(file.as_str()).count() <= 1, "{what}: said once: {warnings}");

            let row = r#"{"_ts": 3, "q": 3}"#;
            for topic in ["robot/pose", "arm"] {
                let done = run(root, &["append", RUN, topic], row);
                assert_eq!(done.code, 0, "{what}: {}", done.stderr);
                let is_said = done.stderr.contains(file.as_str());
                // An empty file is nothing to keep, and neither index nor schema are missed.
                if topic == "robot/pose" && state != "missing" {
                    assert!(is_said, "{what}: {}", done.stderr);
                }
                assert_eq!(times(root, topic), [1.0, 2.0, 3.0], "{what}");
            }
            if !file.contains("schema") {
                let text = fs::read(&path).unwrap();
                let rebuilt: Json = serde_json::from_slice(&text).unwrap();
                assert!(rebuilt.is_object(), "{what}");
            }
            assert_eq!(topics(root), (vec!["arm".into(), "robot/pose".into()], String::new()));
        }
    }
}

#[test]
fn a_topic_whose_metadata_is_lost_is_known_from_the_other_files_or_from_who_appends() {
    let root = tempfile::tempdir().unwrap();
    let folder = recorded(root.path()).join("tracks/robot_pose");
    fs::remove_file(folder.join("metadata.json")).unwrap();
    fs::remove_file(folder.join(".index.json")).unwrap();
    assert_eq!(topics(root.path()).0, ["arm", "robot/pose"], "the schema has it");
    fs::remove_file(folder.join(".schema.json")).unwrap();
    let (listed, warning) = topics(root.path());
    assert_eq!(listed, ["arm", "robot_pose"], "the folder is all there is");
    assert!(warning.contains("metadata.json"), "{warning}");
    let done = run(root.path(), &["append", RUN, "robot/pose"], r#"{"_ts": 3, "q": 3}"#);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(topics(root.path()).0, ["arm", "robot/pose"]);
    assert_eq!(times(root.path(), "robot/pose"), [1.0, 2.0, 3.0]);
}

#[test]
fn what_is_no_track_among_the_tracks_is_left_alone_and_holds_up_none() {
    let root = tempfile::tempdir().unwrap();
    let tracks = recorded(root.path()).join("tracks");
    fs::write(tracks.join("x.txt"), "notes").unwrap();
    fs::write(tracks.join(".DS_Store"), "\0").unwrap();
    fs::create_dir(tracks.join("nothing")).unwrap();
    // Its metadata names the track that it is a copy of.
    fs::create_dir(tracks.join("arm copy")).unwrap();
    for file in ["metadata.json", "data.jsonl"] {
        fs::copy(tracks.join("arm").join(file), tracks.join("arm copy").join(file)).unwrap();
    }
    // Rows that can't be read.
    fs::create_dir_all(tracks.join("broken/data.jsonl")).unwrap();
    let metadata = json!({"trackId": "local-track-broken", "topic": "broken"}).to_string();
    fs::write(tracks.join("broken/metadata.json"), metadata).unwrap();

    let (listed, said) = topics(root.path());
    assert_eq!(listed, ["arm", "arm copy", "robot/pose"]);
    assert!(said.contains("`broken`"), "{said}");
    let done = run(root.path(), &["append", RUN, "arm"], r#"{"_ts": 3, "q": 3}"#);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(times(root.path(), "arm"), [1.0, 2.0, 3.0]);
    let done = run(root.path(), &["append", RUN, "broken"], r#"{"_ts": 3, "q": 3}"#);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(tracks.join("x.txt").exists() && tracks.join(".DS_Store").exists());
}

#[test]
fn a_flipped_digit_in_an_index_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let path = recorded(root.path()).join("tracks/arm/.index.json");
    let text = fs::read_to_string(&path).unwrap();
    // The latest time: readers would pass the block over.
    let flipped = text.replacen("\"max\":2.0", "\"max\":1.0", 1);
    assert_ne!(text, flipped, "{text}");
    fs::write(&path, flipped).unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let rows = exp.tracks("arm").read(&Query::range(1.5..)).unwrap();
    assert_eq!(rows.len(), 1);
    let done = run(root.path(), &["read", RUN, "arm", "--start", "1.5"], "");
    assert!(done.text().contains("2.0"), "{}", done.text());
    assert!(done.stderr.contains(".index.json") && done.stderr.contains("checksum"));
}

#[test]
fn leftovers_of_a_killed_rewrite_are_removed_by_the_next_recording() {
    let root = tempfile::tempdir().unwrap();
    let folder = recorded(root.path());
    let left = ["tracks/arm/.data.jsonl.4711.tmp", ".experiment.json.aB3dE6.tmp"];
    let left = left.map(|name| folder.join(name));
    left.iter().for_each(|path| fs::write(path, "half").unwrap());
    assert_eq!(topics(root.path()).0.len(), 2);
    assert!(left.iter().all(|path| path.exists()), "a reader does not own them");
    Experiment::open(RUN, Options::local(root.path())).unwrap().close().unwrap();
    assert!(!left.iter().any(|path| path.exists()));
}

#[test]
fn an_experiment_that_is_removed_while_it_is_recorded_is_never_called_stored() {
    for (removed, rows_lost) in
        [("", [3, 1]), ("tracks/arm", [3, 0]), ("tracks/arm/data.jsonl", [3, 0])]
    {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
        for ts in [1.0, 2.0] {
            exp.tracks("arm").append(fields! { "q": ts }, ts).unwrap();
        }
        exp.tracks("other").append(fields! { "q": 1 }, 1.0).unwrap();
        exp.flush().unwrap();
        let gone = exp.folder().join(removed);
        match gone.is_dir() {
            true => fs::remove_dir_all(&gone).unwrap(),
            false => fs::remove_file(&gone).unwrap(),
        }
        exp.tracks("arm").append(fields! { "q": 3 }, 3.0).unwrap();
        let error = exp.flush().unwrap_err();
        assert!(matches!(&error, TrackError::Store(store) if store.is_removed()), "{error}");
        assert!(error.to_string().contains("data.jsonl"), "{error}");
        if removed.is_empty() {
            let error = exp.tracks("new").append(fields! { "q": 3 }, 3.0).unwrap_err();
            assert!(error.to_string().contains(RUN), "{error}");
        }
        let CloseError { lost, .. } = exp.close().unwrap_err();
        let of = |topic| lost.iter().filter(|l| l.topic == topic).map(|l| l.rows).sum::<u64>();
        assert_eq!([of("arm"), of("other")], rows_lost, "{removed}");
        assert!(!gone.exists(), "nothing is made anew in silence");
    }
}

#[test]
fn a_run_whose_folder_is_removed_ends_as_failed_and_its_messages_are_dropped_ones() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    let folder = exp.folder().to_owned();
    let mut recorder = Recorder::new(exp);
    let mapping = Mapping::parse("topics: [{topic: /*, stamp: receive}]", "test.yaml").unwrap();
    let type_name = "std_msgs/msg/Bool".parse().unwrap();
    let bool_type = MessageType::from_bundle(&type_name, "bool data").unwrap();
    let rule = mapping.rule_for("/light", &type_name).unwrap();
    recorder.add_topic(TopicPlan::new("/light", "/light", &bool_type, &rule).unwrap());
    let mut record = |nanos| recorder.record(0, vec![0, 1, 0, 0, 1], Received::At(nanos));
    (1..=3).for_each(|secs| record(secs * 1_000_000_000));
    recorder.flush().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    recorder.record(0, vec![0, 1, 0, 0, 1], Received::At(4_000_000_000));
    let (account, closed) = recorder.finish(None);
    closed.unwrap_err();
    let topic = &account.topics[0];
    assert!(account.adds_up() && !account.complete, "{account:#?}");
    assert_eq!((topic.received, topic.stored), (4, 0));
    assert_eq!(topic.dropped[&DropReason::StoreFull], 4);
    assert!(account.failure.unwrap().contains("was removed"));
}

fn make(client: &Client, name: &str) -> String {
    let node = json!({"type": "EXPERIMENT", "name": name, "projectSlug": "w"});
    let made = client.post(NODES, &node);
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["experiment"]["id"].as_str().unwrap().to_owned()
}

fn batch(client: &Client, id: &str, times: &[u32]) -> u16 {
    let entries: Vec<Json> = times.iter().map(|ts| json!({"timestamp": ts, "q": 1})).collect();
    let path = format!("/api/experiments/{id}/tracks/arm/append_batch");
    client.post(&path, &json!({ "entries": entries })).status
}

#[test]
fn the_server_takes_no_rows_into_a_recording_that_was_deleted_and_begins_anew_when_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let id = make(&client, "run");
    assert_eq!(batch(&client, &id, &[1, 2]), 200);
    let deleted = root.join("alice/w/run");
    fs::remove_dir_all(&deleted).unwrap();
    assert_eq!(batch(&client, &id, &[3]), 404);
    assert!(!deleted.exists());
    make(&client, "run");
    assert_eq!(batch(&client, &id, &[4]), 200);
    let run = "alice/w/run";
    assert_eq!(times_of(run, &root, "arm"), [4.0]);

    // Only a track is deleted: the first to notice is asked to come again.
    fs::remove_dir_all(deleted.join("tracks/arm")).unwrap();
    assert_eq!(batch(&client, &id, &[5]), 429);
    assert_eq!(batch(&client, &id, &[5]), 200);
    assert_eq!(times_of(run, &root, "arm"), [5.0]);
}

#[test]
fn one_experiment_that_can_not_be_read_does_not_hide_its_project_on_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    make(&client, "good");
    let id = make(&client, "bad");
    assert_eq!(batch(&client, &id, &[1]), 200);
    fs::write(root.join("alice/w/bad/experiment.json"), "").unwrap();
    fs::create_dir_all(root.join("alice/w/odd/experiment.json")).unwrap();
    let query = "query { project(namespaceSlug: \"alice\", projectSlug: \"w\") \
                 { nodes { name type } } }";
    let answer = client.post("/graphql", &json!({ "query": query }));
    let nodes = &answer.json()["data"]["project"]["nodes"];
    let expected = json!([
        {"name": "bad", "type": "EXPERIMENT"},
        {"name": "good", "type": "EXPERIMENT"},
        {"name": "odd", "type": "FOLDER"},
    ]);
    assert_eq!(*nodes, expected, "{}", answer.text());
    assert_eq!(client.get(&format!("/api/experiments/{id}/tracks/arm/data")).status, 200);
    assert_eq!(batch(&client, &id, &[2]), 200);
    // A client can't make a folder where the store keeps a file.
    let inside = json!({"type": "FOLDER", "name": "experiment.json", "projectId": "project~~alice~~w",
        "parentId": "folder~~alice~~w~~odd"});
    assert_eq!(client.post(NODES, &inside).status, 400);
}
