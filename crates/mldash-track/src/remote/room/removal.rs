//! Removes from the store what a server provably has.

use std::collections::HashSet;
use std::path::PathBuf;

use super::server_copy::{Compared, MissingRows, Patience, ServerCopy};
use crate::error::{TrackError, one_line};
use crate::local::{ExperimentDir, FileInfo, FileStore, Prefix, StoreError, remove_track_data};
use crate::name::{ExperimentName, TrackName};
use crate::remote::error::RemoteError;
use crate::remote::options::Remote;
use crate::remote::plan::FileId;
use crate::remote::state::{CheckpointFile, Refusals, sent_files};

/// The result of a removal.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// Bytes freed.
    pub(crate) bytes: u64,
    /// Rows and files that the server had accepted and does not have. They are sent again.
    pub(crate) rows_missing: u64,
    pub(crate) files_missing: u64,
    /// Who is to have the experiment before anything of it is removed.
    pub(crate) held_by: Option<String>,
    /// Why something was not removed.
    pub(crate) failures: Vec<RemoteError>,
}

/// An experiment that is here and, at least in part, on a server.
#[derive(Clone, Copy)]
pub(crate) struct SyncedExperiment<'a> {
    pub(crate) name: &'a ExperimentName,
    pub(crate) dir: &'a ExperimentDir,
    pub(crate) remote: &'a Remote,
    /// The server's address, as used in the checkpoints.
    pub(crate) url: &'a str,
    pub(crate) patience: Patience<'a>,
}

impl<'a> SyncedExperiment<'a> {
    /// Removes what the server has, unless somebody records the experiment. The server is asked for it
    /// first: a track's rows are removed only if the server returns every one of them, a file only if the
    /// server lists it with its checksum. What it turns out to lack counts as not sent. Nothing is removed of
    /// an experiment that is [held](crate::Experiment::hold).
    pub(crate) fn remove(self) -> Result<Removal, StoreError> {
        let Self { name, dir, url, .. } = self;
        let mut removal = Removal { held_by: dir.held_by()?, ..Removal::default() };
        if removal.held_by.is_some() {
            return Ok(removal);
        }
        let Some(_lock) = dir.try_lock()? else { return Ok(removal) };
        let store = FileStore::new(dir.path(), name);
        for checkpoint in CheckpointFile::all(dir.path(), url) {
            // What was removed and found so far is not forgotten.
            let removed = self.remove_of(checkpoint, &store, &mut removal);
            removal.note(url, || "the rest".to_owned(), removed.map_err(TrackError::from));
        }
        Ok(removal)
    }

    /// Removes what the server has that the checkpoint is about.
    fn remove_of(
        self,
        mut checkpoint: CheckpointFile,
        store: &FileStore,
        removal: &mut Removal,
    ) -> Result<(), StoreError> {
        let Self { dir, url, .. } = self;
        let refused = Refusals::load(checkpoint.beside("refused.jsonl"))?;
        let mut tracks = Vec::new();
        for (topic, sent) in &checkpoint.current.tracks {
            let Ok(track) = topic.parse::<TrackName>() else { continue };
            let folder = dir.track_folder(&track);
            if !refused.has_rows_of(topic) && sent.is_all_of(&folder)? {
                tracks.push((topic.clone(), folder, *sent));
            }
        }
        let sent = sent_files(&checkpoint.beside("files"));
        let has_files = !sent.is_empty() && store.list()?.iter().any(|info| is_among(info, &sent));
        if tracks.is_empty() && !has_files {
            return Ok(());
        }
        let opened = self.copy(&checkpoint);
        let Some(copy) = removal.note(url, || "its rows and files".to_owned(), opened) else {
            return Ok(());
        };
        let removed =
            removal.remove_tracks(&copy, &mut checkpoint, url, tracks).and_then(
                |()| match has_files {
                    true => removal.remove_files(&copy, store, &checkpoint, url, &sent),
                    false => Ok(()),
                },
            );
        if let Err(error) = checkpoint.save() {
            // It then claims more than is here. The next upload corrects it.
            tracing::warn!("{}", one_line(&error));
        }
        removed
    }

    /// Removes the oldest files that the server has, about `bytes` in total, while the experiment is
    /// recorded. The server is asked for them first.
    pub(crate) fn remove_files(self, store: &FileStore, bytes: u64) -> Result<Removal, StoreError> {
        let Self { dir, url, .. } = self;
        let mut removal = Removal { held_by: dir.held_by()?, ..Removal::default() };
        if removal.held_by.is_some() {
            return Ok(removal);
        }
        for checkpoint in CheckpointFile::all(dir.path(), url) {
            let sent = sent_files(&checkpoint.beside("files"));
            let list = store.list().map_err(TrackError::from);
            let Some(list) = removal.note(url, || "its files".to_owned(), list) else { continue };
            let chosen = oldest(&list, &sent, bytes.saturating_sub(removal.bytes));
            if chosen.is_empty() {
                continue;
            }
            let opened = self.copy(&checkpoint);
            if let Some(copy) = removal.note(url, || "its files".to_owned(), opened) {
                let removed = removal.remove_files(&copy, store, &checkpoint, url, &chosen);
                removal.note(url, || "its files".to_owned(), removed.map_err(TrackError::from));
            }
        }
        Ok(removal)
    }

