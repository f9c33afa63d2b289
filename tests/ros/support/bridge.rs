//! The bridge as a process, and what it recorded.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mldash_bridge::track::json::{Columns, RowParser};
use mldash_bridge::track::{Experiment, Query, Row};
use rustix::process::Signal;
use serde_json::Value;

use crate::account::assert_adds_up;

use super::process::{Ended, PATIENCE, Process};
use super::robot::source;
use super::terminal::User;

pub const EXPERIMENT: &str = "tests/ros/run";

/// A running bridge.
pub struct Bridge {
    process: Process,
    root: PathBuf,
    experiment: String,
}

/// What a bridge left behind.
#[derive(Debug)]
pub struct Recording {
    pub ended: Ended,
    root: PathBuf,
    experiment: String,
}

impl Bridge {
    fn of(process: Process, root: PathBuf) -> Self {
        Self { process, root, experiment: EXPERIMENT.to_owned() }
    }

    /// The same, which records into another experiment.
    pub fn of_experiment(mut self, experiment: &str) -> Self {
        experiment.clone_into(&mut self.experiment);
        self
    }

    pub fn start(domain: u32, root: PathBuf, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        Self::of(Process::start(command.args(args), domain), root)
    }

    /// With an interface package sourced that it was built without.
    pub fn start_with_overlay(domain: u32, root: PathBuf, args: &[&str], overlay: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        source(&mut command, overlay);
        Self::of(Process::start(command.args(args), domain), root)
    }

    /// With a terminal for what it says that takes no text at all.
    pub fn start_on_a_held_terminal(domain: u32, root: PathBuf, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        Self::of(Process::start_on_a_held_terminal(command.args(args), domain), root)
    }

    /// With a terminal for what it says.
    pub fn start_on_a_terminal(domain: u32, root: PathBuf, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        Self::of(Process::start_on_a_terminal(command.args(args), domain), root)
    }

    /// With a terminal of its own, which somebody types at. `script` is a shell's that starts it, as `$0` with
    /// the arguments `$@`; without one it is started as it is.
    pub fn start_at_a_keyboard(
        domain: u32,
        root: PathBuf,
        args: &[&str],
        script: &str,
    ) -> (Self, User) {
        let mut command = Command::new("setsid");
        command.arg("--ctty");
        if !script.is_empty() {
            command.args(["sh", "-c", script]);
        }
        command.arg(env!("CARGO_BIN_EXE_mldash_bridge")).args(args);
        let (process, user) = Process::start_at_a_keyboard(&mut command, domain);
        (Self::of(process, root), user)
    }

