//! The life of a run in `experiment.json`.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Metadata, Options, Query, Remote, RunStatus};
use serde_json::{Value, json};

const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, Options::local(root)).unwrap()
}

fn details() -> Metadata {
    json!({"host": "rover"}).as_object().unwrap().clone()
}

fn file(root: &Path, run: &str) -> Value {
    let text = fs::read(root.join(run).join("experiment.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn metadata(root: &Path) -> Value {
    file(root, RUN)["metadata"].clone()
}

fn status(root: &Path) -> Value {
    file(root, RUN)["status"].clone()
}

#[test]
fn a_run_is_running_until_it_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    assert_eq!(status(root.path()), Value::Null, "no run was started");
    exp.start_run(details()).unwrap();
    assert_eq!(status(root.path()), "RUNNING");
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(reader.notes().unwrap().status, Some(RunStatus::Running));
    exp.set_metadata("robot_description", "<robot/>").unwrap();
    exp.close().unwrap();
    assert_eq!(status(root.path()), "COMPLETED");
    let metadata = metadata(root.path());
    assert_eq!(
        (&metadata["host"], &metadata["robot_description"]),
        (&"rover".into(), &"<robot/>".into())
    );
    assert!(metadata["ended_at"].as_str() >= metadata["started_at"].as_str(), "{metadata}");
}

#[test]
fn a_run_that_fails_says_why() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.start_run(details()).unwrap();
    exp.fail_run("the ROS node failed");
    exp.fail_run("and so did everything else");
    exp.close().unwrap();
    assert_eq!(status(root.path()), "FAILED");
    assert_eq!(metadata(root.path())["failure"], "the ROS node failed");
}

#[test]
fn a_run_whose_process_died_is_marked_by_the_next_that_opens_it() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.start_run(details()).unwrap();
    let running = file(root.path(), RUN);
    exp.close().unwrap();
    // As it lies after a kill.
    let path = root.path().join(RUN).join("experiment.json");
    fs::write(&path, running.to_string()).unwrap();

    let exp = open(root.path());
    assert_eq!(status(root.path()), "FAILED");
    exp.start_run(details()).unwrap();
    exp.close().unwrap();
    assert_eq!(status(root.path()), "COMPLETED");
    let metadata = metadata(root.path());
    assert_eq!(metadata["earlier_runs"][0]["status"], "FAILED");
    assert_eq!(metadata["earlier_runs"][0]["started_at"], running["metadata"]["started_at"]);
}

#[test]
fn what_others_keep_in_the_file_stays() {
    let root = tempfile::tempdir().unwrap();
    open(root.path()).close().unwrap();
    let mut theirs = file(root.path(), RUN);
    theirs["metadata"] = json!({"operator": "bob"});
    theirs["team"] = json!("red");
    theirs["tags"] = json!(["night"]);
    fs::write(root.path().join(RUN).join("experiment.json"), theirs.to_string()).unwrap();
    let exp = open(root.path());
    exp.start_run(details()).unwrap();
    exp.close().unwrap();
    let file = file(root.path(), RUN);
    assert_eq!((&file["team"], &file["tags"]), (&json!("red"), &json!(["night"])));
    assert_eq!(file["metadata"]["operator"], "bob");
    assert_eq!(file["created_at"], theirs["created_at"]);
}

#[test]
fn a_torn_file_is_put_aside_and_keeps_nobody_from_recording() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.tracks("arm").append(fields! { "q": 1 }, 1.0).unwrap();
    exp.close().unwrap();
    let path = root.path().join(RUN).join("experiment.json");
    fs::write(&path, "{\"name\": \"run").unwrap();
    let exp = open(root.path());
    exp.start_run(details()).unwrap();
    assert_eq!(exp.tracks("arm").read(&Query::all()).unwrap().len(), 1);
    exp.close().unwrap();
    assert_eq!(status(root.path()), "COMPLETED");
    assert_eq!(fs::read_to_string(path.with_added_extension("bad")).unwrap(), "{\"name\": \"run");
}

#[test]
fn a_run_goes_on_in_another_experiment_and_both_say_so() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.start_run(details()).unwrap();
    let next = exp.continue_in("alice/warehouse/run-1_002").unwrap();
    exp.close().unwrap();
    next.close().unwrap();
    assert_eq!(metadata(root.path())["continued_in"], "alice/warehouse/run-1_002");
    let next = file(root.path(), "alice/warehouse/run-1_002");
    assert_eq!(next["status"], "COMPLETED");
    let next = next["metadata"].clone();
    assert_eq!((&next["continues"], &next["host"]), (&RUN.into(), &"rover".into()));
}

#[test]
fn in_a_hurry_closing_does_not_wait_for_a_server_that_does_not_answer() {
    let root = tempfile::tempdir().unwrap();
    let token = root.path().join("token");
    fs::write(&token, "alice secret\n").unwrap();
    // It takes connections, and that is all.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let hurry = Arc::new(AtomicBool::new(false));
    let options = Options::local(root.path().join("dash"))
        .remote(Remote::new(url).token_file(token))
        .remote_timeout(Duration::from_secs(3600))
        .hurry(hurry.clone());
    let exp = Experiment::open(RUN, options).unwrap();
    exp.tracks("arm").append(fields! { "q": 1 }, 1.0).unwrap();
    exp.flush_store().unwrap();
    let (closed, is_closed) = sync_channel(1);
    thread::spawn(move || closed.send(exp.close()));
    hurry.store(true, Ordering::Relaxed);
    let closed = is_closed.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!(closed.tracks[0].info.total_entries, 1);
    assert_eq!(closed.sync.unwrap().rows_sent, 0);
}
