//! rosbag2's bags are folders: the files in one, in the order in which they were written.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::BagError;
use super::file::BagFile;
use crate::mapping::texts_at;

/// What rosbag2 says of a bag once it is closed.
const METADATA_FILE: &str = "metadata.yaml";
const MAX_METADATA_BYTES: u64 = 16 << 20;

/// The files of the bag at `path`, a folder or a file.
pub(super) fn files(path: &Path) -> Result<Vec<BagFile>, BagError> {
    if !path.is_dir() {
        return Ok(vec![BagFile::find(path)?]);
    }
    let open = |source| BagError::Open { path: path.to_owned(), source };
    let mut paths = listed(path).map_err(open)?;
    let known: HashSet<PathBuf> = paths.iter().cloned().collect();
    // A recorder that was killed did not list its last files.
    let mut others = Vec::new();
    for entry in fs::read_dir(path).map_err(open)? {
        let file = entry.map_err(open)?.path();
        if is_bag_file(&file) && !known.contains(&file) {
            others.push(file);
        }
    }
    others.sort_by_key(|file| (number(file), file.clone()));
    if !known.is_empty() {
        for file in &others {
            tracing::warn!("{} is not in {METADATA_FILE}; it is read too", file.display());
        }
    }
    paths.extend(others);
    if paths.is_empty() {
        return Err(BagError::EmptyFolder { path: path.to_owned() });
    }
    match &paths[..] {
        // Alone, what is wrong with it is wrong with the bag.
        [only] => Ok(vec![BagFile::find(only)?]),
        _ => Ok(paths.iter().map(|path| BagFile::find_or_tell(path)).collect()),
    }
}

/// The files that the bag's own list names; none when it has none, or none that can be read.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let path = folder.join(METADATA_FILE);
    let mut bytes = Vec::new();
    match fs::File::open(&path) {
        Ok(file) => file.take(MAX_METADATA_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let keys = ["rosbag2_bagfile_information", "relative_file_paths"];
    let Some(names) = texts_at(&String::from_utf8_lossy(&bytes), &keys) else {
        tracing::warn!("{} does not list the bag's files; they are found by name", path.display());
        return Ok(Vec::new());
    };
    // Early versions of rosbag2 wrote the path from where they were started.
    let in_folder = |name: &String| Some(folder.join(Path::new(name).file_name()?));
    Ok(names.iter().filter_map(in_folder).collect())
}

fn is_bag_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".zstd").unwrap_or(&name);
    name.ends_with(".mcap") || name.ends_with(".db3")
}

/// The number of a file such as `run_12.mcap`.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.split('.').next()?;
    name.rsplit('_').next()?.parse().ok()
}
