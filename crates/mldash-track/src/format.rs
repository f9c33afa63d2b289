//! Writes rows as files for other programs. Each format has its own file behind [`write()`], which
//! takes any [`RowSource`]: the rows of a track, or rows joined from several tracks.

#[cfg(feature = "parquet")]
mod batches;
mod csv;
mod json;
mod kind;
#[cfg(feature = "mcap")]
mod mcap;
mod mocap;
#[cfg(feature = "parquet")]
mod parquet;
mod survey;
mod table;
mod typed;

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use lexical_parse_float::FromLexical;
use serde_json::Value as Json;

use super::error::TrackError;
use super::json::{JsonWriter, NonFinite};
#[cfg(feature = "mcap")]
use super::mcap_writer;
use super::row::{Row, TIMESTAMP_COLUMN};
#[cfg(feature = "parquet")]
pub use batches::{StoredColumn, SurveyedColumn, SurveyedRows, arrow_field, parquet_properties};
pub(super) use table::{Place, RowSink, Table, TypedColumns};

/// A file format for reading a track. The shapes are those of ML-Dash's own reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `{"entries":[{"timestamp":…,…},…],"count":n}`.
    Json,
    /// One object per line, joined by newlines.
    Jsonl,
    /// Apache Parquet: typed columns, `timestamp` first, compressed with zstd.
    ///
    /// The [declared](super::Track::with_schema) columns of the track come first, in order and with
    /// their types, whether a row has them or not. So all files of one topic have one schema.
    ///
    /// Any other column, or one whose values do not fit its declaration, gets the type that holds
    /// all its values without loss. Integers widen to floats where that is exact, lists are typed
    /// down to their items, and dicts in lists become structs. If no type fits all values, the
    /// column holds each value's JSON text. Single precision can't be told from double: the store
    /// keeps numbers as text.
    #[cfg(feature = "parquet")]
    Parquet,
    /// Motion capture frames in JSON: `{"version","metadata","channels","frames":[{"time":…,…},…]}`.
    Mocap,
    /// One MCAP channel of JSON messages with their JSON Schema, for Foxglove. Its JSON is always
    /// strict, and it can't hold times below zero.
    #[cfg(feature = "mcap")]
    Mcap,
    /// One line per row after a header line, with comma-separated cells. Lists and dicts are JSON
    /// text. Null, a missing column and an empty string are all empty cells.
    Csv,
}

/// A text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format; there are {known}", known = known_formats())]
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

    /// The name to select it by.
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

    /// Its file name extensions, the usual one first.
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

    /// Returns true if people can read it.
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

/// The names of all formats, as a sentence lists them.
fn known_formats() -> String {
    let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
    match names.split_last() {
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
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

/// A format, and how to write values that it can't represent.
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
    /// Writes non-finite floats as the SDK does: `NaN`, `Infinity`, `-Infinity`.
    fn from(format: Format) -> Self {
        Self { format, non_finite: NonFinite::Tokens }
    }
}

impl Export {
    /// Uses standard JSON: non-finite floats become `null`.
    pub fn strict(mut self) -> Self {
        self.non_finite = NonFinite::Null;
        self
    }
}

/// Memory for an export's own buffers.
const BUFFER_BYTES: usize = 256 << 10;
/// What is known of a column, without its name.
const COLUMN_BYTES: usize = 256;

impl Export {
    /// How many threads may read rows at the same time.
    pub(super) fn readers(self) -> usize {
        match self.format {
            Format::Json | Format::Jsonl => 1,
            _ => survey::MAX_THREADS,
        }
    }

    /// Fails if the format can't hold so many columns, however few the rows. There may turn out to be
    /// more.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(unused_variables, reason = "only Parquet has a limit")
    )]
    pub(super) fn check_width(self, topic: &str, columns: usize) -> Result<(), TrackError> {
        match self.format {
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::check_width(topic, columns, 0),
            _ => Ok(()),
        }
    }

    /// The most memory that writing takes besides the rows being read, for so many `rows` of `text_bytes`
    /// in so many columns with names of so many bytes.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(unused_variables, reason = "only Parquet holds text back")
    )]
    pub(super) fn weight(self, columns: (usize, usize), rows: u64, text_bytes: usize) -> usize {
        let (columns, name_bytes) = columns;
        let known = columns * COLUMN_BYTES + name_bytes;
        BUFFER_BYTES.saturating_add(match self.format {
            Format::Json | Format::Jsonl => 0,
            Format::Mocap | Format::Csv => known.saturating_mul(survey::MAX_THREADS),
            #[cfg(feature = "mcap")]
            Format::Mcap => known
                .saturating_mul(survey::MAX_THREADS + 2)
                .saturating_add(mcap_writer::BUFFER_BYTES),
            #[cfg(feature = "parquet")]
            Format::Parquet => known
                .saturating_mul(survey::MAX_THREADS + 2)
                .saturating_add(parquet::weight(columns, rows, text_bytes)),
        })
    }
}

