//! Messages that need the receive time before there is one: under `use_sim_time`, until the first
//! `/clock`. Latched messages (`/robot_description`, `/tf_static`) come before it, and only once.

/// The limit on messages held for one topic.
const HELD_BYTES: usize = 4 << 20;

/// The messages of one topic that wait for the clock.
#[derive(Debug, Default)]
pub(super) struct Held {
    messages: Vec<HeldMessage>,
    bytes: usize,
}

/// A message that waits.
#[derive(Debug)]
pub(super) struct HeldMessage {
    pub(super) cdr: Vec<u8>,
    /// How many messages the account counts it as.
    pub(super) elements: usize,
}

impl Held {
    /// Holds a message. Returns true if it fits.
    pub(super) fn push(&mut self, message: HeldMessage) -> bool {
        let bytes = self.bytes + message.cdr.len() + size_of::<HeldMessage>();
        let fits = bytes <= HELD_BYTES;
        if fits {
            self.bytes = bytes;
            self.messages.push(message);
        }
        fits
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes all messages out, in the order they came.
    pub(super) fn take(&mut self) -> Vec<HeldMessage> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded() {
        let message = || HeldMessage { cdr: vec![0; 1_000_000], elements: 1 };
        let mut held = Held::default();
        let fitting = (0..).take_while(|_| held.push(message())).count();
        assert_eq!((fitting, held.take().len()), (4, 4));
        assert!(held.is_empty() && held.push(message()));
    }
}
