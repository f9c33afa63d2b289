//! Numbers the files of each folder, and knows which message each number was given to. So a message
//! that comes again is known by its picture without encoding that anew, and gets the same number: an
//! import that was interrupted, and is run again, gives the same rows and the same files.
//!
//! Beside the files lies a list with 8 bytes for each number: the key of its message, or 0. It is
//! written before the file, in the order of the numbers, and derived: without it, a picture that
//! comes again is stored again, as a row of its own. So a picture whose key can't be noted is not
//! stored but counted as dropped; the disk would hardly take its file.
//!
//! A power cut takes files and lists of the last half minute, and leaves rows that name them: only
//! rows are synced as they come. So new numbers begin after those of the lists and of the rows, and
//! no row ever names a later picture.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::identity;
use mldash_track::{
    Experiment, Query, StoreError, Timestamp, TrackError, TrackName, Value, one_line,
};

/// Not a file of the experiment: a name that starts with a dot can't be one.
const FILE_NAME: &str = ".messages";
const KEY_BYTES: u64 = 8;
/// How the names of columns end that name a file.
pub(super) const PATH_COLUMN: &str = "path";
/// Keys of earlier runs that are kept in memory, for each folder: pictures of 38 hours at 30 Hz. A
/// later picture whose row is missing gets a new number. This also bounds what a file with a large
/// number as its name, from another program, can cost.
const MAX_KEYS: u64 = 1 << 22;
/// A file with a larger number is not one of ours.
const MAX_NUMBER: u64 = 1 << 48;
/// Numbers that are left out after a power cut: a server may have rows and files of the last seconds that
/// are lost here.
const SENT_AHEAD: u64 = 1 << 12;

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
    stored: Stored,
}

/// What the store has from before, by folder.
#[derive(Debug, Default)]
struct Stored {
    /// The number after those of the folder's files. `None` before they were listed, all at once.
    listed: Option<HashMap<String, u64>>,
    /// The number after those that rows name, as far as it was looked up ahead.
    named: HashMap<String, u64>,
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
    /// Looks up where the numbers of the experiment's folders go on, so that no message waits for that. Ends
    /// early once `is_stopped`, which it asks at each row.
    ///
    /// It reads all rows that name files, also after a run that ended in order: rows are in order of their
    /// times, but numbers in that of recording, so the last rows don't tell; and the notes tell only of those
    /// who wrote that noted a run.
    ///
    /// # Errors
    /// Fails if the store can't be read. What is missing is looked up when a message needs it.
    pub(super) fn look_ahead(
        &mut self,
        exp: &Experiment,
        is_stopped: impl FnMut() -> bool,
    ) -> Result<(), TrackError> {
        self.stored.look_ahead(exp, is_stopped)
    }

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
        let Self { folders, stored } = self;
        match folders.entry(folder.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let mut open = || {
                    let listed = stored.after_files(exp, folder)?;
                    Folder::open(exp, folder, listed, stored.after_named(exp, folder)?)
                };
                // Tried twice: a message that is looked for in vain would be stored again.
                let opened = open().or_else(|_| open());
                Ok(new.insert(opened?))
            }
        }
    }
}

impl Stored {
    fn look_ahead(
        &mut self,
        exp: &Experiment,
        mut is_stopped: impl FnMut() -> bool,
    ) -> Result<(), TrackError> {
        let listed = self.listed.insert(after_files(exp)?);
        for folder in listed.keys().filter(|folder| list_path(exp, folder).exists()) {
            let Some(after) = after_named(exp, folder, &mut is_stopped)? else { break };
            self.named.insert(folder.clone(), after);
        }
        Ok(())
    }

    fn after_files(&mut self, exp: &Experiment, folder: &str) -> Result<u64, TrackError> {
        let listed = match &mut self.listed {
            Some(listed) => listed,
            none => none.insert(after_files(exp)?),
        };
        Ok(listed.get(folder).copied().unwrap_or_default())
    }

