//! Tracks that are joined: the plan for each, and one pass after another over the rows.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use super::error::AlignError;
use super::join::{Joined, Plan};
use super::names::{Given, Givers, Names, Renamed};
use super::ticks::{Grid, Ticks, slack_secs};
use super::{Aggregate, Align, AlignMethod, Base, Join};
use crate::error::TrackError;
use crate::experiment::Experiment;
use crate::format::{self, About, Export, Place, RowSource, Table, TypedColumns};
use crate::query::Query;
use crate::row::{Column, ColumnType, TIMESTAMP_COLUMN, Timestamp};
use crate::rows::SelectedRows;

mod rows;

pub use rows::AlignedRows;

/// Tracks joined by time, as a snapshot from when they were aligned. Each row has the columns of
/// the track that it is aligned on under their own names. For every other track it has
/// `<topic>.<column>` and, as `<topic>.timestamp`, the time of the row that was found: of two rows
/// the earlier, of a step's rows the last. These are absent if no row was found.
///
/// If one of a track's names would equal another column's, all of them have `:` in place of the
/// first dot. An example is `pose.pose.position` of the track `pose` beside a track of odometry.
#[derive(Debug)]
pub struct Aligned {
    ticks: Ticks,
    joins: Vec<(SelectedRows, Arc<Plan>)>,
}

impl Experiment {
    /// Joins tracks by time.
    ///
    /// ```
    /// # use mldash_track::{fields, Align, Experiment, Format, Options};
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// exp.tracks("camera").append(fields! { "frame": 7 }, 1.0)?;
    /// exp.tracks("arm").append(fields! { "q": [0.5, 1.5] }, 0.98)?;
    /// let aligned = exp.align(&Align::on("camera").with(["arm"]).tolerance(0.05))?;
    /// let text = String::from_utf8(aligned.export(Format::Jsonl)?)?;
    /// assert_eq!(text, r#"{"timestamp":1.0,"frame":7,"arm.timestamp":0.98,"arm.q":[0.5,1.5]}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails if a track or a column was not recorded, two columns would have one name, a rate or a
    /// tolerance makes no sense, or the store can't be read.
    pub fn align(&self, align: &Align) -> Result<Aligned, TrackError> {
        if matches!(align.base, Base::Rate(_)) && align.joins.is_empty() {
            return Err(AlignError::NothingToJoin.into());
        }
        let mut givers = Givers::default();
        let selected = |topic: &str, columns: &Option<Vec<String>>| {
            let query = Query::all().keeping(columns.clone().into());
            self.select_recorded(topic, &query)
        };
        let joined: Vec<SelectedRows> = (align.joins.iter())
            .map(|join| selected(&join.topic, &join.columns))
            .collect::<Result<_, _>>()?;
        let ticks = match &align.base {
            Base::Track { topic, columns, renames } => {
                let query = align.query.clone().keeping(columns.clone().into());
                let selection = self.select_recorded(topic, &query)?;
                let names = Names::renaming(renames);
                let own = chosen(&selection, columns.as_deref(), renames)?;
                // The time of the joined rows has one name.
                if renames.iter().any(|(own, _)| own == TIMESTAMP_COLUMN) {
                    existing(&selection, &selection.columns(), TIMESTAMP_COLUMN)?;
                }
                let own = own.iter().filter(|own| **own != TIMESTAMP_COLUMN);
                givers.add(topic, own.map(|own| names.joined(own)))?;
                Ticks::Track { selection: Box::new(selection), names: Renamed::new(names) }
            }
            Base::Rate(hz) => Ticks::Grid(grid(&align.query, *hz, &joined)?),
        };
        let (start, end) = match &ticks {
            Ticks::Track { .. } => (align.query.start(), align.query.end()),
            Ticks::Grid(grid) => {
                (grid.first_after(), grid.end() + slack_secs(grid.start(), grid.end()))
            }
        };
        let joins = (align.joins.iter().zip(joined))
            .map(|(join, selection)| {
                let plan = plan(align, join, &selection, &mut givers)?;
                let is_whole = plan.each_row.is_some();
                // Of a track whose rows may be left out, any row may be the last before the start.
                let selection =
                    if is_whole { selection } else { selection.reaching(start, end)? };
                Ok((selection, Arc::new(plan)))
            })
            .collect::<Result<_, TrackError>>()?;
        Ok(Aligned { ticks, joins })
    }

