//! A live recording with a server: there all along, or not at all.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use mldash_bridge::track::{Experiment, Export, Format, Query};
use serde_json::Value;

use super::program::program;
use super::server::{Server, TOKEN};
use super::support::{Graph, Recording};

const MAPPING: &str = "
flush: {interval: 0.05}
topics:
  - topic: /**
  - topic: /points
    blobs: file
  - topic: /tf
    each: transforms
    track: tf/{child_frame_id}
";
/// The namespace is the token's, whatever the experiment's owner.
const ON_SERVER: &str = "alice/ros/run";

/// Rows and files; what JSON has no word for is null there.
fn assert_uploaded(recording: &Recording, root: &Path, server_root: &Path) {
    let here = Experiment::open_read_only("tests/ros/run", root).unwrap();
    let there = Experiment::open_read_only(ON_SERVER, server_root).unwrap();
    let rows = |exp: &Experiment, track: &str| -> Vec<Value> {
        let strict = Export::from(Format::Jsonl).strict();
        let text = exp.tracks(track).export(&Query::all(), strict).unwrap();
        text.split(|byte| *byte == b'\n').map(|row| serde_json::from_slice(row).unwrap()).collect()
    };
    assert!(recording.tracks().len() > 8);
    for track in recording.tracks() {
        assert!(rows(&here, &track) == rows(&there, &track), "{track}");
    }
    let files = |exp: &Experiment| -> Vec<(String, String, String)> {
        let files = exp.files("").list().unwrap().into_iter();
        files.map(|file| (file.path, file.filename, file.checksum)).collect()
    };
    assert!(!files(&here).is_empty());
    assert_eq!(files(&here), files(&there));
}

/// An address that nobody listens on.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn what_a_robot_publishes_is_on_the_server_when_the_recording_ends() {
    let graph = Graph::new();
    let server = Server::start(&graph.path("server"));
    let (config, token) = (graph.file("mapping.yaml", MAPPING), graph.file("token", TOKEN));
    let url = server.url();
    let bridge = graph.bridge_with(&[
        "--config",
        config.to_str().unwrap(),
        "--remote",
        &url,
        "--token-file",
        token.to_str().unwrap(),
    ]);
    graph.robot("every_type").finish();
    let recording = bridge.interrupt();
    let sync = &recording.account()["sync"];
    assert_eq!(sync["state"], "up_to_date", "{}", recording.ended.stderr);
    assert_uploaded(&recording, &graph.path("root"), server.root());
    assert!(!recording.ended.stderr.contains(TOKEN));
}

#[test]
fn without_its_server_a_recording_is_whole_and_says_how_to_upload_it() {
    let graph = Graph::new();
    let (config, token) = (graph.file("mapping.yaml", MAPPING), graph.file("token", TOKEN));
    let url = format!("http://{}", nobody());
    let bridge = graph.bridge_with(&[
        "--config",
        config.to_str().unwrap(),
        "--remote",
        &url,
        "--token-file",
        token.to_str().unwrap(),
    ]);
    let expected = graph.robot("every_type").finish();
    let recording = bridge.interrupt();
    assert_eq!(recording.account()["sync"]["state"], "failing");
    assert!(recording.ended.stderr.contains("mldash_bridge sync tests/ros/run --root"));
    for track in ["pose", "imu", "tf/base"] {
        let published = expected.iter().filter(|(of, _)| of == track).count();
        assert_eq!(recording.rows(track).len(), published, "{track}");
    }
    let server = Server::start(&graph.path("server"));
    let (url, root) = (server.url(), graph.path("root"));
    let sync = [
        "sync",
        "tests/ros/run",
        "--remote",
        &url,
        "--token-file",
        token.to_str().unwrap(),
        "--root",
    ];
    let done = program(sync).arg(&root).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_uploaded(&recording, &root, server.root());
}
