//! Updates the list of all files.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::journal::read_aside;
use super::{FileInfo, FileStore};
use crate::local::beneath::How;
use crate::local::damage;
use crate::local::disk;
use crate::local::error::StoreError;
use crate::local::handles;
use crate::local::metadata::{Extra, load_json, save_json, utc_now};

const METADATA_FILE: &str = ".files_metadata.json";
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
        mut change: impl FnMut(&mut FileInfo),
    ) -> Result<Vec<FileInfo>, StoreError> {
        let _one_at_a_time = self.folding.lock();
        self.fold_waiting()?;
        if !self.metadata_path().exists() {
            return Ok(Vec::new());
        }
        self.update(|files| {
            let changed = files.iter_mut().filter(|f| f.deleted_at.is_none() && wanted(f));
            let changed = changed.map(|file| {
                change(file);
                file.updated_at = Some(utc_now());
                file.clone()
            });
            changed.collect()
        })
    }

    /// Removes the files that `unwanted` accepts from the list and deletes their data. Returns the
    /// bytes freed.
    pub(crate) fn remove(&self, unwanted: impl Fn(&FileInfo) -> bool) -> Result<u64, StoreError> {
        let _one_at_a_time = self.folding.lock();
        self.fold_waiting()?;
        if !self.metadata_path().exists() {
            return Ok(0);
        }
        let gone =
            self.update(|files| files.extract_if(.., |file| unwanted(file)).collect::<Vec<_>>())?;
        let mut removed_bytes = 0;
        for file in gone {
            let folder = self.data_folder(&file)?;
            match disk::remove_tree(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &folder)(error));
                }
                _ => removed_bytes += file.size_bytes,
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
        let aside = read_aside(&self.folder)?;
        let replaced = self.update(|files| self.take_in(files, aside))?;
        if !replaced.is_empty() {
            // Otherwise a power cut could take both the old data and the new.
            disk::sync_file_system(&self.folder).map_err(StoreError::io("sync", &self.folder))?;
        }
        for path in replaced.iter().filter_map(|file| self.data_path(file).ok()) {
            if let Err(error) = remove_data(&path) {
                tracing::warn!(path = %path.display(), %error, "can't remove a replaced file");
            }
        }
        self.journal.lock().forget_aside()
    }

    /// Adds `new` to `files`, keeping the last file of each place. Returns the replaced files.
    pub(super) fn take_in(&self, files: &mut Vec<FileInfo>, new: Vec<FileInfo>) -> Vec<FileInfo> {
        let place = |file: &FileInfo| (file.path.clone(), file.filename.clone());
        let known: HashSet<String> = files.iter().map(|file| file.id.clone()).collect();
        let live = files.iter().enumerate().filter(|(_, file)| file.deleted_at.is_none());
        let mut places: HashMap<_, usize> = live.map(|(i, file)| (place(file), i)).collect();
        let last: HashMap<_, usize> = new.iter().enumerate().map(|(i, f)| (place(f), i)).collect();
        let mut gave_way = Vec::new();
        for (i, file) in new.into_iter().enumerate() {
            let has_data = || self.data_path(&file).is_ok_and(|path| path.exists());
            if last.get(&place(&file)) != Some(&i) {
                gave_way.push(file);
            } else if known.contains(&file.id) || !has_data() {
                // Folded before a crash, and perhaps saved over since.
            } else if let Some(&at) = places.get(&place(&file)) {
                gave_way.push(std::mem::replace(&mut files[at], file));
            } else {
                places.insert(place(&file), files.len());
                files.push(file);
            }
        }
        gave_way
    }

    /// Rewrites the metadata under the SDK's lock.
    fn update<T>(&self, change: impl FnOnce(&mut Vec<FileInfo>) -> T) -> Result<T, StoreError> {
        let _lock = self.keep_sdk_out()?;
        let mut metadata = match self.load() {
            Err(error) if !error.is_out_of_handles() => {
                let files = self.files_on_disk()?;
                damage::clear_the_way(&self.metadata_path(), &error.reason());
                FilesMetadata { files, ..FilesMetadata::default() }
            }
            loaded => loaded?,
        };
        let result = change(&mut metadata.files);
        let bytes = save_json(&self.metadata_path(), &metadata)?;
        self.metadata_bytes.store(bytes, Ordering::Relaxed);
        Ok(result)
    }

    /// Holds the SDK's lock as long as the returned value lives.
    pub(super) fn keep_sdk_out(&self) -> Result<File, StoreError> {
        let path = self.folder.join(LOCK_FILE);
        let lock = handles::open(&path, How::MakeAppend).map_err(StoreError::io("open", &path))?;
        lock.lock().map_err(StoreError::io("lock", &path))?;
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
