//! Rewrites a track's file atomically: sorted by time, one line per time.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::atomic::{Durable, Replacement};
use super::beneath::How;
use super::disk;
use super::error::StoreError;
use super::handles;
use super::index::Index;
use super::snapshot::{DATA_FILE, Snapshot};
use crate::json::{Columns, JsonWriter, NonFinite, RowParser, scan_row};
use crate::row::{TIMESTAMP_COLUMN, Timestamp};

/// Lines that are not rows are kept here.
const BAD_LINES_FILE: &str = "data.jsonl.bad";

/// Rewrites the data file in `folder` sorted and merged. Returns the index of the new file.
pub(super) fn rewrite(folder: &Path) -> Result<Index, StoreError> {
    let path = folder.join(DATA_FILE);
    let Some(snapshot) = Snapshot::open(folder)? else {
        return Ok(Index::default());
    };
    if snapshot.index().bad_lines() > 0 {
        keep_bad_lines(folder, &path, snapshot.index())?;
    }
    let index = write_sorted(&snapshot, &path)?;
    tracing::debug!(path = %path.display(), rows = index.rows(), "sorted and merged");
    Ok(index)
}

/// Replaces the file at `path`. If this fails, the original is untouched.
fn write_sorted(snapshot: &Snapshot, path: &Path) -> Result<Index, StoreError> {
    let file = Replacement::of(path).map_err(StoreError::io("replace", path))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut index = Index::default();
    snapshot.index().columns().iter().for_each(|column| index.push_column(column));
    for_each_line(snapshot, f64::INFINITY, path, |ts, line| {
        out.write_all(line)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(StoreError::io("replace", path))?;
        index.push_row(ts, line.len() as u64 + 1);
        Ok(ControlFlow::Continue(()))
    })?;
    out.into_inner()
        .map_err(|error| error.into_error())
        .and_then(|file| file.keep(Durable::Now))
        .map_err(StoreError::io("replace", path))?;
    Ok(index)
}

/// Calls back for the rows up to `end`, inclusive, as the lines of a tidy file. Errors name `path`.
pub(super) fn for_each_line(
    snapshot: &Snapshot,
    end: f64,
    path: &Path,
    mut each: impl FnMut(Timestamp, &[u8]) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut parser = RowParser::default();
    let mut merged = Vec::new();
    for raw in snapshot.cursor(f64::NEG_INFINITY, end) {
        let raw = raw?;
        merged.clear();
        let line = match raw.single_line() {
            Some(line) => line.trim_ascii_end(),
            None => {
                let row = raw.parse(&mut parser, &Columns::All).map_err(|error| {
                    StoreError::Malformed { path: path.to_owned(), reason: error.to_string() }
                })?;
                let mut writer = JsonWriter::new(&mut merged, NonFinite::Tokens);
                writer.row(TIMESTAMP_COLUMN, row.ts, &row.fields);
                merged.as_slice()
            }
        };
        if each(raw.ts, line)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn keep_bad_lines(folder: &Path, data_path: &Path, index: &Index) -> Result<(), StoreError> {
    let data = handles::open(data_path, How::Read).map_err(StoreError::io("open", data_path))?;
    let path = folder.join(BAD_LINES_FILE);
    let kept = disk::open_to_append(&path).map_err(StoreError::io("open", &path))?;
    for block in index.blocks().iter().filter(|b| b.bad > 0) {
        let mut bytes = vec![0; block.len as usize];
        data.read_exact_at(&mut bytes, block.offset).map_err(StoreError::io("read", data_path))?;
        let lines = bytes.split_inclusive(|b| *b == b'\n');
        for line in lines.filter(|l| !l.trim_ascii().is_empty() && scan_row(l, |_| {}).is_err()) {
            disk::write_all(&kept, &path, line).map_err(StoreError::io("append to", &path))?;
        }
    }
    // Before the rewrite that leaves them out.
    disk::sync(&kept, &path)
        .and_then(|()| disk::sync_folder(folder))
        .map_err(StoreError::io("sync", &path))?;
    tracing::warn!(lines = index.bad_lines(), kept_in = %path.display(),
        "lines that are not rows were taken out of {}", data_path.display());
    Ok(())
}
