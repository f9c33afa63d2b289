//! The Track API client: experiments, tracks and rows. It knows nothing of ROS.
//!
//! [`Experiment`] opens a recording. [`Track`] appends rows to one topic and reads them back. A
//! [`Query`] selects what to read, and an [`Export`] the file format. Rows pass through a buffer
//! that merges them by `_ts`, then go to the local store, which uses ML-Dash's own layout on disk.
//!
//! # Append
//!
//! Every row has a time: finite seconds as a float. The caller always supplies it. Fields are
//! free-form, and nested dicts become dotted columns. Build them with [`fields!`](crate::fields),
//! from structs or from JSON. An append holds a lock only for the insert. [`Options::buffer_bytes`]
//! limits the rows that wait, and [`WhenFull`] sets what happens at that limit.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! let arm = exp.tracks("robot/arm");
//! arm.append(fields! { "q": [0.1, -0.22], "grip": { "closed": true } }, 0.033)?;
//!
//! #[derive(serde::Serialize)]
//! struct Joints { q: [f32; 2] }
//! arm.append_serialize(&Joints { q: [0.1, -0.2] }, 0.066)?;
//!
//! arm.append_json(r#"{"_ts": 0.1, "q": [0.1, -0.18]}"#)?;
//! let error = arm.append_json(r#"{"_ts": "0.1", "q": [0.1, -0.18]}"#).unwrap_err();
//! assert_eq!(error.to_string(), r#"track `robot/arm`: `_ts` must be a number of seconds, got "0.1""#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Merge
//!
//! Rows with the same track and time become one row, and later fields overwrite earlier ones. This
//! holds within one flush, across flushes and across runs of a program. Tracks are independent of
//! each other's times.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! let arm = exp.tracks("robot/arm");
//! arm.append(fields! { "q": [0.1, -0.22], "mode": "move" }, 0.033)?;
//! exp.flush()?;
//! arm.append(fields! { "mode": "hold" }, 0.033)?;
//! let rows = arm.read(&Query::all())?;
//! assert_eq!(rows.len(), 1);
//! assert_eq!(rows[0].fields, fields! { "q": [0.1, -0.22], "mode": "hold" });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Flush
//!
//! [`Track::flush`] and [`Experiment::flush`] return once the rows are in the store: other
//! processes can read them, and they survive `kill -9`. A background thread flushes full batches,
//! and flushes everything at an interval ([`Options`]). [`Experiment::close`] flushes, leaves every
//! file sorted and merged, and reports what the tracks hold.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! exp.tracks("robot/arm").append(fields! { "q": 0.1 }, 0.033)?;
//! exp.tracks("robot/arm").flush()?;
//! let reader = Experiment::open_read_only("alice/warehouse/run-1", root.path())?;
//! assert_eq!(reader.tracks("robot/arm").read(&Query::all())?.len(), 1);
//! assert_eq!(exp.close()?.tracks[0].info.total_entries, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Read and export
//!
//! Reads always return sorted and merged rows, even while another process records. A [`Query`]
//! selects a time range, columns and a number of rows. [`Track::rows`] streams what [`Track::read`]
//! collects. [`Track::export`] writes a file in one of the [`Format`]s.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! let arm = exp.tracks("robot/arm");
//! for i in 0..100 {
//!     arm.append(fields! { "q": i, "mode": "hold" }, f64::from(i) / 10.0)?;
//! }
//! let query = Query::range(5.0..=5.1).columns(["q"]);
//! let json = String::from_utf8(arm.export(&query, Format::Json)?)?;
//! assert_eq!(json, r#"{"entries":[{"timestamp":5.0,"q":50},{"timestamp":5.1,"q":51}],"count":2}"#);
//! let csv = arm.export(&Query::all(), Format::Csv)?;
//! assert!(csv.starts_with(b"timestamp,q"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Slice and find
//!
//! A [`Slice`] iterates over the rows of a range without holding them in memory. It also finds
//! single rows by time: the last one at or before a time, or the nearest one within a tolerance.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! let arm = exp.tracks("robot/arm");
//! for ts in [1.0, 3.0, 5.0] {
//!     arm.append(fields! { "q": ts }, ts)?;
//! }
//! let slice = arm.slice(0.0..=10.0)?;
//! assert_eq!(slice.rows().count(), 3);
//! assert_eq!(slice.find_by_time(4.9)?.ts.as_secs(), 3.0);
//! assert_eq!(slice.find_by_times([1.5, 5.5])?.len(), 2);
//! assert_eq!(slice.find_nearest(4.9, 0.5)?.ts.as_secs(), 5.0);
//! assert!(matches!(slice.find_by_time(0.5), Err(FindError::BeforeFirst { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Align
//!
//! One row for each row of one track, or for each tick of a fixed rate, with the values that the
//! other tracks held at that time: [`Align`], [`Experiment::align`]. A [`Join`] says for one track
//! which values to take, interpolated or not, how old they may be, and what it costs if there are
//! none.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! exp.tracks("camera").append(fields! { "frame": 7 }, 1.0)?;
//! exp.tracks("arm").append(fields! { "q": [0.5, 1.5] }, 0.98)?;
//! let aligned = exp.align(&Align::on("camera").with(["arm"]).tolerance(0.05))?;
//! let row = aligned.rows().next().ok_or("no row")??;
//! assert_eq!(row.fields, fields! { "frame": 7, "arm.timestamp": 0.98, "arm.q": [0.5, 1.5] });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files
//!
//! Data that is too large for a row is stored beside the tracks, and the row names it: [`Files`].
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! let frame = exp.files("frames").save_bytes(b"\xff\xd8...", "frame_00007.jpg")?;
//! exp.tracks("camera").append(fields! { "file": frame.filename, "bytes": frame.size_bytes }, 1.0)?;
//! assert_eq!(exp.files("frames").read("frame_00007.jpg")?, b"\xff\xd8...");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Run
//!
//! `experiment.json` says what is recording, when it started and how it ended.
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! exp.start_run(Metadata::from_iter([("robot".to_owned(), "rover".into())]))?;
//! assert_eq!(exp.notes()?.status, Some(RunStatus::Running));
//! exp.close()?;
//! let exp = Experiment::open_read_only("alice/warehouse/run-1", root.path())?;
//! assert_eq!(exp.notes()?.status, Some(RunStatus::Completed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # List
//!
//! ```
//! # use mldash_track::*;
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
//! exp.tracks("robot/arm").append(fields! { "q": 0.1 }, 0.033)?;
//! exp.tracks("camera").append(fields! { "frame": 7 }, 0.033)?;
//! exp.flush()?;
//! assert_eq!(exp.list()?.len(), 2);
//! let robot = exp.list_matching(&TopicFilter::from("robot/*"))?;
//! assert_eq!((robot[0].topic.as_str(), robot[0].total_entries), ("robot/arm", 1));
//! assert_eq!(exp.files("").list()?.len(), 0);
//! let experiments = list_experiments(root.path(), |name| name.starts_with("alice/"))?;
//! assert_eq!((experiments[0].tracks, experiments[0].total_entries), (2, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Only the remote side or Parquet calls some methods. A `cfg` on each would add nothing.
#![cfg_attr(not(all(feature = "parquet", feature = "remote")), allow(dead_code))]

