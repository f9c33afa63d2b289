//! The local store: ML-Dash's on-disk layout. A crash loses at most what was not flushed. Reads are
//! sorted and merged, whatever order rows came in.
//!
//! What is durable when:
//! 1. Once `flush` returns, its rows are in `data.jsonl`: other processes can read them, and they
//!    survive `kill -9`.
//! 2. A sync (every `fsync` seconds, and at close) makes flushed rows survive a power cut, with the
//!    names of new files and folders. It waits for the disk outside of the appender's lock. After
//!    one that failed, rows are written again before the next (`unconfirmed`).
//! 3. Rows are only ever appended while recording. A failed write is cut back to the last whole
//!    row, and its rows stay in memory for the next try.
//! 4. Readers ignore a torn last line (crash or power cut while writing). The next writer cuts it
//!    and logs that. Whole lines are never cut.
//! 5. Lines that are not rows are skipped, counted, and kept aside (`data.jsonl.bad`) on a rewrite.
//! 6. Close rewrites a track only if rows came out of order or merged across flushes. A file is
//!    replaced in one way (`atomic`): a new one under a temporary name, synced, renamed over the old
//!    one, the folder synced. A power cut leaves one or the other, whole.
//! 7. Rows depend on `data.jsonl` or `data.jsonl.zst` alone. `metadata.json`, `experiment.json`, `.index.json` and
//!    `.schema.json` may be in any state: one that can't be used is reported once, put aside unless
//!    it is empty, and written anew. A topic that its metadata no longer tells is known from the
//!    index, the schema or whoever appends to it; else it is called like its folder. An index is
//!    stored only once the rows that it covers are safe from a power cut.
//! 8. The declared columns of a track are stored before any row that they describe (`schema_file`).
//!    If they can't be, rows are stored anyway: this loses types, not values. The definitions that
//!    they name are stored before them (`definition_files`).
//! 9. Each track stands alone: what is no track in `tracks/`, or one that can't be read, is reported
//!    and holds up no other.
//! 10. A data file that is removed or replaced while it is written is noticed at the next flush or
//!     sync ([`StoreError::Removed`]). No flush returns success for rows that went into it.
//! 11. Closed rows may be packed (`packing`): then `data.jsonl.zst` has what `data.jsonl` had, and
//!     `row_file` reads them. At any moment each row is read once, from one of the two or both.
//! 12. Links are followed, so that a recording may lie on another disk, except under a root that is
//!     served to others ([`refuse_links`]). Whoever opens a file does it through `beneath`.
//! 13. While an experiment is held (`hold`), nothing of it is removed because a server has it.
//!
//! `power_cut` replays a power cut after every change of a recording. All changes therefore go
//! through `disk`.
//!
//! This module knows nothing of buffers, threads or formats.

mod appender;
mod atomic;
#[cfg(test)]
mod bad_disk;
mod beneath;
mod blocks;
mod brief;
mod cursor;
mod damage;
mod definition_files;
mod disk;
mod error;
mod experiment_dir;
mod experiment_file;
mod experiment_stamp;
mod file_id;
mod file_stamp;
mod file_store;
#[cfg(feature = "remote")]
mod follow;
mod handles;
mod hold;
mod index;
mod index_file;
mod lock;
mod lookup;
mod merging;
mod metadata;
mod packed;
mod packing;
mod place;
#[cfg(test)]
pub(crate) mod power_cut;
mod recovery;
mod root_dir;
mod row_file;
mod schema_file;
mod scratch_room;
mod snapshot;
mod tidy;
mod track_sync;
mod unconfirmed;

pub(crate) use appender::{KEPT_PIECE_BYTES, TrackAppender, TrackClosed};
pub use atomic::replace_file;
#[cfg(test)]
pub(crate) use bad_disk::{FailingDisk, GENEROUS, SlowDisk};
pub use beneath::{
    LinksRefused, create_file, create_folders, list_folder, open_to_append, refuse_links,
    remove_tree,
};
pub(crate) use blocks::RawRow;
pub(crate) use brief::Brief;
pub(crate) use cursor::Cursor;
pub use disk::sync_folder;
pub use error::StoreError;
pub(crate) use experiment_dir::{ExperimentDir, WriteAccess};
pub use experiment_file::{ExperimentNotes, RunStatus, RunStatusError};
pub use experiment_stamp::ExperimentStamp;
pub use file_stamp::FileStamp;
pub(crate) use file_store::{FileDescription, FileStore, checksum};
#[cfg(feature = "remote")]
pub(crate) use file_store::{FileFollower, FileNews};
pub use file_store::{FileInfo, WholeFile, hex};
#[cfg(feature = "remote")]
pub(crate) use follow::{Backlog, Follower, Lines, Prefix, remove_track_data, row_bytes};
pub(crate) use handles::workers;
pub(crate) use lookup::Lookup;
pub use metadata::{TrackInfo, TrackNotes};
pub(crate) use metadata::{TrackMetadata, utc_now};
pub use packing::Repacked;
pub use place::Entry;
pub use root_dir::STORE_FOLDERS;
pub(crate) use root_dir::{FoundFolder, find_experiments, find_experiments_below};
pub(crate) use schema_file::load_if_readable as load_schema_if_readable;
pub use schema_file::take_noted as take_noted_schema;
#[cfg(feature = "remote")]
pub(crate) use schema_file::{load as load_schema, note as note_schema};
pub use scratch_room::free_bytes;
pub(crate) use snapshot::Snapshot;
pub(crate) use track_sync::SyncWork;
