//! Collects rows into the columns of a record batch.

use std::io;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{ArrowError, Schema};

use super::builder::{Builder, Unfit};
use crate::error::TrackError;
use crate::format::float;
use crate::format::survey::Places;
use crate::json::RowShape;
use crate::row::{Column, ColumnType, TIMESTAMP_COLUMN};

/// A batch is full with this many rows…
const BATCH_ROWS: usize = 8 << 10;
/// …or this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// Arrow's offsets have 31 bits. A batch may hold almost this much plus one row.
const MAX_ROW_BYTES: usize = 1 << 30;

/// Columns that fill up row by row.
pub(super) struct RecordBatchBuilder {
    schema: Arc<Schema>,
    places: Places,
    /// The time has no place.
    shape: RowShape<Option<usize>>,
    times: Vec<f64>,
    columns: Vec<Builder>,
    bytes: usize,
}

impl RecordBatchBuilder {
    /// Creates a batch with `columns`, which `schema` describes.
    pub(super) fn new(schema: Arc<Schema>, columns: &[(Column, ColumnType)]) -> Self {
        Self {
            schema,
            places: columns.iter().map(|(name, _)| name.clone()).collect(),
            shape: RowShape::default(),
            times: Vec::new(),
            columns: columns.iter().map(|(_, ty)| Builder::new(ty)).collect(),
            bytes: 0,
        }
    }

    /// Adds the text of a row that the survey saw.
    pub(super) fn push(&mut self, row: &[u8]) -> Result<(), TrackError> {
        if row.len() > MAX_ROW_BYTES {
            return Err(refused(format!(
                "a row of {} bytes is more than the {MAX_ROW_BYTES} that Parquet takes here; \
                 leave its large columns out",
                row.len()
            )));
        }
        self.push_columns(row).map_err(|Unfit| {
            // The second pass found what the first did not.
            refused("the track's file was edited while it was exported; try again".to_owned())
        })?;
        self.bytes += row.len();
        let rows = self.times.len();
        for column in self.columns.iter_mut().filter(|column| column.len() < rows) {
            column.push_null();
        }
        Ok(())
    }

    fn push_columns(&mut self, row: &[u8]) -> Result<(), Unfit> {
        let Self { places, shape, times, columns, .. } = self;
        let rows = times.len();
        let mut hint = 0;
        let name = |name: &str| {
            if name == TIMESTAMP_COLUMN {
                return Ok(None);
            }
            let place = places.find(name, hint).ok_or(Unfit)?;
            hint = place + 1;
            Ok(Some(place))
        };
        shape.walk(row, name, |place, scanner| {
            let Some(place) = place else {
                times.push(float(scanner.number()?).ok_or(Unfit)?);
                return Ok(());
            };
            let column = columns.get_mut(place).filter(|column| column.len() == rows);
            column.ok_or(Unfit)?.push(scanner)
        })?;
        if self.times.len() == rows + 1 { Ok(()) } else { Err(Unfit) }
    }

    /// Returns true when it is time to [`take`](Self::take).
    pub(super) fn is_full(&self) -> bool {
        self.times.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Returns the collected rows.
    pub(super) fn take(&mut self) -> Result<RecordBatch, TrackError> {
        self.bytes = 0;
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

fn refused(reason: String) -> TrackError {
    TrackError::Export(io::Error::new(io::ErrorKind::InvalidData, reason))
}
