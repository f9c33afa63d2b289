//! Reports that were made, as long as nothing of their experiments changes. Two people who look at one recording make one
//! report; of one that is being recorded, a new one is made no sooner than the last one took.
//!
//! What is begun goes on without whoever asked for it, as long as somebody asks again now and then: so a report that takes
//! longer than a browser or a proxy waits is seen, too.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use mldash_export::Progress;
use mldash_track::ExperimentName;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::error::ApiError;
use crate::memory::Memory;
use crate::shares::{Share, Shares};

/// Pages that are kept, in bytes: as much as the largest.
const MAX_KEPT_BYTES: usize = 24 << 20;
/// Reports that are made at the same time, in fair shares.
const AT_ONCE: usize = 4;
/// How long an answer waits for a report. No proxy gives up so soon.
const PATIENCE: Duration = Duration::from_secs(10);
/// A report that nobody has asked for since is no longer made.
const LEFT: Duration = Duration::from_secs(60);
/// How often to look whether that is so.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a report waits for memory that others hold, and how often it asks.
const MEMORY_PATIENCE: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Which experiments are side by side, in this order.
pub(super) type Key = Vec<ExperimentName>;

/// What becomes of one that is made.
type Outcome = Result<Bytes, ApiError>;

/// What is kept, and what is being made.
#[derive(Debug)]
pub(super) struct Reports {
    state: Mutex<State>,
    /// How many may be made at the same time.
    pub(super) places: Arc<Shares>,
    /// Whose turn it is to ask for memory: who has waited longest.
    turn: tokio::sync::Mutex<()>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<Key, Slot>,
    is_stopped: bool,
}

/// There is one for each report that is kept or being made.
#[derive(Debug)]
struct Slot {
    /// When somebody has last asked for it.
    used: Instant,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Making(Making),
    Made(Made),
    /// It failed when nobody was waiting. Whoever asks next is told.
    Failed(ApiError),
}

/// A report that is being made.
#[derive(Clone, Debug)]
struct Making {
    progress: Arc<Progress>,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// A report's page.
#[derive(Debug)]
struct Made {
    /// What the experiments looked like before they were read.
    state: String,
    page: Bytes,
    ended: Instant,
    took: Duration,
}

/// What there is to answer with.
#[derive(Debug)]
pub(super) enum Answer {
    Page(Bytes),
    /// It is being made: so many rows are read, of so many.
    NotYet {
        rows: u64,
        of: u64,
    },
}

impl Made {
    /// Whether it does instead of a new one.
    fn does(&self, state: &str) -> bool {
        self.state == state || self.ended.elapsed() < self.took
    }
}

impl Default for Reports {
    fn default() -> Self {
        let (state, turn) = Default::default();
        Self { state, places: Shares::new(AT_ONCE), turn, patience: PATIENCE }
    }
}

impl Reports {
    /// Stops those that are being made, and those that are begun from now on.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopped = true;
        for slot in state.slots.values() {
            if let Content::Making(making) = &slot.content {
                making.progress.stop();
            }
        }
    }

    /// The page of these experiments, which look like `state`: one that was made, or what `make` makes, if `place` gives it one of
    /// the [`places`](Self::places).
    pub(super) async fn page<F: Future<Output = Outcome> + Send + 'static>(
        self: &Arc<Self>,
        key: Key,
        state: String,
        place: impl FnOnce() -> Option<Share>,
        make: impl FnOnce(Arc<Progress>) -> F,
    ) -> Result<Answer, ApiError> {
        let mut making = match self.find(key, state, place)? {
            Found::Page(page) => return Ok(Answer::Page(page)),
            Found::Making(making) => making,
            Found::Begun(making, begun) => {
                tokio::spawn(begun.run(making.progress.clone(), make(making.progress.clone())));
                making
            }
        };
        match timeout(self.patience, making.outcome.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => match &*outcome {
                Some(outcome) => outcome.clone().map(Answer::Page),
                None => Err(ended()),
            },
            Ok(Err(_)) => Err(ended()),
            Err(_) => {
                let (rows, of) = making.progress.done();
                Ok(Answer::NotYet { rows, of })
            }
        }
    }

    fn find(
        self: &Arc<Self>,
        key: Key,
        state: String,
        place: impl FnOnce() -> Option<Share>,
    ) -> Result<Found, ApiError> {
        let now = Instant::now();
        let mut all = self.state.lock();
        if let Some(slot) = all.slots.get_mut(&key) {
            slot.used = now;
            match &slot.content {
                Content::Made(made) if made.does(&state) => {
                    return Ok(Found::Page(made.page.clone()));
                }
                Content::Making(making) => return Ok(Found::Making(making.clone())),
                Content::Made(_) | Content::Failed(_) => {}
            }
        }
        // Told once. A page that is out of date stays until there is a place to make another.
        let is_failed = |slot: &Slot| matches!(slot.content, Content::Failed(_));
        if all.slots.get(&key).is_some_and(is_failed)
            && let Some(Slot { content: Content::Failed(error), .. }) = all.slots.remove(&key)
        {
            return Err(error);
        }
        let place = place()
            .ok_or_else(|| ApiError::busy("other reports are being made; try again in a moment"))?;
        let is_news = |slot: &Slot| now.duration_since(slot.used) < LEFT;
        all.slots.retain(|_, slot| !is_failed(slot) || is_news(slot));
        let progress = Arc::new(Progress::default());
        if all.is_stopped {
            progress.stop();
        }
        let (send, outcome) = watch::channel(None);
        let making = Making { progress, outcome };
        let content = Content::Making(making.clone());
        all.slots.insert(key.clone(), Slot { used: now, content });
        let begun = Begun {
            reports: self.clone(),
            key,
            state,
            began: now,
            place: Some(place),
            outcome: send,
            is_left: false,
            is_settled: false,
        };
        Ok(Found::Begun(making, begun))
    }

    /// Holds `bytes` once there are so many. Those who wait take turns, so that nobody who asks again and again is always first.
    pub(super) async fn hold(
        &self,
        memory: &mut Memory,
        bytes: usize,
        progress: &Progress,
    ) -> Result<(), ApiError> {
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        loop {
            if progress.is_stopped() {
                return Err(ended());
            }
            match memory.hold(bytes) {
                Err(error) if error.is_for_now() && began.elapsed() < MEMORY_PATIENCE => {
                    sleep(ASK_EVERY).await;
                }
                held => return held,
            }
        }
    }
}

