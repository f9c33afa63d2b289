//! Publishes the parts of a recording while it goes on: each once it is closed, from what lies on the disk, on a thread of its own
//! that gives way to everything else. It shares nothing with the recording: what waits is noted in the parts' folders, so a
//! day without network costs disk only, and the next program goes on after a kill.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mldash_record::{PartWatcher, PublishState, PublishStatus};
use mldash_track::{
    Experiment, Keep, Remote, TrackError, find_experiment_names, one_line, panic_text,
};
use parking_lot::{Condvar, Mutex};

use super::Published;
use super::error::PublishError;
use super::local_state::LocalState;
use super::publisher::{PublishOptions, Publisher};
use super::store::{Retries, StoreSettings};
use crate::plan::Recording;
use crate::progress::Progress;

/// The wait after a failure, which doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How soon a stop is seen.
const STEP: Duration = Duration::from_millis(50);
/// Names in memory. More wait on the disk.
const MAX_WAITING: usize = 1024;
/// The lowest priority.
const NICE: i32 = 19;

/// A publisher in the background. Clones are the same one.
#[derive(Clone, Debug)]
pub struct BackgroundPublisher {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    settings: StoreSettings,
    options: PublishOptions,
    state: Mutex<State>,
    changed: Condvar,
    /// Ends what is under way.
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<String>,
    /// Names that found no room.
    is_overfull: bool,
    /// Nothing is added any more.
    is_ending: bool,
    /// Earlier parts were looked for.
    is_begun: bool,
    /// The part that is being published was closed once more since that began.
    is_again: bool,
    /// What a server has of a part that is published is being removed.
    is_removing: bool,
    /// The server whose copy lets a part's rows go here once it is published.
    removing: Option<Remote>,
    status: PublishStatus,
}

impl BackgroundPublisher {
    /// Starts to publish the experiments under `root` that wait for it, and those that are closed from now on.
    ///
    /// # Errors
    /// Fails if the URL is none that can be published to, or there is no thread.
    pub fn start(
        root: impl Into<PathBuf>,
        settings: StoreSettings,
        options: PublishOptions,
    ) -> Result<Self, PublishError> {
        settings.checked()?;
        let shared = Arc::new(Shared::new(root, settings, options));
        let work = shared.clone();
        let thread = thread::Builder::new().name("publish".into()).spawn(move || work.run());
        let thread = Arc::new(Mutex::new(Some(thread.map_err(PublishError::Start)?)));
        Ok(Self { shared, thread })
    }

    /// Waits until everything that is closed is published, but no longer than `timeout`, nor once `hurry` is set; then ends. What
    /// is not published then waits on the disk.
    pub fn finish(&self, timeout: Duration, hurry: &AtomicBool) -> PublishStatus {
        let deadline = Instant::now() + timeout;
        {
            let mut state = self.shared.state.lock();
            state.is_ending = true;
            self.shared.changed.notify_all();
            // Whoever fails already is not waited for.
            while !state.is_done() && !state.is_failing() {
                if hurry.load(Ordering::Relaxed) || Instant::now() >= deadline {
                    break;
                }
                self.shared.changed.wait_for(&mut state, STEP);
            }
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the publisher panicked, which is a bug; what is not published waits on the disk"
            );
        }
        self.status()
    }
}

impl PartWatcher for BackgroundPublisher {
    fn begun(&self, part: &Experiment) {
        LocalState::note_waiting(part, &self.shared.settings.url);
        let removing = part.remote().filter(|remote| remote.kept() == Keep::Unsynced);
        self.shared.state.lock().removing = removing.cloned();
    }

    fn closed(&self, part: &Experiment) {
        let mut state = self.shared.state.lock();
        state.add(part.name().to_string());
        self.shared.changed.notify_all();
    }

    fn status(&self) -> PublishStatus {
        self.shared.state.lock().status.clone()
    }
}

