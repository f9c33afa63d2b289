//! A first pass over rows, for the formats that must know before the first row what will come:
//! how many rows, from when to when, which columns of which types.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

use jiter::{JiterError, Peek};

use super::kind::Kind;
use super::{RowSource, RowStream, RowText};
use crate::track::error::TrackError;
use crate::track::json::{NonFinite, reader, walk_object};
use crate::track::row::{Column, TIMESTAMP_COLUMN};

/// More would only wait for the disk.
const MAX_THREADS: usize = 4;

/// What a pass over all rows has shown.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The text whose objects are flat and have each key once.
    text: RowText,
    rows: u64,
    /// The first and the last time, seconds.
    span: Option<(f64, f64)>,
    places: Places,
    kinds: Vec<Kind>,
    /// For each column, the number of the row that had it last.
    seen: Vec<u64>,
}

/// Why a survey ends before the last row.
enum Halt {
    /// A row's text has a dict in place of columns, or a column twice.
    NotFlat,
    Malformed(JiterError),
    Failed(TrackError),
}

impl From<JiterError> for Halt {
    fn from(error: JiterError) -> Self {
        Self::Malformed(error)
    }
}

impl Survey {
    /// Of all rows of `source`.
    pub(super) fn of(source: &impl RowSource) -> Result<Self, TrackError> {
        // Neither we nor the SDK write other than flat rows, so that they need not be rebuilt.
        match Self::of_text(source, RowText::AsStored)? {
            Some(survey) => Ok(survey),
            None => Self::of_text(source, RowText::Rebuilt(NonFinite::Tokens))
                .map(Option::unwrap_or_default),
        }
    }

    fn of_text(source: &impl RowSource, text: RowText) -> Result<Option<Self>, TrackError> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let surveys = thread::scope(|scope| {
            let threads: Vec<_> = source
                .parts(threads)
                .into_iter()
                .map(|rows| {
                    let thread = thread::Builder::new().name("survey".into());
                    thread.spawn_scoped(scope, move || Self::of_rows(rows, text))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(error) => Err(Halt::Failed(TrackError::Export(error))),
                })
                .collect::<Vec<_>>()
        });
        let mut whole = Self { text, ..Self::default() };
        for survey in surveys {
            match survey {
                Ok(survey) => whole.append(survey),
                Err(Halt::NotFlat) => return Ok(None),
                Err(Halt::Malformed(error)) => {
                    let (topic, reason) = (source.about().topic, error.to_string());
                    return Err(TrackError::Corrupt { topic, reason });
                }
                Err(Halt::Failed(error)) => return Err(error),
            }
        }
        Ok(Some(whole))
    }

    fn of_rows(mut rows: impl RowStream, text: RowText) -> Result<Self, Halt> {
        let mut survey = Self { text, ..Self::default() };
        let mut row = Vec::new();
        while let Some(read) = rows.next_json(text, &mut row) {
            read.map_err(Halt::Failed)?;
            survey.note(&row)?;
            row.clear();
        }
        Ok(survey)
    }

    /// Takes in what the rows after these have shown.
    fn append(&mut self, later: Self) {
        self.rows += later.rows;
        self.span = match (self.span, later.span) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (span, later) => span.or(later),
        };
        for (hint, (name, kind)) in later.places.names.iter().zip(later.kinds).enumerate() {
            let place = self.place(name, hint);
            self.kinds[place].merge(kind);
        }
    }

    fn note(&mut self, row: &[u8]) -> Result<(), Halt> {
        self.rows += 1;
        let mut hint = 0;
        walk_object(&mut reader(row), |jiter, name| {
            let peek = jiter.peek()?;
            if name == TIMESTAMP_COLUMN {
                let secs = jiter.known_float(peek)?;
                let (first, _) = *self.span.get_or_insert((secs, secs));
                self.span = Some((first, secs));
                return Ok(());
            }
            let place = self.place(name, hint);
            hint = place + 1;
            let seen = std::mem::replace(&mut self.seen[place], self.rows);
            if seen == self.rows || (peek == Peek::Object && self.text == RowText::AsStored) {
                return Err(Halt::NotFlat);
            }
            Ok(self.kinds[place].note(jiter, peek)?)
        })
    }

    fn place(&mut self, name: &str, hint: usize) -> usize {
        self.places.find(name, hint).unwrap_or_else(|| {
            self.kinds.push(Kind::default());
            self.seen.push(0);
            self.places.push(name.into())
        })
    }

    /// The text to ask for when going through the rows again.
    pub(super) fn text(&self) -> RowText {
        self.text
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The first and the last time, seconds.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        self.span
    }

    /// Columns in the order they first appear in.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.places.names.iter()
    }

    /// The columns, and what they hold.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Column, &Kind)> {
        self.places.names.iter().zip(&self.kinds)
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
    pub(super) fn find(&self, name: &str, hint: usize) -> Option<usize> {
        match self.names.get(hint) {
            Some(known) if **known == *name => Some(hint),
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
