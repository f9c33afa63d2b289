//! The receive time of a message in ROS time: from the system clock, or from `/clock` under
//! `use_sim_time`.
//!
//! The middleware notes the system time at which each message arrived. Under simulated time, that
//! arrival is looked up among the arrivals of `/clock`: the receive time is the last simulated time
//! that had arrived by then, no matter when the message is taken.

use std::collections::VecDeque;

use crate::ros::rcl::{
    Durability, MessageInfo, Node, QosProfile, RclError, Reliability, Subscription, TypeSupport,
};

/// More than any clock correction: a simulator restarted, or a clock was set back.
const JUMP_NANOS: i64 = 1_000_000_000;
/// Queue depth for clock messages: one second of a 1 kHz clock.
const DEPTH: usize = 1_000;
/// Clock arrivals to remember: ten seconds of a 1 kHz clock.
const MAX_TICKS: usize = 10_000;
const TYPE: &str = "rosgraph_msgs/msg/Clock";

/// The clock for receive times.
#[derive(Default)]
pub(super) struct ReceiveClock {
    simulated: Option<Simulated>,
}

struct Simulated {
    subscription: Subscription,
    ticks: Ticks,
}

/// What `/clock` said, and when each message arrived.
#[derive(Debug, Default)]
struct Ticks {
    /// System time and ROS time in nanoseconds, ordered by system time.
    list: VecDeque<(i64, i64)>,
    /// Whether the oldest were dropped. Earlier arrivals then use the oldest one left.
    is_trimmed: bool,
    jumped_at: Option<i64>,
}

impl ReceiveClock {
    /// Follows `topic`, the name of `/clock` on the graph, instead of the system clock.
    ///
    /// # Errors
    /// Fails if the clock can't be subscribed to.
    pub(super) fn follow(&mut self, node: &Node, topic: &str) -> Result<(), RclError> {
        let qos = QosProfile {
            reliability: Reliability::BestEffort,
            durability: Durability::Volatile,
            depth: DEPTH,
        };
        let subscription = Subscription::new(node, topic, TypeSupport::load(TYPE)?, qos)?;
        self.simulated = Some(Simulated { subscription, ticks: Ticks::default() });
        Ok(())
    }

    /// Returns true if it follows `/clock`.
    pub(super) fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// Reads new `/clock` messages. If the clock jumped back, returns the system time of that
    /// message.
    pub(super) fn update(&mut self) -> Option<i64> {
        let simulated = self.simulated.as_mut()?;
        simulated.take_ticks();
        simulated.ticks.jumped_at.take()
    }

    /// The receive time of a message in nanoseconds; `None` while a simulated clock does not run.
    pub(super) fn received_nanos(&mut self, info: &MessageInfo) -> Option<i64> {
        let arrived_nanos = info.received_nanos.unwrap_or_else(super::reader::system_nanos);
        let Some(simulated) = &mut self.simulated else { return Some(arrived_nanos) };
        if simulated.ticks.list.back().is_none_or(|(at, _)| *at < arrived_nanos) {
            simulated.take_ticks();
        }
        simulated.ticks.at(arrived_nanos)
    }
}

impl Simulated {
    fn take_ticks(&mut self) {
        loop {
            match self.subscription.take() {
                Ok(Some(message)) => {
                    let at = message.info.received_nanos;
                    let at = at.unwrap_or_else(super::reader::system_nanos);
                    if let Some(nanos) = clock_nanos(message.cdr) {
                        self.ticks.push(at, nanos);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!("a message of /clock could not be taken: {error}");
                    return;
                }
            }
        }
    }
}

impl Ticks {
    fn push(&mut self, at: i64, nanos: i64) {
        let last = self.list.back().map(|(_, nanos)| *nanos);
        if last.is_some_and(|last| nanos < last.saturating_sub(JUMP_NANOS)) {
            self.jumped_at.get_or_insert(at);
        }
        if self.list.len() >= MAX_TICKS {
            self.list.pop_front();
            self.is_trimmed = true;
        }
        self.list.push_back((at, nanos));
    }

    /// The last time that the clock gave by the system time `at`; `None` if it was not running by
    /// then.
    fn at(&self, at: i64) -> Option<i64> {
        let count = self.list.partition_point(|(came, _)| *came <= at);
        let index =
            if self.is_trimmed { Some(count.saturating_sub(1)) } else { count.checked_sub(1) };
        let tick = index.and_then(|index| self.list.get(index));
        // A clock at or below 0 does not run yet.
        tick.map(|(_, nanos)| *nanos).filter(|nanos| *nanos > 0)
    }
}

/// The time of a `rosgraph_msgs/msg/Clock`: seconds and nanoseconds after the encapsulation header.
fn clock_nanos(cdr: &[u8]) -> Option<i64> {
    let (header, body) = cdr.split_at_checked(4)?;
    let word = |at: usize| -> Option<[u8; 4]> { body.get(at..at + 4)?.try_into().ok() };
    // CDR_LE and the other little-endian kinds have an odd second byte (OMG RTPS 2.5, 10.2).
    let is_little = header[1] & 1 == 1;
    let (secs, nanos) = match is_little {
        true => (i32::from_le_bytes(word(0)?), u32::from_le_bytes(word(4)?)),
        false => (i32::from_be_bytes(word(0)?), u32::from_be_bytes(word(4)?)),
    };
    Some(i64::from(secs) * 1_000_000_000 + i64::from(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_message_was_received_at_what_the_clock_had_said_last() {
        let mut ticks = Ticks::default();
        ticks.push(1_000, 5 * SECOND);
        ticks.push(2_000, 6 * SECOND);
        let times = [999, 1_000, 1_999, 2_000, 9_999].map(|at| ticks.at(at));
        let (five, six) = (Some(5 * SECOND), Some(6 * SECOND));
        assert_eq!(times, [None, five, five, six, six]);
    }

    #[test]
    fn a_clock_that_stands_at_zero_or_below_does_not_run() {
        let mut ticks = Ticks::default();
        ticks.push(1, 0);
        assert_eq!(ticks.at(1), None);
        ticks.push(2, -SECOND);
        assert_eq!(ticks.at(2), None);
    }

    #[test]
    fn a_clock_that_is_corrected_a_little_has_not_jumped() {
        let mut ticks = Ticks::default();
        let mut jumps = Vec::new();
        for (at, nanos) in
            [(1, 5 * SECOND), (2, 4_900_000_000), (3, 4_900_000_000), (4, 100), (5, 200), (6, 0)]
        {
            ticks.push(at, nanos);
            jumps.extend(ticks.jumped_at.take());
        }
        assert_eq!(jumps, [4]);
    }

    #[test]
    fn the_clock_is_read_in_either_byte_order() {
        let little = [0, 1, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0];
        let big = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
        assert_eq!(clock_nanos(&little), Some(7 * SECOND + 9));
        assert_eq!(clock_nanos(&big), Some(7 * SECOND + 9));
        assert_eq!(clock_nanos(&little[..10]), None);
    }

    #[test]
    fn the_clocks_history_is_bounded() {
        let mut ticks = Ticks::default();
        (0..20_000).for_each(|at| ticks.push(at, at + SECOND));
        assert_eq!(ticks.list.len(), MAX_TICKS);
    }
}
