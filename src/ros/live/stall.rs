//! Notices that this process stood still: somebody suspended it, or the machine had no time for it. What it missed meanwhile is counted by its
//! sequence numbers. But Fast DDS takes a process that has read nothing from its shared memory for a second for dead, and now and then sends it nothing
//! afterwards, for good (<https://github.com/eProsima/Fast-DDS/issues/5469>). Nobody else would say so.

use std::io;
use std::time::{Duration, Instant};

use crate::track::Repeating;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// More than a busy machine makes a thread wait.
const LEAST: Duration = Duration::from_secs(2);

/// Warns of it afterwards, until the returned thread is dropped.
///
/// # Errors
/// Fails if the thread can't be started.
pub(super) fn warn_of_stalls() -> io::Result<Repeating> {
    let mut looked = Instant::now();
    Repeating::start("stalls", LOOK_EVERY, move || {
        let now = Instant::now();
        if let Some(stall) = stall_between(looked, now) {
            tracing::warn!(
                "this program stood still for {:.1} s; what was lost meanwhile is counted. If a topic stays silent from now on, start the \
                 recording again: Fast DDS may have given up its shared memory (FASTDDS_BUILTIN_TRANSPORTS=UDPv4 does without it)",
                stall.as_secs_f64()
            );
        }
        looked = now;
    })
}

/// How long nothing ran between two looks, if that is worth a word.
fn stall_between(looked: Instant, now: Instant) -> Option<Duration> {
    let late = now.saturating_duration_since(looked).saturating_sub(LOOK_EVERY);
    (late >= LEAST).then_some(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_much_later_than_it_should_was_a_stall() {
        let looked = Instant::now();
        let after = |millis| stall_between(looked, looked + Duration::from_millis(millis));
        assert_eq!(after(500), None);
        assert_eq!(after(2_400), None);
        assert_eq!(after(6_500), Some(Duration::from_secs(6)));
    }
}
