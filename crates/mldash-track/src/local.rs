//! The local store: ML-Dash's on-disk layout. A crash loses at most what was not flushed. Reads are
//! sorted and merged, whatever order rows came in.
//!
//! What is durable when:
//! 1. Once `flush` returns, its rows are in `data.jsonl`: other processes can read them, and they
//!    survive `kill -9`.
//! 2. `sync` (every `fsync` seconds, and at close) makes flushed rows survive a power cut.
//! 3. Rows are only ever appended while recording. A failed write is cut back to the last whole
//!    row, and its rows stay in memory for the next try.
//! 4. Readers ignore a torn last line (crash or power cut while writing). The next writer cuts it
//!    and logs that. Whole lines are never cut.
//! 5. Lines that are not rows are skipped, counted, and kept aside (`data.jsonl.bad`) on a rewrite.
//! 6. Close rewrites a track only if rows came out of order or merged across flushes: into a
//!    temporary file, synced, then renamed over the old one. A crash leaves one or the other,
//!    whole.
//! 7. `.index.json` and `metadata.json` are derived: missing or stale ones are rebuilt.
//! 8. The declared columns of a track are in `.schema.json` before any row that they describe,
//!    written by the same kind of rename. If it can't be written, rows are stored anyway: this
//!    loses types, not values.
//!
//! This module knows nothing of buffers, threads or formats.

mod appender;
mod atomic;
mod cursor;
mod error;
mod experiment_dir;
mod experiment_file;
mod file_id;
mod file_stamp;
mod file_store;
#[cfg(feature = "remote")]
mod follow;
mod handles;
mod index;
mod index_file;
mod lock;
mod lookup;
mod metadata;
mod schema_file;
mod snapshot;
mod tidy;

pub(crate) use appender::{TrackAppender, TrackClosed};
pub use atomic::replace_file;
pub(crate) use cursor::{Cursor, RawRow};
pub use error::StoreError;
pub(crate) use experiment_dir::{ExperimentDir, WriteAccess};
pub use experiment_file::{ExperimentNotes, RunStatus, RunStatusError};
pub use file_stamp::FileStamp;
pub(crate) use file_store::{FileDescription, FileStore, checksum};
#[cfg(feature = "remote")]
pub(crate) use file_store::{FileFollower, FileNews};
pub use file_store::{FileInfo, WholeFile, hex};
#[cfg(feature = "remote")]
pub(crate) use follow::{Backlog, Follower, Lines, Prefix, remove_track_data};
pub(crate) use lookup::Lookup;
pub use metadata::{TrackInfo, TrackNotes};
pub(crate) use metadata::{TrackMetadata, utc_now};
pub(crate) use schema_file::load_if_readable as load_schema_if_readable;
pub use schema_file::take_noted as take_noted_schema;
#[cfg(feature = "remote")]
pub(crate) use schema_file::{load as load_schema, note as note_schema};
pub(crate) use snapshot::Snapshot;
