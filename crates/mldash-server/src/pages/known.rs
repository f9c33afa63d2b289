//! What the list shows of experiments, remembered as long as nothing of them changes: looking whether it did is much cheaper
//! than reading the indexes and notes of hundreds.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use mldash_export::report::cut;
use mldash_track::{
    Experiment, ExperimentInfo, ExperimentName, ExperimentStamp, RunStatus, one_line,
};
use parking_lot::Mutex;

use crate::error::ApiError;
use crate::memory::Memory;
use crate::token::Namespace;

/// Experiments that are remembered; those beyond are read whenever they are listed.
const MAX_KNOWN: usize = 20_000;
/// How many tags are shown.
const MAX_TAGS: usize = 12;

/// What the list shows of an experiment.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) name: String,
    /// When it begins, and how long it is, in seconds.
    pub(super) start: Option<f64>,
    pub(super) length: Option<f64>,
    pub(super) rows: u64,
    pub(super) is_exact: bool,
    pub(super) size_bytes: u64,
    pub(super) state: State,
    pub(super) is_discarded: bool,
    pub(super) success: Option<bool>,
    pub(super) task: String,
    pub(super) operator: String,
    pub(super) tags: Vec<String>,
    /// Why not all of it could be read.
    pub(super) problem: Option<String>,
}

/// What an experiment is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    Live,
    NotClosed,
    Ended(RunStatus),
    #[default]
    Unknown,
}

impl State {
    fn of(info: &ExperimentInfo) -> Self {
        let is_over = info.status.is_some_and(RunStatus::is_final);
        match info.status {
            _ if info.is_being_written == Some(true) && !is_over => Self::Live,
            _ if info.is_abandoned() => Self::NotClosed,
            Some(status) => Self::Ended(status),
            None => Self::Unknown,
        }
    }

    /// In words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Live => "being recorded",
            Self::NotClosed => "not closed",
            Self::Ended(RunStatus::Failed) => "failed",
            Self::Ended(RunStatus::Cancelled) => "cancelled",
            Self::Ended(_) => "completed",
            Self::Unknown => "",
        }
    }

    /// A class of the style.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::NotClosed | Self::Ended(RunStatus::Failed) => "problem",
            Self::Ended(RunStatus::Cancelled) => "warning",
            Self::Ended(_) | Self::Unknown => "",
        }
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_name: Mutex<HashMap<ExperimentName, (ExperimentStamp, Arc<Listed>)>>,
}

impl Known {
    /// What the list shows of these, which are all experiments of `namespace`.
    pub(super) fn list(
        &self,
        root: &Path,
        namespace: &Namespace,
        names: &[ExperimentName],
        memory: &mut Memory,
    ) -> Result<Vec<Arc<Listed>>, ApiError> {
        let listed = names.iter().map(|name| self.one(root, name, memory));
        let listed = listed.collect::<Result<_, _>>()?;
        let there: HashSet<&ExperimentName> = names.iter().collect();
        let is_gone =
            |name: &ExperimentName| name.owner() == namespace.as_str() && !there.contains(name);
        self.by_name.lock().retain(|name, _| !is_gone(name));
        Ok(listed)
    }

    fn one(
        &self,
        root: &Path,
        name: &ExperimentName,
        memory: &mut Memory,
    ) -> Result<Arc<Listed>, ApiError> {
        let unreadable = |problem: String| {
            Arc::new(Listed { name: name.to_string(), problem: Some(problem), ..Listed::default() })
        };
        let experiment = match Experiment::open_read_only(name.as_str(), root) {
            Ok(experiment) => experiment,
            Err(error) => return Ok(unreadable(refusal(error))),
        };
        let stamp = match experiment.stamp(&[]) {
            Ok(stamp) => stamp,
            Err(error) => return Ok(unreadable(refusal(error))),
        };
        let known = self.by_name.lock().get(name).cloned();
        if let Some((_, listed)) = known.filter(|(known, _)| *known == stamp) {
            return Ok(listed);
        }
        let weigh = || {
            let weight = experiment.notes_weight()?.saturating_add(experiment.list_weight()?);
            Ok(weight.saturating_add(experiment.files("").list_weight()?))
        };
        let weight = match weigh() {
            Ok(weight) => weight,
            Err(error) => return Ok(unreadable(refusal(error))),
        };
        memory.hold(weight)?;
        let listed = Arc::new(Listed::of(&experiment.info()));
        memory.release(weight);
        let mut by_name = self.by_name.lock();
        if by_name.len() < MAX_KNOWN || by_name.contains_key(name) {
            by_name.insert(name.clone(), (stamp, listed.clone()));
        }
        Ok(listed)
    }
}

