//! Of which messages a folder's files were made, so that a message that comes again is known by its picture
//! without encoding that anew: a file of 8 bytes for each number, the message's hash or 0, beside the files.
//! It is derived: without it, a picture that comes again is stored again, as a row of its own.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use mldash_track::Experiment;

/// No file of an experiment: names that start with a dot can't be one.
const FILE_NAME: &str = ".messages";
const HASH_BYTES: u64 = 8;

/// The hashes of an experiment's folders.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// By folder; `None` where it can't be opened, which was told.
    folders: HashMap<String, Option<Arc<File>>>,
}

/// Where the hash of one file goes.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Option<Arc<File>>,
    index: u64,
    hash: u64,
}

impl Sources {
    /// For the file of this number in `folder`, made of a message of this hash.
    pub(super) fn source(
        &mut self,
        exp: &Experiment,
        folder: &str,
        index: u64,
        hash: u64,
    ) -> Source {
        Source { file: self.folder(exp, folder), index, hash }
    }

    /// Whether the file at `path` was made of a message of this hash.
    pub(super) fn is_of(&mut self, exp: &Experiment, path: &str, hash: u64) -> bool {
        let Some((folder, name)) = path.rsplit_once('/') else { return false };
        let number = name.split('.').next().and_then(|digits| digits.parse::<u64>().ok());
        let (Some(index), Some(file)) = (number, self.folder(exp, folder)) else { return false };
        let mut bytes = [0; HASH_BYTES as usize];
        let place = index.saturating_mul(HASH_BYTES);
        file.read_exact_at(&mut bytes, place).is_ok() && u64::from_le_bytes(bytes) == as_noted(hash)
    }

    fn folder(&mut self, exp: &Experiment, folder: &str) -> Option<Arc<File>> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let path = exp.folder().join("files").join(folder);
        let opened = open(&path).map(Arc::new).inspect_err(|error| {
            tracing::warn!(
                "{}: {error}; pictures that come again will be stored again",
                path.join(FILE_NAME).display()
            );
        });
        self.folders.entry(folder.to_owned()).or_insert(opened.ok()).clone()
    }
}

impl Source {
    /// Notes the hash: the file is there.
    pub(super) fn note(&self) {
        let Some(file) = &self.file else { return };
        let place = self.index.saturating_mul(HASH_BYTES);
        if let Err(error) = file.write_all_at(&as_noted(self.hash).to_le_bytes(), place) {
            tracing::debug!("noting what file {} was made of: {error}", self.index);
        }
    }
}

/// 0 stands for nothing.
fn as_noted(hash: u64) -> u64 {
    hash.max(1)
}

fn open(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).open(folder.join(FILE_NAME))
}
