//! The columns of an export with typed columns, known before its first row, and how rows come to
//! them. A row may consist of the texts of several tracks, each with its own names for its columns,
//! so that joined rows need not be put together as text first.

use std::collections::HashMap;

use super::survey::Survey;
use super::{RowForm, RowSource, typed};
use crate::error::TrackError;
use crate::json::{Columns, NonFinite};
use crate::row::{Column, ColumnType, TIMESTAMP_COLUMN};
use crate::rows::SelectedRows;

/// All columns of an export but its time.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The columns in order.
    pub(crate) columns: Vec<(Column, ColumnType)>,
    /// The texts that a row consists of.
    pub(crate) sections: Vec<Section>,
    /// How many rows there are, at most.
    pub(crate) rows: u64,
    /// A row is one text with all columns, for the first section.
    pub(crate) is_whole: bool,
}

/// What the texts of one track hold.
#[derive(Debug)]
pub(crate) struct Section {
    /// The form of its texts, in which objects are flat and have each key once.
    pub(crate) form: RowForm,
    places: HashMap<Column, Place>,
    keeps: Columns,
}

/// Where a value belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the time of the row.
    Time,
    /// In the column of this number.
    Column(usize),
    /// Nowhere: it was not asked for.
    Nowhere,
}

/// Takes rows, text by text.
pub(crate) trait RowSink {
    /// Sets the time of the row, unless a text has it.
    fn time(&mut self, secs: f64);

    /// Adds the values in a text of the section of this number.
    fn text(&mut self, section: usize, text: &[u8]) -> Result<(), TrackError>;

    /// Sets the value in the column of this number.
    fn float(&mut self, column: usize, value: f64);

    /// Ends the row.
    fn end(&mut self) -> Result<(), TrackError>;
}

impl Table {
    /// The table of the rows of one track.
    pub(crate) fn of(selection: &SelectedRows) -> Result<Self, TrackError> {
        let TypedColumns { form, columns, rows } = TypedColumns::of(selection)?;
        let mut table = Self { rows, ..Self::default() };
        let own: Vec<Column> = columns.iter().map(|(name, _)| name.clone()).collect();
        table.push_section(form, selection, Some(Place::Time), own.into_iter().zip(columns));
        Ok(table)
    }

    /// The table of rows that come as one text each, with the types of their values.
    pub(crate) fn of_rows(rows: &impl RowSource) -> Result<Self, TrackError> {
        let survey = Survey::of(rows)?;
        let mut table = Self { rows: survey.rows(), is_whole: true, ..Self::default() };
        let mut places = HashMap::from([(TIMESTAMP_COLUMN.into(), Place::Time)]);
        for column in typed::of_values(&survey) {
            places.insert(column.0.clone(), table.push(column));
        }
        table.sections.push(Section { form: survey.form(), places, keeps: Columns::All });
        Ok(table)
    }

    /// Adds a section with columns, each with its own name and what it becomes. `time` is where the
    /// times of its rows belong.
    pub(crate) fn push_section(
        &mut self,
        form: RowForm,
        selection: &SelectedRows,
        time: Option<Place>,
        columns: impl Iterator<Item = (Column, (Column, ColumnType))>,
    ) {
        let time = time.unwrap_or(Place::Nowhere);
        let mut places = HashMap::from([(TIMESTAMP_COLUMN.into(), time)]);
        for (own, column) in columns {
            places.insert(own, self.push(column));
        }
        let keeps = selection.kept_columns().clone();
        self.sections.push(Section { form, places, keeps });
    }

    /// Adds a column and returns its place.
    pub(crate) fn push(&mut self, column: (Column, ColumnType)) -> Place {
        self.columns.push(column);
        Place::Column(self.columns.len() - 1)
    }

    /// The form of text to ask for when rows come as one text, with non-finite floats as
    /// `non_finite` says.
    pub(crate) fn form_with(&self, non_finite: NonFinite) -> RowForm {
        match (non_finite, self.sections.as_slice()) {
            (NonFinite::Tokens, [section]) => section.form,
            (non_finite, _) => RowForm::Rebuilt(non_finite),
        }
    }
}

impl Section {
    /// Where a column of the section belongs; `None` if the table was made without it.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        let known = self.places.get(name).copied();
        known.or_else(|| (!self.keeps.keeps(name)).then_some(Place::Nowhere))
    }
}

/// What a look through a track's rows tells typed formats.
pub(crate) struct TypedColumns {
    /// The form of text that has the columns flat.
    pub(crate) form: RowForm,
    pub(crate) columns: Vec<(Column, ColumnType)>,
    /// Number of rows.
    pub(crate) rows: u64,
}

impl TypedColumns {
    /// Looks through the selected rows.
    pub(crate) fn of(selection: &SelectedRows) -> Result<Self, TrackError> {
        let survey = Survey::of(selection)?;
        let columns = typed::columns(selection, &survey);
        Ok(Self { form: survey.form(), columns, rows: survey.rows() })
    }
}
