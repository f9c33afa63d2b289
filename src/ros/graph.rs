//! The graph compared with a mapping, as plain data for `init` and `check --graph`. Builds without ROS.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::mapping::Rule;

/// The topics of a graph, each with what a mapping does with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GraphReport {
    /// How long it listened, for the rates.
    #[serde(rename = "listened_secs", serialize_with = "as_secs")]
    pub listened: Duration,
    /// Sorted by name.
    pub topics: Vec<GraphTopic>,
    /// What the mapping asks for and can't be recorded, with the reason: topics, further types of
    /// topics, publishers that offer too little.
    pub refused: BTreeMap<String, String>,
    /// Entries of the mapping without a topic.
    pub unmatched: Vec<UnmatchedEntry>,
    /// Services and actions that the mapping asks for and that don't publish what is asked for.
    pub silent_calls: Vec<SilentCall>,
}

/// A service or an action that does not publish its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SilentCall {
    /// Its name on the graph.
    pub name: String,
    /// Whether it is an action. Its feedback and status are recorded.
    pub is_action: bool,
    /// The entry's line in the mapping; 0 if a command line asks for it.
    pub line: usize,
    /// Whether the entry names it. Otherwise it is one of all.
    pub is_named: bool,
}

impl SilentCall {
    /// Why nothing comes, and what to do.
    pub fn advice(&self) -> &'static str {
        match self.is_action {
            false => {
                "its introspection is off, so its requests and responses are not published; in its server, \
                 call configure_introspection(…) of the service with the state CONTENTS"
            }
            true => {
                "the introspection of its services is off, so goals and results are not published (feedback \
                 and status are); Jazzy's action servers can't turn it on, newer ones have \
                 configure_introspection(…)"
            }
        }
    }

    /// What messages call it.
    pub fn label(&self) -> String {
        format!("{} {}", if self.is_action { "action" } else { "service" }, self.name)
    }
}

/// A topic on the graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphTopic {
    /// Its name on the graph.
    pub topic: String,
    /// The recorded type; if it is not recorded, its first type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its other types, which are not recorded.
    pub other_types: Vec<String>,
    /// The nodes that publish it.
    pub publishers: Vec<String>,
    /// What the mapping does with it.
    #[serde(flatten)]
    pub mapped: Mapped,
}

/// What a mapping does with a topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "mapped")]
pub enum Mapped {
    /// It is recorded.
    Recorded(RecordedTopic),
    /// It will be recorded as soon as somebody publishes it.
    Awaited {
        /// The entry's line in the mapping.
        line: usize,
    },
    /// An entry matches it, but it can't be recorded.
    Refused {
        /// The entry's line in the mapping.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// No entry matches it.
    Unmapped {
        /// Whether `exclude` matches it.
        excluded: bool,
        /// Whether it is a hidden topic of an action or a service.
        hidden: bool,
    },
}

/// How a topic is recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedTopic {
    /// The entry's line in the mapping.
    pub line: usize,
    /// The name of the track, with placeholders such as `{child_frame_id}` for fields of messages.
    pub track: String,
    /// The QoS that the subscription requests.
    pub qos: String,
    /// The reasons for that QoS.
    pub qos_reasons: Vec<String>,
    /// The number of messages while listening.
    pub messages: u64,
    /// Messages per second; `None` if too few came.
    pub rate_hz: Option<f64>,
    /// Bytes per second; `None` if too few messages came.
    pub bytes_per_sec: Option<f64>,
}

/// An entry of the mapping without a topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnmatchedEntry {
    /// Its topic as written, with its type if it has one.
    pub topic: String,
    /// Its place in the mapping.
    pub line: usize,
    /// Whether its topic is a name without wildcards.
    pub is_named: bool,
}

impl GraphReport {
    /// The problems that keep the mapping from recording everything it names: what can't be recorded,
    /// and named topics that nobody publishes.
    pub fn shortcomings(&self) -> usize {
        self.refused.len() + self.unmatched.iter().filter(|entry| entry.is_named).count()
    }
}

impl UnmatchedEntry {
    /// Describes an entry of the mapping.
    pub fn of(rule: &Rule) -> Self {
        Self { topic: rule.label(), line: rule.place().line, is_named: !rule.topic().is_glob() }
    }
}

fn as_secs<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
