//! Small requests that would become large, and one namespace that takes what all need: the server's
//! memory stays within its limit, and others are served.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::http::{Answer, Client};
use crate::program::program;
use crate::server::{BOBS_TOKEN, Server, TOKEN};
use crate::small_disk::SmallDisk;

mod tracks;

const MIB: usize = 1 << 20;
/// Many times what an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the server says.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What the process may have at its peak beyond `--max-memory`: docs/server.md says so.
const BEYOND_BYTES: u64 = 128 << 20;

/// A server for alice and bob, with an experiment of each.
struct Lab {
    folder: tempfile::TempDir,
    server: Server,
    max_memory_bytes: u64,
    alice: Client,
    bob: Client,
}

impl Lab {
    /// With so many MiB of memory.
    fn open(max_memory: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = [&["--max-memory", max_memory][..], options].concat();
        let server = Server::start_with(&folder.path().join("dash"), "127.0.0.1:0", &options);
        let alice = Client::new(&server.address, TOKEN);
        let bob = Client::new(&server.address, BOBS_TOKEN);
        for (client, name) in [(&alice, "alice"), (&bob, "bob")] {
            let node = json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"});
            let made = client.post(&format!("/api/namespaces/{name}/nodes"), &node);
            assert_eq!(made.status, 200, "{}", made.text());
        }
        let max_memory_bytes = max_memory.parse::<u64>().unwrap() << 20;
        Self { folder, server, max_memory_bytes, alice, bob }
    }

    fn append(&self, body: &[u8]) -> Answer {
        self.alice.send(
            "POST",
            &batch_path("alice", "arm"),
            &["Content-Encoding: gzip"],
            &gzip(body),
        )
    }

    /// The most memory that the server ever had.
    fn peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    #[track_caller]
    fn check_peak(&self) {
        let peak = self.peak_bytes();
        println!("peak: {} MiB", peak >> 20);
        assert!(peak < self.max_memory_bytes + BEYOND_BYTES, "{} MiB", peak >> 20);
    }
}

fn track_path(namespace: &str, topic: &str) -> String {
    format!("/api/experiments/experiment~~{namespace}~~w~~run/tracks/{topic}")
}

fn batch_path(namespace: &str, topic: &str) -> String {
    format!("{}/append_batch", track_path(namespace, topic))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(bytes).unwrap();
    zipped.finish().unwrap()
}

/// One row with a list of so many bytes of this item.
fn row_of(item: &str, bytes: usize) -> Vec<u8> {
    let items = vec![item; bytes / (item.len() + 1)].join(",");
    format!("{{\"entries\":[{{\"timestamp\":1,\"q\":[{items}]}}]}}").into_bytes()
}

#[test]
fn a_long_key_over_many_values_is_refused_with_track_entry_and_remedy() {
    let lab = Lab::open("256", &[]);
    let leaves: Vec<String> = (0..100_000).map(|i| format!("\"{i}\":0")).collect();
    let dict = format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), leaves.join(","));
    let body = format!("{{\"entries\":[{{\"timestamp\":1}},{{\"timestamp\":2,\"q\":{dict}}}]}}");
    assert!(gzip(body.as_bytes()).len() < 400_000);
    let refused = lab.append(body.as_bytes());
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"));
    let text = refused.text();
    for expected in ["track `arm`", "entry 1 of `entries`", "shorten the keys"] {
        assert!(text.contains(expected), "{text}");
    }
    let one = format!("{{\"timestamp\":1,\"data\":{dict}}}");
    let path = format!("{}/append", track_path("alice", "arm"));
    let refused = lab.alice.send("POST", &path, &["Content-Encoding: gzip"], &gzip(one.as_bytes()));
    assert!(refused.status == 400 || refused.status == 413, "{}", refused.text());
    lab.check_peak();

    // The same on one's own machine: the other lines are recorded.
    let lines = format!("{{\"_ts\":1}}\n{{\"_ts\":2,\"q\":{dict}}}\n{{\"_ts\":3}}\n");
    let root = lab.folder.path().join("local");
    let append = program(["append", "alice/w/run", "arm", "--root"]).arg(&root).stdin(lines).run();
    for expected in ["2", "arm", "shorten the keys"] {
        assert!(append.stderr.contains(expected), "{}", append.stderr);
    }
    let read =
        program(["read", "alice/w/run", "arm", "--format", "jsonl", "--root"]).arg(&root).run();
    assert_eq!(read.text().lines().count(), 2, "{}", read.stderr);
}

