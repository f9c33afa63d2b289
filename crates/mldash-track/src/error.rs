//! Errors for users of the Track API.

use super::align::AlignError;
use super::buffer::TooManyColumns;
use super::json::{JsonRowError, MAX_DEPTH};
use super::labels::LabelError;
use super::local::StoreError;
use super::name::NameError;
use super::options::EnvError;
#[cfg(feature = "remote")]
use super::remote::RemoteError;
use super::row::{RepeatedNames, TimestampError, TooManyDeclarations};
use super::serialize::SerializeError;

/// A failed operation on an experiment or a track.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The experiment's or track's name is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An environment variable has an invalid value.
    #[error(transparent)]
    Environment(#[from] EnvError),
    /// The store could not be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A label of the experiment can't be used.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// Tracks can't be joined as requested.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// There is no such file.
    #[error("there is no file `{name}` in `/{folder}` of experiment `{experiment}`")]
    NoFile {
        /// The folder.
        folder: String,
        /// The requested name.
        name: String,
        /// The experiment.
        experiment: String,
    },
    /// A file's checksum differs from the one it was saved with.
    #[error("{} has another checksum than when it was saved; it was changed or damaged", path.display())]
    FileDamaged {
        /// The file's path.
        path: std::path::PathBuf,
    },
    /// Nothing was recorded under this name.
    #[error("no experiment `{name}` under {}", root.display())]
    NoExperiment {
        /// The requested name.
        name: String,
        /// The root that was searched.
        root: std::path::PathBuf,
    },
    /// A row's time is not a finite number.
    #[error("track `{topic}`: {reason}")]
    Timestamp {
        /// The track.
        topic: String,
        /// What is wrong with the number.
        reason: TimestampError,
    },
    /// A text is not a row: it is not a JSON object, or its `_ts` is missing or unusable.
    #[error("track `{topic}`: {reason}")]
    Json {
        /// The track.
        topic: String,
        /// What is wrong with it.
        reason: JsonRowError,
    },
    /// A value can't be converted to fields.
    #[error("track `{topic}`: {reason}")]
    Fields {
        /// The track.
        topic: String,
        /// What is wrong with it.
        reason: SerializeError,
    },
    /// A field has the name of the row's time.
    #[error(
        "track `{topic}`: a field can't be called `{column}`, which is reserved for the row's time; rename it"
    )]
    ReservedColumn {
        /// The track.
        topic: String,
        /// `timestamp` or `_ts`.
        column: &'static str,
    },
    /// A field's value nests too deeply to be read back.
    #[error("track `{topic}`: field `{column}` nests deeper than {MAX_DEPTH} levels; flatten it")]
    TooDeep {
        /// The track.
        topic: String,
        /// The field.
        column: String,
    },
    /// Flattening a dict would repeat too many bytes of names.
    #[error("track `{topic}`: field `{column}`: {reason}")]
    RepeatedNames {
        /// The track.
        topic: String,
        /// The dict.
        column: String,
        /// What is wrong with it.
        reason: RepeatedNames,
    },
    /// A row would give the track too many columns.
    #[error("track `{topic}`: {reason}")]
    TooManyColumns {
        /// The track.
        topic: String,
        /// What the limit is.
        reason: TooManyColumns,
    },
    /// Too much was declared of a track.
    #[error("track `{topic}`: {reason}")]
    TooManyDeclarations {
        /// The track.
        topic: String,
        /// What the limit is.
        reason: TooManyDeclarations,
    },
    /// A line of JSON rows is too long.
    #[error("track `{topic}`: the line is longer than {max_bytes} bytes")]
    LineTooLong {
        /// The track.
        topic: String,
        /// The limit.
        max_bytes: u64,
    },
    /// The text with the rows could not be read.
    #[error("can't read the rows to append")]
    Input(#[source] std::io::Error),
    /// Rows arrive faster than the store takes them, and the caller chose not to wait.
    #[error(
        "track `{topic}`: the buffer is full ({used_bytes} of {limit_bytes} bytes wait to be \
         written){}", failure.as_ref().map(|f| format!("; the store fails: {f}")).unwrap_or_default()
    )]
    BufferFull {
        /// The track.
        topic: String,
        /// Bytes that wait to be flushed.
        used_bytes: usize,
        /// The limit.
        limit_bytes: usize,
        /// Why the store can't take rows, if it fails.
        failure: Option<String>,
    },
    /// The local store has reached its size limit.
    #[error(
        "the local store {} is larger than `max_local` ({max_bytes} bytes), and nothing more can be removed \
         from it; recording stops until data is uploaded (and published, with `publish`) or space is freed", root.display()
    )]
    LocalFull {
        /// The store's root.
        root: std::path::PathBuf,
        /// The limit.
        max_bytes: u64,
    },
    /// The experiment was opened read-only.
    #[error("experiment `{0}` is open for reading only")]
    ReadOnly(String),
    /// The experiment was closed during the call.
    #[error("experiment `{0}` is closed")]
    Closed(String),
    /// A stored row can't be read back.
    #[error("track `{topic}`: a stored row can't be read: {reason}")]
    Corrupt {
        /// The track.
        topic: String,
        /// Why.
        reason: String,
    },
    /// An operation with the server failed.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The background thread could not be started.
    #[error("can't start the flush thread")]
    Thread(#[source] std::io::Error),
    /// A format can't hold so many columns.
    #[error(
        "track `{topic}`: {columns} columns are more than the {max_columns} that Parquet takes here for {rows} \
         rows; choose columns (`--columns`, `Query::columns`), or export as JSON lines"
    )]
    TooWide {
        /// The track.
        topic: String,
        /// How many there are, dicts in lists counted with all their keys.
        columns: usize,
        /// How many rows there are, at most.
        rows: u64,
        /// The limit.
        max_columns: usize,
    },
    /// The caller has no more memory for an export.
    #[error(
        "track `{topic}`: reading it would take {bytes} bytes more memory than there is for it"
    )]
    Memory {
        /// The track.
        topic: String,
        /// What was asked for.
        bytes: usize,
    },
    /// The destination of an export could not be written.
    #[error("can't write the export")]
    Export(#[source] std::io::Error),
}

/// An error with its sources, on one line.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |e| e.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
