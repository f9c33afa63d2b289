//! A TCP proxy that does to connections what bad networks and overloaded servers do.
//!
//! ```ignore
//! let proxy = Proxy::start(server.address());
//! proxy.next(Fault::Cut { after: Bytes::Up(20_000) }); // one connection, then undisturbed ones
//! proxy.set(Fault::BlackHole);                         // all from now on; open ones are cut
//! ```

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing: bytes pass both ways.
    None,
    /// Every piece of data is late, and there is so much room for them.
    Slow { latency: Duration, bytes_per_sec: Option<u64> },
    /// It ends in the middle of what passes.
    Cut { after: Bytes },
    /// The server is never asked; this is the answer to the first request, the connection's last.
    Answer(String),
    /// Accepted, read, never answered.
    BlackHole,
    /// Closed as soon as it is there.
    Refuse,
}

/// A number of bytes in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bytes {
    /// From the client to the server.
    Up(u64),
    /// From the server to the client.
    Down(u64),
}

impl Fault {
    /// Every piece of data is so late.
    pub fn latency(latency: Duration) -> Self {
        Self::Slow { latency, bytes_per_sec: None }
    }

    /// An HTTP answer with a status such as `503 Service Unavailable` and header lines such as
    /// `Retry-After: 1`.
    pub fn status(status: &str, headers: &[&str]) -> Self {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        Self::Answer(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    }
}

/// A running proxy; what is open ends with it.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    connections: AtomicU64,
}

struct State {
    upstream: SocketAddr,
    fault: Fault,
    /// For single connections, before `fault` holds.
    next: VecDeque<Fault>,
    open: Vec<TcpStream>,
    stopped: bool,
}

impl Proxy {
    /// On a port of its own, in front of `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), upstream).unwrap()
    }

    pub fn start_on(listen: SocketAddr, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let state = State {
            upstream,
            fault: Fault::None,
            next: VecDeque::new(),
            open: Vec::new(),
            stopped: false,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), connections: AtomicU64::default() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.state().stopped {
                    return;
                }
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                let shared = accepting.clone();
                // A connection that breaks is what this is for.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Ok(Self { address, shared })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the server is now, if it came back elsewhere. Open connections are cut.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.state().upstream = upstream;
        self.cut_open();
    }

    /// What happens to every connection from now on. Open ones are cut.
    pub fn set(&self, fault: Fault) {
        self.shared.state().fault = fault;
        self.cut_open();
    }

    /// What happens to the next connection that has no such fault of its own yet. Open ones are cut.
    pub fn next(&self, fault: Fault) {
        self.shared.state().next.push_back(fault);
        self.cut_open();
    }

    /// Ends what is open, wherever it stands.
    pub fn cut_open(&self) {
        for stream in self.shared.state().open.drain(..) {
            // The other side may have ended it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.cut_open();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let (fault, upstream) = {
            let mut state = self.state();
            state.open.push(client.try_clone()?);
            let fault = state.next.pop_front().unwrap_or_else(|| state.fault.clone());
            (fault, state.upstream)
        };
        match &fault {
            Fault::Refuse => client.shutdown(Shutdown::Both),
            Fault::BlackHole => io::copy(&mut &client, &mut io::sink()).map(drop),
            Fault::Answer(answer) => answer_request(&client, answer),
            Fault::None | Fault::Slow { .. } | Fault::Cut { .. } => {
                let server = match TcpStream::connect(upstream) {
                    Ok(server) => server,
                    Err(error) => {
                        client.shutdown(Shutdown::Both)?;
                        return Err(error);
                    }
                };
                self.state().open.push(server.try_clone()?);
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                let (up, down) = match fault {
                    Fault::Cut { after: Bytes::Up(bytes) } => (Some(bytes), None),
                    Fault::Cut { after: Bytes::Down(bytes) } => (None, Some(bytes)),
                    _ => (None, None),
                };
                thread::scope(|scope| {
                    scope.spawn(|| pass(&client, &server, &fault, up));
                    pass(&server, &client, &fault, down);
                });
                Ok(())
            }
        }
    }
}

/// Carries bytes until one side ends, or until `cut_after` of them.
fn pass(mut from: &TcpStream, mut to: &TcpStream, fault: &Fault, cut_after: Option<u64>) {
    let mut left = cut_after.unwrap_or(u64::MAX);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if let Fault::Slow { latency, bytes_per_sec } = fault {
            let paced = bytes_per_sec.map(|rate| read as f64 / rate.max(1) as f64);
            thread::sleep(*latency + Duration::from_secs_f64(paced.unwrap_or(0.0)));
        }
        let passed = (read as u64).min(left);
        left -= passed;
        if to.write_all(&buffer[..passed as usize]).is_err() || left == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Reads one request, its body by its length or until it pauses, and answers it.
fn answer_request(mut client: &TcpStream, answer: &str) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        match client.read(&mut buffer)? {
            0 => break,
            read => request.extend_from_slice(&buffer[..read]),
        }
    }
    client.write_all(answer.as_bytes())?;
    client.shutdown(Shutdown::Write)?;
    // What is left unread would turn the answer into a reset.
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    io::copy(&mut client, &mut io::sink()).map(drop)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return request.ends_with(b"0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
    let head_bytes = request.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
    request.len() >= head_bytes + length
}
