//! Statistics as LeRobot writes them: of each episode as columns beside it, and of all frames in `meta/stats.json`. For
//! pictures, each channel's number is in two lists of its own, so that it broadcasts over rows and columns.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use serde_json::{Value, json};

use crate::dataset_schema::{DatasetSchema, Kind, LEROBOT_COLUMNS};
use crate::recipe::Dtype;
use crate::stats::{QUANTILES, Stats};

/// How a feature's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Minimum and maximum are whole.
    Whole,
    Numbers,
    Channels,
}

/// The features that have statistics, in order.
pub(super) fn features(schema: &DatasetSchema) -> Vec<(String, Form)> {
    let form = |dtype| if dtype == Dtype::Int64 { Form::Whole } else { Form::Numbers };
    let own = schema.columns.iter().map(|column| match &column.kind {
        Kind::Numbers(numbers) => (column.name.clone(), form(numbers.dtype)),
        Kind::Picture(_) => (column.name.clone(), Form::Channels),
    });
    own.chain(LEROBOT_COLUMNS.map(|(name, dtype)| (name.to_owned(), form(dtype)))).collect()
}

/// The statistics of `timestamp`: those of the numbers of frames, so that they are not of rounded values.
pub(super) fn of_timestamps(frame_numbers: &Stats, fps: u32) -> Stats {
    frame_numbers.clone().divided(f64::from(fps))
}

/// The names of the statistics, in LeRobot's order: the count is the fifth.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ["min", "max", "mean", "std", "count"].into_iter().chain(QUANTILES.map(|(name, _)| name))
}

/// The columns of a feature's statistics beside its episode.
pub(super) fn fields(feature: &str, form: Form) -> impl Iterator<Item = Field> {
    names().map(move |name| {
        let whole = matches!((form, name), (_, "count") | (Form::Whole, "min" | "max"));
        let number = if whole { DataType::Int64 } else { DataType::Float64 };
        let data_type = match (form, name) {
            (Form::Channels, "count") => list_of(number),
            (Form::Channels, _) => list_of(list_of(list_of(number))),
            _ => list_of(number),
        };
        Field::new(format!("stats/{feature}/{name}"), data_type, true)
    })
}

/// The values of those columns for one episode.
pub(super) fn columns(stats: &Stats, form: Form) -> Result<Vec<ArrayRef>, ArrowError> {
    let values = |name: &str| stats.values().find(|(n, _)| *n == name).map(|(_, v)| v);
    let column = |name: &str| match (form, name) {
        (_, "count") => Ok(whole_list(&[stats.count as f64])),
        (Form::Whole, "min" | "max") => Ok(whole_list(values(name).unwrap_or_default())),
        (Form::Channels, _) => channels(values(name).unwrap_or_default()),
        _ => Ok(number_list(values(name).unwrap_or_default())),
    };
    names().map(column).collect()
}

/// `stats.json`'s entry.
pub(super) fn json(stats: &Stats, form: Form) -> Value {
    let entry = |name: &str| {
        let values = stats.values().find(|(n, _)| *n == name).map(|(_, v)| v).unwrap_or_default();
        let value = match (form, name) {
            (_, "count") => json!([stats.count]),
            (Form::Whole, "min" | "max") => values.iter().map(|n| json!(*n as i64)).collect(),
            (Form::Channels, _) => values.iter().map(|n| json!([[n]])).collect(),
            _ => values.iter().map(|n| json!(n)).collect(),
        };
        (name.to_owned(), value)
    };
    names().map(entry).collect::<serde_json::Map<_, _>>().into()
}

fn list_of(item: DataType) -> DataType {
    DataType::List(element(item))
}

fn element(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("element", data_type, true))
}

/// One list of all numbers.
fn number_list(numbers: &[f64]) -> ArrayRef {
    let mut list = ListBuilder::new(Float64Builder::new()).with_field(element(DataType::Float64));
    list.values().append_slice(numbers);
    list.append(true);
    Arc::new(list.finish())
}

fn whole_list(numbers: &[f64]) -> ArrayRef {
    let mut list = ListBuilder::new(Int64Builder::new()).with_field(element(DataType::Int64));
    numbers.iter().for_each(|n| list.values().append_value(*n as i64));
    list.append(true);
    Arc::new(list.finish())
}

/// `[[[red]], [[green]], [[blue]]]`.
fn channels(numbers: &[f64]) -> Result<ArrayRef, ArrowError> {
    let ones = || OffsetBuffer::from_lengths(std::iter::repeat_n(1, numbers.len()));
    let mut values = Float64Builder::new();
    values.append_slice(numbers);
    let inner = Arc::new(values.finish());
    let rows = ListArray::try_new(element(DataType::Float64), ones(), inner, None)?;
    let rows_type = element(list_of(DataType::Float64));
    let columns = ListArray::try_new(rows_type, ones(), Arc::new(rows), None)?;
    let all = OffsetBuffer::from_lengths([numbers.len()]);
    let all_type = element(list_of(list_of(DataType::Float64)));
    Ok(Arc::new(ListArray::try_new(all_type, all, Arc::new(columns), None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        let two = || vec![1.0, 2.0];
        let quantiles = [two(), two(), two(), two(), two()];
        Stats {
            min: two(),
            max: two(),
            mean: two(),
            std: two(),
            count: 7,
            quantiles,
            non_finite: 0,
        }
    }

    #[test]
    fn every_column_has_the_type_that_its_field_says() {
        for form in [Form::Whole, Form::Numbers, Form::Channels] {
            let columns = columns(&stats(), form).unwrap();
            let fields: Vec<Field> = fields("a", form).collect();
            assert_eq!(columns.len(), fields.len());
            for (column, field) in columns.iter().zip(&fields) {
                assert_eq!(column.data_type(), field.data_type(), "{}", field.name());
                assert_eq!(column.len(), 1);
            }
        }
    }

    #[test]
    fn json_has_channels_in_lists_of_their_own_and_whole_numbers_whole() {
        assert_eq!(json(&stats(), Form::Channels)["mean"], json!([[[1.0]], [[2.0]]]));
        assert_eq!(json(&stats(), Form::Channels)["count"], json!([7]));
        assert_eq!(json(&stats(), Form::Whole)["min"], json!([1, 2]));
        assert_eq!(json(&stats(), Form::Numbers)["q99"], json!([1.0, 2.0]));
    }
}
