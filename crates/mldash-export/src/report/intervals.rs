//! The times between a track's rows: how they spread, and which are gaps. One pass, bounded memory. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::spread::{Histogram, Spread};

/// So many of the longest intervals are kept.
const KEPT: usize = 200;
/// Fewer intervals have no rhythm that could be broken.
const FEWEST: u64 = 9;
/// A gap is longer than so many usual intervals …
const TIMES_MEDIAN: f64 = 5.0;
/// … and than so many of those that are usual for a topic that comes in bursts.
const TIMES_P90: f64 = 3.0;
/// A topic with longer intervals than so many medians in a tenth of all comes when it wants.
const REGULAR: f64 = 3.0;
const BARS: usize = 60;

/// Takes the times of rows in ascending order.
#[derive(Debug, Default)]
pub(crate) struct IntervalMeter {
    last: Option<f64>,
    spread: Spread,
    /// The shortest on top.
    longest: BinaryHeap<Reverse<Interval>>,
}

#[derive(Debug, PartialEq)]
struct Interval {
    secs: f64,
    from: f64,
}

impl Eq for Interval {}

impl Ord for Interval {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.secs.total_cmp(&other.secs).then(self.from.total_cmp(&other.from))
    }
}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The times between rows, in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Intervals {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) longest: f64,
    /// Whether rows come in a rhythm, so that its end tells something.
    pub(crate) is_regular: bool,
    /// What counts as a gap.
    pub(crate) gap_secs: f64,
    /// From the row before to the row after, the longest ones, by time.
    pub(crate) gaps: Vec<(f64, f64)>,
    /// Gaps that are not listed.
    pub(crate) more_gaps: u64,
    pub(crate) histogram: Histogram,
}

impl IntervalMeter {
    /// Takes the time of the next row.
    pub(crate) fn step(&mut self, ts: f64) {
        if let Some(from) = self.last.replace(ts) {
            let interval = Interval { secs: ts - from, from };
            self.spread.add(interval.secs);
            if self.longest.len() < KEPT {
                self.longest.push(Reverse(interval));
            } else if self.longest.peek().is_some_and(|Reverse(least)| interval > *least) {
                self.longest.pop();
                self.longest.push(Reverse(interval));
            }
        }
    }

    /// What was found; `None` for fewer than two rows.
    pub(crate) fn finish(self) -> Option<Intervals> {
        let Self { spread, longest, .. } = self;
        let quantile = |q| spread.quantile(q);
        let (median, p90, p99) = (quantile(0.5)?, quantile(0.9)?, quantile(0.99)?);
        let gap_secs = (median * TIMES_MEDIAN).max(p90 * TIMES_P90);
        let mut found = Intervals {
            median,
            p99,
            longest: longest.iter().map(|Reverse(interval)| interval.secs).fold(0.0, f64::max),
            is_regular: spread.count() >= FEWEST && p90 <= REGULAR * median,
            gap_secs,
            histogram: spread.histogram(BARS).unwrap_or_default(),
            ..Intervals::default()
        };
        if spread.count() >= FEWEST {
            let gaps = longest.iter().filter(|Reverse(interval)| interval.secs > gap_secs);
            found.gaps = gaps.map(|Reverse(gap)| (gap.from, gap.from + gap.secs)).collect();
            found.gaps.sort_by(|a, b| a.0.total_cmp(&b.0));
            if found.gaps.len() == KEPT {
                found.more_gaps = spread.count_above(gap_secs).saturating_sub(KEPT as u64);
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = f64>) -> Option<Intervals> {
        let mut meter = IntervalMeter::default();
        times.into_iter().for_each(|ts| meter.step(ts));
        meter.finish()
    }

    #[test]
    fn a_pause_of_a_regular_topic_is_a_gap() {
        let times = (0..500).map(|i| f64::from(i) * 0.01 + if i > 300 { 3.19 } else { 0.0 });
        let found = of(times).unwrap();
        assert!(found.is_regular);
        assert!((found.median - 0.01).abs() < 1e-4);
        let [(from, to)] = found.gaps[..] else { panic!("{:?}", found.gaps) };
        assert!((from - 3.0).abs() < 1e-9 && (to - from - 3.2).abs() < 1e-9, "{from} {to}");
        assert!((found.longest - 3.2).abs() < 1e-9);
    }

    #[test]
    fn what_comes_in_bursts_has_no_rhythm_that_could_be_broken() {
        let times = (0..50)
            .flat_map(|burst| (0..5).map(move |i| f64::from(burst * burst) + f64::from(i) * 0.01));
        let found = of(times).unwrap();
        assert!(!found.is_regular, "{found:?}");
    }

    #[test]
    fn a_handful_of_rows_has_no_gaps() {
        assert_eq!(of([]), None);
        assert_eq!(of([1.0]), None);
        assert!(of([0.0, 1.0, 2.0, 90.0]).unwrap().gaps.is_empty());
    }

    #[test]
    fn of_very_many_gaps_the_longest_are_listed_and_the_others_counted() {
        let times = (0..50_000).map(|i| f64::from(i) * 0.01 + f64::from(i / 100) * 0.5);
        let found = of(times).unwrap();
        assert_eq!(found.gaps.len(), KEPT);
        assert_eq!(found.more_gaps, 499 - KEPT as u64);
        assert!(found.gaps.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    }
}
