//! Reads rows in order of time from a file in order of arrival. Blocks whose times overlap are
//! merged; the others stream one at a time. Lines of one time come together, in file order.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::error::StoreError;
use super::index::Block;
use super::snapshot::DataFile;
use crate::json::{Columns, JsonRowError, RowParser, scan_row};
use crate::row::{Row, Timestamp};

/// An iterator over [`RawRow`]s in order of time. Each time occurs once.
pub(crate) struct Cursor {
    data: Arc<DataFile>,
    start: f64,
    end: f64,
    /// Blocks not loaded yet, by their smallest time.
    waiting: VecDeque<Block>,
    /// Loaded blocks with lines left, the one with the earliest next line on top.
    loaded: BinaryHeap<Reverse<LoadedBlock>>,
}

/// The lines of one time, unparsed.
pub(crate) struct RawRow {
    pub(crate) ts: Timestamp,
    first: Line,
    later: Vec<Line>,
}

/// A line in a loaded block.
#[derive(Clone)]
pub(super) struct Line {
    block: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Line {
    fn bytes(&self) -> &[u8] {
        self.block.get(self.range.clone()).unwrap_or_default()
    }
}

impl RawRow {
    /// Makes a row from the lines of one time in file order; `None` if there are no lines.
    pub(super) fn new(ts: Timestamp, lines: impl Iterator<Item = Line>) -> Option<Self> {
        let mut lines = lines.into_iter();
        Some(Self { ts, first: lines.next()?, later: lines.collect() })
    }

    /// The line, if there is just one and nothing to merge.
    pub(crate) fn single_line(&self) -> Option<&[u8]> {
        self.later.is_empty().then(|| self.first.bytes())
    }

    /// Parses the merged row with the columns that `columns` keeps.
    pub(crate) fn parse(
        &self,
        parser: &mut RowParser,
        columns: &Columns,
    ) -> Result<Row, JsonRowError> {
        let mut row = parser.row(self.first.bytes(), columns)?;
        for line in &self.later {
            row.fields.merge(parser.row(line.bytes(), columns)?.fields);
        }
        Ok(row)
    }
}

impl Cursor {
    /// Iterates over those of `blocks` that overlap `start..=end`.
    pub(super) fn new(
        data: Arc<DataFile>,
        blocks: impl Iterator<Item = Block>,
        start: f64,
        end: f64,
    ) -> Self {
        let mut waiting: Vec<Block> =
            blocks.filter(|b| b.rows > 0 && b.max >= start && b.min <= end).collect();
        waiting.sort_by(|a, b| a.min.total_cmp(&b.min));
        Self { data, start, end, waiting: waiting.into(), loaded: BinaryHeap::new() }
    }

    /// Loads every block that may hold the next time.
    fn load_due(&mut self) -> Result<(), StoreError> {
        while let Some(block) = self.waiting.front() {
            let due = match self.loaded.peek() {
                Some(Reverse(top)) => block.min <= top.next_ts().as_secs(),
                None => true,
            };
            if !due {
                break;
            }
            let loaded = LoadedBlock::read(&self.data.file, block, self.start)
                .map_err(StoreError::io("read", &self.data.path))?;
            self.waiting.pop_front();
            if !loaded.is_used_up() {
                self.loaded.push(Reverse(loaded));
            }
        }
        Ok(())
    }

    /// Reads the next block of lines into `lines` if it can be copied whole: it is wholly within
    /// the range, its rows are in order, no other block overlaps it, and it contains nothing else.
    ///
    /// Returns its number of rows, or 0 if the caller must ask for the next row instead.
    pub(crate) fn next_block(&mut self, lines: &mut Vec<u8>) -> Result<u64, StoreError> {
        let Some(block) = self.waiting.front().filter(|_| self.loaded.is_empty()) else {
            return Ok(0);
        };
        let reaches_further = self.waiting.get(1).is_some_and(|next| next.min <= block.max);
        let is_within = self.start <= block.min && block.max <= self.end;
        if !is_within || reaches_further || !block.ascending || block.bad > 0 {
            return Ok(0);
        }
        let start = lines.len();
        read_block(&self.data.file, block, lines)
            .map_err(StoreError::io("read", &self.data.path))?;
        if !are_bare_rows(&lines[start..], block.rows) {
            lines.truncate(start);
            return Ok(0);
        }
        let rows = block.rows;
        self.waiting.pop_front();
        Ok(rows)
    }

