//! The list of files, made from the files themselves when `.files_metadata.json` can't be used.
//! Descriptions, tags and other notes are lost with it, and deleted files are listed again.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use super::{FileDescription, FileInfo, FileStore, hashed};
use crate::local::beneath::How;
use crate::local::error::StoreError;
use crate::local::handles;
use crate::name::FilePath;

const UNKNOWN_TYPE: &str = "application/octet-stream";

impl FileStore {
    /// The files on disk, oldest first, one for each place.
    pub(super) fn files_on_disk(&self) -> Result<Vec<FileInfo>, StoreError> {
        let mut found = Vec::new();
        let mut to_do = vec![String::new()];
        while let Some(folder) = to_do.pop() {
            let path = self.folder.join(&folder);
            for name in names_in(&path).map_err(StoreError::io("list", &path))? {
                if path.join(&name).is_dir() {
                    found.extend(self.file_of(&folder, &name)?);
                    let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                    to_do.push(below);
                }
            }
        }
        found.sort_by_key(|(id, _)| *id);
        // Of several files in one place, the last one was saved over the others.
        let mut seen = HashSet::new();
        found.reverse();
        found.retain(|(_, info)| seen.insert((info.path.clone(), info.filename.clone())));
        found.reverse();
        Ok(found.into_iter().map(|(_, info)| info).collect())
    }

    /// The file in `<folder>/<id>`, if that is the folder of an id.
    fn file_of(&self, folder: &str, id: &str) -> Result<Option<(u64, FileInfo)>, StoreError> {
        let Ok(number) = id.parse::<u64>() else { return Ok(None) };
        let path = self.folder.join(folder).join(id);
        for name in names_in(&path).map_err(StoreError::io("list", &path))? {
            let place = format!("{folder}/{name}");
            let Ok(place) = place.trim_start_matches('/').parse::<FilePath>() else { continue };
            let path = path.join(&name);
            if path.is_file() {
                let mut file =
                    handles::open(&path, How::Read).map_err(StoreError::io("read", &path))?;
                let (size_bytes, checksum) = hashed(&mut file, &path, |_| Ok(()))?;
                let about = FileDescription {
                    content_type: UNKNOWN_TYPE.to_owned(),
                    ..FileDescription::default()
                };
                let info = self.describe(number, &place, about, size_bytes, checksum);
                return Ok(Some((number, info)));
            }
        }
        Ok(None)
    }
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let names = handles::list(folder)?.map(|entry| Ok(entry?.name.into_string().ok()));
    names.filter_map(Result::transpose).collect()
}
