//! One file of Parquet out of many of the same topic, in bounded memory: rows are read and written group by group.
//!
//! Rows lie by experiment, then by time. Most queries ask for an experiment, or for a time of some; so an experiment's rows are next to each
//! other, its columns stay as compressible as they were, `experiment` and `chunk` cost next to nothing, and experiments that
//! follow each other in time still give groups of rows with narrow times. By time alone, the rows of robots that run at once would alternate, and a
//! query of one robot would read all groups.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, new_null_array,
};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::super::error::PublishError;
use super::error::{CompactError, TypesDiffer};
use super::plan::{Merge, Piece, is_merged};

/// The column that says whose rows these are: the experiment's name without its owner and its project, as Hive partitions have it.
pub const EXPERIMENT: &str = "experiment";
/// The column that says which file of the track held the row: its name without folders and ending.
pub const CHUNK: &str = "chunk";

/// A group has no more rows than those of tracks' own files…
const MAX_GROUP_ROWS: usize = 122_880;
/// …is written out when it takes so much memory…
const GROUP_BYTES: usize = 32 << 20;
/// …and at the end of an experiment that has so many, so that a query of an experiment reads no others.
const GROUP_ROWS: usize = 32 << 10;
/// Decoded at once.
const BATCH_BYTES: i64 = 8 << 20;
const BATCH_ROWS: i64 = 8192;
/// Values of a batch, nulls too: a file may lack most of the columns.
const BATCH_CELLS: usize = 1 << 20;

/// Files of a merge, by the place that they have on the store.
pub(super) type Sources = BTreeMap<String, PathBuf>;

/// Where the rows of chunks lie in a merged file: from, and how many.
type Runs = BTreeMap<(String, String), (usize, usize)>;

/// A file that is read from, once or many times.
struct Source {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// Of a merged file.
    runs: Option<Runs>,
}

/// Writes the rows of `merge` into `target`. `within_project` makes of an experiment what its column says.
pub(super) fn merge(
    merge: &Merge,
    sources: &Sources,
    target: &Path,
    within_project: impl Fn(&str) -> String,
) -> Result<(), CompactError> {
    let wrong = |error: ParquetError| PublishError::parquet(&merge.target)(error);
    let schema = union(merge, sources)?;
    let leaves = schema.flattened_fields().len().max(1);
    let most_rows = (BATCH_CELLS / leaves).max(1);
    let file = File::create_new(target).map_err(PublishError::io("create", target))?;
    let properties = properties(&schema).map_err(wrong)?;
    let writer = ArrowWriter::try_new(BufWriter::new(file), schema.clone(), Some(properties));
    let mut writer = writer.map_err(wrong)?;
    // Opened again and again, a merged file of before would be parsed as often as it has chunks.
    let mut merged: BTreeMap<&str, Source> = BTreeMap::new();
    let mut last = None;
    for piece in &merge.pieces {
        if last.is_some_and(|last| last != &piece.experiment)
            && writer.in_progress_rows() >= GROUP_ROWS
        {
            writer.flush().map_err(wrong)?;
        }
        last = Some(&piece.experiment);
        let keys = (within_project(&piece.experiment), stem(&piece.chunk).to_owned());
        let rows = if is_merged(&piece.place) {
            let source = match merged.entry(&piece.place) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(free) => free.insert(Source::open(&piece.place, sources)?),
            };
            source.read(&piece.place, Some(&keys), most_rows)?
        } else {
            Source::open(&piece.place, sources)?.read(&piece.place, None, most_rows)?
        };
        let mut written = 0;
        for batch in rows {
            let batch = batch.map_err(PublishError::parquet(&piece.place))?;
            written += batch.num_rows();
            let batch = fitted(&batch, &schema, &keys).map_err(wrong)?;
            writer.write(&batch).map_err(wrong)?;
            if writer.in_progress_size() > GROUP_BYTES {
                writer.flush().map_err(wrong)?;
            }
        }
        check_rows(piece, written)?;
    }
    let file = writer.into_inner().map_err(wrong)?;
    let file = file.into_inner().map_err(|e| PublishError::io("write", target)(e.into_error()))?;
    file.sync_all().map_err(PublishError::io("write", target))?;
    Ok(())
}

