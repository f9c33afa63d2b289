//! The server: what the real SDK makes of it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Format, Options, Query, RunStatus};
use serde_json::{Value as Json, json};

use crate::http::Client;
use crate::program::program;
use crate::python::python;
use crate::server::{Server, TOKEN};

/// Runs tests/interop/remote.py against a server.
fn sdk(server: &Server, command: &str, name: &str) -> Json {
    let config = tempfile::tempdir().unwrap();
    let tokens = json!({ "ml-dash-token": TOKEN });
    fs::write(config.path().join("tokens.json"), tokens.to_string()).unwrap();
    let done = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/remote.py"))
        .args([command, &server.url(), name])
        .env("ML_DASH_NO_VERSION_CHECK", "1")
        .env("ML_DASH_CONFIG_DIR", config.path())
        .env("HOME", config.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn the_sdks_client_makes_appends_reads_lists_and_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let seen = sdk(&server, "client", "alice");
    assert_eq!(seen["username"], "alice");
    assert_eq!(seen["sameIds"], true);
    let row = json!({"timestamp": 1.0, "q": [0.1, 0.2], "grip.closed": true, "mode": "hold"});
    let second = json!({"timestamp": 2.0, "q": [0.3, 0.4]});
    assert_eq!(seen["appended"]["data"]["grip.closed"], true);
    assert_eq!(seen["counts"], json!([{"count": 2}, {"count": 2}]));
    assert_eq!(seen["json"], json!({"entries": [row, second], "count": 2}));
    assert_eq!(seen["range"], json!({"entries": [second], "count": 1}));
    assert_eq!(seen["columns"]["entries"][0], json!({"timestamp": 1.0, "mode": "hold"}));
    let lines: Vec<Json> = seen["jsonl"]
        .as_str()
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, [row, second]);
    assert_eq!(seen["parquet"][1]["q"], json!([0.3, 0.4]));
    assert_eq!(seen["mocap"]["metadata"]["fps"], 100);
    assert_eq!(seen["mocap"]["metadata"]["description"], "tool");
    assert_eq!(seen["absent"], json!({"entries": [], "count": 0}));
    assert_eq!(seen["tracks"], json!(["robot/joints", "robot/pose"]));
    assert_eq!(seen["filtered"], json!(["robot/joints", "robot/pose"]));
    assert_eq!(seen["one"][0]["totalEntries"], 2);
    assert_eq!(seen["one"][0]["metadata"], json!({"fps": 100}));

    let files = &seen["files"];
    assert_eq!(files["uploaded"][0]["id"], files["uploaded"][1]["id"]);
    assert_eq!(files["uploaded"][0]["path"], "frames/left");
    assert_eq!(files["uploaded"][0]["sizeBytes"], 256_004);
    assert_eq!(files["uploaded"][0]["tags"], json!(["left", "raw"]));
    assert_eq!(files["same"], true);
    assert_eq!(files["listed"]["totalCount"], 1);
    assert_eq!(files["listed"]["files"][0]["physicalFile"]["contentType"], "image/png");
    assert_eq!(files["found"][0]["path"], "/frames/left/frame.png");
    assert_eq!((&files["updated"], &files["deleted"]), (&json!("second"), &json!(true)));
    assert_eq!(files["left"], 0);

    let found = &seen["found"];
    assert_eq!(
        (&found["status"], &found["byPath"]["status"]),
        (&json!("FAILED"), &json!("FAILED"))
    );
    assert_eq!(found["byPath"]["project"]["namespace"]["slug"], "alice");
    assert_eq!(found["uploaded"]["path"], "notes");

    // The same rows by our own reading, of the root as it lies, with the same bytes.
    let read = ["read", "alice/warehouse/monday/run-1", "robot/pose", "--strict", "--format"];
    let read = program(read).arg("jsonl").arg("--root").arg(&root).run();
    // A file of lines ends with one; on the wire they are joined, as ML-Dash has it.
    let wire = format!("{}\n", seen["jsonl"].as_str().unwrap());
    assert_eq!(read.text(), wire, "{}", read.stderr);
    let experiment = fs::read(root.join("alice/warehouse/monday/run-1/experiment.json")).unwrap();
    let experiment: Json = serde_json::from_slice(&experiment).unwrap();
    assert_eq!(experiment["status"], "FAILED");
    assert_eq!(experiment["description"], "pick and place");
    assert_eq!(experiment["metadata"], json!({"robot": "r2"}));
}

