//! The state of a run in `experiment.json`: what records, since when, how it ended. These are pure
//! changes of the notes; [`ExperimentState`](super::state::ExperimentState) writes them.

use serde_json::{Map, Value, json};

use super::labels::LabelChange;
use super::local::{ExperimentNotes, RunStatus};

/// The `metadata` of an ML-Dash experiment.
pub type Metadata = Map<String, Value>;

/// How many earlier runs to keep for an experiment that is recorded into repeatedly.
const MAX_EARLIER_RUNS: usize = 100;
const STARTED: &str = "started_at";
const ENDED: &str = "ended_at";
const FAILURE: &str = "failure";
const EARLIER: &str = "earlier_runs";
/// The bags of a run that imported some.
const BAGS: &str = "bags";
/// What to keep of an earlier run besides its status.
const RUN_KEYS: [&str; 4] = [STARTED, ENDED, FAILURE, BAGS];
const CRASH: &str =
    "it ended without closing (a crash, a kill, a power cut); what was flushed is here";

/// A run of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// The details that it was started with.
    pub(super) details: Metadata,
    /// The labels that the next part of the recording gets too.
    pub(super) carried: LabelChange,
    /// Why it is to end as failed.
    pub(super) failure: Option<String>,
}

/// The notes on an experiment's runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RunNotes {
    pub(super) status: Option<RunStatus>,
    pub(super) metadata: Metadata,
}

impl From<ExperimentNotes> for RunNotes {
    /// Existing `metadata` that is not an object is replaced by one.
    fn from(notes: ExperimentNotes) -> Self {
        let metadata = match notes.metadata {
            Some(Value::Object(metadata)) => metadata,
            _ => Metadata::new(),
        };
        Self { status: notes.status, metadata }
    }
}

impl From<RunNotes> for ExperimentNotes {
    fn from(run: RunNotes) -> Self {
        let metadata = Some(Value::Object(run.metadata));
        Self { status: run.status, metadata, ..Self::default() }
    }
}

impl RunNotes {
    /// Starts a run. The one before moves to `earlier_runs`.
    pub(super) fn start(&mut self, details: &Metadata, now: String) {
        let taken = RUN_KEYS.iter().filter_map(|key| self.metadata.remove(*key).map(|v| (*key, v)));
        let mut earlier: Metadata = taken.map(|(key, value)| (key.to_owned(), value)).collect();
        if !earlier.is_empty() {
            earlier.insert("status".to_owned(), json!(self.status));
            self.keep_earlier(earlier);
        }
        self.status = Some(RunStatus::Running);
        self.metadata.insert(STARTED.into(), now.into());
        self.metadata.extend(details.clone());
    }

    /// Ends a run.
    pub(super) fn end(&mut self, failure: Option<&str>, now: String) {
        self.metadata.insert(ENDED.into(), now.into());
        self.status = Some(RunStatus::Completed);
        if let Some(failure) = failure {
            self.metadata.insert(FAILURE.into(), failure.into());
            self.status = Some(RunStatus::Failed);
        }
    }

    /// Marks a run of ours that is still noted as running as failed, since nobody records. Returns
    /// true if there was one.
    pub(super) fn mark_crash(&mut self) -> bool {
        let is_ours = self.metadata.contains_key(STARTED) && !self.metadata.contains_key(ENDED);
        if !is_ours || self.status != Some(RunStatus::Running) {
            return false;
        }
        self.metadata.insert(ENDED.into(), Value::Null);
        self.metadata.insert(FAILURE.into(), CRASH.into());
        self.status = Some(RunStatus::Failed);
        true
    }

    fn keep_earlier(&mut self, run: Metadata) {
        let list = self.metadata.entry(EARLIER).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(Value::Object(run));
            let surplus = list.len().saturating_sub(MAX_EARLIER_RUNS);
            list.drain(..surplus);
        }
    }
}