/// A row too few or too many must never replace what is there.
fn check_rows(piece: &Piece, found: usize) -> Result<(), CompactError> {
    if u64::try_from(found) == Ok(piece.rows) {
        return Ok(());
    }
    let (name, chunk, expected) = (piece.place.clone(), piece.chunk.clone(), piece.rows);
    Err(CompactError::Rows { name, chunk, expected, found })
}

/// What a chunk is called in the column [`CHUNK`].
pub(super) fn stem(chunk: &str) -> &str {
    let file = chunk.rsplit('/').next().unwrap_or(chunk);
    file.strip_suffix(".parquet").unwrap_or(file)
}

impl Source {
    fn open(place: &str, sources: &Sources) -> Result<Self, CompactError> {
        let path = sources.get(place).ok_or_else(|| CompactError::Gone(place.to_owned()))?;
        let file = open(path)?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        let metadata = metadata.map_err(PublishError::parquet(place))?;
        let mut source = Self { path: path.clone(), metadata, runs: None };
        if is_merged(place) {
            source.runs = Some(source.find_runs().map_err(PublishError::parquet(place))?);
        }
        Ok(source)
    }

    fn builder(&self) -> Result<ParquetRecordBatchReaderBuilder<File>, ParquetError> {
        let file = File::open(&self.path).map_err(|error| ParquetError::External(error.into()))?;
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone()))
    }

    /// All rows, or those of a chunk, so many at a time at most.
    fn read(
        &self,
        place: &str,
        keys: Option<&(String, String)>,
        most_rows: usize,
    ) -> Result<ParquetRecordBatchReader, CompactError> {
        let builder = self.builder().map_err(PublishError::parquet(place))?;
        let mut builder = builder.with_batch_size(self.batch_rows().min(most_rows));
        if let Some(keys) = keys {
            let run = self.runs.as_ref().and_then(|runs| runs.get(keys));
            let (from, rows) = run.copied().unwrap_or_default();
            let selection = vec![RowSelector::skip(from), RowSelector::select(rows)];
            builder = builder.with_row_selection(RowSelection::from(selection));
        }
        Ok(builder.build().map_err(PublishError::parquet(place))?)
    }

    /// The columns of a file.
    fn open_schema(place: &str, sources: &Sources) -> Result<SchemaRef, CompactError> {
        let path = sources.get(place).ok_or_else(|| CompactError::Gone(place.to_owned()))?;
        let metadata = ArrowReaderMetadata::load(&open(path)?, ArrowReaderOptions::new());
        Ok(metadata.map_err(PublishError::parquet(place))?.schema().clone())
    }

    /// So few that wide rows, such as pictures, fit memory.
    fn batch_rows(&self) -> usize {
        let groups = self.metadata.metadata().row_groups().iter();
        let widest = groups.map(|group| group.total_byte_size() / group.num_rows().max(1)).max();
        let rows = (BATCH_BYTES / widest.unwrap_or(1).max(1)).clamp(1, BATCH_ROWS);
        usize::try_from(rows).unwrap_or(1)
    }

    /// A chunk's rows lie next to each other.
    fn find_runs(&self) -> Result<Runs, ParquetError> {
        let builder = self.builder()?;
        let roots = [EXPERIMENT, CHUNK].map(|name| builder.schema().index_of(name));
        let roots = roots.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let mut runs = Runs::new();
        let mut at = 0;
        for batch in builder.with_projection(mask).build()? {
            let batch = batch?;
            let column = |name| batch.column_by_name(name).and_then(Texts::of);
            let (Some(experiments), Some(chunks)) = (column(EXPERIMENT), column(CHUNK)) else {
                return Err(ParquetError::General("its columns of keys are no texts".to_owned()));
            };
            for row in 0..batch.num_rows() {
                let keys = (experiments.get(row).to_owned(), chunks.get(row).to_owned());
                let (_, rows) = runs.entry(keys).or_insert((at + row, 0));
                *rows += 1;
            }
            at += batch.num_rows();
        }
        Ok(runs)
    }
}

