//! rosbag2's bags are folders: finds the files of one, in the order in which they were written.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::BagError;
use super::file::{BagFile, is_named_as_bag};
use crate::yaml::texts_at;

/// rosbag2's description of a closed bag.
const METADATA_FILE: &str = "metadata.yaml";
const MAX_METADATA_BYTES: u64 = 16 << 20;
/// The suffix of a file that is compressed as a whole.
const PACKED_SUFFIX: &str = ".zstd";

/// The files of the bag at `path`, a folder or a file.
pub(super) fn files(path: &Path) -> Result<Vec<BagFile>, BagError> {
    if !path.is_dir() {
        return Ok(vec![BagFile::find(path)?]);
    }
    let open = |source| BagError::Open { path: path.to_owned(), source };
    let mut paths = listed(path).map_err(open)?;
    // `ros2 bag play` leaves the unpacked file beside the listed one.
    for file in &mut paths {
        if let Some(twin) = twin(file).filter(|twin| !file.exists() && twin.exists()) {
            *file = twin;
        }
    }
    let known: HashSet<PathBuf> = paths.iter().cloned().collect();
    // A recorder that was killed did not list its last files.
    let mut others = Vec::new();
    for entry in fs::read_dir(path).map_err(open)? {
        let file = entry.map_err(open)?.path();
        if is_named_as_bag(&file) && !known.contains(&file) {
            others.push(file);
        }
    }
    let unlisted: HashSet<PathBuf> = others.iter().cloned().collect();
    others.retain(|file| {
        let Some(twin) = twin(file) else { return true };
        // If neither is listed, the compressed one was recorded.
        let is_copy = known.contains(&twin) || (unlisted.contains(&twin) && !is_packed(file));
        if is_copy {
            tracing::info!("{} is a copy of {} and is not read", file.display(), twin.display());
        }
        !is_copy
    });
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
        // If there is only one file, its error is the bag's.
        [only] => Ok(vec![BagFile::find(only)?]),
        _ => Ok(paths.iter().map(|path| BagFile::find_or_tell(path)).collect()),
    }
}

/// The files that the bag's metadata lists; none if there is no readable list.
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
        tracing::warn!("{} does not list the bag's files; finding them by name", path.display());
        return Ok(Vec::new());
    };
    // Early versions of rosbag2 wrote paths relative to where they were started.
    let in_folder = |name: &String| Some(folder.join(Path::new(name).file_name()?));
    Ok(names.iter().filter_map(in_folder).collect())
}

/// The file's name without the suffix of compression, or with it if it has none.
fn twin(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let twin = match name.strip_suffix(PACKED_SUFFIX) {
        Some(unpacked) => unpacked.to_owned(),
        None => format!("{name}{PACKED_SUFFIX}"),
    };
    Some(path.with_file_name(twin))
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zstd")
}

/// The number of a file such as `run_12.mcap`.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.split('.').next()?;
    name.rsplit('_').next()?.parse().ok()
}
