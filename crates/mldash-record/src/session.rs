//! What lasts longer than one part of a recording: how topics arrive, which are required, and the
//! status board.

use std::sync::Arc;
use std::time::Instant;

use super::clock::SaidOfClocks;
use super::limits::Limits;
use super::meter::{Meter, Reading, WINDOW};
use super::parts::Parts;
use super::required::{RequiredAccount, RequiredMonitor, Turn};
use super::status::{StatusBoard, TopicStatus};
use super::topic::TopicRecorder;
use super::watcher::PartWatcher;
use crate::mapping::Required;

/// A recording, over all its parts.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) started: Instant,
    pub(super) paused: bool,
    pub(super) board: StatusBoard,
    pub(super) parts: Parts,
    pub(super) clocks: SaidOfClocks,
    pub(super) limits: Limits,
    pub(super) watcher: Option<Arc<dyn PartWatcher>>,
    /// By topic number.
    arrivals: Vec<Arrivals>,
    monitors: Vec<RequiredMonitor>,
}

/// How one topic's messages arrive.
#[derive(Debug)]
struct Arrivals {
    messages: u64,
    /// Messages or elements that were lost in earlier parts.
    lost_before: u64,
    /// The lag when messages last arrived.
    lag_secs: Option<f64>,
    meter: Meter,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            paused: false,
            board: StatusBoard::default(),
            parts: Parts::default(),
            clocks: SaidOfClocks::default(),
            limits: Limits::default(),
            watcher: None,
            arrivals: Vec::new(),
            monitors: Vec::new(),
        }
    }

    pub(super) fn require(&mut self, required: &[Required]) {
        let now = Instant::now();
        self.monitors.extend(required.iter().map(|required| RequiredMonitor::new(required, now)));
    }

    /// Adds a topic with this name in the mapping.
    pub(super) fn add_topic(&mut self, mapped_topic: &str) {
        let monitor = self.monitors.iter().find(|monitor| monitor.is_of(mapped_topic));
        let meter = Meter::new(Instant::now(), monitor.map_or(WINDOW, RequiredMonitor::window));
        self.arrivals.push(Arrivals { messages: 0, lost_before: 0, lag_secs: None, meter });
    }

    /// Counts messages of a topic, whatever happens to them. Returns true if they are its first.
    pub(super) fn count(&mut self, topic: usize, messages: u64) -> bool {
        let Some(arrivals) = self.arrivals.get_mut(topic) else { return false };
        arrivals.messages += messages;
        arrivals.messages == messages
    }

    /// Nanoseconds since the recording began.
    pub(super) fn elapsed_nanos(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// Measures all topics. Logs what has changed with the required ones.
    pub(super) fn collect_status(
        &mut self,
        now: Instant,
        topics: &mut [TopicRecorder],
    ) -> Vec<TopicStatus> {
        let measured = topics.iter_mut().zip(&mut self.arrivals).map(|(topic, arrivals)| {
            let account = topic.account();
            let lost = arrivals.lost_before + account.missing_total();
            let reading = arrivals.meter.measure(now, arrivals.messages, lost);
            arrivals.lag_secs = topic.take_lag().or(arrivals.lag_secs);
            let lag_secs = arrivals.lag_secs;
            let status = TopicStatus { account, lag_secs, ..status(topic, reading) };
            (status, reading)
        });
        let measured: Vec<(TopicStatus, Reading)> = measured.collect();
        for monitor in &mut self.monitors {
            let topic = measured.iter().find(|(status, _)| monitor.is_of(&status.mapped_topic));
            match monitor.check(now, topic.map(|(_, reading)| *reading)) {
                Some(Turn::Worse(text)) => tracing::warn!("{text}"),
                Some(Turn::Better(text)) => tracing::info!("{text}"),
                None => {}
            }
        }
        measured.into_iter().map(|(status, _)| status).collect()
    }

    /// Ends the recording, or its part with these topics.
    pub(super) fn end(&mut self, topics: &[TopicRecorder]) {
        for monitor in &mut self.monitors {
            let came = topics
                .iter()
                .any(|topic| monitor.is_of(topic.mapped_topic()) && topic.account().received > 0);
            if monitor.end(came) {
                tracing::warn!("required topic {} has not come", monitor.topic());
            }
        }
    }

    pub(super) fn required(&self) -> Vec<RequiredAccount> {
        self.monitors.iter().map(|monitor| monitor.account().clone()).collect()
    }

    /// Starts the accounts again. `topics` are those of the part that ends; it keeps what is
    /// returned.
    pub(super) fn start_part(&mut self, topics: &[TopicRecorder]) -> Self {
        let next = self.monitors.iter().map(RequiredMonitor::next_part).collect();
        let ended = Self {
            monitors: std::mem::replace(&mut self.monitors, next),
            watcher: self.watcher.clone(),
            ..Self::new()
        };
        self.limits.start_part();
        for (arrivals, topic) in self.arrivals.iter_mut().zip(topics) {
            arrivals.lost_before += topic.account().missing_total();
        }
        ended
    }
}

fn status(topic: &TopicRecorder, reading: Reading) -> TopicStatus {
    TopicStatus {
        mapped_topic: topic.mapped_topic().to_owned(),
        rate_hz: reading.rate_hz,
        silent_secs: reading.silent.map(|silent| silent.as_secs_f64()),
        is_stale: reading.is_stale,
        is_losing: reading.is_losing,
        ..TopicStatus::default()
    }
}
