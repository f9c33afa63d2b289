//! Disks for tests: one that does not finish a sync until a test lets it, one that fails it, and one
//! that takes no changes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// More than anything here takes on a busy machine.
pub(crate) const GENEROUS: Duration = Duration::from_secs(120);

static SLOW: Mutex<Vec<Arc<Slow>>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Slow {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    most_waiting: usize,
    is_over: bool,
}

/// Syncs under the folder wait until this is dropped.
#[derive(Debug)]
pub(crate) struct SlowDisk(Arc<Slow>);

impl SlowDisk {
    pub(crate) fn under(folder: &Path) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let slow = Arc::new(Slow { folder: folder.to_owned(), state, changed });
        SLOW.lock().push(slow.clone());
        Self(slow)
    }

    /// Waits until so many syncs wait at once.
    pub(crate) fn await_waiting(&self, count: usize) {
        let end = Instant::now() + GENEROUS;
        let mut state = self.0.state.lock();
        while state.most_waiting < count {
            let waited = self.0.changed.wait_until(&mut state, end);
            assert!(!waited.timed_out(), "{} syncs wait at once", state.most_waiting);
        }
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        SLOW.lock().retain(|slow| !Arc::ptr_eq(slow, &self.0));
        self.0.state.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

/// Called before a sync of something at `path`.
pub(super) fn wait(path: &Path) {
    let slow = SLOW.lock().iter().find(|slow| path.starts_with(&slow.folder)).cloned();
    let Some(slow) = slow else { return };
    let mut state = slow.state.lock();
    state.waiting += 1;
    state.most_waiting = state.most_waiting.max(state.waiting);
    slow.changed.notify_all();
    while !state.is_over {
        slow.changed.wait(&mut state);
    }
    state.waiting -= 1;
}

static FAILING: Mutex<Vec<(PathBuf, io::ErrorKind)>> = Mutex::new(Vec::new());

/// What is written, made or replaced at or below the path fails until this is dropped.
#[derive(Debug)]
pub(crate) struct FailingDisk(PathBuf);

impl FailingDisk {
    pub(crate) fn under(path: &Path) -> Self {
        Self::with(path, io::ErrorKind::ReadOnlyFilesystem)
    }

    /// One without space.
    pub(crate) fn full_under(path: &Path) -> Self {
        Self::with(path, io::ErrorKind::StorageFull)
    }

    fn with(path: &Path, error: io::ErrorKind) -> Self {
        FAILING.lock().push((path.to_owned(), error));
        Self(path.to_owned())
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        let mut failing = FAILING.lock();
        if let Some(at) = failing.iter().position(|(path, _)| *path == self.0) {
            failing.remove(at);
        }
    }
}

static FAILING_SYNCS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Syncs of files at or below the path fail until this is dropped, and with each failure the system
/// gives up what it was to write.
#[derive(Debug)]
pub(crate) struct FailingSyncs(PathBuf);

impl FailingSyncs {
    pub(crate) fn under(path: &Path) -> Self {
        FAILING_SYNCS.lock().push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for FailingSyncs {
    fn drop(&mut self) {
        FAILING_SYNCS.lock().retain(|path| *path != self.0);
    }
}

/// Called instead of a sync of the file at `path`.
pub(super) fn check_sync(path: &Path) -> io::Result<()> {
    match FAILING_SYNCS.lock().iter().any(|failing| path.starts_with(failing)) {
        true => Err(io::Error::other("in a test")),
        false => Ok(()),
    }
}

/// Called before a change of what is at `path`.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match FAILING.lock().iter().find(|(failing, _)| path.starts_with(failing)) {
        Some((_, error)) => Err(io::Error::from(*error)),
        None => Ok(()),
    }
}
