//! The files of an experiment: camera frames, clouds, configurations, anything that rows refer to
//! by name.

mod content_type;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::TrackError;
use super::experiment::Experiment;
use super::local::{FileDescription, FileInfo, FileStore, StoreError, WholeFile, checksum};
use super::name::FilePath;
use super::state::ExperimentState;

/// A folder of an experiment's files, from [`Experiment::files`]. Cheap to clone and safe to use
/// from many threads.
///
/// ```
/// # use mldash_track::{fields, Experiment, Options};
/// # let root = tempfile::tempdir()?;
/// let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
/// let frames = exp.files("frames");
/// let frame = frames.save_bytes(b"\xff\xd8...", "frame_00001.jpg")?;
/// exp.tracks("camera").append(fields! { "file": frame.filename, "bytes": frame.size_bytes }, 0.033)?;
///
/// assert_eq!(frames.read("frame_00001.jpg")?, b"\xff\xd8...");
/// assert_eq!(frames.list()?[0].content_type, "image/jpeg");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Files {
    shared: Arc<ExperimentState>,
    folder: String,
    description: Option<String>,
    tags: Option<Vec<String>>,
    metadata: Option<serde_json::Value>,
    /// Derived from the name's extension if `None`.
    content_type: Option<String>,
}

/// A listed file as far as it takes to find, compare and read it: for whoever has very many of them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    id: Box<str>,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256; `None` if the list has none.
    pub sha256: Option<[u8; 32]>,
}

impl Experiment {
    /// The files in `folder`; all files if it is empty or `/`.
    ///
    /// This does not fail on an invalid folder; the methods of `Files` do.
    pub fn files(&self, folder: &str) -> Files {
        Files {
            shared: self.shared.clone(),
            folder: folder.trim_matches('/').to_owned(),
            description: None,
            tags: None,
            metadata: None,
            content_type: None,
        }
    }
}

impl Files {
    /// Sets the description of files saved next.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the tags of files saved next.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Sets other metadata of files saved next.
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Sets the media type of files saved next. The default follows the name's extension.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Saves `bytes` as `name`, which may contain folders: `left/frame_00001.jpg`. Replaces a file
    /// of that name.
    ///
    /// Returns once the whole file is in the store and listed: other processes can read it, and it
    /// survives `kill -9`. Until the experiment is closed, a power cut can lose it.
    ///
    /// # Errors
    /// Fails if the name is invalid, the experiment is not open for writing, or the store can't be
    /// written. Nothing of the file is left then.
    pub fn save_bytes(&self, bytes: impl AsRef<[u8]>, name: &str) -> Result<FileInfo, TrackError> {
        // Reading from memory can't fail, so the path is never shown.
        self.save(&mut bytes.as_ref(), Path::new(name), name)
    }

    /// Like [`save_bytes`](Self::save_bytes), for an existing file, under its own name.
    ///
    /// # Errors
    /// As [`save_bytes`](Self::save_bytes). Also fails if the file can't be read.
    pub fn save_file(&self, path: impl AsRef<Path>) -> Result<FileInfo, TrackError> {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.save_file_as(path, &name)
    }

