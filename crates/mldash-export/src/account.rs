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
    /// That it was being recorded is why.
    #[serde(default)]
    pub is_being_recorded: bool,
    /// It is marked as not successful, and in the dataset nevertheless.
    #[serde(default)]
    pub is_unsuccessful: bool,
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
    /// Frames computed between two rows that are further apart than its track's rows are, without a `tolerance`.
    #[serde(default)]
    pub bridged: u64,
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
        self.experiments.iter().any(ExperimentAccount::gives_nothing)
    }
}

/// Of a list of holes, so many are written out.
const SHOWN_HOLES: usize = 5;

/// Times are rounded, so that an age of one step can be a little longer.
const LONGER: f64 = 1.001;

/// Of so many episodes, more than one in so many that is shorter than a second is told.
const MANY_EPISODES: usize = 10;

impl ExperimentAccount {
    /// Returns true if it has no episode although nobody asked for that.
    pub fn gives_nothing(&self) -> bool {
        self.episodes.is_empty() && (self.left_out.is_none() || self.is_being_recorded)
    }

    /// What is to be told of this experiment in a dataset of so many ticks a second, line by line.
    pub fn lines(&self, fps: u32) -> Vec<String> {
        let name = &self.experiment;
        if let Some(reason) = &self.left_out {
            return vec![format!("{name}: left out: {reason}")];
        }
        let frames: u64 = self.episodes.iter().map(|episode| episode.frames).sum();
        let plural = if self.episodes.len() == 1 { "" } else { "s" };
        let episodes = match (self.episodes.first(), self.episodes.last()) {
            (Some(first), Some(last)) if first.episode_index < last.episode_index => {
                format!(" ({} to {})", first.episode_index, last.episode_index)
            }
            (Some(only), _) => format!(" ({})", only.episode_index),
            _ => String::new(),
        };
        let count = self.episodes.len();
        let mut lines = vec![format!(
            "{name}: {count} episode{plural}{episodes}, {frames} frames of {} ticks",
            self.ticks
        )];
        if self.is_unsuccessful {
            lines.push("  it is marked as not successful".to_owned());
        }
        if let (Some(track), true) = (&self.late_track, self.late_secs > 0.0) {
            let late = self.late_secs;
            lines.push(format!("  begins {late:.3} s after its first row, when `{track}` begins"));
        }
        lines.extend(self.missing_lines());
        if self.after_end > 0 {
            lines.push(format!("  {} whole ticks after the end are left out", self.after_end));
        }
        let of_all = self.episodes.len();
        let short = self.episodes.iter().filter(|episode| episode.frames < u64::from(fps)).count();
        if of_all >= MANY_EPISODES && short > of_all / MANY_EPISODES {
            lines.push(format!(
                "  {short} of {of_all} episodes are shorter than a second: a `tolerance` below the time between two rows \
                 of a track makes holes of them; `min_frames` leaves short episodes out"
            ));
        }
        for short in &self.short {
            let ShortEpisode { start_secs, frames } = short;
            lines.push(format!("  too short, left out: {frames} frames from {start_secs:.6}"));
        }
        lines.extend(self.age_lines(1.0 / f64::from(fps)));
        lines
    }

    fn missing_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut kinds: Vec<(&str, Cost)> = Vec::new();
        for missing in &self.missing {
            let kind = (missing.feature.as_str(), missing.cost);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        for (feature, cost) in kinds {
            let holes =
                || self.missing.iter().filter(|m| (m.feature.as_str(), m.cost) == (feature, cost));
            let ticks: u64 = holes().map(|missing| missing.ticks).sum();
            let shown: Vec<String> = holes()
                .take(SHOWN_HOLES)
                .map(|missing| format!("{:.6} ({})", missing.first_secs, missing.ticks))
                .collect();
            let more = holes().count().saturating_sub(shown.len());
            let more = if more > 0 { format!(" and {more} more times") } else { String::new() };
            let (shown, cost) = (shown.join(", "), cost.words());
            lines.push(format!(
                "  `{feature}` lacks a value at {ticks} ticks, {cost}: at {shown}{more}"
            ));
        }
        lines
    }

    /// What was shown again and how old it got, over all episodes.
    fn age_lines(&self, step_secs: f64) -> Vec<String> {
        let features = self.episodes.first().map(|episode| episode.features.as_slice());
        let mut lines = Vec::new();
        for (place, feature) in features.unwrap_or_default().iter().enumerate() {
            let all = || self.episodes.iter().filter_map(|episode| episode.features.get(place));
            let repeated: u64 = all().map(|feature| feature.repeated).sum();
            let oldest = all().max_by(|a, b| a.max_age_secs.total_cmp(&b.max_age_secs));
            let (name, Some(oldest)) = (&feature.feature, oldest) else { continue };
            let (age, at) = (oldest.max_age_secs, oldest.max_age_at_secs);
            if repeated > 0 {
                lines.push(format!(
                    "  `{name}`: {repeated} frames show the row before again; at most {age:.3} s from its tick, at \
                     {at:.6}"
                ));
            } else if age > step_secs * LONGER {
                lines.push(format!("  `{name}`: at most {age:.3} s from its tick, at {at:.6}"));
            }
            let bridged: u64 = all().map(|feature| feature.bridged).sum();
            if bridged > 0 {
                lines.push(format!(
                    "  `{name}`: {bridged} frames lie in gaps and were computed across them; with a `tolerance` they \
                     count as missing"
                ));
            }
            let non_finite: u64 = all().map(|feature| feature.non_finite).sum();
            if non_finite > 0 {
                lines.push(format!("  `{name}`: {non_finite} values are NaN or infinite"));
            }
        }
        lines
    }
}

impl Cost {
    /// What became of the ticks, in words.
    fn words(self) -> &'static str {
        match self {
            Self::Before => "before the first whole one",
            Self::Dropped => "which are left out; a new episode begins after them",
            Self::Held => "which show the last one",
            Self::Ended => "where the episode ends",
            Self::After => "after the last whole one",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_short_episodes_are_told_and_a_few_are_not() {
        let lines = |short: usize| {
            let frames = (0..20).map(|i| if i < short { 29 } else { 30 });
            let episode = |frames| EpisodeAccount { frames, ..Default::default() };
            let episodes = frames.map(episode).collect();
            ExperimentAccount { episodes, ..Default::default() }.lines(30).join("\n")
        };
        assert!(!lines(2).contains("shorter than a second"));
        assert!(lines(3).contains("3 of 20 episodes are shorter than a second"), "{}", lines(3));
    }
}
