//! What the list shows of experiments, remembered as long as nothing of them changes: looking whether it did is much cheaper
//! than reading the indexes and notes of hundreds.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mldash_export::report::cut;
use mldash_track::{
    Experiment, ExperimentInfo, ExperimentName, ExperimentStamp, RunStatus, one_line,
};
use parking_lot::Mutex;

use crate::error::ApiError;
use crate::memory::Memory;
use crate::shares::{Share, Shares};
use crate::token::Namespace;

/// What is remembered takes so many bytes, which namespaces share; what does not fit is read whenever it is listed.
const MAX_KNOWN_BYTES: usize = 16 << 20;
/// What was not listed for so long is forgotten.
const IDLE: Duration = Duration::from_secs(3600);
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
    /// Task and tags may be longer than what is shown of them.
    pub(super) task: String,
    pub(super) tags: Vec<String>,
    /// What is searched besides the status, whole and in lower case: name, task, operator and tags, a line each.
    said: Arc<str>,
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
#[derive(Debug)]
pub(super) struct Known {
    by_namespace: Mutex<HashMap<Namespace, OfNamespace>>,
    bytes: Arc<Shares>,
}

#[derive(Debug)]
struct OfNamespace {
    /// When it was last listed.
    used: Instant,
    by_name: HashMap<ExperimentName, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    stamp: ExperimentStamp,
    listed: Arc<Listed>,
    _held: Share,
}

impl Default for Known {
    fn default() -> Self {
        Self { by_namespace: Mutex::default(), bytes: Shares::new(MAX_KNOWN_BYTES) }
    }
}

/// Whose experiments are listed.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) namespace: Namespace,
    /// There is no other namespace to share with.
    pub(super) is_alone: bool,
}

impl Known {
    /// Forgets those that are not among `names`, which are all experiments of `owner` in ascending order, and namespaces that
    /// nobody has looked at for long.
    pub(super) fn keep(&self, owner: &Owner, names: &[ExperimentName]) {
        let now = Instant::now();
        let mut all = self.by_namespace.lock();
        if let Some(own) = all.get_mut(&owner.namespace) {
            own.used = now;
            own.by_name.retain(|name, _| names.binary_search(name).is_ok());
        }
        all.retain(|_, of| !of.by_name.is_empty() && now.duration_since(of.used) < IDLE);
    }

    /// What the list shows of one. Its [`bytes`](Listed::bytes) are held by `memory`, also if it was remembered.
    pub(super) fn one(
        &self,
        root: &Path,
        owner: &Owner,
        name: &ExperimentName,
        memory: &mut Memory,
    ) -> Result<Arc<Listed>, ApiError> {
        let listed = match self.look(root, owner, name, memory) {
            Ok(listed) => listed,
            Err(Unlisted::Refused(error)) => return Err(error),
            Err(Unlisted::Unreadable(error)) => Arc::new(Listed::unreadable(name, error)),
        };
        memory.hold(listed.bytes())?;
        Ok(listed)
    }

    fn look(
        &self,
        root: &Path,
        owner: &Owner,
        name: &ExperimentName,
        memory: &mut Memory,
    ) -> Result<Arc<Listed>, Unlisted> {
        let experiment = Experiment::open_read_only(name.as_str(), root)?;
        let stamp = experiment.stamp(&[])?;
        if let Some(listed) = self.remembered(owner, name, stamp) {
            return Ok(listed);
        }
        let weight = experiment.notes_weight()?.saturating_add(experiment.list_weight()?);
        let weight = weight.saturating_add(experiment.files("").list_weight()?);
        memory.hold(weight).map_err(Unlisted::Refused)?;
        let listed = Arc::new(Listed::of(&experiment.info()));
        memory.release(weight);
        self.remember(owner, name, stamp, &listed);
        Ok(listed)
    }

    fn remembered(
        &self,
        owner: &Owner,
        name: &ExperimentName,
        stamp: ExperimentStamp,
    ) -> Option<Arc<Listed>> {
        let mut all = self.by_namespace.lock();
        let by_name = &mut all.get_mut(&owner.namespace)?.by_name;
        if by_name.get(name)?.stamp == stamp {
            return by_name.get(name).map(|known| known.listed.clone());
        }
        // What is no longer true makes room.
        by_name.remove(name);
        None
    }

