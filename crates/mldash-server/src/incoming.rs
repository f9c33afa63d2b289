//! Files being uploaded: each lies in a hidden folder of the root until it is complete and its
//! checksum is known, and is then moved to its place. A file that is not completed is removed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::error::ApiError;
use super::work::blocking;
use mldash_track::{StoreError, WholeFile, create_file, create_folders, hex, remove_tree};

/// No namespace has this name: names can't start with a dot.
const FOLDER: &str = ".incoming";

/// The folder for files being uploaded.
#[derive(Debug)]
pub(super) struct Incoming {
    folder: PathBuf,
    count: AtomicU64,
}

/// A file being uploaded. Dropping it removes the file, unless it was moved away.
#[derive(Debug)]
pub(super) struct IncomingFile {
    path: PathBuf,
    file: tokio::fs::File,
    hash: Sha256,
    size_bytes: u64,
}

impl Incoming {
    /// Prepares the folder under `root`, which no other server uses. Removes what an earlier one
    /// left there.
    pub(super) fn prepare(root: &Path) -> Result<Self, StoreError> {
        let folder = root.join(FOLDER);
        match remove_tree(&folder) {
            Err(error) if !error.is_absent() => return Err(error),
            _ => {}
        }
        create_folders(&folder)?;
        Ok(Self { folder, count: AtomicU64::default() })
    }

    /// Creates a new file.
    pub(super) async fn file(&self) -> Result<IncomingFile, ApiError> {
        let path = self.folder.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        blocking(move || {
            let file = tokio::fs::File::from_std(create_file(&path)?);
            Ok(IncomingFile { path, file, hash: Sha256::new(), size_bytes: 0 })
        })
        .await
    }
}

impl IncomingFile {
    /// The bytes received so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Appends the next part.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes).await.map_err(StoreError::io("write", &self.path))?)
    }

    /// Completes the file and describes it. It may be moved as long as this lives.
    pub(super) async fn finish(&mut self) -> Result<WholeFile, ApiError> {
        self.file.flush().await.map_err(StoreError::io("write", &self.path))?;
        Ok(WholeFile {
            path: self.path.clone(),
            size_bytes: self.size_bytes,
            checksum: hex(&self.hash.finalize_reset()),
        })
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        // It is gone already if all went well. Otherwise the next start removes it.
        let _ = remove_tree(&self.path);
    }
}
