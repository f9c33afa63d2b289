//! Numbers, exact in bounded memory: one pass for the moments, then a few that count the leading bits of the values around
//! each wanted rank, then the bits below them, until the values are known.

use super::quantile::Between;
use super::{QUANTILES, Stats};
use crate::error::ExportError;

/// Bits of a value that one pass finds out.
const DIGIT_BITS: u32 = 12;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Sign, exponent and mantissa of a single, as leading bits of a double.
const SINGLE_BITS: u32 = 1 + 11 + 23;

/// Values that can be read again and again: every call hands all frames, row by row, to the function, `width` values a
/// frame.
pub(crate) trait Batches {
    /// # Errors
    /// Fails if they can't be read.
    fn each(&self, take: &mut dyn FnMut(&[f64])) -> Result<(), ExportError>;
}

/// What `width` numbers a frame are like. `is_single` says that all are singles.
pub(crate) fn of_numbers(
    source: &impl Batches,
    width: usize,
    is_single: bool,
) -> Result<Stats, ExportError> {
    let mut moments = vec![Moments::default(); width];
    let mut frames = 0;
    source.each(&mut |values| {
        for frame in values.chunks_exact(width) {
            frames += 1;
            moments.iter_mut().zip(frame).for_each(|(moments, value)| moments.add(*value));
        }
    })?;
    let between: Vec<[Option<Between>; QUANTILES.len()]> = (moments.iter())
        .map(|m| QUANTILES.map(|(_, quantile)| Between::of(quantile, m.count)))
        .collect();
    let mut ranks: Vec<Ranks> = between.iter().map(Ranks::new).collect();
    let known_bits = if is_single { SINGLE_BITS } else { u64::BITS };
    for pass in 0..known_bits.div_ceil(DIGIT_BITS) {
        let bits = DIGIT_BITS.min(u64::BITS - pass * DIGIT_BITS);
        let shift = u64::BITS - pass * DIGIT_BITS - bits;
        source.each(&mut |values| {
            for frame in values.chunks_exact(width) {
                for (ranks, value) in ranks.iter_mut().zip(frame) {
                    ranks.count(*value, shift, bits);
                }
            }
        })?;
        ranks.iter_mut().for_each(|ranks| ranks.narrow(shift, bits));
    }
    let mut stats = Stats { count: frames, ..Stats::default() };
    for ((moments, between), ranks) in moments.iter().zip(&between).zip(&ranks) {
        stats.non_finite += frames - moments.count;
        stats.min.push(if moments.count == 0 { 0.0 } else { moments.min });
        stats.max.push(if moments.count == 0 { 0.0 } else { moments.max });
        stats.mean.push(moments.mean);
        stats.std.push((moments.squares / (moments.count.max(1) as f64)).sqrt());
        for (between, values) in between.iter().zip(&mut stats.quantiles) {
            let value = between.map(|b| b.value(ranks.value(b.below), ranks.value(b.above)));
            values.push(value.unwrap_or_default());
        }
    }
    Ok(stats)
}

/// Welford's: stable however large the values are.
#[derive(Clone, Copy, Debug)]
struct Moments {
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
    squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, mean: 0.0, squares: 0.0 }
    }
}

impl Moments {
    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let off = value - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (value - self.mean);
    }
}

/// The values at some ranks of one element, as far as they are known.
#[derive(Debug)]
struct Ranks {
    wanted: Vec<Wanted>,
    /// For each group of values with the same leading bits that holds a wanted rank: how many have which next digit.
    groups: Vec<(u64, Vec<u64>)>,
}

#[derive(Debug)]
struct Wanted {
    rank: u64,
    /// Its place among the values with the same leading bits.
    rank_in_group: u64,
    /// The bits that are known.
    leading: u64,
    known_bits: u32,
}

