//! A server that lies: it answers some requests itself, with 200, and hands all others on to a true
//! one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::read::GzDecoder;

/// What a lie answers to a request's body.
pub type Answer = fn(body: &[u8]) -> String;

/// A running liar.
pub struct Liar {
    address: SocketAddr,
    lie: Arc<Mutex<Option<(&'static str, Answer)>>>,
}

impl Liar {
    /// Hands requests on to the server at `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let lie = Arc::new(Mutex::new(None));
        let known = lie.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lie = known.clone();
                // A client that is gone needs no answer.
                thread::spawn(move || drop(answer(stream, upstream, &lie)));
            }
        });
        Self { address, lie }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests whose head contains `to` with `answer` from now on.
    pub fn lie(&self, to: &'static str, answer: Answer) {
        *self.lie.lock().unwrap() = Some((to, answer));
    }

    /// Tells the truth from now on.
    pub fn tell_the_truth(&self) {
        *self.lie.lock().unwrap() = None;
    }
}

/// The answer of a server that took all rows of a body.
pub fn right_count(body: &[u8]) -> String {
    let mut text = String::new();
    if GzDecoder::new(body).read_to_string(&mut text).is_err() {
        text = String::from_utf8(body.to_vec()).unwrap();
    }
    format!("{{\"count\":{}}}", text.matches("\"timestamp\"").count())
}

fn answer(
    mut client: TcpStream,
    upstream: SocketAddr,
    lie: &Mutex<Option<(&'static str, Answer)>>,
) -> io::Result<()> {
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
    let lie = *lie.lock().unwrap();
    if let Some((_, answer)) = lie.filter(|(to, _)| head.contains(to)) {
        let json = answer(&body);
        write!(
            client,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{json}",
            json.len()
        )?;
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(upstream)?;
    let (line, rest) = head.split_once("\r\n").unwrap();
    write!(server, "{line}\r\nConnection: close\r\n{rest}")?;
    server.write_all(&body)?;
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
