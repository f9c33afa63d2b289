//! Tells whether a file has changed since it was read.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file's inode, size and time of change, or that there is none. Take it before reading the file:
/// then a change meanwhile shows the next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileStamp(Option<(u64, u64, i64, i64)>);

impl FileStamp {
    /// The stamp of the file at `path` as it is now.
    pub fn of(path: &Path) -> Self {
        fs::metadata(path).map_or_else(|_| Self::default(), |metadata| Self::from(&metadata))
    }

    pub(crate) fn inode(self) -> Option<u64> {
        self.0.map(|(inode, ..)| inode)
    }

    /// The size in bytes; 0 if there is no file.
    pub(crate) fn bytes(self) -> u64 {
        self.0.map_or(0, |(_, bytes, ..)| bytes)
    }
}

impl From<&Metadata> for FileStamp {
    fn from(metadata: &Metadata) -> Self {
        Self(Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())))
    }
}
