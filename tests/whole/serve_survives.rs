//! The server under many writers, killed, stopped and started again: what it said is kept is kept.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mldash_bridge::track::{Experiment, Options, Query, TrackError};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::http::{Answer, Client, answer};
use crate::server::{Server, TOKEN};
use crate::small_disk::SmallDisk;

/// Many times what anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const NODES: &str = "/api/namespaces/alice/nodes";

/// Makes `alice/w/<name>`; returns its id.
fn make(client: &Client, name: &str) -> String {
    let node = json!({"type": "EXPERIMENT", "name": name, "projectSlug": "w"});
    let made = patiently(|| client.post(NODES, &node)).json();
    made["experiment"]["id"].as_str().unwrap().to_owned()
}

/// As a client does it that comes back when it is told to.
fn patiently(request: impl Fn() -> Answer) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the server stays busy");
        let answer = request();
        match answer.status {
            200 => return answer,
            429 => assert!(answer.header("retry-after").is_some()),
            status => panic!("{status} {}", answer.text()),
        }
    }
}

fn batch(rows: std::ops::Range<u64>, writer: u64) -> Json {
    let entries: Vec<Json> =
        rows.map(|i| json!({"timestamp": i, format!("w{writer}"): i})).collect();
    json!({ "entries": entries })
}

fn append(client: &Client, id: &str, topic: &str, batch: &Json) {
    let path = format!("/api/experiments/{id}/tracks/{topic}/append_batch");
    patiently(|| client.post(&path, batch));
}

fn stored(root: &Path, name: &str, topic: &str) -> Vec<mldash_bridge::track::Row> {
    let experiment = Experiment::open_read_only(&format!("alice/w/{name}"), root).unwrap();
    experiment.tracks(topic).read(&Query::all()).unwrap()
}

#[test]
fn many_robots_write_to_many_experiments_and_to_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    // Fewer may be open than there are: they make room for each other.
    let server = Server::start_with(&root, "127.0.0.1:0", &["--max-experiments", "4"]);
    let address = &server.address;
    thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || {
                let client = Client::new(address, TOKEN);
                let shared = make(&client, "shared");
                let own = make(&client, &format!("own-{writer}"));
                for start in (0..200).step_by(20) {
                    append(&client, &shared, "arm", &batch(start..start + 20, writer));
                    append(&client, &own, "arm", &batch(start..start + 20, writer));
                }
            });
        }
    });
    let shared = stored(&root, "shared", "arm");
    assert_eq!(shared.len(), 200);
    assert!(shared.iter().all(|row| row.fields.len() == 8), "each writer's column is in each row");
    for writer in 0..8 {
        assert_eq!(stored(&root, &format!("own-{writer}"), "arm").len(), 200);
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill_under_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let address = server.address.clone();
    let client = Client::new(&address, TOKEN);
    let id = make(&client, "run");
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for start in (0..).step_by(10) {
                let path = format!("/api/experiments/{id}/tracks/arm/append_batch");
                let body = batch(start..start + 10, 0).to_string();
                let mut request = client.head("POST", &path, &[], body.len());
                request.extend_from_slice(body.as_bytes());
                if !is_taken(&address, &request) {
                    return;
                }
                acknowledged.store(start + 10, Ordering::Release);
            }
        });
        while acknowledged.load(Ordering::Acquire) < 200 {
            thread::yield_now();
        }
        server.kill();
    });
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let read = client.get(&format!("/api/experiments/{id}/tracks/arm/data")).json();
    let times: Vec<u64> = read["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["timestamp"].as_f64().unwrap() as u64)
        .collect();
    let acknowledged = acknowledged.into_inner();
    assert!(times.len() as u64 >= acknowledged, "{} of {acknowledged}", times.len());
    assert!(times.iter().zip(0..).all(|(time, i)| *time == i));
    assert_eq!(make(&client, "run"), id);
    append(&client, &id, "arm", &batch(0..10, 1));
    assert_eq!(stored(&root, "run", "arm").len(), times.len());
}

/// Whether the server answered 200; it may be killed at any moment.
fn is_taken(address: &str, request: &[u8]) -> bool {
    use std::io::Read;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let mut text = Vec::new();
    let exchanged = stream.write_all(request).and_then(|()| stream.read_to_end(&mut text));
    exchanged.is_ok() && text.starts_with(b"HTTP/1.1 200")
}

#[test]
fn the_same_batch_twice_is_the_same_track() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let id = make(&client, "run");
    append(&client, &id, "arm", &batch(0..50, 0));
    let once = client.get(&format!("/api/experiments/{id}/tracks/arm/data")).text();
    append(&client, &id, "arm", &batch(0..50, 0));
    assert_eq!(client.get(&format!("/api/experiments/{id}/tracks/arm/data")).text(), once);
    assert!(server.terminate().status.success());
    // At rest, the file itself holds each row once.
    let text = fs::read_to_string(root.join("alice/w/run/tracks/arm/data.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 50);
}

#[test]
fn a_server_that_is_told_to_stop_finishes_what_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let id = make(&client, "run");
    let body = batch(0..10, 0).to_string();
    let path = format!("/api/experiments/{id}/tracks/arm/append_batch");
    let ask = ["Expect: 100-continue"];
    let mut slow = client.begin(&client.head("POST", &path, &ask, body.len()));
    // The server asks for the body: the request is under way.
    let mut go_on = [0; 25];
    std::io::Read::read_exact(&mut slow, &mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));
    let finishing = thread::spawn(move || {
        slow.write_all(body.as_bytes()).unwrap();
        answer(&mut slow).status
    });
    let stopped = server.terminate();
    assert!(stopped.status.success(), "{}", stopped.log);
    assert_eq!(finishing.join().unwrap(), 200);
    assert_eq!(stored(&root, "run", "arm").len(), 10);
    // Closed: another program may go on at once.
    Experiment::open("alice/w/run", Options::local(&root)).unwrap().close().unwrap();
}

