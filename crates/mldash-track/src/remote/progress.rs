//! What a server has of an experiment, stored in `.sync/` in the experiment's folder: one file for
//! each server and namespace, replaced atomically. It may lag behind the server but never run ahead
//! of it, because it is written after a 2xx.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::RemoteError;
use crate::local::{Prefix, RunStatus, StoreError, hex, replace_file};

pub(super) const FOLDER: &str = ".sync";
const VERSION: u32 = 1;
/// A crash only causes this much to be sent again, which is harmless. So not every answer is saved.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// What a server has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u32,
    url: String,
    namespace: String,
    /// The server's id of the experiment. A different id means a different experiment.
    pub(super) experiment_id: Option<String>,
    /// The run status last reported to the server.
    #[serde(default)]
    pub(super) status: Option<RunStatus>,
    /// What the server has of each topic's file.
    #[serde(default)]
    pub(super) tracks: BTreeMap<String, Prefix>,
}

/// A [`Progress`] and its file.
#[derive(Debug)]
pub(super) struct ProgressFile {
    path: PathBuf,
    pub(super) progress: Progress,
    saved: Progress,
    saved_at: Option<Instant>,
}

impl ProgressFile {
    /// Loads the progress of the experiment in `experiment` for the server at `url` and a
    /// namespace.
    pub(super) fn load(experiment: &Path, url: &str, namespace: &str) -> Self {
        let path = place(experiment, url, namespace).with_extension("json");
        let fits = |progress: &Progress| {
            progress.version == VERSION && progress.url == url && progress.namespace == namespace
        };
        let progress = read(&path).filter(fits).unwrap_or_else(|| Progress {
            version: VERSION,
            url: url.to_owned(),
            namespace: namespace.to_owned(),
            ..Progress::default()
        });
        Self { path, saved: progress.clone(), progress, saved_at: None }
    }

    /// What the server at `url` has when its namespace is not known yet: a guess, for display.
    pub(super) fn guess(experiment: &Path, url: &str) -> Progress {
        known(experiment).filter(|progress| progress.url == url).last().unwrap_or_default()
    }

    /// All progress of the experiment in `experiment` with the server at `url`, for any namespace.
    pub(super) fn all(experiment: &Path, url: &str) -> Vec<Self> {
        let namespaces = known(experiment).filter(|progress| progress.url == url);
        namespaces.map(|progress| Self::load(experiment, url, &progress.namespace)).collect()
    }

    /// The path of another file for the same server and namespace.
    pub(super) fn beside(&self, extension: &str) -> PathBuf {
        self.path.with_extension(extension)
    }

    /// Writes changes, if it is time to.
    pub(super) fn save_if_due(&mut self) -> Result<(), RemoteError> {
        if self.saved_at.is_some_and(|at| at.elapsed() < SAVE_EVERY) {
            return Ok(());
        }
        self.save()
    }

    /// Writes changes.
    pub(super) fn save(&mut self) -> Result<(), RemoteError> {
        if self.progress == self.saved && self.saved_at.is_some() {
            return Ok(());
        }
        self.saved_at = Some(Instant::now());
        let text =
            serde_json::to_vec(&self.progress).map_err(|error| RemoteError::Setup(error.into()))?;
        make_folder(&self.path)
            .and_then(|()| replace_file(&self.path, &text))
            .map_err(|error| RemoteError::Setup(error.into()))?;
        self.saved = self.progress.clone();
        Ok(())
    }
}

/// Creates the parent folder of `path`.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))
}

fn known(experiment: &Path) -> impl Iterator<Item = Progress> {
    let files = fs::read_dir(experiment.join(FOLDER)).into_iter().flatten().flatten();
    files.filter_map(|file| read(&file.path()))
}

fn read(path: &Path) -> Option<Progress> {
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
        let load = |url, namespace| ProgressFile::load(folder.path(), url, namespace);
        let mut file = load("http://a", "alice");
        file.progress.tracks.insert("arm".into(), Prefix { bytes: 7, crc: 9 });
        file.save().unwrap();
        assert_eq!(load("http://a", "alice").progress, file.progress);
        assert!(load("http://b", "alice").progress.tracks.is_empty());
        assert!(load("http://a", "bob").progress.tracks.is_empty());
        assert_eq!(ProgressFile::guess(folder.path(), "http://a"), file.progress);
        fs::write(&file.path, b"{").unwrap();
        assert!(load("http://a", "alice").progress.tracks.is_empty());
    }
}