    /// Within limits as the shell's `ulimit` takes them.
    pub fn start_within(limits: &str, domain: u32, root: PathBuf, args: &[&str]) -> Self {
        // A file that can't grow is an error to handle, not a signal that ends the bridge.
        let limited = format!(r#"trap "" XFSZ; ulimit {limits}; exec "$0" "$@""#);
        let mut command = Command::new("sh");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_mldash_bridge")]).args(args);
        Self::of(Process::start(&mut command, domain), root)
    }

    /// Waits until it has subscribed to these topics.
    pub fn wait_for_topics(&self, topics: &[&str]) {
        for topic in topics {
            self.wait_for_log(&format!("recording {topic} ("));
        }
    }

    pub fn wait_for_log(&self, text: &str) {
        self.process.wait_for_stderr(text);
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.process.stderr_so_far()
    }

    /// Rows of a track that other processes can read by now.
    pub fn rows_in_store(&self, track: &str) -> usize {
        self.stored_in(EXPERIMENT, track).len()
    }

    /// These rows of a part of the recording.
    pub fn stored_in(&self, experiment: &str, track: &str) -> Vec<Row> {
        let exp = Experiment::open_read_only(experiment, &self.root);
        exp.map_or_else(|_| Vec::new(), |exp| exp.tracks(track).read(&Query::all()).unwrap())
    }

    /// Waits until other processes can read as many rows of a track.
    pub fn wait_for_rows(&self, track: &str, rows: usize) {
        self.wait_for_rows_over(&[EXPERIMENT], track, rows);
    }

    /// The same over parts of a recording.
    pub fn wait_for_rows_over(&self, parts: &[impl AsRef<str>], track: &str, rows: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: usize =
                parts.iter().map(|part| self.stored_in(part.as_ref(), track).len()).sum();
            if found >= rows {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{found} of {rows} rows of {track} are in the store; log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The id of its only child.
    pub fn child(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.process.id());
        std::fs::read_to_string(children).unwrap().trim().parse().unwrap()
    }

    /// Waits until none of its threads does anything.
    pub fn wait_until_stopped(&self) {
        self.process.wait_until_stopped();
    }

    /// Suspends it for as long as `act` takes.
    pub fn suspended_while(&self, act: impl FnOnce()) {
        self.process.suspend();
        act();
        self.process.resume();
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Ends it as Ctrl-C does; it must end well and its account add up.
    pub fn interrupt(self) -> Recording {
        self.signal(Signal::INT);
        let recording = self.end();
        let ended = &recording.ended;
        assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
        recording.assert_adds_up();
        recording
    }

    /// Waits for its end, whatever that is.
    pub fn end(self) -> Recording {
        Recording { ended: self.process.end(), root: self.root, experiment: self.experiment }
    }
}

impl Recording {
    pub fn account(&self) -> Value {
        serde_json::from_str(&self.ended.stdout).unwrap_or_else(|error| {
            panic!("no account: {error}\n{}\n{}", self.ended.stdout, self.ended.stderr)
        })
    }

    /// The account of one topic.
    pub fn topic(&self, name: &str) -> Value {
        let account = self.account();
        let topics = account["topics"].as_array().unwrap();
        let found = topics.iter().find(|topic| topic["topic"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {account:#}")).clone()
    }

    /// A track's rows as they are read back.
    pub fn rows(&self, track: &str) -> Vec<Row> {
        self.rows_in(&self.experiment, track)
    }

    /// A track's rows in another experiment of the same root.
    pub fn rows_in(&self, experiment: &str, track: &str) -> Vec<Row> {
        let exp = Experiment::open_read_only(experiment, &self.root).unwrap();
        exp.tracks(track).read(&Query::all()).unwrap()
    }

    /// The numbers of the poses in an experiment, in the order of their stamps.
    pub fn poses_in(&self, experiment: &str) -> Vec<u64> {
        let number = |row: &Row| ((row.ts.as_secs() - 1_700_000_000.0) * 50.0).round() as u64;
        self.rows_in(experiment, "pose").iter().map(number).collect()
    }

    /// Where a file of the experiment lies, by the `path` of its row.
    pub fn file(&self, path: &str) -> PathBuf {
        let files = Experiment::open_read_only(EXPERIMENT, &self.root).unwrap().files("");
        let info = files.find(path).unwrap().unwrap_or_else(|| panic!("no file {path}"));
        files.path(&info).unwrap()
    }

    /// An experiment's `experiment.json`.
    pub fn experiment_file(&self, experiment: &str) -> Value {
        let path = self.root.join(experiment).join("experiment.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// The tracks, by name.
    pub fn tracks(&self) -> Vec<String> {
        let exp = Experiment::open_read_only(&self.experiment, &self.root).unwrap();
        exp.list().unwrap().into_iter().map(|track| track.topic).collect()
    }

    /// Every track named in `expected` holds exactly these rows, in this order; rows without a
    /// time of their own are compared without it.
    pub fn assert_rows(&self, expected: &[(String, String)]) {
        let mut tracks: Vec<&str> = expected.iter().map(|(track, _)| track.as_str()).collect();
        tracks.sort_unstable();
        tracks.dedup();
        assert!(!tracks.is_empty(), "the robot expects nothing");
        for track in tracks {
            let wanted: Vec<&str> =
                expected.iter().filter(|(t, _)| t == track).map(|(_, row)| row.as_str()).collect();
            let stored = self.rows(track);
            assert_eq!(stored.len(), wanted.len(), "rows of {track}: {}", self.ended.stderr);
            for (row, wanted) in stored.iter().zip(wanted) {
                let (row, wanted) = comparable(row, wanted);
                assert_eq!(row, wanted, "a row of {track}");
            }
        }
    }

    pub fn assert_adds_up(&self) {
        let account = self.account();
        // One that ended in order can lack something, and says what; one that failed is never complete.
        let ended_in_order = self.ended.status.success();
        let lacks_nothing = account["failure"].is_null() && account["missing"].is_null();
        assert_eq!(account["complete"], lacks_nothing, "{account:#}");
        assert_eq!(account["failure"].is_null(), ended_in_order, "{account:#}");
        assert_adds_up(&account);
        let experiment = account["experiment"].as_str().unwrap();
        let file = self.root.join(experiment).join("account.json");
        let on_disk: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(on_disk, account);
    }
}

/// Two rows as text in which NaN equals itself and the order of columns says nothing.
fn comparable(row: &Row, wanted: &str) -> (String, String) {
    let timed = wanted.contains("\"timestamp\"");
    let wanted = if timed {
        wanted.to_owned()
    } else {
        wanted.replacen('{', &format!("{{\"timestamp\": {:?}, ", row.ts.as_secs()), 1)
    };
    let wanted = RowParser::default().row(wanted.as_bytes(), &Columns::All).unwrap();
    let text = |row: &Row| {
        let mut columns: Vec<_> = row.fields.iter().map(|(n, v)| format!("{n} = {v:?}")).collect();
        columns.sort();
        format!("{:?}: {}", row.ts.as_secs(), columns.join(", "))
    };
    (text(row), text(&wanted))
}
