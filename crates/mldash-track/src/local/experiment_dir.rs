//! Where an experiment's files are, and which tracks are there.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::appender;
use super::error::StoreError;
use super::experiment_file::{self, ExperimentNotes};
use super::lock::WriterLock;
use super::metadata::{TrackInfo, TrackMetadata};
use super::snapshot::Snapshot;
use crate::name::{ExperimentName, TrackName};
use crate::options::LastRun;
use crate::run::RunNotes;

/// An experiment's folder: `<root>/<owner>/<project>/<folders…>/<name>`.
#[derive(Clone, Debug)]
pub(crate) struct ExperimentDir {
    path: PathBuf,
}

/// An experiment opened for writing. It owns the lock.
#[derive(Debug)]
pub(crate) struct WriteAccess {
    _lock: WriterLock,
}

impl ExperimentDir {
    /// The place of `name` under `root`, whether anything exists there or not.
    pub(crate) fn new(root: &Path, name: &ExperimentName) -> Self {
        Self { path: root.join(name.as_str()) }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that holds one folder per track.
    pub(crate) fn tracks_folder(&self) -> PathBuf {
        self.path.join("tracks")
    }

    /// A track's own folder.
    pub(crate) fn track_folder(&self, name: &TrackName) -> PathBuf {
        self.tracks_folder().join(name.folder())
    }

    /// Returns true if an experiment was recorded here.
    pub(crate) fn exists(&self) -> bool {
        experiment_file::exists(&self.path) || self.tracks_folder().exists()
    }

    /// Creates the experiment or continues it: takes the writer's lock and repairs what a crash
    /// left.
    pub(crate) fn open_for_writing(
        &self,
        name: &ExperimentName,
        last_run: LastRun,
    ) -> Result<WriteAccess, StoreError> {
        let tracks = self.tracks_folder();
        fs::create_dir_all(&tracks).map_err(StoreError::io("create", &tracks))?;
        let lock = WriterLock::acquire(&self.path)?;
        self.take_over(name, last_run)?;
        for metadata in self.track_metadata()? {
            if let Ok(name) = metadata.topic.parse::<TrackName>() {
                appender::recover(self, &name)?;
            }
        }
        Ok(WriteAccess { _lock: lock })
    }

    /// The root that the experiment `name` is under.
    pub(crate) fn root(&self, name: &ExperimentName) -> &Path {
        self.path.ancestors().nth(name.segments().count()).unwrap_or(&self.path)
    }

    /// Takes the writer's lock, unless somebody holds it.
    pub(crate) fn try_lock(&self) -> Result<Option<WriteAccess>, StoreError> {
        match WriterLock::acquire(&self.path) {
            Ok(lock) => Ok(Some(WriteAccess { _lock: lock })),
            Err(StoreError::Locked { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns true if somebody has it open for writing.
    pub(crate) fn is_being_written(&self) -> Result<bool, StoreError> {
        WriterLock::is_held(&self.path)
    }

    /// The experiment's notes.
    pub(crate) fn notes(&self) -> Result<ExperimentNotes, StoreError> {
        experiment_file::load(&self.path)
    }

    /// Stores the notes that `change` derives from the notes before.
    pub(crate) fn annotate(
        &self,
        name: &ExperimentName,
        change: impl FnOnce(ExperimentNotes) -> ExperimentNotes,
    ) -> Result<(), StoreError> {
        experiment_file::annotate(&self.path, name, change)
    }

    /// With the writer's lock held: creates `experiment.json`, or corrects a run in it that is
    /// marked as running and is not.
    fn take_over(&self, name: &ExperimentName, last_run: LastRun) -> Result<(), StoreError> {
        self.annotate(name, |notes| {
            let mut run = RunNotes::from(notes);
            if last_run == LastRun::Leave || !run.mark_crash() {
                return ExperimentNotes::default();
            }
            tracing::warn!("the last run of {name} ended without closing; going on behind it");
            run.into()
        })
    }

    /// Lists the tracks whose topic `wanted` accepts, by topic.
    pub(crate) fn tracks(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<TrackInfo>, StoreError> {
        let mut tracks = Vec::new();
        for metadata in self.track_metadata()?.into_iter().filter(|m| wanted(&m.topic)) {
            let folder = self.tracks_folder().join(metadata.topic.replace('/', "_"));
            tracks.push(track_info(&folder, metadata)?);
        }
        tracks.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(tracks)
    }

    /// The topics of the tracks whose folders are not yet in `seen`. Adds those folders to `seen`.
    pub(crate) fn new_topics(
        &self,
        seen: &mut HashSet<PathBuf>,
    ) -> Result<Vec<String>, StoreError> {
        let mut topics = Vec::new();
        for folder in self.track_folders()? {
            if !seen.contains(&folder)
                && let Some(metadata) = TrackMetadata::load(&folder)?
            {
                topics.push(metadata.topic);
                seen.insert(folder);
            }
        }
        Ok(topics)
    }

    fn track_metadata(&self) -> Result<Vec<TrackMetadata>, StoreError> {
        let mut found = Vec::new();
        for folder in self.track_folders()? {
            found.extend(TrackMetadata::load(&folder)?);
        }
        Ok(found)
    }

    fn track_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.tracks_folder();
        let list = || StoreError::io("list", &folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(list()(error)),
        };
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(list())).collect()
    }
}

fn track_info(folder: &Path, metadata: TrackMetadata) -> Result<TrackInfo, StoreError> {
    let mut info = TrackInfo {
        notes: metadata.notes(),
        topic: metadata.topic,
        total_entries: 0,
        first_timestamp: None,
        last_timestamp: None,
        columns: Vec::new(),
        size_bytes: 0,
        created_at: metadata.created_at,
    };
    if let Some(snapshot) = Snapshot::open(folder)? {
        let span = snapshot.span();
        info.total_entries = snapshot.count_rows()?;
        info.first_timestamp = span.map(|s| s.0.as_secs());
        info.last_timestamp = span.map(|s| s.1.as_secs());
        info.columns = snapshot.columns();
        info.size_bytes = snapshot.size_bytes();
    }
    Ok(info)
}
