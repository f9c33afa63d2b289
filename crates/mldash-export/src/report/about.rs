//! What is noted of a recording beside its rows: who made it, how, what for, and the account of every message.

use std::collections::BTreeMap;

use mldash_record::{ACCOUNT_FILE, DropReason};
use mldash_track::{Experiment, ExperimentNotes, Labels, RunStatus, TrackError, one_line};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::texts::cut;
use crate::files::account_text;

/// A longer mapping is cut.
const MAX_MAPPING_CHARS: usize = 200_000;
/// More metadata than that is not shown.
const MAX_FACTS: usize = 60;
/// What the recorder notes, in the order and words in which people read it.
const FACTS: [(&str, &str); 15] = [
    ("operator", "Operator"),
    ("recorder", "Recorder"),
    ("host", "Host"),
    ("node", "Node"),
    ("ros_distro", "ROS"),
    ("rmw", "Middleware"),
    ("ros_domain_id", "Domain"),
    ("git_revision", "Revision"),
    ("git_folder", "Workspace"),
    ("mapping_file", "Mapping file"),
    ("also_recorded", "Also recorded"),
    ("bags", "Bags"),
    ("started_at", "Run began"),
    ("ended_at", "Run ended"),
    ("failure", "Failure"),
];
/// Shown elsewhere.
const ELSEWHERE: [&str; 7] =
    ["mapping", "task", "success", "discarded", "continues", "continued_in", "earlier_runs"];

/// What is noted of a recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) labels: Labels,
    pub(crate) status: Option<RunStatus>,
    /// Whether a process on this machine writes it.
    pub(crate) is_being_written: bool,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) mapping: Option<String>,
    /// The part before, and the part after.
    pub(crate) continues: Option<String>,
    pub(crate) continued_in: Option<String>,
    pub(crate) earlier_runs: u64,
    /// When live runs after the first one began, in seconds.
    pub(crate) later_runs: Vec<f64>,
    pub(crate) account: Option<AccountFile>,
    /// What could not be read.
    pub(crate) problems: Vec<String>,
}

/// `account.json`, as far as the report uses it. Reasons and notes are texts here, so that an account of another version
/// can be shown.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct AccountFile {
    pub(crate) complete: bool,
    pub(crate) failure: Option<String>,
    pub(crate) missing: Vec<String>,
    pub(crate) topics: Vec<TopicLine>,
    pub(crate) refused: BTreeMap<String, String>,
    pub(crate) unmatched: Vec<String>,
    pub(crate) not_asked_for: BTreeMap<String, u64>,
    pub(crate) while_stopped: BTreeMap<String, u64>,
    pub(crate) not_saved: BTreeMap<String, u64>,
    pub(crate) required: Vec<RequiredLine>,
    pub(crate) earlier_parts: Vec<PartLine>,
}

/// A topic of the account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct TopicLine {
    pub(crate) topic: String,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) merged: u64,
    pub(crate) throttled: u64,
    pub(crate) unchanged: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    /// A number, or `"unknown"`.
    pub(crate) lost: Value,
    pub(crate) notes: BTreeMap<String, u64>,
    pub(crate) clock_jumps: Vec<JumpLine>,
    pub(crate) stamps_ahead_secs: Option<f64>,
    pub(crate) bytes: u64,
    pub(crate) errors: Vec<String>,
}

/// A clock that was set back, from the one time to the other, in seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct JumpLine {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// A topic that the mapping requires.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct RequiredLine {
    pub(crate) topic: String,
    pub(crate) min_rate: Option<f64>,
    pub(crate) state: String,
    pub(crate) times_short: u64,
    pub(crate) short_secs: f64,
}

/// An earlier part of the recording.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PartLine {
    pub(crate) experiment: String,
    pub(crate) complete: bool,
    pub(crate) stored: u64,
    pub(crate) dropped: u64,
}

impl TopicLine {
    /// Drops that were not asked for, by reason.
    pub(crate) fn losses(&self) -> impl Iterator<Item = (&str, u64)> {
        let is_loss = |reason: &str| {
            let known: Option<DropReason> = serde_json::from_value(reason.into()).ok();
            known.is_none_or(DropReason::is_loss)
        };
        let dropped = self.dropped.iter().map(|(reason, count)| (reason.as_str(), *count));
        dropped.filter(move |(reason, count)| is_loss(reason) && *count > 0)
    }
}

impl About {
    pub(crate) fn of(experiment: &Experiment) -> Result<Self, TrackError> {
        let notes = experiment.notes()?;
        let mut about = Self::from_notes(&notes);
        about.is_being_written = experiment.is_being_written()?;
        match account(experiment) {
            Ok(account) => about.account = account,
            Err(problem) => about.problems.push(problem),
        }
        Ok(about)
    }

