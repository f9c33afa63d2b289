//! `parquet`: typed columns, `timestamp` first, zstd. A first pass over each track finds the types
//! and a second one writes them. So memory holds one row group, whatever the track's size.

mod builder;
mod record_batch;
mod wide;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

pub(super) use self::record_batch::RecordBatchBuilder;
use super::{RowSource, RowStream, Table};
use crate::error::TrackError;
use crate::row::{Column, ColumnType, TIMESTAMP_COLUMN};

/// A row group is closed once it takes this much memory, encoded.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Batches that may wait to be encoded.
const BATCHES_AHEAD: usize = 2;

/// The most columns of a file, dicts in lists counted with all their keys: what a column takes in
/// each row group and in the file's footer adds up.
const MAX_COLUMNS: usize = 32_768;

/// What the file's footer may take: it is in memory until the end.
const FOOTER_BYTES: u64 = 512 << 20;
/// What it takes for a column of a row group.
const CHUNK_BYTES: u64 = 512;
/// What a cell takes before it is encoded, empty or not.
const CELL_BYTES: u64 = 9;

/// A row group and the batches on their way to it.
const BUFFER_BYTES: usize = 96 << 20;
/// What a byte of a row takes at most in a batch and encoded.
const BYTES_PER_BYTE: usize = 8;
/// What a column takes, however little is in it.
const COLUMN_BYTES: usize = 4 << 10;

/// The most memory that writing takes, for `rows` of `text_bytes` in so many columns.
pub(super) fn weight(columns: usize, rows: u64, text_bytes: usize) -> usize {
    let footer = if columns > wide::MANY_COLUMNS { footer_bytes(columns as u64, rows) } else { 0 };
    let footer = usize::try_from(footer.min(FOOTER_BYTES)).unwrap_or(usize::MAX);
    let rows = text_bytes.saturating_mul(BYTES_PER_BYTE).min(BUFFER_BYTES);
    rows.saturating_add(columns.saturating_mul(COLUMN_BYTES)).saturating_add(footer)
}

/// Writes the rows of `source` to `out`.
pub(super) fn write(
    source: &(impl RowSource + Sync),
    out: &mut (dyn Write + Send),
) -> Result<(), TrackError> {
    let table = source.table()?;
    let leaves = table.columns.iter().map(|(_, ty)| ty.leaves()).sum();
    check_width(&source.about().topic, leaves, table.rows)?;
    let schema = Arc::new(schema(&table.columns));
    let properties = properties(&table.columns);
    if leaves > wide::MANY_COLUMNS {
        return wide::write(source, &table, schema, properties, out);
    }
    let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(failed)?;
    // Reading rows and encoding columns take about the same time.
    thread::scope(|scope| {
        let (full, batches) = mpsc::sync_channel(BATCHES_AHEAD);
        let reader = thread::Builder::new().name("parquet-rows".into());
        reader
            .spawn_scoped(scope, move || gather(source, &table, schema, &full))
            .map_err(TrackError::Export)?;
        for batch in batches {
            writer.write(&batch?).map_err(failed)?;
            if writer.memory_size() >= ROW_GROUP_BYTES {
                writer.flush().map_err(failed)?;
            }
        }
        Ok::<(), TrackError>(())
    })?;
    writer.close().map_err(failed)?;
    Ok(())
}

/// Sends the rows of `source` in batches until the end, a failure, or a closed receiver.
fn gather(
    source: &impl RowSource,
    table: &Table,
    schema: Arc<Schema>,
    full: &SyncSender<Result<RecordBatch, TrackError>>,
) {
    let mut rows = source.rows();
    let mut batch = RecordBatchBuilder::new(schema, table);
    while let Some(read) = rows.next_into(table, &mut batch) {
        let ready = match read {
            Ok(()) if batch.is_full() => batch.take(),
            Ok(()) => continue,
            Err(error) => Err(error),
        };
        let failed = ready.is_err();
        if full.send(ready).is_err() || failed {
            return;
        }
    }
    // An error here means that the receiver failed, and it reports why itself.
    let _ = full.send(batch.take());
}

