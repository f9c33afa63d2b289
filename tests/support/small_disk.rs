//! A file system of a few megabytes, to be filled.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted until it is dropped. To mount one takes root.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// One of so many bytes; `None`, which is said, where it can't be mounted.
    pub fn mount(size_bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("skipped: a small file system can't be mounted here (that takes root)");
        None
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes up space until [`clear`](Self::clear).
    pub fn fill(&self, bytes: u64) {
        let file = File::create(self.ballast()).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).unwrap();
    }

    /// Takes up all but so many bytes.
    pub fn fill_but(&self, free_bytes: u64) {
        self.clear();
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        self.fill(stat.f_bavail * stat.f_frsize - free_bytes);
    }

    pub fn clear(&self) {
        // It need not be there.
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a test that failed may have files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