impl State {
    fn add(&mut self, name: String) {
        if self.waiting.contains(&name) {
            // The first one may be under way, as it was before.
            self.is_again |= self.waiting.front() == Some(&name);
            return;
        }
        match self.waiting.len() < MAX_WAITING {
            true => self.waiting.push_back(name),
            false => self.is_overfull = true,
        }
        self.status.parts_waiting = self.waiting.len() as u64;
    }

    fn is_up_to_date(&self) -> bool {
        self.is_begun && self.waiting.is_empty() && !self.is_overfull
    }

    fn is_done(&self) -> bool {
        self.is_up_to_date() && !self.is_removing
    }

    fn is_failing(&self) -> bool {
        matches!(self.status.state, PublishState::Failing { .. })
    }
}

impl Shared {
    fn new(root: impl Into<PathBuf>, settings: StoreSettings, options: PublishOptions) -> Self {
        let status = PublishStatus { to: settings.url.clone(), ..PublishStatus::default() };
        let state = State {
            waiting: VecDeque::new(),
            is_overfull: false,
            is_ending: false,
            is_begun: false,
            is_again: false,
            is_removing: false,
            removing: None,
            status,
        };
        Self {
            root: root.into(),
            settings,
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop: Arc::default(),
        }
    }

    fn run(&self) {
        // Only this thread and those that it starts. A system that does not let it goes on without.
        let _ = rustix::process::setpriority_process(None, NICE);
        self.look_for_waiting();
        let mut publisher = None;
        self.publish_each(|name| {
            // One that panicked is not used again.
            let mut taken = publisher.take();
            let published = self.publish(&mut taken, name);
            publisher = taken;
            published
        });
    }

