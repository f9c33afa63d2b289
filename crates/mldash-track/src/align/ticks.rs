//! The times of the joined rows: those of a track's rows, or a grid.

use super::error::AlignError;
use super::names::Renamed;
use crate::error::TrackError;
use crate::format::{RowForm, RowSource};
use crate::local::RawRow;
use crate::row::{Fields, Timestamp};
use crate::rows::{Rows, SelectedRows};

/// Times of messages are whole nanoseconds.
const NANOSECOND: f64 = 1e-9;

/// A time to join at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    pub(super) ts: Timestamp,
    /// The step that ends at `ts` begins after this time, in seconds.
    pub(super) after: f64,
    /// Rows that are no further than this from `ts`, or from `after`, are at that very time.
    pub(super) slack_secs: f64,
}

impl Tick {
    /// Returns true if a row of this time is before the tick or at it.
    pub(super) fn reaches(self, ts: Timestamp) -> bool {
        ts.as_secs() <= self.ts.as_secs() + self.slack_secs
    }

    /// Returns true if a row of this time is at the tick.
    pub(super) fn is_at(self, ts: Timestamp) -> bool {
        self.reaches(ts) && ts.as_secs() >= self.ts.as_secs() - self.slack_secs
    }

    /// Returns true if a row of this time is in the step that ends at the tick.
    pub(super) fn has_in_step(self, ts: Timestamp) -> bool {
        self.reaches(ts) && ts.as_secs() > self.after + self.slack_secs
    }
}

/// Times at equal distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    start: f64,
    end: f64,
    hz: f64,
}

impl Grid {
    /// Ticks from `start` to `end`, in seconds, both inclusive.
    pub(super) fn new(start: f64, end: f64, hz: f64) -> Result<Self, AlignError> {
        // A row must not be at two ticks, even where floats are coarsest.
        if !(hz.is_finite() && hz > 0.0 && 1.0 / hz > 2.0 * slack_secs(start, end)) {
            return Err(AlignError::Rate(hz));
        }
        Ok(Self { start, end, hz })
    }

    /// The first tick, in seconds.
    pub(super) fn start(&self) -> f64 {
        self.start
    }

    /// The first step begins after this time, in seconds.
    pub(super) fn first_after(&self) -> f64 {
        self.at(-1.0)
    }

    /// The last possible tick, in seconds.
    pub(super) fn end(&self) -> f64 {
        self.end
    }

    /// The number of ticks, give or take one.
    pub(super) fn len(&self) -> u64 {
        ((self.end - self.start) * self.hz).max(0.0) as u64 + 1
    }

    /// Tick `i`, if the grid reaches that far. Never a sum of steps, whose errors would add up.
    pub(super) fn tick(&self, i: u64) -> Option<Tick> {
        let secs = self.at(i as f64);
        let ts = Timestamp::new(secs).ok().filter(|_| secs <= self.end)?;
        let slack_secs = slack_secs(self.start, self.end);
        Some(Tick { ts, after: self.at(i as f64 - 1.0), slack_secs })
    }

    fn at(&self, i: f64) -> f64 {
        self.start + i / self.hz
    }
}

/// How far a row can be from the computed tick of a grid from `start` to `end` whose time it is. Both
/// are rounded: the tick to a float, the row to a nanosecond and then to a float.
pub(super) fn slack_secs(start: f64, end: f64) -> f64 {
    (2.0 * resolution(start.abs().max(end.abs()))).max(NANOSECOND)
}

/// The distance to the next larger float.
fn resolution(secs: f64) -> f64 {
    secs.next_up() - secs
}

/// The times, and what the rows there have of their own.
#[derive(Debug)]
pub(super) enum Ticks {
    Track { selection: Box<SelectedRows>, names: Renamed },
    Grid(Grid),
}

/// One pass over the times.
pub(super) enum TickRows {
    Track { rows: Box<Rows>, names: Renamed, after: f64 },
    Grid { grid: Grid, next: u64 },
}

impl Ticks {
    pub(super) fn rows(&self) -> TickRows {
        match self {
            Self::Track { selection, names } => {
                // The first step has no row before it: it begins where the range does.
                let after = selection.start().next_down();
                TickRows::Track { rows: Box::new(selection.rows()), names: names.clone(), after }
            }
            Self::Grid(grid) => TickRows::Grid { grid: *grid, next: 0 },
        }
    }
}

impl TickRows {
    /// The next time, and what the track has there.
    pub(super) fn next(&mut self) -> Option<Result<(Tick, Option<RawRow>), TrackError>> {
        match self {
            Self::Track { rows, after, .. } => Some(rows.next_raw()?.map(|raw| {
                let tick = Tick { ts: raw.ts, after: *after, slack_secs: 0.0 };
                *after = raw.ts.as_secs();
                (tick, Some(raw))
            })),
            Self::Grid { grid, next } => {
                let tick = grid.tick(*next)?;
                *next += 1;
                Some(Ok((tick, None)))
            }
        }
    }

    /// The fields that the row has before any are joined.
    pub(super) fn fields(&mut self, raw: Option<&RawRow>) -> Result<Fields, TrackError> {
        match (self, raw) {
            (Self::Track { rows, names, .. }, Some(raw)) => {
                Ok(names.rename(rows.parse(raw)?.fields))
            }
            _ => Ok(Fields::new()),
        }
    }

    /// The text of the row before any are joined, with the track's own names.
    pub(super) fn text<'t>(
        &mut self,
        raw: &'t RawRow,
        form: RowForm,
        out: &'t mut Vec<u8>,
    ) -> Result<&'t [u8], TrackError> {
        match self {
            Self::Track { rows, .. } => rows.text_of(raw, form, out),
            Self::Grid { .. } => Ok(b"{}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_drift() {
        let grid = Grid::new(0.0, 1e6, 30.0).unwrap();
        let ticks = [1, 3, 30 * 86_400, 29_999_999].map(|i| grid.tick(i).unwrap().ts.as_secs());
        assert_eq!(ticks, [1.0 / 30.0, 0.1, 86_400.0, 29_999_999.0 / 30.0]);
        assert!(grid.tick(30_000_000).is_some());
        assert!(grid.tick(30_000_001).is_none());
    }

    #[test]
    fn a_rate_without_a_grid_is_refused() {
        for hz in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10, 5e6] {
            assert!(Grid::new(1.7e9, 1.8e9, hz).is_err(), "{hz}");
        }
    }
}
