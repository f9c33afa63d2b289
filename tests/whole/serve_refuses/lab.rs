//! A server, and who asks it for what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::http::{Answer, Client, form};
use crate::server::{Server, TOKEN};

pub const NODES: &str = "/api/namespaces/alice/nodes";
pub const TRACKS: &str = "/api/experiments/experiment~~alice~~w~~run/tracks";

/// A server with an experiment `alice/w/run`, and alice's client.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub server: Server,
    pub alice: Client,
}

impl Lab {
    pub fn open(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(&folder.path().join("dash"), "127.0.0.1:0", options);
        let alice = Client::new(&server.address, TOKEN);
        let lab = Self { folder, server, alice };
        let made = lab.make(json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"}));
        assert_eq!(made.status, 200, "{}", made.text());
        lab
    }

    pub fn make(&self, node: Json) -> Answer {
        self.alice.post(NODES, &node)
    }

    pub fn append(&self, body: &str) -> Answer {
        self.alice.send("POST", &format!("{TRACKS}/arm/append_batch"), &[], body.as_bytes())
    }

    pub fn rows(&self) -> u64 {
        let read = self.alice.get(&format!("{TRACKS}/arm/data"));
        assert_eq!(read.status, 200, "{}", read.text());
        read.json()["count"].as_u64().unwrap()
    }

    pub fn upload(&self, data: &[u8], checksum: &str, name: &str) -> Answer {
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
    pub fn tree(&self) -> Vec<PathBuf> {
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
    pub fn handles(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.pid())).unwrap().count()
    }

    pub fn incoming(&self) -> usize {
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

pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}
