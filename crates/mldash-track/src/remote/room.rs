//! Limits the size of the local store while it is uploaded. Runs beside the recording.

mod removal;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

pub(super) use self::removal::remove_synced;
use self::removal::{Usage, remove_synced_files};
use super::options::WhenLocalFull;
use crate::local::{ExperimentDir, StoreError};
use crate::state::ExperimentState;

/// How often the store is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Watches the store's size until it is dropped.
#[derive(Debug)]
pub(crate) struct LocalCap {
    end: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// The limit, and what happens when it is reached.
#[derive(Clone, Debug)]
pub(crate) struct CapSettings {
    pub(crate) max_bytes: u64,
    pub(crate) when_full: WhenLocalFull,
    /// The server's address, as used in the progress files.
    pub(crate) url: String,
}

impl LocalCap {
    pub(crate) fn start(shared: Arc<ExperimentState>, settings: CapSettings) -> io::Result<Self> {
        enforce(&shared, &settings);
        let end = Arc::new((Mutex::new(false), Condvar::new()));
        let waits = end.clone();
        let run = move || {
            let (ended, changed) = &*waits;
            let mut ended = ended.lock();
            loop {
                let next = Instant::now() + MEASURE_EVERY;
                while !*ended && !changed.wait_until(&mut ended, next).timed_out() {}
                if *ended {
                    return;
                }
                enforce(&shared, &settings);
            }
        };
        let thread = thread::Builder::new().name("local-cap".into()).spawn(run)?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for LocalCap {
    fn drop(&mut self) {
        *self.end.0.lock() = true;
        self.end.1.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches the store's size panicked");
        }
    }
}

/// Makes room if that is allowed. Stops the recording if that does not help.
fn enforce(shared: &ExperimentState, settings: &CapSettings) {
    let root = shared.dir.root(&shared.name);
    let used = Usage::of(root).and_then(|usage| {
        if usage.bytes <= settings.max_bytes || settings.when_full == WhenLocalFull::Stop {
            return Ok(usage.bytes);
        }
        make_room(shared, settings, &usage);
        Ok(Usage::of(root)?.bytes)
    });
    match used {
        Ok(used_bytes) => shared.note_local_use(used_bytes, settings.max_bytes),
        Err(error) => tracing::warn!("can't measure {}: {error}", root.display()),
    }
}

fn make_room(shared: &ExperimentState, settings: &CapSettings, usage: &Usage) {
    let root = shared.dir.root(&shared.name);
    let mut surplus = usage.bytes - settings.max_bytes;
    let note = |removed: Result<u64, StoreError>, of: &str| {
        let removed = removed.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "making room in the store");
        });
        let bytes = removed.unwrap_or(0);
        if bytes > 0 {
            tracing::info!("removed {bytes} bytes of {of}, which {} has", settings.url);
        }
        bytes
    };
    for uploaded in usage.uploaded.iter().filter(|uploaded| uploaded.name != shared.name) {
        if surplus == 0 {
            return;
        }
        let dir = ExperimentDir::new(root, &uploaded.name);
        let removed = remove_synced(&uploaded.name, &dir, &settings.url);
        surplus = surplus.saturating_sub(note(removed, uploaded.name.as_str()));
    }
    if surplus > 0 {
        let removed = remove_synced_files(&shared.dir, &shared.files, &settings.url, surplus);
        note(removed, "this recording's files");
    }
}
