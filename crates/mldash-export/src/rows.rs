//! The rows of several tracks in order of a time; of one time, in the order of the tracks. Holds one row of each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use mldash_track::{Row, Rows, Slice, Timestamp, TrackError};

/// The time of a row of a track, by the track's number.
type TimeOf<'k, K> = dyn Fn(usize, &Row) -> K + 'k;

/// One pass over the rows of several slices.
pub(crate) struct MergedRows<'k, K = Timestamp> {
    tracks: Vec<TrackRows>,
    time: Box<TimeOf<'k, K>>,
    /// The time of each track's next row, and the track's number.
    next: BinaryHeap<Reverse<(K, usize)>>,
    /// A track whose next row is not known.
    behind: Vec<usize>,
}

struct TrackRows {
    rows: Rows,
    next: Option<Row>,
}

impl MergedRows<'_> {
    /// By the rows' own times.
    pub(crate) fn new<'s>(slices: impl Iterator<Item = &'s Slice>) -> Self {
        Self::by(slices, |_, row| row.ts)
    }
}

impl<'k, K: Ord> MergedRows<'k, K> {
    /// By another time, which is to grow within a track as its rows' own does: of two rows of a track, the one with the
    /// earlier `_ts` always comes first.
    pub(crate) fn by<'s>(
        slices: impl Iterator<Item = &'s Slice>,
        time: impl Fn(usize, &Row) -> K + 'k,
    ) -> Self {
        let tracks: Vec<TrackRows> =
            slices.map(|slice| TrackRows { rows: slice.rows(), next: None }).collect();
        let behind = (0..tracks.len()).collect();
        let next = BinaryHeap::with_capacity(tracks.len());
        Self { time: Box::new(time), next, tracks, behind }
    }

    /// The next row and the number of its track; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Row)>, TrackError> {
        while let Some(at) = self.behind.pop() {
            let Some(source) = self.tracks.get_mut(at) else { continue };
            source.next = source.rows.next().transpose()?;
            if let Some(row) = &source.next {
                self.next.push(Reverse(((self.time)(at, row), at)));
            }
        }
        let Some(Reverse((_, at))) = self.next.pop() else { return Ok(None) };
        self.behind.push(at);
        let row = self.tracks.get_mut(at).and_then(|source| source.next.take());
        Ok(row.map(|row| (at, row)))
    }
}

/// The first and the last possible time of rows, in seconds, as far as known without reading them.
pub(crate) fn span<'s>(
    slices: impl Iterator<Item = &'s Slice>,
    range: &RangeInclusive<f64>,
) -> Option<(f64, f64)> {
    let spans = slices.filter_map(Slice::track_span);
    let spans = spans.map(|(first, last)| (first.as_secs(), last.as_secs()));
    let (first, last) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let (first, last) = (first.max(*range.start()), last.min(*range.end()));
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use mldash_track::{Experiment, Options, fields};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_row_of_every_track_comes_once_and_in_order(
            tracks in prop::collection::vec(prop::collection::btree_set(0_u32..40, 0..20), 0..5),
        ) {
            let root = tempfile::tempdir().unwrap();
            let exp = Experiment::open("a/b/c", Options::local(root.path())).unwrap();
            for (at, times) in tracks.iter().enumerate() {
                for ts in times {
                    exp.tracks(&format!("t{at}")).append(fields! { "x": *ts }, f64::from(*ts)).unwrap();
                }
            }
            let slice = |at: usize| exp.tracks(&format!("t{at}")).slice(..).unwrap();
            let slices: Vec<Slice> = (0..tracks.len()).map(slice).collect();
            let mut rows = MergedRows::new(slices.iter());
            let mut found = Vec::new();
            while let Some((at, row)) = rows.next().unwrap() {
                found.push((row.ts.as_secs() as u32, at));
            }
            let mut expected: Vec<(u32, usize)> = tracks
                .iter()
                .enumerate()
                .flat_map(|(at, times)| times.iter().map(move |ts| (*ts, at)))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
