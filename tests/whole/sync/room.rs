//! Room on the robot: what the server has may go, what it has not stays.

use std::error::Error as _;
use std::fs;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Keep, Options, TrackError, WhenLocalFull, hex};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::lab::{Lab, PATIENCE, RUN, append, await_that};
use super::lies::lose_second_half;
use crate::fault_proxy::Fault;
use crate::program::program;

const EARLIER: &str = "alice/warehouse/monday/run-0";

fn rows(name: &str, root: &std::path::Path, topic: &str) -> usize {
    let exp = Experiment::open_read_only(name, root).unwrap();
    exp.tracks(topic).read(&mldash_bridge::track::Query::all()).unwrap().len()
}

/// About 400 kB in `name`, closed.
fn record_earlier(options: Options) {
    let exp = Experiment::open(EARLIER, options).unwrap();
    append(&exp, "arm", 0..5000);
    exp.files("frames").save_bytes(vec![1; 100_000], "frame.bin").unwrap();
    exp.close().unwrap();
}

#[test]
fn what_the_server_has_is_removed_here_once_the_recording_is_closed() {
    let lab = Lab::new();
    let options = || lab.options().remote(lab.remote().keep(Keep::Unsynced));
    let exp = Experiment::open(RUN, options()).unwrap();
    append(&exp, "arm", 0..300);
    exp.files("frames").save_bytes(b"left", "frame.bin").unwrap();
    exp.flush().unwrap();
    assert_eq!(lab.here("arm").len(), 300, "not while it is recorded");
    exp.close().unwrap();
    assert_eq!((lab.here("arm").len(), lab.on_server("arm").len()), (0, 300));
    assert!(lab.recorded().files("").list().unwrap().is_empty());
    let read = program(["read", RUN, "arm", "--root", lab.root().to_str().unwrap()]).run();
    assert_eq!(read.code, 1);
    assert!(read.stderr.contains("read them with `--remote URL`"), "{}", read.stderr);
    // It goes on as if nothing were missing.
    let exp = Experiment::open(RUN, options()).unwrap();
    append(&exp, "arm", 200..500);
    exp.close().unwrap();
    assert_eq!((lab.here("arm").len(), lab.on_server("arm").len()), (0, 500));
    // What the server has not stays.
    lab.proxy.set(Fault::Refuse);
    let quick = options().remote_timeout(Duration::from_millis(50));
    let exp = Experiment::open(RUN, quick).unwrap();
    append(&exp, "arm", 500..600);
    exp.close().unwrap();
    assert_eq!(lab.here("arm").len(), 100);
}

#[test]
fn a_store_that_is_full_takes_no_more_and_loses_nothing() {
    let lab = Lab::new();
    lab.proxy.set(Fault::BlackHole);
    let remote = lab.remote().max_local(100_000, WhenLocalFull::Stop);
    let options = lab.options().remote(remote).remote_timeout(Duration::from_millis(50));
    let exp = Experiment::open(RUN, options).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut appended = 0;
    let error = loop {
        assert!(Instant::now() < deadline, "it takes rows for ever");
        let ts = f64::from(appended) / 100.0;
        match exp.tracks("arm").append(fields! { "text": "x".repeat(100) }, ts) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let TrackError::LocalFull { max_bytes, .. } = &error else { panic!("{error}") };
    assert_eq!(*max_bytes, 100_000);
    assert!(error.to_string().contains("max_local"), "{error}");
    exp.close().unwrap();
    assert_eq!(lab.here("arm").len(), appended as usize);
}

#[test]
fn the_oldest_that_the_server_has_gives_way_and_nothing_else() {
    let lab = Lab::new();
    record_earlier(lab.options());
    assert_eq!(rows(EARLIER, &lab.root(), "arm"), 5000);
    let remote = lab.remote().max_local(100_000, WhenLocalFull::DropSynced);
    let exp = Experiment::open(RUN, lab.options().remote(remote.clone())).unwrap();
    await_that(|| rows(EARLIER, &lab.root(), "arm") == 0);
    assert_eq!(rows(EARLIER, &lab.server_root(), "arm"), 5000);
    await_that(|| exp.tracks("arm").append(fields! { "q": 0 }, 0.0).is_ok());
    append(&exp, "arm", 0..100);
    exp.close().unwrap();
    assert_eq!(lab.here("arm").len(), 100);
}

#[test]
fn what_the_server_turns_out_to_have_lost_never_gives_way() {
    let mut lab = Lab::new();
    record_earlier(lab.options());
    lose_second_half(&mut lab, EARLIER);
    let remote = lab.remote().max_local(100_000, WhenLocalFull::DropSynced);
    let exp = Experiment::open(RUN, lab.options().remote(remote)).unwrap();
    // The server is asked meanwhile, and recording does not wait for it.
    await_that(|| exp.tracks("arm").append(fields! { "q": 1 }, 1.0).is_err());
    assert_eq!(rows(EARLIER, &lab.root(), "arm"), 5000);
    exp.close().unwrap();
}

#[test]
fn what_no_server_has_never_gives_way() {
    let lab = Lab::new();
    record_earlier(Options::local(lab.root()));
    let remote = lab.remote().max_local(100_000, WhenLocalFull::DropSynced);
    let exp = Experiment::open(RUN, lab.options().remote(remote)).unwrap();
    // The store is counted meanwhile, and recording does not wait for that.
    let is_full = |error| matches!(error, TrackError::LocalFull { .. });
    await_that(|| exp.tracks("arm").append(fields! { "q": 1 }, 1.0).is_err_and(is_full));
    assert_eq!(rows(EARLIER, &lab.root(), "arm"), 5000);
}

#[test]
fn what_one_namespace_was_refused_and_can_not_be_read_keeps_nothing_of_another_and_is_told() {
    let lab = Lab::new();
    let exp = lab.record();
    append(&exp, "arm", 0..300);
    exp.close().unwrap();
    // The same server was sent to as bob, too.
    let sync = lab.root().join(RUN).join(".sync");
    let digest = Sha256::digest(format!("{}\nbob", lab.proxy.url()));
    let name = hex(&digest[..8]);
    let bobs =
        json!({"version": 1, "url": lab.proxy.url(), "namespace": "bob", "experiment_id": "x"});
    fs::write(sync.join(&name).with_extension("json"), bobs.to_string()).unwrap();
    let refused = sync.join(&name).with_extension("refused.jsonl");
    fs::create_dir(&refused).unwrap();
    let synced = lab.sync(&lab.remote().keep(Keep::Unsynced));
    assert_eq!((lab.here("arm").len(), lab.on_server("arm").len()), (0, 300));
    let failure = synced.failure.unwrap();
    assert!(
        failure.source().unwrap().to_string().contains(refused.to_str().unwrap()),
        "{failure:?}"
    );
}