    /// Calls `publish` with each part that waits, again and again where it fails.
    fn publish_each(&self, mut publish: impl FnMut(&str) -> Result<(), PublishError>) {
        let mut wait = FIRST_WAIT;
        // Parts one after the other that failed where the store can do nothing about it.
        let mut unreadable = 0;
        while let Some(name) = self.next() {
            let published = catch_unwind(AssertUnwindSafe(|| publish(&name)));
            let published =
                published.unwrap_or_else(|panic| Err(PublishError::Panicked(panic_text(&*panic))));
            match published {
                Ok(()) => (wait, unreadable) = (FIRST_WAIT, 0),
                Err(PublishError::Stopped) => return,
                Err(error) => {
                    unreadable = if is_of_part(&error) { unreadable + 1 } else { 0 };
                    let others_wait = self.note_failure(&name, &one_line(&error), unreadable);
                    if others_wait {
                        continue;
                    }
                    if !self.sleep(wait) {
                        return;
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Finds what an earlier program left, and what found no room in memory.
    fn look_for_waiting(&self) {
        let found =
            find_experiment_names(&self.root, |name| self.is_waiting(name).unwrap_or_default());
        let names = found.unwrap_or_else(|error| {
            tracing::warn!(
                "can't look for recordings that are to be published: {}",
                one_line(&error)
            );
            Vec::new()
        });
        let mut state = self.state.lock();
        state.is_begun = true;
        state.is_overfull = false;
        names.into_iter().for_each(|name| state.add(name));
        self.changed.notify_all();
    }

    /// Whether a part is closed and was to be published, or has changed since.
    fn is_waiting(&self, name: &str) -> Result<bool, TrackError> {
        let Some(state) = LocalState::load(&self.root.join(name)) else { return Ok(false) };
        let experiment = Experiment::open_read_only(name, &self.root)?;
        let now = LocalState::now(&experiment, &self.options)?;
        let is_waiting = state.is_waiting(&now, &experiment, &self.settings.url)?;
        Ok(is_waiting && !experiment.is_being_written()?)
    }

    /// The next part; `None` at the end.
    fn next(&self) -> Option<String> {
        loop {
            let mut state = self.state.lock();
            (state.is_again, state.is_removing) = (false, false);
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(name) = state.waiting.front().cloned() {
                if !state.is_failing() {
                    state.status.state = PublishState::Publishing;
                }
                return Some(name);
            }
            if state.is_overfull {
                drop(state);
                self.look_for_waiting();
                continue;
            }
            state.status.state = PublishState::UpToDate;
            self.changed.notify_all();
            if state.is_ending {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn publish(&self, publisher: &mut Option<Publisher>, name: &str) -> Result<(), PublishError> {
        let publisher = match publisher {
            Some(publisher) => publisher,
            None => {
                // The next part is tried soon enough.
                let retries = Retries { tries: 4, ..Retries::default() };
                let store = self.settings.open()?.retries(retries).stop_when(self.stop.clone());
                publisher.insert(Publisher::new(store, self.options.clone())?)
            }
        };
        let experiment = Experiment::open_read_only(name, &self.root);
        let experiment = experiment.map_err(PublishError::track(name))?;
        let recording = Recording { name: name.to_owned(), experiment };
        let stamp = || LocalState::now(&recording.experiment, &self.options);
        let before = stamp().map_err(PublishError::track(name))?;
        let published = publisher.publish(&recording, &Progress::default())?;
        for line in published.remarks() {
            tracing::warn!("{name}: {line}");
        }
        // What is still being written comes once it is closed.
        let has_changed = stamp().is_ok_and(|now| now != before)
            && recording.experiment.is_being_written().is_ok_and(|is| !is);
        self.note_published(name, &published, has_changed);
        tracing::info!("{name} is published to {}: {} rows", self.settings.url, published.rows_put);
        if published.is_whole() {
            self.remove_uploaded(&recording.experiment);
        }
        Ok(())
    }

    /// Takes a part out of those that wait, unless it is to be published once more.
    fn note_published(&self, name: &str, published: &Published, has_changed: bool) {
        let mut state = self.state.lock();
        state.waiting.retain(|waiting| waiting != name);
        match has_changed || state.is_again {
            true => state.add(name.to_owned()),
            false => state.status.parts_published += 1,
        }
        state.is_removing = state.removing.is_some();
        state.status.state = match state.is_up_to_date() {
            true => PublishState::UpToDate,
            false => PublishState::Publishing,
        };
        state.status.parts_waiting = state.waiting.len() as u64;
        state.status.rows_put += published.rows_put;
        state.status.bytes_put += published.bytes;
        self.changed.notify_all();
    }

    /// Once a part is published, what the server has of it goes too, as it would have without publishing.
    fn remove_uploaded(&self, part: &Experiment) {
        let Some(remote) = self.state.lock().removing.clone() else { return };
        let goes_on = || !self.stop.load(Ordering::Relaxed);
        if let Err(error) = part.remove_uploaded(&remote, &goes_on) {
            tracing::error!("{}: can't remove what is uploaded: {}", part.name(), one_line(&error));
        }
    }

    /// Notes that a part could not be published. The others go first the next time; returns true if that is at once.
    fn note_failure(&self, name: &str, reason: &str, unreadable: usize) -> bool {
        let mut state = self.state.lock();
        let others_wait = unreadable > 0 && unreadable < state.waiting.len();
        if !state.is_failing() {
            tracing::warn!("{name} is not published yet and waits on the disk: {reason}");
        }
        if !others_wait {
            state.status.state = PublishState::Failing { reason: reason.to_owned() };
        }
        // What is published may have failed afterwards.
        if state.waiting.front().is_some_and(|first| first == name) {
            state.waiting.rotate_left(1);
        }
        self.changed.notify_all();
        others_wait
    }

    /// Returns false if it is to end.
    fn sleep(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.state.lock();
        while Instant::now() < deadline {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            self.changed.wait_for(&mut state, STEP.min(wait));
        }
        true
    }
}

/// Whether a part is at fault rather than the store.
fn is_of_part(error: &PublishError) -> bool {
    matches!(
        error,
        PublishError::Export(_)
            | PublishError::Changed { .. }
            | PublishError::TooManyColumns { .. }
            | PublishError::Panicked(_)
    )
}
