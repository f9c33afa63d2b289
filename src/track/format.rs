//! Rows → files that others read. Each format is a file of its own behind [`write`].

mod json;

use std::io::Write;

use super::error::TrackError;
use super::json::NonFinite;
use super::track::Rows;

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

/// Writes `rows` to `out`.
pub(super) fn write(export: Export, mut rows: Rows, out: &mut dyn Write) -> Result<(), TrackError> {
    match export.format {
        Format::Json => json::write_json(&mut rows, export.non_finite, out),
        Format::Jsonl => json::write_jsonl(&mut rows, export.non_finite, out),
    }
}
