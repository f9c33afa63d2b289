//! Messages that publishers keep for late subscribers (`/tf_static`, `/robot_description`). Every
//! part of a recording has them, as on a live graph.

use std::collections::VecDeque;

use crate::Receipt;

/// The most that is kept of a topic, whatever its publishers offered.
const MAX_MESSAGES: usize = 100;
/// The same in bytes. The newest message is kept whatever its size.
const MAX_BYTES: usize = 16 << 20;

/// The last messages of a topic.
#[derive(Debug, Default)]
pub(super) struct Latched {
    most: usize,
    messages: VecDeque<(Vec<u8>, Receipt)>,
    bytes: usize,
}

impl Latched {
    /// `most` is how many the publishers keep together.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.min(MAX_MESSAGES), ..Self::default() }
    }

    /// Keeps a message in place of an equal one, or of the oldest.
    pub(super) fn keep(&mut self, cdr: &[u8], receipt: Receipt) {
        if self.most == 0 {
            return;
        }
        if let Some(known) = self.messages.iter().position(|(known, _)| known == cdr) {
            self.remove(known);
        }
        self.bytes += cdr.len();
        self.messages.push_back((cdr.to_vec(), receipt));
        while self.messages.len() > 1 && (self.messages.len() > self.most || self.bytes > MAX_BYTES)
        {
            self.remove(0);
        }
    }

    /// What is kept, the oldest first.
    pub(super) fn messages(&self) -> impl Iterator<Item = &(Vec<u8>, Receipt)> {
        self.messages.iter()
    }

    fn remove(&mut self, number: usize) {
        let removed = self.messages.remove(number);
        self.bytes -= removed.map_or(0, |(cdr, _)| cdr.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Received;

    #[test]
    fn the_last_messages_are_kept_each_once() {
        let kept = |most: usize, sizes: &[usize]| -> Vec<usize> {
            let mut latched = Latched::new(most);
            for size in sizes {
                latched.keep(&vec![1; *size], Received::Unknown.into());
            }
            latched.messages().map(|(cdr, _)| cdr.len()).collect()
        };
        assert_eq!(kept(2, &[1, 2, 3]), [2, 3]);
        assert_eq!(kept(3, &[1, 2, 1]), [2, 1]);
        assert_eq!(kept(0, &[1]), [0; 0]);
        assert_eq!(kept(9, &[1, MAX_BYTES, MAX_BYTES + 1]), [MAX_BYTES + 1]);
    }
}
