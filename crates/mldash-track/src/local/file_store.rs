//! Files beside the tracks, in ML-Dash's layout: `files/<path>/<id>/<filename>`, listed in
//! `files/.files_metadata.json`.
//!
//! What is durable when:
//! 1. Once [`FileStore::save`] returns, the file is whole and listed: other processes see it, and
//!    it survives `kill -9`. Its data is stored under its own id before its line is in the journal.
//! 2. The journal is folded into `.files_metadata.json` at close, and whenever it has grown to a
//!    quarter of that file or to 32 MiB: n files cost in the order of n writes, not n², up to half a
//!    million files. Folding holds the journal in memory, not the list. The Python SDK, which does
//!    not know the journal, sees a file at the latest when the experiment is closed.
//! 3. Folding sets the journal aside, replaces the whole metadata under the SDK's own lock, removes
//!    the data of files that were saved over, then removes the journal set aside. After a crash in
//!    between it runs again, and skips what is already listed or no longer has data.
//! 4. Close syncs the file system, so that nothing is lost in a power cut. Before that, a power cut
//!    may lose what the operating system had not written yet; the checksum shows it.
//!
//! Readers look at the journal, the journal set aside and the metadata, in this order, so that no
//! fold in between can hide a file from them.

mod folding;
#[cfg(feature = "remote")]
mod following;
mod journal;
mod listing;
mod new_list;
mod newcomers;
mod rebuilding;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::beneath::How;
use super::disk;
use super::error::StoreError;
use super::file_id;
use super::file_stamp::FileStamp;
use super::handles;
use super::metadata::{Extra, utc_now};
use crate::name::{ExperimentName, FilePath};
#[cfg(feature = "remote")]
pub(crate) use following::{FileFollower, FileNews};
use journal::Journal;
use listing::KeptListing;

const COPY_BYTES: usize = 256 << 10;
/// Where an experiment's files lie.
const FILES_FOLDER: &str = "files";
/// A journal this large is folded, whatever the size of the list: folding holds it in memory.
const MAX_JOURNAL_BYTES: u64 = 32 << 20;

/// A file of an experiment, as ML-Dash lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileInfo {
    /// A number as text; larger for later files.
    pub id: String,
    /// The experiment, as ML-Dash names it locally.
    #[serde(default)]
    pub experiment_id: String,
    /// The folder, with a leading `/`.
    pub path: String,
    /// The name in that folder.
    pub filename: String,
    /// A description.
    #[serde(default)]
    pub description: Option<String>,
    /// Tags for search.
    #[serde(default)]
    pub tags: Vec<String>,
    /// ML-Dash's collections that it is in.
    #[serde(default)]
    pub bindrs: Vec<String>,
    /// Its media type, by the name's extension.
    #[serde(default)]
    pub content_type: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 in hexadecimal.
    pub checksum: String,
    /// Any other metadata.
    #[serde(default)]
    pub metadata: Option<serde_json::Value>,
    /// When it was saved, UTC, ISO 8601.
    #[serde(default)]
    pub uploaded_at: Option<String>,
    /// When the file or its notes last changed.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<String>,
    #[serde(flatten)]
    extra: Extra,
}

/// Notes on a file, given when it is saved.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileDescription {
    pub(crate) content_type: String,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: Option<serde_json::Value>,
}

/// A file that is already on the store's file system, and what is known of it.
#[derive(Debug)]
pub struct WholeFile {
    /// Its path.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 in hexadecimal.
    pub checksum: String,
}

/// The lists of an experiment's files, whether they are there or not.
pub(crate) fn lists(experiment: &Path) -> [PathBuf; 3] {
    [journal::JOURNAL_FILE, journal::ASIDE_FILE, folding::METADATA_FILE]
        .map(|list| experiment.join(FILES_FOLDER).join(list))
}

/// The files of one experiment.
#[derive(Debug)]
pub(crate) struct FileStore {
    /// `…/files`.
    folder: PathBuf,
    experiment_id: String,
    journal: Mutex<Journal>,
    /// Held while the metadata is rewritten.
    folding: Mutex<()>,
    metadata_bytes: AtomicU64,
    kept: Mutex<KeptListing>,
    saved: AtomicU64,
    /// Bytes of files that were saved, less those that were removed.
    grown: AtomicI64,
}

