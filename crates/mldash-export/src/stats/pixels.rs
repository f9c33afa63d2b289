//! Pixels by counting: a sample has 256 or 65,536 values, so counts tell everything exactly, and counts of several frames,
//! threads or episodes add up.

use super::quantile::Between;
use super::{QUANTILES, Stats};
use crate::picture::{Depth, Pixels, Samples, Shape};

/// How often each value of a sample was seen, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PixelCounts {
    frames: u64,
    depth: Depth,
    channels: Vec<Vec<u64>>,
}

impl PixelCounts {
    /// Of pictures that look like this, none yet.
    pub(crate) fn new(shape: Shape) -> Self {
        let values = match shape.depth {
            Depth::Eight => 1 << 8,
            Depth::Sixteen => 1 << 16,
        };
        let channels = vec![vec![0; values]; usize::from(shape.channels)];
        Self { frames: 0, depth: shape.depth, channels }
    }

    /// Counts the samples of a picture that so many frames show.
    pub(crate) fn add(&mut self, pixels: &Pixels, frames: u64) {
        self.frames += frames;
        let count = |counts: &mut Vec<u64>, value: usize| {
            if let Some(count) = counts.get_mut(value) {
                *count += frames;
            }
        };
        match (&pixels.samples, self.channels.as_mut_slice()) {
            (Samples::Eight(samples), [red, green, blue]) => {
                for [r, g, b] in samples.as_chunks::<3>().0 {
                    count(red, usize::from(*r));
                    count(green, usize::from(*g));
                    count(blue, usize::from(*b));
                }
            }
            (Samples::Eight(samples), [gray, ..]) => {
                samples.iter().for_each(|sample| count(gray, usize::from(*sample)));
            }
            (Samples::Sixteen(samples), [depth, ..]) => {
                samples.iter().for_each(|sample| count(depth, usize::from(*sample)));
            }
            (_, []) => {}
        }
    }

    /// Adds the counts of other pictures that look alike.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        for (mine, theirs) in self.channels.iter_mut().zip(&other.channels) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
    }

    /// Adds pictures that were counted before: `(channel, value, samples)`; false if there is no such value.
    pub(crate) fn restore(&mut self, channel: usize, value: usize, samples: u64) -> bool {
        let place = self.channels.get_mut(channel).and_then(|channel| channel.get_mut(value));
        place.map(|place| *place += samples).is_some()
    }

    /// Adds as many pictures, whose samples [`restore`](Self::restore) adds.
    pub(crate) fn restore_frames(&mut self, frames: u64) {
        self.frames += frames;
    }

    /// Every value that was seen: `(channel, value, samples)`.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        self.channels.iter().enumerate().flat_map(|(channel, counts)| {
            let seen = counts.iter().enumerate().filter(|(_, samples)| **samples > 0);
            seen.map(move |(value, samples)| (channel, value, *samples))
        })
    }

    /// How many pictures.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// What they are like. Samples of 8 bits count from 0 to 1 and those of 16 bits as they are, since so does the loader
    /// give them to whoever normalizes by these numbers.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats { count: self.frames, ..Stats::default() };
        for counts in &self.channels {
            add_channel(&mut stats, counts);
        }
        match self.depth {
            Depth::Eight => stats.divided(255.0),
            Depth::Sixteen => stats,
        }
    }
}

/// Adds the counts of pictures by the names of their features.
pub(crate) fn add_counts(
    total: &mut Vec<(String, PixelCounts)>,
    more: impl IntoIterator<Item = (String, PixelCounts)>,
) {
    for (name, counts) in more {
        match total.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => total.merge(&counts),
            None => total.push((name, counts)),
        }
    }
}

fn add_channel(stats: &mut Stats, counts: &[u64]) {
    let total: u64 = counts.iter().sum();
    let values = || counts.iter().enumerate().map(|(value, n)| (value as f64, *n as f64));
    let least_divisor = (total as f64).max(1.0);
    let mean = values().map(|(value, n)| value * n).sum::<f64>() / least_divisor;
    let squares = values().map(|(value, n)| (value - mean).powi(2) * n).sum::<f64>();
    stats.min.push(counts.iter().position(|n| *n > 0).unwrap_or_default() as f64);
    stats.max.push(counts.iter().rposition(|n| *n > 0).unwrap_or_default() as f64);
    stats.mean.push(mean);
    stats.std.push((squares / least_divisor).sqrt());
    for ((_, quantile), values) in QUANTILES.iter().zip(&mut stats.quantiles) {
        let between = Between::of(*quantile, total);
        let at = |rank| value_of_rank(counts, rank);
        values.push(between.map_or(0.0, |b| b.value(at(b.below), at(b.above))));
    }
}

/// The value at this place among all, sorted.
fn value_of_rank(counts: &[u64], rank: u64) -> f64 {
    let mut seen = 0;
    let place = counts.iter().position(|n| {
        seen += n;
        seen > rank
    });
    place.unwrap_or_default() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(samples: &[u8]) -> Pixels {
        let width = samples.len() as u32;
        let shape = Shape { height: 1, width, channels: 1, depth: Depth::Eight };
        Pixels { shape, samples: Samples::Eight(samples.to_vec()) }
    }

    #[test]
    fn counts_of_several_frames_are_those_of_all_their_pixels() {
        let (one, two) = (gray(&[0, 51, 102, 255]), gray(&[255, 255, 0, 204]));
        let mut counts = PixelCounts::new(one.shape);
        counts.add(&one, 1);
        let mut other = PixelCounts::new(two.shape);
        other.add(&two, 1);
        counts.merge(&other);
        let stats = counts.stats();
        assert_eq!((stats.count, stats.min[0], stats.max[0]), (2, 0.0, 1.0));
        let all = [0.0, 0.0, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0];
        let mean = all.iter().sum::<f64>() / 8.0;
        let std = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 8.0).sqrt();
        assert!((stats.mean[0] - mean).abs() < 1e-15 && (stats.std[0] - std).abs() < 1e-15);
        assert!((stats.quantiles[2][0] - 0.6).abs() < 1e-15);
    }

    #[test]
    fn what_was_seen_restores_the_counts() {
        let picture = gray(&[3, 3, 7]);
        let mut counts = PixelCounts::new(picture.shape);
        counts.add(&picture, 2);
        let mut restored = PixelCounts::new(picture.shape);
        restored.restore_frames(counts.frames());
        for (channel, value, samples) in counts.seen() {
            assert!(restored.restore(channel, value, samples));
        }
        assert_eq!(restored, counts);
        assert!(!restored.restore(1, 0, 1) && !restored.restore(0, 256, 1));
    }
}
