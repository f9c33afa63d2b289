//! `experiment.json`, as the Python SDK 0.11.0 writes it, plus the status that ML-Dash's server
//! keeps. Unknown keys are kept.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::beneath::How;
use super::damage;
use super::error::StoreError;
use super::handles;
use super::lock::lock_sdk;
use super::metadata::{Extra, json_weight, load_json, load_json_if_usable, save_json, utc_now};
use crate::labels::Labels;
use crate::name::ExperimentName;

pub(super) const EXPERIMENT_FILE: &str = "experiment.json";
/// The Python SDK holds this lock while it changes the file.
const LOCK_FILE: &str = ".experiment.lock";

/// The status of a run, in ML-Dash's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    /// It is being recorded.
    Running,
    /// It ended normally.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was stopped by hand.
    Cancelled,
}

/// A text that names no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status; there are RUNNING, COMPLETED, FAILED and CANCELLED")]
pub struct RunStatusError(String);

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// ML-Dash's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Returns true if the run is over.
    pub fn is_final(self) -> bool {
        self != Self::Running
    }
}

impl FromStr for RunStatus {
    type Err = RunStatusError;

    fn from_str(name: &str) -> Result<Self, RunStatusError> {
        let known = Self::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or_else(|| RunStatusError(name.to_owned()))
    }
}

/// Notes on an experiment. When stored, a `None` field keeps its stored value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExperimentNotes {
    /// A description. Storing an empty one removes it.
    pub description: Option<String>,
    /// Tags for search.
    pub tags: Option<Vec<String>>,
    /// ML-Dash's collections that it is in.
    pub bindrs: Option<Vec<String>>,
    /// Any other metadata.
    pub metadata: Option<serde_json::Value>,
    /// Whether the owner protects it from changes.
    pub write_protected: Option<bool>,
    /// The status of its run.
    pub status: Option<RunStatus>,
    /// When it was created, UTC, ISO 8601. Storing notes never changes it.
    pub created_at: Option<String>,
}

impl ExperimentNotes {
    /// What people say of the experiment, as far as it is noted.
    pub fn labels(&self) -> Labels {
        Labels::from(self)
    }
}

/// An experiment's `experiment.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ExperimentFile {
    name: String,
    project: String,
    description: Option<String>,
    tags: Vec<String>,
    bindrs: Vec<String>,
    prefix: String,
    metadata: Option<serde_json::Value>,
    created_at: Option<String>,
    write_protected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RunStatus>,
    #[serde(flatten)]
    extra: Extra,
}

impl ExperimentFile {
    fn new(name: &ExperimentName) -> Self {
        Self {
            name: name.name().to_owned(),
            project: name.project().to_owned(),
            prefix: name.to_string(),
            created_at: Some(utc_now()),
            ..Self::default()
        }
    }

    fn notes(&self) -> ExperimentNotes {
        ExperimentNotes {
            description: self.description.clone(),
            tags: Some(self.tags.clone()),
            bindrs: Some(self.bindrs.clone()),
            metadata: self.metadata.clone(),
            write_protected: Some(self.write_protected),
            status: self.status,
            created_at: self.created_at.clone(),
        }
    }

    fn annotate(&mut self, notes: ExperimentNotes) {
        let description = notes.description.or(self.description.take());
        self.description = description.filter(|text| !text.is_empty());
        self.metadata = notes.metadata.or(self.metadata.take());
        self.status = notes.status.or(self.status);
        if let Some(tags) = notes.tags {
            self.tags = tags;
        }
        if let Some(bindrs) = notes.bindrs {
            self.bindrs = bindrs;
        }
        if let Some(write_protected) = notes.write_protected {
            self.write_protected = write_protected;
        }
    }
}

/// Returns true if `folder` has the file, usable or not.
pub(super) fn exists(folder: &Path) -> bool {
    let path = folder.join(EXPERIMENT_FILE);
    path.exists() && !path.is_dir()
}

/// The notes on the experiment in `folder`; empty if it has no file, or one that can't be used,
/// which is reported once.
///
/// # Errors
/// Fails if there are too many open files to tell.
pub(super) fn load(folder: &Path) -> Result<ExperimentNotes, StoreError> {
    let file: Option<ExperimentFile> = load_json_if_usable(&folder.join(EXPERIMENT_FILE))?;
    Ok(file.map(|file| file.notes()).unwrap_or_default())
}

/// Like [`load`], but fails if the file can't be used.
pub(super) fn load_usable(folder: &Path) -> Result<ExperimentNotes, StoreError> {
    let file: Option<ExperimentFile> = load_json(&folder.join(EXPERIMENT_FILE))?;
    Ok(file.map(|file| file.notes()).unwrap_or_default())
}

/// How much memory [`load`] takes, at most.
pub(super) fn weight(folder: &Path) -> Result<usize, StoreError> {
    json_weight(&folder.join(EXPERIMENT_FILE))
}

/// Stores the notes that `change` derives from the notes before, for the experiment `name` in an
/// existing folder.
pub(super) fn annotate(
    folder: &Path,
    name: &ExperimentName,
    change: impl FnOnce(ExperimentNotes) -> ExperimentNotes,
) -> Result<(), StoreError> {
    let lock_path = folder.join(LOCK_FILE);
    let lock =
        handles::open(&lock_path, How::MakeAppend).map_err(StoreError::io("open", &lock_path))?;
    lock_sdk(&lock, &lock_path)?;
    let path = folder.join(EXPERIMENT_FILE);
    let mut file = load_or_put_aside(&path)?.unwrap_or_else(|| ExperimentFile::new(name));
    file.annotate(change(file.notes()));
    save_json(&path, &file).map(|_| ())
}

/// Puts aside a file that can't be read or parsed, such as one that the SDK left torn: it must not
/// keep a robot from recording.
fn load_or_put_aside(path: &Path) -> Result<Option<ExperimentFile>, StoreError> {
    match load_json(path) {
        Err(error) if !error.is_out_of_handles() => {
            damage::clear_the_way(path, &error.reason());
            Ok(None)
        }
        loaded => loaded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leaves_what_it_does_not_speak_of_and_what_others_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let name = "alice/warehouse/run-1".parse().unwrap();
        let path = folder.path().join(EXPERIMENT_FILE);
        std::fs::write(&path, r#"{"name":"run-1","description":"first","theirs":[1]}"#).unwrap();
        let running = ExperimentNotes {
            tags: Some(vec!["arm".into()]),
            status: Some(RunStatus::Running),
            ..Default::default()
        };
        annotate(folder.path(), &name, |_| running).unwrap();
        let notes = load(folder.path()).unwrap();
        assert_eq!(notes.description.as_deref(), Some("first"));
        assert_eq!(notes.tags, Some(vec!["arm".to_owned()]));
        assert_eq!(notes.status, Some(RunStatus::Running));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(r#""theirs":[1]"#) && text.contains(r#""status":"RUNNING""#),
            "{text}"
        );
    }
}
