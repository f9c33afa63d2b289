//! One joined track in one pass. It moves forward with the times of the joined rows, and parses a
//! row only when it is needed.

use std::mem;
use std::sync::Arc;

use super::interpolate::{as_floats, linear, slerp};
use super::names::Renamed;
use super::ticks::Tick;
use super::window::Window;
use super::{Aggregate, AlignError, AlignMethod, EachRow, Missing};
use crate::error::TrackError;
use crate::format::{RowForm, RowSource, Table};
use crate::json::{JsonWriter, NonFinite};
use crate::local::RawRow;
use crate::row::{Column, Fields, TIMESTAMP_COLUMN, Timestamp, Value};
use crate::rows::{Rows, SelectedRows};
use crate::slice::{is_within, nearer};

/// How to join one track.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topic: String,
    pub(super) method: AlignMethod,
    pub(super) tolerance_secs: f64,
    pub(super) missing: Missing,
    pub(super) names: Renamed,
    /// The joined name of the time of the row, if wanted.
    pub(super) timestamp: Option<Column>,
    /// The name of the age, if wanted.
    pub(super) age: Option<Column>,
    /// The own names of the columns that hold quaternions.
    pub(super) quaternions: Vec<Column>,
    /// The own names of all columns.
    pub(super) columns: Vec<Column>,
    /// What is done with each row first.
    pub(super) each_row: Option<EachRow>,
}

pub(super) struct Joined {
    plan: Arc<Plan>,
    rows: Rows,
    names: Renamed,
    /// The last row at or before the requested time.
    below: Option<Found>,
    /// The first row after it.
    above: Option<Found>,
    window: Option<Window>,
    /// The number of the column for the age, once it was needed.
    age_place: Option<usize>,
    /// Room for a text.
    text: Vec<u8>,
}

/// A row, with its columns once they were needed.
struct Found {
    raw: RawRow,
    fields: Option<Fields>,
}

/// What a track has for a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    /// The row at or before it.
    Below,
    /// The row after it.
    Above,
    /// A value so much of the way from the row below to the row above.
    Between(f64),
    /// What the rows of the step come to.
    Window,
    /// Nothing.
    Nothing,
}

impl Joined {
    pub(super) fn new(selection: &SelectedRows, plan: &Arc<Plan>) -> Self {
        let window = match plan.method {
            AlignMethod::Window(aggregate) => Some(Window::new(aggregate)),
            AlignMethod::Floor | AlignMethod::Nearest | AlignMethod::Linear => None,
        };
        Self {
            rows: selection.rows(),
            names: plan.names.clone(),
            plan: plan.clone(),
            below: None,
            above: None,
            window,
            age_place: None,
            text: Vec::new(),
        }
    }

    /// Decides what a joined row has of this track at a time that is later than in any call before;
    /// `None` if there is no row then.
    pub(super) fn decide(&mut self, tick: Tick) -> Result<Option<Choice>, TrackError> {
        Ok(match self.choose(tick)? {
            Choice::Nothing => match self.plan.missing {
                Missing::Null => Some(Choice::Nothing),
                Missing::Hold if self.below.is_some() => Some(Choice::Below),
                Missing::Hold => Some(Choice::Nothing),
                Missing::Drop => None,
                Missing::Error => return Err(self.missing(tick).into()),
            },
            choice => Some(choice),
        })
    }

    /// Adds what was decided for a time to a row's fields.
    pub(super) fn add_to(
        &mut self,
        fields: &mut Fields,
        choice: Choice,
        tick: Tick,
    ) -> Result<(), TrackError> {
        let values = self.values(choice)?;
        let mut joined = Fields::with_capacity(values.len() + 2);
        if let (Some(name), Some(time)) = (&self.plan.timestamp, self.time_of(choice, tick)) {
            joined.push_distinct(name.clone(), Value::F64(time.as_secs()));
        }
        if let (Some(name), Some(age)) = (&self.plan.age, self.age_at(choice, tick)) {
            joined.push_distinct(name.clone(), Value::F64(age));
        }
        self.names.rename_into(values, &mut joined);
        fields.merge(joined);
        Ok(())
    }

