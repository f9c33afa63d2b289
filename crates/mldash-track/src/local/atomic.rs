//! Replacing small files whole: a reader sees the old text or the new one, never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::handles;

/// Puts `contents` at `path` by way of a temporary neighbour.
pub fn replace_file(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary_beside(path);
    let written = handles::with_room(|| File::create(&temporary))
        .and_then(|mut file| file.write_all(contents))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // What remains of a failed try is of no use to anybody; the error is the first one.
        let _ = fs::remove_file(&temporary);
        StoreError::Io { action: "write", path: path.to_owned(), source }
    })
}

/// As [`replace_file`], and in its place also after a power cut.
pub(super) fn replace_file_durably(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    replace_file(path, contents)?;
    let folder = path.parent().unwrap_or(path);
    File::open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_folder(folder))
        .map_err(StoreError::io("sync", path))
}

/// A hidden name in the same folder, this process's own.
pub(super) fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Makes renames and new files in `folder` survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    handles::with_room(|| File::open(folder))?.sync_all()
}
