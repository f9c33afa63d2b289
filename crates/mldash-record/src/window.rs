//! The messages that a snapshot holds: the last seconds, bounded in time and bytes. Each is the bytes
//! that came, with its receipt; nothing is decoded until somebody wants it. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::time::Receipt;
use crate::mapping::Snapshot;
use mldash_track::ByteBound;

/// A message that is held.
#[derive(Debug)]
pub(super) struct WindowMessage {
    /// The topic's number.
    pub(super) topic: usize,
    pub(super) cdr: Vec<u8>,
    pub(super) receipt: Receipt,
    /// When it came, by the window's own clock.
    pub(super) at_nanos: i64,
}

/// The messages of the last seconds, the oldest first.
#[derive(Debug)]
pub(super) struct Window {
    keep: Duration,
    bound: ByteBound,
    messages: VecDeque<WindowMessage>,
    /// The latest time it was told; its clock does not go back.
    now_nanos: i64,
    /// Bytes that were taken out and are not written yet.
    taken_bytes: Arc<AtomicUsize>,
}

/// Messages that were taken out of a window to be written. What is written costs no memory any more.
#[derive(Debug)]
pub(super) struct TakenMessages {
    messages: VecDeque<WindowMessage>,
    bytes: usize,
    taken_bytes: Arc<AtomicUsize>,
}

impl WindowMessage {
    /// The bytes that it counts against the bound.
    fn cost(&self) -> usize {
        self.cdr.len() + size_of::<Self>()
    }
}

impl Window {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let limit_bytes = usize::try_from(snapshot.memory.get()).unwrap_or(usize::MAX);
        Self {
            keep: snapshot.keep,
            bound: ByteBound::new(limit_bytes),
            messages: VecDeque::new(),
            now_nanos: i64::MIN,
            taken_bytes: Arc::default(),
        }
    }

    /// Holds a message. Calls `fell_out` with those that have no place any more: their time is over,
    /// or it needs their room. One that is larger than the bound is held alone.
    pub(super) fn hold(
        &mut self,
        message: WindowMessage,
        mut fell_out: impl FnMut(&WindowMessage),
    ) {
        self.advance(message.at_nanos, &mut fell_out);
        let message = WindowMessage { at_nanos: self.now_nanos, ..message };
        while !self.bound.has_room(message.cost()) && self.drop_oldest(&mut fell_out) {}
        self.bound.add(message.cost());
        self.messages.push_back(message);
    }

    /// It is this time now. Calls `fell_out` with the messages whose time is over.
    pub(super) fn advance(&mut self, now_nanos: i64, mut fell_out: impl FnMut(&WindowMessage)) {
        if self.now_nanos == i64::MIN {
            // What came before any time was known counts from here.
            self.messages.iter_mut().for_each(|message| message.at_nanos = now_nanos);
        }
        self.now_nanos = self.now_nanos.max(now_nanos);
        let keep_nanos = i64::try_from(self.keep.as_nanos()).unwrap_or(i64::MAX);
        let oldest = self.now_nanos.saturating_sub(keep_nanos);
        while self.messages.front().is_some_and(|first| first.at_nanos < oldest) {
            self.drop_oldest(&mut fell_out);
        }
    }

    /// Takes everything out. The window goes on empty.
    pub(super) fn take(&mut self) -> TakenMessages {
        let (messages, bytes) = (std::mem::take(&mut self.messages), self.bound.used_bytes());
        self.bound.release(bytes);
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
        TakenMessages { messages, bytes, taken_bytes: self.taken_bytes.clone() }
    }

    /// How many messages are held.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bound.used_bytes()
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.bound.limit_bytes()
    }

    /// Bytes that were taken out and are not written yet.
    pub(super) fn taken_bytes(&self) -> usize {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    /// How long the messages go back.
    pub(super) fn span(&self) -> Duration {
        let first = self.messages.front().map_or(self.now_nanos, |first| first.at_nanos);
        let nanos = self.now_nanos.saturating_sub(first);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }

    pub(super) fn keep(&self) -> Duration {
        self.keep
    }

    fn drop_oldest(&mut self, fell_out: &mut impl FnMut(&WindowMessage)) -> bool {
        let Some(oldest) = self.messages.pop_front() else { return false };
        self.bound.release(oldest.cost());
        fell_out(&oldest);
        true
    }
}

