//! A first pass over the rows, for formats that must know these before the first row: the number of
//! rows, the time span, and the columns with their types.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

use super::kind::Kind;
use super::{RowForm, RowSource, RowStream, float, rows_of};
use crate::error::TrackError;
use crate::json::{NonFinite, RowShape, ScanError};
use crate::row::{Column, TIMESTAMP_COLUMN};

/// More threads would only wait for the disk.
pub(super) const MAX_THREADS: usize = 4;

/// What a pass over all rows found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The form of text in which the objects are flat and have each key once.
    form: RowForm,
    rows: u64,
    /// The first and the last time, in seconds.
    span: Option<(f64, f64)>,
    places: Places,
    kinds: Vec<Kind>,
    /// For each column, the number of the last row that had it.
    seen: Vec<u64>,
}

/// Why a survey ends before the last row.
enum Halt {
    /// A row has a dict in place of columns, or a column twice.
    NotFlat,
    /// Nobody needs it any more.
    Stopped,
    Malformed(ScanError),
    Failed(TrackError),
}

/// Asked now and then, from several threads.
type GoesOn<'a> = &'a (dyn Fn() -> bool + Sync);

impl From<ScanError> for Halt {
    fn from(error: ScanError) -> Self {
        Self::Malformed(error)
    }
}

impl Survey {
    /// Surveys all rows of `source`.
    pub(super) fn of(source: &impl RowSource) -> Result<Self, TrackError> {
        Ok(Self::of_while(source, &|| true)?.unwrap_or_default())
    }

    /// Surveys all rows of `source`; `None` once `goes_on` returns false.
    pub(super) fn of_while(
        source: &impl RowSource,
        goes_on: GoesOn<'_>,
    ) -> Result<Option<Self>, TrackError> {
        // We and the SDK only write flat rows, so they need not be rebuilt.
        let mut survey = Self::of_form(source, RowForm::AsStored, goes_on);
        if matches!(survey, Err(Halt::NotFlat)) {
            survey = Self::of_form(source, RowForm::Rebuilt(NonFinite::Tokens), goes_on);
        }
        match survey {
            Ok(survey) => Ok(Some(survey)),
            Err(Halt::Stopped) => Ok(None),
            // What is rebuilt is flat.
            Err(Halt::NotFlat) => Ok(Some(Self::default())),
            Err(Halt::Malformed(error)) => {
                let (topic, reason) = (source.about().topic, error.to_string());
                Err(TrackError::Corrupt { topic, reason })
            }
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    fn of_form(source: &impl RowSource, form: RowForm, goes_on: GoesOn<'_>) -> Result<Self, Halt> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let surveys = thread::scope(|scope| {
            let threads: Vec<_> = source
                .parts(threads)
                .into_iter()
                .map(|rows| {
                    let thread = thread::Builder::new().name("survey".into());
                    thread.spawn_scoped(scope, move || Self::of_rows(rows, form, goes_on))
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
        let mut whole = Self { form, ..Self::default() };
        for survey in surveys {
            whole.append(survey?);
        }
        Ok(whole)
    }

    fn of_rows(mut rows: impl RowStream, form: RowForm, goes_on: GoesOn<'_>) -> Result<Self, Halt> {
        let mut survey = Self { form, ..Self::default() };
        let mut shape = RowShape::default();
        let mut lines = Vec::new();
        let mut last_time = Vec::new();
        while let Some(read) = rows.next_lines(form, &mut lines) {
            read.map_err(Halt::Failed)?;
            if !goes_on() {
                return Err(Halt::Stopped);
            }
            for row in rows_of(&lines) {
                survey.note(row, &mut shape, &mut last_time)?;
            }
            lines.clear();
        }
        if let (Some((_, last)), Some(secs)) = (&mut survey.span, float(&last_time)) {
            *last = secs;
        }
        Ok(survey)
    }

    /// Adds the findings of the rows after these.
    fn append(&mut self, later: Self) {
        self.rows += later.rows;
        self.span = match (self.span, later.span) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (span, later) => span.or(later),
        };
        for (hint, (name, kind)) in later.places.names.iter().zip(later.kinds).enumerate() {
            let place = self.places.find_or_push(name, hint);
            make_room(&mut self.kinds, place).merge(kind);
        }
    }

    fn note(
        &mut self,
        row: &[u8],
        shape: &mut RowShape<Option<usize>>,
        last_time: &mut Vec<u8>,
    ) -> Result<(), Halt> {
        self.rows += 1;
        let Self { places, kinds, seen, rows, span, form } = self;
        let mut hint = 0;
        let name = |name: &str| {
            let place = (name != TIMESTAMP_COLUMN).then(|| places.find_or_push(name, hint));
            hint = place.map_or(hint, |place| place + 1);
            Ok(place)
        };
        shape.walk(row, name, |place, scanner| {
            let Some(place) = place else {
                let time = scanner.number()?;
                if span.is_none() {
                    *span = float(time).map(|secs| (secs, secs));
                }
                last_time.clear();
                last_time.extend_from_slice(time);
                return Ok(());
            };
            let is_twice = std::mem::replace(make_room(seen, place), *rows) == *rows;
            if is_twice || (scanner.peek() == Some(b'{') && *form == RowForm::AsStored) {
                return Err(Halt::NotFlat);
            }
            Ok(make_room(kinds, place).note(scanner)?)
        })
    }

    /// The form of text to ask for in the next pass.
    pub(super) fn form(&self) -> RowForm {
        self.form
    }

    /// Like [`form`](Self::form), with non-finite floats as `non_finite` says.
    pub(super) fn form_with(&self, non_finite: NonFinite) -> RowForm {
        match non_finite {
            NonFinite::Tokens => self.form,
            NonFinite::Null => RowForm::Rebuilt(NonFinite::Null),
        }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The first and the last time, in seconds.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        self.span
    }

    /// Columns in order of first appearance.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.places.names.iter()
    }

    /// The columns, and what they hold.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Column, &Kind)> {
        self.places.names.iter().zip(&self.kinds)
    }
}

/// Columns by name; fast when rows carry them in one order.
#[derive(Debug, Default)]
pub(super) struct Places {
    names: Vec<Column>,
    by_name: HashMap<Column, usize>,
}

impl Places {
    /// The place of the column called `name`, which is probably `hint`.
    pub(super) fn find(&self, name: &str, hint: usize) -> Option<usize> {
        match self.names.get(hint) {
            Some(known) if **known == *name => Some(hint),
            _ => self.by_name.get(name).copied(),
        }
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The place of the column called `name`, added if it is new.
    pub(super) fn find_or_push(&mut self, name: &str, hint: usize) -> usize {
        self.find(name, hint).unwrap_or_else(|| self.push(name.into()))
    }

    /// Adds a new column and returns its place.
    fn push(&mut self, name: Column) -> usize {
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

/// The item at `place`, which may be the next one to come.
fn make_room<T: Default>(items: &mut Vec<T>, place: usize) -> &mut T {
    if items.len() <= place {
        items.resize_with(place + 1, T::default);
    }
    &mut items[place]
}
