//! Rows, files and requests that are not what they should be.

use std::io::Read;
use std::path::PathBuf;

use mldash_bridge::track::Experiment;
use serde_json::json;

use super::lab::{Lab, NODES, TRACKS, sha256};
use crate::http::form;
use crate::server::Server;

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
