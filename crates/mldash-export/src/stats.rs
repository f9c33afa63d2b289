//! What the frames of a feature are like: minimum, maximum, mean, standard deviation and quantiles, exact, over all
//! frames, in bounded memory. Pixels by counting each value; numbers by reading them several times.

mod numbers;
mod pixels;
mod quantile;

pub(crate) use numbers::{Batches, of_numbers};
pub(crate) use pixels::{PixelCounts, add_counts};

/// The quantiles, by the names that LeRobot gives them.
pub(crate) const QUANTILES: [(&str, f64); 5] =
    [("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)];

/// One number for each element of a feature, or for each channel of a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stats {
    pub(crate) min: Vec<f64>,
    pub(crate) max: Vec<f64>,
    pub(crate) mean: Vec<f64>,
    pub(crate) std: Vec<f64>,
    /// How many frames.
    pub(crate) count: u64,
    /// In the order of [`QUANTILES`].
    pub(crate) quantiles: [Vec<f64>; QUANTILES.len()],
    /// How many values are NaN or infinite; they are in no other number here.
    pub(crate) non_finite: u64,
}

impl Stats {
    /// All but the count, by name.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        let moments = [
            ("min", self.min.as_slice()),
            ("max", &self.max),
            ("mean", &self.mean),
            ("std", &self.std),
        ];
        let quantiles = QUANTILES.iter().zip(&self.quantiles);
        moments.into_iter().chain(quantiles.map(|((name, _), values)| (*name, values.as_slice())))
    }

    /// The same of values that were divided by `divisor`.
    pub(crate) fn divided(mut self, divisor: f64) -> Self {
        let moments = [&mut self.min, &mut self.max, &mut self.mean, &mut self.std];
        for value in moments.into_iter().chain(&mut self.quantiles).flatten() {
            *value /= divisor;
        }
        self
    }
}
