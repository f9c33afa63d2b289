//! Child processes that end with their test, and whose words can be waited for.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::terminal::{Terminal, User};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A running child; killed when dropped.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
    /// Stays open for as long as the child writes to it.
    _terminal: Option<Terminal>,
}

/// A child's stream, read as it comes.
struct Output {
    text: Arc<(Mutex<String>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

/// What a child left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    pub fn start(command: &mut Command, domain: u32) -> Self {
        let mut child = spawn(command.stderr(Stdio::piped()), domain);
        let stdout = Output::read(child.stdout.take().unwrap());
        let stderr = Output::read(child.stderr.take().unwrap());
        Self { child, stdout, stderr, _terminal: None }
    }

    /// With a terminal as its standard error.
    pub fn start_on_a_terminal(command: &mut Command, domain: u32) -> Self {
        let terminal = Terminal::new();
        let mut child = spawn(command.stderr(terminal.open()), domain);
        // The command holds the terminal open, which would never end.
        command.stderr(Stdio::null());
        let stdout = Output::read(child.stdout.take().unwrap());
        let stderr = Output::read(terminal.into_other_side());
        Self { child, stdout, stderr, _terminal: None }
    }

    /// With a terminal of its own, for keys and for what it says. The command must not fork.
    pub fn start_at_a_keyboard(command: &mut Command, domain: u32) -> (Self, User) {
        let terminal = Terminal::of_width(120);
        let user = terminal.user();
        command.env("ROS_DOMAIN_ID", domain.to_string());
        command.stdin(terminal.open()).stdout(Stdio::piped()).stderr(terminal.open());
        let mut child = command.spawn().unwrap();
        // The command holds the terminal open, which would never end.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let stdout = Output::read(child.stdout.take().unwrap());
        let stderr = Output::read(terminal.into_other_side());
        (Self { child, stdout, stderr, _terminal: None }, user)
    }

    /// With a terminal as its standard error that takes no text at all.
    pub fn start_on_a_held_terminal(command: &mut Command, domain: u32) -> Self {
        let terminal = Terminal::new();
        terminal.hold();
        let mut child = spawn(command.stderr(terminal.open()), domain);
        let stdout = Output::read(child.stdout.take().unwrap());
        let stderr = Output::read(std::io::empty());
        Self { child, stdout, stderr, _terminal: Some(terminal) }
    }

    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    pub fn wait_for_stderr(&self, text: &str) {
        self.stderr.wait_for(text);
    }

    pub fn wait_for_stdout(&self, text: &str) {
        self.stdout.wait_for(text);
    }

    /// Waits for the line of this number on its standard output, the first being 0.
    pub fn wait_for_line(&self, number: usize) -> String {
        self.stdout.wait_for_line(number)
    }

    /// Lets a child that waits for a line on its standard input go on.
    pub fn go_on(&mut self) {
        self.write_line("");
    }

    pub fn write_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        // One that has ended has no need of it.
        let _ = stdin.write_all(format!("{line}\n").as_bytes());
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Suspends it, until [`resume`](Self::resume): none of its threads does anything when this returns.
    pub fn suspend(&self) {
        self.signal(rustix::process::Signal::STOP);
        self.wait_until_stopped();
    }

    /// Waits until none of its threads does anything.
    pub fn wait_until_stopped(&self) {
        let tasks = format!("/proc/{}/task", self.child.id());
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            // The state is behind the name, which is in brackets. A thread may end meanwhile.
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            stat.map_or(true, |stat| stat.contains(") T "))
        };
        while !std::fs::read_dir(&tasks).unwrap().all(is_stopped) {
            std::thread::yield_now();
        }
    }

    pub fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => panic!("it does not end; stderr so far:\n{}", self.stderr.so_far()),
            }
        };
        Ended { status, stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let text: Arc<(Mutex<String>, Condvar)> = Arc::default();
        let written = text.clone();
        let reader = std::thread::spawn(move || {
            let (mut stream, mut bytes, mut pending) = (stream, [0; 4096], Vec::new());
            // A terminal ends with an error.
            while let Some(count) = stream.read(&mut bytes).ok().filter(|count| *count > 0) {
                pending.extend(&bytes[..count]);
                let whole = whole_characters(&pending);
                let whole: Vec<u8> = pending.drain(..whole).collect();
                written.0.lock().unwrap().push_str(&String::from_utf8_lossy(&whole));
                written.1.notify_all();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn wait_for(&self, wanted: &str) {
        self.wait_until(wanted, |text| text.contains(wanted));
    }

    fn wait_for_line(&self, number: usize) -> String {
        let text = self.wait_until("another line", |text| text.matches('\n').count() > number);
        text.lines().nth(number).unwrap().to_owned()
    }

    fn wait_until(&self, wanted: &str, came: impl Fn(&str) -> bool) -> String {
        let (text, changed) = &*self.text;
        let missing = |text: &mut String| !came(text);
        let (text, waited) =
            changed.wait_timeout_while(text.lock().unwrap(), PATIENCE, missing).unwrap();
        assert!(!waited.timed_out(), "`{wanted}` did not come; instead:\n{text}");
        text.clone()
    }

    fn so_far(&self) -> String {
        self.text.0.lock().unwrap().clone()
    }

    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

fn spawn(command: &mut Command, domain: u32) -> Child {
    command.env("ROS_DOMAIN_ID", domain.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"))
}

/// How many bytes there are without a character that is not whole yet.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// Runs a command that must succeed.
pub fn run_to_end(command: &mut Command, domain: u32) -> Ended {
    let ended = Process::start(command, domain).end();
    assert!(ended.status.success(), "{command:?} failed:\n{}{}", ended.stdout, ended.stderr);
    ended
}
