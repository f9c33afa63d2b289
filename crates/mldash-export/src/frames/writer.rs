//! One episode: frames are gathered in batches, whose pictures are decoded together.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::ArrowError;
use mldash_track::Fields;

use super::{Episode, PlannedRecording, Shared, WrittenEpisode, read};
use crate::account::FeatureAccount;
use crate::dataset_schema::{
    Column, EPISODE_INDEX, FRAME_INDEX, INDEX, Kind, LEROBOT_COLUMNS, NumberColumn, TIMESTAMP,
    number_array, picture_array,
};
use crate::error::ExportError;
use crate::files::RecordedFiles;
use crate::joins::{Read, Reading};
use crate::parquet_file::{NumbersOf, TableWriter};
use crate::pictures::{PictureFeature, Stored, Wanted};
use crate::recipe::{Dtype, Format, Method};
use crate::stats::{PixelCounts, of_numbers};
use crate::values;
use crate::video::VideoWriter;

/// What a batch of frames may hold of pixels, besides at least one frame.
const BATCH_BYTES: usize = 64 << 20;
const BATCH_FRAMES: usize = 64;

/// The values of a frame, feature by feature.
struct Frame {
    secs: f64,
    readings: Vec<Reading>,
}

/// A picture column of the dataset.
struct Pictures {
    /// Its place among all columns, and among the features.
    place: usize,
    counts: PixelCounts,
    video: Option<VideoWriter>,
}

/// Writes an episode's frames, in order.
pub(super) struct EpisodeWriter<'a> {
    source: &'a PlannedRecording<'a>,
    files: Option<&'a RecordedFiles>,
    shared: &'a Shared<'a>,
    episode: &'a Episode,
    table: TableWriter,
    pictures: Vec<Pictures>,
    batch: Vec<Frame>,
    batch_frames: usize,
    /// Frames that are written.
    written: u64,
    start_secs: f64,
    accounts: Vec<FeatureAccount>,
    last_stamps: Vec<Vec<f64>>,
}

impl<'a> EpisodeWriter<'a> {
    pub(super) fn new(
        source: &'a PlannedRecording<'a>,
        files: Option<&'a RecordedFiles>,
        episode: &'a Episode,
        shared: &'a Shared<'a>,
    ) -> Result<Self, ExportError> {
        let Shared { recipe, schema, parts, .. } = shared;
        let named =
            |extension: &str| parts.join(format!("{:06}{extension}", episode.episode_index));
        let arrow_schema = Arc::new(schema.arrow_schema(recipe.format));
        let table = TableWriter::create(named(".parquet"), arrow_schema)?;
        let mut pictures = Vec::new();
        let mut frame_bytes: usize = 0;
        for (place, column) in schema.columns.iter().enumerate() {
            let Kind::Picture(picture) = &column.kind else { continue };
            let shape = picture.shape;
            frame_bytes = frame_bytes.saturating_add(shape.bytes());
            let path = named(&format!("-{place}.mp4"));
            let video = column.is_video();
            let video = video.then(|| VideoWriter::create(path, shape, recipe.fps, &recipe.video));
            pictures.push(Pictures {
                place,
                counts: PixelCounts::new(shape),
                video: video.transpose()?,
            });
        }
        let account =
            |name: &String| FeatureAccount { feature: name.clone(), ..Default::default() };
        let batch_frames = BATCH_BYTES.checked_div(frame_bytes).unwrap_or(BATCH_FRAMES);
        Ok(Self {
            source,
            files,
            shared,
            episode,
            table,
            pictures,
            batch: Vec::new(),
            batch_frames: batch_frames.clamp(1, BATCH_FRAMES),
            written: 0,
            start_secs: f64::NAN,
            accounts: recipe.features.iter().map(|feature| account(&feature.name)).collect(),
            last_stamps: vec![Vec::new(); recipe.features.len()],
        })
    }

    /// Adds the next frame, from the joined row of its tick.
    pub(super) fn add(&mut self, secs: f64, fields: &Fields) -> Result<(), ExportError> {
        if self.start_secs.is_nan() {
            self.start_secs = secs;
        }
        let mut readings = Vec::with_capacity(self.accounts.len());
        for place in 0..self.accounts.len() {
            let reading = read(self.source, self.shared.recipe, place, secs, fields)?;
            self.account(place, secs, &reading);
            readings.push(reading);
        }
        self.batch.push(Frame { secs, readings });
        if self.batch.len() >= self.batch_frames { self.write_batch() } else { Ok(()) }
    }

