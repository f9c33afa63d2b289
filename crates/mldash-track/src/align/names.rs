//! The names of columns in the joined rows.

use std::collections::HashMap;

use super::AlignError;
use crate::row::{Column, Fields, TIMESTAMP_COLUMN};

/// Between track and column: `.` as in flattened dicts, else `:`, which no ROS field name contains.
const SEPARATORS: [char; 2] = ['.', ':'];

/// How a track's columns are called in the joined rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Before all columns but those with a name of their own.
    prefix: String,
    renames: Vec<(String, String)>,
}

impl Names {
    /// Names with `renames` and without a prefix.
    pub(super) fn renaming(renames: &[(String, String)]) -> Self {
        Self { prefix: String::new(), renames: renames.to_vec() }
    }

    /// The name of a column in the joined rows.
    pub(super) fn joined(&self, column: &str) -> Column {
        match self.renames.iter().rev().find(|(own, _)| own == column) {
            Some((_, name)) => name.as_str().into(),
            None if self.prefix.is_empty() => column.into(),
            None => format!("{}{column}", self.prefix).into(),
        }
    }
}

/// What one track gives the joined rows, for [`Givers`].
pub(super) struct Given<'a> {
    pub(super) topic: &'a str,
    /// Its columns, by their own names, and `timestamp` if it gives that.
    pub(super) columns: Vec<String>,
    pub(super) renames: &'a [(String, String)],
    /// A column with a name of its own.
    pub(super) age: Option<&'a str>,
}

/// The columns of the joined rows, and the tracks that they come from.
#[derive(Default)]
pub(super) struct Givers<'a>(HashMap<Column, &'a str>);

impl<'a> Givers<'a> {
    /// Adds columns of a track by their joined names.
    pub(super) fn add(
        &mut self,
        topic: &'a str,
        columns: impl IntoIterator<Item = Column>,
    ) -> Result<(), AlignError> {
        for column in columns {
            let is_time = *column == *TIMESTAMP_COLUMN;
            let first = self.0.insert(column.clone(), topic);
            if is_time || first.is_some() {
                let first = first.unwrap_or("the joined rows").to_owned();
                let (column, second) = (column.to_string(), topic.to_owned());
                return Err(AlignError::ColumnTwice { column, first, second });
            }
        }
        Ok(())
    }

    /// Chooses names for a track's columns that no other column has.
    pub(super) fn name(&mut self, given: &Given<'a>) -> Result<Names, AlignError> {
        let topic = given.topic;
        let options = SEPARATORS.map(|separator| Names {
            prefix: format!("{topic}{separator}"),
            renames: given.renames.to_vec(),
        });
        let columns = |names: &Names| {
            let columns: Vec<Column> = given.columns.iter().map(|own| names.joined(own)).collect();
            columns.into_iter().chain(given.age.map(Column::from)).collect::<Vec<_>>()
        };
        let taken = |names: &Names| {
            let mut columns = columns(names).into_iter();
            columns.find_map(|name| self.0.get(&name).map(|first| (name, (*first).to_owned())))
        };
        let chosen = match options.each_ref().map(taken) {
            [None, _] => &options[0],
            // A second name for the same column would tell nobody anything.
            [Some((_, first)), _] if first == topic => {
                return Err(AlignError::Twice(topic.to_owned()));
            }
            [Some((column, first)), None] => {
                tracing::info!(
                    "track `{first}` already has column `{column}`, so columns of track `{topic}` are \
                     called `{topic}:{}` and so on",
                    column.strip_prefix(topic).unwrap_or(&column).trim_start_matches('.')
                );
                &options[1]
            }
            [_, Some((column, first))] => {
                let (column, second) = (column.to_string(), topic.to_owned());
                return Err(AlignError::ColumnTwice { column, first, second });
            }
        };
        self.add(topic, columns(chosen))?;
        Ok(chosen.clone())
    }
}

/// Renames the columns of rows that mostly have the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Renamed {
    names: Names,
    /// The columns of the row before, in order: own name and joined name.
    recent: Vec<(Column, Column)>,
}

impl Renamed {
    pub(super) fn new(names: Names) -> Self {
        Self { names, recent: Vec::new() }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// `fields` under their joined names.
    pub(super) fn rename(&mut self, fields: Fields) -> Fields {
        if self.names.prefix.is_empty() && self.names.renames.is_empty() {
            return fields;
        }
        let mut renamed = Fields::with_capacity(fields.len() + 2);
        self.rename_into(fields, &mut renamed);
        renamed
    }

    /// Adds `fields` to `renamed` under their joined names.
    pub(super) fn rename_into(&mut self, fields: Fields, renamed: &mut Fields) {
        for (place, (name, value)) in fields.into_iter().enumerate() {
            renamed.push_distinct(self.joined(place, name), value);
        }
    }

    fn joined(&mut self, place: usize, name: Column) -> Column {
        if let Some((_, joined)) = self.recent.get(place).filter(|(own, _)| *own == name) {
            return joined.clone();
        }
        let joined = self.names.joined(&name);
        self.recent.truncate(place);
        self.recent.push((name, joined.clone()));
        joined
    }
}