    fn remember(
        &self,
        owner: &Owner,
        name: &ExperimentName,
        stamp: ExperimentStamp,
        listed: &Arc<Listed>,
    ) {
        let mut all = self.by_namespace.lock();
        // Somebody else may have read it, too.
        let new = || OfNamespace { used: Instant::now(), by_name: HashMap::new() };
        let by_name = &mut all.entry(owner.namespace.clone()).or_insert_with(new).by_name;
        by_name.remove(name);
        let mut held = Share::nothing(&self.bytes, &owner.namespace, owner.is_alone);
        if held.grow(listed.bytes()).is_ok() {
            by_name.insert(name.clone(), Remembered { stamp, listed: listed.clone(), _held: held });
        }
    }
}

/// Why there is nothing to show of an experiment.
enum Unlisted {
    /// This one can't be read, which its line says.
    Unreadable(mldash_track::TrackError),
    /// There is no memory, for this one and for those after it.
    Refused(ApiError),
}

impl From<mldash_track::TrackError> for Unlisted {
    fn from(error: mldash_track::TrackError) -> Self {
        Self::Unreadable(error)
    }
}

/// What a client may know of an error of the store; the rest is logged.
fn refusal(error: mldash_track::TrackError) -> String {
    tracing::warn!("{}", one_line(&error));
    ApiError::from(error).message().to_owned()
}

impl Listed {
    fn of(info: &ExperimentInfo) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (task, operator) = (text(&info.task), text(&info.operator));
        for problem in &info.problems {
            tracing::warn!("{}: {problem}", info.name);
        }
        let problem = || "not all of it can be read; the server's log says why".to_owned();
        let said = [&info.name, &task, &operator].into_iter().chain(&info.tags);
        let said = said.fold(String::new(), |all, text| all + &text.to_lowercase() + "\n");
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
            task: cut(&task),
            tags: info.tags.iter().take(MAX_TAGS).map(|tag| cut(tag)).collect(),
            said: said.into(),
            problem: (!info.problems.is_empty()).then(problem),
        }
    }

    fn unreadable(name: &ExperimentName, error: mldash_track::TrackError) -> Self {
        let said = name.as_str().to_lowercase().into();
        let problem = Some(refusal(error));
        Self { name: name.to_string(), said, problem, ..Self::default() }
    }

    /// Without what is only searched, which may be much more.
    pub(super) fn shown(&self) -> Self {
        let mut shown = self.clone();
        shown.said = Arc::default();
        shown
    }

    /// What it takes in memory, where it is remembered under its name.
    pub(super) fn bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 2 * (size_of::<Listed>() + size_of::<Remembered>());
        let texts = [&self.name, &self.name, &self.task];
        let texts =
            texts.into_iter().chain(&self.problem).map(String::len).chain([self.said.len()]);
        let tags = self.tags.iter().map(|tag| size_of::<String>() + tag.len());
        ENTRY_BYTES + texts.chain(tags).sum::<usize>()
    }

    /// In words whether it did what it was to do; nothing if nobody has said.
    pub(super) fn success_text(&self) -> &'static str {
        match self.success {
            Some(true) => "success",
            // Who looks for `success` must not find it: words of the status are searched from their beginnings.
            Some(false) => "unsuccessful",
            None => "",
        }
    }

    /// Returns true if each word, in lower case, is in the name, the task, a tag or the operator, or begins a word of the status.
    pub(super) fn has(&self, words: &[String]) -> bool {
        let discarded = if self.is_discarded { "discarded" } else { "" };
        let status = [self.state.text(), self.success_text(), discarded];
        let begins = |word: &str| {
            status.iter().flat_map(|text| text.split(' ')).any(|of| of.starts_with(word))
        };
        words.iter().all(|word| self.said.contains(word.as_str()) || begins(word))
    }
}

#[cfg(test)]
mod tests;
