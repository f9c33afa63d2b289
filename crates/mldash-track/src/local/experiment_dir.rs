//! Where an experiment's files are, and which tracks are there.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::atomic::remove_leftovers;
use super::beneath::How;
use super::damage;
use super::definition_files;
use super::disk;
use super::error::StoreError;
use super::experiment_file::{self, ExperimentNotes};
use super::handles;
use super::index_file;
use super::lock::WriterLock;
use super::metadata::{TRACK_FILE, TrackInfo, TrackMetadata, folder_of, json_weight, known_topic};
use super::packed;
use super::recovery::{self, REPAIRED_AT_OPEN_BYTES};
use super::row_file;
use super::schema_file;
use super::snapshot::Snapshot;
use crate::error::one_line;
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
    lock: WriterLock,
    /// Tracks that a crash left, and that were not repaired since that takes long or space.
    unrepaired: Vec<TrackName>,
}

/// A track found on disk.
#[derive(Debug)]
pub(super) struct FoundTrack {
    pub(super) folder: PathBuf,
    pub(super) metadata: TrackMetadata,
    /// The topic is only guessed from the folder's name: `robot_pose` may be `robot/pose`.
    is_guess: bool,
}

impl WriteAccess {
    /// Fails if the experiment's folder was removed or replaced meanwhile.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.lock.check()
    }

    /// Repairs the tracks that were too large for it when `dir` was opened, but for those that
    /// `is_done` accepts.
    pub(crate) fn repair_rest(&self, dir: &ExperimentDir, is_done: impl Fn(&TrackName) -> bool) {
        for name in self.unrepaired.iter().filter(|name| !is_done(name)) {
            tracing::info!("sorting what a crash left of track `{name}`");
            if let Err(error) = dir.repair(name, &mut u64::MAX.clone()) {
                // It is read all the same, and the next recording tries again.
                tracing::warn!("{}", one_line(&error));
            }
        }
    }
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
        experiment_file::exists(&self.path) || self.tracks_folder().is_dir()
    }

    /// Creates the experiment or continues it: takes the writer's lock and repairs what a crash
    /// left.
    pub(crate) fn open_for_writing(
        &self,
        name: &ExperimentName,
        last_run: LastRun,
    ) -> Result<WriteAccess, StoreError> {
        let tracks = self.tracks_folder();
        disk::create_folders_durably(&tracks).map_err(StoreError::io("create", &tracks))?;
        let lock = WriterLock::acquire(&self.path)?;
        self.remove_leftovers()?;
        self.take_over(name, last_run)?;
        let mut unrepaired = Vec::new();
        let mut room = REPAIRED_AT_OPEN_BYTES;
        for track in self.found_tracks()? {
            let track = track?;
            // Whoever appends to it knows its topic.
            let name: Option<TrackName> = track.metadata.topic.parse().ok();
            let Some(name) = name.filter(|_| !track.is_guess) else { continue };
            let is_repaired = match self.repair(&name, &mut room) {
                // The other tracks, and the close, may find space.
                Err(error) if error.is_out_of_space() => false,
                repaired => repaired?,
            };
            if !is_repaired {
                unrepaired.push(name);
            }
        }
        Ok(WriteAccess { lock, unrepaired })
    }

    /// A track that can't be repaired is reported and left as it is: the others can be recorded.
    /// Returns false if it is too large for `room`.
    fn repair(&self, name: &TrackName, room: &mut u64) -> Result<bool, StoreError> {
        match recovery::repair(self, name, room) {
            Err(error) if !error.is_out_of_handles() && !error.is_out_of_space() => {
                let reason = &error as &dyn std::error::Error;
                tracing::error!(reason, "track `{name}` can't be used; the others are");
                Ok(true)
            }
            repaired => repaired,
        }
    }

    /// Removes what killed processes left half written.
    pub(super) fn remove_leftovers(&self) -> Result<(), StoreError> {
        ["", "files", ".sync", definition_files::FOLDER]
            .into_iter()
            .map(|folder| self.path.join(folder))
            .chain(self.track_folders()?)
            .for_each(|folder| remove_leftovers(&folder));
        Ok(())
    }

    /// The root that the experiment `name` is under.
    pub(crate) fn root(&self, name: &ExperimentName) -> &Path {
        self.path.ancestors().nth(name.segments().count()).unwrap_or(&self.path)
    }

    /// Takes the writer's lock, unless somebody holds it.
    pub(crate) fn try_lock(&self) -> Result<Option<WriteAccess>, StoreError> {
        match self.lock() {
            Ok(access) => Ok(Some(access)),
            Err(StoreError::Locked { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the writer's lock.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if somebody holds it.
    pub(crate) fn lock(&self) -> Result<WriteAccess, StoreError> {
        Ok(WriteAccess { lock: WriterLock::acquire(&self.path)?, unrepaired: Vec::new() })
    }

    /// Returns true if somebody has it open for writing.
    pub(crate) fn is_being_written(&self) -> Result<bool, StoreError> {
        WriterLock::is_held(&self.path)
    }

    /// The content of a file in the folder; `None` if there is none.
    pub(crate) fn read_beside(
        &self,
        file: &str,
        max_bytes: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path.join(file);
        match handles::read_up_to(&path, max_bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// The size of a file in the folder; 0 if there is none.
    pub(crate) fn bytes_beside(&self, file: &str) -> Result<u64, StoreError> {
        let path = self.path.join(file);
        match handles::open(&path, How::Read).and_then(|file| file.metadata()) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(StoreError::io("look at", &path)(error)),
        }
    }

    /// The experiment's notes.
    pub(crate) fn notes(&self) -> Result<ExperimentNotes, StoreError> {
        experiment_file::load(&self.path)
    }

    /// The experiment's notes.
    ///
    /// # Errors
    /// Also fails if `experiment.json` can't be used, which [`notes`](Self::notes) only reports.
    pub(crate) fn usable_notes(&self) -> Result<ExperimentNotes, StoreError> {
        experiment_file::load_usable(&self.path)
    }

    /// How much memory [`notes`](Self::notes) takes, at most.
    pub(crate) fn notes_weight(&self) -> Result<usize, StoreError> {
        experiment_file::weight(&self.path)
    }

    /// How much memory [`tracks`](Self::tracks) takes, at most: the descriptions of all tracks, and
    /// one index.
    pub(crate) fn tracks_weight(&self) -> Result<usize, StoreError> {
        let (mut sum, mut most) = (0_usize, 0);
        for folder in self.track_folders()? {
            // What can't be read is left out of the list, and takes nothing.
            let readable = |weight: Result<usize, StoreError>| match weight {
                Err(error) if error.is_out_of_handles() => Err(error),
                weight => Ok(weight.unwrap_or_default()),
            };
            // Its columns are in the list too.
            let description = readable(json_weight(&folder.join(TRACK_FILE)))?;
            sum = sum.saturating_add(description.saturating_mul(2));
            let packed = readable(packed::weight(&folder))?;
            most = most.max(readable(index_file::weight(&folder))?.saturating_add(packed));
        }
        Ok(sum.saturating_add(most))
    }

    /// How much memory a track's description, index and schema take, at most.
    pub(crate) fn track_weight(&self, name: &TrackName) -> Result<usize, StoreError> {
        let folder = self.track_folder(name);
        let rows = packed::weight(&folder)?.saturating_add(index_file::weight(&folder)?);
        [TRACK_FILE, schema_file::FILE_NAME]
            .into_iter()
            .try_fold(rows, |sum, file| Ok(sum.saturating_add(json_weight(&folder.join(file))?)))
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
            tracing::warn!("the last run of {name} was not closed (crash or kill); appending");
            run.into()
        })
    }

    /// The text of a definition that a track's schema names; `None` if it is not stored, or damaged.
    pub(crate) fn definition(&self, id: &str) -> Result<Option<String>, StoreError> {
        definition_files::load(&self.path, id)
    }

    /// Lists the tracks whose topic `wanted` accepts, by topic. A track whose rows can't be read is
    /// reported and left out.
    pub(crate) fn tracks(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<TrackInfo>, StoreError> {
        let mut tracks = Vec::new();
        for track in self.found_tracks()? {
            let track = track?;
            let topic = track.metadata.topic.clone();
            if !wanted(&topic) {
                continue;
            }
            match track_info(&track.folder, track.metadata) {
                Err(error) if error.is_out_of_handles() => return Err(error),
                Err(error) => {
                    let reason = &error as &dyn std::error::Error;
                    tracing::error!(reason, "track `{topic}` is not listed");
                }
                Ok(info) => tracks.push(info),
            }
        }
        tracks.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(tracks)
    }

    /// The tracks that had rows and whose rows are gone, by topic, as they were noted.
    pub(crate) fn removed_tracks(&self) -> Result<Vec<TrackInfo>, StoreError> {
        let mut removed = Vec::new();
        for track in self.found_tracks()? {
            let FoundTrack { folder, metadata, .. } = track?;
            if metadata.total_entries > 0 && row_file::stored_bytes(&folder)?.is_none() {
                removed.push(metadata.noted());
            }
        }
        removed.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(removed)
    }

    /// The topics of the tracks whose folders are not yet in `seen`. Adds those folders to `seen`.
    pub(crate) fn new_topics(
        &self,
        seen: &mut HashSet<PathBuf>,
    ) -> Result<Vec<String>, StoreError> {
        let mut topics = Vec::new();
        for folder in self.track_folders()? {
            if !seen.contains(&folder)
                && let Some(track) = found_track(folder)?
            {
                topics.push(track.metadata.topic);
                seen.insert(track.folder);
            }
        }
        Ok(topics)
    }

    /// The tracks, in no order. Each is looked at when its turn comes: the descriptions of all of
    /// them may be large.
    pub(super) fn found_tracks(
        &self,
    ) -> Result<impl Iterator<Item = Result<FoundTrack, StoreError>>, StoreError> {
        let folders = self.track_folders()?.into_iter();
        Ok(folders.filter_map(|folder| found_track(folder).transpose()))
    }

    /// The folders that may hold a track; other files are left alone.
    pub(super) fn track_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.tracks_folder();
        let list = || StoreError::io("list", &folder);
        let entries = match handles::list(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(list()(error)),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path(&folder)).map_err(list()));
        let is_folder =
            |path: &Result<PathBuf, _>| path.as_ref().map_or(true, |path| path.is_dir());
        paths.filter(is_folder).collect()
    }
}

/// The track in `folder`, whether its metadata can be used or not; `None` without a track.
fn found_track(folder: PathBuf) -> Result<Option<FoundTrack>, StoreError> {
    if let Some(metadata) = TrackMetadata::load(&folder)? {
        return Ok(Some(FoundTrack { folder, metadata, is_guess: false }));
    }
    let has_rows = row_file::stored_bytes(&folder).is_ok_and(|bytes| bytes > Some(0));
    if !has_rows {
        return Ok(None);
    }
    // It may have been written between the two looks.
    if let Some(metadata) = TrackMetadata::load(&folder)? {
        return Ok(Some(FoundTrack { folder, metadata, is_guess: false }));
    }
    if let Some(topic) = known_topic(&folder) {
        let metadata = TrackMetadata::rebuilt(&topic);
        return Ok(Some(FoundTrack { folder, metadata, is_guess: false }));
    }
    let name = folder.file_name().and_then(|name| name.to_str());
    let Some(topic) = name.filter(|name| name.parse::<TrackName>().is_ok()) else {
        return Ok(None);
    };
    let is_guess = folder_of(topic).contains('_');
    if is_guess {
        let reason = format!("it is missing or unusable, so the track is called `{topic}`");
        damage::report(&folder.join(TRACK_FILE), &reason);
    }
    let metadata = TrackMetadata::rebuilt(topic);
    Ok(Some(FoundTrack { folder, metadata, is_guess }))
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
        info.size_bytes = snapshot.size_bytes()?;
    }
    Ok(info)
}
