//! An experiment: opening it to record or to read, flushing and closing it.

use std::path::Path;
use std::sync::Arc;

use super::error::{TrackError, one_line};
use super::flusher::Upkeep;
use super::labels::{LabelChange, Labels};
use super::local::{ExperimentDir, ExperimentNotes, TrackInfo};
use super::name::ExperimentName;
use super::options::Options;
use super::query::TopicFilter;
#[cfg(feature = "remote")]
use super::remote::{LocalCap, SyncStatus};
use super::row::Origin;
use super::run::{Metadata, Run};
use super::state::{Access, ExperimentState};
use super::track::Track;

/// The key under `metadata` of the experiment before, in a recording of several parts.
const CONTINUES: &str = "continues";

/// A recording: tracks that share one clock.
///
/// ```
/// use mldash_track::fields;
/// use mldash_track::{Experiment, Options, Query};
///
/// # let root = tempfile::tempdir()?;
/// let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
/// exp.tracks("robot/pose").append(fields! { "q": [0.1, -0.22, 0.45] }, 0.033)?;
/// exp.tracks("robot/pose").append(fields! { "mode": "hold" }, 0.033)?; // the same row
/// exp.flush()?;
/// assert_eq!(exp.tracks("robot/pose").read(&Query::all())?.len(), 1);
/// exp.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Experiment {
    pub(super) shared: Arc<ExperimentState>,
    upkeep: Option<Upkeep>,
    /// Watches the size of the store, if it is limited.
    #[cfg(feature = "remote")]
    cap: Option<LocalCap>,
    pub(super) options: Options,
}

/// What an experiment holds after it was closed.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// The tracks that were written to, by topic.
    pub tracks: Vec<ClosedTrack>,
    /// How many files were saved.
    pub files: u64,
    /// How far the upload got, if there is one.
    #[cfg(feature = "remote")]
    pub sync: Option<Box<SyncStatus>>,
}

/// A track that was written to.
#[derive(Clone, Debug)]
pub struct ClosedTrack {
    /// The track as stored on disk.
    pub info: TrackInfo,
    /// How many appends reported as [`New`](super::Appended::New) or
    /// [`Late`](super::Appended::Late) turned out to share their time with a row flushed before.
    pub merged_on_disk: u64,
}

/// An experiment that could not be closed cleanly. Flushed rows are safe, unless their files were
/// removed meanwhile, and opening the experiment again repairs the rest. Rows that waited in memory
/// are lost.
#[derive(Debug, thiserror::Error)]
#[error("closing the experiment failed{}", lost_rows(lost))]
pub struct CloseError {
    /// What was closed.
    pub closed: Closed,
    /// The rows that could not be stored, by topic.
    pub lost: Vec<LostRows>,
    /// The first failure.
    #[source]
    pub source: Box<TrackError>,
}

/// Rows of a track that the store did not take, or that were removed from it by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRows {
    /// The track's topic.
    pub topic: String,
    /// How many.
    pub rows: u64,
}

fn lost_rows(lost: &[LostRows]) -> String {
    let texts = lost.iter().map(|lost| format!("; {} rows of {} are lost", lost.rows, lost.topic));
    texts.collect()
}

impl Experiment {
    /// Opens a new or existing experiment to record into.
    ///
    /// # Errors
    /// Fails if the name is invalid, the root can't be written, another process records into the
    /// experiment, or an environment variable has an invalid value.
    pub fn open(name: &str, options: Options) -> Result<Self, TrackError> {
        let name: ExperimentName = name.parse()?;
        let buffering = options.resolve()?;
        let dir = ExperimentDir::new(&options.root, &name);
        let access = dir.open_for_writing(&name, options.last_run)?;
        let shared = Arc::new(ExperimentState::new(name, dir, buffering, Access::Writing(access)));
        #[cfg(feature = "remote")]
        let cap = super::remote::start_upload(&shared, &options)?;
        let upkeep = Upkeep::start(&shared).map_err(TrackError::Thread)?;
        Ok(Self {
            shared,
            upkeep: Some(upkeep),
            #[cfg(feature = "remote")]
            cap,
            options,
        })
    }

    /// Opens a recorded experiment to read, even while another process records it.
    ///
    /// # Errors
    /// Fails if nothing was recorded under this name.
    pub fn open_read_only(name: &str, root: impl AsRef<Path>) -> Result<Self, TrackError> {
        let name: ExperimentName = name.parse()?;
        let options = Options::local(root.as_ref());
        let dir = ExperimentDir::new(&options.root, &name);
        if !dir.exists() {
            return Err(TrackError::NoExperiment { name: name.to_string(), root: options.root });
        }
        let shared = ExperimentState::new(name, dir, options.resolve()?, Access::ReadOnly);
        Ok(Self {
            shared: Arc::new(shared),
            upkeep: None,
            #[cfg(feature = "remote")]
            cap: None,
            options,
        })
    }

