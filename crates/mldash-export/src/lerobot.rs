//! A dataset as LeRobot's own library writes it, version 3.0. Episodes come in order, each in files of its own; here they
//! become the files of many, with what is told beside them.

mod episodes;
mod existing;
mod files;
mod info;
mod pixel_file;
mod statistics;
mod tasks;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::account::Account;
use crate::dataset_schema::{DatasetSchema, FRAME_INDEX, TIMESTAMP};
use crate::error::ExportError;
use crate::frames::WrittenEpisode;
use crate::parquet_file::NumbersOf;
use crate::progress::Progress;
use crate::recipe::{Dtype, Recipe};
use crate::stats::{PixelCounts, add_counts, of_numbers};
use crate::video;
use episodes::{EpisodeRow, EpisodesFile};
pub(crate) use existing::{Existing, read_json};
use files::{DataFiles, VideoFiles};
use info::{Info, Totals};
use statistics::Form;

/// Files below the dataset's folder.
pub(crate) const INFO: &str = "meta/info.json";
const STATS: &str = "meta/stats.json";
const TASKS: &str = "meta/tasks.parquet";
const EPISODES: &str = "meta/episodes";
const DATA: &str = "data";
/// Ours, which LeRobot does not look at.
const ACCOUNT: &str = "meta/mldash.json";
const PIXELS: &str = "meta/mldash_pixels.parquet";

/// Writes a dataset.
pub(crate) struct LeRobotWriter<'a> {
    root: &'a Path,
    recipe: &'a Recipe,
    schema: &'a DatasetSchema,
    /// All tasks of the dataset, by number.
    tasks: Vec<String>,
    totals: Totals,
    data: DataFiles,
    videos: Vec<(String, VideoFiles)>,
    episodes: EpisodesFile,
    pixels: Vec<(String, PixelCounts)>,
}

impl<'a> LeRobotWriter<'a> {
    /// A dataset in the folder `root`, which becomes `path`, after what exists there.
    pub(crate) fn new(
        root: &'a Path,
        path: &Path,
        recipe: &'a Recipe,
        schema: &'a DatasetSchema,
        tasks: Vec<String>,
        existing: &Existing,
    ) -> Result<Self, ExportError> {
        fs::create_dir_all(root.join("meta")).map_err(ExportError::io("create", root))?;
        let next = |folder: &str| existing.next_place(&root.join(folder));
        let video_keys: Vec<String> = (schema.columns.iter())
            .filter(|column| column.is_video())
            .map(|column| column.name.clone())
            .collect();
        let videos = video_keys.iter().map(|key| {
            let folder = format!("videos/{key}");
            Ok((key.clone(), VideoFiles::new(root.join(&folder), next(&folder)?)))
        });
        let features = statistics::features(schema);
        let folder = root.join(EPISODES);
        let pixels = pixel_file::read(&root.join(PIXELS), schema)?;
        if let Some((name, counts)) = pixels.iter().find(|(_, c)| c.frames() != existing.frames) {
            let (counted, frames) = (counts.frames(), existing.frames);
            return Err(ExportError::OtherDataset {
                path: path.to_owned(),
                reason: format!(
                    "its {PIXELS} has counted the pixels of {counted} of the {frames} frames of `{name}`, and without \
                     the others its statistics would be wrong"
                ),
            });
        }
        Ok(Self {
            root,
            recipe,
            schema,
            tasks,
            totals: Totals { episodes: existing.episodes, frames: existing.frames, tasks: 0 },
            data: DataFiles::new(root.join(DATA), next(DATA)?),
            videos: videos.collect::<Result<_, ExportError>>()?,
            episodes: EpisodesFile::create(&folder, next(EPISODES)?, features, &video_keys)?,
            pixels,
        })
    }