#[test]
fn a_users_experiment_with_a_url_records_as_it_does_with_ml_dash() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let seen = sdk(&server, "experiment", "alice/warehouse/run-2");
    assert_eq!((&seen["rows"], &seen["jsonl"]), (&json!(250), &json!(250)));
    assert_eq!(seen["merged"], json!({"timestamp": 0.5, "q": [50, -50], "late": true}));
    let experiment = Experiment::open_read_only("alice/warehouse/run-2", &root).unwrap();
    assert_eq!(experiment.tracks("robot/pose").read(&Query::all()).unwrap().len(), 250);
    assert_eq!(experiment.files("notes").read("note.txt").unwrap(), b"from the SDK");
    let stopped = server.terminate();
    assert!(stopped.status.success(), "{}", stopped.log);
    assert!(!stopped.log.contains(TOKEN));
}

#[test]
fn runs_of_the_sdk_fail_lie_in_folders_are_kept_here_too_and_are_shared_by_processes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let seen = sdk(&server, "ends", "alice/warehouse");
    assert_eq!(seen, json!({"raised": "the arm is stuck", "here": 1000}));
    assert!(server.terminate().status.success());
    let open = |name: &str| Experiment::open_read_only(name, &root).unwrap();
    let rows = |exp: &Experiment, topic: &str| exp.tracks(topic).read(&Query::all()).unwrap();
    let failed = open("alice/warehouse/failed");
    assert_eq!(failed.notes().unwrap().status, Some(RunStatus::Failed));
    assert_eq!(rows(&failed, "arm").len(), 1, "what it had recorded by then");
    let hybrid = open("alice/warehouse/mon day/β/hybrid");
    assert_eq!(hybrid.notes().unwrap().status, Some(RunStatus::Completed));
    let arm = rows(&hybrid, "robot/ärm");
    assert_eq!((arm.len(), &arm[7].fields), (1000, &fields! { "q": 7, "note": "ü☃" }));
    assert_eq!(hybrid.files("notes").read("note ü.txt").unwrap(), b"both");
    let shared = rows(&open("alice/warehouse/both"), "shared");
    assert_eq!(shared.len(), 1000);
    for (i, row) in (0..).zip(&shared) {
        assert_eq!(
            (row.fields.get("this"), row.fields.get("other")),
            (Some(&i.into()), Some(&i.into()))
        );
    }
}

#[test]
fn an_answer_has_the_bytes_of_a_strict_local_read_and_is_zipped_for_those_who_ask() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let experiment = Experiment::open("alice/w/run", Options::local(&root)).unwrap();
    let arm = experiment.tracks("robot/arm");
    for i in 0..500 {
        let effort = if i % 7 == 0 { f64::NAN } else { f64::from(i) / 3.0 };
        arm.append(fields! { "q": [effort, f64::INFINITY], "mode": "hold" }, f64::from(i)).unwrap();
    }
    experiment.flush().unwrap();
    let server = Server::start(&root);
    let alice = Client::new(&server.address, TOKEN);
    let path = "/api/experiments/experiment~~alice~~w~~run/tracks/robot%2Farm/data";
    let params = "start_timestamp=10&end_timestamp=400.5&columns=q";
    let options = ["--start", "10", "--end", "400.5", "--columns", "q", "--strict"];
    for format in Format::ALL.iter().map(|format| format.name()) {
        let mut answer = alice.get(&format!("{path}?format={format}&{params}"));
        let read = program(["read", "alice/w/run", "robot/arm", "--format", format])
            .args(options)
            .arg("--root")
            .arg(&root)
            .run();
        assert_eq!((answer.status, read.code), (200, 0), "{format}: {}", read.stderr);
        if format == "jsonl" {
            answer.body.push(b'\n');
        }
        assert!(answer.body == read.stdout, "{format}");
    }
    let plain = alice.get(path);
    let zipped = alice.send("GET", path, &["Accept-Encoding: gzip"], b"");
    assert_eq!(
        (plain.header("content-encoding"), zipped.header("content-encoding")),
        (None, Some("gzip"))
    );
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_end(&mut inflated).unwrap();
    assert_eq!(inflated, plain.body);
}