    /// The text of what was decided for a time, with the track's own names; `None` if that is
    /// nothing. A row that is taken as it is need not be parsed.
    pub(super) fn text(
        &mut self,
        choice: Choice,
        tick: Tick,
        form: RowForm,
    ) -> Result<Option<&[u8]>, TrackError> {
        if choice == Choice::Nothing {
            return Ok(None);
        }
        let is_as_it_is = matches!(choice, Choice::Below | Choice::Above) && !self.gives_floats();
        if !is_as_it_is {
            let time = self.time_of(choice, tick);
            let time = time.map(|ts| (TIMESTAMP_COLUMN.into(), Value::F64(ts.as_secs())));
            let values = self.values(choice)?.into_iter();
            let row = Value::Map(time.into_iter().chain(values).collect());
            self.text.clear();
            JsonWriter::new(&mut self.text, NonFinite::Tokens).value(&row);
            return Ok(Some(&self.text));
        }
        let found = if choice == Choice::Below { &self.below } else { &self.above };
        let Some(found) = found else { return Ok(None) };
        self.rows.text_of(&found.raw, form, &mut self.text).map(Some)
    }

    /// Moves to a time and finds what is there.
    fn choose(&mut self, tick: Tick) -> Result<Choice, TrackError> {
        self.advance(tick)?;
        let (secs, tolerance) = (tick.ts.as_secs(), self.plan.tolerance_secs);
        let time = |found: &Option<Found>| found.as_ref().map(|found| found.raw.ts);
        let (below, above) = (time(&self.below), time(&self.above));
        let is_near = |ts: &Timestamp| tick.is_at(*ts) || is_within(*ts, secs, tolerance);
        Ok(match self.plan.method {
            AlignMethod::Floor if below.as_ref().is_some_and(is_near) => Choice::Below,
            AlignMethod::Nearest => match nearer(below, above, secs).filter(is_near) {
                Some(near) if Some(near) == below => Choice::Below,
                Some(_) => Choice::Above,
                None => Choice::Nothing,
            },
            AlignMethod::Linear => match (below.filter(is_near), above.filter(is_near)) {
                // The row is there at that very time.
                (Some(below), _) if tick.is_at(below) => Choice::Below,
                (Some(below), Some(above)) => {
                    let (below, above) = (below.as_secs(), above.as_secs());
                    Choice::Between((secs - below) / (above - below))
                }
                _ => Choice::Nothing,
            },
            AlignMethod::Window(Aggregate::Count) => Choice::Window,
            AlignMethod::Window(_) => match below.filter(|ts| self.is_in(*ts, tick)) {
                Some(_) => Choice::Window,
                None => Choice::Nothing,
            },
            AlignMethod::Floor => Choice::Nothing,
        })
    }

    /// Moves forward until the next row is after the tick.
    fn advance(&mut self, tick: Tick) -> Result<(), TrackError> {
        // Another track can have dropped the row that these values were for.
        if let Some(window) = &mut self.window {
            window.clear();
        }
        loop {
            if self.above.is_none() {
                self.above = self.next_row()?;
            }
            let Some(above) = self.above.as_ref().filter(|above| tick.reaches(above.raw.ts)) else {
                return Ok(());
            };
            if self.window.is_some() && self.is_in(above.raw.ts, tick) {
                let fields = match above.fields.clone() {
                    Some(fields) => fields,
                    None => self.rows.parse(&above.raw)?.fields,
                };
                let quaternions = &self.plan.quaternions;
                let is_quaternion = |name: &str| quaternions.iter().any(|known| **known == *name);
                if let Some(window) = &mut self.window {
                    window.add(fields, is_quaternion);
                }
            }
            self.below = mem::take(&mut self.above);
        }
    }

    /// The track's next row that is not left out.
    fn next_row(&mut self) -> Result<Option<Found>, TrackError> {
        let Some(EachRow(change)) = &self.plan.each_row else {
            let next = self.rows.next_raw().transpose()?;
            return Ok(next.map(|raw| Found { raw, fields: None }));
        };
        while let Some(raw) = self.rows.next_raw().transpose()? {
            let mut fields = self.rows.parse(&raw)?.fields;
            if change(&mut fields) {
                return Ok(Some(Found { raw, fields: Some(fields) }));
            }
        }
        Ok(None)
    }

    /// Returns true if a row is in the step that ends at the tick, and near enough.
    fn is_in(&self, ts: Timestamp, tick: Tick) -> bool {
        let is_near = is_within(ts, tick.ts.as_secs(), self.plan.tolerance_secs);
        tick.has_in_step(ts) && (is_near || tick.is_at(ts))
    }