#[test]
fn what_bodies_become_counts_against_the_servers_memory() {
    let lab = Lab::open("64", &["--max-body", "8"]);
    let bombs = ["[]", "{}", "null", "7,0.5", "\"\"", "{\"\":[]}"];
    let large: Vec<Vec<u8>> = bombs.iter().map(|item| gzip(&row_of(item, 3 * MIB))).collect();
    let wide: Vec<String> = (0..400_000).map(|i| format!("\"{i:x}\":0")).collect();
    let wide = gzip(format!("{{\"entries\":[{{\"timestamp\":1,{}}}]}}", wide.join(",")).as_bytes());
    let many = format!(
        "{{\"entries\":[{}]}}",
        vec!["{\"timestamp\":1,\"a\":{\"b\":[[]]}}"; 20_000].join(",")
    );
    let many = gzip(many.as_bytes());
    thread::scope(|scope| {
        for body in large.iter().chain([&wide, &many]) {
            let alice = &lab.alice;
            scope.spawn(move || {
                let path = batch_path("alice", "arm");
                let answer = alice.send("POST", &path, &["Content-Encoding: gzip"], body);
                assert!([200, 400, 413, 429].contains(&answer.status), "{}", answer.text());
            });
        }
    });
    let tree = format!("{{\"metadata\":[{}]}}", vec!["{\"\":0}"; 1_000_000].join(","));
    let small_tree = format!("{{\"metadata\":[{}]}}", vec!["{\"\":0}"; 100_000].join(","));
    for body in [tree, small_tree] {
        let path = "/api/nodes/node~~alice~~w~~run";
        let answer =
            lab.alice.send("PATCH", path, &["Content-Encoding: gzip"], &gzip(body.as_bytes()));
        assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    }
    lab.check_peak();
    let row = json!({"entries": [{"timestamp": 5, "x": 1}]});
    assert_eq!(lab.alice.post(&batch_path("alice", "arm"), &row).status, 200);
}

#[test]
fn reads_of_large_rows_count_too_and_are_all_answered_in_the_end() {
    let lab = Lab::open("64", &["--max-body", "8"]);
    let numbers = row_of("0.125", 2 * MIB);
    let stored = lab.append(&numbers);
    assert_eq!(stored.status, 200, "{}", stored.text());
    thread::scope(|scope| {
        for format in ["json", "jsonl", "parquet", "csv", "mocap", "mcap", "json", "csv"] {
            let alice = &lab.alice;
            scope.spawn(move || {
                let path = format!("{}/data?format={format}", track_path("alice", "arm"));
                let least = if ["parquet", "mcap"].contains(&format) { 0 } else { MIB };
                let deadline = Instant::now() + PATIENCE;
                loop {
                    assert!(Instant::now() < deadline, "{format}: the server stays busy");
                    let read = alice.get(&path);
                    match read.status {
                        200 => break assert!(read.body.len() > least, "{format}"),
                        // As a client does it that comes back when it is told to.
                        429 => thread::sleep(RETRY_AFTER),
                        status => panic!("{format}: {status} {}", read.text()),
                    }
                }
            });
        }
    });
    lab.check_peak();
}

/// A robot with two clocks: every block of the track spans both.
#[test]
fn a_track_of_two_clocks_larger_than_the_memory_is_read() {
    let lab = Lab::open("64", &[]);
    let folder = lab.server.root().join("alice/w/run/tracks/arm");
    fs::create_dir_all(&folder).unwrap();
    let text = "x".repeat(10_000);
    let row = |i: u64| {
        let ts = i / 2 + i % 2 * 1_000_000_000;
        format!("{{\"timestamp\":{ts}.0,\"i\":{i},\"text\":\"{text}\"}}\n")
    };
    fs::write(folder.join("data.jsonl"), (0..7000).map(row).collect::<String>()).unwrap();
    let read = lab.alice.get(&format!("{}/data?format=jsonl", track_path("alice", "arm")));
    assert_eq!(read.status, 200, "{}", read.text());
    assert_eq!(read.text().lines().count(), 7000);
    lab.check_peak();
}