impl TakenMessages {
    pub(super) fn iter(&self) -> impl Iterator<Item = &WindowMessage> {
        self.messages.iter()
    }
}

impl Iterator for TakenMessages {
    type Item = WindowMessage;

    fn next(&mut self) -> Option<WindowMessage> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.cost();
        self.taken_bytes.fetch_sub(message.cost(), Ordering::Relaxed);
        Some(message)
    }
}

impl Drop for TakenMessages {
    fn drop(&mut self) {
        self.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Bytes;
    use crate::time::Received;
    use proptest::prelude::*;

    const SEC: i64 = 1_000_000_000;

    fn window(keep_secs: u64, memory: u64) -> Window {
        let keep = Duration::from_secs(keep_secs);
        Window::new(&Snapshot { keep, memory: Bytes::new(memory) })
    }

    fn message(at_nanos: i64, len: usize) -> WindowMessage {
        let receipt = Received::At(at_nanos).into();
        WindowMessage { topic: 0, cdr: vec![0; len], receipt, at_nanos }
    }

    fn times(taken: &TakenMessages) -> Vec<i64> {
        taken.iter().map(|message| message.at_nanos / SEC).collect()
    }

    #[test]
    fn messages_fall_out_when_their_time_is_over_whether_others_come_or_not() {
        let mut window = window(3, 1 << 20);
        let mut fell = Vec::new();
        for second in 0..6 {
            window.hold(message(second * SEC, 10), |m| fell.push(m.at_nanos / SEC));
        }
        assert_eq!((fell, window.len(), window.span()), (vec![0, 1], 4, Duration::from_secs(3)));
        let mut fell = 0;
        window.advance(100 * SEC, |_| fell += 1);
        assert_eq!((fell, window.len(), window.bytes()), (4, 0, 0));
        assert_eq!(window.span(), Duration::ZERO);
    }

    #[test]
    fn the_oldest_make_room_and_one_that_is_too_large_is_held_alone() {
        let mut window = window(60, 3_000);
        let mut fell = Vec::new();
        for second in 0..4 {
            window.hold(message(second * SEC, 900), |m| fell.push(m.at_nanos / SEC));
        }
        assert_eq!(fell, [0]);
        window.hold(message(9 * SEC, 10_000), |m| fell.push(m.at_nanos / SEC));
        assert_eq!(fell, [0, 1, 2, 3]);
        assert_eq!(times(&window.take()), [9]);
    }

    #[test]
    fn what_is_taken_counts_until_it_is_written_and_the_window_goes_on_empty() {
        let mut window = window(60, 1 << 20);
        for second in 0..3 {
            window.hold(message(second * SEC, 100), |_| panic!("there is room"));
        }
        let mut taken = window.take();
        assert_eq!((window.len(), window.bytes(), taken.iter().count()), (0, 0, 3));
        window.hold(message(3 * SEC, 100), |_| panic!("there is room"));
        assert_eq!(window.taken_bytes(), taken.bytes);
        taken.next().unwrap();
        assert_eq!(window.taken_bytes(), taken.bytes);
        drop(taken);
        assert_eq!((window.taken_bytes(), times(&window.take())), (0, vec![3]));
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_order_and_lets_nothing_out_early() {
        let mut window = window(3, 1 << 20);
        for second in [5, 4, 6, 1] {
            window.hold(message(second * SEC, 1), |_| panic!("none is 3 s old"));
        }
        assert_eq!(times(&window.take()), [5, 5, 6, 6]);
    }

    proptest! {
        #[test]
        fn every_message_is_held_or_fell_out_within_the_bounds(
            messages in prop::collection::vec((0_i64..500_000_000, 0_usize..3_000), 1..80)
        ) {
            let mut window = window(2, 20_000);
            let (mut now, mut fell) = (0, 0);
            for (count, (step, len)) in messages.into_iter().enumerate() {
                now += step;
                window.hold(message(now, len), |_| fell += 1);
                prop_assert_eq!(window.len() + fell, count + 1);
                prop_assert!(window.bytes() <= 20_000);
                prop_assert!(window.span() <= Duration::from_secs(2));
            }
        }
    }
}