#[test]
fn an_idle_experiment_is_closed_and_opened_again_when_rows_come() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start_with(&root, "127.0.0.1:0", &["--idle-close", "0.001"]);
    let client = Client::new(&server.address, TOKEN);
    let id = &make(&client, "run");
    append(&client, id, "arm", &batch(0..10, 0));
    // Only a writer can tell that the server has let go.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the server does not let go");
        match Experiment::open("alice/w/run", Options::local(&root)) {
            Err(TrackError::Store(_)) => thread::yield_now(),
            opened => {
                drop(opened.unwrap().close().unwrap());
                break;
            }
        }
    }
    append(&client, id, "arm", &batch(10..20, 0));
    assert_eq!(stored(&root, "run", "arm").len(), 20);
}

#[test]
fn a_run_that_goes_on_elsewhere_is_not_called_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let metadata = json!({"started_at": "2026-11-24T06:34:00Z", "host": "rover"});
    let node =
        json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w", "metadata": metadata});
    let made = client.post(NODES, &node).json();
    let (id, node) =
        (made["experiment"]["id"].as_str().unwrap(), made["node"]["id"].as_str().unwrap());
    // The server goes and comes, the robot records on.
    server.kill();
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    append(&client, id, "arm", &batch(0..10, 0));
    let seen = client.get(&format!("/api/nodes/{node}")).json();
    assert_eq!((&seen["status"], &seen["metadata"]), (&json!("RUNNING"), &metadata));
    let done = client.patch(&format!("/api/nodes/{node}"), &json!({"status": "COMPLETED"}));
    assert_eq!(done.json()["status"], "COMPLETED");
    // Done is done: it is closed at once, and read as it lies.
    Experiment::open("alice/w/run", Options::local(&root)).unwrap().close().unwrap();
}

#[test]
fn one_root_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let server = Server::start(&root);
    let tokens = Server::token_file(&root);
    let args = ["serve", "--listen", "127.0.0.1:0", "--root"];
    let second = crate::program::program(args).arg(&root).arg("--token-file").arg(&tokens).run();
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another server serves"), "{}", second.stderr);
    assert!(server.terminate().status.success());
    fs::write(&tokens, "alice\n").unwrap();
    let wrong = crate::program::program(args).arg(&root).arg("--token-file").arg(&tokens).run();
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains(":1: expected `namespace token`"), "{}", wrong.stderr);
    let none =
        crate::program::program(["serve", "--token-file", "tokens", "--max-requests", "0"]).run();
    assert!(none.code == 2 && none.stderr.contains("not in 1.."), "{}", none.stderr);
}

#[test]
fn limits_beyond_what_can_be_counted_are_refused_and_the_largest_ones_work() {
    let at_once = ["--max-requests", "--max-downloads", "--max-connections", "--max-experiments"];
    let sizes = ["--max-file", "--max-body", "--max-memory", "--max-rows"];
    for option in at_once.into_iter().chain(sizes) {
        let args = ["serve", "--token-file", "tokens", option, "18446744073709551615"];
        let done = crate::program::program(args).run();
        assert_eq!(done.code, 2, "{}", done.stderr);
        assert!(done.stderr.contains(option) && done.stderr.contains("not in 1..="));
    }
    let folder = tempfile::tempdir().unwrap();
    let most = at_once.iter().flat_map(|option| [*option, "1048576"]);
    let most: Vec<&str> =
        most.chain(sizes.iter().flat_map(|option| [*option, "1099511627776"])).collect();
    let server = Server::start_with(&folder.path().join("dash"), "127.0.0.1:0", &most);
    let client = Client::new(&server.address, TOKEN);
    let id = make(&client, "run");
    append(&client, &id, "arm", &batch(0..10, 0));
    let checksum = mldash_bridge::track::hex(&Sha256::digest(b"x"));
    let parts: [(&str, &[u8]); 5] = [
        ("type", b"FILE"),
        ("experimentId", id.as_bytes()),
        ("name", b"x.bin"),
        ("checksum", checksum.as_bytes()),
        ("file", b"x"),
    ];
    let (content_type, body) = crate::http::form(&parts, "x.bin");
    let saved = client.send("POST", "/api/namespaces/alice/nodes", &[&content_type], &body);
    assert_eq!(saved.status, 200, "{}", saved.text());
}

#[test]
fn a_full_disk_is_told_and_costs_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    let root = disk.path().join("dash");
    let server = Server::start(&root);
    let client = Client::new(&server.address, TOKEN);
    let id = make(&client, "run");
    append(&client, &id, "arm", &batch(0..10, 0));
    disk.fill_but(0);
    let path = format!("/api/experiments/{id}/tracks/arm/append_batch");
    // The last page of the file may have room for a few.
    let large = json!({"entries": [{"timestamp": 10, "text": "x".repeat(100_000)}]});
    let refused = client.post(&path, &large);
    assert_eq!((refused.status, refused.code().as_str()), (507, "out_of_space"));
    assert!(!refused.text().contains(root.to_str().unwrap()), "{}", refused.text());
    let read = client.get(&format!("/api/experiments/{id}/tracks/arm/data"));
    assert_eq!(read.json()["count"], 10, "reads go on");
    disk.clear();
    append(&client, &id, "arm", &large);
    append(&client, &id, "arm", &batch(11..20, 0));
    assert!(server.terminate().status.success());
    assert_eq!(stored(&root, "run", "arm").len(), 20);
}
