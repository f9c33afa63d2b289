//! `examples/flood`: numbered poses on `/flood/pose_<k>` until it is told to stop, so that no test depends
//! on how fast the machine is.

use std::process::Command;

use mldash_bridge::track::Row;

use super::bridge::{Bridge, EXPERIMENT};
use super::process::{PATIENCE, Process};

const FIRST_STAMP_SECS: f64 = 1_700_000_000.0;

/// A running flood. It publishes once each of its topics has a subscriber.
pub struct Flood {
    process: Process,
    topics: u32,
}

/// The track of the topic of this number.
pub fn flooded(topic: u32) -> String {
    format!("flood/pose_{topic}")
}

/// The numbers of a flood's messages in rows of one topic, by their stamps.
pub fn numbers(rows: &[Row], rate_hz: u32) -> Vec<u64> {
    let number = |row: &Row| (row.ts.as_secs() - FIRST_STAMP_SECS) * f64::from(rate_hz);
    rows.iter().map(|row| number(row).round() as u64).collect()
}

impl Flood {
    /// `flood` is the example; `topics` times `rate_hz` messages a second.
    pub fn start(mut flood: Command, domain: u32, topics: u32, rate_hz: u32) -> Self {
        flood.args(["--topics", &topics.to_string(), "--rate", &rate_hz.to_string()]);
        flood.args(["--until-told", "--wait-for-subscribers", &PATIENCE.as_secs().to_string()]);
        Self { process: Process::start(&mut flood, domain), topics }
    }

    /// Has it stop. Returns how many messages it has published on each topic. It stays on the graph, so that
    /// all of them can be delivered.
    pub fn stop(&mut self) -> usize {
        self.process.go_on();
        let published: usize = self.process.wait_for_line(0).parse().unwrap();
        published / self.topics as usize
    }

    /// Has it leave the graph.
    pub fn leave(mut self) {
        self.process.go_on();
        let ended = self.process.end();
        assert!(ended.status.success(), "{}", ended.stderr);
    }

    /// Has it stop, and leave once other processes can read all that it has published. Returns how many
    /// messages each topic has had.
    pub fn finish(self, bridge: &Bridge) -> usize {
        self.finish_over(bridge, &[EXPERIMENT])
    }

    /// The same of a recording in these parts.
    pub fn finish_over(mut self, bridge: &Bridge, parts: &[impl AsRef<str>]) -> usize {
        let messages = self.stop();
        for topic in 0..self.topics {
            bridge.wait_for_rows_over(parts, &flooded(topic), messages);
        }
        self.leave();
        messages
    }
}
