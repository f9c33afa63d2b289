//! An experiment: its tracks, their buffers, and the thread that flushes them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use super::buffer::{Appended, ByteBudget, TrackBuffer};
use super::error::TrackError;
use super::flusher::{self, Doorbell};
use super::local::{ExperimentDir, StoreError, TrackAppender, TrackClosed, TrackInfo, WriteAccess};
use super::name::{ExperimentName, TrackName};
use super::options::{Buffering, Options};
use super::query::TopicFilter;
use super::row::Row;
use super::track::Track;

/// A recording: tracks that share one clock.
///
/// ```
/// use mldash_bridge::fields;
/// use mldash_bridge::track::{Experiment, Options, Query};
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
    shared: Arc<Shared>,
    flusher: Option<JoinHandle<()>>,
}

/// What an experiment holds once it is closed.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// The tracks that were written to, by topic.
    pub tracks: Vec<ClosedTrack>,
}

/// A track that was written to.
#[derive(Clone, Debug)]
pub struct ClosedTrack {
    /// The track as it lies on disk.
    pub info: TrackInfo,
    /// Of the appends reported as [`Appended::New`] or [`Appended::Late`], those that turned out
    /// to share their time with a row that was flushed before.
    pub merged_on_disk: u64,
}

/// What the handles, the tracks and the flush thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: ExperimentName,
    pub(super) dir: ExperimentDir,
    pub(super) buffering: Buffering,
    pub(super) budget: ByteBudget,
    pub(super) doorbell: Doorbell,
    access: Mutex<Access>,
    tracks: RwLock<HashMap<TrackName, Arc<TrackState>>>,
}

/// Whether rows may be appended.
#[derive(Debug)]
enum Access {
    ReadOnly,
    /// Holds the writer's lock.
    Writing(#[expect(dead_code, reason = "held, not read")] WriteAccess),
    Closed,
}

/// One track's way into the store.
#[derive(Debug)]
pub(super) struct TrackState {
    pub(super) name: TrackName,
    buffer: Mutex<TrackBuffer>,
    /// Held for a whole flush, so that flushes of one track come one after another.
    appender: Mutex<Option<TrackAppender>>,
}

impl Experiment {
    /// Opens an experiment to record into: a new one, or one that is continued.
    ///
    /// # Errors
    /// A name that can't be one, a root that can't be written, an experiment that another process
    /// records into, an environment variable that can't be used.
    pub fn open(name: &str, options: Options) -> Result<Self, TrackError> {
        let name: ExperimentName = name.parse()?;
        let buffering = options.resolve()?;
        let dir = ExperimentDir::new(&options.root, &name);
        let access = dir.open_for_writing(&name)?;
        let shared = Arc::new(Shared::new(name, dir, buffering, Access::Writing(access)));
        let flusher = flusher::start(shared.clone()).map_err(TrackError::Thread)?;
        Ok(Self { shared, flusher: Some(flusher) })
    }

    /// Opens a recorded experiment to read, also while another process records it.
    ///
    /// # Errors
    /// When nothing was recorded under this name.
    pub fn open_read_only(name: &str, root: impl AsRef<Path>) -> Result<Self, TrackError> {
        let name: ExperimentName = name.parse()?;
        let options = Options::local(root.as_ref());
        let dir = ExperimentDir::new(&options.root, &name);
        if !dir.exists() {
            return Err(TrackError::NoExperiment { name: name.to_string(), root: options.root });
        }
        let shared = Shared::new(name, dir, options.resolve()?, Access::ReadOnly);
        Ok(Self { shared: Arc::new(shared), flusher: None })
    }

    /// The track of this topic, whether it has rows yet or not.
    ///
    /// A topic that can't be one is reported by what is done with the track.
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

    /// What tracks there are in the store, by topic.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn list(&self) -> Result<Vec<TrackInfo>, TrackError> {
        self.list_matching(&TopicFilter::All)
    }

    /// What tracks there are in the store that `filter` accepts, by topic.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn list_matching(&self, filter: &TopicFilter) -> Result<Vec<TrackInfo>, TrackError> {
        Ok(self.shared.dir.tracks(|topic| filter.accepts(topic))?)
    }

    /// Returns once all rows appended so far are in the store: readable by other processes, safe
    /// from `kill -9`.
    ///
    /// # Errors
    /// The first track that could not be written; its rows stay in memory and are tried again.
    pub fn flush(&self) -> Result<(), TrackError> {
        self.shared.flush_all()
    }

    /// Flushes, sorts and merges what needs it, syncs to disk.
    ///
    /// # Errors
    /// The first track that could not be brought to rest. What was flushed is safe; opening the
    /// experiment again mends the rest.
    pub fn close(mut self) -> Result<Closed, TrackError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<Closed, TrackError> {
        let Some(flusher) = self.flusher.take() else {
            return Ok(Closed::default());
        };
        self.shared.doorbell.stop();
        if flusher.join().is_err() {
            tracing::error!("the flush thread panicked; flushing what it left");
        }
        self.shared.close_all()
    }
}

impl Drop for Experiment {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "closing experiment {}", self.shared.name);
        }
    }
}

impl Shared {
    fn new(name: ExperimentName, dir: ExperimentDir, buffering: Buffering, access: Access) -> Self {
        Self {
            name,
            dir,
            budget: ByteBudget::new(buffering.buffer_bytes),
            buffering,
            doorbell: Doorbell::default(),
            access: Mutex::new(access),
            tracks: RwLock::default(),
        }
    }