#[test]
fn what_can_only_be_read_sorted_is_refused_where_there_is_no_room_to_sort_it() {
    const ROWS: u64 = 2500;
    let Some(disk) = SmallDisk::mount(48 * MIB as u64) else { return };
    let root = disk.path().join("dash");
    let server =
        Server::start_as(&root, "127.0.0.1:0", &[], |program| program.env("TMPDIR", disk.path()));
    let alice = Client::new(&server.address, TOKEN);
    let node = json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"});
    assert_eq!(alice.post("/api/namespaces/alice/nodes", &node).status, 200);
    let folder = root.join("alice/w/run/tracks/arm");
    fs::create_dir_all(&folder).unwrap();
    let text = "x".repeat(10_000);
    let row = |i: u64| {
        let ts = i / 2 + i % 2 * 1_000_000_000;
        format!("{{\"timestamp\":{ts}.0,\"text\":\"{text}\"}}\n")
    };
    fs::write(folder.join("data.jsonl"), (0..ROWS).map(row).collect::<String>()).unwrap();
    let path = format!("{}/data?format=jsonl", track_path("alice", "arm"));
    let refused = alice.get(&path);
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.text().contains("no room to sort"), "{}", refused.text());
    // A part that can be held is read, and what is free serves who records.
    let part = alice.get(&format!("{path}&start_timestamp=0&end_timestamp=99"));
    assert_eq!((part.status, part.text().lines().count()), (200, 100), "{}", part.text());
    let entry = json!({"entries": [{"timestamp": 1, "v": 1}]});
    let stored = alice.post(&batch_path("alice", "leg"), &entry);
    assert_eq!(stored.status, 200, "{}", stored.text());
}

#[test]
fn one_namespaces_slow_bodies_and_readers_turn_no_other_away() {
    let lab = Lab::open("64", &["--max-body", "8"]);
    let row = json!({"entries": [{"timestamp": 1, "text": "x".repeat(200_000)}]});
    assert_eq!(lab.alice.post(&batch_path("alice", "arm"), &row).status, 200);
    let head = lab.alice.head("POST", &batch_path("alice", "arm"), &[], 4 * MIB);
    // Each sends most of a body, and then nothing.
    let part = [&head[..], &vec![b' '; 3 * MIB]].concat();
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = lab.alice.begin(&head);
            stream.set_nonblocking(true).unwrap();
            let mut sent = 0;
            // A refusal is an answer; the others fill what they were given.
            while sent < part.len() - head.len() {
                match stream.write(&part[head.len() + sent..]) {
                    Ok(bytes) => sent += bytes,
                    Err(_) => break,
                }
            }
            stream
        })
        .collect();
    let downloads: Vec<_> = (0..40)
        .map(|_| {
            let path = format!("{}/data", track_path("alice", "arm"));
            lab.alice.begin(&lab.alice.head("GET", &path, &[], 0))
        })
        .collect();
    let row = json!({"entries": [{"timestamp": 2, "text": "y".repeat(300_000)}]});
    for _ in 0..5 {
        let stored = lab.bob.post(&batch_path("bob", "arm"), &row);
        assert_eq!(stored.status, 200, "{}", stored.text());
        let read = lab.bob.get(&format!("{}/data", track_path("bob", "arm")));
        assert_eq!(read.status, 200, "{}", read.text());
    }
    drop((slow, downloads));
    lab.check_peak();
}

#[test]
fn new_columns_in_every_row_end_at_a_limit() {
    let lab = Lab::open("256", &[]);
    let mut refused = None;
    for batch in 0..20 {
        let columns: Vec<String> = (0..7000).map(|i| format!("\"{batch}_{i}\":0")).collect();
        let body = format!("{{\"entries\":[{{\"timestamp\":{batch},{}}}]}}", columns.join(","));
        let answer = lab.append(body.as_bytes());
        if answer.status != 200 {
            refused = Some((batch, answer));
            break;
        }
    }
    let (batch, answer) = refused.unwrap();
    assert_eq!((batch, answer.status), (9, 400), "{}", answer.text());
    assert!(answer.text().contains("track `arm`"), "{}", answer.text());
    assert!(answer.text().contains("65536 columns"), "{}", answer.text());
    let known = json!({"entries": [{"timestamp": 100, "0_1": 7}]});
    assert_eq!(lab.alice.post(&batch_path("alice", "arm"), &known).status, 200);

    // As Parquet, that is more than there can be: fewer are to be chosen.
    let path = format!("{}/data?format=parquet", track_path("alice", "arm"));
    let wide = lab.alice.get(&path);
    assert_eq!(wide.status, 400, "{}", wide.text());
    assert!(wide.text().contains("choose columns"), "{}", wide.text());
    let chosen = lab.alice.get(&format!("{path}&columns=0_1,3_3"));
    assert_eq!(chosen.status, 200, "{}", chosen.text());
    assert!(chosen.body.starts_with(b"PAR1"));
    lab.check_peak();
}