    /// Opens another experiment to record into, with the same root and settings. If a run is under
    /// way here, it continues there with the same details, task, operator and tags. Each experiment
    /// names the other in its metadata, as `continues` and `continued_in`.
    ///
    /// # Errors
    /// As [`open`](Self::open). This experiment is then left unchanged. That this one can't name
    /// the other, because its folder is gone, say, is only logged.
    pub fn continue_in(&self, name: &str) -> Result<Self, TrackError> {
        let next = Self::open(name, self.options.clone())?;
        if let Some(Run { mut details, carried, .. }) = self.shared.run_to_continue() {
            details.insert(CONTINUES.to_owned(), self.name().to_string().into());
            let started = next.start_run(details).and_then(|_| next.label(&carried));
            if let Err(error) = started {
                next.fail_run(&one_line(&error));
                return Err(error);
            }
            if let Err(error) = self.shared.note_continued_in(next.name().as_str()) {
                let (before, error) = (self.name(), one_line(&error));
                tracing::warn!("{before} does not name {name}, which continues it: {error}");
            }
        }
        Ok(next)
    }

    /// A second handle on this experiment, without write access: it stays when this one is closed,
    /// so that another experiment can [`continue`](Self::continue_in) it later.
    pub fn to_continue(&self) -> Self {
        let ExperimentState { name, dir, buffering, .. } = &*self.shared;
        let (name, dir, buffering) = (name.clone(), dir.clone(), buffering.clone());
        let shared = ExperimentState::new(name, dir, buffering, Access::ReadOnly);
        *shared.run.lock() = self.shared.run_to_continue();
        Self {
            shared: Arc::new(shared),
            upkeep: None,
            #[cfg(feature = "remote")]
            cap: None,
            options: self.options.clone(),
        }
    }

    /// Returns true if another experiment of the same root [continues](Self::continue_in) this one,
    /// as far as can be read.
    pub fn is_continued_by(&self, name: &str) -> bool {
        let notes = Self::open_read_only(name, &self.options.root).and_then(|next| next.notes());
        let metadata = notes.ok().and_then(|notes| notes.metadata);
        let continues = metadata.as_ref().and_then(|metadata| metadata.get(CONTINUES));
        continues.is_some_and(|continues| *continues == *self.name().as_str())
    }

    /// The track of this topic, whether it has rows yet or not.
    ///
    /// This does not fail on an invalid topic; the track's methods do.
    pub fn tracks(&self, topic: &str) -> Track {
        Track::new(self.shared.clone(), topic)
    }

    /// The experiment's name.
    pub fn name(&self) -> &ExperimentName {
        &self.shared.name
    }

    /// The folder that holds the recording.
    pub fn folder(&self) -> &Path {
        self.shared.dir.path()
    }

    /// Checks that the folder of an experiment that is open for writing is still in its place. If
    /// it was removed or replaced, only opening the experiment anew helps.
    ///
    /// # Errors
    /// Fails if it was, or can't be looked at.
    pub fn check_in_place(&self) -> Result<(), TrackError> {
        self.shared.check_in_place()
    }

