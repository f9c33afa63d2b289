//! How a topic's messages arrive, measured about once a second: its rate, whether it fell silent,
//! whether any were lost lately. Pure: the caller brings the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window over which a rate is measured.
pub(super) const WINDOW: Duration = Duration::from_secs(5);
/// How long a loss counts as recent.
const LATELY: Duration = Duration::from_secs(10);
/// Fewer messages tell nothing about the usual interval.
const FEW_MESSAGES: u64 = 5;
/// A topic is silent when it is overdue by this many of its usual intervals, and by [`WINDOW`].
const OVERDUE_INTERVALS: u32 = 5;
/// Bounds the samples that are kept, whatever the window.
const MAX_SAMPLES: usize = 3_600;

/// A topic's counts over time.
#[derive(Debug)]
pub(super) struct Meter {
    window: Duration,
    /// Oldest first. They span the window.
    samples: VecDeque<Sample>,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
    lost_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    messages: u64,
    lost: u64,
}

/// What a measurement shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) messages: u64,
    /// Messages per second, over the window or the part of it that has passed.
    pub(super) rate_hz: f64,
    /// Whether the rate is over a whole window.
    pub(super) is_settled: bool,
    /// Time since the last message; `None` before the first.
    pub(super) silent: Option<Duration>,
    /// Messages used to come and have stopped.
    pub(super) is_stale: bool,
    /// Messages were lost lately.
    pub(super) is_losing: bool,
}

impl Meter {
    /// Starts at `now` with no messages. Rates are measured over `window`.
    pub(super) fn new(now: Instant, window: Duration) -> Self {
        let start = Sample { at: now, messages: 0, lost: 0 };
        Self { window, samples: [start].into(), first_at: None, last_at: None, lost_at: None }
    }

    /// Takes the counts at `now`.
    pub(super) fn measure(&mut self, now: Instant, messages: u64, lost: u64) -> Reading {
        let before = self.samples.back().copied();
        if before.is_none_or(|before| messages > before.messages) {
            if self.first_at.is_none() {
                // The silence before the first message does not count for its rate.
                self.samples.drain(..self.samples.len().saturating_sub(1));
                self.first_at = Some(now);
            }
            self.last_at = Some(now);
        }
        if before.is_some_and(|before| lost > before.lost) {
            self.lost_at = Some(now);
        }
        self.samples.push_back(Sample { at: now, messages, lost });
        // The second sample reaches back far enough, so the first is not needed.
        while self.samples.len() > MAX_SAMPLES
            || self.samples.get(1).is_some_and(|second| now - second.at >= self.window)
        {
            self.samples.pop_front();
        }
        self.reading(now, messages)
    }

    fn reading(&self, now: Instant, messages: u64) -> Reading {
        let oldest = self.samples.front().copied().unwrap_or(Sample { at: now, messages, lost: 0 });
        let span = now - oldest.at;
        let came = messages.saturating_sub(oldest.messages);
        let silent = self.last_at.map(|last_at| now - last_at);
        Reading {
            messages,
            rate_hz: if span.is_zero() { 0.0 } else { came as f64 / span.as_secs_f64() },
            is_settled: span >= self.window,
            silent,
            is_stale: silent.is_some_and(|silent| silent > self.overdue_after(messages)),
            is_losing: self.lost_at.is_some_and(|lost_at| now - lost_at < LATELY),
        }
    }

    /// How long the topic may be silent before it is overdue.
    fn overdue_after(&self, messages: u64) -> Duration {
        let (Some(first_at), Some(last_at)) = (self.first_at, self.last_at) else {
            return Duration::MAX;
        };
        if messages < FEW_MESSAGES {
            return Duration::MAX;
        }
        let intervals = u32::try_from(messages - 1).unwrap_or(u32::MAX);
        WINDOW.max((last_at - first_at) / intervals * OVERDUE_INTERVALS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second at a topic that has had so many messages by then.
    fn measure_each(meter: &mut Meter, start: Instant, counts: &[u64]) -> Vec<Reading> {
        let measure = |(i, messages): (usize, &u64)| {
            meter.measure(start + Duration::from_secs(i as u64 + 1), *messages, 0)
        };
        counts.iter().enumerate().map(measure).collect()
    }

    #[test]
    fn a_rate_is_that_of_the_last_five_seconds() {
        let start = Instant::now();
        let mut meter = Meter::new(start, WINDOW);
        let readings = measure_each(&mut meter, start, &[50, 100, 150, 200, 250, 300, 300, 300]);
        assert_eq!(readings[1].rate_hz, 50.0);
        assert!(!readings[3].is_settled && readings[4].is_settled);
        assert_eq!(readings[5].rate_hz, 50.0);
        assert_eq!(readings[7].rate_hz, 30.0, "two of five seconds were silent");
        assert_eq!(readings[7].silent, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_topic_that_came_and_stopped_is_stale_until_it_comes_again() {
        let start = Instant::now();
        let mut meter = Meter::new(start, WINDOW);
        let counts = [10, 20, 30, 30, 30, 30, 30, 30, 30, 40];
        let stale: Vec<bool> = measure_each(&mut meter, start, &counts)
            .iter()
            .map(|reading| reading.is_stale)
            .collect();
        assert_eq!(stale.iter().position(|stale| *stale), Some(8), "{stale:?}");
        assert!(!stale[9]);
    }

    #[test]
    fn a_topic_that_speaks_seldom_is_not_stale_for_being_silent() {
        let start = Instant::now();
        let mut meter = Meter::new(start, WINDOW);
        assert!(
            !measure_each(&mut meter, start, &[1; 100])[99].is_stale,
            "one message, latched perhaps"
        );
        let mut meter = Meter::new(start, WINDOW);
        let every_ten: Vec<u64> = (0..100).map(|i| i / 10 + 1).collect();
        assert!(
            measure_each(&mut meter, start, &every_ten).iter().all(|reading| !reading.is_stale)
        );
    }

    #[test]
    fn a_loss_is_trouble_for_a_while() {
        let start = Instant::now();
        let mut meter = Meter::new(start, WINDOW);
        let at = |secs| start + Duration::from_secs(secs);
        assert!(!meter.measure(at(1), 10, 0).is_losing);
        assert!(meter.measure(at(2), 20, 3).is_losing);
        assert!(meter.measure(at(11), 20, 3).is_losing);
        assert!(!meter.measure(at(12), 20, 3).is_losing);
    }
}
