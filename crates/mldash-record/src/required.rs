//! Monitors required topics while recording. Reports once when a topic is missing or too slow, and
//! once when it is back. Pure: the caller brings the time and the topic's readings.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::meter::{Reading, WINDOW};
use crate::mapping::{Hz, Required};

/// How long a topic may take to appear.
const GRACE: Duration = Duration::from_secs(5);
/// How far below the required rate a rate may be: clocks and windows are no more precise.
const TOLERANCE: f64 = 0.05;
/// A rate is measured over at least this many periods.
const PERIODS: f64 = 3.0;

/// The state of a required topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequiredState {
    /// Too early to tell.
    #[default]
    Waiting,
    /// It arrives as required.
    Met,
    /// It arrives too seldom, or has stopped.
    Short,
    /// It has not arrived at all.
    Missing,
}

/// A required topic's part of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RequiredAccount {
    /// The topic, as the mapping names it.
    pub topic: String,
    /// The required rate in Hz; without one, it is enough that the topic arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rate: Option<f64>,
    /// Its state now, or at the end.
    pub state: RequiredState,
    /// How often it fell short.
    pub times_short: u64,
    /// Seconds in which it was short or missing.
    pub short_secs: f64,
}

/// A change to report about a required topic.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    Worse(String),
    Better(String),
}

/// A required topic under monitor.
#[derive(Clone, Debug)]
pub(super) struct RequiredMonitor {
    required: Required,
    since: Instant,
    checked_at: Instant,
    account: RequiredAccount,
}

impl RequiredMonitor {
    pub(super) fn new(required: &Required, now: Instant) -> Self {
        let account = RequiredAccount {
            topic: required.topic().to_owned(),
            min_rate: required.min_rate().map(Hz::get),
            ..RequiredAccount::default()
        };
        Self { required: required.clone(), since: now, checked_at: now, account }
    }

    /// The same monitor for the next part of a recording.
    pub(super) fn next_part(&self) -> Self {
        let account = RequiredAccount { times_short: 0, short_secs: 0.0, ..self.account.clone() };
        Self { account, ..self.clone() }
    }

    /// Returns true if this is the monitored topic, by the mapping's name for it.
    pub(super) fn is_of(&self, mapped_topic: &str) -> bool {
        self.required.names(mapped_topic)
    }

    pub(super) fn topic(&self) -> &str {
        &self.account.topic
    }

    pub(super) fn account(&self) -> &RequiredAccount {
        &self.account
    }

    /// Ends the recording: decides what was too early to tell. Returns true if the topic has not
    /// arrived and that was not reported.
    pub(super) fn end(&mut self, came: bool) -> bool {
        if self.account.state != RequiredState::Waiting {
            return false;
        }
        self.account.state = if came { RequiredState::Met } else { RequiredState::Missing };
        !came
    }

    /// The window over which this topic's rate must be measured.
    pub(super) fn window(&self) -> Duration {
        let periods = self.account.min_rate.map_or(0.0, |min_rate| PERIODS / min_rate);
        Duration::try_from_secs_f64(periods).map_or(Duration::MAX, |periods| periods.max(WINDOW))
    }

    /// Updates the state; `reading` is `None` while nobody publishes the topic.
    pub(super) fn check(&mut self, now: Instant, reading: Option<Reading>) -> Option<Turn> {
        let before = self.account.state;
        let state = self.state(now, reading);
        if matches!(state, RequiredState::Short | RequiredState::Missing) {
            self.account.short_secs += (now - self.checked_at).as_secs_f64();
        }
        self.checked_at = now;
        self.account.state = state;
        if state == before {
            return None;
        }
        let topic = &self.account.topic;
        let rate_hz = reading.map_or(0.0, |reading| reading.rate_hz);
        let wanted = self.account.min_rate.map(|hz| format!(", at least {hz} Hz are required"));
        let wanted = wanted.unwrap_or_default();
        match (state, before) {
            (RequiredState::Missing, _) => {
                Some(Turn::Worse(format!("required topic {topic} has not come")))
            }
            (RequiredState::Short, _) => {
                self.account.times_short += 1;
                Some(Turn::Worse(format!("required topic {topic} is at {rate_hz:.1} Hz{wanted}")))
            }
            (RequiredState::Met, RequiredState::Waiting) | (RequiredState::Waiting, _) => None,
            (RequiredState::Met, _) => {
                Some(Turn::Better(format!("required topic {topic} is back, at {rate_hz:.1} Hz")))
            }
        }
    }