    /// Reads the experiment's notes.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn notes(&self) -> Result<ExperimentNotes, TrackError> {
        Ok(self.shared.dir.notes()?)
    }

    /// The content of a file that lies in the [folder](Self::folder) beside the tracks, such as an account of the
    /// recording; `None` if there is none. Links are followed only where those of tracks are.
    ///
    /// # Errors
    /// Fails if it can't be read, or has more than `max_bytes`.
    pub fn read_beside(&self, file: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, TrackError> {
        Ok(self.shared.dir.read_beside(file, max_bytes)?)
    }

    /// The size of such a file in bytes; 0 if there is none.
    ///
    /// # Errors
    /// Fails if it can't be looked at.
    pub fn bytes_beside(&self, file: &str) -> Result<u64, TrackError> {
        Ok(self.shared.dir.bytes_beside(file)?)
    }

    /// Returns true if somebody has it open for writing: this process or another.
    ///
    /// # Errors
    /// Fails if the store can't be looked at.
    pub fn is_being_written(&self) -> Result<bool, TrackError> {
        Ok(self.shared.dir.is_being_written()?)
    }

    /// Stores `notes`. Fields that are `None` keep their stored value.
    ///
    /// ```
    /// # use mldash_track::{Experiment, ExperimentNotes, Options, RunStatus};
    /// # let root = tempfile::tempdir()?;
    /// let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// let status = Some(RunStatus::Running);
    /// exp.annotate(ExperimentNotes { status, ..Default::default() })?;
    /// assert_eq!(exp.notes()?.status, status);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails if the experiment is not open for writing or the store can't be written.
    pub fn annotate(&self, notes: ExperimentNotes) -> Result<(), TrackError> {
        self.shared.check_writing()?;
        Ok(self.shared.dir.annotate(&self.shared.name, |_| notes)?)
    }

    /// Sets one key under `metadata`.
    ///
    /// # Errors
    /// As [`annotate`](Self::annotate).
    pub fn set_metadata(
        &self,
        key: &str,
        value: impl Into<serde_json::Value>,
    ) -> Result<(), TrackError> {
        self.shared.set_metadata(key, value.into())
    }

    /// Changes what is said of the experiment, and returns all of it. Works on an experiment that is
    /// open to read too, also while another process records it. Labels that a run gives its own
    /// experiment go with it when it [continues](Self::continue_in) in another.
    ///
    /// # Errors
    /// Fails if there would be too many tags, `experiment.json` is damaged, or can't be written.
    pub fn label(&self, change: &LabelChange) -> Result<Labels, TrackError> {
        self.shared.label(change)
    }

    /// Notes that a run started now, with `details` in the metadata. Closing the experiment notes
    /// how the run ended. A process that dies leaves `RUNNING`; the next one that opens the
    /// experiment to record marks that run as failed. Earlier runs are kept under `earlier_runs`.
    ///
    /// # Errors
    /// As [`annotate`](Self::annotate).
    pub fn start_run(&self, details: Metadata) -> Result<(), TrackError> {
        self.shared.start_run(details)
    }

    /// Makes the started run end as failed, with this reason. The first reason is kept.
    pub fn fail_run(&self, reason: &str) {
        self.shared.fail_run(reason);
    }

    /// The text of a definition that a track's [sources](crate::Slice::sources) name; `None` if it is not
    /// stored, or damaged.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn definition(&self, origin: &Origin) -> Result<Option<String>, TrackError> {
        Ok(self.shared.dir.definition(origin.definition_id())?)
    }

    /// Lists the tracks in the store, by topic.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn list(&self) -> Result<Vec<TrackInfo>, TrackError> {
        self.list_matching(&TopicFilter::All)
    }

    /// Lists the tracks in the store that `filter` accepts, by topic.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn list_matching(&self, filter: &TopicFilter) -> Result<Vec<TrackInfo>, TrackError> {
        Ok(self.shared.dir.tracks(|topic| filter.accepts(topic))?)
    }

    /// Returns once all rows appended so far are in the store: other processes can read them, and
    /// they survive `kill -9`. With a [`remote`](Options::remote), waits until the server has them
    /// too.
    ///
    /// # Errors
    /// Returns the error of the first track that could not be written; its rows stay in memory and
    /// are retried. Also fails if the server does not have everything within
    /// [`remote_timeout`](Options::remote_timeout), or refuses some of it.
    pub fn flush(&self) -> Result<(), TrackError> {
        self.flush_store()?;
        self.shared.wait_for_server()
    }

    /// Like [`flush`](Self::flush), but does not wait for a server.
    ///
    /// # Errors
    /// As [`flush`](Self::flush), for the store alone.
    pub fn flush_store(&self) -> Result<(), TrackError> {
        self.shared.flush_all()
    }

    /// Flushes, sorts and merges where needed, and syncs to disk. Then waits until the server, if
    /// there is one, has everything, but no longer than
    /// [`remote_timeout`](Options::remote_timeout). What the server still lacks stays in the store.
    /// Then packs the rows, if [asked](Options::compress).
    ///
    /// # Errors
    /// Names the tracks that could not be closed and how many rows of each were lost.
    pub fn close(mut self) -> Result<Closed, CloseError> {
        let closed = self.close_store();
        #[cfg(feature = "remote")]
        let closed = self.close_upload(closed);
        self.pack_if_asked();
        closed
    }

    /// The first half of [`close`](Self::close): closes the local store only.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_store(&mut self) -> Result<Closed, CloseError> {
        #[cfg(feature = "remote")]
        {
            self.cap = None;
        }
        let Some(upkeep) = self.upkeep.take() else {
            return Ok(Closed::default());
        };
        self.shared.doorbell.stop();
        upkeep.join();
        self.shared.close_all()
    }
}

impl Drop for Experiment {
    fn drop(&mut self) {
        if self.upkeep.is_some()
            && let Err(error) = self.close_store()
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "closing experiment {}", self.shared.name);
        }
    }
}
