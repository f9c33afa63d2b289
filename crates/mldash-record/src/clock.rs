//! What the times of messages tell about the clocks behind them: whether a clock was set back, or
//! is far from the clock that measures receive times. Pure bookkeeping over times.

use mldash_track::Timestamp;

/// A row further back than this is not just late: the clock was set back, or a simulator or a bag
/// was restarted.
const JUMP_SECS: f64 = 1.0;

/// A stamp further from the receive time than this comes from another clock, not from a slow
/// network.
const FAR_SECS: f64 = 10.0;

/// This many messages, each stamped later than the one before, show that the stamps come from
/// another clock. Latched messages are old too, but they are few and come in any order.
const FAR_MESSAGES: u32 = 10;

/// This many messages in a row with the same stamp show that the stamp stands still.
const STILL_MESSAGES: u64 = 10;

/// Finds jumps back in the times of one track's rows from one topic.
#[derive(Clone, Debug)]
pub(super) struct JumpDetector {
    last: Option<Timestamp>,
    jumps: u64,
    latest: Option<(Timestamp, Timestamp)>,
}

impl JumpDetector {
    /// For a topic whose clock has jumped back this many times before.
    pub(super) fn after(jumps: u64) -> Self {
        Self { last: None, jumps, latest: None }
    }

    /// Takes the next row's time. Returns true if the clock has jumped back since the row before.
    pub(super) fn step(&mut self, ts: Timestamp) -> bool {
        let before = self.last.filter(|last| ts.as_secs() < last.as_secs() - JUMP_SECS);
        let jumped = before.is_some();
        self.latest = before.map(|before| (before, ts)).or(self.latest);
        // A late row says nothing about the clock.
        if jumped || self.last.is_none_or(|last| ts > last) {
            self.last = Some(ts);
        }
        self.jumps += u64::from(jumped);
        jumped
    }

    /// The latest of its jumps: the time before it, and the one after it.
    pub(super) fn latest(&self) -> Option<(Timestamp, Timestamp)> {
        self.latest
    }

    /// The number of jumps so far.
    pub(super) fn count(&self) -> u64 {
        self.jumps
    }
}

/// Finds stamps that stand still, for one track's messages from one topic.
#[derive(Debug, Default)]
pub(super) struct StandstillDetector {
    last: Option<Timestamp>,
    messages: u64,
}

impl StandstillDetector {
    /// Takes the next message's time. Returns how many messages this shows to have a stamp that
    /// stands still: all ten with the tenth message, then one at a time.
    pub(super) fn step(&mut self, ts: Timestamp) -> u64 {
        if self.last.replace(ts) != Some(ts) {
            self.messages = 0;
        }
        self.messages += 1;
        match self.messages {
            ..STILL_MESSAGES => 0,
            STILL_MESSAGES => STILL_MESSAGES,
            _ => 1,
        }
    }
}

/// Finds a topic whose stamps come from another clock than its receive times.
#[derive(Debug, Default)]
pub(super) struct FarClockDetector {
    last_far: Option<Timestamp>,
    far_messages: u32,
}

/// The result of comparing a message's stamp with its receive time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compared {
    /// Near, or too few messages to tell.
    Near,
    /// This message shows that the stamps come from another clock. This many messages so far have
    /// such stamps; they are `ahead_secs` ahead of the receive time.
    Found { messages: u64, ahead_secs: f64 },
    /// The stamps are known to come from another clock, and so does this one.
    Far,
}

impl FarClockDetector {
    /// Takes a message's stamp and receive time.
    pub(super) fn compare(&mut self, stamp: Timestamp, received: Timestamp) -> Compared {
        let ahead_secs = stamp.as_secs() - received.as_secs();
        if ahead_secs.abs() <= FAR_SECS || self.last_far.is_some_and(|last| stamp <= last) {
            return Compared::Near;
        }
        self.last_far = Some(stamp);
        self.far_messages = self.far_messages.saturating_add(1);
        match self.far_messages {
            ..FAR_MESSAGES => Compared::Near,
            FAR_MESSAGES => Compared::Found { messages: u64::from(FAR_MESSAGES), ahead_secs },
            _ => Compared::Far,
        }
    }
}

