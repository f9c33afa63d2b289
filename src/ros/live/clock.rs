//! ROS time: the system's, or `/clock` under `use_sim_time`; and when it jumps back.

use std::sync::{Arc, Mutex, PoisonError};

/// A simulator started anew, or a clock set back: further than what a clock is corrected by.
const JUMP_NANOS: i64 = 1_000_000_000;

/// The node's clock.
pub(super) struct RosClock {
    clock: Arc<Mutex<r2r::Clock>>,
    jumps: Jumps,
}

impl RosClock {
    pub(super) fn of(node: &r2r::Node) -> Self {
        Self { clock: node.get_ros_clock(), jumps: Jumps::default() }
    }

    /// Nanoseconds; 0 before `/clock` came.
    pub(super) fn now_nanos(&self) -> i64 {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let since_epoch = clock.get_now().unwrap_or_default();
        i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Whether it has jumped back since the last call.
    pub(super) fn has_jumped_back(&mut self) -> bool {
        let now_nanos = self.now_nanos();
        self.jumps.has_jumped_back(now_nanos)
    }
}

/// The times that a clock showed.
#[derive(Debug, Default)]
struct Jumps {
    last_nanos: i64,
}

impl Jumps {
    fn has_jumped_back(&mut self, now_nanos: i64) -> bool {
        let last_nanos = std::mem::replace(&mut self.last_nanos, now_nanos);
        now_nanos < last_nanos.saturating_sub(JUMP_NANOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_corrected_a_little_has_not_jumped() {
        let mut jumps = Jumps::default();
        let times = [0, 5_000_000_000, 4_900_000_000, 4_900_000_000, 100, 200, 0];
        let jumped: Vec<bool> = times.iter().map(|nanos| jumps.has_jumped_back(*nanos)).collect();
        assert_eq!(jumped, [false, false, false, false, true, false, false]);
    }
}
