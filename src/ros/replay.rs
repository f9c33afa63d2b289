//! Plays the messages of a run at their own pace. Knows when each is due, and that a pause shifts all that follow; not how
//! messages are published, so that it builds without ROS.

mod jitter;
mod pause;
mod read_ahead;

use std::thread;
use std::time::{Duration, Instant};

pub use jitter::Jitter;
pub use pause::Pause;

use super::{RosError, StopFlag};
use crate::export::ExportError;
use crate::export::ros2::{RosRun, TrackLosses};
use crate::record::panic_text;
use read_ahead::{Item, ReadAhead};

const NANOS_PER_SEC: f64 = 1e9;
/// While paused, the clock stands still but is published.
const PAUSED_TICK: Duration = Duration::from_millis(100);
/// The least that a pass takes if another follows: one of latched messages alone has nothing to wait for, and would flood
/// the graph.
const SHORTEST_PASS: Duration = Duration::from_millis(100);

/// How to play a run.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// How many seconds of the run pass in a second.
    pub rate: f64,
    /// Whether to begin again at the end.
    pub is_looping: bool,
    /// Where to begin, in seconds from the run's first message. Latched messages from before come first.
    pub start_secs: f64,
    /// How often the run's time is published on `/clock` in a second; `None`: it is not.
    pub clock_hz: Option<f64>,
    /// How long to wait at first until somebody listens to each topic.
    pub wait_for_subscribers: Duration,
    /// Pauses and resumes.
    pub pause: Pause,
}

/// What was played.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// How many messages were published of each of the run's topics.
    pub messages: Vec<u64>,
    /// How often the run was played to its end.
    pub passes: u64,
    /// How much later than due messages were published.
    pub jitter: Jitter,
    /// Topics that could not be published, and why.
    pub refused: Vec<(String, String)>,
    /// The tracks of which rows gave no message.
    pub losses: Vec<TrackLosses>,
}

/// Why a replay ends early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The run can't be read.
    #[error(transparent)]
    Read(#[from] ExportError),
    /// The thread that reads the run panicked.
    #[error("the thread that reads the run has failed: {0}")]
    Reader(String),
    /// The graph fails.
    #[error(transparent)]
    Ros(#[from] RosError),
}

/// Where messages go.
pub(super) trait Bus {
    /// Publishes a message on the run's topic of this number. Returns false if that topic is not published.
    fn publish(&mut self, topic: usize, cdr: &[u8]) -> Result<bool, RosError>;

    /// Publishes the run's time, in nanoseconds.
    fn publish_time(&mut self, nanos: i64) -> Result<(), RosError>;
}

/// Plays `run` until its end, or until `stop` is set.
#[cfg_attr(not(feature = "ros"), allow(dead_code))]
pub(super) fn play(
    run: &RosRun,
    settings: &ReplaySettings,
    bus: &mut impl Bus,
    stop: &StopFlag,
) -> Result<ReplayReport, ReplayError> {
    let mut report =
        ReplayReport { messages: vec![0; run.topics().len()], ..ReplayReport::default() };
    let Some(first) = run.first_nanos()? else { return Ok(report) };
    let start = first.saturating_add((settings.start_secs * NANOS_PER_SEC) as i64);
    let latched: Vec<bool> = run.topics().iter().map(|topic| topic.qos().is_latched()).collect();
    {
        let pause = settings.pause.clone();
        stop.call_when_set(move || pause.wake());
    }
    let ahead = ReadAhead::default();
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("replay-read".into());
        let read = || ahead.fill(run, settings.is_looping, stop);
        let reading = reader.spawn_scoped(scope, read).map_err(RosError::Thread)?;
        let played = {
            let _closing = ahead.closing();
            play_passes(&ahead, settings, start, &latched, bus, stop, &mut report)
        };
        // Its errors come through the queue, but for a panic.
        let read = reading.join();
        played.and(read.map_err(|panic| ReplayError::Reader(panic_text(&*panic))))
    })?;
    Ok(report)
}