    fn from_notes(notes: &ExperimentNotes) -> Self {
        let none = serde_json::Map::new();
        let metadata = notes.metadata.as_ref().and_then(Value::as_object).unwrap_or(&none);
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
        let known = FACTS
            .iter()
            .filter_map(|(key, label)| Some(((*label).to_owned(), shown(metadata.get(*key)?)?)));
        let is_other =
            |key: &str| !ELSEWHERE.contains(&key) && !FACTS.iter().any(|(known, _)| *known == key);
        let others = metadata.iter().filter(|(key, _)| is_other(key));
        let others = others.filter_map(|(key, value)| Some((cut(key), shown(value)?)));
        let earlier = metadata.get("earlier_runs").and_then(Value::as_array);
        let earlier = earlier.map(Vec::as_slice).unwrap_or_default();
        let mut later_runs: Vec<f64> = earlier
            .iter()
            .map(Value::as_object)
            .chain([Some(metadata)])
            .filter_map(began)
            .collect();
        later_runs.sort_by(f64::total_cmp);
        if !later_runs.is_empty() {
            later_runs.remove(0);
        }
        Self {
            labels: notes.labels(),
            status: notes.status,
            facts: known.chain(others).take(MAX_FACTS).collect(),
            mapping: text("mapping").map(|text| text.chars().take(MAX_MAPPING_CHARS).collect()),
            continues: text("continues"),
            continued_in: text("continued_in"),
            earlier_runs: earlier.len() as u64,
            later_runs,
            ..Self::default()
        }
    }
}

/// When a live run began. When an import did says nothing about its rows.
fn began(run: Option<&serde_json::Map<String, Value>>) -> Option<f64> {
    let run = run.filter(|run| !run.contains_key("bags"))?;
    let began: jiff::Timestamp = run.get("started_at")?.as_str()?.parse().ok()?;
    Some(began.as_duration().as_secs_f64())
}

/// A value of the metadata for people; `None` for nothing.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(cut(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(cut(&texts.join(", ")))
        }
        other => Some(cut(&other.to_string())),
    }
}

/// The account, if there is one; or why it can't be read.
fn account(experiment: &Experiment) -> Result<Option<AccountFile>, String> {
    let wrong = |error: &dyn std::error::Error| {
        format!("{ACCOUNT_FILE} can't be read: {}", one_line(error))
    };
    let Some(text) = account_text(experiment).map_err(|error| wrong(&error))? else {
        return Ok(None);
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use mldash_track::Options;

    use super::*;

    #[test]
    fn what_the_recorder_noted_comes_first_and_what_people_added_is_there() {
        let metadata = serde_json::json!({
            "gripper": {"kind": "suction"}, "host": "rover", "recorder": "mldash_bridge 0.1.0", "task": "drive",
            "mapping": "topics: []", "bags": ["a.mcap", "b.mcap"], "ended_at": null
        });
        let notes = ExperimentNotes { metadata: Some(metadata), ..Default::default() };
        let about = About::from_notes(&notes);
        let facts: Vec<(&str, &str)> =
            about.facts.iter().map(|(label, text)| (label.as_str(), text.as_str())).collect();
        assert_eq!(
            facts,
            [
                ("Recorder", "mldash_bridge 0.1.0"),
                ("Host", "rover"),
                ("Bags", "a.mcap, b.mcap"),
                ("gripper", r#"{"kind":"suction"}"#),
            ]
        );
        assert_eq!(about.mapping.as_deref(), Some("topics: []"));
        assert_eq!(about.labels.task.as_deref(), Some("drive"));
    }

    #[test]
    fn of_several_runs_the_later_ones_have_a_beginning() {
        let run = |at: &str| serde_json::json!({"started_at": at});
        let mut metadata = run("2025-06-16T12:04:07Z");
        let import = serde_json::json!({"started_at": "2025-06-16T12:00:00Z", "bags": ["a.mcap"]});
        metadata["earlier_runs"] =
            [run("2025-06-16T12:04:00Z"), import, run("2025-06-16T12:04:03Z"), run("soon")].into();
        let notes = ExperimentNotes { metadata: Some(metadata), ..Default::default() };
        let about = About::from_notes(&notes);
        let noon = 1_750_075_440.0;
        assert_eq!((about.earlier_runs, about.later_runs), (4, vec![noon + 3.0, noon + 7.0]));
    }

    #[test]
    fn an_account_of_another_version_is_read_and_a_damaged_one_told() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("a/b/c", Options::local(root.path())).unwrap();
        assert!(account(&exp).unwrap().is_none());
        let text = r#"{"complete": false, "topics": [{"topic": "/a", "lost": "unknown", "new_key": 1,
            "dropped": {"paused": 3, "queue_full": 2, "some_new_reason": 1}}]}"#;
        std::fs::write(exp.folder().join(ACCOUNT_FILE), text).unwrap();
        let read = account(&exp).unwrap().unwrap();
        let losses: Vec<_> = read.topics[0].losses().collect();
        assert_eq!(losses, [("queue_full", 2), ("some_new_reason", 1)]);
        std::fs::write(exp.folder().join(ACCOUNT_FILE), "{").unwrap();
        assert!(account(&exp).unwrap_err().contains("account.json can't be read"));
    }
}
