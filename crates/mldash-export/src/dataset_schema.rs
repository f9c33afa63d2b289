//! The columns of a dataset: each feature's fixed shape, known from the first frame, and how it is stored in Arrow.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, StructArray,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};

use crate::error::ExportError;
use crate::picture::{Depth, Shape};
use crate::recipe::{Content, Dtype, Feature, Format, PictureStorage, Recipe};

/// A feature as the dataset has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Numbers(NumberColumn),
    Picture(PictureColumn),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NumberColumn {
    pub(crate) dtype: Dtype,
    pub(crate) width: usize,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) units: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PictureColumn {
    /// As it is stored.
    pub(crate) shape: Shape,
    pub(crate) storage: PictureStorage,
}

/// The shape of what a feature had in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found {
    /// So many numbers, from so many tracks.
    Numbers { width: usize, tracks: usize },
    /// A picture that looks like this in its file.
    Picture(Shape),
}

/// Columns that every dataset has, in order.
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const FRAME_INDEX: &str = "frame_index";
pub(crate) const EPISODE_INDEX: &str = "episode_index";
pub(crate) const INDEX: &str = "index";
const TASK_INDEX: &str = "task_index";

/// The columns that LeRobot adds to the features.
pub(crate) const LEROBOT_COLUMNS: [(&str, Dtype); 5] = [
    (TIMESTAMP, Dtype::Float32),
    (FRAME_INDEX, Dtype::Int64),
    (EPISODE_INDEX, Dtype::Int64),
    (INDEX, Dtype::Int64),
    (TASK_INDEX, Dtype::Int64),
];
/// The columns that a plain table has besides: the tick's own time, and where the frame comes from.
pub(crate) const TABLE_TIME: &str = "time";
pub(crate) const TABLE_EXPERIMENT: &str = "experiment";
const TABLE_TASK: &str = "task";

/// All features of a dataset, with those that `stamps` adds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DatasetSchema {
    pub(crate) columns: Vec<Column>,
}

impl DatasetSchema {
    /// The schema of features that look like this.
    pub(crate) fn new(recipe: &Recipe, found: &[Found]) -> Result<Self, ExportError> {
        let pairs = || recipe.features.iter().zip(found);
        let own = pairs().map(|(feature, found)| column(feature, *found));
        let mut columns = own.collect::<Result<Vec<_>, _>>()?;
        if recipe.stamps {
            columns.extend(pairs().flat_map(|(feature, found)| time_columns(feature, *found)));
        }
        Ok(Self { columns })
    }

    /// The schema of the files with the frames.
    pub(crate) fn arrow_schema(&self, format: Format) -> Schema {
        let stored = self.stored().map(|column| column.field());
        let mut fields: Vec<Field> = stored.collect();
        let mut metadata = HashMap::new();
        match format {
            Format::LeRobot => {
                fields.extend(
                    LEROBOT_COLUMNS.map(|(name, dtype)| Field::new(name, data_type(dtype), true)),
                );
                metadata.insert("huggingface".to_owned(), self.hugging_face());
            }
            Format::Parquet => {
                let own = [(TIMESTAMP, DataType::Float64), (FRAME_INDEX, DataType::Int64)];
                let about = [
                    (TABLE_TIME, DataType::Float64),
                    (TABLE_EXPERIMENT, DataType::Utf8),
                    (TABLE_TASK, DataType::Utf8),
                ];
                let all = own.into_iter().chain(about);
                fields.extend(all.map(|(name, data_type)| Field::new(name, data_type, true)));
            }
        }
        Schema::new_with_metadata(fields, metadata)
    }

