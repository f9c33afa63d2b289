//! `json` and `jsonl`, as the Python SDK 0.11.0 returns them.

use std::io::Write;

use super::{RowForm, RowStream};
use crate::error::TrackError;

/// `{"entries":[…],"count":n}`.
pub(super) fn write_json(
    rows: impl RowStream,
    form: RowForm,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    out.write_all(b"{\"entries\":[").map_err(TrackError::Export)?;
    let count = write_rows(rows, form, b',', out)?;
    write!(out, "],\"count\":{count}}}").map_err(TrackError::Export)
}

/// Rows joined by newlines.
pub(super) fn write_jsonl(
    rows: impl RowStream,
    form: RowForm,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    write_rows(rows, form, b'\n', out).map(|_| ())
}

/// Writes the rows and returns how many there were.
fn write_rows(
    mut rows: impl RowStream,
    form: RowForm,
    separator: u8,
    out: &mut dyn Write,
) -> Result<u64, TrackError> {
    let mut count = 0;
    let mut lines = Vec::new();
    while let Some(read) = rows.next_lines(form, &mut lines) {
        read?;
        // A row's text contains no line end, but the first byte may end the row before.
        let ended = usize::from(count > 0);
        count += memchr::memchr_iter(b'\n', &lines[ended..]).count() as u64;
        lines.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = separator);
        // The last separator is written before the next row, if there is one.
        out.write_all(lines.strip_suffix(&[separator]).unwrap_or(&lines))
            .map_err(TrackError::Export)?;
        lines.clear();
        lines.push(separator);
    }
    Ok(count)
}
