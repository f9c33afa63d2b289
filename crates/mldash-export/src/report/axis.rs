//! From where to where the time axis of a recording goes. A few rows far away from all others (latched transforms of the
//! last boot, stamps from before a clock was set) must not squeeze the others into a line. Pure.

use super::summary::ExperimentSummary;
use super::times::{FIRST_DATE_SECS, LAST_DATE_SECS};
use super::track::TrackSummary;

/// A gap this many times as long as all the rest, and longer than [`LONG_SECS`], cuts off what lies beyond it …
const TIMES_REST: f64 = 5.0;
const LONG_SECS: f64 = 600.0;
/// … if that is not more than this part of all rows.
const FEW: f64 = 0.02;

/// The axis that experiments share: of absolute time for one, or for parts of one recording; else each begins at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    /// The date of 0, in seconds since 1970; none if the axis is none of dates.
    pub(crate) base: Option<f64>,
    /// What 0 is in each experiment; none if each begins there.
    start: Option<f64>,
}

impl Axis {
    pub(crate) fn of(experiments: &[ExperimentSummary]) -> Self {
        let goes_on = |pair: &[ExperimentSummary]| match pair {
            [before, after] => {
                after.about.continues.as_deref() == Some(&before.name)
                    && before.axis.0 <= after.axis.0
            }
            _ => false,
        };
        let start = experiments.first().map(|first| first.axis.0);
        let start = start.filter(|_| experiments.windows(2).all(goes_on));
        let dates = FIRST_DATE_SECS..LAST_DATE_SECS;
        Self { base: start.filter(|start| dates.contains(start)), start }
    }

    /// Where an experiment begins.
    pub(crate) fn offset(self, experiment: &ExperimentSummary) -> f64 {
        self.start.map_or(0.0, |start| experiment.axis.0 - start)
    }

    /// Whether it shows absolute time.
    pub(crate) fn is_absolute(self) -> bool {
        self.start.is_some()
    }
}

/// The first and the last time that the axis shows, in seconds.
pub(crate) fn axis(tracks: &[TrackSummary]) -> (f64, f64) {
    let mut pieces: Vec<(f64, f64, f64)> = Vec::new();
    for track in tracks {
        let points = &track.points;
        for (first, last) in points.times.iter().zip(&points.ends) {
            pieces.push((*first, *last, points.rows_per_point as f64));
        }
    }
    pieces.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut pieces = pieces.as_slice();
    while let Some(rest) = without_outliers(pieces) {
        pieces = rest;
    }
    let start = pieces.first().map_or(0.0, |piece| piece.0);
    (start, pieces.iter().map(|piece| piece.1).fold(start, f64::max))
}

/// The pieces on the larger side of the longest gap, if it cuts off little.
fn without_outliers(pieces: &[(f64, f64, f64)]) -> Option<&[(f64, f64, f64)]> {
    let mut until = f64::NEG_INFINITY;
    let mut longest = (0.0, 0);
    for (place, (first, last, _)) in pieces.iter().enumerate() {
        if place > 0 && first - until > longest.0 {
            longest = (first - until, place);
        }
        until = until.max(*last);
    }
    let (gap, place) = longest;
    let rest = until - pieces.first()?.0 - gap;
    if gap <= LONG_SECS || gap <= rest * TIMES_REST {
        return None;
    }
    let (before, after) = pieces.split_at(place);
    let rows = |pieces: &[(f64, f64, f64)]| pieces.iter().map(|piece| piece.2).sum::<f64>();
    let (rows_before, rows_after) = (rows(before), rows(after));
    let is_few = rows_before.min(rows_after) <= FEW * (rows_before + rows_after);
    is_few.then_some(if rows_before < rows_after { after } else { before })
}

#[cfg(test)]
mod tests {
    use super::super::envelope::Points;
    use super::*;

    fn track(times: impl IntoIterator<Item = f64>) -> TrackSummary {
        let times: Vec<f64> = times.into_iter().collect();
        let points = Points { rows_per_point: 1, ends: times.clone(), times, series: Vec::new() };
        TrackSummary { points, ..Default::default() }
    }

    fn minute(start: f64) -> TrackSummary {
        track((0..600).map(|i| start + f64::from(i) / 10.0))
    }

    #[test]
    fn only_times_that_are_dates_are_shown_as_dates() {
        let base = |start: f64| {
            let axis = (start, start + 60.0);
            Axis::of(&[ExperimentSummary { axis, ..Default::default() }]).base
        };
        assert_eq!([base(12.5), base(1e9), base(1e14)], [None, Some(1e9), None]);
    }

    #[test]
    fn the_axis_spans_all_rows() {
        let late = track([1e9 + 100.0]);
        assert_eq!(axis(&[minute(1e9), late]), (1e9, 1e9 + 100.0));
        assert_eq!(axis(&[]), (0.0, 0.0));
    }

    #[test]
    fn transforms_of_the_last_boot_and_stamps_before_the_clock_was_set_are_left_out() {
        let latched = track([1e9 - 90_000.0]);
        let unset = track([0.1, 0.2, 0.3]);
        assert_eq!(axis(&[latched, minute(1e9), unset]), (1e9, 1e9 + 59.9));
    }

    #[test]
    fn a_long_pause_in_the_middle_stays() {
        assert_eq!(axis(&[minute(1e9), minute(1e9 + 90_000.0)]), (1e9, 1e9 + 90_059.9));
        let slow = track((0..10).map(|i| f64::from(i) * 3600.0));
        assert_eq!(axis(&[slow]), (0.0, 9.0 * 3600.0));
    }
}