#[test]
fn queries_that_multiply_are_bounded() {
    let lab = Lab::open("256", &[]);
    let large = json!({"metadata": {"text": "x".repeat(MIB)}});
    assert_eq!(lab.alice.patch("/api/nodes/node~~alice~~w~~run", &large).status, 200);
    let copies: String = (0..900).map(|i| format!("a{i}: metadata ")).collect();
    let id = "experiment~~alice~~w~~run";
    let many = format!("{{ experimentById(id: \"{id}\") {{ {copies} }} }}");
    let answer = lab.alice.post("/graphql", &json!({ "query": many }));
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    for deep in ["{ me ".repeat(9000), "{ me(a: ".to_owned() + &"[".repeat(50_000)] {
        let answer = lab.alice.post("/graphql", &json!({ "query": deep }));
        assert!(answer.json()["errors"].is_array(), "{}", answer.text());
    }
    // One answer of that size is fine, and a client that does not read it is given up.
    let one = format!("{{ experimentById(id: \"{id}\") {{ metadata }} }}");
    let answer = lab.alice.post("/graphql", &json!({ "query": one }));
    let text = &answer.json()["data"]["experimentById"]["metadata"]["text"];
    assert_eq!(text.as_str().map(str::len), Some(MIB));
    lab.check_peak();
}

#[test]
fn lists_of_files_with_heavy_notes_count() {
    let lab = Lab::open("64", &["--max-body", "8"]);
    let folder = lab.server.root().join("alice/w/run/files");
    fs::create_dir_all(&folder).unwrap();
    let metadata: Json =
        serde_json::from_str(&format!("[{}]", vec!["{\"\":0}"; 1000].join(","))).unwrap();
    let files: Vec<Json> = (0..100)
        .map(|i| {
            json!({"id": i.to_string(), "path": "/", "filename": format!("{i}.bin"), "sizeBytes": 1,
                "checksum": "", "metadata": metadata})
        })
        .collect();
    fs::write(folder.join(".files_metadata.json"), json!({ "files": files }).to_string()).unwrap();
    let path = "/api/search/files?experimentId=experiment~~alice~~w~~run&pattern=**/*&limit=1000";
    let answer = lab.alice.get(path);
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    lab.check_peak();
}

