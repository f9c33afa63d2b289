//! Rewrites a track's file atomically: sorted by time, one line per time. Memory is bounded, in
//! whatever order rows came (`merging`).

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::atomic::{Durable, Replacement};
use super::cursor::Cursor;
use super::disk;
use super::error::StoreError;
use super::index::Index;
use super::index_file;
use super::row_file::RowText;
use super::snapshot::DataFile;
use crate::json::{Columns, JsonWriter, NonFinite, RowParser, scan_row};
use crate::row::{TIMESTAMP_COLUMN, Timestamp};

/// Lines that are not rows are kept here.
const BAD_LINES_FILE: &str = "data.jsonl.bad";

/// Rewrites the data file in `folder`, all of which `index` covers, sorted and merged. Returns the
/// index of the new file; `None`, and the file is as it was, if another program has appended to it
/// meanwhile.
///
/// # Errors
/// The file is the old one or the new one, whole.
pub(super) fn rewrite(
    data: Arc<DataFile>,
    index: &Index,
    folder: &Path,
) -> Result<Option<Index>, StoreError> {
    let path = &data.path;
    let (blocks, all) = (index.blocks().iter().copied(), f64::INFINITY);
    let (file, tidy) = write_sorted(Cursor::new(data.clone(), blocks, -all, all), index, path)?;
    // Sorting and syncing take long. Nothing does from here on.
    if data.file.text_bytes().map_err(StoreError::io("read", path))? != index.end() {
        return Ok(None);
    }
    if index.bad_lines() > 0 {
        keep_bad_lines(&data, index)?;
    }
    // The new file may have the length and the ends of the old one.
    index_file::remove(folder)?;
    file.keep(Durable::Now).map_err(StoreError::io("replace", path))?;
    tracing::debug!(path = %path.display(), rows = tidy.rows(), "sorted and merged");
    Ok(Some(tidy))
}

/// Writes a new version of the file at `path`, and syncs it.
fn write_sorted(
    rows: Cursor,
    before: &Index,
    path: &Path,
) -> Result<(Replacement, Index), StoreError> {
    let file = Replacement::of(path).map_err(StoreError::io("replace", path))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut index = Index::default();
    before.columns().iter().for_each(|column| index.push_column(column));
    for_each_line(rows, path, |ts, line| {
        out.write_all(line)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(StoreError::io("replace", path))?;
        index.push_row(ts, line.len() as u64 + 1);
        Ok(ControlFlow::Continue(()))
    })?;
    let file = out.into_inner().map_err(|error| error.into_error());
    let file = file.and_then(|file| file.sync().map(|()| file));
    Ok((file.map_err(StoreError::io("replace", path))?, index))
}

/// Calls back for the rows as the lines of a tidy file. Errors name `path`.
pub(super) fn for_each_line(
    rows: Cursor,
    path: &Path,
    mut each: impl FnMut(Timestamp, &[u8]) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut parser = RowParser::default();
    let mut merged = Vec::new();
    for raw in rows {
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

fn keep_bad_lines(data: &DataFile, index: &Index) -> Result<(), StoreError> {
    let DataFile { file, path: data_path, .. } = data;
    let path = data_path.with_file_name(BAD_LINES_FILE);
    let kept = disk::open_to_append(&path).map_err(StoreError::io("open", &path))?;
    for block in index.blocks().iter().filter(|b| b.bad > 0) {
        let mut bytes = vec![0; block.len as usize];
        file.read_whole_text(&mut bytes, block.offset)
            .map_err(StoreError::io("read", data_path))?;
        let lines = bytes.split_inclusive(|b| *b == b'\n');
        for line in lines.filter(|l| !l.trim_ascii().is_empty() && scan_row(l, |_| {}).is_err()) {
            disk::write_all(&kept, &path, line).map_err(StoreError::io("append to", &path))?;
        }
    }
    // Before the rewrite that leaves them out.
    disk::sync(&kept, &path)
        .and_then(|()| disk::sync_folder(path.parent().unwrap_or(&path)))
        .map_err(StoreError::io("sync", &path))?;
    tracing::warn!(lines = index.bad_lines(), kept_in = %path.display(),
        "lines that are not rows were taken out of {}", data_path.display());
    Ok(())
}
