//! Reads one joined track. It moves forward with the other track's times, and parses a row only
//! when it is needed.

use std::mem;

use super::AlignMethod;
use super::names::Prefix;
use crate::error::TrackError;
use crate::format::RowSource;
use crate::local::RawRow;
use crate::row::{Column, Fields, TIMESTAMP_COLUMN, Timestamp, Value};
use crate::rows::{Rows, SelectedRows};
use crate::slice::{is_within, nearer};

pub(super) struct Joined {
    rows: Rows,
    method: AlignMethod,
    tolerance_secs: f64,
    /// The last row at or before the requested time.
    below: Option<Found>,
    /// The first row after it.
    above: Option<Found>,
    names: JoinedNames,
}

/// A row, with its columns under their joined names once they were needed.
struct Found {
    raw: RawRow,
    fields: Option<Fields>,
}

impl Joined {
    pub(super) fn new(
        selection: &SelectedRows,
        prefix: &Prefix,
        method: AlignMethod,
        tolerance_secs: f64,
    ) -> Self {
        Self {
            rows: selection.rows(),
            method,
            tolerance_secs,
            below: None,
            above: None,
            names: JoinedNames::new(prefix.clone()),
        }
    }

    /// Adds the values of this track at `ts`, which is later than in any call before.
    pub(super) fn add_to(&mut self, fields: &mut Fields, ts: Timestamp) -> Result<(), TrackError> {
        self.advance(ts)?;
        let below = self.below.as_ref().map(|found| found.raw.ts);
        let above = self.above.as_ref().map(|found| found.raw.ts);
        let wanted = match self.method {
            AlignMethod::Floor => below,
            AlignMethod::Nearest => nearer(below, above, ts.as_secs()),
        };
        let near = wanted.filter(|found| is_within(*found, ts.as_secs(), self.tolerance_secs));
        let holders = [&mut self.below, &mut self.above].into_iter().flatten();
        let Some(found) = holders.into_iter().find(|found| Some(found.raw.ts) == near) else {
            return Ok(());
        };
        if found.fields.is_none() {
            let row = self.rows.parse(&found.raw)?;
            found.fields = Some(self.names.rename(row.ts, row.fields));
        }
        fields.merge(found.fields.clone().unwrap_or_default());
        Ok(())
    }

    /// Moves forward until the next row is after `ts`.
    fn advance(&mut self, ts: Timestamp) -> Result<(), TrackError> {
        loop {
            if self.above.is_none() {
                self.above =
                    self.rows.next_raw().transpose()?.map(|raw| Found { raw, fields: None });
            }
            match &self.above {
                Some(above) if above.raw.ts <= ts => self.below = mem::take(&mut self.above),
                Some(_) | None => return Ok(()),
            }
        }
    }
}

/// The joined names of columns, for rows that mostly have the same ones.
struct JoinedNames {
    prefix: Prefix,
    timestamp: Column,
    /// The columns of the row before, in order: own name and joined name.
    recent: Vec<(Column, Column)>,
}

impl JoinedNames {
    fn new(prefix: Prefix) -> Self {
        let timestamp = prefix.joined(TIMESTAMP_COLUMN);
        Self { prefix, timestamp, recent: Vec::new() }
    }

    fn rename(&mut self, ts: Timestamp, fields: Fields) -> Fields {
        let mut renamed = Fields::with_capacity(fields.len() + 1);
        renamed.push_distinct(self.timestamp.clone(), Value::F64(ts.as_secs()));
        for (place, (name, value)) in fields.into_iter().enumerate() {
            renamed.push_distinct(self.joined(place, name), value);
        }
        renamed
    }

    fn joined(&mut self, place: usize, name: Column) -> Column {
        if let Some((_, joined)) = self.recent.get(place).filter(|(own, _)| *own == name) {
            return joined.clone();
        }
        let joined = self.prefix.joined(&name);
        self.recent.truncate(place);
        self.recent.push((name, joined.clone()));
        joined
    }
}
