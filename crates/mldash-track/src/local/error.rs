//! What can go wrong between rows and disk.

use std::io;
use std::path::{Path, PathBuf};

use super::handles;

/// An operation on the local store that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused; the text says at what and where.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried: `create`, `append to`, `sync`…
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// Two topics whose names differ only in `/` and `_` want one folder.
    #[error(
        "track `{requested}` would share the folder {} with track `{existing}`, since ML-Dash \
         replaces '/' by '_'; give one of them another name", folder.display()
    )]
    FolderCollision {
        /// The topic that was asked for.
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
        /// Who holds the lock: process, host and start, as it wrote them.
        holder: String,
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

impl StoreError {
    /// For `map_err`: names what was tried on which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the disk is full, over quota or out of inodes: worth another try when space returns.
    pub fn is_out_of_space(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Whether the process, or the system, has as many files open as it may.
    pub fn is_out_of_handles(&self) -> bool {
        matches!(self, Self::Io { source, .. } if handles::is_out_of_handles(source))
    }
}
