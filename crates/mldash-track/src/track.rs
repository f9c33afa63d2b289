//! One topic of an experiment: append, flush, read.

use std::io::{BufRead, Write};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::buffer::Appended;
use super::error::TrackError;
use super::format::{self, Export, RowSource};
use super::json::{Columns, MAX_DEPTH, RowParser};
use super::lines::{self, AppendedLines, BadLine};
use super::local::{TrackNotes, load_schema_if_readable};
use super::name::{NameError, TrackName};
use super::query::Query;
use super::row::{
    Fields, RepeatedNames, Row, RowSchema, TIMESTAMP_COLUMN, TIMESTAMP_KEY, Timestamp,
};
use super::rows::{Rows, SelectedRows};
use super::state::{ExperimentState, TrackState};

/// How much of a column's name a message shows.
const MAX_SHOWN_NAME: usize = 80;

/// A stream of rows. It is cheap to clone or to look up again, and safe to use from many threads.
#[derive(Clone, Debug)]
pub struct Track {
    shared: Arc<ExperimentState>,
    name: Result<TrackName, NameError>,
    schema: Option<Arc<RowSchema>>,
    /// Set at the first append.
    state: OnceLock<Arc<TrackState>>,
}

impl Track {
    pub(super) fn new(shared: Arc<ExperimentState>, topic: &str) -> Self {
        Self { shared, name: topic.parse(), schema: None, state: OnceLock::new() }
    }

