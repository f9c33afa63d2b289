//! The state of a recording, as `~/status`, `/diagnostics` and the status line show it. The
//! recording thread collects it about once a second; anybody may read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use super::account::TopicAccount;
use super::disk::DiskStatus;
use super::required::RequiredAccount;
use super::snapshot::SnapshotStatus;
use super::watcher::PublishStatus;
use mldash_track::SyncStatus;

/// A recording at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// The experiment that is recorded into; after a stop, the last one.
    pub experiment: String,
    /// Whether messages are left out until `~/resume`.
    pub paused: bool,
    /// Whether no part is recorded until `~/start`.
    pub stopped: bool,
    /// What is held in memory for a save, if the mapping says `snapshot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotStatus>,
    /// Seconds since the recording started, including its earlier parts.
    pub elapsed_secs: f64,
    /// What waits to be recorded.
    pub queue: QueueFill,
    /// The disk, if it is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
    /// The upload, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// The publication, if the mapping says `publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishStatus>,
    /// By topic, in the order in which the topics appeared; after a stop, with the accounts of the part that
    /// has ended.
    pub topics: Vec<TopicStatus>,
    /// Messages by topic that came before this part, or since it has ended, while none was recorded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub while_stopped: BTreeMap<String, u64>,
    /// Topics that the mapping requires.
    pub required: Vec<RequiredAccount>,
    /// Topics that can't be recorded, with the reason.
    pub refused: BTreeMap<String, String>,
}

/// A topic at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TopicStatus {
    /// Its account so far. Under `each`, the unit is the element.
    #[serde(flatten)]
    pub account: TopicAccount,
    /// The mapping's name for it.
    pub mapped_topic: String,
    /// Messages per second, over the last seconds.
    pub rate_hz: f64,
    /// The largest receive time minus stamp of the last messages, in seconds; `None` without
    /// stamps.
    pub lag_secs: Option<f64>,
    /// Seconds since the last message; `None` before the first.
    pub silent_secs: Option<f64>,
    /// Messages used to come and have stopped.
    pub is_stale: bool,
    /// Messages were lost lately.
    pub is_losing: bool,
}

/// What waits between the ROS side and the recorder, and what waits to become files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueFill {
    /// Bytes of messages of ordinary size.
    pub light_bytes: usize,
    /// The limit on them.
    pub light_limit_bytes: usize,
    /// Bytes of topics with large messages.
    pub heavy_bytes: usize,
    /// The limit on them.
    pub heavy_limit_bytes: usize,
    /// Bytes of pictures and clouds that wait to become files.
    pub file_bytes: usize,
    /// The limit on them.
    pub file_limit_bytes: usize,
}

impl Status {
    /// Messages per second, over all topics.
    pub fn rate_hz(&self) -> f64 {
        // The sum of nothing is -0.
        self.topics.iter().map(|topic| topic.rate_hz).sum::<f64>().abs()
    }

    /// Sums a count of the accounts over all topics.
    pub fn total(&self, count: impl Fn(&TopicAccount) -> u64) -> u64 {
        self.topics.iter().map(|topic| count(&topic.account)).sum()
    }
}

impl QueueFill {
    /// The fill level of the fullest part, from 0 to 1.
    pub fn ratio(&self) -> f64 {
        let part = |bytes: usize, limit: usize| bytes as f64 / limit.max(1) as f64;
        part(self.light_bytes, self.light_limit_bytes)
            .max(part(self.heavy_bytes, self.heavy_limit_bytes))
            .max(part(self.file_bytes, self.file_limit_bytes))
    }
}

/// Shows the latest [`Status`].
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Board>);

#[derive(Debug, Default)]
struct Board {
    state: Mutex<Posted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Posted {
    latest: Option<Arc<Status>>,
    number: u64,
    is_closed: bool,
}

impl StatusBoard {
    /// The latest status and its number, counted from 1; `None` before the first.
    pub fn latest(&self) -> Option<(u64, Arc<Status>)> {
        let state = self.0.state.lock();
        Some((state.number, state.latest.clone()?))
    }

    /// Waits for a status after number `seen`; `None` once the recording is over.
    pub fn wait_newer(&self, seen: u64) -> Option<(u64, Arc<Status>)> {
        let mut state = self.0.state.lock();
        while !state.is_closed && state.number <= seen {
            self.0.changed.wait(&mut state);
        }
        if state.is_closed { None } else { Some((state.number, state.latest.clone()?)) }
    }

    pub(super) fn post(&self, status: Status) {
        let mut state = self.0.state.lock();
        state.latest = Some(Arc::new(status));
        state.number += 1;
        self.0.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_gets_the_next_status_and_then_the_end() {
        let board = StatusBoard::default();
        assert!(board.latest().is_none());
        let (seen, is_seen) = std::sync::mpsc::sync_channel(1);
        let waiting = board.clone();
        let waiter = std::thread::spawn(move || {
            let (number, status) = waiting.wait_newer(0).unwrap();
            seen.send((number, status.experiment.clone())).unwrap();
            waiting.wait_newer(number).is_none()
        });
        board.post(Status { experiment: "a/b/c".to_owned(), ..Status::default() });
        assert_eq!(is_seen.recv().unwrap(), (1, "a/b/c".to_owned()));
        board.close();
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn the_fullest_part_says_how_full_the_queue_is() {
        let fill = QueueFill {
            light_bytes: 10,
            light_limit_bytes: 100,
            heavy_bytes: 100,
            heavy_limit_bytes: 200,
            ..QueueFill::default()
        };
        assert_eq!(fill.ratio(), 0.5);
        let fill = QueueFill { file_bytes: 3, file_limit_bytes: 4, ..fill };
        assert_eq!(fill.ratio(), 0.75);
        assert_eq!(QueueFill::default().ratio(), 0.0);
    }
}
