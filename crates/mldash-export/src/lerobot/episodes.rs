//! `meta/episodes`: a row for each episode, which says where its frames are and what they are like.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::{DataType, Field, Schema};

use super::files::Place;
use super::statistics::{self, Form};
use crate::error::ExportError;
use crate::parquet_file::TableWriter;
use crate::stats::Stats;

/// Where an episode is.
pub(super) struct EpisodeRow<'a> {
    pub(super) episode_index: u64,
    pub(super) task: &'a str,
    pub(super) frames: u64,
    pub(super) first_index: u64,
    pub(super) data: Place,
    /// For each video feature: the file, and its first second and the second after its last.
    pub(super) videos: Vec<(Place, f64, f64)>,
    /// In the order of the features.
    pub(super) stats: Vec<Stats>,
}

/// The file that is being written.
pub(super) struct EpisodesFile {
    table: TableWriter,
    place: Place,
    features: Vec<(String, Form)>,
}

impl EpisodesFile {
    pub(super) fn create(
        folder: &std::path::Path,
        place: Place,
        features: Vec<(String, Form)>,
        video_keys: &[String],
    ) -> Result<Self, ExportError> {
        let path: PathBuf = place.path(folder, "parquet");
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(ExportError::io("create", parent))?;
        let whole = |name: &str| Field::new(name, DataType::Int64, true);
        let text = Arc::new(Field::new("element", DataType::Utf8, true));
        let mut fields = vec![
            whole("episode_index"),
            Field::new("tasks", DataType::List(text), true),
            whole("length"),
            whole("data/chunk_index"),
            whole("data/file_index"),
            whole("dataset_from_index"),
            whole("dataset_to_index"),
        ];
        for key in video_keys {
            fields
                .extend(["chunk_index", "file_index"].map(|n| whole(&format!("videos/{key}/{n}"))));
            fields.extend(
                ["from_timestamp", "to_timestamp"].map(|name| {
                    Field::new(format!("videos/{key}/{name}"), DataType::Float64, true)
                }),
            );
        }
        fields.extend(features.iter().flat_map(|(name, form)| statistics::fields(name, *form)));
        fields.extend(["chunk_index", "file_index"].map(|n| whole(&format!("meta/episodes/{n}"))));
        let table = TableWriter::create(path, Arc::new(Schema::new(fields)))?;
        Ok(Self { table, place, features })
    }

    pub(super) fn add(&mut self, row: &EpisodeRow<'_>) -> Result<(), ExportError> {
        let whole = |n: u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values([i64::try_from(n).unwrap_or(i64::MAX)]))
        };
        let number = |n: f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values([n])) };
        let mut tasks = ListBuilder::new(StringBuilder::new()).with_field(Field::new(
            "element",
            DataType::Utf8,
            true,
        ));
        tasks.values().append_value(row.task);
        tasks.append(true);
        let mut columns = vec![
            whole(row.episode_index),
            Arc::new(tasks.finish()),
            whole(row.frames),
            whole(row.data.chunk),
            whole(row.data.file),
            whole(row.first_index),
            whole(row.first_index + row.frames),
        ];
        for (place, from, to) in &row.videos {
            columns.extend([whole(place.chunk), whole(place.file), number(*from), number(*to)]);
        }
        for ((_, form), stats) in self.features.iter().zip(&row.stats) {
            let own = statistics::columns(stats, *form);
            columns.extend(own.map_err(ExportError::parquet(self.table.path()))?);
        }
        columns.extend([whole(self.place.chunk), whole(self.place.file)]);
        self.table.write(columns)
    }

    pub(super) fn finish(self) -> Result<(), ExportError> {
        self.table.finish().map(|_| ())
    }
}
