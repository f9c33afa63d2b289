//! A server that lies or refuses: it answers some requests itself and hands all others on to a true
//! one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::http::exchange;

/// What a lie answers to a request.
pub type Answer = fn(&Request) -> String;
/// The status with which a request is refused, such as `413 Payload Too Large`. `None` for one that
/// goes on to the true server.
pub type Verdict = fn(&Request) -> Option<&'static str>;

/// What is written instead of an answer. The connection ends behind it.
pub type Raw = fn(&mut TcpStream) -> io::Result<()>;

#[derive(Clone, Copy)]
enum Lie {
    Answer(Answer),
    Raw(Raw),
    Refuse(Verdict),
}

/// A request, and the true server.
pub struct Request {
    head: String,
    body: Vec<u8>,
    upstream: SocketAddr,
}

impl Request {
    /// Its body, unpacked.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if GzDecoder::new(&*self.body).read_to_string(&mut text).is_err() {
            text = String::from_utf8(self.body.clone()).unwrap();
        }
        text
    }

    /// As it goes to the true server, which closes the connection behind its answer.
    fn bytes(&self) -> Vec<u8> {
        let (line, rest) = self.head.split_once("\r\n").unwrap();
        // The answer is to be readable here.
        let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("accept-encoding:");
        let rest: String = rest.split_inclusive("\r\n").filter(is_kept).collect();
        let mut bytes = format!("{line}\r\nConnection: close\r\n{rest}").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// What the true server answers.
    fn true_answer(&self) -> String {
        exchange(&self.upstream.to_string(), &self.bytes()).text()
    }
}

/// A running liar.
pub struct Liar {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lie: Mutex<Option<(&'static str, Lie)>>,
    /// Requests that it answered itself.
    answered: AtomicU64,
}

impl Liar {
    /// Hands requests on to the server at `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let known = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = known.clone();
                // A client that is gone needs no answer.
                thread::spawn(move || drop(answer(stream, upstream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests whose head contains `to` with `answer` from now on.
    pub fn lie(&self, to: &'static str, answer: Answer) {
        *self.shared.lie.lock().unwrap() = Some((to, Lie::Answer(answer)));
    }

    /// Writes what `raw` does to requests whose head contains `to` from now on.
    pub fn write(&self, to: &'static str, raw: Raw) {
        *self.shared.lie.lock().unwrap() = Some((to, Lie::Raw(raw)));
    }

    /// Refuses requests whose head contains `to`, as `verdict` says, from now on.
    pub fn refuse(&self, to: &'static str, verdict: Verdict) {
        *self.shared.lie.lock().unwrap() = Some((to, Lie::Refuse(verdict)));
    }

    /// How many requests it answered itself.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Tells the truth from now on.
    pub fn tell_the_truth(&self) {
        *self.shared.lie.lock().unwrap() = None;
    }
}

/// The answer of a server that took all rows.
pub fn right_count(request: &Request) -> String {
    format!("{{\"count\":{}}}", request.text().matches("\"timestamp\"").count())
}

/// The answer of a server that returns no more than 100 rows at a time.
pub fn first_hundred_lines(request: &Request) -> String {
    request.true_answer().split_inclusive('\n').take(100).collect()
}

/// More than anybody needs to read of a refusal.
const LONG: usize = 64;

/// 500 with a long text, and then nothing more.
pub fn long_refusal(client: &mut TcpStream) -> io::Result<()> {
    head(client, "500 Internal Server Error", "")?;
    for _ in 0..LONG {
        client.write_all(&[b'x'; 1 << 20])?;
    }
    await_hangup(client)
}

/// 429 with a small body that would become a long one, and then nothing more.
pub fn gzipped_refusal(client: &mut TcpStream) -> io::Result<()> {
    head(client, "429 Too Many Requests", "Content-Encoding: gzip\r\n")?;
    let mut body = GzEncoder::new(&mut *client, Compression::fast());
    for _ in 0..LONG {
        body.write_all(&[b'x'; 1 << 20])?;
    }
    body.flush()?;
    drop(body);
    await_hangup(client)
}

/// 200, and then a byte now and then.
pub fn drip(client: &mut TcpStream) -> io::Result<()> {
    head(client, "200 OK", "")?;
    loop {
        client.write_all(b" ")?;
        thread::sleep(Duration::from_millis(50));
    }
}

/// 200, and then as much as the connection takes.
pub fn endless(client: &mut TcpStream) -> io::Result<()> {
    head(client, "200 OK", "")?;
    loop {
        client.write_all(&[b'x'; 1 << 20])?;
    }
}

/// That of an answer that lasts as long as the connection.
fn head(client: &mut TcpStream, status: &str, headers: &str) -> io::Result<()> {
    write!(client, "HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")
}

fn await_hangup(client: &mut TcpStream) -> io::Result<()> {
    io::copy(client, &mut io::sink()).map(drop)
}

fn answer(mut client: TcpStream, upstream: SocketAddr, shared: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if io::copy(&mut (&mut client).take(1), &mut request)? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8(request[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().unwrap())
    });
    let mut body = Vec::new();
    (&mut client).take(length.unwrap_or(0)).read_to_end(&mut body)?;
    let lie = *shared.lie.lock().unwrap();
    let request = Request { head, body, upstream };
    let lie = lie.filter(|(to, _)| request.head.contains(to));
    if let Some((_, Lie::Raw(raw))) = lie {
        shared.answered.fetch_add(1, Ordering::Relaxed);
        raw(&mut client)?;
        return client.shutdown(Shutdown::Both);
    }
    let answer = lie.and_then(|(_, lie)| match lie {
        Lie::Raw(_) => None,
        Lie::Answer(answer) => Some(("200 OK", answer(&request))),
        Lie::Refuse(verdict) => Some((verdict(&request)?, r#"{"message":"no"}"#.to_owned())),
    });
    if let Some((status, json)) = answer {
        shared.answered.fetch_add(1, Ordering::Relaxed);
        write!(
            client,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{json}",
            json.len()
        )?;
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(&request.bytes())?;
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
