//! `csv`: one line per row and one cell per column, for spreadsheets and tools without lists. RFC
//! 4180 as the `csv` crate writes it, with `\n` at the end of every line.

use std::io::{self, Write};
use std::ops::Range;

use csv::{ByteRecord, Terminator, WriterBuilder};

use super::survey::Places;
use super::{RowSource, RowStream, rows_of};
use crate::error::TrackError;
use crate::json::{NonFinite, RowShape, ScanError, Scanner};
use crate::row::{Column, TIMESTAMP_COLUMN};

/// Writes the rows of `source` to `out` after a line of column names.
pub(super) fn write(
    source: &impl RowSource,
    non_finite: NonFinite,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    let table = source.table()?;
    let form = table.form_with(non_finite);
    let columns: Vec<Column> = table.columns.into_iter().map(|(name, _)| name).collect();
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
    let header = columns.iter().map(|name| &**name);
    writer.write_record([TIMESTAMP_COLUMN].into_iter().chain(header)).map_err(failed)?;
    let places: Places = columns.into_iter().collect();
    let mut cells = Cells::new(places);
    let mut record = ByteRecord::new();
    let mut rows = source.rows();
    let mut lines = Vec::new();
    while let Some(read) = rows.next_lines(form, &mut lines) {
        read?;
        for row in rows_of(&lines) {
            cells.fill(row).map_err(|error| TrackError::Corrupt {
                topic: source.about().topic,
                reason: error.to_string(),
            })?;
            record.clear();
            cells.iter().for_each(|cell| record.push_field(cell));
            writer.write_byte_record(&record).map_err(failed)?;
        }
        lines.clear();
    }
    writer.flush().map_err(TrackError::Export)
}

/// The cells of one row.
struct Cells {
    places: Places,
    /// The cell number of each column.
    shape: RowShape<usize>,
    text: Vec<u8>,
    /// The range of each cell in `text`: the time, then the columns in order.
    cells: Vec<Range<usize>>,
}

impl Cells {
    fn new(places: Places) -> Self {
        let cells = vec![0..0; places.len() + 1];
        Self { places, shape: RowShape::default(), text: Vec::new(), cells }
    }

    fn fill(&mut self, row: &[u8]) -> Result<(), ScanError> {
        let Self { places, shape, text, cells } = self;
        text.clear();
        cells.fill(0..0);
        let mut hint = 0;
        let name = |name: &str| {
            if name == TIMESTAMP_COLUMN {
                return Ok(0);
            }
            // The survey saw every column.
            let place = places.find(name, hint).ok_or(ScanError(0))?;
            hint = place + 1;
            Ok(hint)
        };
        shape.walk(row, name, |cell, scanner| {
            let start = text.len();
            push_cell(scanner, text)?;
            cells[cell] = start..text.len();
            Ok(())
        })
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.cells.iter().map(|cell| self.text.get(cell.clone()).unwrap_or_default())
    }
}

/// Appends the next value as a cell: text as it is, nothing for null, JSON for the rest.
fn push_cell(scanner: &mut Scanner<'_>, cell: &mut Vec<u8>) -> Result<(), ScanError> {
    match scanner.peek() {
        Some(b'n') => scanner.expect_word(b"null")?,
        Some(b'"') => cell.extend_from_slice(scanner.text()?.as_bytes()),
        Some(b'-' | b'0'..=b'9') => cell.extend_from_slice(scanner.number()?),
        _ => {
            let start = scanner.at();
            scanner.by_jiter(|jiter| jiter.next_skip())?;
            cell.extend_from_slice(scanner.since(start));
        }
    }
    Ok(())
}

/// The writer's errors come from its destination; any other is a bug.
fn failed(error: csv::Error) -> TrackError {
    TrackError::Export(match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    })
}