    /// Like [`save_file`](Self::save_file), under another name.
    ///
    /// # Errors
    /// As [`save_file`](Self::save_file).
    pub fn save_file_as(&self, path: impl AsRef<Path>, name: &str) -> Result<FileInfo, TrackError> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        self.save(&mut file, path, name)
    }

    fn save(
        &self,
        source: &mut dyn std::io::Read,
        source_path: &Path,
        name: &str,
    ) -> Result<FileInfo, TrackError> {
        self.save_by(name, |store, place, about| store.save(place, about, source, source_path))
    }

    /// Like [`save_bytes`](Self::save_bytes), but moves a file that is on the store's file system.
    pub fn adopt(&self, file: WholeFile, name: &str) -> Result<FileInfo, TrackError> {
        self.save_by(name, |store, place, about| store.adopt(place, about, file))
    }

    fn save_by(
        &self,
        name: &str,
        save: impl FnOnce(
            &FileStore,
            &FilePath,
            FileDescription,
        ) -> Result<Option<FileInfo>, StoreError>,
    ) -> Result<FileInfo, TrackError> {
        let place = self.place(name)?;
        self.shared.check_writing()?;
        self.shared.check_room()?;
        let content_type = self.content_type.clone();
        let about = FileDescription {
            content_type: content_type
                .unwrap_or_else(|| content_type::of(place.filename()).to_owned()),
            description: self.description.clone(),
            tags: self.tags.clone().unwrap_or_default(),
            metadata: self.metadata.clone(),
        };
        let saved = save(&self.shared.files, &place, about)?;
        saved.ok_or_else(|| TrackError::Closed(self.shared.name.to_string()))
    }

    /// The files in this folder and below it, by folder and name.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn list(&self) -> Result<Vec<FileInfo>, TrackError> {
        let files = self.shared.files.list()?;
        Ok(files.iter().filter(|file| self.holds(file)).cloned().collect())
    }

    /// Passes every file in this folder and below it to `take`, with its folder and name as in `left/frame_00001.jpg`. In no order; one
    /// may come twice. Memory does not depend on their number.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn for_each(&self, mut take: impl FnMut(String, StoredFile)) -> Result<(), TrackError> {
        let pass = |file: &FileInfo| {
            if self.holds(file) {
                let place = match file.path.trim_matches('/') {
                    "" => file.filename.clone(),
                    folder => format!("{folder}/{}", file.filename),
                };
                let (id, size_bytes) = (file.id.as_str().into(), file.size_bytes);
                let sha256 = parse_sha256(&file.checksum);
                take(place, StoredFile { id, size_bytes, sha256 });
            }
        };
        Ok(self.shared.files.for_each(pass)?)
    }

    /// Opens a file that [`for_each`](Self::for_each) passed with this place. Returns its path too, for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_stored(
        &self,
        place: &str,
        file: &StoredFile,
    ) -> Result<(File, PathBuf), TrackError> {
        Ok(self.shared.files.open_by_id(place, &file.id)?)
    }

    /// Reads a file that [`for_each`](Self::for_each) passed with this place.
    ///
    /// # Errors
    /// As [`read_listed`](Self::read_listed).
    pub fn read_stored(&self, place: &str, file: &StoredFile) -> Result<Vec<u8>, TrackError> {
        let (mut data, path) = self.open_stored(place, file)?;
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
        if parse_sha256(&checksum(&bytes)) != file.sha256 {
            return Err(TrackError::FileDamaged { path });
        }
        Ok(bytes)
    }

    /// The file of this name; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the name is invalid or the store can't be read.
    pub fn find(&self, name: &str) -> Result<Option<FileInfo>, TrackError> {
        let place = self.place(name)?;
        let files = self.shared.files.list()?;
        Ok(files.iter().find(|file| is_at(file, &place)).cloned())
    }

    /// Reads the file of this name.
    ///
    /// # Errors
    /// Fails if there is no such file, it is not what was saved, or the store can't be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, TrackError> {
        let info = self.find(name)?.ok_or_else(|| self.no_file(name))?;
        self.read_listed(&info)
    }

    /// Reads a listed file.
    ///
    /// # Errors
    /// Fails if the file is not what was saved or the store can't be read.
    pub fn read_listed(&self, file: &FileInfo) -> Result<Vec<u8>, TrackError> {
        let (mut data, path) = self.open(file)?;
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
        if checksum(&bytes) != file.checksum {
            return Err(TrackError::FileDamaged { path });
        }
        Ok(bytes)
    }

    /// Opens a listed file, for files too large to read at once. Returns its path too, for messages.
    ///
    /// # Errors
    /// As [`path`](Self::path). Also fails if it can't be opened.
    pub fn open(&self, file: &FileInfo) -> Result<(File, PathBuf), TrackError> {
        Ok(self.shared.files.open_data(file)?)
    }

    /// The path of a listed file, for files too large to read at once.
    ///
    /// # Errors
    /// Fails if the list names a place outside of the experiment, which only another program would
    /// write.
    pub fn path(&self, file: &FileInfo) -> Result<PathBuf, TrackError> {
        Ok(self.shared.files.data_path(file)?)
    }

    /// Removes the file of this name from the list. Its data stays on disk, as with the SDK.
    ///
    /// # Errors
    /// Fails if there is no such file, the experiment is not open for writing, or the store can't
    /// be written.
    pub fn delete(&self, name: &str) -> Result<FileInfo, TrackError> {
        let place = self.place(name)?;
        let mut deleted = self.delete_all(|file| is_at(file, &place))?;
        deleted.pop().ok_or_else(|| self.no_file(name))
    }

    /// Stores [`description`](Self::description), [`tags`](Self::tags) and
    /// [`metadata`](Self::metadata) for the file of this name. Those that were not set keep their
    /// stored value.
    ///
    /// # Errors
    /// Fails if there is no such file, the experiment is not open for writing, or the store can't
    /// be written.
    pub fn annotate(&self, name: &str) -> Result<FileInfo, TrackError> {
        self.shared.check_writing()?;
        let place = self.place(name)?;
        let mut changed = self.shared.files.change(
            |file| is_at(file, &place),
            |file| {
                if let Some(description) = &self.description {
                    file.description = Some(description.clone());
                }
                if let Some(tags) = &self.tags {
                    file.tags.clone_from(tags);
                }
                if let Some(metadata) = &self.metadata {
                    file.metadata = Some(metadata.clone());
                }
            },
        )?;
        changed.pop().ok_or_else(|| self.no_file(name))
    }

    /// Removes the files of this folder that `unwanted` accepts from the list, all at once.
    ///
    /// # Errors
    /// Fails if the experiment is not open for writing or the store can't be written.
    pub fn delete_all(
        &self,
        unwanted: impl Fn(&FileInfo) -> bool,
    ) -> Result<Vec<FileInfo>, TrackError> {
        self.shared.check_writing()?;
        Ok(self.shared.files.delete(|file| self.holds(file) && unwanted(file))?)
    }

    pub(super) fn store(&self) -> &FileStore {
        &self.shared.files
    }

    fn place(&self, name: &str) -> Result<FilePath, TrackError> {
        let name = name.trim_start_matches('/');
        let place = match self.folder.as_str() {
            "" => name.parse(),
            folder => format!("{folder}/{name}").parse(),
        };
        Ok(place?)
    }

    fn holds(&self, file: &FileInfo) -> bool {
        let folder = file.path.trim_matches('/');
        let below = folder.strip_prefix(self.folder.as_str());
        self.folder.is_empty() || below.is_some_and(|b| b.is_empty() || b.starts_with('/'))
    }

    fn no_file(&self, name: &str) -> TrackError {
        TrackError::NoFile {
            folder: self.folder.clone(),
            name: name.to_owned(),
            experiment: self.shared.name.to_string(),
        }
    }
}

/// The bytes of a SHA-256 in hexadecimal; `None` if it is none.
pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut sha256 = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, digits) in sha256.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(sha256)
}

fn is_at(file: &FileInfo, place: &FilePath) -> bool {
    file.filename == place.filename() && file.path.trim_matches('/') == place.folder()
}
