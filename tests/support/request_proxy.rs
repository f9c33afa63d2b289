//! A proxy that sees HTTP requests, where `proxy.rs` sees connections: a client of an object store sends many requests over one connection, and what
//! may go wrong goes wrong with one of them. It counts requests and bytes, too.
//!
//! ```ignore
//! let proxy = RequestProxy::start(server, |_, _| ());
//! proxy.set(|request, nth| if nth == 3 { Fault::Swallow } else { Fault::None });
//! ```

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing: the server answers.
    None,
    /// The connection ends before the server sees anything.
    CutBefore,
    /// The server gets the head and half of the body, then both connections end.
    CutBody,
    /// The server has done it; of its answer, half arrives.
    CutAnswer,
    /// The server has done it; no answer arrives.
    Swallow,
    /// The server is never asked; this status, with S3's code for it, is the answer: `("503 Slow Down", "SlowDown")`.
    Status(&'static str, &'static str),
    /// So late.
    Delay(Duration),
}

/// What S3 says when it wants fewer requests.
pub const SLOW_DOWN: Fault = Fault::Status("503 Slow Down", "SlowDown");
/// What S3 says when something is wrong there.
pub const INTERNAL_ERROR: Fault = Fault::Status("500 Internal Server Error", "InternalError");

/// A request's line and headers.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub method: String,
    /// As sent, percent-encoded, without the query.
    pub path: String,
    /// What follows `?`.
    pub query: String,
    /// The rest of the head, lines as sent.
    pub headers: Vec<String>,
}

/// A request that was answered, or not.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: Head,
    /// Of the body that was sent.
    pub up_bytes: u64,
    /// Of the body that was answered.
    pub down_bytes: u64,
    /// 0 if no answer was let through.
    pub status: u16,
}

/// What the server says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Without the status line and what gives the length.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// Of an answer to HEAD, which has no body but says how long it would be.
    pub length: Option<u64>,
}

type Plan = dyn Fn(&Head, usize) -> Fault + Send + Sync;
type Mend = dyn Fn(&Head, &mut Answer) + Send + Sync;

/// A running proxy; it accepts no more once it is dropped.
pub struct RequestProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    plan: RwLock<Arc<Plan>>,
    mend: Box<Mend>,
    seen: Mutex<Vec<Seen>>,
    /// Requests so far, those that are not finished too.
    begun: Mutex<usize>,
    /// Requests that change an object happen one at a time: by their path.
    objects: Vec<RwLock<()>>,
    stopped: AtomicBool,
}

impl RequestProxy {
    /// In front of `upstream`, whose answers are what `mend` makes of them.
    pub fn start(
        upstream: SocketAddr,
        mend: impl Fn(&Head, &mut Answer) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            plan: RwLock::new(Arc::new(|_: &Head, _| Fault::None)),
            mend: Box::new(mend),
            seen: Mutex::default(),
            begun: Mutex::default(),
            objects: (0..64).map(|_| RwLock::new(())).collect(),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = accepting.clone();
                // A connection that breaks is what this is for.
                thread::spawn(move || drop(shared.serve(&client)));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to each request from now on, by its head and its number, from 0 since now.
    pub fn set(&self, plan: impl Fn(&Head, usize) -> Fault + Send + Sync + 'static) {
        *self.shared.plan.write().unwrap() = Arc::new(plan);
        *self.shared.begun.lock().unwrap() = 0;
    }

    /// Requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Drop for RequestProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut from_client = BufReader::new(client);
        let mut server = None;
        while let Some(head) = read_request(&mut from_client)? {
            if head.header("expect").is_some() {
                (&*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = read_body(&mut from_client, &head.headers)?;
            let nth = {
                let mut begun = self.begun.lock().unwrap();
                *begun += 1;
                *begun - 1
            };
            let plan = self.plan.read().unwrap().clone();
            let fault = plan(&head, nth);
            let answer = self.answer(&head, &body, &fault, &mut server);
            let (status, down_bytes) = match &answer {
                Ok(Some(answer)) => (answer.status, answer.body.len() as u64),
                Ok(None) | Err(_) => (0, 0),
            };
            let up_bytes = body.len() as u64;
            self.seen.lock().unwrap().push(Seen { head, up_bytes, down_bytes, status });
            let Some(answer) = answer? else {
                return client.shutdown(Shutdown::Both);
            };
            let bytes = answer.to_bytes();
            if fault == Fault::CutAnswer {
                (&*client).write_all(&bytes[..bytes.len() / 2])?;
                return client.shutdown(Shutdown::Both);
            }
            (&*client).write_all(&bytes)?;
        }
        Ok(())
    }

    /// What the client is to get; `None` if its connection ends instead.
    fn answer(
        &self,
        head: &Head,
        body: &[u8],
        fault: &Fault,
        server: &mut Option<TcpStream>,
    ) -> io::Result<Option<Answer>> {
        match fault {
            Fault::CutBefore => return Ok(None),
            Fault::CutBody => {
                let stream = TcpStream::connect(self.upstream)?;
                let request = head.to_bytes(body);
                (&stream).write_all(&request[..request.len() - body.len().div_ceil(2)])?;
                stream.shutdown(Shutdown::Both)?;
                return Ok(None);
            }
            Fault::Status(status, code) => return Ok(Some(Answer::error(status, code))),
            Fault::Delay(time) => thread::sleep(*time),
            Fault::None | Fault::CutAnswer | Fault::Swallow => {}
        }
        let lock = &self.objects[shard(&head.path)];
        let mut answer = if matches!(head.method.as_str(), "GET" | "HEAD") {
            let _others_read = lock.read().unwrap();
            self.forward(head, body, server)?
        } else {
            let _alone = lock.write().unwrap();
            self.forward(head, body, server)?
        };
        (self.mend)(head, &mut answer);
        Ok((*fault != Fault::Swallow).then_some(answer))
    }

    fn forward(
        &self,
        head: &Head,
        body: &[u8],
        server: &mut Option<TcpStream>,
    ) -> io::Result<Answer> {
        let stream = match server.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.upstream)?,
        };
        stream.set_nodelay(true)?;
        (&stream).write_all(&head.to_bytes(body))?;
        let answer = Answer::read(&mut BufReader::new(&stream), &head.method)?;
        let ends = header(&answer.headers, "connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !ends {
            *server = Some(stream);
        }
        Ok(answer)
    }
}

