//! The account of every message. For each topic, always: `received = stored + merged + throttled +
//! unchanged + dropped`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::parts::PartAccount;
use super::required::RequiredAccount;
use super::watcher::PublishStatus;
use mldash_track::SyncStatus;

/// Why a message (or an element, under `each`) is in no track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The bytes are not a message of the topic's type.
    Undecodable,
    /// The queue between the ROS side and the recorder was full.
    QueueFull,
    /// The store could not take rows (disk full, unwritable) until the buffer was full too, or its
    /// files were removed while they were recorded into.
    StoreFull,
    /// Less disk space is free than the mapping's `min_free`.
    DiskLow,
    /// The local store has reached the mapping's `max_local`, and the server does not have its data
    /// yet.
    LocalFull,
    /// Images and clouds arrived faster than files could be written.
    BlobQueueFull,
    /// An image or a cloud whose bytes contradict its own fields.
    BlobMalformed,
    /// The mapping says `blobs: drop`, and the message contains little else (an image, a cloud).
    BlobsOff,
    /// A large byte array in a list of messages. It can't be a file, and the mapping does not say
    /// `blobs: inline`.
    BlobTooLarge,
    /// The message needs the receive time, and the ROS clock has not started (`use_sim_time`, no
    /// `/clock`).
    NoClock,
    /// The message needs the receive time, and the bag's log time is invalid: after the year 2262.
    NoTime,
    /// Another message of its topic has the same stamp, and the mapping says `same_stamp: drop`.
    SameStamp,
    /// The message is larger than the limit for one message of a bag.
    TooLarge,
    /// The topic can't be recorded; `refused` says why.
    Refused,
    /// The mapping's track pattern gives no valid name for this message.
    TrackName,
    /// The track shares its folder with another one, or its name with the track of other values,
    /// such as `/base_link` and `base_link`.
    TrackCollision,
    /// The values of the topic's messages lead to more tracks than one topic may have (10,000).
    TooManyTracks,
    /// The recorder was shutting down.
    Stopped,
    /// The recording was paused.
    Paused,
    /// A snapshot held the message for as long, or with as many others, as the mapping says, and was
    /// not saved in that time.
    OutOfWindow,
    /// A snapshot held the message when the recording ended without a save.
    NotSaved,
}

impl DropReason {
    /// Returns true if something is missing that was to be recorded; false if it was left out on
    /// purpose.
    pub fn is_loss(self) -> bool {
        !matches!(
            self,
            Self::Paused | Self::BlobsOff | Self::SameStamp | Self::OutOfWindow | Self::NotSaved
        )
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The same spelling as in the JSON.
        self.serialize(f)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A remark on messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// There is no usable header stamp, so the row has the receive time.
    ReceiveTimeUsed,
    /// A string was not UTF-8; the invalid parts were replaced.
    TextRepaired,
    /// A byte array was left out of its row, as the mapping says.
    BlobLeftOut,
    /// The stamp is more than 10 s from the receive time, so it comes from another clock.
    FarFromClock,
    /// Stamps went back by more than 1 s: a clock was set back, or a simulator or a bag restarted.
    /// Counted once per jump.
    ClockJumpedBack,
    /// The message came before the ROS clock ran and waited for it.
    WaitedForClock,
    /// Another message of its topic has the same stamp. This one is at the next free time, some
    /// tenths of a microsecond later.
    StampMoved,
    /// Another message of its topic had the same stamp. This one's fields overwrote that one's, as
    /// the mapping says (`same_stamp: merge`).
    StampShared,
    /// Ten or more messages in a row have this stamp.
    StampStandsStill,
    /// A column has another type from this message on. Counted once per such column.
    ColumnTypeChanged,
}

/// The account of one topic's messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopicAccount {
    /// The topic, fully resolved.
    pub topic: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Messages; elements under `each`.
    pub received: u64,
    /// Messages with a row of their own.
    pub stored: u64,
    /// Repeats of a message that already has a row, and messages merged into the row of their `_ts`
    /// (several topics in one track, or `same_stamp: merge`).
    pub merged: u64,
    /// Left out by `max_rate`.
    pub throttled: u64,
    /// Left out by `on_change`.
    pub unchanged: u64,
    /// Received and not stored, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Lost before they were received. Not part of `received`.
    pub lost: Lost,
    /// Remarks.
    pub notes: BTreeMap<Note, u64>,
    /// If stamps are far from the receive time: by how many seconds they were ahead of it (behind,
    /// if negative) when that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamps_ahead_secs: Option<f64>,
    /// Bytes received.
    pub bytes: u64,
    /// The first error of each kind, for people.
    pub errors: Vec<String>,
}

/// Messages that the middleware lost before they were received, from the gaps in each publisher's
/// sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// This many.
    Known(u64),
    /// The middleware does not number messages, so the number is unknown.
    Unknown,
}

impl Default for Lost {
    fn default() -> Self {
        Self::Known(0)
    }
}

impl Lost {
    /// The number of known losses.
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
    /// Creates an account without messages.
    pub fn new(topic: &str, type_name: &str) -> Self {
        Self { topic: topic.to_owned(), type_name: type_name.to_owned(), ..Self::default() }
    }

