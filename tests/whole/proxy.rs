//! The proxy that stands for bad networks, held to what it promises.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::fault_proxy::{Bytes, Fault, Proxy};

/// A server that sends back what it gets, one connection after another.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

/// What comes back of `sent`.
fn exchange(proxy: &Proxy, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut back = Vec::new();
    // A connection that is cut may say so to either call.
    if stream.write_all(sent).is_ok() && stream.shutdown(std::net::Shutdown::Write).is_ok() {
        let _ = stream.read_to_end(&mut back);
    }
    back
}

#[test]
fn bytes_pass_both_ways_when_nothing_is_wrong() {
    let proxy = Proxy::start(echo());
    let sent: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
    assert!(exchange(&proxy, &sent) == sent);
}

#[test]
fn a_connection_is_cut_after_so_many_bytes_in_either_direction() {
    let proxy = Proxy::start(echo());
    let sent = vec![7; 100_000];
    proxy.next(Fault::Cut { after: Bytes::Up(30_000) });
    assert!(exchange(&proxy, &sent).len() <= 30_000);
    proxy.next(Fault::Cut { after: Bytes::Down(1_000) });
    assert!(exchange(&proxy, &sent).len() <= 1_000);
    assert_eq!(exchange(&proxy, &sent).len(), 100_000, "the next one is whole");
}

#[test]
fn an_answer_stands_in_for_the_server() {
    let proxy = Proxy::start(echo());
    proxy.set(Fault::status("429 Too Many Requests", &["Retry-After: 7"]));
    let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let answer = String::from_utf8(exchange(&proxy, request)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"), "{answer}");
}

#[test]
fn a_refused_connection_ends_and_a_black_hole_stays_silent() {
    let proxy = Proxy::start(echo());
    proxy.set(Fault::Refuse);
    assert_eq!(exchange(&proxy, b"x"), b"");
    proxy.set(Fault::BlackHole);
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.write_all(b"x").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err(), "no answer and no end");
}

#[test]
fn latency_holds_data_back() {
    let proxy = Proxy::start(echo());
    proxy.set(Fault::latency(Duration::from_millis(50)));
    let start = Instant::now();
    assert_eq!(exchange(&proxy, b"x"), b"x");
    assert!(start.elapsed() >= Duration::from_millis(100), "there and back");
}
