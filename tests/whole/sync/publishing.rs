//! What is uploaded and published goes here only once both have it.

use std::fs;
use std::path::PathBuf;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, WhenLocalFull};
use serde_json::Value as Json;

use super::lab::{Lab, append, await_that};
use crate::dataset::source;
use crate::program::{Done, program};

/// Imports a recording that is uploaded with `keep: unsynced` and published into `store`.
fn import(lab: &Lab, name: &str, store: &str) -> (Done, Json) {
    let config = lab.root().with_extension("yaml");
    let mapping = format!(
        "experiment: alice/warehouse/{name}\nroot: {}\nremote: {{url: \"{}\", keep: unsynced}}\n\
         publish: {{to: \"{store}\"}}\ntopics: [{{topic: /**}}]\n",
        lab.root().display(),
        lab.proxy.url(),
    );
    fs::write(&config, mapping).unwrap();
    let program = program(["import"]).arg(source("tests/data/sena_lab_loop.mcap"));
    let program = program.arg("--token-file").arg(lab.token_file());
    let done = program.arg("--config").arg(&config).arg("--json").run();
    assert!([0, 3].contains(&done.code), "{}", done.stderr);
    let account = serde_json::from_str(done.text()).unwrap();
    (done, account)
}

/// Imports it until it and what waits from before are published: how much a busy disk takes in the time that one import waits is not
/// what is tested.
fn import_until_published(lab: &Lab, name: &str, store: &str) -> Done {
    let mut imports = (0..20).map(|_| import(lab, name, store));
    let done = imports.find(|(_, account)| account["publish"]["state"] == "up_to_date");
    done.unwrap().0
}

fn rows(root: PathBuf, name: &str) -> u64 {
    let exp = Experiment::open_read_only(&format!("alice/warehouse/{name}"), root).unwrap();
    exp.list().unwrap().iter().map(|track| track.total_entries).sum()
}

/// Rows that count in a published folder.
fn published(store: &str, name: &str) -> u64 {
    let folder = store.strip_prefix("file://").unwrap();
    let manifest = format!("{folder}/manifests/owner=alice/project=warehouse/{name}.json");
    let Ok(manifest) = fs::read(manifest) else { return 0 };
    let manifest: Json = serde_json::from_slice(&manifest).unwrap();
    manifest["files"].as_array().unwrap().iter().map(|file| file["rows"].as_u64().unwrap()).sum()
}

#[test]
fn rows_go_here_once_the_server_and_the_store_have_them() {
    let lab = Lab::new();
    let store = format!("file://{}", lab.root().with_file_name("store").display());
    let done = import_until_published(&lab, "run-1", &store);
    let there = rows(lab.server_root(), "run-1");
    assert!(there > 0);
    assert_eq!(
        (published(&store, "run-1"), rows(lab.root(), "run-1")),
        (there, 0),
        "{}",
        done.stderr
    );
    // Published again, nothing is missing and nothing is taken away.
    let again = program(["publish", "alice/**", "--to", &store, "--root"]).arg(lab.root()).run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(published(&store, "run-1"), there);
}

#[test]
fn rows_stay_here_until_the_store_can_be_reached() {
    let lab = Lab::new();
    let folder = lab.root().with_file_name("store");
    let store = format!("file://{}", folder.display());
    // A file stands where the store is to be.
    fs::write(&folder, "").unwrap();
    let (done, account) = import(&lab, "run-1", &store);
    assert_eq!(account["publish"]["state"], "failing", "{}", done.stderr);
    assert!(
        done.stderr.contains(&format!("stays here until {store} has it too")),
        "{}",
        done.stderr
    );
    let there = rows(lab.server_root(), "run-1");
    assert_eq!(rows(lab.root(), "run-1"), there);
    // Neither by hand.
    let sync = program([
        "sync",
        "alice/warehouse/run-1",
        "--drop-synced",
        "--remote",
        &lab.proxy.url(),
        "--token-file",
    ]);
    let sync = sync.arg(lab.token_file()).arg("--root").arg(lab.root()).run();
    assert_eq!(sync.code, 0, "{}", sync.stderr);
    assert_eq!(rows(lab.root(), "run-1"), there);
    fs::remove_file(&folder).unwrap();
    let done = import_until_published(&lab, "run-2", &store);
    for name in ["run-1", "run-2"] {
        assert_eq!(
            (published(&store, name), rows(lab.root(), name)),
            (there, 0),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn no_room_is_made_in_a_recording_that_is_not_published_yet() {
    const HELD: &str = "alice/warehouse/monday/run-0";
    let lab = Lab::new();
    let exp = Experiment::open(HELD, lab.options()).unwrap();
    append(&exp, "arm", 0..5000);
    exp.close().unwrap();
    let held = Experiment::open_read_only(HELD, lab.root()).unwrap();
    held.hold("s3://lake/fleet").unwrap();
    let remote = lab.remote().max_local(100_000, WhenLocalFull::DropSynced);
    let exp = Experiment::open("alice/warehouse/run-1", lab.options().remote(remote)).unwrap();
    let arm = exp.tracks("arm");
    await_that(|| arm.append(fields! { "q": 0 }, 0.0).is_err());
    assert_eq!(held.list().unwrap()[0].total_entries, 5000);
    held.release("s3://lake/fleet").unwrap();
    await_that(|| arm.append(fields! { "q": 0 }, 0.0).is_ok());
    assert_eq!(held.list().unwrap()[0].total_entries, 0);
    exp.close().unwrap();
}

#[test]
fn rows_that_went_before_they_were_published_are_missed() {
    let lab = Lab::new();
    let exp = Experiment::open("alice/warehouse/run-1", lab.options()).unwrap();
    append(&exp, "arm", 0..300);
    exp.close().unwrap();
    fs::remove_file(lab.root().join("alice/warehouse/run-1/tracks/arm/data.jsonl")).unwrap();
    let store = format!("file://{}", lab.root().with_file_name("store").display());
    let done = program(["publish", "alice/**", "--to", &store, "--root"]).arg(lab.root()).run();
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(done.stderr.contains("track `arm`: 300 rows are not published"), "{}", done.stderr);
}
