//! Rows → files that others read. Each format is a file of its own behind [`write()`], which takes
//! any [`RowSource`]: a track's rows, or rows joined of several tracks.

mod json;

use std::io::Write;

use super::error::TrackError;
use super::json::{JsonWriter, NonFinite};
use super::row::{Row, TIMESTAMP_COLUMN};

/// A file format that a track can be read as; the shapes are those of ML-Dash's own reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `{"entries":[{"timestamp":…,…},…],"count":n}`.
    Json,
    /// One object a line, joined by newlines.
    Jsonl,
}

/// A format and how to write what it has no place for.
///
/// ```
/// use mldash_bridge::track::{Export, Format};
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

/// Rows that can be gone through more than once; every pass gives the same.
pub(super) trait RowSource {
    /// One pass.
    type Rows: RowStream;

    /// The rows by rising time, from the first.
    fn rows(&self) -> Self::Rows;
}

/// One pass over rows.
pub(super) trait RowStream: Iterator<Item = Result<Row, TrackError>> {
    /// Appends the next row as a JSON object to `out`; `None` at the end.
    fn next_json(
        &mut self,
        non_finite: NonFinite,
        out: &mut Vec<u8>,
    ) -> Option<Result<(), TrackError>> {
        self.next().map(|row| row.map(|row| write_row(&row, non_finite, out)))
    }
}

/// `row` as a JSON object.
pub(super) fn write_row(row: &Row, non_finite: NonFinite, out: &mut Vec<u8>) {
    JsonWriter::new(out, non_finite).row(TIMESTAMP_COLUMN, row.ts, &row.fields);
}

/// Writes the rows of `source` to `out`.
pub(super) fn write(
    export: Export,
    source: &impl RowSource,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    match export.format {
        Format::Json => json::write_json(source.rows(), export.non_finite, out),
        Format::Jsonl => json::write_jsonl(source.rows(), export.non_finite, out),
    }
}
