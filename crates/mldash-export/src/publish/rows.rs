//! Rows as a file of Parquet, in bounded memory, into a temporary file: how large it is must be known before it is put.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    Array, ArrayRef, RecordBatch, StringArray, TimestampNanosecondArray, new_null_array,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use mldash_track::{
    Column, ColumnType, Slice, StoredColumn, SurveyedRows, TIMESTAMP_COLUMN, Timestamp, TrackError,
    arrow_field, parquet_properties,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::Transfer;
use super::error::PublishError;
use super::files::PublishedFiles;
use super::schema::{Holds, STAMP, TopicSchema};
use super::store::Store;

/// Rows of a group: what engines read at once, and what statistics let them leave out.
const GROUP_ROWS: usize = 122_880;
/// A group is closed before that once it takes so much memory.
const GROUP_BYTES: usize = 24 << 20;
/// In a file's metadata: whether rows lack files that could not be read.
const LACKS_FILES: &str = "mldash.lacks_files";
/// The end of a file that is read for its metadata first.
const FOOTER_BYTES: u64 = 64 << 10;
/// A part of a batch has so many values at most, nulls too.
const PART_CELLS: usize = 1 << 20;
/// The largest file that goes into a row. Those of a part of a batch are in memory together, and a column's part holds less than 2 GiB.
pub const MAX_INLINE_BYTES: u64 = 16 << 20;
/// Files in rows are read until a part of a batch has this much.
const INLINE_BATCH_BYTES: u64 = 8 << 20;

/// Where a written file lies.
pub(super) struct Written {
    pub(super) file: File,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// Whether rows lack URLs or contents of files that could not be read.
    pub(super) lacks_files: bool,
}

/// What a file of rows is made of.
pub(super) struct RowsFile<'a> {
    pub(super) name: &'a str,
    pub(super) hash: &'a str,
    pub(super) experiment: &'a str,
    pub(super) slice: &'a Slice,
    pub(super) survey: &'a SurveyedRows,
    pub(super) stored: &'a [StoredColumn],
    pub(super) schema: &'a TopicSchema,
}

/// A failure of either side.
enum Failure {
    Track(TrackError),
    Publish(PublishError),
}

