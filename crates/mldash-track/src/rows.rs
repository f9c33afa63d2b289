//! Rows read from the store: what a query selects from a snapshot of a track.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::TrackError;
use super::format::{About, RowForm, RowSink, RowSource, RowStream, Table, rows_of, write_row};
use super::json::{Columns, JsonRowError, RowParser, project_row};
use super::local::{Cursor, Lookup, RawRow, Snapshot, TrackMetadata, load_schema_if_readable};
use super::query::Query;
use super::row::{Column, ColumnType, Row, RowSchema, TIMESTAMP_COLUMN, Timestamp};

/// The type of messages whose lists `[x, y, z, w]` are rotations.
const QUATERNION: &str = "geometry_msgs/msg/Quaternion";

/// The rows that a query selects from a snapshot of a track's file. It can be iterated more than
/// once. Every pass gives the same rows, whatever is recorded meanwhile.
#[derive(Debug)]
pub(super) struct SelectedRows {
    topic: String,
    /// ML-Dash's notes on the track, besides its rows.
    notes: serde_json::Map<String, serde_json::Value>,
    /// The declared columns, selected or not.
    declared: Vec<(Column, ColumnType)>,
    /// The columns that were recorded from quaternions.
    quaternions: Vec<Column>,
    /// What each source declared.
    sources: Vec<RowSchema>,
    snapshot: Option<Snapshot>,
    query: Query,
}

impl SelectedRows {
    /// Opens the track in `folder`, which need not exist.
    pub(super) fn open(topic: String, folder: &Path, query: Query) -> Result<Self, TrackError> {
        let metadata = TrackMetadata::load_for(&topic, folder)?;
        let notes = metadata.map(|metadata| metadata.extra).unwrap_or_default();
        let snapshot = Snapshot::open(folder)?;
        // After the rows: declarations are stored before their rows.
        let schema = load_schema_if_readable(folder);
        let declared = schema.columns();
        let quaternions = schema.columns_of_message(QUATERNION);
        let sources = schema.rows().to_vec();
        Ok(Self { topic, notes, declared, quaternions, sources, snapshot, query })
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// The selected ones of the declared columns, whether any row has them or not.
    pub(super) fn declared(&self) -> Vec<(Column, ColumnType)> {
        let is_selected = |(name, _): &&(Column, ColumnType)| self.query.columns.keeps(name);
        self.declared.iter().filter(is_selected).cloned().collect()
    }

    /// Which columns are selected.
    pub(super) fn kept_columns(&self) -> &Columns {
        &self.query.columns
    }

    /// Returns true if anything was recorded under the topic.
    pub(super) fn exists(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Sorted names of all columns that the track has or declares, selected or not.
    pub(super) fn columns(&self) -> Vec<String> {
        let stored = self.snapshot.as_ref().map(Snapshot::columns).unwrap_or_default();
        let declared = self.declared.iter().map(|(name, _)| name.to_string());
        stored.into_iter().chain(declared).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The columns that were recorded from quaternions, selected or not.
    pub(super) fn quaternions(&self) -> &[Column] {
        &self.quaternions
    }

    /// What each source of the track declared, by its name.
    pub(super) fn sources(&self) -> &[RowSchema] {
        &self.sources
    }

    /// The times of the first and the last row of the track, selected or not.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.snapshot.as_ref()?.span()
    }

    /// The smallest selected time in seconds, inclusive.
    pub(super) fn start(&self) -> f64 {
        self.query.start()
    }

    /// What reading the selected rows takes.
    pub(super) fn snapshot_between(&self) -> Option<(&Snapshot, f64, f64)> {
        Some((self.snapshot.as_ref()?, self.query.start(), self.query.end()))
    }

    /// How many columns are selected, and the bytes of their names, at most.
    pub(super) fn column_bytes(&self) -> (usize, usize) {
        let names = match &self.query.columns {
            Columns::All => self.columns(),
            Columns::Named(names) => names.clone(),
        };
        (names.len(), names.iter().map(String::len).sum())
    }

    /// Selects the same columns, from the row in effect at `start` to the row after `end`.
    pub(super) fn reaching(mut self, start: f64, end: f64) -> Result<Self, TrackError> {
        if let Some(mut lookup) = self.lookup() {
            let first = lookup.floor(start)?.map_or(start, Timestamp::as_secs);
            let last = lookup.ceil(end)?.map_or(end, Timestamp::as_secs);
            let columns = self.query.columns;
            self.query = Query::range(first..=last).keeping(columns);
        }
        Ok(self)
    }

    /// Looks up single selected rows by time; `None` when there is no file. Ignores a limit.
    pub(super) fn lookup(&self) -> Option<Lookup> {
        self.snapshot.as_ref().map(|s| s.lookup(self.query.start(), self.query.end()))
    }

    fn rows_between(&self, start: f64, end: f64) -> Rows {
        let all = (self.query.start(), self.query.end());
        Rows {
            topic: self.topic.clone(),
            cursor: self.snapshot.as_ref().map(|one| one.cursor_within(start, end, all)),
            left: self.query.limit,
            parser: RowParser::default(),
            columns: self.query.columns.clone(),
            lines: Vec::new(),
        }
    }

    /// Parses a row that `lookup` found, with the selected columns.
    pub(super) fn parse(&self, raw: &RawRow) -> Result<Row, TrackError> {
        parse(raw, &mut RowParser::default(), &self.query.columns, &self.topic)
    }
}

/// The rows of a track in order of time.
pub struct Rows {
    topic: String,
    /// `None` when there is no file.
    cursor: Option<Cursor>,
    /// How many more rows to return; `None` means no limit.
    left: Option<u64>,
    parser: RowParser,
    columns: Columns,
    /// Room for the texts of rows.
    lines: Vec<u8>,
}

impl Rows {
    /// Returns the next row as stored.
    pub(super) fn next_raw(&mut self) -> Option<Result<RawRow, TrackError>> {
        let left = self.left.map(|left| left.checked_sub(1));
        if left == Some(None) {
            return None;
        }
        self.left = left.flatten();
        Some(self.cursor.as_mut()?.next()?.map_err(TrackError::from))
    }

    /// Appends stored rows to `out` in the form of `text` and returns how many.
    fn next_block(&mut self, form: RowForm, out: &mut Vec<u8>) -> Result<u64, TrackError> {
        match &mut self.cursor {
            Some(cursor)
                if (form, &self.columns, self.left) == (RowForm::AsStored, &Columns::All, None) =>
            {
                Ok(cursor.next_block(out)?)
            }
            _ => Ok(0),
        }
    }

    /// Parses `raw` into a row with the selected columns.
    pub(super) fn parse(&mut self, raw: &RawRow) -> Result<Row, TrackError> {
        parse(raw, &mut self.parser, &self.columns, &self.topic)
    }

    /// The text of a row in the form of `text`, as a line of the store if it is one, else in `out`.
    /// A line may have columns that are not selected.
    pub(super) fn text_of<'t>(
        &mut self,
        raw: &'t RawRow,
        form: RowForm,
        out: &'t mut Vec<u8>,
    ) -> Result<&'t [u8], TrackError> {
        if let (Some(line), RowForm::AsStored) = (raw.single_line(), form) {
            return Ok(line);
        }
        out.clear();
        self.write_json(raw, form, out)?;
        Ok(out)
    }

