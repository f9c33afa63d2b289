//! What is on the graph, held against a mapping: plain data for people and for `init`. Needs no ROS to
//! build.

use std::time::Duration;

use serde::Serialize;

use crate::mapping::Rule;

/// The topics of a graph and what a mapping makes of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GraphReport {
    /// How long was listened for rates.
    #[serde(rename = "listened_secs", serialize_with = "as_secs")]
    pub listened: Duration,
    /// By name.
    pub topics: Vec<GraphTopic>,
    /// Entries of the mapping that no topic was found for.
    pub unmatched: Vec<UnmatchedEntry>,
}

/// A topic of the graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphTopic {
    /// Its name on the graph.
    pub topic: String,
    /// The type that is recorded, else the first that it has.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Types that it has besides.
    pub other_types: Vec<String>,
    /// The nodes that publish it.
    pub publishers: Vec<String>,
    /// What the mapping makes of it.
    #[serde(flatten)]
    pub mapped: Mapped,
}

/// What a mapping makes of a topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "mapped")]
pub enum Mapped {
    /// It is recorded.
    Recorded(RecordedTopic),
    /// It would be, as soon as somebody publishes it.
    Awaited {
        /// The entry's line in the mapping.
        line: usize,
    },
    /// An entry means it, and it can't be recorded.
    Refused {
        /// The entry's line in the mapping.
        line: usize,
        /// Why.
        reason: String,
    },
    /// No entry means it.
    Unmapped {
        /// Whether `exclude` does.
        excluded: bool,
        /// Whether it is one of the hidden topics of actions and services.
        hidden: bool,
    },
}

/// How a topic is recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedTopic {
    /// The entry's line in the mapping.
    pub line: usize,
    /// The name of the track; `{fields}` of the message still stand for themselves.
    pub track: String,
    /// What the subscription asks for.
    pub qos: String,
    /// Why it asks for that.
    pub qos_reasons: Vec<String>,
    /// Messages that came while listening.
    pub messages: u64,
    /// How often they came; `None` when too few came to tell.
    pub rate_hz: Option<f64>,
    /// Their bytes a second; likewise.
    pub bytes_per_sec: Option<f64>,
}

/// An entry of the mapping that no topic was found for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnmatchedEntry {
    /// Its topic as it is written, with the type where it says one.
    pub topic: String,
    /// Where it stands.
    pub line: usize,
    /// Whether it names the topic, without wildcards.
    pub is_named: bool,
}

impl GraphReport {
    /// What keeps a mapping from recording all that it names: topics that can't be recorded, and
    /// entries for a topic by name that nobody publishes.
    pub fn shortcomings(&self) -> usize {
        let refused =
            self.topics.iter().filter(|topic| matches!(topic.mapped, Mapped::Refused { .. }));
        refused.count() + self.unmatched.iter().filter(|entry| entry.is_named).count()
    }
}

impl UnmatchedEntry {
    /// An entry.
    pub fn of(rule: &Rule) -> Self {
        Self { topic: rule.label(), line: rule.place().line, is_named: !rule.topic().is_glob() }
    }
}

fn as_secs<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
