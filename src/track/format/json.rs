//! `json` and `jsonl`, as the Python SDK 0.11.0 returns them.

use std::io::Write;

use super::{RowStream, RowText};
use crate::track::error::TrackError;

/// `{"entries":[…],"count":n}`.
pub(super) fn write_json(
    rows: impl RowStream,
    row_text: RowText,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    out.write_all(b"{\"entries\":[").map_err(TrackError::Export)?;
    let count = write_rows(rows, row_text, b",", out)?;
    write!(out, "],\"count\":{count}}}").map_err(TrackError::Export)
}

/// Rows joined by newlines.
pub(super) fn write_jsonl(
    rows: impl RowStream,
    row_text: RowText,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    write_rows(rows, row_text, b"\n", out).map(|_| ())
}

fn write_rows(
    mut rows: impl RowStream,
    row_text: RowText,
    separator: &[u8],
    out: &mut dyn Write,
) -> Result<u64, TrackError> {
    let mut count = 0;
    let mut text = Vec::new();
    while let Some(written) = rows.next_json(row_text, &mut text) {
        written?;
        out.write_all(&text).map_err(TrackError::Export)?;
        count += 1;
        text.clear();
        text.extend_from_slice(separator);
    }
    Ok(count)
}
