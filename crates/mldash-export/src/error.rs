//! Why an export fails.

use std::io;
use std::path::{Path, PathBuf};

use mldash_track::TrackError;
use parquet::errors::ParquetError;

use crate::picture::PictureError;

/// Why a dataset can't be written. Nothing of it is left then, and an existing one is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The target exists.
    #[error("{} exists already; choose another folder, or add to it with `--append`", .0.display())]
    Exists(PathBuf),
    /// The target has no name, and nothing can be written beside it.
    #[error("{} is no name of a folder; write the dataset's own name", .0.display())]
    NoName(PathBuf),
    /// There is no dataset to add to.
    #[error("there is no dataset in {} to add to: it has no {file}", path.display())]
    NoDataset {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// The dataset that is to be added to is another one.
    #[error("{} can't be added to: {reason}", path.display())]
    OtherDataset {
        /// The folder.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Another process writes the same dataset.
    #[error("another process is writing {}; wait for it, or choose another folder", .0.display())]
    Busy(PathBuf),
    /// No episode has a frame.
    #[error("no episode has a frame: {0}")]
    NoFrames(String),
    /// A task is needed.
    #[error(
        "{experiment} has no task; write `task: \"…\"` into the recipe, or name the experiment's own with \
         `mldash_bridge tag {experiment} --task \"…\"`"
    )]
    NoTask {
        /// The experiment.
        experiment: String,
    },
    /// A track or a column of a feature is not there.
    #[error("{experiment}: feature `{feature}`: there is no {what}; there are: {}", existing.join(", "))]
    NotRecorded {
        /// The experiment.
        experiment: String,
        /// The feature.
        feature: String,
        /// The track or column.
        what: String,
        /// What is there instead.
        existing: Vec<String>,
    },
    /// A tick lacks a value, and the recipe calls that an error.
    #[error(
        "{experiment}: feature `{feature}` has no value at {secs:.6}{}; a larger `tolerance`, or `missing: \
         drop`, `hold` or `end_episode` lets the export go on",
        before.map_or(String::new(), |before| format!(
            ", the last one is {:.3} s older (at {before:.6})", secs - before
        ))
    )]
    Missing {
        /// The experiment.
        experiment: String,
        /// The feature.
        feature: String,
        /// The tick, in seconds.
        secs: f64,
        /// The last row before it, in seconds.
        before: Option<f64>,
    },
    /// A value is not what the feature is made of.
    #[error("{experiment}: feature `{feature}` at {secs:.6}: {reason}")]
    Value {
        /// The experiment.
        experiment: String,
        /// The feature.
        feature: String,
        /// The tick, in seconds.
        secs: f64,
        /// What is wrong.
        reason: String,
    },
    /// A picture can't be used.
    #[error("{experiment}: feature `{feature}` at {secs:.6}: the picture {file} can't be used")]
    Picture {
        /// The experiment.
        experiment: String,
        /// The feature.
        feature: String,
        /// The tick, in seconds.
        secs: f64,
        /// The experiment's file.
        file: String,
        /// Why.
        source: PictureError,
    },
    /// The recipe does not fit what was recorded.
    #[error("feature `{feature}`: {reason}")]
    Recipe {
        /// The feature.
        feature: String,
        /// What is wrong.
        reason: String,
    },
    /// Something of ffmpeg is missing.
    #[error("{0}")]
    NoEncoder(String),
    /// ffmpeg failed.
    #[error("{program} failed on {}: {message}", path.display())]
    Ffmpeg {
        /// ffmpeg or ffprobe.
        program: &'static str,
        /// What it was about.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// The recording can't be read.
    #[error("{experiment} can't be read")]
    Track {
        /// The experiment.
        experiment: String,
        /// Why.
        source: TrackError,
    },
    /// The recording is not what it was when the export began.
    #[error("{experiment} has changed since the export began; export it once nobody writes it")]
    Changed {
        /// The experiment.
        experiment: String,
    },
    /// A file of the dataset can't be read or written.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of Parquet can't be read or written.
    #[error("can't read or write {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// A file of JSON is not what it should be.
    #[error("{} is damaged", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A page shows fewer experiments.
    #[error(
        "a page shows up to {most} experiments side by side, and these are {found}; choose fewer"
    )]
    TooManyExperiments {
        /// How many were chosen.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// The page of a report would be too large to be opened.
    #[error("the page would have more than {} MiB; choose fewer experiments", most >> 20)]
    PageTooLarge {
        /// The largest page, in bytes.
        most: usize,
    },
    /// What is exported can't be written.
    #[error("{0}")]
    Output(io::Error),
    /// The user stopped it.
    #[error("stopped; nothing was written")]
    Stopped,
    /// A thread of the export ended with a panic, which is a bug.
    #[error("a thread of the export failed: {0}; please report it")]
    Thread(String),
}

impl ExportError {
    /// For `map_err` of file operations.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err` of Parquet's functions.
    pub(crate) fn parquet<E: Into<ParquetError>>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Parquet { path, source: source.into() }
    }

    /// For `map_err` of reading a recording.
    pub(crate) fn track(experiment: &str) -> impl FnOnce(TrackError) -> Self {
        let experiment = experiment.to_owned();
        move |source| Self::Track { experiment, source }
    }

    /// Returns true if the command line or the recipe is wrong rather than a recording or the disk.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Exists(_)
                | Self::NoName(_)
                | Self::NoDataset { .. }
                | Self::OtherDataset { .. }
                | Self::Recipe { .. }
                | Self::NoEncoder(_)
                | Self::NoTask { .. }
                | Self::TooManyExperiments { .. }
                | Self::PageTooLarge { .. }
        )
    }
}
