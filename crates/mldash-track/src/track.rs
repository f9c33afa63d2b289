//! One topic of an experiment: append, flush, read.

use std::io::{BufRead, Write};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::buffer::Appended;
use super::error::TrackError;
use super::format::{self, Export, RowSource};
use super::json::{Columns, MAX_DEPTH, RowParser};
use super::lines::{self, AppendedLines, BadLine};
use super::local::TrackNotes;
use super::name::{NameError, TrackName};
use super::query::Query;
use super::row::{Fields, Row, RowSchema, TIMESTAMP_COLUMN, TIMESTAMP_KEY, Timestamp};
use super::rows::{Rows, Selection};
use super::shared::{Shared, TrackState};

/// A stream of rows. Cheap to clone and to ask for again; safe to use from many threads.
#[derive(Clone, Debug)]
pub struct Track {
    shared: Arc<Shared>,
    name: Result<TrackName, NameError>,
    schema: Option<Arc<RowSchema>>,
    /// Found at the first append.
    state: OnceLock<Arc<TrackState>>,
}

impl Track {
    pub(super) fn new(shared: Arc<Shared>, topic: &str) -> Self {
        Self { shared, name: topic.parse(), schema: None, state: OnceLock::new() }
    }

    /// A handle whose rows have the columns of `schema`. With the first of them it is stored beside the
    /// track: from then on columns have the types declared in Parquet, also those that never came or
    /// whose lists were all empty. Rows may hold other columns and values too; a column whose values do
    /// not fit its declared type has the type of its values.
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

    /// Adds `fields` to the row at `ts`, seconds. Fields that the row has already are overwritten.
    ///
    /// Returns once the row is in the buffer; a flush brings it into the store.
    ///
    /// # Errors
    /// A `ts` that is not finite, a field called `timestamp` or `_ts`, a topic that can't be one or
    /// shares its folder with another, a full buffer.
    pub fn append(&self, fields: impl Into<Fields>, ts: f64) -> Result<Appended, TrackError> {
        let ts = Timestamp::new(ts)
            .map_err(|reason| TrackError::Timestamp { topic: self.topic(), reason })?;
        self.append_row(Row::new(ts, fields.into()))
    }

    /// As [`append`](Self::append), for a row that has its time already.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_row(&self, row: Row) -> Result<Appended, TrackError> {
        self.check(&row)?;
        self.shared.append(self.state()?, row)
    }

    /// Appends `rows` if each of them can be: one that can't be keeps out all.
    ///
    /// # Errors
    /// As [`append`](Self::append). A buffer that fills up, since the store fails, leaves some
    /// appended; appending all of them again later gives the same track.
    pub fn append_rows(&self, rows: Vec<Row>) -> Result<(), TrackError> {
        rows.iter().try_for_each(|row| self.check(row))?;
        let state = self.state()?;
        rows.into_iter().try_for_each(|row| self.shared.append(state, row).map(drop))
    }

    /// Whether the row's fields can be stored.
    fn check(&self, row: &Row) -> Result<(), TrackError> {
        for (name, value) in row.fields.iter() {
            let reserved = [TIMESTAMP_COLUMN, TIMESTAMP_KEY].into_iter().find(|r| **name == **r);
            if let Some(column) = reserved {
                return Err(TrackError::ReservedColumn { topic: self.topic(), column });
            }
            if value.nests_deeper_than(MAX_DEPTH) {
                return Err(TrackError::TooDeep { topic: self.topic(), column: name.to_string() });
            }
        }
        Ok(())
    }

    /// As [`append`](Self::append), for the fields of a struct or a map that `serde` can serialize.
    ///
    /// # Errors
    /// As [`append`](Self::append); also what [`Fields::from_serialize`] refuses.
    pub fn append_serialize<T: Serialize + ?Sized>(
        &self,
        fields: &T,
        ts: f64,
    ) -> Result<Appended, TrackError> {
        let fields = Fields::from_serialize(fields)
            .map_err(|reason| TrackError::Fields { topic: self.topic(), reason })?;
        self.append(fields, ts)
    }

    /// As [`append`](Self::append), for a row as one JSON object with its time under `_ts`.
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
    /// As [`append`](Self::append); also a text that is no JSON object, and a `_ts` that is missing
    /// or not a number. A text that looks like a number is not one.
    pub fn append_json(&self, text: impl AsRef<[u8]>) -> Result<Appended, TrackError> {
        self.append_parsed(&mut RowParser::new(TIMESTAMP_KEY), text.as_ref())
    }

    /// Appends one row a line, each as [`append_json`](Self::append_json) takes it. A bad line costs
    /// only itself and is handed to `on_bad`; blank lines are nothing.
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
    /// Those that are not a line's own: `lines` that can't be read, a topic that can't be one, a
    /// full buffer, a store that can't be written. The lines before are appended.
    pub fn append_json_lines(
        &self,
        lines: impl BufRead,
        on_bad: impl FnMut(BadLine),
    ) -> Result<AppendedLines, TrackError> {
        lines::append(self, lines, on_bad)
    }

    /// The row that `text` is, by a parser that knows the columns of the rows before.
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

    /// Takes over what `notes` says of the track, which is made if there is none; what is `None`
    /// there stays as it was.
    ///
    /// # Errors
    /// A topic that can't be one or shares its folder with another, a store that can't be written.
    pub fn annotate(&self, notes: TrackNotes) -> Result<(), TrackError> {
        self.shared.annotate(self.state()?, notes)
    }

    /// Returns once the rows appended to this track are in the store, and on the server if the experiment
    /// has a [`remote`](super::Options::remote).
    ///
    /// # Errors
    /// A store that can't be written; the rows stay in memory and are tried again. A server that does not
    /// have all in [`remote_timeout`](super::Options::remote_timeout), or refuses some of it.
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
        out: &mut (dyn Write + Send),
    ) -> Result<(), TrackError> {
        format::write(export.into(), &self.select(query)?, out)
    }

    /// The names of the columns that the track has or was [declared](Self::with_schema) to have, sorted;
    /// `None` of a track that has no rows and never had any here.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn columns(&self) -> Result<Option<Vec<String>>, TrackError> {
        let selection = self.select(&Query::all())?;
        Ok(selection.exists().then(|| selection.columns()))
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

    pub(super) fn shared(&self) -> &Shared {
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

    /// What this handle's experiment appended is flushed first: a reader sees its own writes.
    pub(super) fn select(&self, query: &Query) -> Result<Selection, TrackError> {
        self.flush_to_store()?;
        let folder = self.shared.dir.track_folder(self.name()?);
        Selection::open(self.topic(), &folder, query.clone())
    }
}
