//! Files of Parquet: frames in, files of many episodes out of files of one each without decoding them, and columns of
//! numbers back.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::error::ExportError;
use crate::progress::Progress;
use crate::stats::Batches;

/// A group of rows is written out when it holds so much, so that memory stays flat however long an episode is.
const GROUP_BYTES: usize = 32 << 20;
/// Rows that are decoded at once.
const READ_ROWS: usize = 4096;

/// A file that frames are written to.
pub(crate) struct TableWriter {
    path: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    schema: Arc<Schema>,
}

impl TableWriter {
    pub(crate) fn create(path: PathBuf, schema: Arc<Schema>) -> Result<Self, ExportError> {
        let file = File::create_new(&path).map_err(ExportError::io("create", &path))?;
        let properties = properties(&schema).map_err(ExportError::parquet(&path))?;
        let writer = ArrowWriter::try_new(BufWriter::new(file), schema.clone(), Some(properties));
        let writer = writer.map_err(ExportError::parquet(&path))?;
        Ok(Self { path, writer, schema })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds rows, whose columns are in the schema's order.
    pub(crate) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), ExportError> {
        let wrong = |error: ParquetError| ExportError::parquet(&self.path)(error);
        let batch =
            RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| wrong(e.into()))?;
        self.writer.write(&batch).map_err(wrong)?;
        if self.writer.in_progress_size() > GROUP_BYTES {
            self.writer.flush().map_err(wrong)?;
        }
        Ok(())
    }

    /// Ends the file, which is durable then.
    pub(crate) fn finish(self) -> Result<PathBuf, ExportError> {
        let Self { path, writer, .. } = self;
        let file = writer.into_inner().map_err(ExportError::parquet(&path))?;
        sync(file, &path)?;
        Ok(path)
    }
}

fn sync(file: BufWriter<File>, path: &Path) -> Result<(), ExportError> {
    let file =
        file.into_inner().map_err(|error| ExportError::io("write", path)(error.into_error()))?;
    file.sync_all().map_err(ExportError::io("write", path))
}

/// Pictures are compressed already.
fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(None);
    let is_picture = |data_type: &DataType| matches!(data_type, DataType::Struct(_));
    for field in schema.fields().iter().filter(|field| is_picture(field.data_type())) {
        let bytes = ColumnPath::new(vec![field.name().clone(), "bytes".to_owned()]);
        properties = properties
            .set_column_compression(bytes.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(bytes.clone(), false)
            .set_column_statistics_enabled(bytes, EnabledStatistics::None);
    }
    Ok(properties.build())
}

/// A file that whole files of the same schema are appended to.
pub(crate) struct Concatenation {
    path: PathBuf,
    writer: SerializedFileWriter<BufWriter<File>>,
}

impl Concatenation {
    /// A file of the schema and metadata of `part`.
    pub(crate) fn create(path: PathBuf, part: &Path) -> Result<Self, ExportError> {
        let metadata = read_metadata(part)?.1;
        let file = File::create_new(&path).map_err(ExportError::io("create", &path))?;
        let about = metadata.file_metadata();
        let properties = WriterProperties::builder()
            .set_key_value_metadata(about.key_value_metadata().cloned())
            .build();
        let schema = about.schema_descr().root_schema_ptr();
        let writer = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties));
        let writer = writer.map_err(ExportError::parquet(&path))?;
        Ok(Self { path, writer })
    }

    /// Appends the rows of `part` as they lie.
    pub(crate) fn append(&mut self, part: &Path) -> Result<(), ExportError> {
        let (file, metadata) = read_metadata(part)?;
        self.copy(&file, &metadata).map_err(ExportError::parquet(&self.path))
    }

    fn copy(&mut self, file: &File, metadata: &ParquetMetaData) -> Result<(), ParquetError> {
        for group in metadata.row_groups() {
            let mut out = self.writer.next_row_group()?;
            let rows_written = u64::try_from(group.num_rows()).unwrap_or_default();
            for column in group.columns() {
                let close = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
                    rows_written,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                out.append_column(file, close)?;
            }
            out.close()?;
        }
        Ok(())
    }

    /// How large it is.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    pub(crate) fn finish(self) -> Result<(), ExportError> {
        let Self { path, writer } = self;
        let file = writer.into_inner().map_err(ExportError::parquet(&path))?;
        sync(file, &path)
    }
}