fn ended() -> ApiError {
    ApiError::busy("the report was given up; try again")
}

impl State {
    /// Forgets pages until all others fit, but not `newest`: of the namespace that has most, what was not looked at for longest.
    fn make_room(&mut self, newest: &Key) {
        loop {
            let kept = self.slots.iter().filter_map(|(key, slot)| match &slot.content {
                Content::Made(made) => Some((key, made.page.len(), slot.used)),
                Content::Making(_) | Content::Failed(_) => None,
            });
            let kept: Vec<(&Key, usize, Instant)> = kept.collect();
            if kept.iter().map(|(_, bytes, _)| bytes).sum::<usize>() <= MAX_KEPT_BYTES {
                return;
            }
            let bytes_of = |owner: &str| -> usize {
                let own = kept.iter().filter(|(key, ..)| owner_of(key) == owner);
                own.map(|(_, bytes, _)| bytes).sum()
            };
            let others = kept.iter().filter(|(key, ..)| *key != newest);
            let last =
                others.max_by_key(|(key, _, used)| (bytes_of(owner_of(key)), Reverse(*used)));
            let Some(last) = last.map(|(key, ..)| (*key).clone()) else { return };
            self.slots.remove(&last);
        }
    }
}

fn owner_of(key: &Key) -> &str {
    key.first().map_or("", ExperimentName::owner)
}

/// What is known of a report when somebody asks for it.
enum Found {
    Page(Bytes),
    Making(Making),
    Begun(Making, Begun),
}

/// A report that has begun. Whatever becomes of it, its slot does not stay as one that is being made.
struct Begun {
    reports: Arc<Reports>,
    key: Key,
    state: String,
    began: Instant,
    place: Option<Share>,
    outcome: watch::Sender<Option<Outcome>>,
    /// It was stopped, since nobody asks for it any more.
    is_left: bool,
    is_settled: bool,
}

impl Begun {
    async fn run(mut self, progress: Arc<Progress>, make: impl Future<Output = Outcome>) {
        let mut make = pin!(make);
        let outcome = loop {
            match timeout(LOOK_EVERY, &mut make).await {
                Ok(outcome) => break outcome,
                Err(_) if self.is_left() => {
                    self.is_left = true;
                    progress.stop();
                }
                Err(_) => {}
            }
        };
        self.settle(match outcome {
            // Not that the server is stopping.
            Err(_) if self.is_left => Err(ended()),
            outcome => outcome,
        });
    }

    fn is_left(&self) -> bool {
        let all = self.reports.state.lock();
        all.slots.get(&self.key).is_none_or(|slot| slot.used.elapsed() >= LEFT)
    }

    fn settle(&mut self, outcome: Outcome) {
        self.is_settled = true;
        let (ended, took) = (Instant::now(), self.began.elapsed());
        // Who has seen the end finds the place free.
        self.place = None;
        let mut all = self.reports.state.lock();
        let used = all.slots.remove(&self.key).map_or(ended, |slot| slot.used);
        let content = match &outcome {
            Ok(page) => {
                let state = std::mem::take(&mut self.state);
                Some(Content::Made(Made { state, page: page.clone(), ended, took }))
            }
            Err(error) => {
                let is_told = self.outcome.receiver_count() > 0;
                (!is_told && !self.is_left).then(|| Content::Failed(error.clone()))
            }
        };
        if let Some(content) = content {
            all.slots.insert(self.key.clone(), Slot { used, content });
            all.make_room(&self.key);
        }
        drop(all);
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.is_settled {
            self.reports.state.lock().slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
