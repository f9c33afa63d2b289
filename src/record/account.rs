//! What became of every message: `received = stored + merged + throttled + unchanged + dropped`,
//! for each topic, always.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::parts::PartAccount;
use super::required::RequiredAccount;
use crate::track::SyncStatus;

/// Why a message (or an element, under `each`) is in no track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The bytes are not a message of the topic's type.
    Undecodable,
    /// The queue between the ROS side and the recorder was full.
    QueueFull,
    /// The store took no rows (disk full, unwritable) until the buffer was full too.
    StoreFull,
    /// Less space is free than the mapping's `min_free`.
    DiskLow,
    /// The local store holds as much as the mapping's `max_local`, and the server has not taken it.
    LocalFull,
    /// Files could not be written as fast as pictures and clouds came.
    BlobQueueFull,
    /// A picture or a cloud whose bytes are not what its own fields say.
    BlobMalformed,
    /// The mapping says `blobs: drop`, and the message is little else (an image, a cloud).
    BlobsOff,
    /// A large byte array within a list of messages, which can't be a file, and the mapping does not say
    /// `blobs: inline`.
    BlobTooLarge,
    /// It needs the receive time, and the ROS clock has not started (`use_sim_time`, no `/clock`).
    NoClock,
    /// The mapping's track pattern gives no usable name for this message.
    TrackName,
    /// The track shares its folder with another one.
    TrackCollision,
    /// The recorder was shutting down.
    Stopped,
    /// The recording was paused.
    Paused,
}

impl DropReason {
    /// Whether something is missing that was to be recorded; not so what was left out on purpose.
    pub fn is_loss(self) -> bool {
        !matches!(self, Self::Paused | Self::BlobsOff)
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One spelling, that of the JSON.
        self.serialize(f)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Something about a message that was stored and is worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// No usable header stamp: the row has the receive time.
    ReceiveTimeUsed,
    /// A string was not UTF-8; what is not was replaced.
    TextRepaired,
    /// A byte array was left out of its row, as the mapping says.
    BlobLeftOut,
    /// The stamp is more than 10 s from the time it was received at: another clock's.
    FarFromClock,
    /// Stamps went back by more than 1 s: a clock set back, a simulator or a bag started anew. Counted
    /// once a jump.
    ClockJumpedBack,
    /// It came before the ROS clock ran and waited for it.
    WaitedForClock,
}

/// One topic's messages, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopicAccount {
    /// The topic, fully resolved.
    pub topic: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Messages; under `each`, elements.
    pub received: u64,
    /// Rows of their own.
    pub stored: u64,
    /// Merged into a row of the same `_ts`.
    pub merged: u64,
    /// Left out by `max_rate`.
    pub throttled: u64,
    /// Left out by `on_change`.
    pub unchanged: u64,
    /// Received and not stored, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Never received: lost before they came here. No part of `received`.
    pub lost: Lost,
    /// Remarks on stored ones.
    pub notes: BTreeMap<Note, u64>,
    /// Where stamps are far from the receive time: by how many seconds they were ahead of it (behind,
    /// if negative) when that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamps_ahead_secs: Option<f64>,
    /// Bytes received.
    pub bytes: u64,
    /// The first error of each kind, for a person to act on.
    pub errors: Vec<String>,
}

/// Messages that the middleware is known to have lost before they came here, from the gaps in each
/// publisher's sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// So many.
    Known(u64),
    /// The middleware does not number messages, so there may be any number.
    Unknown,
}

impl Default for Lost {
    fn default() -> Self {
        Self::Known(0)
    }
}

impl Lost {
    /// How many are known.
    pub fn known(self) -> u64 {
        match self {
            Self::Known(messages) => messages,
            Self::Unknown => 0,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(messages) => messages.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A number, or `"unknown"`.
impl Serialize for Lost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(messages) => messages.serialize(serializer),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

impl TopicAccount {
    /// Nothing received yet.
    pub fn new(topic: &str, type_name: &str) -> Self {
        Self { topic: topic.to_owned(), type_name: type_name.to_owned(), ..Self::default() }
    }

    /// Counts messages that were received and lost or refused.
    pub fn drop_received(&mut self, reason: DropReason, messages: u64) {
        self.received += messages;
        *self.dropped.entry(reason).or_default() += messages;
    }

    /// Adds a remark on so many messages; whether they are the first of its kind.
    pub fn note(&mut self, note: Note, messages: u64) -> bool {
        let count = self.notes.entry(note).or_default();
        *count += messages;
        *count == messages
    }

    /// How many were received and not stored, for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// How many were to be recorded and are not: lost before they came here, or dropped, but not left out
    /// on purpose.
    pub fn missing_total(&self) -> u64 {
        let dropped = self.dropped.iter().filter(|(reason, _)| reason.is_loss());
        self.lost.known() + dropped.map(|(_, count)| count).sum::<u64>()
    }

    /// How many were received and left out on purpose.
    pub fn left_out_total(&self) -> u64 {
        let left_out = self.dropped.iter().filter(|(reason, _)| !reason.is_loss());
        left_out.map(|(_, count)| count).sum()
    }

    /// Whether everything that came is somewhere.
    pub fn adds_up(&self) -> bool {
        let known = self.stored + self.merged + self.throttled + self.unchanged;
        self.received == known + self.dropped_total()
    }
}

/// A recording's account, written to `account.json` in the experiment's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// The experiment.
    pub experiment: String,
    /// Whether it ended as it should: everything flushed and closed.
    pub complete: bool,
    /// Why not, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// By topic.
    pub topics: Vec<TopicAccount>,
    /// Topics of the mapping that were there and could not be recorded, with the reason.
    pub refused: BTreeMap<String, String>,
    /// Entries of the mapping that no topic was found for.
    pub unmatched: Vec<String>,
    /// Topics that the mapping requires.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<RequiredAccount>,
    /// The parts of the recording before this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_parts: Vec<PartAccount>,
    /// How far the upload is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
}

impl Account {
    /// Whether every topic adds up.
    pub fn adds_up(&self) -> bool {
        self.topics.iter().all(TopicAccount::adds_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_nowhere_shows() {
        let mut topic = TopicAccount::new("/pose", "geometry_msgs/msg/PoseStamped");
        (topic.received, topic.stored, topic.merged) = (3, 1, 1);
        assert!(!topic.adds_up());
        topic.drop_received(DropReason::QueueFull, 1);
        assert!(!topic.adds_up());
        topic.stored += 1;
        assert!(topic.adds_up());
    }

    #[test]
    fn reasons_are_named_in_json_as_a_person_would() {
        let mut topic = TopicAccount::new("/pose", "t");
        topic.drop_received(DropReason::QueueFull, 1);
        topic.note(Note::ReceiveTimeUsed, 1);
        let json = serde_json::to_value(&topic).unwrap();
        assert_eq!(json["dropped"]["queue_full"], 1);
        assert_eq!(json["notes"]["receive_time_used"], 1);
        assert_eq!(json["type"], "t");
        assert_eq!(json["lost"], 0);
        topic.lost = Lost::Unknown;
        assert_eq!(serde_json::to_value(&topic).unwrap()["lost"], "unknown");
    }
}