fn play_passes(
    ahead: &ReadAhead,
    settings: &ReplaySettings,
    start: i64,
    latched: &[bool],
    bus: &mut impl Bus,
    stop: &StopFlag,
    report: &mut ReplayReport,
) -> Result<(), ReplayError> {
    let mut pace = Pace::new(settings, start);
    while let Some(item) = ahead.take(stop) {
        let (topic, log_nanos, cdr) = match item {
            Item::Message { topic, log_nanos, cdr } => (topic, log_nanos, cdr),
            Item::End { losses } => {
                report.losses = losses;
                if report.messages.iter().all(|messages| *messages == 0) {
                    break;
                }
                report.passes += 1;
                if settings.is_looping {
                    let shortest = SHORTEST_PASS.as_secs_f64() * settings.rate * NANOS_PER_SEC;
                    pace.await_due(start.saturating_add(shortest as i64), bus, stop)?;
                }
                pace = Pace::new(settings, start);
                continue;
            }
            Item::Failed(error) => return Err(error.into()),
        };
        let is_before = log_nanos < start;
        if is_before && !latched.get(topic).copied().unwrap_or_default() {
            continue;
        }
        let due = if is_before { None } else { pace.await_due(log_nanos, bus, stop)? };
        if stop.is_set() {
            break;
        }
        if bus.publish(topic, &cdr)?
            && let Some(count) = report.messages.get_mut(topic)
        {
            *count += 1;
            if let Some(due) = due {
                report.jitter.note(due.elapsed());
            }
        }
    }
    Ok(())
}

/// When the run's times are due.
struct Pace<'s> {
    settings: &'s ReplaySettings,
    /// The run's time at `began`.
    start: i64,
    /// Set when the first message that has to wait for its time comes.
    began: Option<Began>,
    next_tick: Instant,
}

/// When the run's time began to pass, and how long it had been paused before.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    paused: Duration,
}

impl<'s> Pace<'s> {
    fn new(settings: &'s ReplaySettings, start: i64) -> Self {
        Self { settings, start, began: None, next_tick: Instant::now() }
    }

    /// Waits until a time of the run is due, and publishes the clock meanwhile. Returns when it was due; `None` if the
    /// replay is stopped.
    fn await_due(
        &mut self,
        nanos: i64,
        bus: &mut impl Bus,
        stop: &StopFlag,
    ) -> Result<Option<Instant>, RosError> {
        loop {
            if stop.is_set() {
                return Ok(None);
            }
            let now = Instant::now();
            let (is_paused, paused) = self.settings.pause.at(now);
            let began = *self.began.get_or_insert(Began { at: now, paused });
            let shift = paused.saturating_sub(began.paused);
            let secs = nanos.saturating_sub(self.start) as f64 / NANOS_PER_SEC / self.settings.rate;
            let after = Duration::try_from_secs_f64(secs).unwrap_or_default();
            let due = began.at.checked_add(after + shift).unwrap_or(now);
            let next_tick = self.tick(now, began.at + shift, bus)?;
            if !is_paused && now >= due {
                return Ok(Some(due));
            }
            let until = if is_paused { now + PAUSED_TICK } else { due };
            let until = next_tick.map_or(until, |tick| tick.min(until));
            let until = stop.deadline().map_or(until, |deadline| deadline.min(until));
            self.settings.pause.wait_until(until);
        }
    }

    /// Publishes the run's time if it is time to, and returns when it is next. `origin` is when the run's time was
    /// `start`.
    fn tick(
        &mut self,
        now: Instant,
        origin: Instant,
        bus: &mut impl Bus,
    ) -> Result<Option<Instant>, RosError> {
        let Some(hz) = self.settings.clock_hz else { return Ok(None) };
        if now >= self.next_tick {
            let passed = now.saturating_duration_since(origin).as_secs_f64() * self.settings.rate;
            bus.publish_time(self.start.saturating_add((passed * NANOS_PER_SEC) as i64))?;
            let period = Duration::from_secs_f64(1.0 / hz);
            // After a pause, what was missed is not caught up with.
            self.next_tick = (self.next_tick + period).max(now);
        }
        Ok(Some(self.next_tick))
    }
}

#[cfg(test)]
mod tests;
