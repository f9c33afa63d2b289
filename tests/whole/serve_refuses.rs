//! The server and those who mean it harm, or are only wrong: refused with a reason, nothing written
//! where it does not belong, others served meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::http::{Answer, Client, answer, exchange, form};
use crate::server::{BOBS_TOKEN, Server, TOKEN};

const NODES: &str = "/api/namespaces/alice/nodes";
const TRACKS: &str = "/api/experiments/experiment~~alice~~w~~run/tracks";

/// More tracks than a server at its limit of open files can hold open.
const TRACK_COUNT: usize = 600;

/// A server with an experiment `alice/w/run`, and alice's client.
struct Lab {
    folder: tempfile::TempDir,
    server: Server,
    alice: Client,
}

impl Lab {
    fn open(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(&folder.path().join("dash"), "127.0.0.1:0", options);
        let alice = Client::new(&server.address, TOKEN);
        let lab = Self { folder, server, alice };
        let made = lab.make(json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"}));
        assert_eq!(made.status, 200, "{}", made.text());
        lab
    }

    fn make(&self, node: Json) -> Answer {
        self.alice.post(NODES, &node)
    }

    fn append(&self, body: &str) -> Answer {
        self.alice.send("POST", &format!("{TRACKS}/arm/append_batch"), &[], body.as_bytes())
    }

    fn rows(&self) -> u64 {
        let read = self.alice.get(&format!("{TRACKS}/arm/data"));
        assert_eq!(read.status, 200, "{}", read.text());
        read.json()["count"].as_u64().unwrap()
    }

    fn upload(&self, data: &[u8], checksum: &str, name: &str) -> Answer {
        let parts: [(&str, &[u8]); 5] = [
            ("file", data),
            ("type", b"FILE"),
            ("experimentId", b"experiment~~alice~~w~~run"),
            ("name", name.as_bytes()),
            ("checksum", checksum.as_bytes()),
        ];
        let (content_type, body) = form(&parts, "theirs.bin");
        self.alice.send("POST", NODES, &[&content_type], &body)
    }

    /// Every file and folder that there is, the server's own aside.
    fn tree(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        walk(self.folder.path(), &mut paths);
        paths.retain(|path| {
            let within = path.strip_prefix(self.folder.path()).unwrap();
            !within.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
        });
        paths.sort();
        assert!(!paths.is_empty());
        paths
    }

    /// Files that the server has open.
    fn handles(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.pid())).unwrap().count()
    }

    fn incoming(&self) -> usize {
        fs::read_dir(self.server.root().join(".incoming")).unwrap().count()
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, paths);
        }
        paths.push(path);
    }
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn only_those_with_a_token_come_in_and_only_to_their_own() {
    let lab = Lab::open(&[]);
    let address = &lab.server.address;
    let request = |authorization: &str| {
        let request =
            format!("GET {TRACKS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n");
        exchange(address, request.as_bytes())
    };
    let basic = format!("Authorization: Basic {TOKEN}\r\n");
    let long = format!("Authorization: Bearer {TOKEN}x\r\n");
    for wrong in ["", "Authorization: Bearer\r\n", "Authorization: Bearer wrong\r\n", &basic, &long]
    {
        let refused = request(wrong);
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"), "{wrong}");
        assert_eq!(refused.header("www-authenticate"), Some("bearer"));
    }
    assert_eq!(request(&format!("authorization: bearer {TOKEN}\r\n")).status, 200);

    let bob = Client::new(address, BOBS_TOKEN);
    let mine = json!({"type": "EXPERIMENT", "name": "mine", "projectSlug": "w"});
    assert_eq!(bob.post(NODES, &mine).status, 403);
    assert_eq!(bob.get(TRACKS).status, 403);
    assert_eq!(
        bob.post(&format!("{TRACKS}/arm/append_batch"), &json!({"entries": []})).status,
        403
    );
    assert_eq!(
        bob.patch("/api/nodes/node~~alice~~w~~run", &json!({"status": "FAILED"})).status,
        403
    );
    assert_eq!(bob.get("/api/nodes/file~~alice~~w~~run~.x/download").status, 403);
    let query = "{ me { username } namespace(slug: \"alice\") { projects { id } } \
                 experimentById(id: \"experiment~~alice~~w~~run\") { id } }";
    let seen = bob.post("/graphql", &json!({"query": query})).json();
    assert_eq!(seen["data"]["me"], json!({"username": "bob"}));
    assert_eq!(
        (&seen["data"]["namespace"], &seen["data"]["experimentById"]),
        (&Json::Null, &Json::Null)
    );

    assert_eq!(
        exchange(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status,
        200
    );
}

#[test]
fn a_token_is_replaced_without_a_restart() {
    let lab = Lab::open(&[]);
    let tokens = Server::token_file(lab.server.root());
    fs::write(tokens, "alice renewed # yesterday's is out\n").unwrap();
    assert_eq!(Client::new(&lab.server.address, "renewed").get(TRACKS).status, 200);
    assert_eq!(lab.alice.get(TRACKS).status, 401);
}

#[test]
fn no_name_leaves_the_root() {
    let lab = Lab::open(&[]);
    lab.append(r#"{"entries":[{"timestamp":1,"x":1}]}"#);
    assert_eq!(lab.upload(b"x", &sha256(b"x"), "there.txt").status, 200);
    let before = lab.tree();
    let hostile = [
        "..",
        ".",
        "../x",
        "../../../x",
        "/x",
        "a/../../../x",
        "a//b",
        ".hidden",
        "a/.hidden",
        "..\\x",
        "a\0b",
        "a\nb",
        "",
        "/",
        &"x".repeat(300),
    ];
    let checksum = sha256(b"x");
    for name in hostile {
        let mut refused = vec![
            lab.make(json!({"type": "PROJECT", "name": name, "slug": name})),
            lab.make(json!({"type": "EXPERIMENT", "name": name, "projectSlug": "w"})),
            lab.make(json!({"type": "EXPERIMENT", "name": "x", "projectSlug": name})),
            lab.make(json!({"type": "FOLDER", "name": name, "projectId": "project~~alice~~w"})),
            lab.make(json!({"type": "FOLDER", "name": name, "experimentId": "experiment~~alice~~w~~run"})),
            lab.make(json!({"type": "EXPERIMENT", "name": "x", "projectSlug": "w", "parentId": name})),
            lab.upload(b"x", &checksum, name),
            lab.alice.post(TRACKS, &json!({"topic": name})),
        ];
        // As a part of the path, encoded once: that is what the server sees as the name.
        let entry = json!({"entries": [{"timestamp": 1, "x": 1}]});
        let encoded = percent_encoded(name);
        refused.push(lab.alice.post(&format!("{TRACKS}/{encoded}/append_batch"), &entry));
        refused.push(lab.alice.get(&format!("{TRACKS}/{encoded}/data")));
        refused.push(lab.alice.post(&format!("/api/experiments/{encoded}/tracks"), &entry));
        refused.push(lab.alice.get(&format!("/api/nodes/{encoded}")));
        refused.push(lab.alice.get(&format!("/api/nodes/{encoded}/download")));
        refused.push(lab.alice.post(&format!("/api/namespaces/{encoded}/nodes"), &entry));
        for (place, answer) in refused.iter().enumerate() {
            let is_refusal = (400..500).contains(&answer.status);
            assert!(is_refusal, "{name:?}, {place}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(lab.tree(), before);
}

#[test]
fn raw_and_twice_encoded_paths_find_nothing_outside() {
    let lab = Lab::open(&[]);
    fs::write(lab.folder.path().join("secret"), "outside").unwrap();
    let outside = lab.tree();
    for path in [
        "/../secret",
        "/api/nodes/../../secret",
        "/api/nodes/%2e%2e%2f%2e%2e%2fsecret/download",
        "/api/nodes/file~~alice~~w~~run~...~~..~~..~~..~~secret/download",
        "/api/nodes/file~~alice~~w~~run~.~2E~2E~~secret/download",
        "/api/nodes/file~~alice~~..~~..~.secret/download",
        "/api/nodes/file~~..~~..~~..~.secret/download",
        "/api/experiments/experiment~~alice~~..~~..~~..~~etc/tracks",
    ] {
        let answer = lab.alice.get(path);
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("outside"), "{path}");
    }
    // Encoded twice, it is a name with percent signs in it, and one folder.
    let topic = "%252e%252e%252f%252e%252e%252fevil";
    let entry = json!({"entries": [{"timestamp": 1, "x": 1}]});
    assert_eq!(lab.alice.post(&format!("{TRACKS}/{topic}/append_batch"), &entry).status, 200);
    let tracks = lab.server.root().join("alice/w/run/tracks");
    assert!(tracks.join("%2e%2e%2f%2e%2e%2fevil/data.jsonl").exists());
    let new: Vec<PathBuf> = lab.tree().into_iter().filter(|path| !outside.contains(path)).collect();
    assert!(new.iter().all(|path| path.starts_with(&tracks)), "{new:?}");
}

#[test]
fn what_is_too_large_is_refused_however_it_comes() {
    let lab = Lab::open(&["--max-body", "1", "--max-file", "1", "--max-rows", "100"]);
    let batch = |rows: usize, text: &str| {
        let entries = (0..rows).map(|i| json!({"timestamp": i, "x": text})).collect::<Vec<_>>();
        json!({ "entries": entries }).to_string().into_bytes()
    };
    let path = format!("{TRACKS}/arm/append_batch");
    let large = batch(2, &"x".repeat(1 << 20));
    let too_large = |answer: Answer| {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (413, "too_large"),
            "{}",
            answer.text()
        );
    };
    too_large(lab.alice.send("POST", &path, &[], &large));
    too_large(lab.alice.send("POST", &path, &[], &batch(101, "x")));
    // In chunks, its length untold.
    let head = String::from_utf8(lab.alice.head("POST", &path, &[], 0)).unwrap();
    let head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let length = format!("{:x}\r\n", large.len());
    let chunked = [head.as_bytes(), length.as_bytes(), &large, b"\r\n0\r\n\r\n"];
    too_large(exchange(&lab.server.address, &chunked.concat()));
    // A bomb: small until it is inflated.
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    too_large(lab.alice.send("POST", &path, &["Content-Encoding: gzip"], &bomb));
    let file = vec![7; (1 << 20) + 1];
    too_large(lab.upload(&file, &sha256(&file), "large.bin"));
    assert_eq!(lab.incoming(), 0);
    assert!(!lab.server.root().join("alice/w/run/files/large.bin").exists());
    assert_eq!(lab.rows(), 0);

    assert_eq!(lab.alice.send("POST", &path, &[], &batch(100, "x")).status, 200);
    let zipped = gzip(&batch(50, "y"));
    assert_eq!(lab.alice.send("POST", &path, &["Content-Encoding: gzip"], &zipped).status, 200);
    assert_eq!(lab.rows(), 100);
    let unknown = lab.alice.send("POST", &path, &["Content-Encoding: br"], b"x");
    assert_eq!((unknown.status, unknown.code().as_str()), (415, "unsupported_encoding"));
    assert_eq!(unknown.header("accept-encoding"), Some("gzip"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zipped.write_all(bytes).unwrap();
    zipped.finish().unwrap()
}

#[test]
fn a_batch_with_one_wrong_row_leaves_none_and_says_which() {
    let lab = Lab::open(&[]);
    let wrong = [
        (r#"{"entries":[{"timestamp":1},{"x":1}]}"#, "entry 1"),
        (r#"{"entries":[{"timestamp":1},{"timestamp":"2"}]}"#, "entry 1"),
        (r#"{"entries":[{"timestamp":1},{"timestamp":NaN}]}"#, ""),
        (r#"{"entries":[{"timestamp":1},{"timestamp":2,"x":Infinity}]}"#, ""),
        (r#"{"entries":[{"timestamp":1},{"timestamp":2,"_ts":3}]}"#, "_ts"),
        (r#"{"entries":[{"timestamp":1},7]}"#, "entry 1"),
        (r#"{"entries":[{"timestamp":1}"#, ""),
        (r#"{"entries":1}"#, ""),
        (r#"{"rows":[]}"#, "`entries` is missing"),
        ("", ""),
        ("\u{0}", ""),
    ];
    for (body, expected) in wrong {
        let answer = lab.append(body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{body}");
        assert!(answer.text().contains(expected), "{body}: {}", answer.text());
    }
    let deep = format!(
        "{{\"entries\":[{{\"timestamp\":1,\"x\":{}{}}}]}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert_eq!(lab.append(&deep).status, 400);
    let one =
        |body: &str| lab.alice.send("POST", &format!("{TRACKS}/arm/append"), &[], body.as_bytes());
    for body in [
        r#"{"data":{}}"#,
        r#"{"timestamp":null,"data":{}}"#,
        r#"{"timestamp":NaN,"data":{}}"#,
        r#"{"timestamp":1}"#,
    ] {
        assert_eq!(one(body).status, 400, "{body}");
    }
    assert_eq!(lab.alice.get(TRACKS).json(), json!({"tracks": []}));
    assert_eq!(one(r#"{"timestamp":1,"data":{}}"#).status, 200);
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let lab = Lab::open(&[]);
    let none = "/api/experiments/experiment~~alice~~w~~other/tracks";
    assert_eq!(lab.alice.get(none).status, 404);
    let entry = json!({"entries": [{"timestamp": 1}]});
    assert_eq!(lab.alice.post(&format!("{none}/arm/append_batch"), &entry).status, 404);
    assert!(!lab.server.root().join("alice/w/other").exists());
    assert_eq!(lab.alice.get("/api/nodes/file~~alice~~w~~run~.none").status, 404);
    assert_eq!(lab.alice.post("/api/experiments/1/logs", &json!({})).status, 404);
    assert_eq!(lab.alice.send("DELETE", "/api/nodes/node~~alice~~w~~run", &[], b"").status, 405);
    assert_eq!(lab.alice.send("PUT", TRACKS, &[], b"").status, 405);
    for params in ["format=xml", "start_timestamp=NaN", "start_timestamp=now"] {
        assert_eq!(lab.alice.get(&format!("{TRACKS}/arm/data?{params}")).status, 400, "{params}");
    }
    let unknown = lab.alice.post("/graphql", &json!({"query": "{ me { password } }"}));
    assert_eq!(
        unknown.json()["errors"][0]["message"],
        "this server has no field `password` of User"
    );
    let cycle = "{ me { ...A } } fragment A on User { ...A }";
    assert!(lab.alice.post("/graphql", &json!({"query": cycle})).json()["errors"].is_array());
    let change = "mutation { deleteEverything }";
    assert!(lab.alice.post("/graphql", &json!({"query": change})).json()["errors"].is_array());
}

#[test]
fn a_file_that_is_not_what_was_announced_is_not_kept() {
    let lab = Lab::open(&[]);
    let before = lab.tree();
    let refused = lab.upload(b"data", &sha256(b"other"), "frame.png");
    assert_eq!((refused.status, refused.code().as_str()), (422, "checksum_mismatch"));
    assert_eq!(lab.upload(b"data", "", "frame.png").status, 422);
    let (content_type, body) = form(&[("file", b"data"), ("type", b"FILE")], "x");
    assert_eq!(lab.alice.send("POST", NODES, &[&content_type], &body).status, 400);
    let (content_type, body) = form(&[("type", b"FILE"), ("checksum", b"")], "x");
    assert_eq!(lab.alice.send("POST", NODES, &[&content_type], &body).status, 400);
    assert_eq!(lab.alice.send("POST", NODES, &[&content_type], &body[..60]).status, 400);
    assert_eq!((lab.tree(), lab.incoming()), (before, 0));

    let kept = lab.upload(b"data", &sha256(b"data"), "frame.png");
    assert_eq!(kept.status, 200, "{}", kept.text());
    let again = lab.upload(b"data", &sha256(b"data"), "frame.png");
    assert_eq!(kept.json()["node"]["id"], again.json()["node"]["id"]);
    let experiment = Experiment::open_read_only("alice/w/run", lab.server.root()).unwrap();
    assert_eq!(experiment.files("").list().unwrap().len(), 1);
    assert_eq!(experiment.files("").read("frame.png").unwrap(), b"data");
}

#[test]
fn two_topics_for_one_folder_are_a_conflict() {
    let lab = Lab::open(&[]);
    let entry = json!({"entries": [{"timestamp": 1}]});
    assert_eq!(lab.alice.post(&format!("{TRACKS}/a%2Fb/append_batch"), &entry).status, 200);
    let refused = lab.alice.post(&format!("{TRACKS}/a_b/append_batch"), &entry);
    assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"));
    assert!(!refused.text().contains(lab.folder.path().to_str().unwrap()), "{}", refused.text());
}

#[test]
fn an_experiment_in_another_programs_hands_is_tried_again_later() {
    let lab = Lab::open(&[]);
    let theirs = Experiment::open("alice/w/local", Options::local(lab.server.root())).unwrap();
    theirs.tracks("arm").append(fields! { "x": 1 }, 1.0).unwrap();
    theirs.flush().unwrap();
    let path = "/api/experiments/experiment~~alice~~w~~local/tracks/arm";
    let entry = json!({"entries": [{"timestamp": 2, "x": 2}]});
    let refused = lab.alice.post(&format!("{path}/append_batch"), &entry);
    assert_eq!((refused.status, refused.code().as_str()), (503, "locked"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(lab.alice.get(&format!("{path}/data")).json()["count"], 1, "reads go on");
    theirs.close().unwrap();
    assert_eq!(lab.alice.post(&format!("{path}/append_batch"), &entry).status, 200);
    assert_eq!(lab.alice.get(&format!("{path}/data")).json()["count"], 2);
}

#[test]
fn clients_that_never_finish_are_given_up_and_hold_up_nobody() {
    let lab = Lab::open(&["--header-timeout", "1", "--body-timeout", "1"]);
    let path = format!("{TRACKS}/arm/append_batch");
    let mut heads: Vec<_> =
        (0..20).map(|_| lab.alice.begin(b"POST / HTTP/1.1\r\nHost: ")).collect();
    let head = lab.alice.head("POST", &path, &[], 1000);
    let mut bodies: Vec<_> =
        (0..20).map(|_| lab.alice.begin(&[&head[..], b"{"].concat())).collect();
    let (form_head, form_body) = form(&[("type", b"FILE"), ("file", &[1; 1000])], "x");
    let form_head = lab.alice.head("POST", NODES, &[&form_head], form_body.len());
    let mut forms: Vec<_> =
        (0..20).map(|_| lab.alice.begin(&[&form_head[..], &form_body[..300]].concat())).collect();
    assert_eq!(lab.append(r#"{"entries":[{"timestamp":1}]}"#).status, 200, "others are served");
    for stream in &mut bodies {
        let late = answer(stream);
        assert_eq!((late.status, late.code().as_str()), (408, "timeout"));
    }
    for stream in &mut forms {
        assert_eq!(answer(stream).status, 408);
    }
    for stream in &mut heads {
        // Closed, with or without a word.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    assert_eq!((lab.incoming(), lab.rows()), (0, 1));
}

#[test]
fn a_crowd_without_tokens_takes_nobodys_place() {
    let lab = Lab::open(&["--max-connections", "4", "--header-timeout", "600"]);
    let body = br#"{"entries":[{"timestamp":1}]}"#;
    let path = format!("{TRACKS}/arm/append_batch");
    let head = lab.alice.head("POST", &path, &["Expect: 100-continue"], body.len());
    let mut known = lab.alice.begin(&head);
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    known.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "its token has been seen");
    let crowd: Vec<_> = (0..40).map(|_| lab.alice.begin(b"GET /healthz HTTP/1.1\r\nHo")).collect();
    assert_eq!(lab.alice.get(TRACKS).status, 200, "somebody else comes in");
    known.write_all(body).unwrap();
    assert_eq!(answer(&mut known).status, 200, "who had shown a token stays");
    assert_eq!(lab.rows(), 1);
    drop(crowd);
}

#[test]
fn a_server_that_has_enough_to_do_says_when_to_come_back() {
    let lab = Lab::open(&["--max-requests", "1"]);
    let path = format!("{TRACKS}/arm/append_batch");
    let body = br#"{"entries":[{"timestamp":1}]}"#;
    let head = lab.alice.head("POST", &path, &["Expect: 100-continue"], body.len());
    let mut slow = lab.alice.begin(&head);
    // The server asks for the body once it has taken the request.
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    slow.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let busy = lab.alice.get(TRACKS);
    assert_eq!((busy.status, busy.code().as_str()), (429, "busy"));
    assert_eq!(busy.header("retry-after"), Some("1"));
    slow.write_all(body).unwrap();
    assert_eq!(answer(&mut slow).status, 200);
    assert_eq!(lab.rows(), 1);
}

#[test]
fn more_tracks_than_the_server_may_have_files_open_are_all_recorded() {
    let lab = Lab::open(&[]);
    let pid = Pid::from_raw(lab.server.pid().try_into().unwrap());
    let few = Rlimit { current: Some(100), maximum: Some(100) };
    prlimit(pid, Resource::Nofile, few).unwrap();
    let append = |topic: &str| {
        let path = format!("{TRACKS}/{topic}/append_batch");
        lab.alice.send("POST", &path, &[], br#"{"entries":[{"timestamp":1}]}"#)
    };
    // All are written to again after all others.
    for i in (0..TRACK_COUNT).chain(0..TRACK_COUNT) {
        let answer = append(&format!("t{i}"));
        assert_eq!(answer.status, 200, "t{i}: {}", answer.code());
    }
    assert!(lab.handles() < 100);
    let listed = lab.alice.get(TRACKS).json();
    assert_eq!(listed["tracks"].as_array().unwrap().len(), TRACK_COUNT);
    // Closed and opened again, at their limit still.
    let node = "/api/nodes/node~~alice~~w~~run";
    assert_eq!(lab.alice.patch(node, &json!({"status": "COMPLETED"})).status, 200);
    for i in 0..TRACK_COUNT {
        let read = lab.alice.get(&format!("{TRACKS}/t{i}/data"));
        assert_eq!((read.status, read.json()["count"].as_u64()), (200, Some(1)), "t{i}");
    }
    assert_eq!(append("t0").status, 200);
    let stopped = lab.server.terminate();
    assert!(stopped.status.success() && !stopped.log.contains("ERROR"), "{}", stopped.log);
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_writer_and_is_given_up() {
    let lab = Lab::open(&["--max-downloads", "1", "--body-timeout", "1"]);
    let text = "x".repeat(300_000);
    let entries: Vec<Json> = (0..100).map(|i| json!({"timestamp": i, "text": text})).collect();
    assert_eq!(lab.append(&json!({ "entries": entries }).to_string()).status, 200);
    // More than the system's own buffers take.
    let request = lab.alice.head("GET", &format!("{TRACKS}/arm/data"), &[], 0);
    let mut reader = lab.alice.begin(&request);
    let mut first = [0; 12];
    while reader.peek(&mut first).unwrap() < first.len() {}
    assert_eq!(&first, b"HTTP/1.1 200");

    let read = || lab.alice.get(&format!("{TRACKS}/arm/data?end_timestamp=0"));
    assert_eq!(read().code(), "busy");
    assert_eq!(lab.append(r#"{"entries":[{"timestamp":100}]}"#).status, 200);
    while read().status == 429 {
        // Until it is given up.
    }
    assert_eq!(read().json()["count"], 1);
    let mut bytes = Vec::new();
    // What came is no whole answer: its last chunk is missing.
    let _ = reader.read_to_end(&mut bytes);
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
}

#[test]
fn no_garbage_makes_the_server_fail_or_write_elsewhere() {
    let seed =
        std::env::var("SERVE_SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap());
    println!("SERVE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let lab = Lab::open(&["--header-timeout", "1", "--body-timeout", "1"]);
    let (form_type, form_body) = form(&[("type", b"FILE"), ("file", b"data")], "x.bin");
    let entries = br#"{"entries":[{"timestamp":1.5,"q":[1,2],"deep":{"a":{"b":null}}}]}"#;
    let query = br#"{"query":"query Q($id: ID!) { experimentById(id: $id) { id } }","variables":{"id":"x"}}"#;
    let node = br#"{"type":"FOLDER","name":"f","projectId":"project~~alice~~w"}"#;
    let requests: [(&str, String, &str, &[u8]); 5] = [
        ("POST", format!("{TRACKS}/arm/append_batch"), "Content-Type: application/json", entries),
        (
            "GET",
            format!("{TRACKS}/arm/data?start_timestamp=1&columns=q"),
            "Accept-Encoding: gzip",
            b"",
        ),
        ("POST", "/graphql".to_owned(), "Content-Type: application/json", query),
        ("POST", NODES.to_owned(), "Content-Type: application/json", node),
        ("POST", NODES.to_owned(), &form_type, &form_body),
    ];
    for _ in 0..500 {
        let (method, path, header, body) = &requests[random.usize(..requests.len())];
        let mut request = lab.alice.head(method, path, &[header], body.len());
        request.extend_from_slice(body);
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..request.len());
            match random.u8(..3) {
                0 => request[at] = random.u8(..),
                1 => request.truncate(at.max(1)),
                _ => drop(
                    request.splice(at..at, std::iter::repeat_n(random.u8(..), random.usize(..9))),
                ),
            }
        }
        let mut stream = lab.alice.begin(&request);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A connection that is cut is an answer to garbage, too.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            !answer.starts_with("HTTP/1.1 5"),
            "{answer}\n{}",
            String::from_utf8_lossy(&request)
        );
    }
    assert_eq!(lab.append(r#"{"entries":[{"timestamp":7}]}"#).status, 200);
    let outside = |path: &PathBuf| !path.starts_with(lab.server.root().join("alice"));
    let outside: Vec<PathBuf> = lab.tree().into_iter().filter(outside).collect();
    let expected = [lab.server.root().to_owned(), Server::token_file(lab.server.root())];
    assert_eq!(outside, expected);
}
