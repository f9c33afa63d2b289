//! A first pass over rows, for the formats that must know before the first row what will come:
//! how many rows, from when to when, which columns of which types.

use std::collections::HashMap;

use super::RowSource;
use super::kind::{ColumnType, Kind};
use crate::track::error::TrackError;
use crate::track::row::{Column, Row, Timestamp};

/// What a pass over all rows has shown.
#[derive(Debug, Default)]
pub(super) struct Survey {
    rows: u64,
    span: Option<(Timestamp, Timestamp)>,
    places: Places,
    kinds: Vec<Kind>,
}

impl Survey {
    /// Of all rows of `source`.
    pub(super) fn of(source: &impl RowSource) -> Result<Self, TrackError> {
        let mut survey = Self::default();
        for row in source.rows() {
            survey.note(&row?);
        }
        Ok(survey)
    }

    fn note(&mut self, row: &Row) {
        self.rows += 1;
        let (first, _) = *self.span.get_or_insert((row.ts, row.ts));
        self.span = Some((first, row.ts));
        for (hint, (name, value)) in row.fields.iter().enumerate() {
            let place = self.places.find(name, hint).unwrap_or_else(|| {
                self.kinds.push(Kind::default());
                self.places.push(name.clone())
            });
            self.kinds[place].note(value);
        }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The first and the last time.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Columns in the order they first appear in.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&Column, ColumnType)> {
        self.places.names.iter().zip(&self.kinds).map(|(name, kind)| (name, kind.column_type()))
    }
}

/// Columns by name; quick when rows carry them in one order.
#[derive(Debug, Default)]
pub(super) struct Places {
    names: Vec<Column>,
    by_name: HashMap<Column, usize>,
}

impl Places {
    /// The place of the column called `name`, which may well be `hint`.
    pub(super) fn find(&self, name: &Column, hint: usize) -> Option<usize> {
        match self.names.get(hint) {
            Some(known) if known == name => Some(hint),
            _ => self.by_name.get(name).copied(),
        }
    }

    /// Adds a column that is not known yet; returns its place.
    pub(super) fn push(&mut self, name: Column) -> usize {
        self.names.push(name.clone());
        self.by_name.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }
}

impl FromIterator<Column> for Places {
    fn from_iter<I: IntoIterator<Item = Column>>(names: I) -> Self {
        let mut places = Self::default();
        names.into_iter().for_each(|name| {
            places.push(name);
        });
        places
    }
}
