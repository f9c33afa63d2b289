//! Turns stored lines into wire entries: strict JSON, each time once, limited in rows. A row that
//! names a file which the server lacks ends its batch. Pure; knows neither files nor the network.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::file_names::{FileId, FileNames};
use crate::json::{Columns, JsonWriter, NonFinite, RowParser, scan_row};
use crate::local::Lines;
use crate::row::{TIMESTAMP_COLUMN, Timestamp, Value};

const HEAD: &[u8] = b"{\"entries\":[";
const TAIL: &[u8] = b"]}";

/// Rows to be sent together.
#[derive(Debug, Default)]
pub(crate) struct WireRows {
    rows: Vec<WireRow>,
    json: Vec<u8>,
    /// The lines that they come from.
    pub(crate) lines: Lines,
    /// How many bytes of the lines' text are done once the rows are sent.
    pub(crate) taken_bytes: usize,
    /// Lines among them that are not rows. Readers do not count them either.
    pub(crate) not_rows: u64,
    /// Files that the row after the batch names and the server lacks.
    pub(crate) awaits: Vec<FileId>,
}

/// One row as JSON.
#[derive(Clone, Debug)]
struct WireRow {
    ts: Timestamp,
    json: Range<usize>,
    /// Where its first line begins in the lines' text.
    start: usize,
    lines: u64,
    nulled: u64,
}

impl WireRows {
    /// Collects the rows of `lines`, at most `max_rows`, up to the first that names one of
    /// `waiting`.
    pub(crate) fn new(lines: Lines, max_rows: usize, waiting: &FileNames) -> Self {
        let mut batch = Self { json: Vec::with_capacity(lines.text.len()), ..Self::default() };
        let mut places: HashMap<Timestamp, usize> = HashMap::new();
        let mut parser = RowParser::default();
        for line in lines.text.split_inclusive(|byte| *byte == b'\n') {
            if batch.rows.len() >= max_rows {
                break;
            }
            if let Ok(ts) = scan_row(line, |_| {}) {
                batch.awaits = files_named(line, waiting, &mut parser);
                if !batch.awaits.is_empty() {
                    break;
                }
                batch.push(ts, line.trim_ascii(), &mut places, &mut parser);
            } else if !line.trim_ascii().is_empty() {
                batch.not_rows += 1;
            }
            batch.taken_bytes += line.len();
        }
        batch.lines = lines;
        batch
    }

    fn push(
        &mut self,
        ts: Timestamp,
        line: &[u8],
        places: &mut HashMap<Timestamp, usize>,
        parser: &mut RowParser,
    ) {
        if let Some(place) = places.get(&ts) {
            self.merge(*place, line, parser);
            return;
        }
        let start = self.json.len();
        let nulled = write_strict(line, parser, &mut self.json);
        places.insert(ts, self.rows.len());
        let json = start..self.json.len();
        self.rows.push(WireRow { ts, json, start: self.taken_bytes, lines: 1, nulled });
    }

    /// Merges rows of one time into one row; later fields win.
    fn merge(&mut self, place: usize, line: &[u8], parser: &mut RowParser) {
        let Some(row) = self.rows.get_mut(place) else { return };
        let known = self.json.get(row.json.clone()).unwrap_or_default();
        let parsed = (parser.row(known, &Columns::All), parser.row(line, &Columns::All));
        let (Ok(mut merged), Ok(later)) = parsed else { return };
        merged.fields.merge(later.fields);
        let start = self.json.len();
        let mut writer = JsonWriter::new(&mut self.json, NonFinite::Null);
        writer.row(TIMESTAMP_COLUMN, merged.ts, &merged.fields);
        row.nulled += writer.nulled();
        row.json = start..self.json.len();
        row.lines += 1;
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The request's body for some of the rows.
    pub(crate) fn body(&self, rows: Range<usize>) -> Vec<u8> {
        let mut body = HEAD.to_vec();
        for (i, row) in self.rows.get(rows).unwrap_or_default().iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(self.json.get(row.json.clone()).unwrap_or_default());
        }
        body.extend_from_slice(TAIL);
        body
    }

    /// How many bytes of the lines' text are done once the first `rows` rows are. Later lines that
    /// merged into one of these are sent again, which merges to the same.
    pub(crate) fn bytes_of_first(&self, rows: usize) -> usize {
        self.rows.get(rows).map_or(self.taken_bytes, |next| next.start)
    }

    /// The times of some of the rows.
    pub(crate) fn times(&self, rows: Range<usize>) -> impl Iterator<Item = Timestamp> {
        self.rows.get(rows).unwrap_or_default().iter().map(|row| row.ts)
    }