    fn account(&mut self, place: usize, secs: f64, reading: &Reading) {
        let (Some(account), Some(last)) =
            (self.accounts.get_mut(place), self.last_stamps.get_mut(place))
        else {
            return;
        };
        let age = reading.ages.iter().fold(0.0_f64, |most, age| most.max(age.abs()));
        if age > account.max_age_secs {
            (account.max_age_secs, account.max_age_at_secs) = (age, secs);
        }
        if let Read::Numbers(numbers) = &reading.content {
            account.non_finite += numbers.iter().filter(|n| !n.is_finite()).count() as u64;
        }
        account.bridged += u64::from(reading.is_bridged);
        let method = self.shared.recipe.features.get(place).map(|feature| feature.method);
        // Between the same two rows, values still change.
        let shows_row = matches!(method, Some(Method::Floor | Method::Nearest));
        account.repeated += u64::from(shows_row && *last == reading.stamps);
        last.clone_from(&reading.stamps);
    }

    fn write_batch(&mut self) -> Result<(), ExportError> {
        self.shared.progress.check()?;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let stored = self.store_pictures(&batch)?;
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (place, column) in self.shared.schema.columns.iter().enumerate() {
            let array = match &column.kind {
                Kind::Numbers(numbers) => {
                    let values = self.numbers(place, column, numbers, &batch)?;
                    Some(numbers.array(&values))
                }
                Kind::Picture(_) => {
                    let picture = self.pictures.iter().position(|picture| picture.place == place);
                    let stored = picture.and_then(|picture| stored.get(picture));
                    let stored = stored.map(Vec::as_slice).unwrap_or_default();
                    let video = picture.and_then(|picture| self.pictures.get_mut(picture));
                    match video.and_then(|picture| picture.video.as_mut()) {
                        Some(video) => write_video(video, stored).map(|()| None)?,
                        None => Some(self.picture_files(stored)),
                    }
                }
            };
            arrays.extend(array.transpose().map_err(ExportError::parquet(self.shared.parts))?);
        }
        arrays.extend(self.own_columns(&batch));
        self.table.write(arrays)?;
        self.written += batch.len() as u64;
        self.shared.progress.add(batch.len() as u64);
        Ok(())
    }