fn read_metadata(path: &Path) -> Result<(File, ParquetMetaData), ExportError> {
    let file = File::open(path).map_err(ExportError::io("open", path))?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
    Ok((file, metadata.map_err(ExportError::parquet(path))?))
}

/// A column of numbers in one or several files, as doubles.
pub(crate) struct NumbersOf<'a> {
    pub(crate) files: &'a [PathBuf],
    pub(crate) column: &'a str,
    /// Reading ends with an error when the export is to stop.
    pub(crate) progress: &'a Progress,
}

impl Batches for NumbersOf<'_> {
    fn each(&self, take: &mut dyn FnMut(&[f64])) -> Result<(), ExportError> {
        let mut numbers = Vec::new();
        for path in self.files {
            for batch in read_columns(path, &[self.column])? {
                self.progress.check()?;
                let batch = batch?;
                numbers.clear();
                if let Some(column) = batch.columns().first() {
                    push_numbers(column, &mut numbers);
                }
                take(&numbers);
            }
        }
        Ok(())
    }
}

/// Reads these columns, batch by batch, in the file's order.
pub(crate) fn read_columns(
    path: &Path,
    columns: &[&str],
) -> Result<impl Iterator<Item = Result<RecordBatch, ExportError>>, ExportError> {
    let file = File::open(path).map_err(ExportError::io("open", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file);
    let builder = builder.map_err(ExportError::parquet(path))?;
    let schema = builder.schema().clone();
    let roots = columns.iter().filter_map(|column| schema.index_of(column).ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder.with_projection(mask).with_batch_size(READ_ROWS).build();
    let reader = reader.map_err(ExportError::parquet(path))?;
    let path = path.to_owned();
    Ok(reader.map(move |batch| batch.map_err(ExportError::parquet(&path))))
}

/// The schema of a file.
pub(crate) fn read_schema(path: &Path) -> Result<Schema, ExportError> {
    let file = File::open(path).map_err(ExportError::io("open", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file);
    Ok(builder.map_err(ExportError::parquet(path))?.schema().as_ref().clone())
}

fn push_numbers(column: &ArrayRef, out: &mut Vec<f64>) {
    match column.data_type() {
        DataType::FixedSizeList(_, _) => push_numbers(column.as_fixed_size_list().values(), out),
        DataType::Float32 => {
            out.extend(column.as_primitive::<Float32Type>().values().iter().map(|n| f64::from(*n)));
        }
        DataType::Float64 => out.extend(column.as_primitive::<Float64Type>().values()),
        DataType::Int64 => {
            out.extend(column.as_primitive::<Int64Type>().values().iter().map(|n| *n as f64));
        }
        DataType::Boolean => {
            let values = column.as_boolean().values();
            out.extend(values.iter().map(|value| f64::from(u8::from(value))));
        }
        // No other type is asked for.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Float64Array;
    use arrow_schema::Field;

    #[test]
    fn reading_numbers_ends_when_the_export_is_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, true)]));
        let mut table = TableWriter::create(folder.path().join("a.parquet"), schema).unwrap();
        table.write(vec![Arc::new(Float64Array::from(vec![1.0, 2.0]))]).unwrap();
        let files = [table.finish().unwrap()];
        let progress = Progress::default();
        let numbers = NumbersOf { files: &files, column: "x", progress: &progress };
        let mut all = Vec::new();
        numbers.each(&mut |numbers| all.extend_from_slice(numbers)).unwrap();
        assert_eq!(all, [1.0, 2.0]);
        progress.stop();
        assert!(matches!(numbers.each(&mut |_| ()), Err(ExportError::Stopped)));
    }
}