impl Head {
    fn to_bytes(&self, body: &[u8]) -> Vec<u8> {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let mut text = format!("{} {}{mark}{} HTTP/1.1\r\n", self.method, self.path, self.query);
        for line in &self.headers {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            // Answered already.
            if name != "expect" {
                text += line;
                text += "\r\n";
            }
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

impl Answer {
    fn error(status: &str, code: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        let status = status.split(' ').next().unwrap_or_default().parse().unwrap();
        let headers = vec!["content-type: application/xml".to_owned()];
        Self { status, headers, body: body.into_bytes(), length: None }
    }

    fn read(from: &mut impl BufRead, method: &str) -> io::Result<Self> {
        let mut lines = read_head(from)?.ok_or(ErrorKind::UnexpectedEof)?;
        let status = lines.remove(0).split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.ok_or(ErrorKind::InvalidData)?;
        let length = header(&lines, "content-length").and_then(|text| text.parse().ok());
        let (body, length) = match (method, status) {
            ("HEAD", _) => (Vec::new(), length),
            (_, 204 | 304) => (Vec::new(), None),
            _ => (read_body(from, &lines)?, None),
        };
        lines.retain(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("content-length:") && !line.starts_with("transfer-encoding:")
        });
        Ok(Self { status, headers: lines, body, length })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} -\r\n", self.status);
        for line in &self.headers {
            text += line;
            text += "\r\n";
        }
        if !matches!(self.status, 204 | 304) {
            let length = self.length.unwrap_or(self.body.len() as u64);
            text += &format!("content-length: {length}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn shard(path: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (hasher.finish() % 64) as usize
}

fn header<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    let value = |line: &'a String| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    lines.iter().find_map(value)
}

/// The lines up to the empty one; `None` if the connection ended before.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if !line.is_empty() {
            lines.push(line.to_owned());
        } else if !lines.is_empty() {
            return Ok(Some(lines));
        }
    }
}

fn read_request(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(mut headers) = read_head(from)? else { return Ok(None) };
    let line = headers.remove(0);
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Ok(Some(Head { method, path, query, headers }))
}

fn read_body(from: &mut impl BufRead, headers: &[String]) -> io::Result<Vec<u8>> {
    let chunked = header(headers, "transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"));
    let mut body = Vec::new();
    if !chunked {
        let length = header(headers, "content-length").and_then(|text| text.parse().ok());
        body.resize(length.unwrap_or(0), 0);
        from.read_exact(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| ErrorKind::InvalidData)?;
        let at = body.len();
        body.resize(at + size, 0);
        from.read_exact(&mut body[at..])?;
        // The end of the chunk's line; after the last one, of the trailer, which nobody sends here.
        line.clear();
        from.read_line(&mut line)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