    /// For some of the rows: how many lines they come from and how many floats became null.
    pub(crate) fn counts(&self, rows: Range<usize>) -> (u64, u64) {
        let rows = self.rows.get(rows).unwrap_or_default().iter();
        rows.fold((0, 0), |(lines, nulled), row| (lines + row.lines, nulled + row.nulled))
    }
}

/// Writes `line`, a stored row, as strict JSON. Returns how many floats became null.
fn write_strict(line: &[u8], parser: &mut RowParser, out: &mut Vec<u8>) -> u64 {
    let may_be_strict =
        ["NaN", "Infinity"].iter().all(|token| memmem::find(line, token.as_bytes()).is_none());
    if may_be_strict {
        out.extend_from_slice(line);
        return 0;
    }
    let Ok(row) = parser.row(line, &Columns::All) else { return 0 };
    let mut writer = JsonWriter::new(out, NonFinite::Null);
    writer.row(TIMESTAMP_COLUMN, row.ts, &row.fields);
    writer.nulled()
}

fn files_named(line: &[u8], waiting: &FileNames, parser: &mut RowParser) -> Vec<FileId> {
    let mut named = Vec::new();
    if !waiting.is_empty()
        && let Ok(row) = parser.row(line, &Columns::All)
    {
        row.fields.iter().for_each(|(_, value)| find_names(value, waiting, &mut named));
    }
    named
}

fn find_names(value: &Value, waiting: &FileNames, named: &mut Vec<FileId>) {
    match value {
        Value::Text(text) => named.extend(waiting.named_by(text)),
        Value::List(items) => items.iter().for_each(|item| find_names(item, waiting, named)),
        Value::Map(entries) => {
            entries.iter().for_each(|(_, value)| find_names(value, waiting, named));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str, max_rows: usize, waiting: &FileNames) -> WireRows {
        let lines = Lines { text: text.as_bytes().to_vec(), ..Lines::default() };
        WireRows::new(lines, max_rows, waiting)
    }

    fn body(batch: &WireRows) -> String {
        String::from_utf8(batch.body(0..batch.len())).unwrap()
    }

    #[test]
    fn rows_go_as_they_lie_and_what_json_has_no_word_for_as_null() {
        let text = "{\"timestamp\": 1, \"a\": [1, 2]}\n{\"timestamp\":2,\"a\":[NaN,-Infinity,3]}\n";
        let batch = batch(text, 10, &FileNames::default());
        let expected =
            r#"{"entries":[{"timestamp": 1, "a": [1, 2]},{"timestamp":2.0,"a":[null,null,3]}]}"#;
        assert_eq!(body(&batch), expected);
        assert_eq!((batch.counts(0..2), batch.taken_bytes), ((2, 2), text.len()));
    }

    #[test]
    fn lines_that_are_not_rows_are_left_out_and_counted() {
        let batch = batch("{\"timestamp\":1}\nnonsense\n\n{\"a\":1}\n", 10, &FileNames::default());
        assert_eq!((batch.len(), batch.not_rows), (1, 2));
    }

    #[test]
    fn lines_of_one_time_are_one_row() {
        let text =
            "{\"timestamp\":1,\"a\":1,\"b\":1}\n{\"timestamp\":2}\n{\"timestamp\":1.0,\"a\":NaN}\n";
        let batch = batch(text, 10, &FileNames::default());
        let expected = r#"{"entries":[{"timestamp":1.0,"a":null,"b":1},{"timestamp":2}]}"#;
        assert_eq!(body(&batch), expected);
        assert_eq!(batch.counts(0..1), (2, 1));
    }

    #[test]
    fn a_row_that_names_a_waiting_file_waits_and_all_behind_it() {
        let mut waiting = FileNames::default();
        waiting.insert(7, "frames", "00002.jpg");
        let text = "{\"timestamp\":1,\"f\":\"00001.jpg\"}\n{\"timestamp\":2,\"f\":\"/frames/00002.jpg\"}\n{\"timestamp\":3}\n";
        let batch = batch(text, 10, &waiting);
        assert_eq!((batch.len(), batch.awaits.as_slice()), (1, &[7][..]));
        assert_eq!(Some(batch.taken_bytes), text.find('\n').map(|end| end + 1));
    }

    #[test]
    fn a_batch_has_no_more_rows_than_allowed() {
        let batch = batch("{\"timestamp\":1}\n{\"timestamp\":2}\n", 1, &FileNames::default());
        assert_eq!((batch.len(), batch.taken_bytes), (1, 16));
    }
}