    /// What is stored of each picture column, frame by frame.
    fn store_pictures(&mut self, batch: &[Frame]) -> Result<Vec<Vec<Stored>>, ExportError> {
        let Some(files) = self.files else { return Ok(Vec::new()) };
        let mut wanted: Vec<Wanted> = Vec::new();
        // For each column and frame, the place in `wanted`. Frames that follow each other often show one picture.
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.pictures.len()];
        for frame in batch {
            for (column, (pictures, places)) in self.pictures.iter().zip(&mut places).enumerate() {
                let reading = frame.readings.get(pictures.place).map(|reading| &reading.content);
                let Some(Read::File(file)) = reading else { continue };
                let last = places.last().copied();
                let same = last.filter(|last| wanted.get(*last).is_some_and(|w| w.file == *file));
                let place = same.unwrap_or(wanted.len());
                match wanted.get_mut(place) {
                    Some(wanted) => wanted.frames += 1,
                    None => {
                        let (file, secs) = (file.clone(), frame.secs);
                        wanted.push(Wanted { column, file, frames: 1, secs });
                    }
                }
                places.push(place);
            }
        }
        let features: Vec<PictureFeature<'_>> = self.picture_features();
        let mut counts: Vec<PixelCounts> =
            features.iter().map(|feature| PixelCounts::new(feature.column.shape)).collect();
        let stored = files.store(&wanted, &features, &mut counts, self.shared.threads)?;
        for (pictures, counts) in self.pictures.iter_mut().zip(&counts) {
            pictures.counts.merge(counts);
        }
        let stored_at = |place: usize| stored.get(place).cloned();
        let column = |places: Vec<usize>| places.into_iter().filter_map(stored_at).collect();
        Ok(places.into_iter().map(column).collect())
    }

    fn picture_features(&self) -> Vec<PictureFeature<'a>> {
        let (schema, recipe) = (self.shared.schema, self.shared.recipe);
        let feature = |column: &'a Column| match &column.kind {
            Kind::Picture(picture) => {
                let mut own = recipe.pictures().filter(|(feature, _)| feature.name == column.name);
                let is_resized = own.any(|(_, picture)| picture.size.is_some());
                Some(PictureFeature { name: &column.name, column: picture, is_resized })
            }
            Kind::Numbers(_) => None,
        };
        schema.columns.iter().filter_map(feature).collect()
    }

    fn picture_files(&self, stored: &[Stored]) -> Result<ArrayRef, ArrowError> {
        picture_array((self.written..).zip(stored).filter_map(|(i, stored)| match stored {
            Stored::File { bytes, format } => {
                Some((&**bytes, format!("frame-{i:06}.{}", format.extension())))
            }
            Stored::Frame(_) => None,
        }))
    }

    /// The numbers of a column, frame after frame.
    fn numbers(
        &self,
        place: usize,
        column: &Column,
        numbers: &NumberColumn,
        batch: &[Frame],
    ) -> Result<Vec<f64>, ExportError> {
        let features = self.shared.recipe.features.len();
        let mut all = Vec::with_capacity(batch.len() * numbers.width);
        for frame in batch {
            let reading = frame.readings.get(place).or_else(|| {
                // After the features come, for each, its stamps and its ages.
                frame.readings.get(place.checked_sub(features)? / 2)
            });
            let found = match reading {
                Some(reading) if place >= features && (place - features).is_multiple_of(2) => {
                    reading.stamps.as_slice()
                }
                Some(reading) if place >= features => &reading.ages,
                Some(Reading { content: Read::Numbers(numbers), .. }) => numbers,
                _ => &[],
            };
            let check = |()| found.iter().try_for_each(|n| values::fits(*n, numbers.dtype));
            let width = if found.len() == numbers.width {
                Ok(())
            } else {
                Err(format!("{} values, and the feature has {}", found.len(), numbers.width))
            };
            width.and_then(check).map_err(|reason| ExportError::Value {
                experiment: self.source.name.to_owned(),
                feature: column.name.clone(),
                secs: frame.secs,
                reason,
            })?;
            all.extend_from_slice(found);
        }
        Ok(all)
    }

    /// The columns that are of no feature.
    fn own_columns(&self, batch: &[Frame]) -> Vec<ArrayRef> {
        let Episode { episode_index, first_index, task_index, .. } = self.episode;
        let frames = || self.written..self.written + batch.len() as u64;
        let fps = f64::from(self.shared.recipe.fps);
        let number = |of: &dyn Fn(u64) -> f64| frames().map(of).collect::<Vec<f64>>();
        match self.shared.recipe.format {
            Format::LeRobot => {
                let values = LEROBOT_COLUMNS.map(|(name, dtype)| {
                    let numbers = match name {
                        TIMESTAMP => number(&|frame| frame as f64 / fps),
                        FRAME_INDEX => number(&|frame| frame as f64),
                        EPISODE_INDEX => number(&|_| *episode_index as f64),
                        INDEX => number(&|frame| (first_index + frame) as f64),
                        _ => number(&|_| *task_index as f64),
                    };
                    number_array(dtype, &numbers)
                });
                values.into()
            }
            Format::Parquet => {
                let text = |text: Option<&str>| -> ArrayRef {
                    Arc::new(frames().map(|_| text).collect::<StringArray>())
                };
                let times: Vec<f64> = batch.iter().map(|frame| frame.secs).collect();
                vec![
                    number_array(Dtype::Float64, &number(&|frame| frame as f64 / fps)),
                    number_array(Dtype::Int64, &number(&|frame| frame as f64)),
                    number_array(Dtype::Float64, &times),
                    text(Some(self.source.name)),
                    text(self.source.task),
                ]
            }
        }
    }

    /// Ends the episode, and returns it and the counts of its pixels by feature.
    pub(super) fn finish(
        mut self,
    ) -> Result<(WrittenEpisode, Vec<(String, PixelCounts)>), ExportError> {
        self.write_batch()?;
        if self.written != self.episode.segment.frames {
            return Err(self.source.changed());
        }
        let table = self.table.finish()?;
        let (schema, format) = (self.shared.schema, self.shared.recipe.format);
        let mut numbers = Vec::new();
        if format == Format::LeRobot {
            for (name, dtype, width) in schema.number_columns() {
                let source = NumbersOf {
                    files: std::slice::from_ref(&table),
                    column: name,
                    progress: self.shared.progress,
                };
                let stats = of_numbers(&source, width, dtype == Dtype::Float32)?;
                numbers.push((name.to_owned(), stats));
            }
        }
        let (mut pixels, mut all_counts, mut videos) = (Vec::new(), Vec::new(), Vec::new());
        for Pictures { place, counts, video } in self.pictures {
            let name =
                schema.columns.get(place).map(|column| column.name.clone()).unwrap_or_default();
            if let Some(video) = video {
                videos.push((name.clone(), video.finish()?));
            }
            pixels.push((name.clone(), counts.stats()));
            all_counts.push((name, counts));
        }
        let part = WrittenEpisode {
            episode: self.episode.clone(),
            table,
            numbers,
            pixels,
            videos,
            start_secs: self.start_secs,
            features: self.accounts,
        };
        Ok((part, all_counts))
    }
}

fn write_video(video: &mut VideoWriter, stored: &[Stored]) -> Result<(), ExportError> {
    stored.iter().try_for_each(|stored| match stored {
        Stored::Frame(pixels) => video.write(pixels),
        Stored::File { .. } => Ok(()),
    })
}
