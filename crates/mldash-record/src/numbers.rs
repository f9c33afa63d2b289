//! Numbers the files of each folder, and knows which message each number was given to. So a message
//! that comes again is known by its picture without encoding that anew, and gets the same number: an
//! import that was interrupted, and is run again, gives the same rows and the same files.
//!
//! Beside the files lies a list with 8 bytes for each number: the key of its message, or 0. It is
//! written before the file, in the order of the numbers, and derived: without it, a picture that
//! comes again is stored again, as a row of its own. So a picture whose key can't be noted is not
//! stored but counted as dropped; the disk would hardly take its file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::identity;
use mldash_track::{Experiment, StoreError, Timestamp, TrackError, one_line};

/// Not a file of the experiment: a name that starts with a dot can't be one.
const FILE_NAME: &str = ".messages";
const KEY_BYTES: u64 = 8;
/// Keys of earlier runs that are kept in memory, for each folder: pictures of 38 hours at 30 Hz. A
/// later picture whose row is missing gets a new number. This also bounds what a file with a large
/// number as its name, from another program, can cost.
const MAX_KEYS: u64 = 1 << 22;
/// A file with a larger number is not one of ours.
const MAX_NUMBER: u64 = 1 << 48;

/// The message that a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The hash of its bytes.
    hash: u64,
    /// The hash together with the message's own time.
    key: u64,
}

/// The numbers of an experiment's files, by folder.
#[derive(Debug, Default)]
pub(super) struct FrameNumbers {
    folders: HashMap<String, Folder>,
}

#[derive(Debug)]
struct Folder {
    /// The list; `None` if something else has its name, which was reported.
    list: Option<(File, PathBuf)>,
    /// Keys and numbers of earlier runs that no message of this run has come for.
    unclaimed: BTreeSet<(u64, u64)>,
    /// The number of the next new file.
    next: u64,
}

impl Origin {
    /// The message with this hash and time.
    pub(super) fn new(hash: u64, ts: Timestamp) -> Self {
        // 0 stands for none.
        Self { hash: hash.max(1), key: identity::at(hash, ts, 0).max(1) }
    }

    /// Returns true if a list says so. Earlier versions wrote the hash alone.
    fn is(self, noted: u64) -> bool {
        noted == self.key || noted == self.hash
    }
}

impl FrameNumbers {
    /// The number for a new file in `folder`: the one that this message had in an earlier run, else
    /// the next free one.
    ///
    /// # Errors
    /// Fails if the store can't list its files, or if the message can't be noted.
    pub(super) fn number(
        &mut self,
        exp: &Experiment,
        folder: &str,
        origin: Origin,
    ) -> Result<u64, TrackError> {
        let folder = self.folder(exp, folder)?;
        let mut same = folder.unclaimed.range((origin.key, 0)..=(origin.key, u64::MAX));
        if let Some(&known) = same.next() {
            folder.unclaimed.remove(&known);
            return Ok(known.1);
        }
        let number = folder.next;
        folder.note(number, origin)?;
        folder.next += 1;
        Ok(number)
    }

    /// Returns true if the file at `path` was made of this message.
    pub(super) fn is_of(&mut self, exp: &Experiment, path: &str, origin: Origin) -> bool {
        let Some((folder, name)) = path.rsplit_once('/') else { return false };
        let Some(number) = number_of(name) else { return false };
        let Ok(folder) = self.folder(exp, folder) else { return false };
        let is_of = folder.noted(number).is_some_and(|noted| origin.is(noted));
        if is_of {
            folder.unclaimed.remove(&(origin.key, number));
        }
        is_of
    }

    fn folder(&mut self, exp: &Experiment, folder: &str) -> Result<&mut Folder, TrackError> {
        match self.folders.entry(folder.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                // Tried twice: a message that is looked for in vain would be stored again.
                let opened = Folder::open(exp, folder).or_else(|_| Folder::open(exp, folder));
                Ok(new.insert(opened?))
            }
        }
    }
}

impl Folder {
    fn open(exp: &Experiment, folder: &str) -> Result<Self, TrackError> {
        let path = exp.folder().join("files").join(folder);
        let list_path = path.join(FILE_NAME);
        let opened = open_list(&path, &list_path);
        let (list, keys) = match opened {
            Ok((list, keys)) => (Some((list, list_path)), keys),
            Err(error) if is_no_file(&list_path) => {
                tracing::warn!(
                    "{}; pictures that come again will be stored again",
                    one_line(&error)
                );
                (None, Vec::new())
            }
            Err(error) => return Err(error.into()),
        };
        let next = first_free(exp, folder)?.max(keys.len() as u64);
        let noted = keys.into_iter().zip(0..).filter(|(key, _)| *key != 0);
        Ok(Self { list, unclaimed: noted.collect(), next })
    }

    fn noted(&self, number: u64) -> Option<u64> {
        let mut bytes = [0; KEY_BYTES as usize];
        let (list, _) = self.list.as_ref()?;
        list.read_exact_at(&mut bytes, number.saturating_mul(KEY_BYTES)).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn note(&self, number: u64, origin: Origin) -> Result<(), TrackError> {
        let Some((list, path)) = &self.list else { return Ok(()) };
        let place = number.saturating_mul(KEY_BYTES);
        let noted = list.write_all_at(&origin.key.to_le_bytes(), place);
        noted.map_err(|error| StoreError::io("write", path)(error).into())
    }
}

/// Opens the list in a folder, or creates it, and reads its keys.
fn open_list(folder: &Path, path: &Path) -> Result<(File, Vec<u64>), StoreError> {
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let list = options.open(path).map_err(StoreError::io("open", path))?;
    let mut bytes = Vec::new();
    let read = (&list).take(MAX_KEYS * KEY_BYTES).read_to_end(&mut bytes);
    read.map_err(StoreError::io("read", path))?;
    let keys = bytes.as_chunks().0.iter().map(|key| u64::from_le_bytes(*key));
    Ok((list, keys.collect()))
}

/// Returns true if a folder, say, has the list's name: it will not go away by itself.
fn is_no_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// The number after those of the files in a folder.
fn first_free(exp: &Experiment, folder: &str) -> Result<u64, TrackError> {
    let files = exp.files(folder).list()?;
    let here = files.iter().filter(|file| file.path.trim_matches('/') == folder);
    let numbers = here.filter_map(|file| number_of(&file.filename));
    Ok(numbers.max().map_or(0, |last| last + 1))
}

/// The number in the name of a file such as `000012.png`.
fn number_of(filename: &str) -> Option<u64> {
    filename.split('.').next()?.parse().ok().filter(|number| *number <= MAX_NUMBER)
}
