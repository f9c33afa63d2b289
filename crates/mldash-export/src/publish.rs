//! Recordings on an object store, as Parquet that DuckDB, Spark, Trino, Polars and Ray read without this program. `layout` says
//! where what lies, [`Publisher`] puts it there, [`vacuum()`] removes what was left over.
//!
//! # Exactly once
//!
//! Readers that follow the manifests, and readers that only list, see each row once, whatever was killed, tried
//! again, or run twice at the same time. A publication of an experiment is:
//!
//! 1. **Plan.** Read the manifest. Files that are there keep their rows, new rows go into new files (`chunks`). A file
//!    that was pending and holds what this publisher has for its times is taken over.
//! 2. **Claim.** Write the manifest with the new files as `pending`, under the condition that it is what was read. Their
//!    names say what they hold and have a number that no other file of the track gets, ever.
//! 3. **Clean up.** Remove files that were pending and that the claim has given up.
//! 4. **Put** pictures, then the files of rows that name them, each only if it is not there; those that replace others last.
//!    The experiment's row is put over the one before: one object that changes at once.
//! 5. **Commit.** Write the manifest with the pending files in `files`, and the names of those they replace in `replaced`, under
//!    the same condition.
//! 6. **Remove** what was replaced, and take it off the manifest.
//!
//! Whoever finds the condition of 2 or 5 broken removes what it has put and nobody names, and begins again at 1. Each object
//! below `tracks/` is named in a manifest before it is put, so whoever comes after a kill knows what there may be. Since a name is
//! not used again, a late removal can't hit a file that counts.
//!
//! | killed | who follows manifests sees | who lists sees |
//! |---|---|---|
//! | before 4 | what counted before | the same |
//! | during 4, new rows | what counted before | some of the new rows too, each once |
//! | during 4, rows that changed | what counted before | rows of the files that are replaced twice, from the put on |
//! | between 5 and 6 | the new state | the same rows twice, until somebody publishes the experiment again, or `vacuum` |
//! | after 6 | the new state | the new state |
//!
//! So the one window is that of a lister while rows are *replaced* that were published before: an object store can't change two
//! objects at once. It is from the first put of a replacing file to the removal in 6. It exists only if rows that were published were
//! merged with others afterwards, or rows came in between them. A reader that holds an old manifest then finds a file gone:
//! it reads the manifest again.
//!
//! Two publishers of the same rows put the same names, and the second one finds them there. Two of different states: the
//! one with more rows of a file's times wins, that of fewer leaves the file alone and says so (`lacking`). One that
//! stood still between 2 and 4 while another gave its claim up, and is killed before it notices, leaves a file that nobody
//! names: a lister sees its rows twice until `vacuum`.
//!
//! A name is a hash of the rows as stored, not of Parquet's bytes: two versions of this program compress differently. A put in
//! parts has no condition, but whatever has that name has the same rows. What is there already is not compared byte by byte
//! for the same reason; its size is noted in the manifest. The topic's schema is not part of the hash: a column keeps its
//! name and type forever.

mod background;
mod chunks;
pub mod compact;
mod error;
mod experiment_row;
mod files;
mod layout;
mod local_state;
mod manifest;
mod manifests;
mod publisher;
mod rows;
mod schema;
mod schemas;
mod store;
mod stored_json;
#[cfg(test)]
mod tests;
mod vacuum;

use std::sync::atomic::{AtomicU64, Ordering};

pub use background::BackgroundPublisher;
pub use chunks::ChunkLimits;
pub use error::PublishError;
pub use publisher::{PublishOptions, Publisher};
pub use rows::MAX_INLINE_BYTES;
pub use store::{Store, StoreSettings};
pub use vacuum::{GRACE, Vacuumed, vacuum};

use crate::mcap::MissingFiles;

/// What the publication of an experiment did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The experiment.
    pub experiment: String,
    /// Rows of it that are here, or are published and were removed here after an upload.
    pub rows: u64,
    /// Rows that were put.
    pub rows_put: u64,
    /// Files of rows that were put.
    pub files_of_rows: u64,
    /// Files of rows that they replaced.
    pub replaced: u64,
    /// Of these, those that `compact` had merged: it has to take them out.
    pub replaced_in_merged: u64,
    /// Pictures and clouds that were put.
    pub files: u64,
    /// Bytes that were put.
    pub bytes: u64,
    /// Nothing had to be put.
    pub is_up_to_date: bool,
    /// Tracks of which rows are published that are not here, and how many; none if only their pictures are not here.
    pub lacking: Vec<(String, u64)>,
    /// Tracks whose rows were removed here after an upload before all were published, and how many are not.
    pub unpublished: Vec<(String, u64)>,
    /// Columns that got another name than their own, in words.
    pub renamed: Vec<String>,
    /// Pictures and clouds that can't be read here.
    pub missing: MissingFiles,
}

impl Published {
    /// What somebody should know of, in words.
    pub fn remarks(&self) -> Vec<String> {
        let lacking = self.lacking.iter().map(|(topic, rows)| match rows {
            0 => format!(
                "track `{topic}`: pictures are published that are not here; they stay published as they are, with their rows, and \
                 rows that changed or came between these are not published"
            ),
            rows => format!(
                "track `{topic}`: {rows} rows are published that are not here; they stay published (this copy of the \
                 recording is not whole)"
            ),
        });
        let unpublished = self.unpublished.iter().map(|(topic, rows)| {
            format!(
                "track `{topic}`: {rows} rows are not published and were removed here after an upload; only a copy that \
                 has them can be published"
            )
        });
        let missing = self.missing.first.iter().map(|file| {
            format!("file {} is not published, its rows have no URL: {}", file.path, file.reason)
        });
        let more = self.missing.count.saturating_sub(self.missing.first.len() as u64);
        let more = (more > 0).then(|| format!("{more} more files are not published"));
        let merged = (self.replaced_in_merged > 0).then(|| {
            format!(
                "{} files that were replaced lie in merged ones: who lists sees both versions of their rows until \
                 `mldash_bridge compact` has run",
                self.replaced_in_merged
            )
        });
        let more = more.into_iter().chain(merged);
        lacking
            .chain(unpublished)
            .chain(missing)
            .chain(more)
            .chain(self.renamed.iter().cloned())
            .collect()
    }

    /// Returns true if everything that the recording names is on the store.
    pub fn is_whole(&self) -> bool {
        self.lacking.is_empty() && self.unpublished.is_empty() && self.missing.count == 0
    }
}

/// Counts what is sent.
#[derive(Debug, Default)]
struct Transfer {
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Transfer {
    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes and files so far.
    fn so_far(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed))
    }
}