    /// The experiment on the server that the checkpoint is about.
    fn copy(self, checkpoint: &CheckpointFile) -> Result<ServerCopy<'a>, TrackError> {
        // A checkpoint without the experiment's id was never sent to.
        let id = checkpoint.current.experiment_id.as_deref().unwrap_or_default();
        ServerCopy::of_id(id, self.name, self.remote, self.patience)
    }
}

impl Removal {
    /// The value of `result`; a failure is kept for the caller.
    fn note<T>(
        &mut self,
        url: &str,
        what: impl Fn() -> String,
        result: Result<T, TrackError>,
    ) -> Option<T> {
        let unchecked = |source| {
            let (url, what, source) = (url.to_owned(), what(), Box::new(source));
            self.failures.push(RemoteError::Unchecked { url, what, source });
        };
        result.map_err(unchecked).ok()
    }

    /// Removes those of `tracks` that the server returns.
    fn remove_tracks(
        &mut self,
        copy: &ServerCopy<'_>,
        checkpoint: &mut CheckpointFile,
        url: &str,
        tracks: Vec<(String, PathBuf, Prefix)>,
    ) -> Result<(), StoreError> {
        for (topic, folder, prefix) in tracks {
            let compared = copy.compare_track(&topic, &folder);
            match self.note(url, || format!("track `{topic}`"), compared) {
                Some(Compared::Same) => {
                    // Comparing takes a while, and the SDK, which ignores our lock, may have appended.
                    if prefix.is_all_of(&folder)? {
                        self.bytes += remove_track_data(&folder)?;
                        checkpoint.current.tracks.remove(&topic);
                    }
                }
                Some(Compared::Missing(MissingRows { missing, rows, first })) => {
                    checkpoint.current.tracks.remove(&topic);
                    self.rows_missing += missing;
                    let (url, first_secs) = (url.to_owned(), first.as_secs());
                    let error = RemoteError::RowsMissing { url, topic, missing, rows, first_secs };
                    self.failures.push(error);
                }
                Some(Compared::Interrupted) | None => break,
            }
        }
        Ok(())
    }

    /// Removes those of the files `ids` that the server lists.
    fn remove_files(
        &mut self,
        copy: &ServerCopy<'_>,
        store: &FileStore,
        checkpoint: &CheckpointFile,
        url: &str,
        ids: &HashSet<FileId>,
    ) -> Result<(), StoreError> {
        let list = store.list()?;
        let accepted = || list.iter().filter(|info| is_among(info, ids));
        let compared = copy.compare_files(accepted());
        let missing = match self.note(url, || "its files".to_owned(), compared) {
            Some(Compared::Same) => HashSet::new(),
            Some(Compared::Missing(missing)) => missing,
            Some(Compared::Interrupted) | None => return Ok(()),
        };
        if let Some(one) = accepted().find(|info| is_among(info, &missing)) {
            self.files_missing += missing.len() as u64;
            self.failures.push(RemoteError::FilesMissing {
                url: url.to_owned(),
                missing: missing.len() as u64,
                files: accepted().count() as u64,
                name: one.filename.clone(),
            });
            checkpoint.forget_files(&missing)?;
        }
        let proven: HashSet<FileId> = ids.difference(&missing).copied().collect();
        self.bytes += store.remove(|info| is_among(info, &proven))?;
        Ok(())
    }
}

/// The oldest of the files `sent`, about `bytes` in total.
fn oldest(files: &[FileInfo], sent: &HashSet<FileId>, bytes: u64) -> HashSet<FileId> {
    let mut known: Vec<(FileId, u64)> = files
        .iter()
        .filter(|info| is_among(info, sent))
        .filter_map(|info| Some((info.id.parse().ok()?, info.size_bytes)))
        .collect();
    known.sort_unstable();
    let mut chosen = HashSet::new();
    let mut chosen_bytes = 0;
    for (id, size_bytes) in known {
        if chosen_bytes >= bytes {
            break;
        }
        chosen_bytes += size_bytes;
        chosen.insert(id);
    }
    chosen
}

fn is_among(info: &FileInfo, ids: &HashSet<FileId>) -> bool {
    info.id.parse().is_ok_and(|id: FileId| ids.contains(&id))
}