    /// Returns true if numbers become floats, whatever they were.
    fn gives_floats(&self) -> bool {
        match self.plan.method {
            AlignMethod::Linear | AlignMethod::Window(Aggregate::Mean) => true,
            AlignMethod::Floor | AlignMethod::Nearest | AlignMethod::Window(_) => false,
        }
    }

    /// The values that were chosen, by their own names.
    fn values(&mut self, choice: Choice) -> Result<Fields, TrackError> {
        let floats = self.gives_floats();
        let Self { rows, below, above, window, plan, .. } = self;
        match choice {
            Choice::Below if floats => {
                let fields = fields_of(below, rows)?.cloned().unwrap_or_default();
                Ok(map(fields, |_, value| as_floats(&value)))
            }
            Choice::Below => Ok(fields_of(below, rows)?.cloned().unwrap_or_default()),
            Choice::Above => Ok(fields_of(above, rows)?.cloned().unwrap_or_default()),
            Choice::Between(weight) => {
                let above = fields_of(above, rows)?;
                let below = fields_of(below, rows)?.cloned().unwrap_or_default();
                Ok(map(below, |name, value| {
                    let above = above.and_then(|fields| fields.get(name));
                    let is_quaternion = plan.quaternions.contains(name);
                    let between = if is_quaternion { slerp } else { linear };
                    between(&value, above, weight)
                }))
            }
            Choice::Window => {
                let found = window.as_mut().map(Window::take).unwrap_or_default();
                if plan.method != AlignMethod::Window(Aggregate::Count) {
                    return Ok(found);
                }
                let none = plan.columns.iter().filter(|name| found.get(name).is_none());
                let none: Vec<_> = none.map(|name| (name.clone(), Value::Int(0))).collect();
                Ok(Fields::from_distinct(found.into_iter().chain(none).collect()))
            }
            Choice::Nothing => Ok(Fields::new()),
        }
    }

    /// The time of the row that was chosen: of two rows the earlier, of a step's rows the last.
    fn time_of(&self, choice: Choice, tick: Tick) -> Option<Timestamp> {
        let time = |found: &Option<Found>| found.as_ref().map(|found| found.raw.ts);
        match choice {
            Choice::Below | Choice::Between(_) => time(&self.below),
            Choice::Above => time(&self.above),
            Choice::Window => time(&self.below).filter(|ts| self.is_in(*ts, tick)),
            Choice::Nothing => None,
        }
    }

    /// The column for the age in `table`, and the age.
    pub(super) fn age(
        &mut self,
        choice: Choice,
        tick: Tick,
        table: &Table,
    ) -> Option<(usize, f64)> {
        let name = self.plan.age.as_ref()?;
        let is_age = |column: &(Column, _)| column.0 == *name;
        let place = match self.age_place {
            Some(place) => place,
            None => *self.age_place.insert(table.columns.iter().position(is_age)?),
        };
        Some((place, self.age_at(choice, tick)?))
    }

    fn age_at(&self, choice: Choice, tick: Tick) -> Option<f64> {
        let time = self.time_of(choice, tick)?;
        let age = if tick.is_at(time) { 0.0 } else { tick.ts.as_secs() - time.as_secs() };
        let above = self.above.as_ref().filter(|_| matches!(choice, Choice::Between(_)));
        Some(above.map_or(age, |above| age.max(above.raw.ts.as_secs() - tick.ts.as_secs())))
    }

    fn missing(&self, tick: Tick) -> AlignError {
        let Plan { topic, tolerance_secs, .. } = &*self.plan;
        let (topic, tolerance_secs) = (topic.clone(), *tolerance_secs);
        AlignError::Missing { topic, secs: tick.ts.as_secs(), tolerance_secs }
    }
}

/// The columns of a row, parsed at most once.
fn fields_of<'f>(
    found: &'f mut Option<Found>,
    rows: &mut Rows,
) -> Result<Option<&'f Fields>, TrackError> {
    let Some(Found { raw, fields }) = found else { return Ok(None) };
    if fields.is_none() {
        *fields = Some(rows.parse(raw)?.fields);
    }
    Ok(fields.as_ref())
}

fn map(fields: Fields, mut value_of: impl FnMut(&Column, Value) -> Value) -> Fields {
    let mapped = fields.into_iter().map(|(name, value)| {
        let value = value_of(&name, value);
        (name, value)
    });
    Fields::from_distinct(mapped.collect())
}
