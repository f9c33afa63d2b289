//! Makes room in the local store: keeps it within its size limit while it is uploaded (`LocalCap`,
//! beside the recording), and removes what a server provably has (`removal`, `server_copy`).

mod removal;
mod server_copy;
mod usage;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) use self::removal::{Removal, SyncedExperiment};
pub(super) use self::server_copy::Patience;
use self::usage::{LOOK_EVERY, Measured, Usage};
use super::options::{Remote, WhenLocalFull};
use crate::complaint::Complaint;
use crate::error::one_line;
use crate::local::ExperimentDir;
use crate::name::ExperimentName;
use crate::repeating::Repeating;
use crate::state::ExperimentState;

/// How long to leave an experiment alone whose copy on the server could not be confirmed.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Watches the store's size until it is dropped.
#[derive(Debug)]
pub(crate) struct LocalCap {
    ended: Arc<AtomicBool>,
    _measuring: Repeating,
}

/// The limit, and what happens when it is reached.
#[derive(Clone, Debug)]
pub(crate) struct CapSettings {
    pub(crate) max_bytes: u64,
    pub(crate) when_full: WhenLocalFull,
    pub(crate) remote: Remote,
    /// The server's address, as used in the checkpoints.
    pub(crate) url: String,
}

/// Keeps the store within its limit.
struct Keeper {
    shared: Arc<ExperimentState>,
    settings: CapSettings,
    ended: Arc<AtomicBool>,
    /// `None` until the store is counted for the first time.
    measured: Option<Measured>,
    complaint: Complaint,
    /// Experiments whose copy on the server could not be confirmed, and when to ask again.
    unconfirmed: HashMap<ExperimentName, Instant>,
    /// Experiments of which it was said that somebody else is to have them first.
    told_held: HashSet<ExperimentName>,
}

impl LocalCap {
    pub(crate) fn start(shared: Arc<ExperimentState>, settings: CapSettings) -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let mut keeper = Keeper {
            shared,
            settings,
            ended: ended.clone(),
            measured: None,
            complaint: Complaint::new(
                "`max_local`: can't count all that is in the store",
                "what is in there counts as it did before, or not at all",
                "all of the store is counted again",
            ),
            unconfirmed: HashMap::new(),
            told_held: HashSet::new(),
        };
        // Counting may take long, and so may the server's answer: recording waits for neither.
        let enforce = move || keeper.enforce();
        let measuring = Repeating::start_after("local-cap", Duration::ZERO, LOOK_EVERY, enforce)?;
        Ok(Self { ended, _measuring: measuring })
    }
}

impl Drop for LocalCap {
    fn drop(&mut self) {
        // Ends a count or a comparison that is under way; the thread ends after it.
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Keeper {
    fn root(&self) -> &Path {
        self.shared.dir.root(&self.shared.name)
    }

    /// Makes room if that is allowed. Stops the recording if that does not help.
    fn enforce(&mut self) {
        self.measure_if_due();
        let bytes = self.bytes();
        let is_uploaded = self.measured.as_ref().is_some_and(|m| !m.uploaded().is_empty());
        let may_make_room = is_uploaded && self.settings.when_full == WhenLocalFull::DropSynced;
        if bytes > self.settings.max_bytes && may_make_room {
            self.make_room(bytes - self.settings.max_bytes);
        }
        self.note();
    }

    /// The size of the store. Until it is counted for the first time, what the recording added to it.
    fn bytes(&self) -> u64 {
        let grown = self.shared.grown_bytes();
        let measured = self.measured.as_ref().map(|measured| measured.bytes(grown));
        measured.unwrap_or_else(|| u64::try_from(grown).unwrap_or_default())
    }

    fn note(&self) {
        self.shared.note_local_use(self.bytes(), self.settings.max_bytes);
    }

    fn measure_if_due(&mut self) {
        let now = Instant::now();
        let is_full = self.shared.check_room().is_err();
        if self.measured.as_ref().is_some_and(|measured| !measured.is_old(now, is_full)) {
            return;
        }
        let grown = self.shared.grown_bytes();
        // Counting may take minutes, and the recording goes on meanwhile.
        let goes_on = || {
            self.note();
            !self.ended.load(Ordering::Relaxed)
        };
        if let Some(usage) = Usage::of(self.root(), &goes_on) {
            self.complaint.note(usage.unread.reason().as_deref());
            let measured = Measured::new(usage, grown, now);
            self.measured = measured.after(self.measured.take(), self.shared.grown_bytes());
        }
    }

    fn make_room(&mut self, mut surplus: u64) {
        let own = self.shared.name.clone();
        let uploaded = self.measured.iter().flat_map(Measured::uploaded);
        let mut names: Vec<ExperimentName> =
            uploaded.map(|uploaded| uploaded.name.clone()).filter(|name| *name != own).collect();
        names.push(own.clone());
        for name in names {
            let removed = self.remove_from(&name, surplus);
            surplus = surplus.saturating_sub(removed);
            // What goes of its own files, the recording knows itself.
            if let Some(measured) = self.measured.as_mut().filter(|_| name != own) {
                measured.note_removed(removed);
            }
        }
    }

    /// Removes what the server has of an experiment, if there is a surplus. Returns the bytes freed.
    fn remove_from(&mut self, name: &ExperimentName, surplus: u64) -> u64 {
        let now = Instant::now();
        if surplus == 0 || self.unconfirmed.get(name).is_some_and(|until| now < *until) {
            return 0;
        }
        let (shared, CapSettings { remote, url, .. }) = (&self.shared, &self.settings);
        // This comes round again, so a failed call is not retried.
        let goes_on = || !self.ended.load(Ordering::Relaxed);
        let patience = Patience { retries: false, goes_on: &goes_on };
        let dir = ExperimentDir::new(shared.dir.root(&shared.name), name);
        let experiment = SyncedExperiment { name, dir: &dir, remote, url, patience };
        let removed = match *name == shared.name {
            true => experiment.remove_files(&shared.files, surplus),
            false => experiment.remove(),
        };
        let removal = match removed {
            Ok(removal) => removal,
            Err(error) => {
                tracing::error!("can't make room in the store: {}", one_line(&error));
                return 0;
            }
        };
        if let Some(holder) = &removal.held_by
            && self.told_held.insert(name.clone())
        {
            tracing::warn!("no room is made in `{name}` before {holder} has it");
        }
        for failure in &removal.failures {
            tracing::error!("no room is made in `{name}`: {}", one_line(failure));
        }
        if !removal.failures.is_empty() {
            self.unconfirmed.insert(name.clone(), now + ASK_AGAIN_AFTER);
        }
        if removal.bytes > 0 {
            let bytes = removal.bytes;
            tracing::info!("removed {bytes} bytes of `{name}`, which {url} has");
        }
        removal.bytes
    }
}
