//! Publishes the log on `/rosout`. Since Jazzy each client library must publish it, and r2r does
//! not. Before Jazzy, rcl publishes only its own lines and not ours, so nothing appears twice.

use std::time::{Duration, UNIX_EPOCH};

use r2r::builtin_interfaces::msg::Time;
use r2r::rcl_interfaces::msg::Log;
use r2r::{Publisher, QosProfile};
use tracing::Level;

use crate::ros::{LogQueue, LogRecord, NodeName};

/// rcl's own depth: late listeners get the last lines.
const DEPTH: usize = 1_000;

/// Publishes the lines in the log queue.
pub(super) struct Rosout {
    publisher: Publisher<Log>,
    logs: LogQueue,
    logger: String,
    /// Lines that were lost and not reported yet.
    lost: u64,
}

impl Rosout {
    pub(super) fn new(
        node: &mut r2r::Node,
        name: &NodeName,
        logs: LogQueue,
    ) -> Result<Self, r2r::Error> {
        let qos = QosProfile::default().keep_last(DEPTH).reliable().transient_local();
        let publisher = node.create_publisher("/rosout", qos)?;
        // A logger's name has dots where the node's has slashes.
        let logger = name.full_name().trim_start_matches('/').replace('/', ".");
        Ok(Self { publisher, logs, logger, lost: 0 })
    }

    /// Publishes new lines. Its own failures are counted and not logged, since they would come back
    /// here.
    pub(super) fn publish(&mut self) {
        let (records, left_out) = self.logs.fetch();
        self.lost += left_out;
        for record in &records {
            if self.publisher.publish(&self.message(record)).is_err() {
                self.lost += 1;
            }
        }
        if self.lost > 0 && !records.is_empty() {
            let text = format!("{} lines of this log did not reach /rosout", self.lost);
            let mut told = self.message(&records[records.len() - 1]);
            (told.level, told.msg) = (Log::WARN as u8, text);
            if self.publisher.publish(&told).is_ok() {
                self.lost = 0;
            }
        }
    }

    fn message(&self, record: &LogRecord) -> Log {
        let since_epoch = record.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Log {
            stamp: time(since_epoch),
            level: severity(record.level),
            name: self.logger.clone(),
            msg: record.text.clone(),
            file: record.file.clone(),
            function: record.module.clone(),
            line: record.line,
        }
    }
}

pub(super) fn time(since_epoch: Duration) -> Time {
    let sec = i32::try_from(since_epoch.as_secs()).unwrap_or(i32::MAX);
    Time { sec, nanosec: since_epoch.subsec_nanos() }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => Log::ERROR as u8,
        Level::WARN => Log::WARN as u8,
        Level::INFO => Log::INFO as u8,
        _ => Log::DEBUG as u8,
    }
}