    /// Adds the next episode, and removes the files that it came in.
    pub(crate) fn add(&mut self, part: WrittenEpisode) -> Result<(), ExportError> {
        let frames = part.episode.segment.frames;
        let fps = self.recipe.fps;
        let data = self.data.add(&part.table)?;
        let mut videos = Vec::new();
        for (name, path) in part.videos {
            let files = self.videos.iter_mut().find(|(key, _)| *key == name);
            if let Some((_, files)) = files {
                let (place, before) = files.add(path, frames)?;
                let secs = |frames: u64| frames as f64 / f64::from(fps);
                videos.push((place, secs(before), secs(before + frames)));
            }
        }
        let mut stats = Vec::new();
        for (name, form) in statistics::features(self.schema) {
            stats.push(match form {
                Form::Channels => {
                    let pixels = part.pixels.iter().find(|(pixels, _)| *pixels == name);
                    pixels.map(|(_, stats)| stats.clone()).unwrap_or_default()
                }
                Form::Whole | Form::Numbers => {
                    let of = |name: &str| part.numbers.iter().find(|(numbers, _)| *numbers == name);
                    match name.as_str() {
                        TIMESTAMP => {
                            of(FRAME_INDEX).map(|(_, s)| statistics::of_timestamps(s, fps))
                        }
                        name => of(name).map(|(_, stats)| stats.clone()),
                    }
                    .unwrap_or_default()
                }
            });
        }
        let task = usize::try_from(part.episode.task_index).ok().and_then(|i| self.tasks.get(i));
        self.episodes.add(&EpisodeRow {
            episode_index: part.episode.episode_index,
            task: task.map(String::as_str).unwrap_or_default(),
            frames,
            first_index: part.episode.first_index,
            data,
            videos,
            stats,
        })?;
        self.totals.episodes += 1;
        self.totals.frames += frames;
        Ok(())
    }

    /// Counts the pixels of episodes that were added.
    pub(crate) fn add_pixels(&mut self, pixels: Vec<(String, PixelCounts)>) {
        add_counts(&mut self.pixels, pixels);
    }

    /// Writes what is told of the whole dataset.
    pub(crate) fn finish(
        mut self,
        account: &Account,
        progress: &Progress,
    ) -> Result<(), ExportError> {
        self.data.close()?;
        let mut videos = Vec::new();
        for (key, files) in &mut self.videos {
            files.close()?;
            if let Some(path) = &files.written {
                videos.push((key.clone(), video::probe(path)?));
            }
        }
        self.episodes.finish()?;
        tasks::write(&self.root.join(TASKS), &self.tasks)?;
        self.totals.tasks = self.tasks.len() as u64;
        write_json(
            &self.root.join(STATS),
            &whole_stats(self.root, self.recipe, self.schema, &self.pixels, progress)?,
        )?;
        pixel_file::write(&self.root.join(PIXELS), &self.pixels)?;
        write_json(&self.root.join(ACCOUNT), account)?;
        // Last, since a dataset is one when it has this file.
        let info = Info::new(self.recipe, self.schema, self.totals, &videos);
        write_json(&self.root.join(INFO), &info)
    }
}

/// The statistics of all frames, those of other exports included.
fn whole_stats(
    root: &Path,
    recipe: &Recipe,
    schema: &DatasetSchema,
    pixels: &[(String, PixelCounts)],
    progress: &Progress,
) -> Result<serde_json::Value, ExportError> {
    let files = existing::files(&root.join(DATA))?;
    let forms = statistics::features(schema);
    let form = |name: &str| forms.iter().find(|(known, _)| known == name).map(|(_, form)| *form);
    let mut all = serde_json::Map::new();
    for (name, dtype, width) in schema.number_columns() {
        let column = if name == TIMESTAMP { FRAME_INDEX } else { name };
        let source = NumbersOf { files: &files, column, progress };
        let is_single = dtype == Dtype::Float32 && name != TIMESTAMP;
        let mut stats = of_numbers(&source, width, is_single)?;
        if name == TIMESTAMP {
            stats = statistics::of_timestamps(&stats, recipe.fps);
        }
        all.insert(name.to_owned(), statistics::json(&stats, form(name).unwrap_or(Form::Numbers)));
    }
    for (name, counts) in pixels {
        all.insert(name.clone(), statistics::json(&counts.stats(), Form::Channels));
    }
    Ok(all.into())
}

/// Writes JSON as Python's library does. An old file of this name may be a link to that of the dataset that is replaced,
/// and is never written into.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ExportError> {
    let file = new_file(path)?;
    let mut out = BufWriter::new(&file);
    let mut serializer =
        Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    "));
    let written = value.serialize(&mut serializer);
    written.map_err(|source| ExportError::Json { path: path.to_owned(), source })?;
    out.flush().and_then(|()| file.sync_all()).map_err(ExportError::io("write", path))
}

fn new_file(path: &Path) -> Result<File, ExportError> {
    remove(path)?;
    File::create_new(path).map_err(ExportError::io("create", path))
}

fn remove(path: &Path) -> Result<(), ExportError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ExportError::io("replace", path)(error))
        }
        _ => Ok(()),
    }
}
