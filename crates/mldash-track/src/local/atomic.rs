//! Replaces small files atomically: a reader sees the old text or the new one, never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::handles;

/// Writes `contents` to a temporary file beside `path`, then renames it to `path`.
pub fn replace_file(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary_beside(path);
    let written = handles::with_room(|| File::create(&temporary))
        .and_then(|mut file| file.write_all(contents))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // The rest of a failed try is useless; report the first error.
        let _ = fs::remove_file(&temporary);
        StoreError::Io { action: "write", path: path.to_owned(), source }
    })
}

/// Like [`replace_file`], and survives a power cut.
pub(super) fn replace_file_durably(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    replace_file(path, contents)?;
    let folder = path.parent().unwrap_or(path);
    File::open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_folder(folder))
        .map_err(StoreError::io("sync", path))
}

/// A hidden name in the same folder, unique to this process.
pub(super) fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Makes renames and new files in `folder` survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    handles::with_room(|| File::open(folder))?.sync_all()
}
