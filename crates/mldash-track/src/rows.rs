//! Rows on their way out of the store: what a query selects of a track as it stands at one moment.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::TrackError;
use super::format::{About, RowSource, RowStream, RowText, write_row};
use super::json::{Columns, JsonRowError, RowParser, project_row};
use super::local::{Cursor, Lookup, RawRow, Snapshot, TrackMetadata, load_schema_if_readable};
use super::query::Query;
use super::row::{Column, ColumnType, Row, TIMESTAMP_COLUMN, Timestamp};

/// What a query selects of a track's file as it stands at one moment. It can be gone through more
/// than once, and every pass gives the same rows, whatever is recorded meanwhile.
#[derive(Debug)]
pub(super) struct Selection {
    topic: String,
    /// What ML-Dash notes of the track besides its rows.
    notes: serde_json::Map<String, serde_json::Value>,
    /// The columns that were declared, selected or not.
    declared: Vec<(Column, ColumnType)>,
    snapshot: Option<Snapshot>,
    query: Query,
}

impl Selection {
    /// Of the track in `folder`, which need not exist.
    pub(super) fn open(topic: String, folder: &Path, query: Query) -> Result<Self, TrackError> {
        let metadata = TrackMetadata::load_for(&topic, folder)?;
        let notes = metadata.map(|metadata| metadata.extra).unwrap_or_default();
        let snapshot = Snapshot::open(folder)?;
        // After the rows: what is declared is stored before they are.
        let declared = load_schema_if_readable(folder).columns();
        Ok(Self { topic, notes, declared, snapshot, query })
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Whether anything was recorded under the topic.
    pub(super) fn exists(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Names of all columns that the track has or is declared to have, selected or not, sorted.
    pub(super) fn columns(&self) -> Vec<String> {
        let stored = self.snapshot.as_ref().map(Snapshot::columns).unwrap_or_default();
        let declared = self.declared.iter().map(|(name, _)| name.to_string());
        stored.into_iter().chain(declared).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// All columns from the row that held when `query` starts to the one that follows its end.
    pub(super) fn reaching(mut self, query: &Query) -> Result<Self, TrackError> {
        if let Some(mut lookup) = self.lookup() {
            let start = lookup.floor(query.start())?.map_or(query.start(), Timestamp::as_secs);
            let end = lookup.ceil(query.end())?.map_or(query.end(), Timestamp::as_secs);
            self.query = Query::range(start..=end);
        }
        Ok(self)
    }

    /// Single rows of those selected by their time; `None` when there is no file. Takes no notice of
    /// a limit.
    pub(super) fn lookup(&self) -> Option<Lookup> {
        self.snapshot.as_ref().map(|s| s.lookup(self.query.start(), self.query.end()))
    }

    fn rows_between(&self, start: f64, end: f64) -> Rows {
        Rows {
            topic: self.topic.clone(),
            cursor: self.snapshot.as_ref().map(|snapshot| snapshot.cursor(start, end)),
            left: self.query.limit,
            parser: RowParser::default(),
            columns: self.query.columns.clone(),
        }
    }

    /// A row that `lookup` found, with the columns selected.
    pub(super) fn parse(&self, raw: &RawRow) -> Result<Row, TrackError> {
        parse(raw, &mut RowParser::default(), &self.query.columns, &self.topic)
    }
}

/// Rows of a track, by rising time.
pub struct Rows {
    topic: String,
    /// None where there is no file.
    cursor: Option<Cursor>,
    /// How many rows may come; any number without.
    left: Option<u64>,
    parser: RowParser,
    columns: Columns,
}

impl Rows {
    /// The next row as it lies in the store.
    pub(super) fn next_raw(&mut self) -> Option<Result<RawRow, TrackError>> {
        let left = self.left.map(|left| left.checked_sub(1));
        if left == Some(None) {
            return None;
        }
        self.left = left.flatten();
        Some(self.cursor.as_mut()?.next()?.map_err(TrackError::from))
    }

    /// Rows that lie in the store as `text` wants them, appended to `out`; how many.
    fn next_block(&mut self, text: RowText, out: &mut Vec<u8>) -> Result<u64, TrackError> {
        match &mut self.cursor {
            Some(cursor)
                if (text, &self.columns, self.left) == (RowText::AsStored, &Columns::All, None) =>
            {
                Ok(cursor.next_block(out)?)
            }
            _ => Ok(0),
        }
    }

    /// The row in `raw`, with the columns selected.
    pub(super) fn parse(&mut self, raw: &RawRow) -> Result<Row, TrackError> {
        parse(raw, &mut self.parser, &self.columns, &self.topic)
    }

    fn write_json(
        &mut self,
        raw: &RawRow,
        text: RowText,
        out: &mut Vec<u8>,
    ) -> Result<(), TrackError> {
        match (raw.single_line(), text, &self.columns) {
            (Some(line), RowText::AsStored, Columns::All) => {
                out.extend_from_slice(line.trim_ascii());
                Ok(())
            }
            (Some(line), RowText::AsStored, columns) => {
                project_row(line, columns, TIMESTAMP_COLUMN, out)
                    .map_err(|error| corrupt(&self.topic, &error))
            }
            _ => self.parse(raw).map(|row| write_row(&row, text.non_finite(), out)),
        }
    }

    /// How many rows are left, without reading what is in them.
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

impl RowSource for Selection {
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

    fn declared(&self) -> Vec<(Column, ColumnType)> {
        let is_selected = |(name, _): &&(Column, ColumnType)| self.query.columns.keeps(name);
        self.declared.iter().filter(is_selected).cloned().collect()
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
    fn next_lines(&mut self, text: RowText, out: &mut Vec<u8>) -> Option<Result<(), TrackError>> {
        match self.next_block(text, out) {
            Ok(0) => {}
            Ok(_) => return Some(Ok(())),
            Err(error) => return Some(Err(error)),
        }
        let raw = self.next_raw()?;
        Some(raw.and_then(|raw| {
            self.write_json(&raw, text, out)?;
            out.push(b'\n');
            Ok(())
        }))
    }
}
