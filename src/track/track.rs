//! One topic of an experiment: append, flush, read.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use super::buffer::Appended;
use super::error::TrackError;
use super::experiment::{Shared, TrackState};
use super::format::{self, Export, RowSource};
use super::name::{NameError, TrackName};
use super::query::Query;
use super::row::{Fields, Row, TIMESTAMP_COLUMN, Timestamp};
use super::rows::{Rows, Selection};

/// A stream of rows. Cheap to clone and to ask for again; safe to use from many threads.
#[derive(Clone, Debug)]
pub struct Track {
    shared: Arc<Shared>,
    name: Result<TrackName, NameError>,
    /// Found at the first append.
    state: OnceLock<Arc<TrackState>>,
}

impl Track {
    pub(super) fn new(shared: Arc<Shared>, topic: &str) -> Self {
        Self { shared, name: topic.parse(), state: OnceLock::new() }
    }

    /// Adds `fields` to the row at `ts`, seconds. Fields that the row has already are overwritten.
    ///
    /// Returns once the row is in the buffer; a flush brings it into the store.
    ///
    /// # Errors
    /// A `ts` that is not finite, a field called `timestamp`, a topic that can't be one or shares
    /// its folder with another, a full buffer.
    pub fn append(&self, fields: impl Into<Fields>, ts: f64) -> Result<Appended, TrackError> {
        let ts = Timestamp::new(ts)
            .map_err(|source| TrackError::Timestamp { topic: self.topic(), source })?;
        self.append_row(Row::new(ts, fields.into()))
    }

    /// As [`append`](Self::append), for a row that has its time already.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_row(&self, row: Row) -> Result<Appended, TrackError> {
        if row.fields.iter().any(|(name, _)| &**name == TIMESTAMP_COLUMN) {
            return Err(TrackError::ReservedColumn { topic: self.topic() });
        }
        self.shared.append(self.state()?, row)
    }

    /// Returns once the rows appended to this track are in the store.
    ///
    /// # Errors
    /// A store that can't be written; the rows stay in memory and are tried again.
    pub fn flush(&self) -> Result<(), TrackError> {
        match self.shared.open_track(self.name()?) {
            Some(state) => self.shared.flush(&state),
            None => Ok(()),
        }
    }

    /// The rows that `query` asks for, sorted by time, each time once.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn read(&self, query: &Query) -> Result<Vec<Row>, TrackError> {
        self.rows(query)?.collect()
    }

    /// As [`read`](Self::read), one row after another, without holding them all.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn rows(&self, query: &Query) -> Result<Rows, TrackError> {
        Ok(self.select(query)?.rows())
    }

    /// The rows that `query` asks for, as a file.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn export(&self, query: &Query, export: impl Into<Export>) -> Result<Vec<u8>, TrackError> {
        let mut out = Vec::new();
        self.export_to(query, export, &mut out)?;
        Ok(out)
    }

    /// As [`export`](Self::export), written to `out` as it is made.
    ///
    /// # Errors
    /// A store that can't be read, an `out` that can't be written.
    pub fn export_to(
        &self,
        query: &Query,
        export: impl Into<Export>,
        out: &mut dyn Write,
    ) -> Result<(), TrackError> {
        format::write(export.into(), &self.select(query)?, out)
    }

    /// The topic as it was given.
    pub fn topic(&self) -> String {
        match &self.name {
            Ok(name) => name.to_string(),
            Err(error) => error.name().to_owned(),
        }
    }

    fn name(&self) -> Result<&TrackName, TrackError> {
        self.name.as_ref().map_err(|error| error.clone().into())
    }

    fn state(&self) -> Result<&Arc<TrackState>, TrackError> {
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let state = self.shared.track(self.name()?)?;
        Ok(self.state.get_or_init(|| state))
    }

    /// What this handle's experiment appended is flushed first: a reader sees its own writes.
    pub(super) fn select(&self, query: &Query) -> Result<Selection, TrackError> {
        self.flush()?;
        let folder = self.shared.dir.track_folder(self.name()?);
        Selection::open(self.topic(), &folder, query.clone())
    }
}
