//! Goes through joined tracks in step, and has each time's row as values or as texts.

use crate::align::join::{Choice, Joined};
use crate::align::ticks::{Tick, TickRows};
use crate::error::TrackError;
use crate::format::{RowSink, RowStream, Table, write_row};
use crate::json::NonFinite;
use crate::local::RawRow;
use crate::row::Row;

/// Joined rows in order of time.
pub struct AlignedRows {
    ticks: TickRows,
    joins: Vec<Joined>,
    /// What each track has for the time at hand.
    choices: Vec<Choice>,
    /// Room for the text of a row.
    text: Vec<u8>,
}

impl Iterator for AlignedRows {
    type Item = Result<Row, TrackError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_time()?.and_then(|(tick, raw)| {
            let mut fields = self.ticks.fields(raw.as_ref())?;
            for (joined, choice) in self.joins.iter_mut().zip(&self.choices) {
                joined.add_to(&mut fields, *choice, tick)?;
            }
            Ok(Row::new(tick.ts, fields))
        }))
    }
}

impl AlignedRows {
    pub(super) fn new(ticks: TickRows, joins: Vec<Joined>) -> Self {
        Self { ticks, joins, choices: Vec::new(), text: Vec::new() }
    }

    /// Moves to the next time at which there is a row, and decides what it has of each track.
    fn next_time(&mut self) -> Option<Result<(Tick, Option<RawRow>), TrackError>> {
        loop {
            let (tick, raw) = match self.ticks.next()? {
                Ok(next) => next,
                Err(error) => return Some(Err(error)),
            };
            self.choices.clear();
            for joined in &mut self.joins {
                match joined.decide(tick) {
                    Ok(Some(choice)) => self.choices.push(choice),
                    Ok(None) => break,
                    Err(error) => return Some(Err(error)),
                }
            }
            if self.choices.len() == self.joins.len() {
                return Some(Ok((tick, raw)));
            }
        }
    }
}

impl RowStream for AlignedRows {
    fn next_into(
        &mut self,
        table: &Table,
        sink: &mut impl RowSink,
    ) -> Option<Result<(), TrackError>> {
        if table.is_whole {
            let row = self.next()?;
            return Some(row.and_then(|row| {
                self.text.clear();
                write_row(&row, NonFinite::Tokens, &mut self.text);
                sink.text(0, &self.text)?;
                sink.end()
            }));
        }
        let next = self.next_time()?;
        Some(next.and_then(|(tick, raw)| {
            let mut sections = table.sections.iter().enumerate();
            match &raw {
                Some(raw) => {
                    if let Some((number, section)) = sections.next() {
                        sink.text(number, self.ticks.text(raw, section.form, &mut self.text)?)?;
                    }
                }
                None => sink.time(tick.ts.as_secs()),
            }
            let joins = self.joins.iter_mut().zip(&self.choices);
            for ((joined, choice), (number, section)) in joins.zip(sections) {
                if let Some(age) = joined.age(*choice, tick, table) {
                    sink.float(age.0, age.1);
                }
                if let Some(text) = joined.text(*choice, tick, section.form)? {
                    sink.text(number, text)?;
                }
            }
            sink.end()
        }))
    }
}
