//! Errors between rows and disk.

use std::io;
use std::path::{Path, PathBuf};

use super::beneath;
use super::handles;

/// A failed operation on the local store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused. The text names the operation and the path.
    #[error("can't {action} {}", path.display())]
    Io {
        /// The operation: `create`, `append to`, `sync`…
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Two topics whose names differ only in `/` and `_` map to one folder.
    #[error(
        "track `{requested}` would share the folder {} with track `{existing}`, since ML-Dash \
         replaces '/' by '_'; give one of them another name", folder.display()
    )]
    FolderCollision {
        /// The requested topic.
        requested: String,
        /// The topic that the folder holds.
        existing: String,
        /// The folder.
        folder: PathBuf,
    },
    /// Another process writes this experiment.
    #[error("experiment {} is being recorded by {holder}; stop it, or record under another name", experiment.display())]
    Locked {
        /// The experiment's folder.
        experiment: PathBuf,
        /// Who holds the lock: process, host and start time, as the holder wrote them.
        holder: String,
    },
    /// Another program holds a lock of ML-Dash's for longer than it takes to change a file.
    #[error(
        "another program has held the lock {} for {waited_secs} s; it may have been stopped: let it go on, or end it \
         (`fuser {}` says which it is)", path.display(), path.display()
    )]
    LockHeld {
        /// The lock's file.
        path: PathBuf,
        /// For how long this was waited for.
        waited_secs: u64,
    },
    /// What is being written is no longer in its place.
    #[error(
        "{} was removed or replaced while it was recorded into{}; stop, and record again",
        path.display(), gone(*rows)
    )]
    Removed {
        /// The file or folder.
        path: PathBuf,
        /// Rows that this process had stored in it.
        rows: u64,
    },
    /// The disk failed, and the system no longer has what was to be stored.
    #[error(
        "the disk failed to store {rows} rows of {}, and the system no longer has them; look at \
         the disk and the kernel's log (dmesg) before you record on it again", path.display()
    )]
    LostOnDisk {
        /// The file.
        path: PathBuf,
        /// How many rows.
        rows: u64,
    },
    /// Rows are out of order, and there is no room to sort them for reading.
    #[error(
        "the rows of {} are out of order, and to sort them takes {} MiB of free space, but there \
         are {} MiB; free some, read a shorter time range, or close the recording, which sorts \
         them for good", path.display(), needed_bytes.div_ceil(1 << 20), free_bytes >> 20
    )]
    NoRoomToSort {
        /// The file.
        path: PathBuf,
        /// How much must be free.
        needed_bytes: u64,
        /// How much is, less what others are about to take.
        free_bytes: u64,
    },
    /// A JSON file of the layout that can't be read.
    #[error("{} is not what ML-Dash writes there: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn gone(rows: u64) -> String {
    if rows > 0 { format!(", with {rows} rows that were stored in it") } else { String::new() }
}

impl StoreError {
    /// For `map_err`: adds the operation and the path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// What is wrong, without the path.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Io { source, .. } => source.to_string(),
            Self::Malformed { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// Returns true if the disk is full, over quota or out of inodes: retry when there is space.
    pub fn is_out_of_space(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
            Self::NoRoomToSort { .. } => true,
            _ => false,
        }
    }

    /// Returns true if what was being written is gone from its place: only opening the experiment
    /// anew helps.
    pub fn is_removed(&self) -> bool {
        matches!(self, Self::Removed { .. })
    }

    /// Returns true if lines are not what their index says, or no rows: they were damaged after they
    /// were indexed.
    pub(super) fn is_misfit(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            Self::Malformed { .. } => true,
            _ => false,
        }
    }

    /// Returns true if there is no such file or folder.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Returns true if it was a symbolic link, which is not followed under a served root.
    pub fn is_link(&self) -> bool {
        matches!(self, Self::Io { source, .. } if beneath::is_link(source))
    }

    /// Returns true if the process or the system is at its limit of open files.
    pub fn is_out_of_handles(&self) -> bool {
        matches!(self, Self::Io { source, .. } if handles::is_out_of_handles(source))
    }
}
