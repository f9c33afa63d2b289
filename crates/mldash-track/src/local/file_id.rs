//! File ids as the Python SDK makes them locally: milliseconds since 1970, then 12 low bits. Later
//! ids are larger, whoever made them.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The SDK fills these bits with a random number; we count.
const COUNTER_BITS: u32 = 12;

static LAST: Mutex<u64> = Mutex::new(0);

/// An id that this process has not used yet. This holds even if the clock goes back, or there are
/// more files than ids in a millisecond.
pub(super) fn next() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut last = LAST.lock();
    *last = following(*last, u64::try_from(now).unwrap_or_default());
    *last
}

fn following(last: u64, now_millis: u64) -> u64 {
    (now_millis << COUNTER_BITS).max(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_also_when_the_clock_does_not() {
        let first = following(0, 7);
        assert_eq!(first, 7 << 12);
        assert_eq!(following(first, 7), first + 1);
        assert_eq!(following(first, 3), first + 1);
        assert_eq!(following(first + 4095, 7), 8 << 12);
        assert_eq!(following(first, 9), 9 << 12);
    }
}
