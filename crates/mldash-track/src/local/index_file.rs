//! `.index.json`: the index of a data file when somebody last read or closed it. It is valid as
//! long as the file has only grown since; any other change makes it stale. A checksum shows damage
//! of the index itself.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::atomic::put_aside;
use super::damage;
use super::disk;
use super::error::StoreError;
use super::handles;
use super::index::{Block, Index};
use super::metadata::{malformed, save_json, weigh};
use super::row_file::RowText;
use crate::json::JsonWeight;
use crate::row::Column;

pub(super) const FILE_NAME: &str = ".index.json";
const VERSION: u32 = 2;

/// Bytes compared at each end of the covered part to check that an index fits its file.
const PROBE_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct IndexFile {
    version: u32,
    /// The track, in case its metadata is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// CRC-32 of `index` as JSON.
    checksum: u32,
    index: StoredIndex,
}

#[derive(Serialize, Deserialize)]
struct StoredIndex {
    fingerprint: Fingerprint,
    columns: BTreeSet<Column>,
    blocks: Vec<Block>,
}

/// Distinguishes the indexed file from another one in its place.
#[derive(PartialEq, Serialize, Deserialize)]
struct Fingerprint {
    end: u64,
    head_crc: u32,
    tail_crc: u32,
    /// Reveals an edit in place. Only meaningful while the file has not grown.
    modified_nanos: i64,
}

impl Fingerprint {
    fn of(data: &impl RowText, end: u64) -> io::Result<Self> {
        let probe = PROBE_BYTES.min(end);
        Ok(Self {
            end,
            head_crc: crc_at(data, 0, probe)?,
            tail_crc: crc_at(data, end - probe, probe)?,
            modified_nanos: data.modified_nanos()?,
        })
    }

    fn fits(&self, now: &Self, file_len: u64) -> bool {
        let same_ends = self.head_crc == now.head_crc && self.tail_crc == now.tail_crc;
        same_ends && (file_len > self.end || self.modified_nanos == now.modified_nanos)
    }
}

fn crc_at(data: &impl RowText, offset: u64, len: u64) -> io::Result<u32> {
    let mut probe = vec![0; len as usize];
    data.read_whole_text(&mut probe, offset)?;
    Ok(crc32fast::hash(&probe))
}

/// The stored index of `data`, the data file in `folder`; `None` if it is absent, damaged or stale.
pub(super) fn load(folder: &Path, data: &impl RowText) -> io::Result<Option<Index>> {
    let Some(stored) = read_intact(&folder.join(FILE_NAME)) else {
        return Ok(None);
    };
    let file_len = data.text_bytes()?;
    if stored.fingerprint.end > file_len {
        return Ok(None);
    }
    let now = Fingerprint::of(data, stored.fingerprint.end)?;
    if !stored.fingerprint.fits(&now, file_len) {
        return Ok(None);
    }
    let index = Index::from_parts(stored.blocks, stored.columns);
    Ok(index.filter(|index| index.end() == now.end))
}

/// How much memory the index in `folder` takes to load, at most.
pub(super) fn weight(folder: &Path) -> Result<usize, StoreError> {
    // Most of it is blocks. As dicts they would weigh ten times as much, and a long track could not be opened.
    weigh(&folder.join(FILE_NAME), JsonWeight::structs(size_of::<Block>()))
}

/// Reports damage, which only costs the time to index the rows again.
fn read_intact(path: &Path) -> Option<StoredIndex> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let text = match handles::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            damage::report(path, &error.to_string());
            return None;
        }
    };
    let is_of_another_version =
        || serde_json::from_slice::<Version>(&text).is_ok_and(|v| v.version != VERSION);
    match serde_json::from_slice::<IndexFile>(&text) {
        // Written by another version of this program.
        Ok(file) if file.version != VERSION => None,
        Ok(file) if checksum(&file.index).is_ok_and(|sum| sum == file.checksum) => Some(file.index),
        Ok(_) => {
            damage::report(path, "its checksum is wrong");
            None
        }
        Err(_) if is_of_another_version() => None,
        Err(error) => {
            damage::report(path, &error.to_string());
            None
        }
    }
}

/// An index that was read back is written in the same way, so this needs no raw text.
fn checksum(index: &StoredIndex) -> serde_json::Result<u32> {
    Ok(crc32fast::hash(&serde_json::to_vec(index)?))
}

/// Stores the index of `data`, the data file of the track `topic`, in `folder`.
pub(super) fn save(
    folder: &Path,
    topic: Option<String>,
    data: &impl RowText,
    index: &Index,
) -> Result<(), StoreError> {
    let path = folder.join(FILE_NAME);
    let fingerprint =
        Fingerprint::of(data, index.end()).map_err(StoreError::io("index", folder))?;
    let index = StoredIndex {
        fingerprint,
        columns: index.columns().clone(),
        blocks: index.blocks().to_vec(),
    };
    let checksum = checksum(&index).map_err(|error| malformed(&path, &error))?;
    save_json(&path, &IndexFile { version: VERSION, topic, checksum, index }).map(drop)
}

/// Removes the stored index before the file that it describes is replaced.
pub(super) fn remove(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(FILE_NAME);
    match disk::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) if path.is_dir() => {
            put_aside(&path, "it is a folder").map_err(StoreError::io("rename", &path))
        }
        removed => removed.map_err(StoreError::io("remove", &path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_of_a_long_index_is_what_it_takes_and_little_more() {
        const BLOCKS: usize = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.jsonl");
        let mut index = Index::default();
        let mut text = String::new();
        for i in 0..BLOCKS {
            let line = format!("{{\"timestamp\":{}.25,\"c{}\":1}}", 1_700_000_000 + i, i % 1000);
            index.push_line(line.as_bytes(), line.len() as u64 + 1);
            index.start_block();
            text += &line;
            text.push('\n');
        }
        std::fs::write(&data, text).unwrap();
        let file = std::fs::File::open(&data).unwrap();
        save(folder.path(), None, &file, &index).unwrap();
        assert_eq!(load(folder.path(), &file).unwrap().unwrap().blocks().len(), BLOCKS);

        let text_bytes = std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().len() as usize;
        // The text, its copy that the checksum is of, and a list that grew by doubling.
        let least = 2 * text_bytes + 2 * BLOCKS * size_of::<Block>();
        let weight = weight(folder.path()).unwrap();
        assert!((least..2 * least).contains(&weight), "{weight} for {least}");
    }
}
