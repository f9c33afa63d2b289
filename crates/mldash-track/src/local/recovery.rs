//! Repairs what a crash left of a track: a torn last line, rows that are not sorted and merged,
//! metadata that can't be used. Opening an experiment does at once what is quick; what takes long is
//! left to the close, and readers do without it.

use std::fs::File;
use std::path::Path;

use super::appender::TrackAppender;
use super::beneath::open_to_append;
use super::disk;
use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::index::Index;
use super::index_file;
use super::metadata::TrackMetadata;
use super::packing;
use super::row_file::{self, DATA_FILE};
use super::snapshot::extend_index;
use crate::json::scan_row;
use crate::name::TrackName;

/// A larger track is not sorted when it is opened.
pub(super) const TIDIED_AT_OPEN_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 16 << 20 };
/// How much of the tracks that nobody appends to yet is repaired when an experiment is opened.
pub(super) const REPAIRED_AT_OPEN_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// Indexes what follows the index's end. Adds a missing line end to the last row; cuts a torn one.
pub(super) fn mend_tail(data: &File, path: &Path, index: &mut Index) -> Result<(), StoreError> {
    let rest = extend_index(data, index).map_err(StoreError::io("read", path))?;
    if rest.is_empty() {
        return Ok(());
    }
    if scan_row(&rest, |_| {}).is_ok() {
        disk::write_all(data, path, b"\n").map_err(StoreError::io("append to", path))?;
        index.push_line(&rest, rest.len() as u64 + 1);
        return Ok(());
    }
    tracing::warn!(path = %path.display(), bytes = rest.len(),
        "cut a torn last line, left by a crash while it was written");
    disk::cut(data, path, index.end()).map_err(StoreError::io("mend", path))
}

/// Repairs a track that its last writer left untidy or without usable metadata, without waiting for
/// an append. Returns false, and does nothing, if it is larger than `room`, from which it is taken.
pub(super) fn repair(
    experiment: &ExperimentDir,
    name: &TrackName,
    room: &mut u64,
) -> Result<bool, StoreError> {
    let folder = experiment.track_folder(name);
    if row_file::is_packed(&folder) {
        if !packing::settle(&folder, room)? {
            return Ok(false);
        }
        if row_file::is_packed(&folder) {
            // Packed rows are at rest.
            return Ok(true);
        }
    }
    let data_path = folder.join(DATA_FILE);
    let data = open_to_append(&data_path)?;
    let len = data.metadata().map_err(StoreError::io("read", &data_path))?.len();
    let index = index_file::load(&folder, &data).map_err(StoreError::io("read", &data_path))?;
    let is_tidy = index.is_some_and(|index| index.end() == len && index.is_tidy());
    if is_tidy && TrackMetadata::load(&folder)?.is_some() {
        // What an index covers is on the disk.
        return Ok(true);
    }
    let Some(left) = room.checked_sub(len) else { return Ok(false) };
    *room = left;
    TrackAppender::open(experiment, name)?.close().map(|_| true)
}
