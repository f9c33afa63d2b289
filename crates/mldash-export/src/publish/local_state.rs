//! What a folder remembers of its publication, in `.publish.json`: that it is to be published, and what was published when. Only
//! a cache: without it everything is looked at again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mldash_track::{hex, replace_file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::PublishOptions;
use super::manifest::Manifest;

const STATE_FILE: &str = ".publish.json";
/// Whose change means that there is something to publish.
const WATCHED: [&str; 2] = ["experiment.json", "account.json"];
const WATCHED_FOLDERS: [&str; 2] = ["tracks", "files"];

/// A folder's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LocalState {
    /// The URL it goes to.
    pub(super) to: String,
    /// What was there when it was published: sizes and times of all files; empty while it waits.
    pub(super) stamp: String,
    /// The manifest's revision then.
    pub(super) revision: u64,
}

impl LocalState {
    /// The state of the files as they are now, published in this way.
    pub(super) fn now(folder: &Path, options: &PublishOptions) -> Self {
        let mut hash = Sha256::new();
        hash.update(format!("{options:?}"));
        for name in WATCHED {
            stamp(&folder.join(name), &mut hash);
        }
        for name in WATCHED_FOLDERS {
            let mut below: Vec<_> = fs::read_dir(folder.join(name))
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            below.sort();
            for path in below {
                stamp(&path, &mut hash);
                for rows in ["data.jsonl", "data.jsonl.zst"] {
                    stamp(&path.join(rows), &mut hash);
                }
            }
        }
        Self { stamp: hex(&hash.finalize()), ..Self::default() }
    }

    /// The state that was noted; `None` if there is none that can be used.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(STATE_FILE)).ok()?).ok()
    }

    /// Returns true if nothing has changed here and there since it was published.
    pub(super) fn is_published(&self, now: &Self, url: &str, manifest: &Manifest) -> bool {
        self.to == url && self.stamp == now.stamp && self.revision == manifest.revision
    }

    /// Notes that this state is published.
    pub(super) fn save(&self, folder: &Path, url: &str, revision: u64) {
        let state = Self { to: url.to_owned(), stamp: self.stamp.clone(), revision };
        state.store(folder);
    }

    /// Notes that the folder is to be published.
    pub(super) fn note_waiting(folder: &Path, url: &str) {
        Self { to: url.to_owned(), ..Self::default() }.store(folder);
    }

    /// Returns true if it waits, or has changed since.
    pub(super) fn is_waiting(&self, now: &Self, url: &str) -> bool {
        self.to == url && self.stamp != now.stamp
    }

    fn store(&self, folder: &Path) {
        let path = folder.join(STATE_FILE);
        let json = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = replace_file(&path, &json) {
            // A recording on a disk that is not written to can be published all the same.
            tracing::debug!("{}: {error}", path.display());
        }
    }
}

/// Adds a file's name, size and time.
fn stamp(path: &Path, hash: &mut Sha256) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let times = (metadata.mtime(), metadata.mtime_nsec());
    hash.update(format!("{}|{}|{times:?}\n", path.display(), metadata.len()));
}
