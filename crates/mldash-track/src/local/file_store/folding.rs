//! Updates the list of all files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::journal::read_aside;
use super::new_list::NewList;
use super::newcomers::Newcomers;
use super::{FileInfo, FileStore};
use crate::local::beneath::How;
use crate::local::damage;
use crate::local::disk;
use crate::local::error::StoreError;
use crate::local::handles;
use crate::local::lock::lock_sdk;
use crate::local::metadata::{Extra, load_json, save_json, utc_now};

pub(super) const METADATA_FILE: &str = ".files_metadata.json";
/// The Python SDK holds this lock while it rewrites the metadata.
const LOCK_FILE: &str = ".files_metadata.lock";

/// `.files_metadata.json`.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct FilesMetadata {
    #[serde(default)]
    pub(super) files: Vec<FileInfo>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

impl FileStore {
    /// Marks the files that `unwanted` accepts as deleted. Their data stays, as with the SDK.
    pub(crate) fn delete(
        &self,
        unwanted: impl Fn(&FileInfo) -> bool,
    ) -> Result<Vec<FileInfo>, StoreError> {
        self.change(unwanted, |file| file.deleted_at = Some(utc_now()))
    }

    /// Changes the notes of the files that `wanted` accepts. Returns these files after the change.
    pub(crate) fn change(
        &self,
        wanted: impl Fn(&FileInfo) -> bool,
        change: impl Fn(&mut FileInfo),
    ) -> Result<Vec<FileInfo>, StoreError> {
        let _one_at_a_time = self.folding.lock();
        self.fold_waiting()?;
        if !self.metadata_path().exists() {
            return Ok(Vec::new());
        }
        let change = |changed: &mut Vec<FileInfo>, mut file: FileInfo| {
            if file.deleted_at.is_none() && wanted(&file) {
                change(&mut file);
                file.updated_at = Some(utc_now());
                changed.push(file.clone());
            }
            Some(file)
        };
        self.rewrite(|| Ok(Vec::new()), change, |_| Vec::new())
    }

    /// Removes the files that `unwanted` accepts from the list and deletes their data. Returns the
    /// bytes freed.
    pub(crate) fn remove(&self, unwanted: impl Fn(&FileInfo) -> bool) -> Result<u64, StoreError> {
        let _one_at_a_time = self.folding.lock();
        self.fold_waiting()?;
        if !self.metadata_path().exists() {
            return Ok(0);
        }
        let take_out = |gone: &mut Vec<FileInfo>, file: FileInfo| {
            if !unwanted(&file) {
                return Some(file);
            }
            gone.push(file);
            None
        };
        let gone = self.rewrite(|| Ok(Vec::new()), take_out, |_| Vec::new())?;
        let mut removed_bytes = 0;
        for file in gone {
            let folder = self.data_folder(&file)?;
            match disk::remove_tree(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &folder)(error));
                }
                _ => {
                    removed_bytes += file.size_bytes;
                    self.note_removed(&file);
                }
            }
        }
        Ok(removed_bytes)
    }

    /// Adds saved files to the metadata.
    pub(crate) fn fold(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.folding.lock();
        self.fold_waiting()
    }

    fn fold_waiting(&self) -> Result<(), StoreError> {
        if self.journal.lock().is_set_aside() {
            self.fold_aside()?;
        }
        if self.journal.lock().set_aside()? {
            self.fold_aside()?;
        }
        Ok(())
    }

    fn fold_aside(&self) -> Result<(), StoreError> {
        let taken = || Ok(Newcomers::new(read_aside(&self.folder)?, |file| self.has_data(file)));
        let replaced = self.rewrite(taken, Newcomers::meet, Newcomers::rest)?.gave_way;
        if !replaced.is_empty() {
            // Otherwise a power cut could take both the old data and the new.
            disk::sync_file_system(&self.folder).map_err(StoreError::io("sync", &self.folder))?;
        }
        for file in &replaced {
            let Ok(path) = self.data_path(file) else { continue };
            match remove_data(&path) {
                Ok(()) => self.note_removed(file),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "can't remove a replaced file");
                }
            }
        }
        self.journal.lock().forget_aside()
    }

    pub(super) fn has_data(&self, file: &FileInfo) -> bool {
        self.data_path(file).is_ok_and(|path| path.exists())
    }

    /// Rewrites the metadata under the SDK's lock, one file after the other, whatever their number.
    /// `each` gets every file and returns what takes its place, `rest` what follows the last one.
    /// They share what `begin` returns, and so does the caller at the end. If the metadata turns out
    /// to be damaged, it is made anew, and `begin` is called again.
    fn rewrite<T>(
        &self,
        begin: impl Fn() -> Result<T, StoreError>,
        each: impl Fn(&mut T, FileInfo) -> Option<FileInfo>,
        rest: impl Fn(&mut T) -> Vec<FileInfo>,
    ) -> Result<T, StoreError> {
        let _lock = self.keep_sdk_out()?;
        let path = self.metadata_path();
        let mut state = begin()?;
        let list = match NewList::from(&path, |file| each(&mut state, file)) {
            Err(error) if matches!(error, StoreError::Malformed { .. }) || path.is_dir() => {
                let files = self.files_on_disk()?;
                damage::clear_the_way(&path, &error.reason());
                save_json(&path, &FilesMetadata { files, ..FilesMetadata::default() })?;
                state = begin()?;
                NewList::from(&path, |file| each(&mut state, file))?
            }
            list => list?,
        };
        let bytes = list.finish(rest(&mut state))?;
        self.metadata_bytes.store(bytes, Ordering::Relaxed);
        Ok(state)
    }

    /// Holds the SDK's lock as long as the returned value lives.
    pub(super) fn keep_sdk_out(&self) -> Result<File, StoreError> {
        let path = self.folder.join(LOCK_FILE);
        let lock = handles::open(&path, How::MakeAppend).map_err(StoreError::io("open", &path))?;
        lock_sdk(&lock, &path)?;
        Ok(lock)
    }

    pub(super) fn load(&self) -> Result<FilesMetadata, StoreError> {
        Ok(load_json(&self.metadata_path())?.unwrap_or_default())
    }

    pub(super) fn metadata_path(&self) -> PathBuf {
        self.folder.join(METADATA_FILE)
    }
}

/// Removes the file and its id's folder, unless that folder also holds other files.
fn remove_data(path: &Path) -> io::Result<()> {
    disk::remove_file(path)?;
    match path.parent().map(disk::remove_folder) {
        Some(Err(error)) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}
