//! The experiments that clients write to. They are opened at the first request, shared by
//! simultaneous requests, and closed when they are done or idle, which leaves them sorted and
//! merged. Their number is limited, and so is the memory that their open tracks keep.
//!
//! All disk access runs on the blocking threads. Requests that wait for an experiment to be opened
//! or closed don't hold such a thread.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore};

use super::error::ApiError;
use super::places;
use super::work::blocking;
use mldash_track::{Experiment, ExperimentName, Options, one_line};

/// Rows are flushed before a request is answered, so this only limits what running requests hold of
/// one experiment.
const BUFFER_BYTES: usize = 64 << 20;

/// What to do if an experiment does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfAbsent {
    Make,
    Refuse,
}

/// The experiments under a root.
#[derive(Debug)]
pub(super) struct Experiments {
    root: PathBuf,
    slots: Mutex<HashMap<ExperimentName, Arc<Slot>>>,
    may_open: Arc<Semaphore>,
    /// What the open tracks of all may keep in memory before the largest experiments are closed.
    max_kept_bytes: usize,
    /// They keep more.
    outgrown: Notify,
}

/// The place of one experiment, open or not.
#[derive(Debug)]
struct Slot {
    /// Locked for reading by requests that use it, for writing to open or close it.
    open: Arc<RwLock<Option<Open>>>,
    used: Mutex<Instant>,
    /// What its open tracks keep in memory, also while it is being closed.
    kept_bytes: AtomicUsize,
}

#[derive(Debug)]
struct Open {
    experiment: Experiment,
    _counted: OwnedSemaphorePermit,
}

/// What became of a write.
enum Written<T, W> {
    Done(T),
    /// It was not begun: the experiment's folder was removed.
    Removed(W),
}

impl Experiments {
    /// At most `max_open` experiments are open at the same time, and keep about `max_kept_bytes` in memory.
    pub(super) fn new(root: &Path, max_open: usize, max_kept_bytes: usize) -> Self {
        let (slots, may_open) = (Mutex::default(), places(max_open));
        let outgrown = Notify::new();
        Self { root: root.to_owned(), slots, may_open, max_kept_bytes, outgrown }
    }

