//! Ids of files, as ML-Dash makes them: milliseconds since 2024, the process, a counter; 41, 10 and
//! 12 bits. Later ids are larger.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// 2024-01-01 in UTC, milliseconds since 1970.
const EPOCH_MILLIS: u128 = 1_704_067_200_000;
const MILLIS_BITS: u32 = 41;
const PROCESS_BITS: u32 = 10;
const COUNTER_BITS: u32 = 12;

/// The last moment that ids were made for, and how many.
static LAST: Mutex<Moment> = Mutex::new(Moment { millis: 0, counter: 0 });

#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    millis: u64,
    counter: u64,
}

impl Moment {
    /// The next that is free at `now`. A clock that goes back does not give an id twice, and more
    /// ids than a millisecond has are taken from the next one.
    fn following(self, now_millis: u64) -> Self {
        if now_millis > self.millis {
            Self { millis: now_millis, counter: 0 }
        } else if self.counter + 1 < 1 << COUNTER_BITS {
            Self { counter: self.counter + 1, ..self }
        } else {
            Self { millis: self.millis + 1, counter: 0 }
        }
    }
}

/// An id that this process has not given yet.
pub(super) fn next() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = now.saturating_sub(EPOCH_MILLIS).min((1 << MILLIS_BITS) - 1);
    let mut last = LAST.lock();
    *last = last.following(u64::try_from(now).unwrap_or_default());
    let process = u64::from(std::process::id()) % (1 << PROCESS_BITS);
    last.millis << (PROCESS_BITS + COUNTER_BITS) | process << COUNTER_BITS | last.counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_also_when_the_clock_does_not() {
        let ids: Vec<u64> = (0..10_000).map(|_| next()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let last = Moment { millis: 7, counter: 4095 };
        assert_eq!(last.following(3), Moment { millis: 8, counter: 0 });
        assert_eq!(last.following(9), Moment { millis: 9, counter: 0 });
    }
}
