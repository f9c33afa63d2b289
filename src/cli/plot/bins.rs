//! What a column is drawn from: for each step of the time axis the smallest and the largest value, so
//! that no spike vanishes, however many rows there are.

/// The values within a step of the time axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Whether there was no gap between the values before and its first one.
    pub(super) is_joined: bool,
}

/// A column's values over the steps of the time axis.
#[derive(Debug)]
pub(super) struct Bins {
    start: f64,
    end: f64,
    steps: Vec<Option<Bin>>,
    /// Whether a value was missing or no number since the last one, or none has come.
    is_broken: bool,
    span: Option<(f64, f64)>,
    /// Values that are not drawn: NaN and infinities.
    not_finite: u64,
}

impl Bins {
    /// Steps from `start` to `end`, in seconds.
    pub(super) fn new(start: f64, end: f64, steps: usize) -> Self {
        let steps = vec![None; steps];
        Self { start, end, steps, is_broken: true, span: None, not_finite: 0 }
    }

    /// Adds the value of the next row, by time.
    pub(super) fn push(&mut self, ts: f64, value: f64) {
        if !value.is_finite() {
            self.not_finite += 1;
            self.is_broken = true;
            return;
        }
        let (min, max) = self.span.unwrap_or((value, value));
        self.span = Some((min.min(value), max.max(value)));
        let count = self.steps.len();
        let length = self.end - self.start;
        let place = if length > 0.0 { (ts - self.start) / length * count as f64 } else { 0.0 };
        let is_joined = !std::mem::take(&mut self.is_broken);
        if let Some(step) = self.steps.get_mut((place as usize).min(count.saturating_sub(1))) {
            match step {
                Some(bin) => {
                    bin.last = value;
                    (bin.min, bin.max) = (bin.min.min(value), bin.max.max(value));
                }
                None => {
                    *step =
                        Some(Bin { first: value, last: value, min: value, max: value, is_joined });
                }
            }
        }
    }

    /// Notes that the next row has no value.
    pub(super) fn push_missing(&mut self) {
        self.is_broken = true;
    }

    pub(super) fn steps(&self) -> &[Option<Bin>] {
        &self.steps
    }

    /// The smallest and the largest finite value.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        self.span
    }

    pub(super) fn not_finite(&self) -> u64 {
        self.not_finite
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_stays_however_many_rows_share_its_step() {
        let mut bins = Bins::new(0.0, 100.0, 10);
        for i in 0..100_000 {
            bins.push(f64::from(i) / 1000.0, if i == 55_555 { 9.0 } else { 0.5 });
        }
        let highest: Vec<f64> = bins.steps().iter().map(|bin| bin.unwrap().max).collect();
        assert_eq!(highest, [0.5, 0.5, 0.5, 0.5, 0.5, 9.0, 0.5, 0.5, 0.5, 0.5]);
        assert_eq!(bins.span(), Some((0.5, 9.0)));
    }

    #[test]
    fn nan_infinity_and_missing_values_are_gaps() {
        let mut bins = Bins::new(0.0, 4.0, 4);
        bins.push(0.5, 1.0);
        bins.push(1.5, f64::NAN);
        bins.push(2.5, 2.0);
        bins.push_missing();
        bins.push(4.0, f64::INFINITY);
        bins.push(4.0, 3.0);
        let joined: Vec<_> = bins.steps().iter().map(|bin| bin.map(|bin| bin.is_joined)).collect();
        assert_eq!(joined, [Some(false), None, Some(false), Some(false)]);
        assert_eq!((bins.not_finite(), bins.span()), (2, Some((1.0, 3.0))));
    }

    #[test]
    fn a_single_moment_has_a_place() {
        let mut bins = Bins::new(7.0, 7.0, 3);
        bins.push(7.0, 1.0);
        assert!(bins.steps()[0].is_some());
    }
}