    /// The root.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `work` on an experiment that is open for writing. One whose folder was removed while it
    /// was open is opened anew, as if the server had just started.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        name: &ExperimentName,
        if_absent: IfAbsent,
        work: impl FnOnce(&Experiment) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.check_kept(name)?;
        let mut work = work;
        let done = loop {
            match self.write_where_it_is(name, if_absent, work).await {
                Ok(Written::Done(done)) => break Ok(done),
                Ok(Written::Removed(undone)) => work = undone,
                Err(error) => break Err(error),
            }
            tracing::warn!("the folder of {name} was removed while it was open");
            self.close(name).await;
        };
        if self.kept_bytes(|_| true) > self.max_kept_bytes {
            self.outgrown.notify_one();
        }
        if let Err(error) = &done {
            if error.wants_handles() {
                // Each track that is written to holds a file open.
                self.close_least_used().await;
            } else if error.wants_reopening() {
                self.close(name).await;
            }
        }
        done
    }

    async fn write_where_it_is<T, W>(
        &self,
        name: &ExperimentName,
        if_absent: IfAbsent,
        work: W,
    ) -> Result<Written<T, W>, ApiError>
    where
        T: Send + 'static,
        W: FnOnce(&Experiment) -> Result<T, ApiError> + Send + 'static,
    {
        let slot = self.slot(name);
        let mut open = slot.open.clone().read_owned().await;
        while open.is_none() {
            drop(open);
            let writing = slot.open.clone().write_owned().await;
            open = self.open(name, if_absent, writing).await?.downgrade();
        }
        *slot.used.lock() = Instant::now();
        blocking(move || match &*open {
            Some(open) if open.experiment.check_in_place().is_err() => Ok(Written::Removed(work)),
            Some(open) => {
                let done = work(&open.experiment);
                // It only grows until the experiment is closed, and others write at the same time.
                slot.kept_bytes.fetch_max(open.experiment.kept_bytes(), Ordering::Relaxed);
                done.map(Written::Done)
            }
            // It was there a line above, and the lock is still held.
            None => Err(ApiError::busy("the experiment was just closed; try again")),
        })
        .await
    }

    /// Runs `work` on an experiment as it is on disk, whoever writes it.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        name: &ExperimentName,
        work: impl FnOnce(Experiment) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (name, root) = (name.clone(), self.root.clone());
        blocking(move || work(Experiment::open_read_only(name.as_str(), root)?)).await
    }

    /// Closes an experiment, if it is open, once all requests that use it are done.
    pub(super) async fn close(&self, name: &ExperimentName) {
        let slot = self.slots.lock().get(name).cloned();
        if let Some(slot) = slot {
            slot.close(name, slot.open.clone().write_owned().await).await;
        }
        self.forget_closed();
    }

    /// Closes experiments that nobody has used for `idle`.
    pub(super) async fn close_idle(&self, idle: Duration) {
        for (name, slot) in self.all() {
            let is_idle = slot.used.lock().elapsed() >= idle;
            if let Some(writing) =
                is_idle.then(|| slot.open.clone().try_write_owned().ok()).flatten()
            {
                slot.close(&name, writing).await;
            }
        }
        self.forget_closed();
    }

    /// Closes all experiments, each once the requests that use it are done.
    pub(super) async fn close_all(&self) {
        for (name, slot) in self.all() {
            slot.close(&name, slot.open.clone().write_owned().await).await;
        }
    }

    fn slot(&self, name: &ExperimentName) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        let new = || Slot {
            open: Arc::default(),
            used: Mutex::new(Instant::now()),
            kept_bytes: AtomicUsize::default(),
        };
        slots.entry(name.clone()).or_insert_with(|| Arc::new(new())).clone()
    }

    fn all(&self) -> Vec<(ExperimentName, Arc<Slot>)> {
        self.slots.lock().iter().map(|(name, slot)| (name.clone(), slot.clone())).collect()
    }

    /// A request that is about to use a slot holds a reference to it.
    fn forget_closed(&self) {
        self.slots.lock().retain(|_, slot| {
            let is_closed = slot.open.try_read().is_ok_and(|open| open.is_none());
            !is_closed || Arc::strong_count(slot) > 1
        });
    }

    async fn open(
        &self,
        name: &ExperimentName,
        if_absent: IfAbsent,
        mut writing: OwnedRwLockWriteGuard<Option<Open>>,
    ) -> Result<OwnedRwLockWriteGuard<Option<Open>>, ApiError> {
        if writing.is_some() {
            return Ok(writing);
        }
        let counted = self.room_for_one().await?;
        let (name, root) = (name.clone(), self.root.clone());
        blocking(move || {
            if if_absent == IfAbsent::Refuse {
                Experiment::open_read_only(name.as_str(), &root)?;
            }
            let options = Options::local(root)
                .recorded_elsewhere()
                .buffered(true)
                .flush_interval(Duration::from_secs(5))
                .batch_rows(usize::MAX)
                .buffer_bytes(BUFFER_BYTES);
            let experiment = Experiment::open(name.as_str(), options)?;
            *writing = Some(Open { experiment, _counted: counted });
            Ok(writing)
        })
        .await
    }

    /// A permit to open one more experiment. If there is none, the least recently used one is
    /// closed.
    async fn room_for_one(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if let Ok(counted) = self.may_open.clone().try_acquire_owned() {
            return Ok(counted);
        }
        self.close_least_used().await;
        let room = self.may_open.clone().try_acquire_owned();
        room.map_err(|_| {
            ApiError::busy("too many experiments are being written to; try again later")
        })
    }

    /// Whenever the open tracks keep more memory than they may, closes experiments until they don't. No request waits for that.
    pub(super) async fn close_outgrown(&self) {
        loop {
            self.outgrown.notified().await;
            while self.kept_bytes(|_| true) > self.max_kept_bytes && self.close_large().await {}
            self.forget_closed();
        }
    }

    /// Closes the one that keeps most in memory, or one that keeps at least half as much and that no request uses. Returns false if
    /// there is none.
    async fn close_large(&self) -> bool {
        let kept = |(name, slot): (ExperimentName, Arc<Slot>)| {
            let bytes = slot.kept_bytes.load(Ordering::Relaxed);
            (bytes > 0).then_some((bytes, name, slot))
        };
        let mut kept: Vec<_> = self.all().into_iter().filter_map(kept).collect();
        kept.sort_by_key(|(bytes, ..)| Reverse(*bytes));
        let Some((most, largest, slot)) = kept.first() else { return false };
        let large = kept.iter().take_while(|(bytes, ..)| *bytes >= most / 2);
        let mut unused = large.filter_map(|(_, name, slot)| {
            Some((name, slot, slot.open.clone().try_write_owned().ok()?))
        });
        let (name, slot, writing) = match unused.next() {
            Some(unused) => unused,
            None => (largest, slot, slot.open.clone().write_owned().await),
        };
        tracing::debug!("closing {name}: the open tracks of all keep too much memory");
        slot.close(name, writing).await;
        true
    }

    /// Refuses a namespace whose open tracks would outrun the closing of experiments: what it keeps may be as much as is still
    /// free of three times the limit. So there is room for others.
    fn check_kept(&self, name: &ExperimentName) -> Result<(), ApiError> {
        let own = self.kept_bytes(|other| other.owner() == name.owner());
        let all = self.kept_bytes(|_| true);
        if own.saturating_add(all) <= self.max_kept_bytes.saturating_mul(3) {
            return Ok(());
        }
        self.outgrown.notify_one();
        Err(ApiError::busy(
            "the open tracks keep too much memory and are being closed; try again later",
        ))
    }

    /// What the open tracks of these experiments keep in memory.
    fn kept_bytes(&self, is_counted: impl Fn(&ExperimentName) -> bool) -> usize {
        let slots = self.slots.lock();
        let counted = slots.iter().filter(|(name, _)| is_counted(name));
        counted.map(|(_, slot)| slot.kept_bytes.load(Ordering::Relaxed)).sum()
    }

    /// Closes the least recently used one of those that no request uses.
    async fn close_least_used(&self) {
        let mut all = self.all();
        all.sort_by_key(|(_, slot)| *slot.used.lock());
        for (name, slot) in all {
            let Ok(writing) = slot.open.clone().try_write_owned() else { continue };
            if writing.is_some() {
                return slot.close(&name, writing).await;
            }
        }
    }
}

impl Slot {
    async fn close(
        self: &Arc<Self>,
        name: &ExperimentName,
        mut writing: OwnedRwLockWriteGuard<Option<Open>>,
    ) {
        let (slot, name) = (self.clone(), name.clone());
        let closed = blocking(move || {
            if let Some(open) = writing.take() {
                // Everything answered for is flushed. A failure here leaves the file complete as it is.
                if let Err(error) = open.experiment.close() {
                    tracing::error!("closing experiment {name}: {}", one_line(&error));
                }
            }
            slot.kept_bytes.store(0, Ordering::Relaxed);
            Ok(())
        });
        // A panic in there has been reported by its own message.
        let _ = closed.await;
    }
}

#[cfg(test)]
mod tests;
