//! How values spread: a histogram whose bins are narrow near 0 and wide far from it, so that its size is bounded and
//! a quantile is off by less than 0.1 % of its value. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

/// Values nearer to 0 than this are 0: far below what a clock resolves, in seconds.
const FINEST: f64 = 1e-7;
/// Bins from a value to its double.
const PER_OCTAVE: f64 = 512.0;
/// The outermost bin, of values from 300 years on.
const OUTERMOST: i32 = 56 * PER_OCTAVE as i32;
/// A histogram shows the values between these quantiles, and counts the others.
const SHOWN: (f64, f64) = (0.005, 0.995);

/// Counts of values by bin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    /// Below 0 for negative values, ascending with the value.
    bins: BTreeMap<i32, u64>,
    count: u64,
}

/// Bars of equal width.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Histogram {
    /// Where the first bar begins.
    pub(crate) from: f64,
    /// The width of a bar.
    pub(crate) width: f64,
    pub(crate) counts: Vec<f32>,
    /// Values left of the first bar.
    pub(crate) below: f32,
    /// Values right of the last bar.
    pub(crate) above: f32,
}

/// What is kept of a spread, however many bins it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Bulk {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) histogram: Histogram,
}

impl Spread {
    /// What is kept of it; `None` without values.
    pub(crate) fn bulk(&self, bars: usize) -> Option<Bulk> {
        let (median, p99) = (self.quantile(0.5)?, self.quantile(0.99)?);
        Some(Bulk { median, p99, histogram: self.histogram(bars)? })
    }

    /// Counts a finite value.
    pub(crate) fn add(&mut self, value: f64) {
        *self.bins.entry(bin(value)).or_default() += 1;
        self.count += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The value that a part `q` of all, from 0 to 1, is at or below; `None` without values.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut before = 0;
        for (bin, count) in &self.bins {
            before += count;
            if before >= rank {
                let (low, high) = edges(*bin);
                return Some((low + high) / 2.0);
            }
        }
        None
    }

    /// How many values are above `value`, as far as bins tell.
    pub(crate) fn count_above(&self, value: f64) -> u64 {
        self.bins.range(bin(value) + 1..).map(|(_, count)| count).sum()
    }

    /// The bulk of the values in so many bars; `None` without values.
    pub(crate) fn histogram(&self, bars: usize) -> Option<Histogram> {
        let (low, high) = (self.quantile(SHOWN.0)?, self.quantile(SHOWN.1)?);
        // Values that are all alike still are a bar in the middle, not a wall.
        let margin = ((high - low) * 0.05).max(low.abs().max(high.abs()) * 0.03).max(FINEST);
        let (from, to) = (low - margin, high + margin);
        let width = (to - from) / bars as f64;
        let mut counts = vec![0.0; bars];
        let (mut below, mut above) = (0.0, 0.0);
        for (bin, count) in &self.bins {
            let (low, high) = edges(*bin);
            let density = *count as f64 / (high - low);
            below += density * (high.min(from) - low).max(0.0);
            above += density * (high - low.max(to)).max(0.0);
            let first = ((low.max(from) - from) / width).floor().max(0.0) as usize;
            for (bar, in_bar) in counts.iter_mut().enumerate().skip(first) {
                let start = from + width * bar as f64;
                if start >= high {
                    break;
                }
                *in_bar += density * (high.min(start + width) - low.max(start)).max(0.0);
            }
        }
        let counts = counts.into_iter().map(|count: f64| count as f32).collect();
        Some(Histogram { from, width, counts, below: below as f32, above: above as f32 })
    }
}

fn bin(value: f64) -> i32 {
    let size = value.abs();
    if size < FINEST {
        return 0;
    }
    // Of a value near the largest there is, the quotient is infinite.
    let bin = ((size / FINEST).log2() * PER_OCTAVE) as i32;
    bin.saturating_add(1).min(OUTERMOST) * if value < 0.0 { -1 } else { 1 }
}

/// From where to where a bin goes.
fn edges(bin: i32) -> (f64, f64) {
    let edge = |steps: i32| FINEST * (f64::from(steps) / PER_OCTAVE).exp2();
    match bin {
        0 => (-FINEST, FINEST),
        1.. => (edge(bin - 1), edge(bin)),
        ..0 => (-edge(-bin), -edge(-bin - 1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Spread {
        let mut spread = Spread::default();
        values.iter().for_each(|value| spread.add(*value));
        spread
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(prop_oneof![-1e3..1e3, -1e-3..1e-3], 1..200),
            q in 0.0..1.0
        ) {
            let found = of(&values).quantile(q).unwrap();
            values.sort_by(f64::total_cmp);
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            prop_assert!((found - exact).abs() <= exact.abs() * 1e-3 + FINEST, "{found} {exact}");
        }

        #[test]
        fn every_value_is_in_a_bar_or_counted_beside_them(
            values in prop::collection::vec(prop_oneof![-10.0..10.0, Just(0.01), 1e-9..1e9], 1..300)
        ) {
            let histogram = of(&values).histogram(40).unwrap();
            let all = histogram.counts.iter().sum::<f32>() + histogram.below + histogram.above;
            prop_assert!((all - values.len() as f32).abs() < 0.01 * values.len() as f32, "{all}");
        }
    }

    #[test]
    fn values_that_are_all_alike_are_one_peak_in_the_middle() {
        let Histogram { from, width, counts, below, above } =
            of(&[0.02; 100]).histogram(41).unwrap();
        let peak = counts.iter().position(|count| *count > 30.0).unwrap();
        assert!((from + width * (peak as f64 + 0.5) - 0.02).abs() < 0.0001, "{peak}");
        assert!(below + above < 0.01 && (18..24).contains(&peak), "{peak}");
    }

    #[test]
    fn nothing_has_no_quantile_and_no_histogram() {
        assert_eq!(of(&[]).quantile(0.5), None);
        assert_eq!(of(&[]).histogram(10), None);
    }

    #[test]
    fn the_largest_values_are_in_the_outermost_bins() {
        for huge in [f64::MAX, 1e302, f64::INFINITY] {
            let spread = of(&[-huge, 0.0, huge]);
            let [least, most] = [0.0, 1.0].map(|q| spread.quantile(q).unwrap());
            assert!(least < -1e9 && most > 1e9 && spread.quantile(0.5) == Some(0.0), "{huge}");
        }
    }

    #[test]
    fn values_above_a_threshold_are_counted() {
        assert_eq!(of(&[0.01, 0.01, 0.3, -5.0, 2.0]).count_above(0.1), 2);
    }
}
