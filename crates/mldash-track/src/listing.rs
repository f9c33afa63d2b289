//! Lists experiments: what a person needs to find one, from metadata and indexes.

use std::path::Path;

use serde::Serialize;

use super::error::{TrackError, one_line};
use super::experiment::Experiment;
use super::labels::Labels;
use super::local::{
    Brief, ExperimentDir, ExperimentNotes, ExperimentStamp, FileStore, FoundFolder, RunStatus,
    find_experiments, find_experiments_below,
};
use super::name::ExperimentName;
use super::run;

/// What is known of an experiment without reading its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExperimentInfo {
    /// The experiment's name; the folder's path below the root if that is not a valid name.
    pub name: String,
    /// When it begins, in seconds: the first `_ts`, or the start of its first run if that is later.
    /// Rows of a live recording can be older than it, such as `/tf_static`.
    pub start_timestamp: Option<f64>,
    /// Seconds from `start_timestamp` to the last `_ts`; `None` without rows.
    pub length_secs: Option<f64>,
    /// How many tracks it has.
    pub tracks: u64,
    /// Rows of all tracks.
    pub total_entries: u64,
    /// Size of rows and files in bytes. A server reports that of rows only.
    pub size_bytes: u64,
    /// Whether rows and times are exact. Otherwise they are at most a few seconds old, or rows that
    /// share a time count separately.
    pub is_exact: bool,
    /// The noted status of its run.
    pub status: Option<RunStatus>,
    /// Whether a process on this machine writes it; `None` if that is unknown.
    pub is_being_written: Option<bool>,
    /// Tags for search.
    pub tags: Vec<String>,
    /// What the robot was to do.
    pub task: Option<String>,
    /// Whether it did; `None` if nobody has said.
    pub success: Option<bool>,
    /// Who ran it.
    pub operator: Option<String>,
    /// Whether it is not to be used.
    pub discarded: bool,
    /// A description; an operator's notes.
    pub description: Option<String>,
    /// When it was created, UTC, ISO 8601.
    pub created_at: Option<String>,
    /// What could not be read, a sentence each.
    pub problems: Vec<String>,
}

impl ExperimentInfo {
    /// Returns true if its run is noted as running, and no process on this machine writes it: its
    /// recorder was killed, or runs on another machine.
    pub fn is_abandoned(&self) -> bool {
        self.status == Some(RunStatus::Running) && self.is_being_written == Some(false)
    }

    pub(super) fn new(name: String, notes: ExperimentNotes, tracks: Brief) -> Self {
        let run_start = notes.metadata.as_ref().and_then(run::first_start);
        let start = match (tracks.span, run_start) {
            (Some((first, last)), Some(run)) if (first..=last).contains(&run) => Some(run),
            (Some((first, _)), _) => Some(first),
            (None, run) => run,
        };
        let Labels { tags, task, success, notes: description, operator, discarded } =
            notes.labels();
        Self {
            name,
            start_timestamp: start,
            length_secs: tracks.span.zip(start).map(|((_, last), start)| last - start),
            tracks: tracks.tracks,
            total_entries: tracks.rows,
            size_bytes: tracks.size_bytes,
            is_exact: tracks.is_exact,
            status: notes.status,
            is_being_written: None,
            tags,
            task,
            success,
            operator,
            discarded,
            description,
            created_at: notes.created_at,
            problems: tracks.problems,
        }
    }
}