    /// Returns a handle whose rows have the columns of `schema`. The first row stores the schema
    /// beside the track. From then on Parquet files use the declared types, also for columns that
    /// never had a value or only empty lists. Rows may hold other columns and values too. If a
    /// column's values do not fit its declared type, the column gets the type of its values.
    ///
    /// ```
    /// # use mldash_track::*;
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// let schema = RowSchema::new("/joint_states")
    ///     .column("velocity", ColumnType::list(ColumnType::Float));
    /// let arm = exp.tracks("arm").with_schema(schema);
    /// arm.append(fields! { "velocity": Vec::<f64>::new() }, 1.0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_schema(self, schema: impl Into<Arc<RowSchema>>) -> Self {
        Self { schema: Some(schema.into()), state: OnceLock::new(), ..self }
    }

    /// Declares columns of coming rows, as [`with_schema`](Self::with_schema) does for those of one handle: all of `schemas` or
    /// none. They are stored before the next row, or by [`annotate`](Self::annotate).
    ///
    /// # Errors
    /// Fails if the track would have too many, the topic is invalid or shares its folder with another, or the store can't be
    /// written.
    pub fn declare(&self, schemas: &[RowSchema]) -> Result<(), TrackError> {
        self.shared.declare_all(self.state()?, schemas)
    }

    /// Adds `fields` to the row at `ts`, in seconds. Fields that the row already has are
    /// overwritten.
    ///
    /// Returns once the row is in the buffer. A flush writes it to the store.
    ///
    /// # Errors
    /// Fails if `ts` is not finite, a field is called `timestamp` or `_ts`, the topic is invalid or
    /// shares its folder with another, the track would have more than
    /// [`MAX_COLUMNS`](super::MAX_COLUMNS) columns, or the buffer is full.
    pub fn append(&self, fields: impl Into<Fields>, ts: f64) -> Result<Appended, TrackError> {
        let ts = Timestamp::new(ts)
            .map_err(|reason| TrackError::Timestamp { topic: self.topic(), reason })?;
        self.append_row(Row::new(ts, fields.into()))
    }

    /// Like [`append`](Self::append), for a row that already has its time.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_row(&self, row: Row) -> Result<Appended, TrackError> {
        self.check(&row)?;
        self.shared.append(self.state()?, row)
    }

    /// Appends `rows` if all of them are valid. If one is not, none is appended. No flush comes
    /// between them.
    ///
    /// # Errors
    /// As [`append`](Self::append); then none is appended. Without a buffer, rows that the store does
    /// not take stay appended, and are tried again at the next flush.
    pub fn append_rows(&self, rows: Vec<Row>) -> Result<(), TrackError> {
        rows.iter().try_for_each(|row| self.check(row))?;
        let state = self.state()?;
        self.shared.admit(state, &rows)?;
        self.shared.append_all(state, rows)
    }

    /// Checks that the row's fields can be stored.
    fn check(&self, row: &Row) -> Result<(), TrackError> {
        for (name, value) in row.fields.iter() {
            let reserved = [TIMESTAMP_COLUMN, TIMESTAMP_KEY].into_iter().find(|r| **name == **r);
            if let Some(column) = reserved {
                return Err(TrackError::ReservedColumn { topic: self.topic(), column });
            }
            if value.is_filled_dict() {
                // A long name is as bad in a message.
                let column = name.chars().take(MAX_SHOWN_NAME).collect();
                let (topic, reason) = (self.topic(), RepeatedNames);
                return Err(TrackError::RepeatedNames { topic, column, reason });
            }
            if value.nests_deeper_than(MAX_DEPTH) {
                return Err(TrackError::TooDeep { topic: self.topic(), column: name.to_string() });
            }
        }
        Ok(())
    }

    /// Like [`append`](Self::append), for the fields of a struct or a map that `serde` can
    /// serialize.
    ///
    /// # Errors
    /// As [`append`](Self::append). Also fails on what [`Fields::from_serialize`] refuses.
    pub fn append_serialize<T: Serialize + ?Sized>(
        &self,
        fields: &T,
        ts: f64,
    ) -> Result<Appended, TrackError> {
        let fields = Fields::from_serialize(fields)
            .map_err(|reason| TrackError::Fields { topic: self.topic(), reason })?;
        self.append(fields, ts)
    }

    /// Like [`append`](Self::append), for a row given as one JSON object with its time under `_ts`.
    ///
    /// ```
    /// # use mldash_track::{Experiment, Options};
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// let pose = exp.tracks("robot/pose");
    /// pose.append_json(r#"{"_ts": 0.033, "q": [0.1, -0.22], "grip": {"closed": true}}"#)?;
    /// let error = pose.append_json(r#"{"_ts": "0.066", "q": [0.1, -0.22]}"#).unwrap_err();
    /// assert!(error.to_string().contains("robot/pose"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`append`](Self::append). Also fails if the text is not a JSON object, or `_ts` is
    /// missing or not a number. A string that looks like a number does not count as one.
    pub fn append_json(&self, text: impl AsRef<[u8]>) -> Result<Appended, TrackError> {
        self.append_parsed(&mut RowParser::new(TIMESTAMP_KEY), text.as_ref())
    }

    /// Appends one row per line, each as in [`append_json`](Self::append_json). A bad line is
    /// skipped and passed to `on_bad`. Blank lines are ignored.
    ///
    /// ```
    /// # use mldash_track::{Experiment, Options};
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// let text = "{\"_ts\": 1, \"q\": 0.5}\n{\"q\": 0.7}\n{\"_ts\": 2, \"q\": 0.9}\n";
    /// let mut bad = Vec::new();
    /// let lines = exp.tracks("arm").append_json_lines(text.as_bytes(), |line| bad.push(line.number))?;
    /// assert_eq!((lines.appended, bad), (2, vec![2]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails on errors that do not belong to one line: `lines` can't be read, the topic is invalid,
    /// the buffer is full or the store can't be written. The lines before the error are appended.
    pub fn append_json_lines(
        &self,
        lines: impl BufRead,
        on_bad: impl FnMut(BadLine),
    ) -> Result<AppendedLines, TrackError> {
        lines::append(self, lines, on_bad)
    }

    /// Parses `text` into a row, with a parser that knows the columns of earlier rows.
    pub(super) fn append_parsed(
        &self,
        parser: &mut RowParser,
        text: &[u8],
    ) -> Result<Appended, TrackError> {
        let row = parser
            .row(text, &Columns::All)
            .map_err(|reason| TrackError::Json { topic: self.topic(), reason })?;
        self.append_row(row)
    }

    /// Stores `notes` for the track and creates the track if it does not exist. Fields that are
    /// `None` keep their stored value.
    ///
    /// # Errors
    /// Fails if the topic is invalid or shares its folder with another, or the store can't be
    /// written.
    pub fn annotate(&self, notes: TrackNotes) -> Result<(), TrackError> {
        self.shared.annotate(self.state()?, notes)
    }

    /// Returns once the rows appended to this track are in the store, and also on the server if the
    /// experiment has a [`remote`](super::Options::remote).
    ///
    /// # Errors
    /// Fails if the store can't be written; the rows stay in memory and are retried. Also fails if
    /// the server does not have everything within
    /// [`remote_timeout`](super::Options::remote_timeout), or refuses some of it.
    pub fn flush(&self) -> Result<(), TrackError> {
        self.flush_to_store()?;
        self.shared.wait_for_server()
    }

    fn flush_to_store(&self) -> Result<(), TrackError> {
        match self.shared.open_track(self.name()?) {
            Some(state) => self.shared.flush(&state),
            None => Ok(()),
        }
    }

    /// Returns the rows that `query` selects, sorted by time. Each time occurs once.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn read(&self, query: &Query) -> Result<Vec<Row>, TrackError> {
        self.rows(query)?.collect()
    }

    /// Like [`read`](Self::read), but returns one row after another without holding them all.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn rows(&self, query: &Query) -> Result<Rows, TrackError> {
        Ok(self.select(query)?.rows())
    }

    /// Returns the rows that `query` selects, as a file.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn export(&self, query: &Query, export: impl Into<Export>) -> Result<Vec<u8>, TrackError> {
        let mut out = Vec::new();
        self.export_to(query, export, &mut out)?;
        Ok(out)
    }

    /// Like [`export`](Self::export), but writes to `out` as it goes.
    ///
    /// # Errors
    /// Fails if the store can't be read or `out` can't be written.
    pub fn export_to(
        &self,
        query: &Query,
        export: impl Into<Export>,
        out: &mut (dyn Write + Send),
    ) -> Result<(), TrackError> {
        format::write(export.into(), &self.select(query)?, out)
    }

    /// The sorted names of the columns that the track has or was [declared](Self::with_schema) to
    /// have; `None` for a track that has no rows and never had any here.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn columns(&self) -> Result<Option<Vec<String>>, TrackError> {
        let selection = self.select(&Query::all())?;
        Ok(selection.exists().then(|| selection.columns()))
    }

    /// What was [declared](Self::with_schema) for the rows in the store, by source. Empty if nothing
    /// was, or it can't be read, which is logged.
    ///
    /// # Errors
    /// Fails if the topic is invalid.
    pub fn schemas(&self) -> Result<Vec<RowSchema>, TrackError> {
        let folder = self.shared.dir.track_folder(self.name()?);
        Ok(load_schema_if_readable(&folder).rows().to_vec())
    }

    /// The topic as the caller gave it.
    pub fn topic(&self) -> String {
        match &self.name {
            Ok(name) => name.to_string(),
            Err(error) => error.name().to_owned(),
        }
    }

    /// The memory that opening the track to read takes, at most.
    pub(super) fn opened_weight(&self) -> Result<usize, TrackError> {
        Ok(self.shared.dir.track_weight(self.name()?)?)
    }

    pub(super) fn name(&self) -> Result<&TrackName, TrackError> {
        self.name.as_ref().map_err(|error| error.clone().into())
    }

    pub(super) fn shared(&self) -> &ExperimentState {
        &self.shared
    }

    pub(super) fn state(&self) -> Result<&Arc<TrackState>, TrackError> {
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let state = self.shared.track(self.name()?)?;
        if let Some(schema) = &self.schema {
            self.shared.declare(&state, schema);
        }
        Ok(self.state.get_or_init(|| state))
    }

    /// Flushes what this handle's experiment appended first, so that a reader sees its own writes.
    pub(super) fn select(&self, query: &Query) -> Result<SelectedRows, TrackError> {
        self.flush_to_store()?;
        let folder = self.shared.dir.track_folder(self.name()?);
        SelectedRows::open(self.topic(), &folder, query.clone())
    }
}
