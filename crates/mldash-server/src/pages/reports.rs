//! Reports that were made, as long as nothing of their experiments changes. Two people who look at one recording make one
//! report; of one that is being recorded, a new one is made no sooner than the last one took.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use mldash_export::Progress;
use mldash_track::ExperimentName;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::ApiError;

/// Pages that are kept, in bytes: as much as the largest.
const MAX_KEPT_BYTES: usize = 24 << 20;
/// Reports that are made at the same time.
const AT_ONCE: usize = 2;
/// How long to wait for another report to be made.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which experiments are side by side.
pub(super) type Key = Vec<ExperimentName>;

/// What is kept.
#[derive(Debug)]
pub(super) struct Reports {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    places: Semaphore,
    running: Mutex<Running>,
}

/// What is being made.
#[derive(Debug, Default)]
struct Running {
    making: Vec<Weak<Progress>>,
    is_stopped: bool,
}

/// A report that is being made, as long as somebody waits for it.
#[derive(Debug)]
pub(super) struct Making(Arc<Progress>);

impl Making {
    /// How far it is.
    pub(super) fn progress(&self) -> Arc<Progress> {
        self.0.clone()
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[derive(Debug)]
struct Slot {
    /// Locked while it is made.
    made: tokio::sync::Mutex<Option<Made>>,
    used: Mutex<Instant>,
    bytes: Mutex<usize>,
}

/// A report's page.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// What the experiments looked like before they were read.
    state: String,
    pub(super) page: Bytes,
    ended: Instant,
    took: Duration,
}

impl Made {
    /// Whether it does instead of a new one.
    fn does(&self, state: &str) -> bool {
        self.state == state || self.ended.elapsed() < self.took
    }
}

impl Default for Reports {
    fn default() -> Self {
        let (slots, running) = (Mutex::default(), Mutex::default());
        Self { slots, places: Semaphore::new(AT_ONCE), running }
    }
}

impl Reports {
    /// Stops those that are being made, and those that are begun from now on.
    pub(super) fn stop(&self) {
        let mut running = self.running.lock();
        running.is_stopped = true;
        running.making.iter().filter_map(Weak::upgrade).for_each(|progress| progress.stop());
    }

    /// Begins one. It is stopped once what is returned is dropped: when nobody waits for it any more.
    pub(super) fn begin(&self) -> Making {
        let progress = Arc::new(Progress::default());
        let mut running = self.running.lock();
        if running.is_stopped {
            progress.stop();
        }
        running.making.retain(|progress| progress.strong_count() > 0);
        running.making.push(Arc::downgrade(&progress));
        Making(progress)
    }

    /// The page of these experiments, which look like `state`: one that was made, or what `make` makes.
    pub(super) async fn page(
        &self,
        key: Key,
        state: String,
        make: impl AsyncFnOnce() -> Result<Bytes, ApiError>,
    ) -> Result<Bytes, ApiError> {
        let busy = || ApiError::busy("other reports are being made; try again in a moment");
        let slot = self.slot(key);
        let mut made = timeout(PATIENCE, slot.made.lock()).await.map_err(|_| busy())?;
        if let Some(made) = made.as_ref().filter(|made| made.does(&state)) {
            return Ok(made.page.clone());
        }
        // What is no longer true makes room.
        *made = None;
        *slot.bytes.lock() = 0;
        let place = timeout(PATIENCE, self.places.acquire()).await;
        let _place = place.map_err(|_| busy())?.map_err(|error| ApiError::internal(&error))?;
        let began = Instant::now();
        let page = make().await?;
        let (ended, took) = (Instant::now(), began.elapsed());
        *made = Some(Made { state, page: page.clone(), ended, took });
        *slot.bytes.lock() = page.len();
        drop(made);
        self.make_room();
        Ok(page)
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        let now = Instant::now();
        let new = || Slot { made: Default::default(), used: Mutex::new(now), bytes: Mutex::new(0) };
        let slot = slots.entry(key).or_insert_with(|| Arc::new(new())).clone();
        *slot.used.lock() = now;
        slot
    }

    /// Forgets the pages that were not looked at for longest, until all others fit, and the places of those that were never made.
    fn make_room(&self) {
        let mut slots = self.slots.lock();
        slots.retain(|_, slot| *slot.bytes.lock() > 0 || Arc::strong_count(slot) > 1);
        let mut by_use: Vec<(Instant, Key)> =
            slots.iter().map(|(key, slot)| (*slot.used.lock(), key.clone())).collect();
        by_use.sort();
        let mut sum: usize = slots.values().map(|slot| *slot.bytes.lock()).sum();
        for (_, key) in by_use {
            if sum <= MAX_KEPT_BYTES {
                return;
            }
            if let Some(slot) = slots.remove(&key) {
                sum -= *slot.bytes.lock();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key(run: usize) -> Key {
        vec![format!("alice/lab/run-{run}").parse().unwrap()]
    }

    /// Counts how often it is called; a page of so many bytes, after a while.
    async fn get(
        reports: &Reports,
        run: usize,
        state: &str,
        made: &AtomicUsize,
        bytes: usize,
    ) -> usize {
        let make = async || {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Bytes::from(vec![b'x'; bytes]))
        };
        reports.page(key(run), state.to_owned(), make).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_report_is_made_once_while_nothing_changes_also_for_those_who_ask_at_once() {
        let (reports, made) = (Reports::default(), AtomicUsize::new(0));
        let both = tokio::join!(get(&reports, 1, "a", &made, 5), get(&reports, 1, "a", &made, 6));
        assert_eq!((both, made.load(Ordering::Relaxed)), ((5, 5), 1));
        assert_eq!(get(&reports, 1, "a", &made, 7).await, 5);
    }

    #[test]
    fn a_new_one_is_made_once_things_have_changed_but_no_sooner_than_the_last_one_took() {
        let took = |took| {
            let (state, page) = ("a".to_owned(), Bytes::new());
            Made { state, page, ended: Instant::now(), took }
        };
        let [quick, slow] = [Duration::ZERO, Duration::from_secs(3600)].map(took);
        assert!(quick.does("a") && slow.does("a") && slow.does("b"));
        assert!(!quick.does("b"));
    }

    #[tokio::test]
    async fn no_more_is_kept_than_may_be_and_what_fails_leaves_nothing() {
        let (reports, made) = (Reports::default(), AtomicUsize::new(0));
        for run in 0..5 {
            get(&reports, run, "a", &made, MAX_KEPT_BYTES / 3).await;
        }
        let kept: Vec<usize> =
            reports.slots.lock().values().map(|slot| *slot.bytes.lock()).collect();
        assert_eq!(kept, [MAX_KEPT_BYTES / 3; 3]);
        get(&reports, 4, "a", &made, 1).await;
        assert_eq!(made.load(Ordering::Relaxed), 5, "the last one is kept");
        let fails = async || Err(ApiError::too_large("no"));
        assert!(reports.page(key(9), "a".to_owned(), fails).await.is_err());
        get(&reports, 5, "a", &made, 1).await;
        assert!(!reports.slots.lock().contains_key(&key(9)));
    }
}