/// What a client may know of an error of the store; the rest is logged.
fn refusal(error: mldash_track::TrackError) -> String {
    tracing::warn!("{}", one_line(&error));
    ApiError::from(error).message().to_owned()
}

impl Listed {
    fn of(info: &ExperimentInfo) -> Self {
        let text = |text: &Option<String>| cut(text.as_deref().unwrap_or_default());
        for problem in &info.problems {
            tracing::warn!("{}: {problem}", info.name);
        }
        let problem = || "not all of it can be read; the server's log says why".to_owned();
        Self {
            name: info.name.clone(),
            start: info.start_timestamp,
            length: info.length_secs,
            rows: info.total_entries,
            is_exact: info.is_exact,
            size_bytes: info.size_bytes,
            state: State::of(info),
            is_discarded: info.discarded,
            success: info.success,
            task: text(&info.task),
            operator: text(&info.operator),
            tags: info.tags.iter().take(MAX_TAGS).map(|tag| cut(tag)).collect(),
            problem: (!info.problems.is_empty()).then(problem),
        }
    }

    /// Returns true if each word, in lower case, is in the name, the task, a tag, the operator or the status.
    pub(super) fn has(&self, words: &[String]) -> bool {
        let success = match self.success {
            Some(true) => "success",
            Some(false) => "no success",
            None => "",
        };
        let discarded = if self.is_discarded { "discarded" } else { "" };
        let said = [&self.name, &self.task, &self.operator, self.state.text(), success, discarded];
        let said = said.into_iter().chain(self.tags.iter().map(String::as_str));
        let said = said.map(str::to_lowercase).collect::<Vec<_>>();
        words.iter().all(|word| said.iter().any(|text| text.contains(word)))
    }
}

#[cfg(test)]
mod tests {
    use mldash_track::{LabelChange, Options, experiments_of, fields, refuse_links};

    use super::*;

    #[test]
    fn an_experiment_is_read_again_once_anything_of_it_has_changed() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        exp.tracks("t").append(fields! { "x": 1 }, 1.0).unwrap();
        exp.flush().unwrap();
        let (known, alice) = (Known::default(), Namespace::new("alice"));
        let list = || {
            let names = experiments_of(root.path(), "alice").unwrap();
            let mut memory = Memory::alone(1 << 20);
            known.list(root.path(), &alice, &names, &mut memory).unwrap()
        };
        let first = list();
        assert_eq!((first.len(), first[0].state, first[0].rows), (1, State::Live, 1));
        assert!(Arc::ptr_eq(&first[0], &list()[0]), "it is not read again");
        exp.tracks("t").append(fields! { "x": 2 }, 2.0).unwrap();
        exp.flush().unwrap();
        assert_eq!(list()[0].rows, 2);
        exp.label(&LabelChange::new().add_tag("kitchen").unwrap()).unwrap();
        assert_eq!(list()[0].tags, ["kitchen"]);
        exp.files("notes").save_bytes(vec![7; 5000], "n.bin").unwrap();
        assert!(list()[0].size_bytes >= 5000);
        exp.close().unwrap();
        assert_eq!(list()[0].state, State::Unknown, "nobody has said that it is a run");
        std::fs::remove_dir_all(root.path().join("alice")).unwrap();
        assert!(list().is_empty() && known.by_name.lock().is_empty());
    }

    #[test]
    fn what_a_link_leads_to_is_not_listed() {
        let root = tempfile::tempdir().unwrap();
        for name in ["alice/lab/mine", "bob/lab/his"] {
            Experiment::open(name, Options::local(root.path())).unwrap().close().unwrap();
        }
        let link = root.path().join("alice/lab/link");
        std::os::unix::fs::symlink(root.path().join("bob/lab/his"), link).unwrap();
        let names = |owner: &str| {
            let names = experiments_of(root.path(), owner).unwrap();
            names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names("alice"), ["alice/lab/link", "alice/lab/mine"], "as local commands do");
        let _refused = refuse_links(root.path()).unwrap();
        assert_eq!(names("alice"), ["alice/lab/mine"]);
        assert!(names("carol").is_empty());
    }

    #[test]
    fn every_word_must_be_said_somewhere() {
        let tags = vec!["Kitchen".to_owned()];
        let listed = Listed {
            name: "alice/lab/run-7".to_owned(),
            state: State::Live,
            tags,
            ..Listed::default()
        };
        let has = |text: &str| {
            listed.has(&text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        };
        assert!(has("") && has("kitchen RUN-7") && has("recorded"));
        assert!(!has("kitchen run-8") && !has("failed"));
    }
}
