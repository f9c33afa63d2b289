//! Servers by others that take no port 0.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// Starts the server that `command` makes on a free port, again if another one took it meanwhile; returns once it listens.
pub fn start_on_free_port(command: impl Fn(SocketAddr) -> Command) -> (Child, SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = command(address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        while process.try_wait().unwrap().is_none() {
            if TcpStream::connect(address).is_ok() {
                return (process, address);
            }
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(Instant::now() < deadline, "{command:?} ends as soon as it is started");
    }
}
