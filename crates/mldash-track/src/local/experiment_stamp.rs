//! Tells whether an experiment has changed since it was read, without reading it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::experiment_file::EXPERIMENT_FILE;
use super::file_stamp::FileStamp;
use super::file_store;
use super::metadata::TRACK_FILE;
use super::packed::PACKED_FILE;
use super::row_file::DATA_FILE;

/// What an experiment's rows, files and notes look like from outside: sizes and times of change, and whether somebody
/// writes it. While two stamps are equal, so is what is read. Another build of this program may have another stamp of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExperimentStamp(u64);

impl fmt::Display for ExperimentStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl ExperimentDir {
    /// The stamp of the experiment as it is now, with those of other files in its folder. Take it before reading: then a
    /// change meanwhile shows the next time.
    pub(crate) fn stamp(&self, others: &[&str]) -> Result<ExperimentStamp, StoreError> {
        let mut hasher = DefaultHasher::new();
        let mut note = |path: &Path| FileStamp::of(path).hash(&mut hasher);
        note(&self.path().join(EXPERIMENT_FILE));
        others.iter().for_each(|file| note(&self.path().join(file)));
        file_store::lists(self.path()).iter().for_each(|list| note(list));
        let mut tracks: Vec<PathBuf> = self.track_folders()?;
        tracks.sort();
        for track in &tracks {
            [DATA_FILE, PACKED_FILE, TRACK_FILE].iter().for_each(|file| note(&track.join(file)));
        }
        // However the root is spelled.
        tracks.iter().for_each(|track| track.file_name().hash(&mut hasher));
        self.is_being_written()?.hash(&mut hasher);
        Ok(ExperimentStamp(hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Experiment, Options, fields};

    #[test]
    fn a_root_may_be_spelled_in_several_ways() {
        let folder = tempfile::tempdir().unwrap();
        let [root, link] = ["root", "link"].map(|name| folder.path().join(name));
        let exp = Experiment::open("alice/lab/run", Options::local(&root)).unwrap();
        exp.tracks("arm").append(fields! { "q": 0.5 }, 1.0).unwrap();
        exp.close().unwrap();
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let stamp = |root: &std::path::Path| {
            Experiment::open_read_only("alice/lab/run", root).unwrap().stamp(&[]).unwrap()
        };
        assert_eq!(stamp(&root), stamp(&link));
        assert_eq!(stamp(&root), stamp(&root.join("../root")));
    }
}
