//! Once a second: has the recorder post its status, and publishes `/diagnostics`.

use std::thread;
use std::time::{Duration, Instant};

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use r2r::std_msgs::msg::Header;
use r2r::{Publisher, QosProfile};

use super::control::Control;
use super::queue::MessageQueue;
use super::rosout::time;
use crate::record::StatusBoard;
use crate::ros::{Diagnostic, NodeName, StopFlag, diagnostics, hanging, host_name};

const EVERY: Duration = Duration::from_secs(1);
/// A recorder that does not respond for this long is reported.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// Has the status posted once a second until the recording ends, for the status line, the log and the
/// required topics, when there is no node to publish it.
pub(super) fn post_alone(queue: &MessageQueue<Control>, board: &StatusBoard, stop: &StopFlag) {
    let mut answered = None;
    while !stop.is_set() {
        let latest = board.latest().map(|(number, _)| number);
        // Not while the recorder still owes one.
        if answered.is_none_or(|answered| latest != answered) {
            answered = Some(latest);
            queue.push_control(Control::PostStatus(queue.fill()));
        }
        thread::sleep(EVERY);
    }
}

/// Requests the status and publishes it.
pub(super) struct Reports {
    publisher: Publisher<DiagnosticArray>,
    board: StatusBoard,
    node: String,
    host: String,
    look_at: Instant,
    /// When the pending request was made; `None` if none is pending.
    asked_at: Option<Instant>,
    /// The number of the last published status.
    published: u64,
}

impl Reports {
    pub(super) fn new(
        node: &mut r2r::Node,
        name: &NodeName,
        board: StatusBoard,
    ) -> Result<Self, r2r::Error> {
        let publisher = node.create_publisher("/diagnostics", QosProfile::default())?;
        Ok(Self {
            publisher,
            board,
            node: name.full_name().trim_start_matches('/').to_owned(),
            host: host_name(),
            look_at: Instant::now(),
            asked_at: None,
            published: 0,
        })
    }

    /// Does what is due. `now_nanos` is ROS time.
    pub(super) fn poll(&mut self, queue: &MessageQueue<Control>, now_nanos: i64) {
        if let Some((number, status)) = self.board.latest()
            && number > self.published
        {
            self.published = number;
            self.asked_at = None;
            self.publish(&diagnostics(&self.node, &status), now_nanos);
        }
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        // Counted from when it was due, so that delays of the node don't add up.
        self.look_at = (self.look_at + EVERY).max(now);
        match self.asked_at {
            None => {
                queue.push_control(Control::PostStatus(queue.fill()));
                self.asked_at = Some(now);
            }
            Some(asked_at) if now - asked_at >= HANGS_AFTER => {
                let silent_secs = (now - asked_at).as_secs_f64();
                self.publish(&[hanging(&self.node, silent_secs)], now_nanos);
            }
            Some(_) => {}
        }
    }

    fn publish(&self, all: &[Diagnostic], now_nanos: i64) {
        let stamp = time(Duration::from_nanos(now_nanos.unsigned_abs()));
        let header = Header { stamp, ..Header::default() };
        let status = all.iter().map(|diagnostic| self.status(diagnostic)).collect();
        if let Err(error) = self.publisher.publish(&DiagnosticArray { header, status }) {
            tracing::debug!("/diagnostics could not be published: {error}");
        }
    }

    fn status(&self, diagnostic: &Diagnostic) -> DiagnosticStatus {
        let values = diagnostic.values.iter();
        DiagnosticStatus {
            level: diagnostic.level as u8,
            name: diagnostic.name.clone(),
            message: diagnostic.message.clone(),
            hardware_id: self.host.clone(),
            values: values
                .map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() })
                .collect(),
        }
    }
}
