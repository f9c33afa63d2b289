//! Somebody on the graph beside the bridge: `operator.py`, told what to do line by line.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use super::process::{PATIENCE, Process};
use super::robot::source;

/// A running `operator.py`.
pub struct Operator {
    process: Process,
    answers: usize,
}

impl Operator {
    pub fn start(domain: u32, overlay: Option<&Path>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ros/operator.py");
        let mut python = Command::new("python3");
        if let Some(prefix) = overlay {
            source(&mut python, prefix);
        }
        let process = Process::start(python.arg(script), domain);
        Self { process, answers: 0 }
    }

    /// Tells it to do something and waits for the answer.
    pub fn ask(&mut self, order: &Value) -> Value {
        self.process.write_line(&order.to_string());
        let line = self.process.wait_for_line(self.answers);
        self.answers += 1;
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer.get("error"), None, "{order}: {answer}");
        answer
    }

    /// Calls one of the bridge's services.
    pub fn call(&mut self, service: &str) -> Value {
        self.ask(&json!({ "call": service }))
    }

    /// Calls one that must succeed; what it says.
    pub fn call_well(&mut self, service: &str) -> String {
        let answer = self.call(service);
        assert_eq!(answer["success"], true, "{service}: {answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    /// What `~/status` says.
    pub fn status(&mut self) -> Value {
        serde_json::from_str(&self.call_well("status")).unwrap()
    }

    /// Waits until the one message of a latched topic has come again for the part that is recorded.
    pub fn wait_until_repeated(&mut self, topic: &str) {
        let deadline = Instant::now() + PATIENCE;
        let is_repeated = |status: &Value| {
            let mut topics = status["topics"].as_array().unwrap().iter();
            topics.any(|one| one["topic"] == topic && one["received"] == 1)
        };
        while !is_repeated(&self.status()) {
            assert!(Instant::now() < deadline, "{topic} did not come again");
        }
    }

    /// Waits until the part that is recorded has taken so many messages, or knows that they are lost.
    pub fn wait_until_taken(&mut self, messages: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            let topics = status["topics"].as_array().unwrap().iter();
            let taken = topics.flat_map(|topic| [&topic["received"], &topic["lost"]]);
            let taken: u64 = taken.filter_map(Value::as_u64).sum();
            if taken == messages {
                return;
            }
            assert!(Instant::now() < deadline, "{taken} of {messages} messages are taken");
        }
    }

    /// Publishes poses of these numbers on a topic, at so many a second; 0: as fast as it goes.
    /// Returns once all are with the bridge.
    pub fn publish(&mut self, topic: &str, numbers: std::ops::Range<u32>, rate: u32) {
        let (start, end) = (numbers.start, numbers.end);
        self.ask(&json!({ "publish": topic, "start": start, "end": end, "rate": rate }));
    }

    /// Waits until `/diagnostics` says this of a thing.
    pub fn wait_for_diagnostic(&mut self, name: &str, level: &str) -> Value {
        self.ask(&json!({ "diagnostic": name, "level": level }))
    }

    /// Waits for a line on `/rosout`.
    pub fn wait_for_rosout(&mut self, text: &str) -> Value {
        self.ask(&json!({ "rosout": text }))
    }
}