    fn after_named(&self, exp: &Experiment, folder: &str) -> Result<u64, TrackError> {
        match self.named.get(folder) {
            Some(after) => Ok(*after),
            // Nothing stops it: a number that is too low would be one that a row names.
            None => Ok(after_named(exp, folder, &mut || false)?.unwrap_or_default()),
        }
    }
}

impl Folder {
    /// `listed` is the number after those of the folder's files, `named` the one after those that rows name.
    fn open(exp: &Experiment, folder: &str, listed: u64, named: u64) -> Result<Self, TrackError> {
        let list_path = list_path(exp, folder);
        let (list, keys, noted) = match open_list(&list_path) {
            Ok((list, keys, noted)) => (Some((list, list_path)), keys, noted),
            Err(error) if is_no_file(&list_path) => {
                tracing::warn!(
                    "{}; pictures that come again will be stored again",
                    one_line(&error)
                );
                (None, Vec::new(), 0)
            }
            Err(error) => return Err(error.into()),
        };
        let known = listed.max(noted);
        let next = if named > known {
            tracing::warn!(
                "{folder}: rows name files up to number {}, and there are none from {listed} on: a power \
                 cut took them. New ones are numbered after those",
                named - 1
            );
            named + SENT_AHEAD
        } else {
            known
        };
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

fn list_path(exp: &Experiment, folder: &str) -> PathBuf {
    exp.folder().join("files").join(folder).join(FILE_NAME)
}

/// Opens the list, or creates it. Returns its keys, too, and how many numbers it has.
fn open_list(path: &Path) -> Result<(File, Vec<u64>, u64), StoreError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let list = options.open(path).map_err(StoreError::io("open", path))?;
    let len = list.metadata().map_err(StoreError::io("read", path))?.len();
    let mut bytes = Vec::new();
    let read = (&list).take(MAX_KEYS * KEY_BYTES).read_to_end(&mut bytes);
    read.map_err(StoreError::io("read", path))?;
    let keys = bytes.as_chunks().0.iter().map(|key| u64::from_le_bytes(*key));
    Ok((list, keys.collect(), len.div_ceil(KEY_BYTES)))
}

/// Returns true if a folder, say, has the list's name: it will not go away by itself.
fn is_no_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// By folder, the number after those of its files.
fn after_files(exp: &Experiment) -> Result<HashMap<String, u64>, TrackError> {
    let mut after = HashMap::new();
    for file in exp.files("").list()? {
        if let Some(number) = number_of(&file.filename) {
            let after = after.entry(file.path.trim_matches('/').to_owned()).or_default();
            *after = number.saturating_add(1).max(*after);
        }
    }
    Ok(after)
}

/// The number after those of the files that rows name in a folder. The files of a row are in its track's
/// folder, or below it. `None` if it was stopped.
fn after_named(
    exp: &Experiment,
    folder: &str,
    is_stopped: &mut impl FnMut() -> bool,
) -> Result<Option<u64>, TrackError> {
    let above = folder.match_indices('/').map(|(end, _)| &folder[..end]);
    let mut after = 0;
    for track in above.chain([folder]).filter(|track| track.parse::<TrackName>().is_ok()) {
        let track = exp.tracks(track);
        let mut columns = track.columns()?.unwrap_or_default();
        columns.retain(|column| column.trim_end_matches('_').ends_with(PATH_COLUMN));
        if columns.is_empty() {
            continue;
        }
        for row in track.rows(&Query::all().columns(columns))? {
            if is_stopped() {
                return Ok(None);
            }
            for (_, value) in row?.fields.iter() {
                let Value::Text(path) = value else { continue };
                let name = path.rsplit_once('/').filter(|(named, _)| *named == folder);
                let number = name.and_then(|(_, name)| number_of(name));
                after = number.map_or(0, |number| number + 1).max(after);
            }
        }
    }
    Ok(Some(after))
}

/// The number in the name of a file such as `000012.png`.
fn number_of(filename: &str) -> Option<u64> {
    filename.split('.').next()?.parse().ok().filter(|number| *number <= MAX_NUMBER)
}