    fn write_json(
        &mut self,
        raw: &RawRow,
        form: RowForm,
        out: &mut Vec<u8>,
    ) -> Result<(), TrackError> {
        match (raw.single_line(), form, &self.columns) {
            (Some(line), RowForm::AsStored, Columns::All) => {
                out.extend_from_slice(line.trim_ascii());
                Ok(())
            }
            (Some(line), RowForm::AsStored, columns) => {
                project_row(line, columns, TIMESTAMP_COLUMN, out)
                    .map_err(|error| corrupt(&self.topic, &error))
            }
            _ => self.parse(raw).map(|row| write_row(&row, form.non_finite(), out)),
        }
    }

    /// Counts the remaining rows without parsing them.
    pub(super) fn count_unparsed(mut self) -> Result<u64, TrackError> {
        let mut count = 0;
        while let Some(raw) = self.next_raw() {
            raw?;
            count += 1;
        }
        Ok(count)
    }
}

fn parse(
    raw: &RawRow,
    parser: &mut RowParser,
    columns: &Columns,
    topic: &str,
) -> Result<Row, TrackError> {
    raw.parse(parser, columns).map_err(|error| corrupt(topic, &error))
}

fn corrupt(topic: &str, error: &JsonRowError) -> TrackError {
    TrackError::Corrupt { topic: topic.to_owned(), reason: error.to_string() }
}

impl Iterator for Rows {
    type Item = Result<Row, TrackError>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.next_raw()?;
        Some(raw.and_then(|raw| self.parse(&raw)))
    }
}

impl RowSource for SelectedRows {
    type Rows = Rows;

    fn rows(&self) -> Rows {
        self.rows_between(self.query.start(), self.query.end())
    }

    fn parts(&self, parts: usize) -> Vec<Rows> {
        let (start, end) = (self.query.start(), self.query.end());
        let cuts = match (&self.snapshot, self.query.limit) {
            (Some(snapshot), None) => snapshot.cuts(start, end, parts),
            _ => Vec::new(),
        };
        let starts = [start].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().map(|cut| cut.next_down()).chain([end]);
        starts.zip(ends).map(|(start, end)| self.rows_between(start, end)).collect()
    }

    fn table(&self) -> Result<Table, TrackError> {
        Table::of(self)
    }

    fn about(&self) -> About {
        let mut about = About::topic(self.topic.clone(), self.snapshot.is_some());
        if let Some(description) = self.notes.get("description") {
            about.description = description.clone();
        }
        if let Some(tags) = self.notes.get("tags") {
            about.tags = tags.clone();
        }
        if let Some(fps) = self.notes.get("metadata").and_then(|metadata| metadata.get("fps")) {
            about.fps = fps.clone();
        }
        about
    }
}

impl RowStream for Rows {
    fn next_lines(&mut self, form: RowForm, out: &mut Vec<u8>) -> Option<Result<(), TrackError>> {
        match self.next_block(form, out) {
            Ok(0) => {}
            Ok(_) => return Some(Ok(())),
            Err(error) => return Some(Err(error)),
        }
        let raw = self.next_raw()?;
        Some(raw.and_then(|raw| {
            self.write_json(&raw, form, out)?;
            out.push(b'\n');
            Ok(())
        }))
    }

    fn next_into(
        &mut self,
        table: &Table,
        sink: &mut impl RowSink,
    ) -> Option<Result<(), TrackError>> {
        let form = table.sections.first()?.form;
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let taken = match self.next_block(form, &mut lines) {
            Ok(0) => match self.next_raw()? {
                Ok(raw) => self.text_of(&raw, form, &mut lines).and_then(|row| {
                    sink.text(0, row)?;
                    sink.end()
                }),
                Err(error) => Err(error),
            },
            Ok(_) => rows_of(&lines).try_for_each(|row| {
                sink.text(0, row)?;
                sink.end()
            }),
            Err(error) => Err(error),
        };
        self.lines = lines;
        Some(taken)
    }
}