/// Fails for more columns than a file of so many rows can have here.
pub(super) fn check_width(topic: &str, columns: usize, rows: u64) -> Result<(), TrackError> {
    let max_columns = max_columns(rows);
    if columns <= max_columns {
        return Ok(());
    }
    let topic = topic.to_owned();
    Err(TrackError::TooWide { topic, columns, rows, max_columns })
}

/// What the footer of a file of many columns takes for its row groups.
fn footer_bytes(columns: u64, rows: u64) -> u64 {
    let groups = rows.saturating_mul(columns) / (ROW_GROUP_BYTES as u64 / CELL_BYTES);
    groups.saturating_mul(columns).saturating_mul(CHUNK_BYTES)
}

/// The most columns of a file of so many rows. Where there are many columns, row groups are closed by
/// the size of their cells, and each takes room in the footer for each column: that grows with the
/// square of the columns.
fn max_columns(rows: u64) -> usize {
    let cells = ROW_GROUP_BYTES as u64 / CELL_BYTES;
    let squared = (FOOTER_BYTES / CHUNK_BYTES).saturating_mul(cells) / rows.max(1);
    usize::try_from(squared.isqrt()).unwrap_or(MAX_COLUMNS).clamp(wide::MANY_COLUMNS, MAX_COLUMNS)
}

/// Byte stream split for floats: smaller and faster to write than any other encoding.
pub(super) fn properties(columns: &[(Column, ColumnType)]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")).to_owned());
    let mut floats = vec![vec![TIMESTAMP_COLUMN.to_owned()]];
    for (name, ty) in columns {
        push_float_paths(ty, vec![name.to_string()], &mut floats);
    }
    for path in floats.into_iter().map(ColumnPath::new) {
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}

/// Adds the paths of the float columns that a column at `path` is stored as.
fn push_float_paths(ty: &ColumnType, path: Vec<String>, floats: &mut Vec<Vec<String>>) {
    let below = |names: &[&str]| {
        path.iter().cloned().chain(names.iter().map(|name| (*name).to_owned())).collect()
    };
    match ty {
        ColumnType::Float => floats.push(path),
        ColumnType::List(items) => push_float_paths(items, below(&["list", "element"]), floats),
        ColumnType::Dict(entries) => {
            entries.iter().for_each(|(key, ty)| push_float_paths(ty, below(&[key]), floats));
        }
        ColumnType::Null
        | ColumnType::Bool
        | ColumnType::Int
        | ColumnType::UInt
        | ColumnType::Text
        | ColumnType::Json => {}
    }
}

pub(super) fn schema(columns: &[(Column, ColumnType)]) -> Schema {
    let timestamp = Field::new(TIMESTAMP_COLUMN, DataType::Float64, true);
    let columns = columns.iter().map(|(name, ty)| Field::new(&**name, data_type(ty), true));
    Schema::new([timestamp].into_iter().chain(columns).collect::<Fields>())
}

/// The types and names that pyarrow gives the same rows. Everything is nullable.
pub(super) fn data_type(ty: &ColumnType) -> DataType {
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

/// The item field of a list, under the name that Parquet gives it.
fn element(items: &ColumnType) -> Field {
    Field::new("element", data_type(items), true)
}

fn entries(dict: &[(Column, ColumnType)]) -> Fields {
    dict.iter().map(|(key, ty)| Field::new(&**key, data_type(ty), true)).collect()
}

/// The writer's errors come from its destination; any other is a bug.
fn failed(error: ParquetError) -> TrackError {
    TrackError::Export(match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_many_rows_take_fewer_columns() {
        let takes = |columns, rows| check_width("t", columns, rows).is_ok();
        assert!(takes(MAX_COLUMNS, 1_000) && !takes(MAX_COLUMNS + 1, 1));
        assert!(takes(1_500, 1_000_000) && !takes(5_000, 1_000_000));
        assert!(takes(wide::MANY_COLUMNS, u64::MAX));
        let (most, megabyte) = (max_columns(1_000_000) as u64, 1 << 20);
        assert!(footer_bytes(most, 1_000_000).abs_diff(FOOTER_BYTES) < megabyte);
        assert!(weight(most as usize, 1_000_000, 0) as u64 >= FOOTER_BYTES - megabyte);
    }
}