    /// The columns that are in these files; videos are in files of their own.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.is_video())
    }

    /// The columns of numbers that LeRobot has statistics of: name, dtype and width.
    pub(crate) fn number_columns(&self) -> impl Iterator<Item = (&str, Dtype, usize)> {
        let own = self.columns.iter().filter_map(|column| match &column.kind {
            Kind::Numbers(numbers) => Some((column.name.as_str(), numbers.dtype, numbers.width)),
            Kind::Picture(_) => None,
        });
        own.chain(LEROBOT_COLUMNS.map(|(name, dtype)| (name, dtype, 1)))
    }

    /// What the `datasets` library writes into a schema, and reads types from.
    fn hugging_face(&self) -> String {
        let value = |dtype: Dtype| format!(r#"{{"dtype": "{}", "_type": "Value"}}"#, dtype.name());
        let own = self.stored().map(|column| {
            let kind = match &column.kind {
                Kind::Picture(_) => r#"{"_type": "Image"}"#.to_owned(),
                Kind::Numbers(numbers) if numbers.width == 1 => value(numbers.dtype),
                Kind::Numbers(NumberColumn { dtype, width, .. }) => {
                    let value = value(*dtype);
                    format!(r#"{{"feature": {value}, "length": {width}, "_type": "List"}}"#)
                }
            };
            (column.name.as_str(), kind)
        });
        let default = LEROBOT_COLUMNS.iter().map(|(name, dtype)| (*name, value(*dtype)));
        let texts = own
            .chain(default)
            .map(|(name, kind)| format!("{}: {kind}", serde_json::Value::from(name)));
        let features = texts.collect::<Vec<_>>().join(", ");
        format!(r#"{{"info": {{"features": {{{features}}}}}}}"#)
    }
}

fn column(feature: &Feature, found: Found) -> Result<Column, ExportError> {
    let kind = match (&feature.content, found) {
        (Content::Numbers(numbers), Found::Numbers { width, .. }) => {
            let names = numbers.names.clone().or_else(|| {
                // Joints are names already, if there is one source.
                numbers.joints.clone().filter(|joints| joints.len() == width)
            });
            let mut units = numbers.units.clone();
            if let Some([unit]) = units.as_deref() {
                units = Some(vec![unit.clone(); width]);
            }
            for (what, texts) in [("names", &names), ("units", &units)] {
                if let Some(named) = texts.as_ref().map(Vec::len).filter(|named| *named != width) {
                    let feature = feature.name.clone();
                    let reason = format!("the recipe has {named} {what} for {width} values");
                    return Err(ExportError::Recipe { feature, reason });
                }
            }
            Kind::Numbers(NumberColumn { dtype: numbers.dtype, width, names, units })
        }
        (Content::Picture(picture), Found::Picture(shape)) => {
            let shape = picture.size.map_or(shape, |size| shape.with_size(size));
            let shape = if picture.storage == PictureStorage::Video {
                video_shape(feature, shape)?
            } else {
                shape
            };
            Kind::Picture(PictureColumn { shape, storage: picture.storage })
        }
        // `Found` was read by the feature's own content.
        (Content::Numbers(_), Found::Picture(_)) | (Content::Picture(_), Found::Numbers { .. }) => {
            return Err(ExportError::Thread(format!("{} changed its kind", feature.name)));
        }
    };
    Ok(Column { name: feature.name.clone(), kind })
}

/// The shape of a video's frames.
fn video_shape(feature: &Feature, shape: Shape) -> Result<Shape, ExportError> {
    let reason = if shape.depth == Depth::Sixteen {
        format!("its pictures are {shape}, which a video can't hold; write `as: image`")
    } else if !shape.height.is_multiple_of(2) || !shape.width.is_multiple_of(2) {
        format!("its pictures are {shape}, and a video's sides must be even; give it a `size`")
    } else {
        return Ok(shape.as_colors());
    };
    Err(ExportError::Recipe { feature: feature.name.clone(), reason })
}

/// The features that `stamps` adds. They are named so that no policy takes them for an observation.
fn time_columns(feature: &Feature, found: Found) -> [Column; 2] {
    let width = match found {
        Found::Numbers { tracks, .. } => tracks,
        Found::Picture(_) => 1,
    };
    let column = |name: String, dtype, unit: &str| {
        let units = Some(vec![unit.to_owned(); width]);
        Column { name, kind: Kind::Numbers(NumberColumn { dtype, width, names: None, units }) }
    };
    [
        column(format!("stamp.{}", feature.name), Dtype::Float64, "s"),
        column(format!("age.{}", feature.name), Dtype::Float32, "s"),
    ]
}

impl Column {
    pub(crate) fn is_video(&self) -> bool {
        matches!(&self.kind, Kind::Picture(picture) if picture.storage == PictureStorage::Video)
    }

    /// What it is, for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Numbers(numbers) => format!("it has {} values", numbers.width),
            Kind::Picture(picture) => format!("its pictures are {}", picture.shape),
        }
    }

    fn field(&self) -> Field {
        let data_type = match &self.kind {
            Kind::Picture(_) => DataType::Struct(picture_fields()),
            Kind::Numbers(numbers) if numbers.width == 1 => data_type(numbers.dtype),
            Kind::Numbers(numbers) => {
                let width = i32::try_from(numbers.width).unwrap_or(i32::MAX);
                DataType::FixedSizeList(element(numbers.dtype), width)
            }
        };
        Field::new(&self.name, data_type, true)
    }
}

impl NumberColumn {
    /// Numbers, frame after frame, as an array.
    pub(crate) fn array(&self, numbers: &[f64]) -> Result<ArrayRef, ArrowError> {
        let values = number_array(self.dtype, numbers);
        if self.width == 1 {
            return Ok(values);
        }
        let width = i32::try_from(self.width).unwrap_or(i32::MAX);
        Ok(Arc::new(FixedSizeListArray::try_new(element(self.dtype), width, values, None)?))
    }
}

/// Numbers of a dtype; that it holds them was checked.
pub(crate) fn number_array(dtype: Dtype, numbers: &[f64]) -> ArrayRef {
    let numbers = numbers.iter();
    match dtype {
        Dtype::Float32 => Arc::new(Float32Array::from_iter_values(numbers.map(|n| *n as f32))),
        Dtype::Float64 => Arc::new(Float64Array::from_iter_values(numbers.copied())),
        Dtype::Int64 => Arc::new(Int64Array::from_iter_values(numbers.map(|n| *n as i64))),
        Dtype::Bool => Arc::new(BooleanArray::from_iter(numbers.map(|n| Some(*n != 0.0)))),
    }
}

/// Picture files, and what they are called in their episode.
pub(crate) fn picture_array<'f>(
    files: impl Iterator<Item = (&'f [u8], String)>,
) -> Result<ArrayRef, ArrowError> {
    let (mut bytes, mut paths) = (BinaryBuilder::new(), StringBuilder::new());
    for (file, path) in files {
        bytes.append_value(file);
        paths.append_value(path);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(bytes.finish()), Arc::new(paths.finish())];
    Ok(Arc::new(StructArray::try_new(picture_fields(), columns, None)?))
}

fn picture_fields() -> Fields {
    let field = |name, data_type| Field::new(name, data_type, true);
    Fields::from(vec![field("bytes", DataType::Binary), field("path", DataType::Utf8)])
}

fn element(dtype: Dtype) -> FieldRef {
    Arc::new(Field::new("element", data_type(dtype), true))
}

fn data_type(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::Float32 => DataType::Float32,
        Dtype::Float64 => DataType::Float64,
        Dtype::Int64 => DataType::Int64,
        Dtype::Bool => DataType::Boolean,
    }
}