    /// Counts messages that were received, and lost or refused.
    pub fn drop_received(&mut self, reason: DropReason, messages: u64) {
        self.received += messages;
        *self.dropped.entry(reason).or_default() += messages;
    }

    /// Adds a remark on this many messages. Returns true if they are the first of its kind.
    pub fn note(&mut self, note: Note, messages: u64) -> bool {
        let count = self.notes.entry(note).or_default();
        *count += messages;
        *count == messages
    }

    /// How many were received and not stored, for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// How many were to be recorded and are not: lost before they were received, or dropped, but
    /// not left out on purpose.
    pub fn missing_total(&self) -> u64 {
        let dropped = self.dropped.iter().filter(|(reason, _)| reason.is_loss());
        self.lost.known() + dropped.map(|(_, count)| count).sum::<u64>()
    }

    /// How many were received and left out on purpose.
    pub fn left_out_total(&self) -> u64 {
        let left_out = self.dropped.iter().filter(|(reason, _)| !reason.is_loss());
        left_out.map(|(_, count)| count).sum()
    }

    /// Returns true if every received message is accounted for.
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
    /// Whether it ended normally and everything that was asked for is there.
    pub complete: bool,
    /// Why it did not end normally.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What was asked for and is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// By topic.
    pub topics: Vec<TopicAccount>,
    /// Topics of the mapping that existed and could not be recorded, with the reason.
    pub refused: BTreeMap<String, String>,
    /// Entries of the mapping without a topic.
    pub unmatched: Vec<String>,
    /// Topics of bags that the mapping does not ask for, with their number of messages.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub not_asked_for: BTreeMap<String, u64>,
    /// Messages that came before this part while none was recorded, by topic. They are in no part's
    /// `received`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub while_stopped: BTreeMap<String, u64>,
    /// Messages that came after the last save of a snapshot and are in none, by topic. They are in no
    /// part's `received`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub not_saved: BTreeMap<String, u64>,
    /// Topics that the mapping requires.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<RequiredAccount>,
    /// The earlier parts of the recording.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_parts: Vec<PartAccount>,
    /// The progress of the upload, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// How far the publication of closed parts is, if there is one. It begins once this account lies in the experiment, so it
    /// is only in what the program prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishStatus>,
}

impl Account {
    /// Notes what is missing, once everything is counted.
    pub(super) fn conclude(&mut self) {
        self.missing = self.find_missing();
        self.complete = self.failure.is_none() && self.missing.is_empty();
    }

    /// Returns true if this recording and the parts before it are complete.
    pub fn is_complete_with_earlier_parts(&self) -> bool {
        self.complete && self.earlier_parts.iter().all(|part| part.complete)
    }

    /// Why a recording that ended normally is not complete; one line each.
    fn find_missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut dropped: BTreeMap<DropReason, u64> = BTreeMap::new();
        for (reason, messages) in self.topics.iter().flat_map(|topic| &topic.dropped) {
            *dropped.entry(*reason).or_default() += messages;
        }
        let refused_messages = dropped.remove(&DropReason::Refused).unwrap_or_default();
        let topics: Vec<&str> = self.refused.keys().map(String::as_str).collect();
        if !topics.is_empty() {
            let messages = match refused_messages {
                0 => String::new(),
                messages => format!(", {messages} messages"),
            };
            missing.push(format!("not recorded: {}{messages}", few(&topics)));
        }
        dropped.retain(|reason, _| reason.is_loss());
        if !dropped.is_empty() {
            let texts: Vec<String> =
                dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            missing.push(format!("dropped: {}", texts.join(", ")));
        }
        let lost: u64 = self.topics.iter().map(|topic| topic.lost.known()).sum();
        if lost > 0 {
            missing.push(format!("lost before they were received: {lost}"));
        }
        missing
    }

    /// Returns true if every topic adds up.
    pub fn adds_up(&self) -> bool {
        self.topics.iter().all(TopicAccount::adds_up)
    }
}

/// A few names, and how many more there are.
fn few(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_and_what_was_left_out_on_purpose_is_not_missing() {
        let mut account =
            Account { topics: vec![TopicAccount::new("/x", "t")], ..Account::default() };
        account.topics[0].drop_received(DropReason::Paused, 1);
        account.topics[0].drop_received(DropReason::SameStamp, 1);
        account.conclude();
        assert!(account.complete && account.missing.is_empty());

        account.topics.push(TopicAccount::new("/y", "t"));
        account.topics[0].drop_received(DropReason::Undecodable, 2);
        account.topics[1].drop_received(DropReason::Undecodable, 3);
        account.topics[1].drop_received(DropReason::QueueFull, 1);
        account.conclude();
        assert!(!account.complete);
        assert_eq!(account.missing, ["dropped: 5 undecodable, 1 queue_full"]);

        let refused =
            ["/a", "/b", "/c", "/d", "/e"].map(|topic| (topic.to_owned(), "no".to_owned()));
        account.refused = refused.into();
        account.topics.clear();
        account.conclude();
        assert_eq!(account.missing, ["not recorded: /a, /b, /c and 2 more"]);
        let mut counted = TopicAccount::new("/a", "t");
        counted.drop_received(DropReason::Refused, 7);
        account.topics.push(counted);
        account.conclude();
        assert_eq!(account.missing, ["not recorded: /a, /b, /c and 2 more, 7 messages"]);
    }

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
