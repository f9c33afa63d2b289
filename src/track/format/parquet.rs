//! `parquet`: typed columns, `timestamp` first, zstd. A first pass over the rows finds the types,
//! a second one writes them, so that memory holds one row group whatever the track's size.

mod batch;
mod builder;

use std::io::{self, Write};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use self::batch::Batch;
use super::RowSource;
use super::kind::ColumnType;
use super::survey::Survey;
use crate::track::error::TrackError;
use crate::track::row::{Column, TIMESTAMP_COLUMN};

/// A row group is closed once it takes this much memory, encoded.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes the rows of `source` to `out`.
pub(super) fn write(
    source: &impl RowSource,
    out: &mut (dyn Write + Send),
) -> Result<(), TrackError> {
    let survey = Survey::of(source)?;
    let schema = Arc::new(schema(&survey));
    let mut writer =
        ArrowWriter::try_new(out, schema.clone(), Some(properties())).map_err(failed)?;
    let mut batch = Batch::new(schema, &survey);
    for row in source.rows() {
        batch.push(&row?)?;
        if batch.is_full() {
            writer.write(&batch.take()?).map_err(failed)?;
            if writer.memory_size() >= ROW_GROUP_BYTES {
                writer.flush().map_err(failed)?;
            }
        }
    }
    writer.write(&batch.take()?).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(())
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

fn schema(survey: &Survey) -> Schema {
    let timestamp = Field::new(TIMESTAMP_COLUMN, DataType::Float64, true);
    let columns = survey.columns().map(|(name, ty)| Field::new(&**name, data_type(&ty), true));
    Schema::new([timestamp].into_iter().chain(columns).collect::<Fields>())
}

/// The types and names that pyarrow gives the same rows. Everything may be null.
fn data_type(ty: &ColumnType) -> DataType {
    match ty {
        ColumnType::Null => DataType::Null,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int => DataType::Int64,
        ColumnType::UInt => DataType::UInt64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Text | ColumnType::Json => DataType::Utf8,
        ColumnType::List(items) => DataType::List(Arc::new(element(items))),
        ColumnType::Dict(dict) => DataType::Struct(entries(dict)),
    }
}

/// What a list is made of, under the name that Parquet gives it.
fn element(items: &ColumnType) -> Field {
    Field::new("element", data_type(items), true)
}

fn entries(dict: &[(Column, ColumnType)]) -> Fields {
    dict.iter().map(|(key, ty)| Field::new(&**key, data_type(ty), true)).collect()
}

/// Errors of the writer are those of its destination, or else bugs.
fn failed(error: ParquetError) -> TrackError {
    TrackError::Export(match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    })
}