/// ML-Dash's default frames per second, for a track that sets none.
const DEFAULT_FPS: u32 = 30;

/// Rows that can be iterated more than once. Every pass gives the same rows.
pub(super) trait RowSource {
    /// One pass.
    type Rows: RowStream + Send;

    /// Starts a pass over all rows in order of time.
    fn rows(&self) -> Self::Rows;

    /// Splits the rows into up to `parts` consecutive parts, if reading them in parallel is worth
    /// it.
    fn parts(&self, parts: usize) -> Vec<Self::Rows> {
        let _one_by_one = parts;
        vec![self.rows()]
    }

    /// Looks through the rows for their columns.
    fn table(&self) -> Result<Table, TrackError>;

    /// What else is known about the rows.
    fn about(&self) -> About;
}

/// What is known about rows without reading them.
pub(super) struct About {
    /// The topic of their track.
    pub(super) topic: String,
    /// Whether the track has a file, even one without rows.
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
    /// Appends the rows at hand to `out`, each as a JSON object and a line end; `None` at the end.
    fn next_lines(&mut self, form: RowForm, out: &mut Vec<u8>) -> Option<Result<(), TrackError>> {
        let row = self.next()?;
        Some(row.map(|row| {
            write_row(&row, form.non_finite(), out);
            out.push(b'\n');
        }))
    }

    /// Passes the rows at hand to `sink`; `None` at the end. `table` is that of their source.
    fn next_into(
        &mut self,
        table: &Table,
        sink: &mut impl RowSink,
    ) -> Option<Result<(), TrackError>>;
}

/// The form of a row's JSON text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RowForm {
    /// As stored, if the row is one line in the store: in the store's dialect, with its writer's
    /// spacing and order.
    #[default]
    AsStored,
    /// Rebuilt: flat, each column once.
    Rebuilt(NonFinite),
}

impl RowForm {
    /// How to write non-finite floats.
    pub(super) fn non_finite(self) -> NonFinite {
        match self {
            Self::AsStored => NonFinite::Tokens,
            Self::Rebuilt(non_finite) => non_finite,
        }
    }
}

impl From<NonFinite> for RowForm {
    /// Picks the cheapest form.
    fn from(non_finite: NonFinite) -> Self {
        match non_finite {
            NonFinite::Tokens => Self::AsStored,
            NonFinite::Null => Self::Rebuilt(NonFinite::Null),
        }
    }
}

/// Splits the output of [`RowStream::next_lines`] into rows.
pub(super) fn rows_of(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let (row, line_end) = rest.split_at(end);
        rest = line_end.get(1..).unwrap_or_default();
        Some(row)
    })
}

/// Parses the number in a row's text.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let number = f64::from_lexical(text).ok();
    // It has no word for what is not finite.
    number.or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// Writes `row` as a JSON object.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::float;

    proptest! {
        #[test]
        fn numbers_are_parsed_as_rust_parses_them(
            text in "-?(0|[1-9][0-9]{0,24})([.][0-9]{1,24})?([eE][-+]?[0-9]{1,3})?",
            bits: u64,
        ) {
            for text in [text, f64::from_bits(bits).to_string(), format!("{:e}", f64::from_bits(bits))] {
                let expected = text.parse::<f64>().ok().map(f64::to_bits);
                prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), expected, "{}", text);
            }
        }
    }

    #[test]
    fn floats_that_are_not_finite_have_words() {
        assert_eq!(float(b"Infinity"), Some(f64::INFINITY));
        assert_eq!(float(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert!(float(b"NaN").is_some_and(f64::is_nan));
        assert_eq!(float(b"x"), None);
    }
}
