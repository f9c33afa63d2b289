//! A server that speaks S3 (`s3s-fs`, scripts/s3-server) as a process, over a folder, behind a proxy of ours.
//!
//! The proxy makes faults and counts, and puts right where s3s-fs does other than S3:
//! - It checks `If-Match` and `If-None-Match` and then writes, so two at once could both win. Through the proxy, what changes an object happens
//!   alone.
//! - A `HEAD` of what is a folder on its disk is an error there; S3 knows no folders and says 404.
//! - `encoding-type=url` of a list is said, not done: keys come back as they are.
//! - The last N bytes of an object that has fewer are an error; S3 sends the whole object.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::free_port::start_on_free_port;
use crate::program::Program;
use crate::request_proxy::{Answer, Head, RequestProxy};

/// The one bucket there is.
pub const BUCKET: &str = "lake";
pub const ACCESS_KEY: &str = "robot";
pub const SECRET_KEY: &str = "robots-s3cret";

/// A running server. It ends when this is dropped; its folder stays.
pub struct S3 {
    process: Child,
    root: PathBuf,
    pub proxy: RequestProxy,
}

impl S3 {
    /// Over `root`, with an empty bucket if there is none.
    pub fn start(root: &Path) -> Self {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = Command::new(sources.join("scripts/s3-server")).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let server = String::from_utf8(found.stdout).unwrap();
        fs::create_dir_all(root.join(BUCKET)).unwrap();
        let (process, address) = start_on_free_port(|address| {
            let mut command = Command::new(server.trim());
            command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
            command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(root);
            command.env("RUST_LOG", "off");
            command
        });
        let bucket = root.join(BUCKET);
        let proxy =
            RequestProxy::start(address, move |head, answer| as_s3_does(head, answer, &bucket));
        Self { process, root: root.to_owned(), proxy }
    }

    /// `http://127.0.0.1:port`, of the proxy.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    /// Where the bucket's objects lie on disk.
    pub fn bucket(&self) -> PathBuf {
        self.root.join(BUCKET)
    }

    /// Environment variables with which a program gets in.
    pub fn credentials(&self) -> [(&'static str, &'static str); 3] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    /// The program, with credentials and the endpoint.
    pub fn client(&self, program: Program) -> Program {
        let program = program.args(["--endpoint", &self.endpoint()]);
        self.credentials()
            .into_iter()
            .fold(program, |program, (name, value)| program.env(name, value))
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn as_s3_does(head: &Head, answer: &mut Answer, bucket: &Path) {
    let key = head.path.strip_prefix(&format!("/{BUCKET}/")).map(decoded);
    let on_disk = key.filter(|key| !key.is_empty()).map(|key| bucket.join(key));
    match (head.method.as_str(), on_disk) {
        ("GET", None) if head.query.contains("encoding-type=url") => {
            let text = String::from_utf8(std::mem::take(&mut answer.body)).unwrap();
            answer.body = ["Key", "Prefix", "Delimiter", "StartAfter"]
                .iter()
                .fold(text, |text, tag| encode_texts(&text, tag))
                .into_bytes();
        }
        ("HEAD" | "GET", Some(path)) if answer.status == 500 && path.is_dir() => {
            *answer = Answer { status: 404, headers: Vec::new(), body: Vec::new(), length: None };
        }
        ("GET", Some(path)) if answer.status == 500 => whole_of_short(head, answer, &path),
        _ => {}
    }
}

/// The last N bytes of an object that has fewer.
fn whole_of_short(head: &Head, answer: &mut Answer, path: &Path) {
    let last = head.header("range").and_then(|range| range.strip_prefix("bytes=-")?.parse().ok());
    let (Some(last), Ok(body)) = (last, fs::read(path)) else { return };
    let length = body.len();
    if length == 0 || length >= last {
        return;
    }
    let headers = vec![
        format!("content-range: bytes 0-{}/{length}", length - 1),
        "last-modified: Thu, 01 Jan 2026 00:00:00 GMT".to_owned(),
        format!("etag: \"{length:x}\""),
    ];
    *answer = Answer { status: 206, headers, body, length: None };
}

fn encode_texts(xml: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut out = String::new();
    let mut rest = xml;
    while let Some((before, from)) = rest.split_once(&open) {
        let (text, after) = from.split_once(&close).unwrap();
        out = out + before + &open + &encoded(text) + &close;
        rest = after;
    }
    // An element within another of the same name is none of S3's lists.
    out + rest
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    // s3s-fs's XML writes these out.
    text.replace("&amp;", "&").bytes().map(byte).collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        out.push(match byte {
            b'%' => (hex(bytes.next()).unwrap() * 16 + hex(bytes.next()).unwrap()) as u8,
            plain => plain,
        });
    }
    String::from_utf8(out).unwrap()
}
