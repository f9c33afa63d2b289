//! Rows → files that others read. Each format is a file of its own behind [`write()`], which takes
//! any [`RowSource`]: a track's rows, or rows joined of several tracks.

mod csv;
mod json;
mod kind;
#[cfg(feature = "mcap")]
mod mcap;
mod mocap;
#[cfg(feature = "parquet")]
mod parquet;
mod survey;
mod typed;

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use serde_json::Value as Json;

use super::error::TrackError;
use super::json::{JsonWriter, NonFinite};
use super::row::{Column, ColumnType, Row, TIMESTAMP_COLUMN};

/// A file format that a track can be read as; the shapes are those of ML-Dash's own reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `{"entries":[{"timestamp":…,…},…],"count":n}`.
    Json,
    /// One object a line, joined by newlines.
    Jsonl,
    /// Apache Parquet: typed columns, `timestamp` first, compressed with zstd.
    ///
    /// The columns that the track was [declared](super::Track::with_schema) to have come first, in their
    /// order and of their types, whether a row has them or not: files of one topic have one schema.
    ///
    /// Any other column, and one whose values do not fit its declaration, has the type that holds
    /// all its values without loss: integers widen to floats where that is exact, lists are typed
    /// down to their items, dicts in lists become structs. A column whose values have no type in
    /// common holds each value's JSON text. Single precision is not told apart from double: the
    /// store keeps numbers as text.
    #[cfg(feature = "parquet")]
    Parquet,
    /// Motion capture frames in JSON: `{"version","metadata","channels","frames":[{"time":…,…},…]}`.
    Mocap,
    /// One MCAP channel of JSON messages with their JSON Schema, which Foxglove opens. Its JSON is
    /// always strict, and it has no times below zero.
    #[cfg(feature = "mcap")]
    Mcap,
    /// One line a row under a line of column names, cells parted by commas. Lists and dicts are in it as
    /// JSON text. Null and a column that a row lacks are empty cells, and so is an empty text.
    Csv,
}

/// A text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format; there are json, jsonl, parquet, mocap, mcap and csv")]
pub struct FormatError(String);

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[
        Self::Json,
        Self::Jsonl,
        #[cfg(feature = "parquet")]
        Self::Parquet,
        Self::Mocap,
        #[cfg(feature = "mcap")]
        Self::Mcap,
        Self::Csv,
    ];

    /// The name it is asked for by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Mocap => "mocap",
            #[cfg(feature = "mcap")]
            Self::Mcap => "mcap",
            Self::Csv => "csv",
        }
    }

    /// What the names of its files end with, the usual one first.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["json"],
            Self::Jsonl => &["jsonl", "ndjson"],
            #[cfg(feature = "parquet")]
            Self::Parquet => &["parquet", "pq"],
            Self::Mocap => &["mocap", "json"],
            #[cfg(feature = "mcap")]
            Self::Mcap => &["mcap"],
            Self::Csv => &["csv"],
        }
    }

    /// Whether people can read it.
    pub fn is_text(self) -> bool {
        match self {
            Self::Json | Self::Jsonl | Self::Mocap | Self::Csv => true,
            #[cfg(feature = "parquet")]
            Self::Parquet => false,
            #[cfg(feature = "mcap")]
            Self::Mcap => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self, FormatError> {
        let known = Self::ALL.iter().find(|format| format.name() == name);
        known.copied().ok_or_else(|| FormatError(name.to_owned()))
    }
}

/// A format and how to write what it has no place for.
///
/// ```
/// use mldash_track::{Export, Format};
/// let strict = Export::from(Format::Jsonl).strict();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    format: Format,
    non_finite: NonFinite,
}

impl From<Format> for Export {
    /// Floats that are not finite as the SDK writes them: `NaN`, `Infinity`, `-Infinity`.
    fn from(format: Format) -> Self {
        Self { format, non_finite: NonFinite::Tokens }
    }
}

impl Export {
    /// JSON as its standard has it: floats that are not finite become `null`.
    pub fn strict(mut self) -> Self {
        self.non_finite = NonFinite::Null;
        self
    }
}

/// ML-Dash's frames per second where a track says nothing.
const DEFAULT_FPS: u32 = 30;