mod align;
mod at_once;
mod buffer;
mod byte_bound;
mod complaint;
mod error;
mod experiment;
mod files;
mod flusher;
mod format;
mod found;
mod hold;
pub mod json;
mod labels;
mod lines;
mod listing;
mod local;
#[cfg(feature = "mcap")]
mod mcap_writer;
pub mod name;
mod options;
mod packing;
mod panics;
mod query;
#[cfg(feature = "remote")]
mod remote;
mod repeating;
pub mod row;
mod rows;
mod run;
mod serialize;
mod slice;
mod state;
mod track;
mod weight;

pub use align::{Aggregate, Align, AlignError, AlignMethod, Aligned, AlignedRows, Join, Missing};
pub use buffer::{Appended, MAX_COLUMN_NAME_BYTES, MAX_COLUMNS, TooManyColumns, WhenFull};
pub use byte_bound::ByteBound;
pub use error::TrackError;
pub use error::one_line;
pub use experiment::{CloseError, Closed, ClosedTrack, Experiment, LostRows};
pub use files::{Files, StoredFile, parse_sha256};
pub use format::{Export, Format, FormatError};
#[cfg(feature = "parquet")]
pub use format::{StoredColumn, SurveyedColumn, SurveyedRows, arrow_field, parquet_properties};
pub use found::{Found, read_the_same};
pub use labels::{LabelChange, LabelError, Labels};
pub use lines::{AppendedLines, BadLine};
pub use listing::{
    ExperimentInfo, StoredRows, experiments_of, find_experiment_names, list_experiments,
};
pub use local::{
    Entry, LinksRefused, create_file, create_folders, list_folder, open_to_append, refuse_links,
    remove_tree,
};
pub use local::{
    ExperimentNotes, FileInfo, Repacked, RunStatus, RunStatusError, StoreError, TrackInfo,
    TrackNotes,
};
pub use local::{ExperimentStamp, FileStamp, STORE_FOLDERS, WholeFile, free_bytes, hex};
pub use local::{replace_file, sync_folder, take_noted_schema};
#[cfg(feature = "mcap")]
pub use mcap_writer::{McapChannel, McapSchema, McapTimes, McapWriter};
pub use name::{ExperimentName, FilePath, NameError, NameKind, NameProblem, TrackName};
pub use options::{EnvError, Options};
pub use packing::Compression;
pub use panics::panic_text;
pub use query::{Query, TopicFilter};
#[cfg(feature = "remote")]
pub use remote::{
    Keep, Remote, RemoteError, RemoteExperiment, SyncState, SyncStatus, Synced, TokenError,
    WhenLocalFull, list_remote_experiments,
};
pub use repeating::Repeating;
pub use row::{
    Array, Column, ColumnType, Fields, MAX_REPEATED_NAME_BYTES, Origin, RepeatedNames, Row,
    RowSchema, TIMESTAMP_COLUMN, TIMESTAMP_KEY, Timestamp, TimestampError, TooManyDeclarations,
    Value,
};
pub use rows::Rows;
pub use run::Metadata;
pub use serialize::SerializeError;
pub use slice::{FindError, Slice};
pub use track::Track;

/// Compiles the README's program with the documentation's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