    /// A misspelt name must not look like a track without rows.
    fn select_recorded(&self, topic: &str, query: &Query) -> Result<SelectedRows, TrackError> {
        let selection = self.tracks(topic).select(query)?;
        if !selection.exists() {
            let existing = self.list()?.into_iter().map(|track| track.topic).collect();
            return Err(AlignError::NoTrack { topic: topic.to_owned(), existing }.into());
        }
        Ok(selection)
    }
}

/// Resolves how to join a track.
fn plan<'a>(
    align: &Align,
    join: &'a Join,
    selection: &SelectedRows,
    givers: &mut Givers<'a>,
) -> Result<Plan, AlignError> {
    let rules = join.rules.or(align.defaults);
    let tolerance_secs = rules.tolerance_secs.unwrap_or(f64::INFINITY);
    if tolerance_secs.is_nan() || tolerance_secs < 0.0 {
        return Err(AlignError::Tolerance(tolerance_secs));
    }
    let columns = chosen(selection, join.columns.as_deref(), &join.renames)?;
    let known = selection.columns();
    let quaternions = join.quaternions.iter().map(|name| existing(selection, &known, name));
    let quaternions = quaternions.collect::<Result<Vec<_>, _>>()?;
    let age = join.age.as_deref();
    let given = Given { topic: &join.topic, columns: columns.clone(), renames: &join.renames, age };
    let names = givers.name(&given)?;
    let is_time = |name: &&String| **name == TIMESTAMP_COLUMN;
    Ok(Plan {
        topic: join.topic.clone(),
        method: rules.method.unwrap_or_default(),
        tolerance_secs,
        missing: rules.missing.unwrap_or_default(),
        timestamp: columns.iter().find(is_time).map(|name| names.joined(name)),
        age: age.map(Column::from),
        quaternions: quaternions.into_iter().chain(selection.quaternions().to_vec()).collect(),
        columns: columns.iter().filter(|name| !is_time(name)).map(|n| n.as_str().into()).collect(),
        names: Renamed::new(names),
        each_row: join.each_row.clone(),
    })
}

/// The columns that a track gives, by their own names, `timestamp` among them unless others were
/// named. A misspelt name must not look like a column without values.
fn chosen(
    selection: &SelectedRows,
    named: Option<&[String]>,
    renames: &[(String, String)],
) -> Result<Vec<String>, AlignError> {
    let known = selection.columns();
    let every = || [TIMESTAMP_COLUMN.to_owned()].into_iter().chain(known.iter().cloned());
    let mut seen = HashSet::new();
    let chosen: Vec<String> = match named {
        None => every().collect(),
        Some(named) => named.iter().filter(|name| seen.insert(*name)).cloned().collect(),
    };
    let asked = chosen.iter().chain(renames.iter().map(|(own, _)| own));
    for column in asked.filter(|name| *name != TIMESTAMP_COLUMN) {
        existing(selection, &known, column)?;
    }
    Ok(chosen)
}

fn existing(
    selection: &SelectedRows,
    known: &[String],
    column: &str,
) -> Result<Column, AlignError> {
    if known.iter().any(|known| known == column) {
        return Ok(column.into());
    }
    let (topic, column) = (selection.topic().to_owned(), column.to_owned());
    Err(AlignError::NoColumn { topic, column, existing: known.to_vec() })
}

/// The grid that `query` leaves to the joined tracks.
fn grid(query: &Query, hz: f64, joined: &[SelectedRows]) -> Result<Grid, AlignError> {
    let spans = || joined.iter().map(|selection| (selection, selection.span()));
    let start = if query.start().is_finite() {
        query.start()
    } else {
        let first = |(selection, span): (&SelectedRows, Option<(Timestamp, Timestamp)>)| match span
        {
            Some((first, _)) => Ok(first.as_secs()),
            None => Err(AlignError::NoRows { topic: selection.topic().to_owned() }),
        };
        spans().map(first).try_fold(f64::NEG_INFINITY, |start, first| Ok(start.max(first?)))?
    };
    let end = if query.end().is_finite() {
        query.end()
    } else {
        let last = spans().filter_map(|(_, span)| span).map(|(_, last)| last.as_secs());
        match last.reduce(f64::max) {
            // A tick at the last row can be a little later than it.
            Some(last) => last + slack_secs(start, last),
            // Without any row there is no tick.
            None => start.next_down(),
        }
    };
    Grid::new(start, end, hz)
}

