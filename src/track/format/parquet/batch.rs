//! Rows, gathered into the columns of a record batch.

use std::io;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{ArrowError, Schema};

use super::builder::{Builder, Unfit};
use crate::track::error::TrackError;
use crate::track::format::survey::{Places, Survey};
use crate::track::row::Row;

/// A batch is full with this many rows…
const BATCH_ROWS: usize = 8 << 10;
/// …or this many bytes of them.
const BATCH_BYTES: usize = 4 << 20;
/// Parquet's offsets are 32 bits; a row's JSON text may be several times its size in memory.
const MAX_ROW_BYTES: usize = 256 << 20;

/// Columns that fill up row by row.
pub(super) struct Batch {
    schema: Arc<Schema>,
    places: Places,
    times: Vec<f64>,
    columns: Vec<Builder>,
    bytes: usize,
}

impl Batch {
    /// With the columns of `survey`, which `schema` describes.
    pub(super) fn new(schema: Arc<Schema>, survey: &Survey) -> Self {
        Self {
            schema,
            places: survey.columns().map(|(name, _)| name.clone()).collect(),
            times: Vec::new(),
            columns: survey.columns().map(|(_, ty)| Builder::new(&ty)).collect(),
            bytes: 0,
        }
    }

    /// Adds a row that the survey has seen.
    pub(super) fn push(&mut self, row: &Row) -> Result<(), TrackError> {
        let bytes = row.size_bytes();
        if bytes > MAX_ROW_BYTES {
            return Err(refused(format!(
                "the row at {} s has {bytes} bytes, more than the {MAX_ROW_BYTES} that a Parquet \
                 row may have here; leave its large columns out",
                row.ts
            )));
        }
        for (hint, (name, value)) in row.fields.iter().enumerate() {
            let place = self.places.find(name, hint);
            let column = place.and_then(|place| self.columns.get_mut(place)).ok_or_else(changed)?;
            column.push(value).map_err(|Unfit| changed())?;
        }
        self.times.push(row.ts.as_secs());
        self.bytes += bytes;
        for column in self.columns.iter_mut().filter(|column| column.len() < self.times.len()) {
            column.push_null();
        }
        Ok(())
    }

    /// Whether it is time to [`take`](Self::take).
    pub(super) fn is_full(&self) -> bool {
        self.times.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// What has been gathered.
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

/// The second pass met what the first did not.
fn changed() -> TrackError {
    refused("the track's file was edited while it was exported; try again".to_owned())
}

fn refused(reason: String) -> TrackError {
    TrackError::Export(io::Error::new(io::ErrorKind::InvalidData, reason))
}
