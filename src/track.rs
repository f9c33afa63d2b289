//! The Track API client: experiments, tracks, rows. Knows nothing of ROS.
//!
//! [`Experiment`] opens a recording, [`Track`] appends to one topic and reads it back, [`Query`]
//! says what to read, [`Export`] as what. Rows go through a buffer, which merges them by `_ts`,
//! into the local store, which is ML-Dash's own layout on disk.

mod align;
mod buffer;
mod error;
mod experiment;
mod files;
mod flusher;
mod format;
pub mod json;
mod lines;
mod local;
pub mod name;
mod options;
mod query;
pub mod row;
mod rows;
mod serialize;
mod shared;
mod slice;
#[expect(clippy::module_inception, reason = "a track is what this API is about")]
mod track;

pub use align::{Align, AlignError, AlignMethod, Aligned, AlignedRows};
pub use buffer::{Appended, WhenFull};
pub use error::TrackError;
pub use experiment::{Closed, ClosedTrack, Experiment};
pub use files::Files;
pub use format::{Export, Format, FormatError};
pub use lines::{AppendedLines, BadLine};
pub use local::{FileInfo, StoreError, TrackInfo};
pub use name::{ExperimentName, FilePath, NameError, NameKind, NameProblem, TrackName};
pub use options::{EnvError, Options};
pub use query::{Query, TopicFilter};
pub use row::{
    Array, Column, Fields, Row, TIMESTAMP_COLUMN, TIMESTAMP_KEY, Timestamp, TimestampError, Value,
};
pub use rows::Rows;
pub use serialize::SerializeError;
pub use slice::{FindError, Slice};
pub use track::Track;
