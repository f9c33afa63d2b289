//! What a server has of an experiment, stored in `.sync/` in the experiment's folder: one file for
//! each server and namespace, replaced atomically. It may lag behind the server but never run ahead
//! of it, because it is written after a 2xx.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::local::{Prefix, RunStatus, StoreError, hex, replace_file};
use crate::remote::error::RemoteError;
use crate::remote::plan::FileId;

pub(crate) const FOLDER: &str = ".sync";
const VERSION: u32 = 1;
/// A crash only causes this much to be sent again, which is harmless. So not every answer is saved.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// What a server has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    version: u32,
    url: String,
    namespace: String,
    /// The server's id of the experiment. A different id means a different experiment.
    pub(crate) experiment_id: Option<String>,
    /// The run status last reported to the server.
    #[serde(default)]
    pub(crate) status: Option<RunStatus>,
    /// What the server has of each topic's file.
    #[serde(default)]
    pub(crate) tracks: BTreeMap<String, Prefix>,
}

/// A [`Checkpoint`] and its file.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    pub(crate) current: Checkpoint,
    saved: Checkpoint,
    saved_at: Option<Instant>,
}

impl CheckpointFile {
    /// Loads the progress of the experiment in `experiment` for the server at `url` and a
    /// namespace.
    pub(crate) fn load(experiment: &Path, url: &str, namespace: &str) -> Self {
        let path = place(experiment, url, namespace).with_extension("json");
        let fits = |read: &Checkpoint| {
            read.version == VERSION && read.url == url && read.namespace == namespace
        };
        let current = read(&path).filter(fits).unwrap_or_else(|| Checkpoint {
            version: VERSION,
            url: url.to_owned(),
            namespace: namespace.to_owned(),
            ..Checkpoint::default()
        });
        Self { path, saved: current.clone(), current, saved_at: None }
    }

    /// What the server at `url` has when its namespace is not known yet: a guess, for display.
    pub(crate) fn guess(experiment: &Path, url: &str) -> Checkpoint {
        known(experiment).filter(|known| known.url == url).last().unwrap_or_default()
    }

    /// All progress of the experiment in `experiment` with the server at `url`, for any namespace.
    pub(crate) fn all(experiment: &Path, url: &str) -> Vec<Self> {
        let namespaces = known(experiment).filter(|known| known.url == url);
        namespaces.map(|known| Self::load(experiment, url, &known.namespace)).collect()
    }

    /// The path of another file for the same server and namespace.
    pub(crate) fn beside(&self, extension: &str) -> PathBuf {
        self.path.with_extension(extension)
    }

    /// Makes the files `missing` count as not sent.
    pub(crate) fn forget_files(&self, missing: &HashSet<FileId>) -> Result<(), StoreError> {
        let list = self.beside("files");
        let mut sent: Vec<FileId> = sent_files(&list).difference(missing).copied().collect();
        sent.sort_unstable();
        let text: String = sent.iter().map(|id| format!("{id}\n")).collect();
        replace_file(&list, text.as_bytes())
    }

    /// Writes changes, if it is time to.
    pub(crate) fn save_if_due(&mut self) -> Result<(), RemoteError> {
        if self.saved_at.is_some_and(|at| at.elapsed() < SAVE_EVERY) {
            return Ok(());
        }
        self.save()
    }

    /// Writes changes.
    pub(crate) fn save(&mut self) -> Result<(), RemoteError> {
        if self.current == self.saved && self.saved_at.is_some() {
            return Ok(());
        }
        self.saved_at = Some(Instant::now());
        let text =
            serde_json::to_vec(&self.current).map_err(|error| RemoteError::Setup(error.into()))?;
        make_folder(&self.path)
            .and_then(|()| replace_file(&self.path, &text))
            .map_err(|error| RemoteError::Setup(error.into()))?;
        self.saved = self.current.clone();
        Ok(())
    }
}

/// The files in the file `list`, one id a line. An unreadable list counts as empty: its files are
/// sent again.
pub(crate) fn sent_files(list: &Path) -> HashSet<FileId> {
    let text = fs::read_to_string(list).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Creates the parent folder of `path`.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))
}

fn known(experiment: &Path) -> impl Iterator<Item = Checkpoint> {
    let files = fs::read_dir(experiment.join(FOLDER)).into_iter().flatten().flatten();
    files.filter_map(|file| read(&file.path()))
}

fn read(path: &Path) -> Option<Checkpoint> {
    // An unreadable file counts as absent: everything is sent again.
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// A path that is unique to this server and namespace.
fn place(experiment: &Path, url: &str, namespace: &str) -> PathBuf {
    let digest = Sha256::digest(format!("{url}\n{namespace}"));
    experiment.join(FOLDER).join(hex(&digest[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_namespaces_do_not_mix_and_what_is_damaged_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let load = |url, namespace| CheckpointFile::load(folder.path(), url, namespace);
        let mut file = load("http://a", "alice");
        file.current.tracks.insert("arm".into(), Prefix { bytes: 7, crc: 9 });
        file.save().unwrap();
        assert_eq!(load("http://a", "alice").current, file.current);
        assert!(load("http://b", "alice").current.tracks.is_empty());
        assert!(load("http://a", "bob").current.tracks.is_empty());
        assert_eq!(CheckpointFile::guess(folder.path(), "http://a"), file.current);
        fs::write(&file.path, b"{").unwrap();
        assert!(load("http://a", "alice").current.tracks.is_empty());
    }
}
