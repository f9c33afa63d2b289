//! Parses JSON text to rows: whole rows, only their times, or some columns as raw text.

use super::values::{WalkError, next_value, reader, walk_object};
use super::writer::token;
use super::{JsonRowError, JsonWriter, NonFinite, to_text};
use crate::row::{Column, Fields, Row, TIMESTAMP_COLUMN, Timestamp, Value};

/// Which columns a reader keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Columns {
    /// Every column.
    #[default]
    All,
    /// These columns, where a row has them.
    Named(Vec<String>),
}

impl Columns {
    /// Returns true if a column of this name is kept.
    pub fn keeps(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|n| n == name),
        }
    }
}

impl From<Option<Vec<String>>> for Columns {
    /// `None` for every column.
    fn from(names: Option<Vec<String>>) -> Self {
        names.map_or(Self::All, Self::Named)
    }
}

/// Parses rows that mostly have the same columns, and shares the column names between them.
#[derive(Debug)]
pub struct RowParser {
    time_key: String,
    /// The columns of the row before, in order.
    recent: Vec<Column>,
    /// Whether these are distinct, and none is a dict of columns.
    recent_is_flat: bool,
    /// The columns of the row before once its dicts were flattened.
    flat: Vec<Column>,
}

impl Default for RowParser {
    /// For the store's lines, which have their time under `timestamp`.
    fn default() -> Self {
        Self::new(TIMESTAMP_COLUMN)
    }
}

impl RowParser {
    /// For rows that have their time under `time_key`.
    pub fn new(time_key: &str) -> Self {
        Self {
            time_key: time_key.to_owned(),
            recent: Vec::new(),
            recent_is_flat: false,
            flat: Vec::new(),
        }
    }

    /// Parses the row in `text`, with the columns that `columns` keeps.
    ///
    /// # Errors
    /// Fails if the text is not one JSON object, its time is absent, not a number or not finite, or
    /// flattening its dicts would take more than [`MAX_REPEATED_NAME_BYTES`](crate::MAX_REPEATED_NAME_BYTES).
    pub fn row(&mut self, text: &[u8], columns: &Columns) -> Result<Row, JsonRowError> {
        let mut ts = None;
        let mut pairs: Vec<(Column, Value)> = Vec::with_capacity(self.recent.len());
        // Whether the columns are those of the row before, which are known to be distinct.
        let mut as_before = std::mem::take(&mut self.recent_is_flat);
        let Self { time_key, recent, .. } = self;
        let mut jiter = reader(text);
        walk_object(&mut jiter, |jiter, name| {
            if name == time_key {
                ts = Some(next_value(jiter)?);
            } else if columns.keeps(name) {
                let (column, is_known) = shared_name(recent, pairs.len(), name);
                let value = next_value(jiter)?;
                as_before &= is_known && !matches!(value, Value::Map(_));
                pairs.push((column, value));
            } else {
                jiter.next_skip()?;
            }
            Ok(())
        })
        .map_err(|error: WalkError| error.at(&jiter))?;
        let ts = self.timestamp(ts)?;
        if as_before {
            self.recent_is_flat = true;
            return Ok(Row::new(ts, Fields::from_distinct(pairs)));
        }
        self.recent.truncate(pairs.len());
        let read = pairs.len();
        let fields = Fields::flatten(pairs, &mut self.flat).map_err(JsonRowError::RepeatedNames)?;
        self.recent_is_flat =
            fields.len() == read && fields.iter().zip(&self.recent).all(|((a, _), b)| a == b);
        Ok(Row::new(ts, fields))
    }

    fn timestamp(&self, value: Option<Value>) -> Result<Timestamp, JsonRowError> {
        let key = || self.time_key.clone();
        let secs = match value {
            None => return Err(JsonRowError::MissingTimestamp(key())),
            Some(Value::Int(i)) => i as f64,
            Some(Value::UInt(u)) => u as f64,
            Some(Value::F64(f)) => f,
            Some(other) => {
                return Err(JsonRowError::TimestampNotANumber { key: key(), got: to_text(&other) });
            }
        };
        Timestamp::new(secs).map_err(|_| JsonRowError::TimestampNotFinite {
            key: key(),
            got: token(secs).to_owned(),
        })
    }
}

/// Returns `name` as a column, shared with the row before if that has it at `place` too, and
/// whether it was shared.
fn shared_name(recent: &mut Vec<Column>, place: usize, name: &str) -> (Column, bool) {
    match recent.get_mut(place) {
        Some(known) if **known == *name => (known.clone(), true),
        Some(known) => {
            *known = name.into();
            (known.clone(), false)
        }
        None => {
            let column: Column = name.into();
            recent.push(column.clone());
            (column, false)
        }
    }
}

/// The time of one of the store's lines and, through `on_column`, its columns' names, without
/// building their values.
///
/// # Errors
/// As [`RowParser::row`].
pub(crate) fn scan_row(
    line: &[u8],
    mut on_column: impl FnMut(&str),
) -> Result<Timestamp, JsonRowError> {
    // What is skipped is not looked into, and goes out as it stands.
    if let Err(error) = std::str::from_utf8(line) {
        return Err(JsonRowError::Syntax(error.to_string()));
    }
    let mut ts = None;
    let mut jiter = reader(line);
    walk_object(&mut jiter, |jiter, name| {
        if name == TIMESTAMP_COLUMN {
            ts = Some(next_value(jiter)?);
            Ok(())
        } else {
            on_column(name);
            Ok(jiter.next_skip()?)
        }
    })
    .map_err(|error: WalkError| error.at(&jiter))?;
    RowParser::default().timestamp(ts)
}

/// Appends to `out` the row in `line`, one of the store's, with the columns that `columns` keeps,
/// their values as they stand there, and its time under `time_key`.
///
/// # Errors
/// As [`RowParser::row`], except that the time is not looked at.
pub(crate) fn project_row(
    line: &[u8],
    columns: &Columns,
    time_key: &str,
    out: &mut Vec<u8>,
) -> Result<(), JsonRowError> {
    let mut separator = b'{';
    let mut jiter = reader(line);
    walk_object(&mut jiter, |jiter, name| {
        let peek = jiter.peek()?;
        let start = jiter.current_index();
        jiter.known_skip(peek)?;
        let key = if name == TIMESTAMP_COLUMN { time_key } else { name };
        if name == TIMESTAMP_COLUMN || columns.keeps(name) {
            out.push(std::mem::replace(&mut separator, b','));
            JsonWriter::new(out, NonFinite::Tokens).string(key);
            out.push(b':');
            out.extend_from_slice(jiter.slice_to_current(start));
        }
        Ok(())
    })
    .map_err(|error: WalkError| error.at(&jiter))?;
    out.push(b'}');
    Ok(())
}
