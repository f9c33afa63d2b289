//! How fast a disk fills up, and how long it lasts at that rate. Pure: the caller brings the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::mapping::Bytes;

/// The window over which the rate is measured: the store writes in bursts.
const WINDOW: Duration = Duration::from_secs(60);
/// A rate over less says little.
const SHORTEST: Duration = Duration::from_secs(10);
/// Nobody waits for longer.
const LONGEST_SECS: f64 = 365.0 * 86_400.0;

/// The free space over the last minute.
#[derive(Debug, Default)]
pub(super) struct Trend {
    /// Oldest first.
    samples: VecDeque<(Instant, Bytes)>,
}

impl Trend {
    /// Takes the free space at `now`. Returns the whole seconds until only `min_free` is left, if it shrinks
    /// on as it did; `None` while it does not shrink, or that is too early to say.
    pub(super) fn remaining_secs(
        &mut self,
        now: Instant,
        free: Bytes,
        min_free: Bytes,
    ) -> Option<u64> {
        self.samples.push_back((now, free));
        // The second sample reaches back far enough, so the first is not needed.
        while self.samples.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            self.samples.pop_front();
        }
        let (since, free_then) = *self.samples.front()?;
        let used = free_then.get().checked_sub(free.get()).filter(|used| *used > 0)?;
        let span = now - since;
        if span < SHORTEST {
            return None;
        }
        let left = free.get().saturating_sub(min_free.get());
        let secs = left as f64 / (used as f64 / span.as_secs_f64());
        (secs < LONGEST_SECS).then_some(secs as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_lasts_until_only_what_is_to_stay_free_is_left_at_the_rate_of_the_last_minute() {
        let (start, mut trend) = (Instant::now(), Trend::default());
        let mut at = |secs: u64, free: u64| {
            let now = start + Duration::from_secs(secs);
            trend.remaining_secs(now, Bytes::new(free), Bytes::new(1000))
        };
        assert_eq!(at(0, 10_000), None);
        assert_eq!(at(5, 9_500), None, "too early");
        assert_eq!(at(10, 9_000), Some(80));
        assert_eq!(at(60, 4_000), Some(30));
        assert_eq!(at(90, 4_000), Some(48), "5,000 since it was last seen a minute ago");
        assert_eq!(at(150, 4_000), None, "nothing");
        assert_eq!(at(155, 8_000), None, "somebody made room");
    }
}