impl Ranks {
    fn new(between: &[Option<Between>; QUANTILES.len()]) -> Self {
        let mut ranks: Vec<u64> =
            between.iter().flatten().flat_map(|between| [between.below, between.above]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let wanted = |rank| Wanted { rank, rank_in_group: rank, leading: 0, known_bits: 0 };
        let mut ranks =
            Self { wanted: ranks.into_iter().map(wanted).collect(), groups: Vec::new() };
        ranks.regroup();
        ranks
    }

    fn regroup(&mut self) {
        let mut leading: Vec<u64> = self.wanted.iter().map(|wanted| wanted.leading).collect();
        leading.dedup();
        self.groups = leading.into_iter().map(|leading| (leading, vec![0; DIGITS])).collect();
    }

    fn count(&mut self, value: f64, shift: u32, bits: u32) {
        if !value.is_finite() {
            return;
        }
        let key = sort_key(value);
        let leading = key.checked_shr(shift + bits).unwrap_or_default();
        let group = self.groups.iter_mut().find(|(group, _)| *group == leading);
        if let Some((_, counts)) = group
            && let Some(count) = counts.get_mut(digit(key, shift, bits))
        {
            *count += 1;
        }
    }

    /// Moves on to the digit of each wanted rank.
    fn narrow(&mut self, shift: u32, bits: u32) {
        for wanted in &mut self.wanted {
            let group = self.groups.iter().find(|(leading, _)| *leading == wanted.leading);
            let counts = group.map(|(_, counts)| counts.as_slice()).unwrap_or_default();
            let mut before = 0;
            let digit = counts.iter().position(|count| {
                let is_here = wanted.rank_in_group < before + count;
                before += if is_here { 0 } else { *count };
                is_here
            });
            wanted.rank_in_group -= before.min(wanted.rank_in_group);
            wanted.leading = (wanted.leading << bits) | digit.unwrap_or_default() as u64;
            wanted.known_bits = u64::BITS - shift;
        }
        self.regroup();
    }

    fn value(&self, rank: u64) -> f64 {
        let wanted = self.wanted.iter().find(|wanted| wanted.rank == rank);
        wanted.map_or(0.0, |wanted| from_sort_key(wanted.leading, wanted.known_bits))
    }
}

fn digit(key: u64, shift: u32, bits: u32) -> usize {
    ((key >> shift) & ((1 << bits) - 1)) as usize
}

const SIGN: u64 = 1 << 63;

/// A whole number that sorts as the value does.
fn sort_key(value: f64) -> u64 {
    // -0.0 is 0.0.
    let bits = (value + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The value whose key has these leading bits, and in the others those of a number with few digits.
fn from_sort_key(leading: u64, known_bits: u32) -> f64 {
    let unknown = u64::BITS - known_bits;
    let key = leading.checked_shl(unknown).unwrap_or_default();
    let bits = if key & SIGN == 0 {
        let ones = 1_u64.checked_shl(unknown).map_or(u64::MAX, |above| above - 1);
        !(key | ones)
    } else {
        key & !SIGN
    };
    f64::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Held(Vec<f64>);

    impl Batches for Held {
        fn each(&self, take: &mut dyn FnMut(&[f64])) -> Result<(), ExportError> {
            self.0.chunks(6).for_each(take);
            Ok(())
        }
    }

    /// As numpy's `quantile` defines it, from sorted values.
    fn quantile(values: &[f64], quantile: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let place = quantile * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    fn check(values: Vec<f64>, is_single: bool) {
        let stats = of_numbers(&Held(values.clone()), 1, is_single).unwrap();
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        for ((_, q), found) in QUANTILES.iter().zip(&stats.quantiles) {
            let expected = quantile(&values, *q);
            assert!((found[0] - expected).abs() <= 1e-12 * largest, "{q}: {found:?} {expected}");
        }
        assert_eq!(stats.min[0], values.iter().copied().fold(f64::INFINITY, f64::min));
        assert_eq!(stats.max[0], values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(values in prop::collection::vec(-1e9..1e9, 1..300)) {
            check(values, false);
        }

        #[test]
        fn quantiles_of_singles_need_fewer_passes(values in prop::collection::vec(-1e9_f32..1e9, 1..300)) {
            check(values.into_iter().map(f64::from).collect(), true);
        }

        #[test]
        fn whole_numbers_and_repeats_are_no_exception(values in prop::collection::vec(-3_i32..3, 1..200)) {
            check(values.iter().map(|v| f64::from(*v)).collect(), true);
            check(values.into_iter().map(f64::from).collect(), false);
        }
    }

    #[test]
    fn elements_are_apart_and_what_is_not_finite_is_counted_apart() {
        let values = vec![1.0, 10.0, f64::NAN, 20.0, 3.0, f64::INFINITY];
        let stats = of_numbers(&Held(values), 2, false).unwrap();
        assert_eq!((stats.count, stats.non_finite), (3, 2));
        assert_eq!((stats.min, stats.max), (vec![1.0, 10.0], vec![3.0, 20.0]));
        assert_eq!((stats.mean, stats.std), (vec![2.0, 15.0], vec![1.0, 5.0]));
    }

    #[test]
    fn without_values_every_number_is_zero() {
        let stats = of_numbers(&Held(vec![]), 1, false).unwrap();
        assert_eq!((stats.count, stats.min, stats.mean), (0, vec![0.0], vec![0.0]));
    }
}
