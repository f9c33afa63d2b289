//! Names and paths that would lead elsewhere.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::lab::{Lab, TRACKS, sha256};

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
fn two_topics_for_one_folder_are_a_conflict() {
    let lab = Lab::open(&[]);
    let entry = json!({"entries": [{"timestamp": 1}]});
    assert_eq!(lab.alice.post(&format!("{TRACKS}/a%2Fb/append_batch"), &entry).status, 200);
    let refused = lab.alice.post(&format!("{TRACKS}/a_b/append_batch"), &entry);
    assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"));
    assert!(!refused.text().contains(lab.folder.path().to_str().unwrap()), "{}", refused.text());
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