/// When the first live run noted in an experiment's metadata started, in seconds since 1970. The
/// start of an import says nothing about its rows.
pub(super) fn first_start(metadata: &Value) -> Option<f64> {
    let earlier = metadata.get(EARLIER).and_then(Value::as_array).map(Vec::as_slice);
    let runs = earlier.unwrap_or_default().iter().chain([metadata]);
    let started = |run: &Value| match run.get(BAGS) {
        Some(_) => None,
        None => run.get(STARTED)?.as_str()?.parse::<jiff::Timestamp>().ok(),
    };
    let first = runs.filter_map(started).min()?;
    Some(first.as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(notes: &mut RunNotes, at: &str) {
        notes.start(json!({"host": "rover"}).as_object().unwrap(), at.to_owned());
    }

    #[test]
    fn a_run_says_that_it_records_and_how_it_ended() {
        let mut notes = RunNotes::default();
        start(&mut notes, "1");
        assert_eq!(notes.status, Some(RunStatus::Running));
        notes.end(None, "2".to_owned());
        assert_eq!(notes.status, Some(RunStatus::Completed));
        let expected = json!({"started_at": "1", "ended_at": "2", "host": "rover"});
        assert_eq!(Value::Object(notes.metadata), expected);
    }

    #[test]
    fn a_run_that_died_is_told_of_by_the_next() {
        let mut notes = RunNotes::default();
        start(&mut notes, "1");
        assert!(notes.mark_crash());
        assert!(!notes.mark_crash(), "once is enough");
        start(&mut notes, "3");
        notes.end(Some("the disk is gone"), "4".to_owned());
        assert_eq!(notes.status, Some(RunStatus::Failed));
        assert_eq!(notes.metadata["failure"], "the disk is gone");
        let earlier = &notes.metadata["earlier_runs"][0];
        assert_eq!((&earlier["status"], &earlier["started_at"]), (&"FAILED".into(), &"1".into()));
        assert!(earlier["failure"].as_str().unwrap().contains("without closing"));
    }

    #[test]
    fn a_run_that_ended_well_does_not_inherit_a_failure() {
        let mut notes = RunNotes::default();
        start(&mut notes, "1");
        notes.end(Some("no"), "2".to_owned());
        start(&mut notes, "3");
        notes.end(None, "4".to_owned());
        assert_eq!(notes.metadata.get("failure"), None);
    }

    #[test]
    fn a_status_that_others_noted_is_theirs() {
        let status = Some(RunStatus::Running);
        let mut notes = RunNotes { status, ..RunNotes::default() };
        assert!(!notes.mark_crash());
        assert_eq!(notes.status, status);
    }

    #[test]
    fn the_first_run_is_the_earliest_one_that_is_noted() {
        let mut notes = RunNotes::default();
        assert_eq!(first_start(&Value::Object(notes.metadata.clone())), None);
        for at in ["1970-01-01T00:00:01.500000Z", "1970-01-01T00:01:00.000000Z"] {
            start(&mut notes, at);
            assert_eq!(first_start(&Value::Object(notes.metadata.clone())), Some(1.5));
        }
    }

    #[test]
    fn the_start_of_an_import_is_no_start_of_its_rows() {
        let mut notes = RunNotes::default();
        let bags = json!({"bags": ["morning.mcap"]});
        notes.start(bags.as_object().unwrap(), "1970-01-01T00:00:01Z".to_owned());
        assert_eq!(first_start(&Value::Object(notes.metadata.clone())), None);
        start(&mut notes, "1970-01-01T00:01:00Z");
        assert_eq!(first_start(&Value::Object(notes.metadata.clone())), Some(60.0));
        assert_eq!(notes.metadata.get("bags"), None, "they are the earlier run's");
        assert_eq!(notes.metadata["earlier_runs"][0]["bags"][0], "morning.mcap");
    }

    #[test]
    fn earlier_runs_are_told_of_up_to_a_bound() {
        let mut notes = RunNotes::default();
        for i in 0..MAX_EARLIER_RUNS + 3 {
            start(&mut notes, &i.to_string());
        }
        let earlier = notes.metadata["earlier_runs"].as_array().unwrap();
        assert_eq!(earlier.len(), MAX_EARLIER_RUNS);
        assert_eq!(earlier[0]["started_at"], "2");
    }
}