    fn state(&self, now: Instant, reading: Option<Reading>) -> RequiredState {
        let Some(reading) = reading.filter(|reading| reading.messages > 0) else {
            let late = now - self.since >= GRACE;
            return if late { RequiredState::Missing } else { RequiredState::Waiting };
        };
        let is_short = match self.account.min_rate {
            None => reading.is_stale,
            Some(_) if !reading.is_settled => return self.account.state,
            Some(min_rate) => reading.rate_hz < min_rate * (1.0 - TOLERANCE),
        };
        if is_short { RequiredState::Short } else { RequiredState::Met }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;
    use crate::meter::Meter;

    /// Looks once a second at a topic that has had so many messages by then; what is told, and when.
    fn told(required: &str, counts: &[u64]) -> (Vec<(usize, String)>, RequiredAccount) {
        let text = format!("topics: [{{topic: /imu}}]\nrequired: [{required}]");
        let mapping = Mapping::parse(&text, "test.yaml").unwrap();
        let start = Instant::now();
        let mut monitor = RequiredMonitor::new(&mapping.required()[0], start);
        let mut meter = Meter::new(start, monitor.window());
        let mut told = Vec::new();
        for (i, messages) in counts.iter().enumerate() {
            let now = start + Duration::from_secs(i as u64 + 1);
            let reading = meter.measure(now, *messages, 0);
            match monitor.check(now, Some(reading)) {
                Some(Turn::Worse(text)) => told.push((i + 1, format!("worse: {text}"))),
                Some(Turn::Better(text)) => told.push((i + 1, format!("better: {text}"))),
                None => {}
            }
        }
        (told, monitor.account().clone())
    }

    /// Counts that grow by these many a second.
    fn growing(by: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let grow = |sum: &mut u64, by| {
            *sum += by;
            Some(*sum)
        };
        by.into_iter().scan(0, grow).collect()
    }

    #[test]
    fn a_rate_that_falls_short_is_told_once_and_once_when_it_is_back() {
        let rates = [100; 10].into_iter().chain([20; 10]).chain([100; 10]);
        let (told, account) = told("{topic: /imu, min_rate: 100}", &growing(rates));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].1.starts_with("worse") && told[0].1.contains("100 Hz"), "{told:?}");
        assert_eq!(told[0].0, 11);
        assert_eq!(told[1], (25, "better: required topic /imu is back, at 100.0 Hz".to_owned()));
        assert_eq!((account.times_short, account.short_secs), (1, 14.0));
        assert_eq!(account.state, RequiredState::Met);
    }

    #[test]
    fn a_topic_that_never_comes_is_told_once() {
        let (told, account) = told("/imu", &[0; 60]);
        assert_eq!(told, [(5, "worse: required topic /imu has not come".to_owned())]);
        assert_eq!(account.state, RequiredState::Missing);
    }

    #[test]
    fn one_that_comes_late_is_told_again() {
        let counts = growing([0; 8].into_iter().chain([50; 8]));
        let (told, account) = told("{topic: /imu, min_rate: 20}", &counts);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].1.starts_with("better"), "{told:?}");
        assert_eq!(account.times_short, 0);
    }

    #[test]
    fn a_rate_is_not_judged_before_there_is_a_whole_window_of_it() {
        let (told, account) = told("{topic: /imu, min_rate: 1000}", &growing([10; 4]));
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(account.state, RequiredState::Waiting);
        let (told, _) =
            self::told("{topic: /imu, min_rate: 0.2}", &growing([0, 0, 0, 0, 1, 0, 0, 0, 0, 1]));
        assert!(told.is_empty(), "three periods of five seconds are not over: {told:?}");
    }

    #[test]
    fn a_recording_that_ends_early_says_whether_it_came() {
        let mapping =
            Mapping::parse("topics: [{topic: /imu}]\nrequired: [/imu]", "t.yaml").unwrap();
        let mut monitor = RequiredMonitor::new(&mapping.required()[0], Instant::now());
        let mut other = monitor.clone();
        assert!(!monitor.end(true));
        assert_eq!(monitor.account().state, RequiredState::Met);
        assert!(other.end(false) && !other.end(false), "told once");
        assert_eq!(other.account().state, RequiredState::Missing);
    }

    #[test]
    fn without_a_rate_silence_is_what_is_told() {
        let rates = [10; 10].into_iter().chain([0; 20]);
        let (told, _) = told("/imu", &growing(rates));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].1.contains("at 0.0 Hz"), "{told:?}");
    }
}
