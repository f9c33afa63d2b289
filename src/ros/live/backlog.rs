//! Whether messages may have been lost before the first of a topic was taken. Pure.
//!
//! A full history overwrites its oldest messages. Later on a gap in the publisher's numbers tells; before the
//! first number there is none to tell.

use crate::ros::rcl::MessageInfo;

/// A shorter history is asked for by who wants the newest messages only.
const SHORT_HISTORY: usize = 100;

/// The messages that had come before the first was taken.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When messages were about to be taken, the last time that none had been.
    looked_nanos: i64,
    messages: usize,
    is_over: bool,
    is_full: bool,
}

impl Backlog {
    /// Messages are about to be taken, at this system time.
    pub(super) fn look(&mut self, now_nanos: i64) {
        if self.messages == 0 {
            self.looked_nanos = now_nanos;
        }
    }

    /// A message was taken from a history of this depth.
    pub(super) fn take(&mut self, info: &MessageInfo, depth: usize) {
        if self.is_over {
            return;
        }
        // Nothing was lost before a publisher's first message, nor once the history was not full.
        let is_first = self.messages == 0 && info.sequence == Some(1);
        let had_come = info.received_nanos.is_some_and(|nanos| nanos <= self.looked_nanos);
        self.messages += 1;
        self.is_full = had_come && !is_first && self.messages >= depth.max(SHORT_HISTORY);
        self.is_over = !had_come || is_first || self.is_full;
    }

    /// Returns true once if they fill the history.
    pub(super) fn take_full(&mut self) -> bool {
        std::mem::take(&mut self.is_full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ros::rcl::Gid;

    const DEPTH: usize = 200;

    /// Whether the history turns out to have been full. Messages with these numbers have come one a
    /// nanosecond from 1 on; the first look is at `looked_nanos`.
    fn is_full(numbers: std::ops::Range<u64>, looked_nanos: i64, depth: usize) -> bool {
        let mut backlog = Backlog::default();
        // Nothing had come yet.
        backlog.look(0);
        backlog.look(looked_nanos);
        for (number, nanos) in numbers.zip(1..) {
            let publisher = Gid([1; size_of::<Gid>()]);
            let (sequence, received_nanos) = (Some(number), Some(nanos));
            let info = MessageInfo { source_nanos: None, received_nanos, sequence, publisher };
            backlog.take(&info, depth);
            backlog.look(nanos);
        }
        let is_full = backlog.take_full();
        assert!(!backlog.take_full(), "it is told once");
        is_full
    }

    #[test]
    fn a_history_that_was_full_at_the_first_look_may_have_lost_messages() {
        assert!(is_full(313..513, 1_000, DEPTH));
        assert!(!is_full(313..512, 1_000, DEPTH), "there was room");
    }

    #[test]
    fn messages_that_come_while_others_are_taken_fill_no_history() {
        assert!(!is_full(313..1_513, 150, DEPTH));
    }

    #[test]
    fn before_a_publishers_first_message_there_is_nothing_to_lose() {
        assert!(!is_full(1..500, 1_000, DEPTH));
    }

    #[test]
    fn who_asks_for_the_newest_alone_loses_nothing_by_getting_it() {
        assert!(!is_full(7..17, 1_000, 10));
    }
}