impl FileStore {
    /// The files of the experiment in `experiment`, whether it has any or not.
    pub(crate) fn new(experiment: &Path, name: &ExperimentName) -> Self {
        let folder = experiment.join(FILES_FOLDER);
        Self {
            journal: Mutex::new(Journal::new(&folder)),
            metadata_bytes: FileStamp::of(&folder.join(folding::METADATA_FILE)).bytes().into(),
            folder,
            experiment_id: format!("{}/{name}", name.project()),
            folding: Mutex::default(),
            kept: Mutex::default(),
            saved: AtomicU64::default(),
            grown: AtomicI64::default(),
        }
    }

    /// Stores the contents of `source`, replacing a file at the same place. `None` once closed.
    ///
    /// # Errors
    /// Nothing is left behind.
    pub(crate) fn save(
        &self,
        place: &FilePath,
        about: FileDescription,
        source: &mut dyn Read,
        source_path: &Path,
    ) -> Result<Option<FileInfo>, StoreError> {
        self.save_by(place, about, |data| write_hashed(data, source, source_path))
    }

    /// Like [`save`](Self::save), for a file that is moved into place.
    pub(crate) fn adopt(
        &self,
        place: &FilePath,
        about: FileDescription,
        file: WholeFile,
    ) -> Result<Option<FileInfo>, StoreError> {
        self.save_by(place, about, |data| {
            disk::rename(&file.path, data).map_err(StoreError::io("move", &file.path))?;
            Ok((file.size_bytes, file.checksum))
        })
    }

    /// Calls `put` with the path for the data. `put` returns the size and the checksum.
    fn save_by(
        &self,
        place: &FilePath,
        about: FileDescription,
        put: impl FnOnce(&Path) -> Result<(u64, String), StoreError>,
    ) -> Result<Option<FileInfo>, StoreError> {
        let (id, data_folder) = self.claim_id(place)?;
        let saved = put(&data_folder.join(place.filename()))
            .map(|(size_bytes, checksum)| self.describe(id, place, about, size_bytes, checksum))
            .and_then(|info| Ok(self.journal.lock().append(&info)?.then_some(info)));
        if let Ok(Some(info)) = &saved {
            self.saved.fetch_add(1, Ordering::Relaxed);
            self.grown.fetch_add(info.size_bytes.cast_signed(), Ordering::Relaxed);
        } else {
            // Half a file under an unlisted id is useless.
            let _ = disk::remove_tree(&data_folder);
        }
        saved
    }

    fn describe(
        &self,
        id: u64,
        place: &FilePath,
        about: FileDescription,
        size_bytes: u64,
        checksum: String,
    ) -> FileInfo {
        let now = utc_now();
        FileInfo {
            id: id.to_string(),
            experiment_id: self.experiment_id.clone(),
            path: format!("/{}", place.folder()),
            filename: place.filename().to_owned(),
            description: about.description,
            tags: about.tags,
            bindrs: Vec::new(),
            content_type: about.content_type,
            size_bytes,
            checksum,
            metadata: about.metadata,
            uploaded_at: Some(now.clone()),
            updated_at: Some(now),
            deleted_at: None,
            extra: Extra::new(),
        }
    }

    /// Claims a new id and its folder.
    fn claim_id(&self, place: &FilePath) -> Result<(u64, PathBuf), StoreError> {
        let parent = self.folder.join(place.folder());
        disk::create_folders(&parent).map_err(StoreError::io("create", &parent))?;
        loop {
            let id = file_id::next();
            let folder = parent.join(id.to_string());
            match disk::create_folder(&folder) {
                Ok(()) => return Ok((id, folder)),
                // Left by a run whose clock was ahead.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("create", &folder)(error)),
            }
        }
    }

    /// The path of a file's data.
    ///
    /// # Errors
    /// Fails for a place outside of the experiment, which only another program would write.
    pub(crate) fn data_path(&self, info: &FileInfo) -> Result<PathBuf, StoreError> {
        Ok(self.data_folder(info)?.join(&info.filename))
    }

