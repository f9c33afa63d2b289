//! A client that sends exactly what a test says, also what no well-behaved client would.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

/// How long a test waits for an answer before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Lines as they came, names in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `code` of an error.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    }
}

/// One namespace's client.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    token: String,
}

impl Client {
    pub fn new(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, json: &Json) -> Answer {
        self.send("POST", path, &["Content-Type: application/json"], json.to_string().as_bytes())
    }

    pub fn patch(&self, path: &str, json: &Json) -> Answer {
        self.send("PATCH", path, &["Content-Type: application/json"], json.to_string().as_bytes())
    }

    /// With headers and a body as they are; the body's length is told.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut request = self.head(method, path, headers, body.len());
        request.extend_from_slice(body);
        exchange(&self.address, &request)
    }

    /// A request's head, that a body of `length` bytes is to follow.
    pub fn head(&self, method: &str, path: &str, headers: &[&str], length: usize) -> Vec<u8> {
        let Self { address, token } = self;
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        head.into_bytes()
    }

    /// Sends this much of a request, and leaves the rest to the test.
    pub fn begin(&self, start: &[u8]) -> TcpStream {
        let mut stream = connect(&self.address);
        stream.write_all(start).unwrap();
        stream
    }
}

/// Sends `request` and reads the answer to its end.
pub fn exchange(address: &str, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    let mut sending = stream.try_clone().unwrap();
    thread::scope(|scope| {
        // A server that refuses may close before it has all.
        scope.spawn(move || drop(sending.write_all(request)));
        answer(&mut stream)
    })
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The answer on a connection that the server closes behind it.
pub fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_lowercase();
    let body = bytes.split_off(end + 4);
    let is_chunked = head.contains("transfer-encoding: chunked");
    Answer { status, body: if is_chunked { dechunked(&body) } else { body }, head }
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

/// A form as clients send files, its parts in the order given; `file` has a name of its own.
pub fn form(parts: &[(&str, &[u8])], filename: &str) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "----b0undary";
    let mut body = Vec::new();
    for (name, value) in parts {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        let filename = match *name {
            "file" => format!("; filename=\"{filename}\""),
            _ => String::new(),
        };
        let head = format!("Content-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("Content-Type: multipart/form-data; boundary={BOUNDARY}"), body)
}