/// Lists the experiments under `root` whose names `wanted` accepts, by name. Reads indexes,
/// metadata, and rows that the index lacks: at most 1 MiB of a track, or all of them if the metadata
/// has no number either. What can't be read of an
/// experiment is among its [`problems`](ExperimentInfo::problems); so is a folder that can't be searched.
///
/// ```
/// # use mldash_track::*;
/// # let root = tempfile::tempdir()?;
/// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
/// exp.tracks("robot/arm").append(fields! { "q": 0.1 }, 2.0)?;
/// exp.tracks("robot/arm").append(fields! { "q": 0.2 }, 2.5)?;
/// exp.close()?;
/// let listed = list_experiments(root.path(), |name| name.starts_with("alice/"))?;
/// assert_eq!(listed[0].name, "alice/warehouse/run-1");
/// assert_eq!((listed[0].total_entries, listed[0].length_secs), (2, Some(0.5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Fails if the root can't be listed.
pub fn list_experiments(
    root: impl AsRef<Path>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ExperimentInfo>, TrackError> {
    let root = root.as_ref();
    let found = find_experiments(root)?.into_iter().filter(|folder| wanted(&folder.name));
    let info = |name, experiment| match experiment {
        Ok(experiment) => describe(&ExperimentDir::new(root, &experiment), &experiment),
        Err(problem) => ExperimentInfo { name, problems: vec![problem], ..Default::default() },
    };
    Ok(found.map(|folder| info(folder.name, folder.experiment)).collect())
}

/// The names of the experiments under `root` that `wanted` accepts, sorted. Reads none of them.
///
/// # Errors
/// Fails if the root can't be listed.
pub fn find_experiment_names(
    root: impl AsRef<Path>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>, TrackError> {
    let found = find_experiments(root.as_ref())?.into_iter();
    let usable = found.filter(|folder| folder.experiment.is_ok() && wanted(&folder.name));
    Ok(usable.map(|folder| folder.name).collect())
}

/// The experiments of an owner under `root`, by name: none if there is no such owner. Reads none of them. Folders
/// that can't be searched, or whose names are not valid, are left out and logged.
///
/// # Errors
/// Fails if the owner's folder can't be listed.
pub fn experiments_of(
    root: impl AsRef<Path>,
    owner: &str,
) -> Result<Vec<ExperimentName>, TrackError> {
    let found = match find_experiments_below(root.as_ref(), Path::new(owner)) {
        Ok(found) => found,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let or_log = |folder: FoundFolder| {
        let logged = |problem: &String| tracing::error!("{} is not listed: {problem}", folder.name);
        folder.experiment.inspect_err(logged).ok()
    };
    Ok(found.into_iter().filter_map(or_log).collect())
}

/// How much an experiment holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRows {
    /// How many tracks it has.
    pub tracks: u64,
    /// Rows of all tracks.
    pub rows: u64,
    /// As [`ExperimentInfo::is_exact`].
    pub is_exact: bool,
}

impl Experiment {
    /// What a list tells of the experiment, as [`list_experiments`] does.
    pub fn info(&self) -> ExperimentInfo {
        describe(&self.shared.dir, self.name())
    }

    /// Tells, later, whether anything of the experiment has changed: its rows, files and notes, and those of the
    /// `others` among the files in its [folder](Self::folder). Cheap: nothing is read.
    ///
    /// # Errors
    /// Fails if the store can't be looked at.
    pub fn stamp(&self, others: &[&str]) -> Result<ExperimentStamp, TrackError> {
        Ok(self.shared.dir.stamp(others)?)
    }

    /// How much the experiment holds in the store, without reading its rows, however many there are.
    pub fn stored_rows(&self) -> StoredRows {
        let brief = self.shared.dir.brief();
        StoredRows { tracks: brief.tracks, rows: brief.rows, is_exact: brief.is_exact }
    }
}

fn describe(dir: &ExperimentDir, name: &ExperimentName) -> ExperimentInfo {
    let mut problems = Vec::new();
    let mut or_problem = |error: &dyn std::error::Error| problems.push(one_line(error));
    let notes = dir.usable_notes().unwrap_or_else(|error| {
        or_problem(&error);
        ExperimentNotes::default()
    });
    let files_bytes = match FileStore::new(dir.path(), name).list() {
        Ok(files) => files.iter().map(|file| file.size_bytes).sum(),
        Err(error) => {
            or_problem(&error);
            0
        }
    };
    let is_being_written = dir.is_being_written().map_err(|error| or_problem(&error)).ok();
    let mut info = ExperimentInfo::new(name.to_string(), notes, dir.brief());
    info.size_bytes += files_bytes;
    info.is_being_written = is_being_written;
    problems.append(&mut info.problems);
    ExperimentInfo { problems, ..info }
}

/// Notes on an experiment from a server's JSON.
#[cfg(feature = "remote")]
pub(super) fn notes_from(experiment: &serde_json::Value) -> ExperimentNotes {
    use serde_json::Value;

    let text = |key: &str| experiment.get(key).and_then(Value::as_str).map(str::to_owned);
    let tags = experiment.get("tags").and_then(Value::as_array).map(Vec::as_slice);
    let tags = tags.unwrap_or_default().iter().filter_map(Value::as_str);
    ExperimentNotes {
        description: text("description"),
        tags: Some(tags.map(str::to_owned).collect()),
        metadata: experiment.get("metadata").cloned(),
        status: text("status").and_then(|status| status.parse().ok()),
        created_at: text("startedAt"),
        ..ExperimentNotes::default()
    }
}
