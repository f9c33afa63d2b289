//! `csv`: one line a row and one cell a column, for spreadsheets and tools that know nothing of lists.
//! RFC 4180 as the `csv` crate writes it, with `\n` at the end of every line.

use std::io::{self, Write};

use csv::{ByteRecord, Terminator, WriterBuilder};
use jiter::{Jiter, Peek};

use super::survey::{Places, Survey};
use super::{RowSource, RowStream, RowText, typed};
use crate::track::error::TrackError;
use crate::track::json::{JsonRowError, NonFinite, WalkError, reader, walk_object};
use crate::track::row::TIMESTAMP_COLUMN;

/// Writes the rows of `source` to `out`, the names of the columns first.
pub(super) fn write(
    source: &impl RowSource,
    non_finite: NonFinite,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    let survey = Survey::of(source)?;
    let row_text = match non_finite {
        NonFinite::Tokens => survey.text(),
        NonFinite::Null => RowText::Rebuilt(NonFinite::Null),
    };
    let columns = typed::names(source, &survey);
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
    let header = columns.iter().map(|name| &**name);
    writer.write_record([TIMESTAMP_COLUMN].into_iter().chain(header)).map_err(failed)?;
    let mut cells = Cells { ends: vec![(0, 0); columns.len() + 1], text: Vec::new() };
    let places: Places = columns.into_iter().collect();
    let mut record = ByteRecord::new();
    let mut rows = source.rows();
    let mut row = Vec::new();
    while let Some(read) = rows.next_json(row_text, &mut row) {
        read?;
        cells.fill(&row, &places).map_err(|error| TrackError::Corrupt {
            topic: source.about().topic,
            reason: error.to_string(),
        })?;
        record.clear();
        cells.ends.iter().for_each(|(start, end)| {
            record.push_field(cells.text.get(*start..*end).unwrap_or_default());
        });
        writer.write_byte_record(&record).map_err(failed)?;
        row.clear();
    }
    writer.flush().map_err(TrackError::Export)
}

/// The cells of one row.
struct Cells {
    /// Where each cell lies in `text`: the time, then the columns by their places.
    ends: Vec<(usize, usize)>,
    text: Vec<u8>,
}

impl Cells {
    fn fill(&mut self, row: &[u8], places: &Places) -> Result<(), JsonRowError> {
        self.text.clear();
        self.ends.fill((0, 0));
        let mut hint = 0;
        let mut jiter = reader(row);
        walk_object(&mut jiter, |jiter, name| {
            let start = self.text.len();
            push_cell(jiter, &mut self.text)?;
            let cell = (start, self.text.len());
            let place = match name {
                TIMESTAMP_COLUMN => Some(0),
                // The survey has seen every column.
                name => places.find(name, hint).map(|place| {
                    hint = place + 1;
                    place + 1
                }),
            };
            if let Some(known) = place.and_then(|place| self.ends.get_mut(place)) {
                *known = cell;
            }
            Ok(())
        })
        .map_err(|error: WalkError| error.at(&jiter))
    }
}

/// The next value as a cell: a text as it is, nothing for null, all else as in JSON.
fn push_cell(jiter: &mut Jiter<'_>, cell: &mut Vec<u8>) -> Result<(), WalkError> {
    let peek = jiter.peek()?;
    match peek {
        Peek::Null => jiter.known_null()?,
        Peek::String => cell.extend_from_slice(jiter.known_str()?.as_bytes()),
        _ => {
            let start = jiter.current_index();
            jiter.known_skip(peek)?;
            cell.extend_from_slice(jiter.slice_to_current(start));
        }
    }
    Ok(())
}

/// Errors of the writer are those of its destination, or else bugs.
fn failed(error: csv::Error) -> TrackError {
    TrackError::Export(match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    })
}
