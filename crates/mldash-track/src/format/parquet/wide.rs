//! Files of many columns. Every column that is being encoded has buffers and a compressor of its own,
//! some tens of kilobytes, so only a few are encoded at a time. Until then a row group waits as
//! Arrow arrays.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;

use super::record_batch::RecordBatchBuilder;
use super::{RowSource, RowStream, Table, failed};
use crate::error::TrackError;

/// More columns are encoded in groups.
pub(super) const MANY_COLUMNS: usize = 512;

/// Top-level columns that are encoded at a time.
const COLUMNS_AT_A_TIME: usize = 64;

/// A row group is closed once its arrays take this much memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes the rows of `source` to `out`, one row group after another.
pub(super) fn write(
    source: &impl RowSource,
    table: &Table,
    schema: Arc<Schema>,
    properties: WriterProperties,
    out: &mut (dyn Write + Send),
) -> Result<(), TrackError> {
    let mut properties = properties
        .into_builder()
        // Indexes of pages would be kept for each column of each row group until the end.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let descriptor = ArrowSchemaConverter::new().convert(&schema).map_err(failed)?;
    add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
    let properties = Arc::new(properties);
    let mut file = SerializedFileWriter::new(out, descriptor.root_schema_ptr(), properties.clone())
        .map_err(failed)?;
    let mut waiting = Vec::new();
    let mut waiting_bytes = 0;
    let mut rows = source.rows();
    let mut batch = RecordBatchBuilder::new(schema.clone(), table);
    while let Some(read) = rows.next_into(table, &mut batch) {
        read?;
        if batch.is_full() {
            let full = batch.take()?;
            waiting_bytes += full.get_array_memory_size();
            waiting.push(full);
        }
        if waiting_bytes >= ROW_GROUP_BYTES {
            write_row_group(&mut file, &schema, &properties, &mut waiting)?;
            waiting_bytes = 0;
        }
    }
    let last = batch.take()?;
    if last.num_rows() > 0 {
        waiting.push(last);
    }
    if !waiting.is_empty() {
        write_row_group(&mut file, &schema, &properties, &mut waiting)?;
    }
    file.close().map_err(failed)?;
    Ok(())
}

/// Encodes `batches` as a row group, and drops them.
fn write_row_group<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    schema: &Schema,
    properties: &WriterPropertiesPtr,
    batches: &mut Vec<RecordBatch>,
) -> Result<(), TrackError> {
    let mut row_group = file.next_row_group().map_err(failed)?;
    for (group, fields) in schema.fields().chunks(COLUMNS_AT_A_TIME).enumerate() {
        let columns = encode(fields, group * COLUMNS_AT_A_TIME, properties, batches);
        for column in columns.map_err(failed)? {
            column.append_to_row_group(&mut row_group).map_err(failed)?;
        }
    }
    batches.clear();
    row_group.close().map_err(failed)?;
    Ok(())
}

/// Encodes the columns of `fields`, which begin at `place` in the batches.
fn encode(
    fields: &[FieldRef],
    place: usize,
    properties: &WriterPropertiesPtr,
    batches: &[RecordBatch],
) -> Result<Vec<parquet::arrow::arrow_writer::ArrowColumnChunk>, ParquetError> {
    // A file of only these columns makes writers for only these.
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
    let file =
        SerializedFileWriter::new(io::sink(), descriptor.root_schema_ptr(), properties.clone())?;
    let factory = ArrowRowGroupWriterFactory::new(&file, schema);
    let mut writers = factory.create_column_writers(0)?;
    for batch in batches {
        let mut columns = writers.iter_mut();
        for (field, array) in fields.iter().zip(&batch.columns()[place..]) {
            for leaf in compute_leaves(field, array)? {
                let writer = columns.next().ok_or_else(|| {
                    ParquetError::General(format!("no writer for column {}", field.name()))
                })?;
                writer.write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}