/// The server's own files, by links that somebody with access to its disk put there.
#[test]
fn links_under_the_root_lead_to_nothing_for_clients_and_on_for_local_commands() {
    use std::os::unix::fs::symlink;

    let lab = Lab::open("256", &[]);
    let row = json!({"entries": [{"timestamp": 1, "x": 1}]});
    assert_eq!(lab.alice.post(&batch_path("alice", "arm"), &row).status, 200);
    assert_eq!(lab.bob.post(&batch_path("bob", "arm"), &row).status, 200);
    let root = lab.server.root();
    let alices = root.join("alice/w/run");
    let tokens = Server::token_file(root);
    let elsewhere = lab.folder.path().join("large-disk");
    fs::create_dir_all(elsewhere.join("t")).unwrap();
    fs::write(elsewhere.join("t/data.jsonl"), "{\"timestamp\":1,\"secret\":1}\n").unwrap();

    symlink(elsewhere.join("t"), alices.join("tracks/linked")).unwrap();
    fs::create_dir(alices.join("tracks/data")).unwrap();
    symlink(elsewhere.join("t/data.jsonl"), alices.join("tracks/data/data.jsonl")).unwrap();
    symlink(root.join("bob/w/run"), root.join("alice/w/bobs")).unwrap();
    symlink(root.join("bob/w"), root.join("alice/bobs")).unwrap();
    fs::create_dir_all(alices.join("files/7")).unwrap();
    symlink(&tokens, alices.join("files/7/file.txt")).unwrap();
    fs::create_dir_all(lab.folder.path().join("tokens-folder/8")).unwrap();
    fs::copy(&tokens, lab.folder.path().join("tokens-folder/8/file.txt")).unwrap();
    symlink(lab.folder.path().join("tokens-folder"), alices.join("files/away")).unwrap();
    let listed = |id: &str, path: &str| json!({"id": id, "path": path, "filename": "file.txt", "sizeBytes": 1, "checksum": ""});
    let files = json!({"files": [listed("7", "/"), listed("8", "/away")]});
    fs::write(alices.join("files/.files_metadata.json"), files.to_string()).unwrap();

    let bobs = |name: &str| format!("/api/experiments/experiment~~alice~~{name}/tracks/arm/data");
    for path in [
        format!("{}/data", track_path("alice", "linked")),
        format!("{}/data", track_path("alice", "data")),
        bobs("w~~bobs"),
        bobs("bobs~~run"),
        "/api/nodes/file~~alice~~w~~run~.file.txt/download".to_owned(),
        "/api/nodes/file~~alice~~w~~run~.away~~file.txt/download".to_owned(),
    ] {
        let answer = lab.alice.get(&path);
        assert_eq!((answer.status, answer.code().as_str()), (403, "symbolic_link"), "{path}");
        assert!(!answer.text().contains(TOKEN), "{path}");
    }
    for (topic, of) in [("linked", "alice"), ("data", "alice")] {
        let answer = lab.alice.post(&batch_path(of, topic), &row);
        assert_eq!(answer.status, 403, "{topic}: {}", answer.text());
    }
    let node =
        |name: &str, slug: &str| json!({"type": "EXPERIMENT", "name": name, "projectSlug": slug});
    for (name, slug) in [("bobs", "w"), ("run", "bobs"), ("new", "bobs")] {
        let answer = lab.alice.post("/api/namespaces/alice/nodes", &node(name, slug));
        assert_eq!(answer.status, 403, "{slug}/{name}: {}", answer.text());
    }
    let folder = json!({"type": "FOLDER", "name": "new", "projectId": "project~~alice~~bobs"});
    assert_eq!(lab.alice.post("/api/namespaces/alice/nodes", &folder).status, 403);
    assert!(!root.join("bob/w/new").exists());
    let linked = fs::read_to_string(elsewhere.join("t/data.jsonl")).unwrap();
    assert_eq!(linked.lines().count(), 1);
    // What is no link is served as before.
    let tracks = lab.alice.get("/api/experiments/experiment~~alice~~w~~run/tracks").json();
    let topics: Vec<&str> =
        tracks["tracks"].as_array().unwrap().iter().map(|t| t["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["arm"]);
    assert_eq!(lab.alice.post(&batch_path("alice", "arm"), &row).status, 200);

    // Here, whoever put a link there meant it.
    let read = |root: &Path, track: &str| {
        program(["read", "alice/w/run", track, "--format", "jsonl", "--root"]).arg(root).run()
    };
    let linked = read(root, "linked");
    assert!(linked.text().contains("secret"), "{}", linked.stderr);
    // So did whoever put the root itself behind one.
    assert!(lab.server.terminate().status.success());
    let link = lab.folder.path().join("link");
    symlink(lab.folder.path().join("dash"), &link).unwrap();
    fs::copy(&tokens, Server::token_file(&link)).unwrap();
    let server = Server::start(&link);
    let alice = Client::new(&server.address, TOKEN);
    assert_eq!(alice.get(&format!("{}/data", track_path("alice", "arm"))).json()["count"], 1);
    assert_eq!(alice.get(&format!("{}/data", track_path("alice", "linked"))).status, 403);
}

/// A client that asks for a large list and does not read it.
#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    let lab = Lab::open("256", &["--body-timeout", "1", "--max-downloads", "2"]);
    let large = json!({"metadata": {"text": "x".repeat(2 * MIB)}});
    let path = "/api/nodes/node~~alice~~w~~run";
    assert_eq!(lab.alice.patch(path, &large).status, 200);
    // More than the system's own buffers take.
    let copies: String = (0..12).map(|i| format!("a{i}: metadata ")).collect();
    let id = "experiment~~alice~~w~~run";
    let query = json!({"query": format!("{{ experimentById(id: \"{id}\") {{ {copies} }} }}")});
    let query = query.to_string();
    let head = lab.alice.head("POST", "/graphql", &[], query.len());
    let mut stuck = lab.alice.begin(&[&head[..], query.as_bytes()].concat());
    let mut first = [0; 12];
    while stuck.peek(&mut first).unwrap() < first.len() {}
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(lab.alice.get(path).status, 429, "its place among the downloads is taken");
    while lab.alice.get(path).status == 429 {}
    let mut rest = Vec::new();
    let _ = stuck.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it was cut off");
}