    fn pop_line(&mut self) -> Option<(Timestamp, Line)> {
        let mut top = self.loaded.peek_mut()?;
        let ts = top.0.next_ts();
        let line = top.0.take_line();
        if top.0.is_used_up() {
            PeekMut::pop(top);
        }
        Some((ts, line))
    }
}

impl Iterator for Cursor {
    type Item = Result<RawRow, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.load_due() {
            self.waiting.clear();
            self.loaded.clear();
            return Some(Err(error));
        }
        let (ts, first) = self.pop_line().filter(|(ts, _)| ts.as_secs() <= self.end)?;
        let mut later = Vec::new();
        while self.loaded.peek().is_some_and(|Reverse(b)| b.next_ts() == ts) {
            later.extend(self.pop_line().map(|(_, line)| line));
        }
        Some(Ok(RawRow { ts, first, later }))
    }
}

/// A block in memory, with the places of its rows sorted by time and then by place.
#[derive(Debug)]
pub(super) struct LoadedBlock {
    offset: u64,
    bytes: Arc<Vec<u8>>,
    rows: Vec<(Timestamp, Range<usize>)>,
    next: usize,
}

impl LoadedBlock {
    /// Reads a block. The next row is the first one at or after `start`.
    pub(super) fn read(file: &File, block: &Block, start: f64) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        read_block(file, block, &mut bytes)?;
        let mut rows = Vec::with_capacity(block.rows as usize);
        let mut from = 0;
        while from < bytes.len() {
            let to = memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at);
            // If every line is known to be a row, its time can be read from its start.
            let quick = if block.bad == 0 { leading_timestamp(&bytes[from..to]) } else { None };
            if let Some(ts) = quick.or_else(|| scan_row(&bytes[from..to], |_| {}).ok()) {
                rows.push((ts, from..to));
            }
            from = to + 1;
        }
        if !block.ascending {
            rows.sort_by_key(|(ts, _)| *ts);
        }
        let next = rows.partition_point(|(ts, _)| ts.as_secs() < start);
        Ok(Self { offset: block.offset, bytes: Arc::new(bytes), rows, next })
    }

    /// Returns true if this is `block`, as long as it is kept.
    pub(super) fn is_of(&self, block: &Block) -> bool {
        self.offset == block.offset && self.bytes.len() as u64 == block.len
    }

    /// The largest time at or before `secs`.
    pub(super) fn floor(&self, secs: f64) -> Option<Timestamp> {
        let above = self.rows.partition_point(|(ts, _)| ts.as_secs() <= secs);
        Some(self.rows.get(above.checked_sub(1)?)?.0)
    }

    /// The smallest time at or after `secs`.
    pub(super) fn ceil(&self, secs: f64) -> Option<Timestamp> {
        let from = self.rows.partition_point(|(ts, _)| ts.as_secs() < secs);
        Some(self.rows.get(from)?.0)
    }

    /// The lines of one time, in file order.
    pub(super) fn lines(&self, ts: Timestamp) -> impl Iterator<Item = Line> {
        let from = self.rows.partition_point(|(other, _)| *other < ts);
        let rows = self.rows[from..].iter().take_while(move |(other, _)| *other == ts);
        rows.map(|(_, range)| Line { block: self.bytes.clone(), range: range.clone() })
    }

    fn is_used_up(&self) -> bool {
        self.next >= self.rows.len()
    }

    fn next_ts(&self) -> Timestamp {
        self.rows[self.next].0
    }

    fn take_line(&mut self) -> Line {
        let range = self.rows[self.next].1.clone();
        self.next += 1;
        Line { block: self.bytes.clone(), range }
    }

    fn key(&self) -> (Timestamp, u64) {
        (self.next_ts(), self.offset)
    }
}

impl Ord for LoadedBlock {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for LoadedBlock {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for LoadedBlock {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for LoadedBlock {}

/// Appends a block's text to `out`.
fn read_block(file: &File, block: &Block, out: &mut Vec<u8>) -> std::io::Result<()> {
    let start = out.len();
    out.resize(start + block.len as usize, 0);
    file.read_exact_at(&mut out[start..], block.offset)
}

/// Returns true if these lines are `rows` objects with nothing around them but line ends.
fn are_bare_rows(lines: &[u8], rows: u64) -> bool {
    let mut start = 0;
    let mut found = 0;
    for end in memchr::memchr_iter(b'\n', lines) {
        let line = &lines[start..end];
        if !line.starts_with(b"{") || !line.ends_with(b"}") {
            return false;
        }
        found += 1;
        start = end + 1;
    }
    start == lines.len() && found == rows
}

/// The time of a line that starts as our lines and the SDK's do.
fn leading_timestamp(line: &[u8]) -> Option<Timestamp> {
    let rest = line.strip_prefix(br#"{"timestamp":"#)?.trim_ascii_start();
    let end = rest.iter().position(|b| matches!(b, b',' | b'}'))?;
    let number = std::str::from_utf8(&rest[..end]).ok()?;
    Timestamp::new(number.trim_ascii_end().parse().ok()?).ok()
}
