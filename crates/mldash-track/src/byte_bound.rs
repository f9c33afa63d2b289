//! Counts bytes against a limit. Queues and buffers keep one of these under their lock.

/// Bytes in use, and the limit on them.
///
/// Something larger than the whole limit fits when nothing else is in use: it is let through alone
/// instead of never.
#[derive(Clone, Debug)]
pub struct ByteBound {
    limit_bytes: usize,
    used_bytes: usize,
}

impl ByteBound {
    /// Creates a bound with nothing in use.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, used_bytes: 0 }
    }

    /// The limit in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Sets another limit. What is in use stays, even above it.
    pub fn set_limit_bytes(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// The bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Returns true if so many more bytes fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used_bytes == 0 || self.used_bytes.saturating_add(bytes) <= self.limit_bytes
    }

    /// Counts bytes as used, whether or not they fit.
    pub fn add(&mut self, bytes: usize) {
        self.used_bytes = self.used_bytes.saturating_add(bytes);
    }

    /// Counts bytes as used if they fit. Returns true if they did.
    pub fn try_add(&mut self, bytes: usize) -> bool {
        let fits = self.has_room(bytes);
        if fits {
            self.add(bytes);
        }
        fits
    }

    /// Counts bytes as free again.
    pub fn release(&mut self, bytes: usize) {
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_fit_up_to_the_limit_and_room_comes_back() {
        let mut bound = ByteBound::new(100);
        assert!(bound.try_add(60) && bound.try_add(40));
        assert!(!bound.try_add(1));
        assert_eq!(bound.used_bytes(), 100, "what did not fit is not counted");
        bound.release(60);
        assert!(bound.try_add(60) && !bound.has_room(1));
    }

    #[test]
    fn something_larger_than_the_limit_goes_alone() {
        let mut bound = ByteBound::new(100);
        assert!(bound.try_add(1_000));
        assert!(!bound.has_room(1));
        bound.release(1_000);
        bound.add(1);
        assert!(!bound.has_room(1_000));
        assert!(!bound.has_room(usize::MAX), "sums don't overflow");
    }

    #[test]
    fn a_lower_limit_holds_for_what_comes_next() {
        let mut bound = ByteBound::new(100);
        bound.add(80);
        bound.set_limit_bytes(50);
        assert!(!bound.has_room(1));
        assert_eq!((bound.used_bytes(), bound.limit_bytes()), (80, 50));
    }
}
