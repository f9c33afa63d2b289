//! The account of an export: which frames came of which recording, and what every missing value cost. It lies in the
//! dataset as `meta/mldash.json`.

use serde::{Deserialize, Serialize};

pub use crate::grid::Cost;

/// What an export did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// What wrote it.
    pub exporter: String,
    /// Ticks a second.
    pub fps: u32,
    /// How many episodes the dataset has.
    pub episodes: u64,
    /// How many frames.
    pub frames: u64,
    /// The experiments, in the order of their episodes.
    pub experiments: Vec<ExperimentAccount>,
}

/// What became of one experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExperimentAccount {
    /// Its name.
    pub experiment: String,
    /// Why it is left out, if it is.
    pub left_out: Option<String>,
    /// How long after the first row of any of its tracks the grid begins, in seconds.
    pub late_secs: f64,
    /// The track that began last.
    pub late_track: Option<String>,
    /// Ticks on its grid, from the first time at which every track had begun to the last row of any.
    pub ticks: u64,
    /// Whole ticks after the end of an episode, which are left out.
    pub after_end: u64,
    /// Its episodes.
    pub episodes: Vec<EpisodeAccount>,
    /// Where features lack values, and what that cost.
    pub missing: Vec<MissingValues>,
    /// Episodes that were too short, and left out.
    pub short: Vec<ShortEpisode>,
}

/// One episode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpisodeAccount {
    /// Its number in the dataset.
    pub episode_index: u64,
    /// How many frames it has.
    pub frames: u64,
    /// The time of its first tick, in seconds.
    pub start_secs: f64,
    /// What its features were made of.
    pub features: Vec<FeatureAccount>,
}

/// What a feature of an episode was made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureAccount {
    /// The feature.
    pub feature: String,
    /// Frames that show the same row as the frame before.
    pub repeated: u64,
    /// How far the row was from its tick, at most, in seconds.
    pub max_age_secs: f64,
    /// The tick of that, in seconds.
    pub max_age_at_secs: f64,
    /// Values that are NaN or infinite; they are stored, and left out of the statistics.
    pub non_finite: u64,
}

/// Ticks in a row that lack a feature's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingValues {
    /// The feature.
    pub feature: String,
    /// What became of the ticks.
    pub cost: Cost,
    /// The first, in seconds.
    pub first_secs: f64,
    /// How many.
    pub ticks: u64,
}

/// An episode of fewer frames than the recipe wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortEpisode {
    /// Its first tick, in seconds.
    pub start_secs: f64,
    /// How many frames it has.
    pub frames: u64,
}

impl Account {
    /// How many ticks cost this.
    pub fn ticks(&self, cost: Cost) -> u64 {
        let missing = self.experiments.iter().flat_map(|experiment| &experiment.missing);
        missing.filter(|missing| missing.cost == cost).map(|missing| missing.ticks).sum()
    }

    /// Returns true if an experiment has no episode although nobody asked for that.
    pub fn is_incomplete(&self) -> bool {
        let mut experiments = self.experiments.iter();
        experiments.any(|one| one.left_out.is_none() && one.episodes.is_empty())
    }
}