/// What the log already says about clocks. Topics of one far clock, as in a played bag, are
/// reported as one.
#[derive(Debug, Default)]
pub(super) struct SaidOfClocks {
    ahead_secs: Vec<f64>,
    jumped_back: bool,
    stood_still: bool,
}

impl SaidOfClocks {
    /// Returns true the first time that a clock this far away is reported.
    pub(super) fn is_news_of_distance(&mut self, ahead_secs: f64) -> bool {
        let is_near = |said: &f64| (said - ahead_secs).abs() <= FAR_SECS;
        let is_news = !self.ahead_secs.iter().any(is_near);
        if is_news {
            self.ahead_secs.push(ahead_secs);
        }
        is_news
    }

    /// Returns true for the first jump back.
    pub(super) fn is_news_of_jump(&mut self) -> bool {
        !std::mem::replace(&mut self.jumped_back, true)
    }

    /// Returns true for the first stamp that stands still.
    pub(super) fn is_news_of_stillness(&mut self) -> bool {
        !std::mem::replace(&mut self.stood_still, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Timestamp {
        Timestamp::new(secs).unwrap()
    }

    #[test]
    fn a_restart_is_one_jump_and_a_straggler_none() {
        let mut detector = JumpDetector::after(0);
        let jumps: Vec<bool> = [100.0, 100.1, 99.2, 100.2, 0.0, 0.1, 0.05, 0.2]
            .map(|secs| detector.step(at(secs)))
            .into();
        assert_eq!(jumps, [false, false, false, false, true, false, false, false]);
        assert_eq!(detector.count(), 1);
        assert_eq!(detector.latest(), Some((at(100.2), at(0.0))));
    }

    #[test]
    fn time_that_stands_still_is_no_jump() {
        let mut detector = JumpDetector::after(0);
        assert!([5.0, 5.0, 5.0].iter().all(|secs| !detector.step(at(*secs))));
    }

    #[test]
    fn a_stamp_stands_still_from_its_tenth_message_on() {
        let mut stillness = StandstillDetector::default();
        let times = [[1.0; 9].as_slice(), &[2.0; 12], &[3.0]].concat();
        let found: Vec<u64> = times.into_iter().map(|secs| stillness.step(at(secs))).collect();
        assert_eq!(found, [[0; 18].as_slice(), &[10, 1, 1, 0]].concat());
    }

    #[test]
    fn a_far_clock_is_found_once_and_then_counted() {
        let mut distance = FarClockDetector::default();
        let compared: Vec<Compared> =
            (1..=12).map(|i| distance.compare(at(f64::from(i)), at(1e9 + f64::from(i)))).collect();
        assert!(compared[..9].iter().all(|c| *c == Compared::Near));
        assert_eq!(compared[9], Compared::Found { messages: 10, ahead_secs: -1e9 });
        assert_eq!(compared[10..], [Compared::Far, Compared::Far]);
    }

    #[test]
    fn topics_of_one_clock_are_told_once() {
        let mut said = SaidOfClocks::default();
        let news = [-3600.0, -3601.5, 86_400.0, -3595.0].map(|secs| said.is_news_of_distance(secs));
        assert_eq!(news, [true, false, true, false]);
        assert!(said.is_news_of_jump() && !said.is_news_of_jump());
    }

    #[test]
    fn latched_messages_are_old_and_no_clock() {
        let mut distance = FarClockDetector::default();
        for _ in 0..100 {
            assert_eq!(distance.compare(at(3.0), at(1e3)), Compared::Near);
        }
    }

    #[test]
    fn a_slow_network_is_no_clock() {
        let mut distance = FarClockDetector::default();
        for i in 0..100 {
            let sent = f64::from(i);
            assert_eq!(distance.compare(at(sent), at(sent + 9.0)), Compared::Near);
        }
    }
}
