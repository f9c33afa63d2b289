//! `json` and `jsonl`, as the Python SDK 0.11.0 returns them.

use std::io::Write;

use crate::track::error::TrackError;
use crate::track::json::{JsonWriter, NonFinite};
use crate::track::row::TIMESTAMP_COLUMN;
use crate::track::track::Rows;

/// `{"entries":[…],"count":n}`.
pub(super) fn write_json(
    rows: &mut Rows,
    non_finite: NonFinite,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    out.write_all(b"{\"entries\":[").map_err(TrackError::Export)?;
    let count = write_rows(rows, non_finite, b",", out)?;
    write!(out, "],\"count\":{count}}}").map_err(TrackError::Export)
}

/// Rows joined by newlines.
pub(super) fn write_jsonl(
    rows: &mut Rows,
    non_finite: NonFinite,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    write_rows(rows, non_finite, b"\n", out).map(|_| ())
}

fn write_rows(
    rows: &mut Rows,
    non_finite: NonFinite,
    separator: &[u8],
    out: &mut dyn Write,
) -> Result<u64, TrackError> {
    // The store's lines are what this format wants, unless columns or tokens are to be left out.
    let as_stored = rows.keeps_all_columns() && non_finite == NonFinite::Tokens;
    let mut count = 0;
    let mut text = Vec::new();
    while let Some(raw) = rows.next_raw() {
        let raw = raw?;
        text.clear();
        if count > 0 {
            text.extend_from_slice(separator);
        }
        match raw.single_line().filter(|_| as_stored) {
            Some(line) => text.extend_from_slice(line.trim_ascii()),
            None => {
                let row = rows.parse(&raw)?;
                JsonWriter::new(&mut text, non_finite).row(TIMESTAMP_COLUMN, row.ts, &row.fields);
            }
        }
        out.write_all(&text).map_err(TrackError::Export)?;
        count += 1;
    }
    Ok(count)
}
