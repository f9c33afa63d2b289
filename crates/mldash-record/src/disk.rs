//! Checks the free space of the disk that is recorded to, once a second beside the recording. When it
//! runs low, topics with large messages stop first, then all. They continue when space returns.

mod trend;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::mapping::Bytes;
use mldash_track::Repeating;
use trend::Trend;

/// A topic with a message larger than this is one with large messages.
pub const HEAVY_MESSAGE_BYTES: usize = 64 << 10;

/// How often to check.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The space to keep free if the mapping does not say: this much, but at most one part in
/// [`DEFAULT_PART`] of the disk.
const DEFAULT_MIN_FREE: Bytes = Bytes::new(256 << 20);
const DEFAULT_PART: u64 = 20;

/// What may be recorded, by the free space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskLevel {
    /// Everything.
    #[default]
    Enough,
    /// Less than `min_free` is left: only topics without large messages (images, clouds).
    LightOnly,
    /// Less than half of `min_free` is left: nothing.
    Nothing,
}

/// The state of the disk at the last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DiskStatus {
    /// The free space.
    pub free: Bytes,
    /// The space to keep free.
    pub min_free: Bytes,
    /// What may be recorded.
    pub level: DiskLevel,
    /// Seconds until only `min_free` is left, if the disk fills on as in the last minute, by whomever; `None`
    /// while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_secs: Option<u64>,
}

/// Checks a disk until it is dropped. Reading the state costs a lock and no system call.
#[derive(Debug)]
pub struct DiskGuard {
    status: Arc<Mutex<DiskStatus>>,
    folder: Arc<Mutex<PathBuf>>,
    _checking: Repeating,
}

/// The disk that is checked.
#[derive(Debug)]
struct WatchedDisk {
    /// A folder on it: that of the current part of the recording.
    folder: Arc<Mutex<PathBuf>>,
    status: Arc<Mutex<DiskStatus>>,
    trend: Trend,
    /// Whether the last check could read the free space.
    is_readable: bool,
}

impl DiskGuard {
    /// Watches the disk that `folder` is on; `min_free` of `None` keeps 256 MiB free, on small
    /// disks a twentieth of it.
    ///
    /// # Errors
    /// A disk that can't be asked, a thread that can't be started.
    pub fn watch(folder: &Path, min_free: Option<Bytes>) -> io::Result<Self> {
        let space = Space::of(folder)?;
        let default = DEFAULT_MIN_FREE.min(Bytes::new(space.total.get() / DEFAULT_PART));
        let min_free = min_free.unwrap_or(default);
        let (level, remaining_secs) = (DiskLevel::Enough, None);
        let status = DiskStatus { free: space.free, min_free, level, remaining_secs };
        let status = Arc::new(Mutex::new(status));
        let folder = Arc::new(Mutex::new(folder.to_owned()));
        let mut disk = WatchedDisk::new(folder.clone(), status.clone());
        disk.note(space.free);
        let checking = Repeating::start("disk-guard", CHECK_EVERY, move || disk.check())?;
        Ok(Self { status, folder, _checking: checking })
    }

    /// Watches the disk that `folder` is on from now on. The one before may be moved or deleted.
    pub(crate) fn move_to(&self, folder: &Path) {
        folder.clone_into(&mut self.folder.lock());
    }

    /// The disk as it was last looked at.
    pub fn status(&self) -> DiskStatus {
        *self.status.lock()
    }
}

impl WatchedDisk {
    fn new(folder: Arc<Mutex<PathBuf>>, status: Arc<Mutex<DiskStatus>>) -> Self {
        Self { folder, status, trend: Trend::default(), is_readable: true }
    }

    fn check(&mut self) {
        let folder = self.folder.lock().clone();
        let space = Space::of(&folder);
        // This is no reason to stop the recording: a store that fails reports that itself.
        if let Err(error) = &space
            && self.is_readable
        {
            let folder = folder.display();
            tracing::warn!("can't read the free disk space at {folder}: {error}");
        }
        self.is_readable = space.is_ok();
        if let Ok(space) = space {
            self.note(space.free);
        }
    }

    fn note(&mut self, free: Bytes) {
        let before = *self.status.lock();
        let level = before.level.next(free, before.min_free);
        let remaining_secs = self.trend.remaining_secs(Instant::now(), free, before.min_free);
        let now = DiskStatus { free, level, remaining_secs, ..before };
        *self.status.lock() = now;
        if level > before.level {
            tracing::error!("{}", now.complaint(&self.folder.lock()));
        } else if level < before.level {
            let records = match level {
                DiskLevel::Enough => "all topics are",
                DiskLevel::LightOnly | DiskLevel::Nothing => "topics without large messages are",
            };
            let folder = self.folder.lock();
            let folder = folder.display();
            tracing::info!("{free} are free at {folder} again: {records} recorded");
        }
    }
}

impl DiskStatus {
    /// What is wrong, and what it means for the recording.
    pub(crate) fn complaint(&self, folder: &Path) -> String {
        let consequence = match self.level {
            DiskLevel::Enough => "everything is recorded",
            DiskLevel::LightOnly => {
                "topics with large messages (images, clouds) are not recorded until there is more"
            }
            DiskLevel::Nothing => "nothing is recorded until there is more",
        };
        format!(
            "only {} are free at {}, and `min_free` is {}: {consequence}",
            self.free,
            folder.display(),
            self.min_free
        )
    }
}

impl DiskLevel {
    /// What may be recorded when `free` is left. Topics that were stopped continue only when a tenth
    /// more than their limit is free, so that they don't stop and continue with every deleted file.
    fn next(self, free: Bytes, min_free: Bytes) -> Self {
        let is_short = |level: Self, bound: u64| {
            let margin = if self >= level { bound / 10 } else { 0 };
            free.get() < bound.saturating_add(margin)
        };
        if is_short(Self::Nothing, min_free.get() / 2) {
            Self::Nothing
        } else if is_short(Self::LightOnly, min_free.get()) {
            Self::LightOnly
        } else {
            Self::Enough
        }
    }
}

/// What a disk has.
#[derive(Clone, Copy, Debug)]
struct Space {
    total: Bytes,
    /// For those who are not root.
    free: Bytes,
}

impl Space {
    fn of(folder: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| Bytes::new(blocks.saturating_mul(stat.f_frsize));
        Ok(Self { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DiskLevel::{Enough, LightOnly, Nothing};

    #[test]
    fn large_messages_stop_first_then_all_and_both_go_on_with_some_more_space() {
        let mut level = Enough;
        for (free, expected) in [
            (1000, Enough),
            (999, LightOnly),
            (1050, LightOnly),
            (500, LightOnly),
            (499, Nothing),
            (549, Nothing),
            (550, LightOnly),
            (1099, LightOnly),
            (1100, Enough),
            (0, Nothing),
            (5000, Enough),
        ] {
            level = level.next(Bytes::new(free), Bytes::new(1000));
            assert_eq!(level, expected, "{free}");
        }
    }

    #[test]
    fn nothing_is_ever_stopped_when_nothing_is_to_stay_free() {
        assert_eq!(Enough.next(Bytes::new(0), Bytes::new(0)), Enough);
    }
}
