//! `mldash_bridge serve` as a process, over a root and with tokens of its own.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ExitStatus};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Program, program};

/// Namespace `alice`'s token.
pub const TOKEN: &str = "alice-s3cret";
/// Namespace `bob`'s token.
pub const BOBS_TOKEN: &str = "bob-s3cret";

/// A running server. It is killed when this is dropped.
pub struct Server {
    process: Child,
    /// `127.0.0.1:port`.
    pub address: String,
    root: PathBuf,
    log: Option<JoinHandle<String>>,
}

/// How a server ended.
pub struct Stopped {
    pub status: ExitStatus,
    pub log: String,
}

impl Server {
    /// Over `root`, which outlives it.
    pub fn start(root: &Path) -> Self {
        Self::start_with(root, "127.0.0.1:0", &[])
    }

    /// As [`start`](Self::start), on an address, with more options.
    pub fn start_with(root: &Path, listen: &str, options: &[&str]) -> Self {
        Self::start_as(root, listen, options, |program| program)
    }

    /// As [`start_with`](Self::start_with), with what `set_up` makes of the program.
    pub fn start_as(
        root: &Path,
        listen: &str,
        options: &[&str],
        set_up: impl FnOnce(Program) -> Program,
    ) -> Self {
        let started = Self::try_start(root, listen, options, set_up);
        assert!(
            started.is_ok(),
            "the server did not start:\n{}",
            started.err().unwrap_or_default()
        );
        started.unwrap()
    }

    /// As [`start_as`](Self::start_as), where it may fail; then with its log.
    pub fn try_start(
        root: &Path,
        listen: &str,
        options: &[&str],
        set_up: impl FnOnce(Program) -> Program,
    ) -> Result<Self, String> {
        fs::create_dir_all(root).unwrap();
        let tokens = Self::token_file(root);
        if !tokens.exists() {
            fs::write(&tokens, format!("alice {TOKEN}\nbob {BOBS_TOKEN}\n")).unwrap();
        }
        let root_text = root.to_str().unwrap();
        let args = ["serve", "--root", root_text, "--listen", listen, "--token-file"];
        let args =
            args.into_iter().chain([tokens.to_str().unwrap()]).chain(options.iter().copied());
        let mut process = set_up(program(args)).start();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (address, head) = address(&mut log).inspect_err(|_| drop(process.wait()))?;
        let log = thread::spawn(move || head + &rest(log));
        Ok(Self { process, address, root: root.to_owned(), log: Some(log) })
    }

    /// Where the tokens of a server over `root` are: beside it.
    pub fn token_file(root: &Path) -> PathBuf {
        root.with_extension("tokens")
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(mut self) -> Stopped {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).unwrap();
        let status = self.process.wait().unwrap();
        Stopped { status, log: self.log.take().unwrap().join().unwrap() }
    }

    /// SIGKILL: not a moment's notice.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address from the line that says it, and what was logged so far; the log if there is no such line.
fn address(log: &mut BufReader<ChildStderr>) -> Result<(String, String), String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if log.read_line(&mut line).unwrap() == 0 {
            return Err(head);
        }
        head += &line;
        if let Some((_, address)) = line.trim_end().split_once(" on http://") {
            return Ok((address.to_owned(), head));
        }
    }
}

fn rest(mut log: impl Read) -> String {
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