impl From<TrackError> for Failure {
    fn from(error: TrackError) -> Self {
        Self::Track(error)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl RowsFile<'_> {
    /// Writes the rows into a temporary file in `scratch`, once the files that they name are on the store.
    pub(super) fn write(
        &self,
        scratch: &Path,
        files: &mut PublishedFiles,
        store: &Store,
        transfer: &Transfer,
    ) -> Result<Written, PublishError> {
        let wrong = || PublishError::parquet(self.name);
        let out = tempfile::tempfile_in(scratch)
            .map_err(PublishError::io("create a file in", scratch))?;
        let columns = Columns::new(self.schema, self.stored);
        let properties = self.properties();
        let writer =
            ArrowWriter::try_new(BufWriter::new(out), columns.schema.clone(), Some(properties));
        let mut writer = writer.map_err(wrong())?;
        let mut rows = 0;
        let missing = files.missing.count;
        let done = self.slice.for_each_batch(self.survey, self.stored, |batch| {
            store.check_stop()?;
            rows += batch.num_rows() as u64;
            for part in columns.parts(batch, files) {
                let wanted = columns.files_of(&part, files);
                files.put(store, &wanted, transfer)?;
                let part = columns
                    .assemble(&part, files, store)
                    .map_err(PublishError::parquet(self.name))?;
                writer.write(&part).map_err(PublishError::parquet(self.name))?;
                if writer.memory_size() >= GROUP_BYTES {
                    writer.flush().map_err(PublishError::parquet(self.name))?;
                }
            }
            Ok::<(), Failure>(())
        });
        done.map_err(|failure| match failure {
            Failure::Track(error) => PublishError::track(self.experiment)(error),
            Failure::Publish(error) => error,
        })?;
        let lacks_files = files.missing.count > missing;
        // Whoever goes on after a kill finds the file and nobody to ask.
        let note = KeyValue::new(LACKS_FILES.to_owned(), lacks_files.to_string());
        writer.append_key_value_metadata(note);
        let out = writer.into_inner().map_err(wrong())?;
        let failed = PublishError::io("write a file in", scratch);
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        let bytes = file.metadata().map_err(PublishError::io("read a file in", scratch))?.len();
        Ok(Written { file, bytes, rows, lacks_files })
    }

    fn properties(&self) -> WriterProperties {
        let all: Vec<(Column, ColumnType)> = (self.schema.columns.iter())
            .filter(|column| column.holds == Holds::Values)
            .map(|column| (Column::from(column.name.as_str()), column.ty.clone()))
            .collect();
        let note = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        let notes = vec![
            note("mldash.experiment", self.experiment),
            note("mldash.topic", &self.schema.topic),
            note("mldash.hash", self.hash),
        ];
        let by_time = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
        let mut properties = parquet_properties(&all)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_bloom_filter_enabled(false)
            .set_sorting_columns(Some(vec![by_time]))
            .set_key_value_metadata(Some(notes))
            // Times of a rate differ by nearly the same: a dictionary of them takes 8 bytes a row, their differences 0 to 4.
            .set_column_encoding(ColumnPath::from(STAMP), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(STAMP), false);
        for column in self.schema.columns.iter().filter(|column| column.holds == Holds::Data) {
            // They are compressed already, and there is nothing to compare.
            let path = ColumnPath::new(vec![column.name.clone()]);
            properties = properties
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        properties.build()
    }
}

/// Whether rows of a file on the store lack files, as it says itself; true if it does not say.
pub(super) fn lacks_files(store: &Store, name: &str, bytes: u64) -> Result<bool, PublishError> {
    let mut footer = FOOTER_BYTES.min(bytes);
    loop {
        let end = store.read_range(name, bytes - footer..bytes)?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&end, bytes) {
            Ok(()) => {
                let metadata = reader.finish().map_err(PublishError::parquet(name))?;
                let notes = metadata.file_metadata().key_value_metadata();
                let note =
                    notes.and_then(|notes| notes.iter().find(|note| note.key == LACKS_FILES));
                return Ok(note.and_then(|note| note.value.as_deref()) != Some("false"));
            }
            Err(ParquetError::NeedMoreData(more))
                if more as u64 > footer && more as u64 <= bytes =>
            {
                footer = more as u64;
            }
            Err(error) => return Err(PublishError::parquet(name)(error)),
        }
    }
}

/// The columns of a file.
struct Columns<'a> {
    topic: &'a TopicSchema,
    schema: Arc<Schema>,
    /// The texts of rows that may name files: the column of the rows, and what it is stored as.
    names: HashMap<&'a str, &'a str>,
}

impl<'a> Columns<'a> {
    fn new(topic: &'a TopicSchema, stored: &'a [StoredColumn]) -> Self {
        let stamp = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let mut fields = vec![
            Field::new(TIMESTAMP_COLUMN, DataType::Float64, true),
            Field::new(STAMP, stamp, true),
        ];
        fields.extend(topic.columns.iter().map(|column| match column.holds {
            Holds::Values => arrow_field(&column.name, &column.ty),
            Holds::Url => Field::new(&column.name, DataType::Utf8, true),
            Holds::Data => Field::new(&column.name, DataType::Binary, true),
        }));
        let texts = stored.iter().filter(|column| column.ty == ColumnType::Text);
        let names = texts.map(|column| (&*column.own, &*column.name)).collect();
        Self { topic, schema: Arc::new(Schema::new(fields)), names }
    }