    /// The track's state, made at its first append.
    pub(super) fn track(&self, name: &TrackName) -> Result<Arc<TrackState>, TrackError> {
        if let Some(track) = self.open_track(name) {
            return Ok(track);
        }
        let access = self.access.lock();
        match *access {
            Access::Writing(_) => {}
            Access::ReadOnly => return Err(TrackError::ReadOnly(self.name.to_string())),
            Access::Closed => return Err(TrackError::Closed(self.name.to_string())),
        }
        let mut tracks = self.tracks.write();
        if let Some(track) = tracks.get(name) {
            return Ok(track.clone());
        }
        let folder = name.folder();
        if let Some(other) = tracks.keys().find(|other| other.folder() == folder) {
            return Err(TrackError::Store(StoreError::FolderCollision {
                requested: name.to_string(),
                existing: other.to_string(),
                folder: self.dir.track_folder(name),
            }));
        }
        let appender = TrackAppender::open(&self.dir, name)?;
        let mut buffer = TrackBuffer::default();
        buffer.note_stored(appender.last_timestamp());
        let track = Arc::new(TrackState {
            name: name.clone(),
            buffer: Mutex::new(buffer),
            appender: Mutex::new(Some(appender)),
        });
        tracks.insert(name.clone(), track.clone());
        Ok(track)
    }

    /// The track's state if anything was appended to it.
    pub(super) fn open_track(&self, name: &TrackName) -> Option<Arc<TrackState>> {
        self.tracks.read().get(name).cloned()
    }

    pub(super) fn append(&self, track: &Arc<TrackState>, row: Row) -> Result<Appended, TrackError> {
        let bytes = row.size_bytes();
        let reserved =
            self.budget.reserve(bytes, self.buffering.when_full, || self.doorbell.ring());
        reserved.map_err(|full| TrackError::BufferFull {
            topic: track.name.to_string(),
            used_bytes: full.used_bytes,
            limit_bytes: self.budget.limit_bytes(),
            failure: full.failure,
        })?;
        let (appended, waiting) = {
            let mut buffer = track.buffer.lock();
            (buffer.insert(row, bytes), buffer.len())
        };
        let Some(appended) = appended else {
            self.budget.release(bytes);
            return Err(TrackError::Closed(self.name.to_string()));
        };
        if !self.buffering.buffered {
            self.flush(track)?;
        } else if waiting == self.buffering.batch_rows || self.budget.runs_low() {
            self.doorbell.ring();
        }
        Ok(appended)
    }

    /// Brings one track's waiting rows into the store.
    pub(super) fn flush(&self, track: &TrackState) -> Result<(), TrackError> {
        let mut appender = track.appender.lock();
        let Some(appender) = appender.as_mut() else {
            return Err(TrackError::Closed(self.name.to_string()));
        };
        let batch = track.buffer.lock().take();
        if batch.rows.is_empty() {
            return Ok(());
        }
        match appender.append(&batch.rows) {
            Ok(()) => {
                self.budget.release(batch.bytes);
                if self.budget.set_failure(None).is_some() {
                    tracing::info!("the store takes rows again; nothing that waited is lost");
                }
                Ok(())
            }
            Err(error) => {
                track.buffer.lock().restore(batch);
                let reason = chain(&error);
                if self.budget.set_failure(Some(reason.clone())).is_none() {
                    tracing::error!("the store takes no rows: {reason}; keeping them in memory");
                }
                Err(error.into())
            }
        }
    }

    pub(super) fn flush_all(&self) -> Result<(), TrackError> {
        first_error(self.all_tracks().iter().map(|track| self.flush(track)))
    }

    /// Flushes the tracks that hold a batch, or all when the budget runs low.
    pub(super) fn flush_due(&self) -> Result<(), TrackError> {
        let all = self.budget.runs_low();
        let due =
            |track: &TrackState| all || track.buffer.lock().len() >= self.buffering.batch_rows;
        let tracks = self.all_tracks();
        first_error(tracks.iter().filter(|track| due(track)).map(|track| self.flush(track)))
    }

    /// Carries what is flushed through a power cut.
    pub(super) fn sync_all(&self) -> Result<(), TrackError> {
        first_error(self.all_tracks().iter().map(|track| match track.appender.lock().as_mut() {
            Some(appender) => Ok(appender.sync()?),
            None => Ok(()),
        }))
    }

    /// Brings every track to rest; goes on after a failure and returns the first.
    fn close_all(&self) -> Result<Closed, TrackError> {
        // No track is made from here on, and none is left out.
        let mut access = self.access.lock();
        let mut closed = Closed::default();
        let mut failed = None;
        for track in self.all_tracks() {
            match self.close_track(&track) {
                Ok(track) => closed
                    .tracks
                    .push(ClosedTrack { info: track.info, merged_on_disk: track.merged_on_disk }),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        *access = Access::Closed;
        closed.tracks.sort_by(|a, b| a.info.topic.cmp(&b.info.topic));
        failed.map_or(Ok(closed), Err)
    }

    fn close_track(&self, track: &TrackState) -> Result<TrackClosed, TrackError> {
        // What was appended since the last flush goes out before the buffer takes no more.
        while !track.buffer.lock().close_if_empty() {
            self.flush(track)?;
        }
        match track.appender.lock().take() {
            Some(mut appender) => Ok(appender.close()?),
            None => Err(TrackError::Closed(self.name.to_string())),
        }
    }

    fn all_tracks(&self) -> Vec<Arc<TrackState>> {
        self.tracks.read().values().cloned().collect()
    }
}

/// Runs all, then reports the first that failed.
fn first_error(
    mut results: impl Iterator<Item = Result<(), TrackError>>,
) -> Result<(), TrackError> {
    let first = results.find(Result::is_err).unwrap_or(Ok(()));
    results.for_each(drop);
    first
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |e| e.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
