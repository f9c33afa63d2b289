//! One recording's episodes, frame by frame: what the joined rows hold becomes a file of Parquet for each episode, and a
//! video for each feature that is one.

mod writer;

use std::path::{Path, PathBuf};

use mldash_track::{Experiment, Fields};

use crate::account::FeatureAccount;
use crate::dataset_schema::DatasetSchema;
use crate::error::ExportError;
use crate::files::RecordedFiles;
use crate::grid::Segment;
use crate::joins::{Joins, Reading};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::stats::{PixelCounts, Stats, add_counts};
use writer::EpisodeWriter;

/// What all episodes of an export share.
pub(crate) struct Shared<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) schema: &'a DatasetSchema,
    /// Where files of single episodes go.
    pub(crate) parts: &'a Path,
    /// How many threads decode one recording's pictures.
    pub(crate) threads: usize,
    pub(crate) progress: &'a Progress,
}

/// An episode that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) segment: Segment,
    pub(crate) episode_index: u64,
    /// The number of its first frame in the dataset.
    pub(crate) first_index: u64,
    pub(crate) task_index: u64,
}

/// A recording whose episodes are to be written.
pub(crate) struct PlannedRecording<'a> {
    pub(crate) name: &'a str,
    pub(crate) experiment: &'a Experiment,
    pub(crate) joins: &'a Joins,
    pub(crate) task: Option<&'a str>,
    /// The first tick of its grid, in seconds.
    pub(crate) start_secs: f64,
}

impl PlannedRecording<'_> {
    pub(crate) fn changed(&self) -> ExportError {
        ExportError::Changed { experiment: self.name.to_owned() }
    }
}

/// An episode that is written, in files of its own.
pub(crate) struct WrittenEpisode {
    pub(crate) episode: Episode,
    pub(crate) table: PathBuf,
    /// Of each number column, by name.
    pub(crate) numbers: Vec<(String, Stats)>,
    /// Of each picture column, by name.
    pub(crate) pixels: Vec<(String, Stats)>,
    /// By feature.
    pub(crate) videos: Vec<(String, PathBuf)>,
    pub(crate) start_secs: f64,
    pub(crate) features: Vec<FeatureAccount>,
}

/// All episodes of a recording. Counts of pixels are large, so that they are kept once a recording, not once an episode.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) parts: Vec<WrittenEpisode>,
    pub(crate) pixels: Vec<(String, PixelCounts)>,
}

/// Writes a recording's episodes, which follow each other.
pub(crate) fn write_episodes(
    source: &PlannedRecording<'_>,
    episodes: &[Episode],
    shared: &Shared<'_>,
) -> Result<Written, ExportError> {
    let has_pictures = shared.recipe.pictures().next().is_some();
    let files =
        has_pictures.then(|| RecordedFiles::new(source.name, source.experiment)).transpose()?;
    let aligned = source.joins.open(source.name, source.experiment)?;
    let mut rows = (0_u64..).zip(aligned.rows());
    let mut written = Written::default();
    for episode in episodes {
        let Segment { first, frames } = episode.segment;
        let mut writer = EpisodeWriter::new(source, files.as_ref(), episode, shared)?;
        for (tick, row) in rows.by_ref() {
            let row = row.map_err(ExportError::track(source.name))?;
            if tick == 0 && row.ts.as_secs() != source.start_secs {
                return Err(source.changed());
            }
            if tick >= first {
                writer.add(row.ts.as_secs(), &row.fields)?;
            }
            if tick + 1 >= first + frames {
                break;
            }
        }
        let (part, pixels) = writer.finish()?;
        written.parts.push(part);
        add_counts(&mut written.pixels, pixels);
    }
    Ok(written)
}

/// What a feature has in a joined row that is to be a frame.
pub(crate) fn read(
    source: &PlannedRecording<'_>,
    recipe: &Recipe,
    feature: usize,
    secs: f64,
    fields: &Fields,
) -> Result<Reading, ExportError> {
    let wrong = |reason: String| ExportError::Value {
        experiment: source.name.to_owned(),
        feature: recipe.features.get(feature).map(|f| f.name.clone()).unwrap_or_default(),
        secs,
        reason,
    };
    let read = source.joins.read(feature, fields).map_err(wrong)?;
    let mut reading = read.ok_or_else(|| wrong("it has no value to hold".to_owned()))?;
    for (age, stamp) in reading.ages.iter_mut().zip(&reading.stamps) {
        // A value that was held has no age yet.
        if age.is_nan() {
            *age = secs - stamp;
        }
    }
    Ok(reading)
}