    /// The values of a column of the rows, if they are texts.
    fn texts<'b>(&self, batch: &'b RecordBatch, own: &str) -> Option<&'b StringArray> {
        batch.column_by_name(self.names.get(own)?)?.as_string_opt::<i32>()
    }

    /// Columns of the rows that name files.
    fn naming(&self, holds: Holds) -> impl Iterator<Item = &str> {
        let naming = self.topic.columns.iter().filter(move |column| column.holds == holds);
        naming.map(|column| column.own.as_str())
    }

    /// The batch in parts that fit into memory, with their files and the columns that only other experiments have.
    fn parts(&self, batch: RecordBatch, files: &PublishedFiles) -> Vec<RecordBatch> {
        let texts: Vec<&StringArray> =
            self.naming(Holds::Data).filter_map(|own| self.texts(&batch, own)).collect();
        let most_rows = (PART_CELLS / self.topic.width().max(1)).max(1);
        if texts.is_empty() && batch.num_rows() <= most_rows {
            return vec![batch];
        }
        let mut parts = Vec::new();
        let (mut begin, mut bytes) = (0, 0_u64);
        for row in 0..batch.num_rows() {
            let named = texts.iter().filter(|text| text.is_valid(row));
            let named = named.filter_map(|text| files.find(text.value(row)));
            let inline = named.filter(|file| files.is_inline(file)).map(|file| file.size_bytes);
            bytes = inline.fold(bytes, u64::saturating_add);
            if bytes >= INLINE_BATCH_BYTES || row + 1 - begin >= most_rows {
                parts.push(batch.slice(begin, row + 1 - begin));
                (begin, bytes) = (row + 1, 0);
            }
        }
        if begin < batch.num_rows() {
            parts.push(batch.slice(begin, batch.num_rows() - begin));
        }
        parts
    }

    /// What rows say of files that are to be on the store.
    fn files_of(&self, batch: &RecordBatch, files: &PublishedFiles) -> HashSet<String> {
        let texts = self.naming(Holds::Url).filter_map(|own| self.texts(batch, own));
        let values = texts.flat_map(|texts| texts.iter().flatten());
        let wanted =
            values.filter(|value| files.find(value).is_some_and(|file| !files.is_inline(file)));
        wanted.map(str::to_owned).collect()
    }

    /// The batch with all columns of the topic.
    fn assemble(
        &self,
        batch: &RecordBatch,
        files: &mut PublishedFiles,
        store: &Store,
    ) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let rows = batch.num_rows();
        let times = batch.column(0);
        let stamps = times.as_primitive::<Float64Type>().iter();
        let stamps: TimestampNanosecondArray =
            stamps.map(|secs| Timestamp::new(secs?).ok()?.to_nanos()).collect();
        let mut columns: Vec<ArrayRef> = vec![times.clone(), Arc::new(stamps.with_timezone("UTC"))];
        let fields = self.schema.fields().iter().skip(columns.len());
        for (column, field) in self.topic.columns.iter().zip(fields) {
            let texts = || self.texts(batch, &column.own);
            columns.push(match column.holds {
                Holds::Values => match batch.column_by_name(&column.name) {
                    Some(values) => values.clone(),
                    None => new_null_array(field.data_type(), rows),
                },
                Holds::Url => match texts() {
                    Some(texts) => urls(texts, files, store),
                    None => new_null_array(field.data_type(), rows),
                },
                Holds::Data => match texts() {
                    Some(texts) => contents(texts, files),
                    None => new_null_array(field.data_type(), rows),
                },
            });
        }
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn urls(names: &StringArray, files: &PublishedFiles, store: &Store) -> ArrayRef {
    let mut urls = StringBuilder::new();
    for name in names {
        urls.append_option(name.and_then(|name| files.url_of(store, name)));
    }
    Arc::new(urls.finish())
}

fn contents(names: &StringArray, files: &mut PublishedFiles) -> ArrayRef {
    let mut contents = BinaryBuilder::new();
    for name in names {
        let inline = name.filter(|name| files.find(name).is_some_and(|file| files.is_inline(file)));
        let content = inline.and_then(|name| Some((name, files.read(name)?)));
        let fits = |content: &[u8]| content.len() as u64 <= MAX_INLINE_BYTES;
        contents.append_option(match content {
            Some((_, content)) if fits(&content) => Some(content),
            Some((name, _)) => {
                files.missing.add(name, "it is larger than the list of files says");
                None
            }
            None => None,
        });
    }
    Arc::new(contents.finish())
}
