//! `meta/mldash_pixels.parquet`: how often each value of a sample is in the dataset's pictures, so that the statistics
//! stay exact when episodes are added.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::errors::ParquetError;

use crate::dataset_schema::{DatasetSchema, Kind};
use crate::error::ExportError;
use crate::parquet_file::{TableWriter, read_columns};
use crate::stats::PixelCounts;

const COLUMNS: [&str; 5] = ["feature", "frames", "channel", "value", "samples"];

/// Writes the counts of each feature; no file if there are none.
pub(super) fn write(path: &Path, pixels: &[(String, PixelCounts)]) -> Result<(), ExportError> {
    super::remove(path)?;
    if pixels.is_empty() {
        return Ok(());
    }
    let fields = COLUMNS.map(|name| {
        let data_type = if name == "feature" { DataType::Utf8 } else { DataType::Int64 };
        Field::new(name, data_type, false)
    });
    let mut table = TableWriter::create(path.to_owned(), Arc::new(Schema::new(fields.to_vec())))?;
    for (feature, counts) in pixels {
        let seen: Vec<[i64; 4]> = (counts.seen())
            .map(|(channel, value, samples)| {
                [whole(counts.frames()), whole(channel as u64), whole(value as u64), whole(samples)]
            })
            .collect();
        let numbers = |place: usize| -> ArrayRef {
            let column = seen.iter().filter_map(|row| row.get(place).copied());
            Arc::new(Int64Array::from_iter_values(column))
        };
        let names = StringArray::from_iter_values(seen.iter().map(|_| feature));
        table.write(vec![Arc::new(names), numbers(0), numbers(1), numbers(2), numbers(3)])?;
    }
    table.finish().map(|_| ())
}

/// Reads the counts of each picture feature, which are zero if there is no file: whoever reads compares their frames.
pub(super) fn read(
    path: &Path,
    schema: &DatasetSchema,
) -> Result<Vec<(String, PixelCounts)>, ExportError> {
    let mut all = Vec::new();
    for column in &schema.columns {
        if let Kind::Picture(picture) = &column.kind {
            all.push((column.name.clone(), PixelCounts::new(picture.shape)));
        }
    }
    if !path.is_file() {
        return Ok(all);
    }
    for batch in read_columns(path, &COLUMNS)? {
        let batch = batch?;
        let restored =
            (0..batch.num_rows()).all(|row| restore(&batch, row, &mut all) == Some(true));
        if !restored {
            let reason = "it is no count of these pictures".to_owned();
            return Err(ExportError::parquet(path)(ParquetError::General(reason)));
        }
    }
    Ok(all)
}

fn restore(batch: &RecordBatch, row: usize, all: &mut [(String, PixelCounts)]) -> Option<bool> {
    let feature = batch.column_by_name("feature")?.as_string_opt::<i32>()?.value(row);
    let (_, counts) = all.iter_mut().find(|(name, _)| name == feature)?;
    let number = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        u64::try_from(column.value(row)).ok()
    };
    if counts.frames() == 0 {
        counts.restore_frames(number("frames")?);
    }
    let (channel, value) = (number("channel")?, number("value")?);
    let (channel, value) = (usize::try_from(channel).ok()?, usize::try_from(value).ok()?);
    Some(counts.restore(channel, value, number("samples")?))
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset_schema::{Column, PictureColumn};
    use crate::picture::{Depth, Pixels, Samples, Shape};
    use crate::recipe::PictureStorage;

    #[test]
    fn counts_are_read_as_they_were_written() {
        let shape = Shape { height: 1, width: 2, channels: 3, depth: Depth::Eight };
        let mut counts = PixelCounts::new(shape);
        counts.add(&Pixels { shape, samples: Samples::Eight(vec![1, 2, 3, 4, 5, 255]) }, 7);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pixels.parquet");
        let kind = Kind::Picture(PictureColumn { shape, storage: PictureStorage::Image });
        let schema = DatasetSchema { columns: vec![Column { name: "front".to_owned(), kind }] };
        assert_eq!(read(&path, &schema).unwrap(), [("front".to_owned(), PixelCounts::new(shape))]);
        let pixels = [("front".to_owned(), counts)];
        write(&path, &pixels).unwrap();
        assert_eq!(read(&path, &schema).unwrap(), pixels);
    }
}
