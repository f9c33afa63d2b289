//! Files on their way in: each lies in a hidden folder of the root until it is whole and its checksum
//! is known, then it is moved where it belongs. What does not come that far is removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::error::ApiError;
use mldash_track::{StoreError, WholeFile, hex};

/// No namespace is called so: names don't begin with a dot.
const FOLDER: &str = ".incoming";

/// The folder that files come into.
#[derive(Debug)]
pub(super) struct Incoming {
    folder: PathBuf,
    count: AtomicU64,
}

/// A file that comes in. It is gone when this is dropped, unless it was moved away.
#[derive(Debug)]
pub(super) struct IncomingFile {
    path: PathBuf,
    file: tokio::fs::File,
    hash: Sha256,
    size_bytes: u64,
}

impl Incoming {
    /// Under `root`, which no other server uses; what an earlier one left half done is removed.
    pub(super) fn prepare(root: &Path) -> io::Result<Self> {
        let folder = root.join(FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, count: AtomicU64::default() })
    }

    /// A new file.
    pub(super) async fn file(&self) -> Result<IncomingFile, ApiError> {
        let path = self.folder.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        let file = tokio::fs::File::create_new(&path).await;
        let file = file.map_err(StoreError::io("create", &path))?;
        Ok(IncomingFile { path, file, hash: Sha256::new(), size_bytes: 0 })
    }
}

impl IncomingFile {
    /// How much has come.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes in the next part.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes).await.map_err(StoreError::io("write", &self.path))?)
    }

    /// All of it is there; what it is. It may be moved as long as this one lives.
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
        // It is not there any more if all went well; else the next start removes it.
        let _ = fs::remove_file(&self.path);
    }
}
