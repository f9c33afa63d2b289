//! What counts of an experiment on the store: one JSON an experiment, replaced only under the condition that nobody else did.
//!
//! A file is `pending` before it is put, in `files` once it counts, and `replaced` from the moment on that it does not: so whoever
//! comes after a publisher that was killed knows every file that there may be. Names are never used twice: the number in
//! them grows with each file of a track.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::PublishError;
use super::stored_json;

/// The layout's version. A publisher leaves what a newer one wrote alone.
pub(super) const FORMAT: u32 = 1;

/// The manifest of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// The experiment: owner/project/…/name.
    pub(super) experiment: String,
    /// Grows with every change.
    pub(super) revision: u64,
    /// The files that hold the experiment's rows, each row once: by topic, then by time.
    pub(super) files: Vec<PublishedFile>,
    /// Files that somebody is putting. They do not count yet; they may be there or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pending: Vec<PublishedFile>,
    /// Names of files that no longer count and may still be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<String>,
    /// The number of each topic's next file.
    #[serde(default)]
    pub(super) next: BTreeMap<String, u64>,
    /// The hash of the experiment's row in the table of experiments, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<String>,
}

/// A file of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PublishedFile {
    /// Its name below the prefix.
    pub(super) name: String,
    /// The merged file in which its rows lie since a compaction, beside those of others. It has no file of its own then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compacted: Option<String>,
    /// The track.
    pub(super) topic: String,
    /// Number of rows.
    pub(super) rows: u64,
    /// The first `_ts`.
    pub(super) first: f64,
    /// The last `_ts`.
    pub(super) last: f64,
    /// What of its rows decides its name.
    pub(super) hash: String,
    /// Its size; 0 as long as it is pending.
    #[serde(default)]
    pub(super) bytes: u64,
    /// While it is pending: the file that counts until it does, and holds rows of the same times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaces: Option<String>,
    /// How many files its rows named when it was put, also those that went into the rows; 0 if an older program put it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) named: u64,
    /// Whether rows name files that are objects of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_files: bool,
    /// Whether rows lack the URLs or contents of files that could not be read when they were put.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) lacks_files: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl PublishedFile {
    /// The object in which its rows lie.
    pub(super) fn object(&self) -> &str {
        self.compacted.as_deref().unwrap_or(&self.name)
    }
}

impl Manifest {
    /// Reads a manifest. `url` and `name` are for messages.
    ///
    /// # Errors
    /// Fails if it is damaged or was written by a newer program.
    pub(super) fn parse(json: &[u8], url: &str, name: &str) -> Result<Self, PublishError> {
        stored_json::parse(json, url, name)
    }

    /// Its text.
    pub(super) fn to_json(&self) -> Vec<u8> {
        stored_json::pretty(self)
    }

    /// A manifest without files.
    pub(super) fn new(experiment: &str) -> Self {
        Self { format: FORMAT, experiment: experiment.to_owned(), ..Self::default() }
    }

    /// The files of a topic as they will count once those that are being put do, by time.
    pub(super) fn chunks_of(&self, topic: &str) -> Vec<&PublishedFile> {
        let is_replaced = |file: &&PublishedFile| {
            self.pending.iter().any(|pending| pending.replaces.as_ref() == Some(&file.name))
        };
        let all = self.files.iter().filter(|file| !is_replaced(file)).chain(&self.pending);
        let mut chunks: Vec<&PublishedFile> = all.filter(|file| file.topic == topic).collect();
        chunks.sort_by(|a, b| a.first.total_cmp(&b.first).then(a.last.total_cmp(&b.last)));
        chunks
    }

    /// Sorts the files as they are documented.
    pub(super) fn sort(&mut self) {
        let by_time = |a: &PublishedFile, b: &PublishedFile| {
            a.topic.cmp(&b.topic).then(a.first.total_cmp(&b.first)).then(a.name.cmp(&b.name))
        };
        self.files.sort_by(by_time);
        self.pending.sort_by(by_time);
    }
}
