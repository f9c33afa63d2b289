//! Collects rows into the columns of a record batch.

use std::io;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{ArrowError, Schema};

use super::builder::{Builder, Cells, Unfit};
use crate::error::TrackError;
use crate::format::{Place, RowSink, Table, float};
use crate::json::RowShape;

/// A batch is full with this many rows…
const BATCH_ROWS: usize = 8 << 10;
/// …or this many bytes…
const BATCH_BYTES: usize = 4 << 20;
/// …or this many cells, empty or not. Rows of few of many columns have little text.
const BATCH_CELLS: usize = 1 << 20;
/// Arrow's offsets have 31 bits. A batch may hold almost this much plus one row, whose numbers can take
/// several times their bytes when they are written as JSON text.
const MAX_ROW_BYTES: usize = 1 << 28;
/// The dicts in a row's lists may take this many cells, or one for each byte of its text.
const MAX_ROW_CELLS: usize = 2 << 20;

/// Columns that fill up row by row.
pub(in crate::format) struct RecordBatchBuilder<'t> {
    schema: Arc<Schema>,
    table: &'t Table,
    /// One for each section.
    shapes: Vec<RowShape<Place>>,
    times: Vec<f64>,
    columns: Vec<Builder>,
    /// Whole rows so far.
    rows: usize,
    bytes: usize,
    /// Of dicts in lists.
    cells: Cells,
}

impl<'t> RecordBatchBuilder<'t> {
    /// Creates a batch with the columns of `table`, which `schema` describes.
    pub(in crate::format) fn new(schema: Arc<Schema>, table: &'t Table) -> Self {
        Self {
            schema,
            table,
            shapes: table.sections.iter().map(|_| RowShape::default()).collect(),
            times: Vec::new(),
            columns: table.columns.iter().map(|(_, ty)| Builder::new(ty)).collect(),
            rows: 0,
            bytes: 0,
            cells: Cells::default(),
        }
    }

    fn push_columns(&mut self, section: usize, text: &[u8]) -> Result<(), Unfit> {
        let Self { table, shapes, times, columns, rows, cells, .. } = self;
        let rows = *rows;
        let shape = shapes.get_mut(section).ok_or(Unfit)?;
        let places = table.sections.get(section).ok_or(Unfit)?;
        shape.walk(
            text,
            |name| places.place(name).ok_or(Unfit),
            |place, scanner| match place {
                Place::Column(place) => {
                    let column = columns.get_mut(place).filter(|column| column.len() == rows);
                    column.ok_or(Unfit)?.push(scanner, cells)
                }
                Place::Time => {
                    times.push(float(scanner.number()?).ok_or(Unfit)?);
                    Ok(())
                }
                Place::Nowhere => Ok(scanner.by_jiter(|jiter| jiter.next_skip())?),
            },
        )
    }

    /// Returns true when it is time to [`take`](Self::take).
    pub(in crate::format) fn is_full(&self) -> bool {
        let cells = self.rows * self.columns.len() + self.cells.taken;
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES || cells >= BATCH_CELLS
    }

    /// Returns the collected rows.
    pub(in crate::format) fn take(&mut self) -> Result<RecordBatch, TrackError> {
        (self.rows, self.bytes, self.cells) = (0, 0, Cells::default());
        let times: ArrayRef = Arc::new(Float64Array::from(std::mem::take(&mut self.times)));
        let columns = self.columns.iter_mut().map(Builder::finish);
        [Ok(times)]
            .into_iter()
            .chain(columns)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns))
            .map_err(|error: ArrowError| TrackError::Export(io::Error::other(error)))
    }
}

impl RowSink for RecordBatchBuilder<'_> {
    fn time(&mut self, secs: f64) {
        self.times.push(secs);
        self.bytes += size_of::<f64>();
    }

    fn text(&mut self, section: usize, text: &[u8]) -> Result<(), TrackError> {
        if text.len() > MAX_ROW_BYTES {
            return Err(refused(format!(
                "a row of {} bytes is more than the {MAX_ROW_BYTES} that Parquet takes here; \
                 leave its large columns out",
                text.len()
            )));
        }
        self.bytes += text.len();
        self.cells.max = self.cells.taken + MAX_ROW_CELLS.max(text.len());
        self.push_columns(section, text).map_err(|Unfit| match self.cells.taken > self.cells.max {
            true => refused(format!(
                "the dicts in a row's lists have {MAX_ROW_CELLS} fields and more, most of them empty, \
                 which Parquet does not take here; leave their column out"
            )),
            false => edited(),
        })
    }

    fn float(&mut self, column: usize, value: f64) {
        if let Some(Builder::Float(column)) = self.columns.get_mut(column) {
            column.append_value(value);
        }
    }

    fn end(&mut self) -> Result<(), TrackError> {
        self.rows += 1;
        if self.times.len() != self.rows {
            return Err(edited());
        }
        for column in self.columns.iter_mut().filter(|column| column.len() < self.rows) {
            column.push_null();
        }
        Ok(())
    }
}

/// The second pass found what the first did not.
fn edited() -> TrackError {
    refused("the track's file was edited while it was exported; try again".to_owned())
}

fn refused(reason: String) -> TrackError {
    TrackError::Export(io::Error::new(io::ErrorKind::InvalidData, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ColumnType;
    use crate::{Experiment, Options, fields};

    #[test]
    fn empty_dicts_do_not_take_memory_without_a_bound() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path())).unwrap();
        let dict = (0..256).map(|i| (format!("k{i}").into(), ColumnType::Int)).collect();
        let schema =
            crate::RowSchema::new("/t").column("a", ColumnType::list(ColumnType::Dict(dict)));
        let track = exp.tracks("t").with_schema(schema);
        track.append(fields! { "x": 1 }, 1.0).unwrap();
        exp.flush().unwrap();
        let table = Table::of(&track.select(&crate::Query::all()).unwrap()).unwrap();
        let schema = Arc::new(super::super::schema(&table.columns));
        let mut batch = RecordBatchBuilder::new(schema, &table);
        let row =
            |dicts: usize| format!(r#"{{"timestamp":1.0,"a":[{}]}}"#, vec!["{}"; dicts].join(","));
        let most = MAX_ROW_CELLS / 256;
        batch.text(0, row(most).as_bytes()).unwrap();
        batch.end().unwrap();
        assert!(batch.is_full());
        assert_eq!(batch.take().unwrap().num_rows(), 1);
        let error = batch.text(0, row(most + 1).as_bytes()).unwrap_err();
        assert!(format!("{error:?}").contains("leave their column out"), "{error:?}");
    }
}