impl Aligned {
    /// Iterates over the joined rows from the first. Every call gives the same rows.
    pub fn rows(&self) -> AlignedRows {
        let joins = self.joins.iter().map(|(selection, plan)| Joined::new(selection, plan));
        AlignedRows::new(self.ticks.rows(), joins.collect())
    }

    /// Returns the joined rows as a file.
    ///
    /// # Errors
    /// Fails if the store can't be read, or a track has nothing to join at a time and that is an
    /// error.
    pub fn export(&self, export: impl Into<Export>) -> Result<Vec<u8>, TrackError> {
        let mut out = Vec::new();
        self.export_to(export, &mut out)?;
        Ok(out)
    }

    /// Like [`export`](Self::export), but writes to `out` as it goes.
    ///
    /// # Errors
    /// Like [`export`](Self::export), and if `out` can't be written.
    pub fn export_to(
        &self,
        export: impl Into<Export>,
        out: &mut (dyn Write + Send),
    ) -> Result<(), TrackError> {
        format::write(export.into(), self, out)
    }
}

impl RowSource for Aligned {
    type Rows = AlignedRows;

    fn rows(&self) -> AlignedRows {
        self.rows()
    }

    fn table(&self) -> Result<Table, TrackError> {
        if self.joins.iter().any(|(_, plan)| plan.each_row.is_some()) {
            // What was stored tells neither their columns nor their types.
            return Table::of_rows(self);
        }
        let mut table = Table::default();
        if let Ticks::Grid(grid) = &self.ticks {
            table.rows = grid.len();
        }
        if let Ticks::Track { selection, names } = &self.ticks {
            let TypedColumns { form, columns, rows } = TypedColumns::of(selection)?;
            table.rows = rows;
            let columns = columns.into_iter().map(|(own, ty)| {
                let joined = names.names().joined(&own);
                (own, (joined, ty))
            });
            table.push_section(form, selection, Some(Place::Time), columns);
        }
        for (selection, plan) in &self.joins {
            plan.push_onto(&mut table, selection)?;
        }
        Ok(table)
    }

    fn about(&self) -> About {
        match &self.ticks {
            Ticks::Track { selection, .. } => About::topic(selection.topic().to_owned(), true),
            Ticks::Grid(_) => About::topic("joined".to_owned(), true),
        }
    }
}

impl Plan {
    /// Adds the track's columns to `table`: its time, its age, then the others.
    fn push_onto(&self, table: &mut Table, selection: &SelectedRows) -> Result<(), TrackError> {
        let TypedColumns { form, mut columns, .. } = TypedColumns::of(selection)?;
        if self.method == AlignMethod::Window(Aggregate::Count) {
            let counted = self.columns.iter().map(|name| (name.clone(), ColumnType::Int));
            let unseen = |(name, _): &(Column, _)| columns.iter().all(|(known, _)| known != name);
            let unseen: Vec<_> = counted.filter(unseen).collect();
            columns.extend(unseen);
        }
        let float = |name: &Option<Column>| name.clone().map(|name| (name, ColumnType::Float));
        let time = float(&self.timestamp).map(|column| table.push(column));
        if let Some(age) = float(&self.age) {
            table.push(age);
        }
        let columns = columns.into_iter().map(|(own, ty)| {
            let joined = self.names.names().joined(&own);
            (own, (joined, self.type_of(ty)))
        });
        table.push_section(form, selection, time, columns);
        Ok(())
    }

    /// The type of the joined values of a column whose own values are of type `ty`.
    fn type_of(&self, ty: ColumnType) -> ColumnType {
        match self.method {
            AlignMethod::Window(Aggregate::Count) => ColumnType::Int,
            AlignMethod::Linear | AlignMethod::Window(Aggregate::Mean) => match ty {
                ColumnType::Int | ColumnType::UInt => ColumnType::Float,
                ColumnType::List(items) if matches!(*items, ColumnType::Int | ColumnType::UInt) => {
                    ColumnType::list(ColumnType::Float)
                }
                other => other,
            },
            AlignMethod::Floor | AlignMethod::Nearest | AlignMethod::Window(_) => ty,
        }
    }
}
