//! Which of the sorted values make a quantile: between the two nearest, as numpy's `quantile` does.

/// The quantile lies between the values of these ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Between {
    pub(super) below: u64,
    pub(super) above: u64,
    /// How far it is from the one below to the one above, from 0 to 1.
    part: f64,
}

impl Between {
    /// Of `count` values; `None` if there are none.
    pub(super) fn of(quantile: f64, count: u64) -> Option<Self> {
        let last = count.checked_sub(1)?;
        let place = quantile * last as f64;
        let below = (place.floor() as u64).min(last);
        Some(Self { below, above: (below + 1).min(last), part: place - below as f64 })
    }

    /// The quantile, from the values of the two ranks.
    pub(super) fn value(self, below: f64, above: f64) -> f64 {
        let step = above - below;
        // From the nearer end, as numpy, so that the ends come out exactly.
        if self.part < 0.5 { below + step * self.part } else { above - step * (1.0 - self.part) }
    }
}
