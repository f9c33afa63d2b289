//! Makes room: removes from the store only what a server provably has.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::local::{ExperimentDir, FileInfo, FileStore, Follower, StoreError, remove_track_data};
use crate::name::{ExperimentName, TrackName};
use crate::remote::plan::FileId;
use crate::remote::state::{CheckpointFile, FOLDER, Refusals};

/// An experiment that was uploaded, at least in part.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) name: ExperimentName,
    /// When the server last accepted part of it.
    pub(crate) at: SystemTime,
}

/// The size of a folder tree, and the uploaded experiments in it.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) uploaded: Vec<Uploaded>,
}

impl Usage {
    /// Measures the root `root`.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let mut usage = Self::default();
        usage.add(root, root)?;
        usage.uploaded.sort_by_key(|uploaded| uploaded.at);
        Ok(usage)
    }

    fn add(&mut self, folder: &Path, root: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            // What is removed meanwhile takes no space.
            let Ok((entry, metadata)) = entry.and_then(|entry| {
                let metadata = entry.metadata()?;
                Ok((entry, metadata))
            }) else {
                continue;
            };
            if metadata.is_file() {
                self.bytes += metadata.len();
            } else if metadata.is_dir() {
                if entry.file_name() == FOLDER {
                    self.note_uploaded(folder, root, metadata.modified()?);
                }
                match self.add(&entry.path(), root) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn note_uploaded(&mut self, experiment: &Path, root: &Path, at: SystemTime) {
        let name = experiment.strip_prefix(root).ok().and_then(Path::to_str);
        let name = name.and_then(|name| name.parse().ok());
        self.uploaded.extend(name.map(|name| Uploaded { name, at }));
    }
}

/// Removes what the server at `url` has of an experiment that nobody records. Returns the bytes
/// freed. A track's rows are removed only if the server has all of them.
pub(crate) fn remove_synced(
    name: &ExperimentName,
    dir: &ExperimentDir,
    url: &str,
) -> Result<u64, StoreError> {
    let Some(_lock) = dir.try_lock()? else { return Ok(0) };
    let mut removed = 0;
    for mut file in CheckpointFile::all(dir.path(), url) {
        let refused = Refusals::load(file.beside("refused.jsonl"));
        let tracks: Vec<String> = file.current.tracks.keys().cloned().collect();
        for topic in tracks.into_iter().filter(|topic| !refused.has_rows_of(topic)) {
            let Some(sent) = file.current.tracks.get(&topic) else { continue };
            let Ok(track) = topic.parse::<TrackName>() else { continue };
            let folder = dir.track_folder(&track);
            if is_all_of(sent.bytes, |data| sent.is_of(data), &Follower::data_path(&folder))? {
                remove_track_data(&folder)?;
                removed += sent.bytes;
                file.current.tracks.remove(&topic);
            }
        }
        let sent = sent_files(&file.beside("files"));
        if !sent.is_empty() {
            let store = FileStore::new(dir.path(), name);
            removed += store.remove(|info| is_among(info, &sent))?;
        }
        if let Err(error) = file.save() {
            // Progress then claims more than is here; the next look corrects it.
            tracing::warn!("{error}");
        }
    }
    Ok(removed)
}

/// Removes the oldest files, about `bytes` in total, that the server at `url` has of an experiment
/// that is being recorded. Returns the bytes freed.
pub(crate) fn remove_synced_files(
    dir: &ExperimentDir,
    store: &FileStore,
    url: &str,
    bytes: u64,
) -> Result<u64, StoreError> {
    let mut sent: HashSet<FileId> = HashSet::new();
    for file in CheckpointFile::all(dir.path(), url) {
        sent.extend(sent_files(&file.beside("files")));
    }
    let files = store.list()?;
    let mut known: Vec<(FileId, u64)> = files
        .iter()
        .filter(|info| is_among(info, &sent))
        .filter_map(|info| Some((info.id.parse().ok()?, info.size_bytes)))
        .collect();
    known.sort_unstable();
    let mut chosen = HashSet::new();
    let mut chosen_bytes = 0;
    for (id, size_bytes) in known {
        if chosen_bytes >= bytes {
            break;
        }
        chosen_bytes += size_bytes;
        chosen.insert(id);
    }
    if chosen.is_empty() {
        return Ok(0);
    }
    store.remove(|info| is_among(info, &chosen))
}

fn is_all_of(
    bytes: u64,
    is_of: impl Fn(&File) -> io::Result<bool>,
    path: &Path,
) -> Result<bool, StoreError> {
    let data = match File::open(path) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    let same = data.metadata().and_then(|metadata| Ok(metadata.len() == bytes && is_of(&data)?));
    same.map_err(StoreError::io("read", path))
}

fn sent_files(list: &PathBuf) -> HashSet<FileId> {
    let text = fs::read_to_string(list).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn is_among(info: &FileInfo, ids: &HashSet<FileId>) -> bool {
    info.id.parse().is_ok_and(|id: FileId| ids.contains(&id))
}
