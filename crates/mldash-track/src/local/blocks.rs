//! Blocks of rows in memory, whichever way they are gone through: by a cursor, from one time to the
//! next, or by looking single times up.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::damage;
use super::index::Block;
use super::row_file::{RowFile, RowText};
use super::snapshot::{DataFile, Misfit};
use crate::json::{Columns, JsonRowError, RowParser, scan_row};
use crate::row::{Row, Timestamp};

/// Blocks in an order that shows which of them may hold a time.
#[derive(Debug, Default)]
pub(super) struct SortedBlocks {
    /// Sorted by smallest time.
    pub(super) blocks: Vec<Block>,
    /// The largest time of each block and all before it.
    pub(super) max_through: Vec<f64>,
}

/// The lines of one time, unparsed.
pub(crate) struct RawRow {
    pub(crate) ts: Timestamp,
    pub(super) first: Line,
    pub(super) later: Vec<Line>,
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

    /// The lines, in file order.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        [&self.first].into_iter().chain(&self.later).map(Line::bytes)
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

impl SortedBlocks {
    /// Sorts those of `blocks` that hold rows.
    pub(super) fn new(blocks: impl Iterator<Item = Block>) -> Self {
        let mut blocks: Vec<Block> = blocks.filter(|b| b.rows > 0).collect();
        blocks.sort_by(|a, b| a.min.total_cmp(&b.min));
        let running_max = |max: &mut f64, block: &Block| {
            *max = max.max(block.max);
            Some(*max)
        };
        let max_through = blocks.iter().scan(f64::NEG_INFINITY, running_max).collect();
        Self { blocks, max_through }
    }

    /// Like [`new`](Self::new), for those that may hold rows from `start` to `end`.
    pub(super) fn between(blocks: impl Iterator<Item = Block>, start: f64, end: f64) -> Self {
        Self::new(blocks.filter(|b| b.max >= start && b.min <= end))
    }

    /// The number of blocks that begin at or before `secs`.
    pub(super) fn count_from(&self, secs: f64) -> usize {
        self.blocks.partition_point(|block| block.min <= secs)
    }

    /// The blocks that may hold a row of this time.
    pub(super) fn holding(&self, secs: f64) -> Vec<Block> {
        let from = self.count_from(secs);
        let reaching = (0..from).rev().take_while(|i| self.max_through[*i] >= secs);
        reaching.map(|i| self.blocks[i]).filter(|block| block.may_hold(secs)).collect()
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
    ///
    /// # Errors
    /// Also `InvalidData` if its rows are not as many as the index says: leaving lines out without a
    /// word would lose them.
    pub(super) fn read(file: &RowFile, block: &Block, start: f64) -> io::Result<Self> {
        let loaded = Self::read_as_it_is(file, block, start)?;
        match loaded.rows.len() as u64 == block.rows {
            true => Ok(loaded),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its index does not fit it: lines were damaged or changed in place",
            )),
        }
    }

    /// Like [`read`](Self::read), with what `data` says of blocks that do not fit.
    pub(super) fn read_of(data: &DataFile, block: &Block, start: f64) -> io::Result<Self> {
        if data.misfit == Misfit::Refused {
            return Self::read(&data.file, block, start);
        }
        let loaded = Self::read_as_it_is(&data.file, block, start)?;
        damage::report_lines(&data.path, block.rows.saturating_sub(loaded.rows.len() as u64));
        Ok(loaded)
    }

    fn read_as_it_is(file: &RowFile, block: &Block, start: f64) -> io::Result<Self> {
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
        if !block.ascending || rows.len() as u64 != block.rows {
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

    /// Returns true if every line was taken.
    pub(super) fn is_used_up(&self) -> bool {
        self.next >= self.rows.len()
    }

    /// The time of the line to take next.
    pub(super) fn next_ts(&self) -> Timestamp {
        self.rows[self.next].0
    }

    /// Takes the next line.
    pub(super) fn take_line(&mut self) -> Line {
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
pub(super) fn read_block(file: &RowFile, block: &Block, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + block.len as usize, 0);
    file.read_whole_text(&mut out[start..], block.offset)
}

/// The time of a line that starts as our lines and the SDK's do.
fn leading_timestamp(line: &[u8]) -> Option<Timestamp> {
    let rest = line.strip_prefix(br#"{"timestamp":"#)?.trim_ascii_start();
    let end = rest.iter().position(|b| matches!(b, b',' | b'}'))?;
    let number = std::str::from_utf8(&rest[..end]).ok()?;
    Timestamp::new(number.trim_ascii_end().parse().ok()?).ok()
}
