//! Too much, too slow, too many.

use std::io::{Read, Write};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value as Json, json};

use super::lab::{Lab, NODES, TRACKS, sha256};
use crate::http::{Answer, answer, exchange, form};

/// More tracks than a server at its limit of open files can hold open.
const TRACK_COUNT: usize = 600;

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