/// A dictionary column of texts.
struct Texts<'a> {
    keys: &'a Int32Array,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    fn of(column: &'a ArrayRef) -> Option<Self> {
        let texts = column.as_dictionary_opt::<Int32Type>()?;
        Some(Self { keys: texts.keys(), values: texts.values().as_string_opt::<i32>()? })
    }

    fn get(&self, row: usize) -> &'a str {
        self.values.value(usize::try_from(self.keys.value(row)).unwrap_or_default())
    }
}

fn open(path: &Path) -> Result<File, PublishError> {
    File::open(path).map_err(PublishError::io("open", path))
}

/// The columns of all sources, in the order in which they come first; the two of our own are last.
fn union(merge: &Merge, sources: &Sources) -> Result<SchemaRef, CompactError> {
    let mut fields: Vec<(FieldRef, &str)> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for piece in &merge.pieces {
        if !seen.insert(&piece.place) {
            continue;
        }
        let schema = Source::open_schema(&piece.place, sources)?;
        for field in schema.fields() {
            if [EXPERIMENT, CHUNK].contains(&field.name().as_str()) {
                continue;
            }
            let Some(&index) = at.get(field.name()) else {
                at.insert(field.name().clone(), fields.len());
                // A file without the column has nulls.
                fields.push((Arc::new(field.as_ref().clone().with_nullable(true)), &piece.place));
                continue;
            };
            let (known, other) = &fields[index];
            if known.data_type() != field.data_type() {
                return Err(CompactError::Types(Box::new(TypesDiffer {
                    topic: merge.topic.clone(),
                    column: field.name().clone(),
                    name: piece.place.clone(),
                    is: field.data_type().to_string(),
                    other: (*other).to_owned(),
                    was: known.data_type().to_string(),
                })));
            }
        }
    }
    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let own = [EXPERIMENT, CHUNK].map(|name| Arc::new(Field::new(name, text.clone(), false)));
    let fields: Vec<FieldRef> = fields.into_iter().map(|(field, _)| field).chain(own).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// The batch with all columns of `schema`.
fn fitted(
    batch: &RecordBatch,
    schema: &SchemaRef,
    keys: &(String, String),
) -> Result<RecordBatch, ParquetError> {
    let rows = batch.num_rows();
    let column = |field: &FieldRef| match field.name().as_str() {
        EXPERIMENT => repeated(&keys.0, rows),
        CHUNK => repeated(&keys.1, rows),
        name => match batch.column_by_name(name) {
            Some(column) => column.clone(),
            None => new_null_array(field.data_type(), rows),
        },
    };
    let columns = schema.fields().iter().map(column).collect();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn repeated(text: &str, rows: usize) -> ArrayRef {
    let keys = Int32Array::from(vec![0; rows]);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text]))))
}

/// As tracks are written.
fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(MAX_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page);
    let mut floats = Vec::new();
    for field in schema.fields() {
        if field.data_type() == &DataType::Binary {
            // Pictures are compressed already, and there is nothing to compare.
            let path = ColumnPath::new(vec![field.name().clone()]);
            properties = properties
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        if matches!(field.data_type(), DataType::Timestamp(..)) {
            let path = ColumnPath::new(vec![field.name().clone()]);
            properties = properties
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                .set_column_dictionary_enabled(path, false);
        }
        push_float_paths(field, Vec::new(), &mut floats);
    }
    for path in floats {
        let path = ColumnPath::new(path);
        properties = properties
            .set_column_encoding(path.clone(), Encoding::BYTE_STREAM_SPLIT)
            .set_column_dictionary_enabled(path, false);
    }
    Ok(properties.build())
}

fn push_float_paths(field: &Field, mut path: Vec<String>, floats: &mut Vec<Vec<String>>) {
    path.push(field.name().clone());
    match field.data_type() {
        DataType::Float32 | DataType::Float64 => floats.push(path),
        DataType::List(items) => {
            path.push("list".to_owned());
            push_float_paths(items, path, floats);
        }
        DataType::Struct(fields) => {
            for field in fields {
                push_float_paths(field, path.clone(), floats);
            }
        }
        _ => {}
    }
}
