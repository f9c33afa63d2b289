//! `max_rate`: which rows to keep, by their stamps.

use crate::mapping::Hz;
use mldash_track::Timestamp;

/// How far from its due time a row may be and still be on time, in periods. Without this, a 30 Hz
/// camera under `max_rate: 30` would lose every frame that comes a little early.
const JITTER: f64 = 0.05;

/// Admits rows at no more than a rate over any longer time, and no closer than 0.9 periods.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    period_secs: f64,
    last_kept_secs: f64,
    due_secs: f64,
}

impl Throttle {
    pub(super) fn new(max_rate: Hz) -> Self {
        let period_secs = 1.0 / max_rate.get();
        Self { period_secs, last_kept_secs: f64::NEG_INFINITY, due_secs: f64::NEG_INFINITY }
    }

    /// Returns true if a row of this time is admitted.
    pub(super) fn admits(&self, ts: Timestamp) -> bool {
        let ts_secs = ts.as_secs();
        // A time far back comes from another clock (a restarted simulator), not from the same
        // stretch of time.
        ts_secs >= self.due_secs - self.tolerance_secs()
            || ts_secs <= self.last_kept_secs - self.period_secs
    }

    /// Remembers a row that was admitted and kept.
    pub(super) fn keep(&mut self, ts: Timestamp) {
        self.last_kept_secs = ts.as_secs();
        let on_time = (self.last_kept_secs - self.due_secs).abs() <= self.tolerance_secs();
        let base_secs = if on_time { self.due_secs } else { self.last_kept_secs };
        self.due_secs = base_secs + self.period_secs;
    }

    /// Forgets what was kept.
    pub(super) fn restart(&mut self) {
        (self.last_kept_secs, self.due_secs) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    }

    fn tolerance_secs(&self) -> f64 {
        JITTER * self.period_secs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(max_rate: f64, stamps: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut throttle = Throttle::new(Hz::new(max_rate).unwrap());
        let mut kept = Vec::new();
        for secs in stamps {
            let ts = Timestamp::new(secs).unwrap();
            if throttle.admits(ts) {
                throttle.keep(ts);
                kept.push(secs);
            }
        }
        kept
    }

    #[test]
    fn a_fast_topic_is_thinned_to_the_rate() {
        let stamps = (0..1000).map(|i| 1e9 + f64::from(i) * 0.01);
        assert_eq!(kept(10.0, stamps.clone()).len(), 100);
        let kept = kept(30.0, stamps);
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] > 0.9 / 30.0), "{kept:?}");
        assert!(kept.len() <= 301, "{}", kept.len());
    }

    #[test]
    fn a_topic_at_the_rate_itself_loses_nothing_to_jitter() {
        let jitter = [0.0, 0.001, -0.001, 0.0005];
        let stamps = (0..200).map(|i| 1e9 + f64::from(i) / 30.0 + jitter[i as usize % 4]);
        assert_eq!(kept(30.0, stamps).len(), 200);
    }

    #[test]
    fn time_that_jumps_back_starts_anew() {
        assert_eq!(kept(1.0, [100.0, 100.5, 3.0, 3.5, 4.0]), [100.0, 3.0, 4.0]);
    }

    #[test]
    fn a_straggler_within_a_period_is_not_a_jump() {
        assert_eq!(kept(1.0, [10.0, 9.7, 11.0]), [10.0, 11.0]);
    }
}