    /// Opens the data of the file `id`, which is listed as `place`: folder and name. Returns its path too.
    ///
    /// # Errors
    /// As [`open_data`](Self::open_data).
    pub(crate) fn open_by_id(&self, place: &str, id: &str) -> Result<(File, PathBuf), StoreError> {
        let (folder, filename) = place.rsplit_once('/').unwrap_or(("", place));
        let path = self.folder_of(folder, id, filename)?.join(filename);
        let file = handles::open(&path, How::Read).map_err(StoreError::io("open", &path))?;
        Ok((file, path))
    }

    /// Opens a file's data. Returns its path too.
    ///
    /// # Errors
    /// As [`data_path`](Self::data_path). Also fails if it can't be opened.
    pub(crate) fn open_data(&self, info: &FileInfo) -> Result<(File, PathBuf), StoreError> {
        let path = self.data_path(info)?;
        let file = handles::open(&path, How::Read).map_err(StoreError::io("open", &path))?;
        Ok((file, path))
    }

    fn data_folder(&self, info: &FileInfo) -> Result<PathBuf, StoreError> {
        self.folder_of(&info.path, &info.id, &info.filename)
    }

    fn folder_of(&self, folder: &str, id: &str, filename: &str) -> Result<PathBuf, StoreError> {
        let place = Path::new(folder.trim_start_matches('/'));
        let is_one_name = |text: &str| {
            let mut parts = Path::new(text).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        };
        let is_inside = place.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || !is_one_name(id) || !is_one_name(filename) {
            return Err(StoreError::Malformed {
                path: self.metadata_path(),
                reason: format!("it names a file outside of the experiment: {folder:?}"),
            });
        }
        Ok(self.folder.join(place).join(id))
    }

    /// How many bytes were added: the data of files that were saved, less that of those that were
    /// removed, and their lists.
    #[cfg(feature = "remote")]
    pub(crate) fn grown_bytes(&self) -> i64 {
        let lists = self.journal.lock().bytes() + self.metadata_bytes.load(Ordering::Relaxed);
        self.grown.load(Ordering::Relaxed).saturating_add_unsigned(lists)
    }

    fn note_removed(&self, file: &FileInfo) {
        self.grown.fetch_sub(file.size_bytes.cast_signed(), Ordering::Relaxed);
    }

    /// Returns true if the journal is large enough for a fold.
    pub(crate) fn is_fold_due(&self) -> bool {
        let waiting = self.journal.lock().bytes();
        let listed = self.metadata_bytes.load(Ordering::Relaxed);
        waiting >= MAX_JOURNAL_BYTES || (waiting > 0 && waiting.saturating_mul(4) >= listed)
    }

    /// Accepts no more files, lists all saved ones, and makes them survive a power cut. Returns
    /// their number.
    pub(crate) fn close(&self) -> Result<u64, StoreError> {
        self.journal.lock().close();
        // Files that could not be listed are in the journal, and safe with it.
        let folded = self.fold();
        let saved = self.saved.load(Ordering::Relaxed);
        // A run that was killed may have left some that are not safe yet, listed or not.
        if self.folder.exists() {
            disk::sync_file_system(&self.folder).map_err(StoreError::io("sync", &self.folder))?;
        }
        folded?;
        self.saved.store(0, Ordering::Relaxed);
        Ok(saved)
    }
}

/// Copies `source` into a new file. Returns its size and its SHA-256.
fn write_hashed(
    path: &Path,
    source: &mut dyn Read,
    source_path: &Path,
) -> Result<(u64, String), StoreError> {
    let file = disk::create_new(path).map_err(StoreError::io("create", path))?;
    hashed(source, source_path, |chunk| {
        disk::write_all(&file, path, chunk).map_err(StoreError::io("write", path))
    })
}

/// The size of `source` and its SHA-256. `take` gets each part of it.
fn hashed(
    source: &mut dyn Read,
    source_path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(u64, String), StoreError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    let mut size_bytes = 0;
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok((size_bytes, hex(&hash.finalize()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(StoreError::io("read", source_path)(error)),
        };
        let chunk = &buffer[..read];
        hash.update(chunk);
        take(chunk)?;
        size_bytes += read as u64;
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Hexadecimal, as checksums are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