/// Rows that can be gone through more than once; every pass gives the same.
pub(super) trait RowSource {
    /// One pass.
    type Rows: RowStream + Send;

    /// The rows by rising time, from the first.
    fn rows(&self) -> Self::Rows;

    /// The rows in up to `parts` parts, each after the one before, if going through them side by
    /// side is worth it.
    fn parts(&self, parts: usize) -> Vec<Self::Rows> {
        let _one_by_one = parts;
        vec![self.rows()]
    }

    /// The columns that the rows were declared to have, whether any has them or not.
    fn declared(&self) -> Vec<(Column, ColumnType)>;

    /// Which group of columns one belongs to: those of a lower number stand before the others.
    fn group(&self, column: &str) -> usize {
        let _one_for_all = column;
        0
    }

    /// What is known of them besides.
    fn about(&self) -> About;
}

/// What is known of rows without reading them.
pub(super) struct About {
    /// The track they are of.
    pub(super) topic: String,
    /// Whether the track has a file, be it without rows.
    pub(super) is_stored: bool,
    /// The track's `description`, text or null.
    pub(super) description: Json,
    /// The track's `tags`, a list.
    pub(super) tags: Json,
    /// Frames per second: the track's own, or ML-Dash's default.
    pub(super) fps: Json,
}

impl About {
    /// A track of which only the topic is known.
    pub(super) fn topic(topic: String, is_stored: bool) -> Self {
        Self {
            topic,
            is_stored,
            description: Json::Null,
            tags: Json::Array(Vec::new()),
            fps: Json::from(DEFAULT_FPS),
        }
    }
}

/// One pass over rows.
pub(super) trait RowStream: Iterator<Item = Result<Row, TrackError>> {
    /// Appends the next rows to `out`, each as a JSON object and a line end: as many as are at hand; `None`
    /// at the end.
    fn next_lines(&mut self, text: RowText, out: &mut Vec<u8>) -> Option<Result<(), TrackError>> {
        let row = self.next()?;
        Some(row.map(|row| {
            write_row(&row, text.non_finite(), out);
            out.push(b'\n');
        }))
    }
}

/// What a row's JSON text is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RowText {
    /// As it lies in the store, if it does so in one piece: in the store's dialect, spaced and
    /// ordered as its writer pleased.
    #[default]
    AsStored,
    /// Made anew: flat, each column once.
    Rebuilt(NonFinite),
}

impl RowText {
    /// How floats that are not finite are written.
    pub(super) fn non_finite(self) -> NonFinite {
        match self {
            Self::AsStored => NonFinite::Tokens,
            Self::Rebuilt(non_finite) => non_finite,
        }
    }
}

impl From<NonFinite> for RowText {
    /// The least effort.
    fn from(non_finite: NonFinite) -> Self {
        match non_finite {
            NonFinite::Tokens => Self::AsStored,
            NonFinite::Null => Self::Rebuilt(NonFinite::Null),
        }
    }
}

/// The rows in what [`RowStream::next_lines`] appended.
pub(super) fn rows_of(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let (row, line_end) = rest.split_at(end);
        rest = line_end.get(1..).unwrap_or_default();
        Some(row)
    })
}

/// The number that a row's text holds.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `row` as a JSON object.
pub(super) fn write_row(row: &Row, non_finite: NonFinite, out: &mut Vec<u8>) {
    JsonWriter::new(out, non_finite).row(TIMESTAMP_COLUMN, row.ts, &row.fields);
}

/// Writes the rows of `source` to `out`.
pub(super) fn write(
    export: Export,
    source: &(impl RowSource + Sync),
    out: &mut (dyn Write + Send),
) -> Result<(), TrackError> {
    match export.format {
        Format::Json => json::write_json(source.rows(), export.non_finite.into(), out),
        Format::Jsonl => json::write_jsonl(source.rows(), export.non_finite.into(), out),
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::write(source, out),
        Format::Mocap => mocap::write(source, export.non_finite, out),
        #[cfg(feature = "mcap")]
        Format::Mcap => mcap::write(source, out),
        Format::Csv => csv::write(source, export.non_finite, out),
    }
}
