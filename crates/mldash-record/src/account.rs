//! The account of every message. For each topic, always: `received = stored + merged + throttled +
//! unchanged + dropped`.

mod reasons;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::parts::PartAccount;
use super::required::RequiredAccount;
use super::watcher::PublishStatus;
use mldash_track::{SyncStatus, Timestamp};
pub use reasons::{DropReason, Note};

/// Times of jumps that are kept of a topic.
const MAX_JUMPS: usize = 32;

/// A clock that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JumpBack {
    /// The last time before, in seconds.
    pub from: f64,
    /// The first time after it.
    pub to: f64,
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
    /// When its clock was set back: the first times of those that [`Note::ClockJumpedBack`] counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clock_jumps: Vec<JumpBack>,
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

    /// Notes that the clock jumped back. Returns true the first time.
    pub(super) fn note_jump(&mut self, from: Timestamp, to: Timestamp) -> bool {
        if self.clock_jumps.len() < MAX_JUMPS {
            self.clock_jumps.push(JumpBack { from: from.as_secs(), to: to.as_secs() });
        }
        self.note(Note::ClockJumpedBack, 1)
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
    fn of_very_many_jumps_the_first_are_kept_with_their_times() {
        let mut topic = TopicAccount::new("/x", "t");
        let at = |secs: f64| Timestamp::new(secs).unwrap();
        for i in 0..100_u32 {
            assert_eq!(topic.note_jump(at(f64::from(i) + 9.0), at(f64::from(i))), i == 0);
        }
        assert_eq!(
            (topic.clock_jumps.len(), topic.notes[&Note::ClockJumpedBack]),
            (MAX_JUMPS, 100)
        );
        assert_eq!(topic.clock_jumps[1], JumpBack { from: 10.0, to: 1.0 });
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
