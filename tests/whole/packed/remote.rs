//! Packed rows and servers.

use std::fs;
use std::ops::ControlFlow;

use mldash_bridge::track::{Compression, Experiment, Keep, Options};
use serde_json::json;

use super::{data_files, pack, record, tracks};
use crate::http::Client;
use crate::server::{Server, TOKEN};
use crate::sync::lab::{Lab, RUN as SYNCED, append};

#[test]
fn packed_rows_are_uploaded_once_and_removed_only_when_the_server_has_them() {
    let lab = Lab::new();
    let exp = Experiment::open(SYNCED, Options::local(lab.root())).unwrap();
    append(&exp, "arm", 0..4000);
    append(&exp, "leg", 0..10);
    exp.close().unwrap();
    let pack = || lab.recorded().pack(|| ControlFlow::Continue(())).unwrap();
    // Part of it before it is packed: what the server has is known by its length and CRC.
    let part = lab.recorded().sync(&lab.remote(), |status| {
        let is_part = status.rows_sent > 1000;
        if is_part { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(part.unwrap().status.rows_sent > 1000);
    pack();
    let rest = lab.sync(&lab.remote()).status;
    assert!(rest.is_complete() && rest.rows_sent < 3100, "what was sent is sent again: {rest:?}");
    lab.assert_same("packed");
    assert_eq!(lab.sync(&lab.remote()).status.rows_sent, 0);
    let tracks = lab.root().join(SYNCED).join("tracks");
    assert!(tracks.join("arm/data.jsonl.zst").exists());
    let dropped = lab.sync(&lab.remote().keep(Keep::Unsynced));
    assert!(dropped.failure.is_none(), "{dropped:?}");
    assert!(!tracks.join("arm/data.jsonl.zst").exists() && !tracks.join("arm/data.jsonl").exists());
    assert_eq!(lab.on_server("arm").len(), 4000);
    // What is gone is not begun anew.
    assert_eq!(pack().problems, Vec::<String>::new());
    assert!(!tracks.join("arm/data.jsonl").exists());
}

#[test]
fn a_damaged_file_is_kept_although_the_server_has_all_that_is_left_of_it() {
    let lab = Lab::new();
    let exp = Experiment::open(SYNCED, Options::local(lab.root())).unwrap();
    append(&exp, "arm", 0..4000);
    exp.close().unwrap();
    lab.recorded().pack(|| ControlFlow::Continue(())).unwrap();
    let path = lab.root().join(SYNCED).join("tracks/arm/data.jsonl.zst");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    lab.sync(&lab.remote().keep(Keep::Unsynced));
    assert!(fs::read(&path).unwrap() == bytes, "it is as it was");
    let there = lab.on_server("arm").len();
    assert!((1..4000).contains(&there), "{there} rows");
}

#[test]
fn a_recording_that_is_uploaded_and_packed_ends_with_all_of_it_there_and_packed() {
    let lab = Lab::new();
    let options = lab.options().compress(Compression::Zstd);
    let exp = Experiment::open(SYNCED, options).unwrap();
    append(&exp, "arm", 0..3000);
    let closed = exp.close().unwrap();
    assert!(closed.sync.unwrap().is_complete());
    assert!(lab.root().join(SYNCED).join("tracks/arm/data.jsonl.zst").exists());
    lab.assert_same("after the close");
    assert_eq!(lab.sync(&lab.remote()).status.rows_sent, 0);
}

#[test]
fn the_server_reads_packed_tracks_and_unpacks_one_that_is_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    record(&root, &(0..200).collect::<Vec<_>>());
    let text = tracks(&root)["robot/arm"].clone();
    pack(&root);
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let track = "/api/experiments/experiment~~alice~~w~~run/tracks/robot%2Farm";
    let got = client.get(&format!("{track}/data?format=jsonl"));
    assert_eq!((got.status, got.text() == text), (200, true), "{}", got.text());
    let range = client.get(&format!("{track}/data?format=jsonl&start_timestamp=1&end_timestamp=2"));
    assert_eq!(range.text().lines().count(), 9, "{}", range.text());
    assert_eq!(data_files(&root), (0, 2));
    let entries = json!({"entries": [{"timestamp": 1.0625, "n": 1}]});
    assert_eq!(client.post(&format!("{track}/append_batch"), &entries).status, 200);
    let more = client.get(&format!("{track}/data?format=jsonl"));
    assert_eq!(more.text().lines().count(), 201);
    server.kill();
    assert_eq!(tracks(&root)["robot/arm"].lines().count(), 201);
    assert_eq!(data_files(&root), (1, 1));
}
