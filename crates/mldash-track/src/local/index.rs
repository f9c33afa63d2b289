//! Which times are where in `data.jsonl`: one block for every 64 KiB of lines, so that a range read
//! touches only its part of the file. Pure data over lines; `snapshot` and `appender` feed it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::json::{JsonRowError, scan_row};
use crate::row::{Column, Timestamp};

/// A block is closed once it holds this many bytes.
const BLOCK_BYTES: u64 = 64 * 1024;

/// A run of whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    /// Byte where the first line begins.
    pub offset: u64,
    /// Bytes, line ends included.
    pub len: u64,
    /// Lines that are rows.
    pub rows: u64,
    /// Lines that are not rows.
    pub bad: u64,
    /// Smallest timestamp; meaningless without rows.
    pub min: f64,
    /// Largest timestamp.
    pub max: f64,
    /// Whether each row is later than the one before.
    pub ascending: bool,
}

impl Block {
    /// Returns true if a row of this time may be in the block.
    pub(super) fn may_hold(&self, secs: f64) -> bool {
        self.rows > 0 && self.min <= secs && secs <= self.max
    }
}

/// Blocks and columns of the first `end` bytes of a data file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    blocks: Vec<Block>,
    columns: BTreeSet<Column>,
    end: u64,
    /// Whether the last block takes no more lines, whatever its size.
    is_block_ended: bool,
    /// Where a block ends, whatever its size, if that is a line end.
    break_at: Option<u64>,
}

impl Index {
    /// Builds an index from stored blocks; `None` if they are not contiguous.
    pub(super) fn from_parts(blocks: Vec<Block>, columns: BTreeSet<Column>) -> Option<Self> {
        let mut end = 0;
        for block in &blocks {
            if block.offset != end {
                return None;
            }
            end = end.checked_add(block.len)?;
        }
        Some(Self { blocks, columns, end, ..Self::default() })
    }

    /// An empty index that starts at `offset` in a file, which must be a line end.
    pub(super) fn starting_at(offset: u64) -> Self {
        Self { end: offset, ..Self::default() }
    }

    /// An empty index with no block on both sides of this place, if it is a line end.
    pub(super) fn ending_a_block_at(break_at: Option<u64>) -> Self {
        Self { break_at, ..Self::default() }
    }

    /// The blocks in file order.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Names seen in any row.
    pub(super) fn columns(&self) -> &BTreeSet<Column> {
        &self.columns
    }

    /// Bytes covered. The last one is a line end.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Lines that are rows. Several rows of one time count separately.
    pub(super) fn rows(&self) -> u64 {
        self.blocks.iter().map(|b| b.rows).sum()
    }

    /// Lines that are not rows.
    pub(super) fn bad_lines(&self) -> u64 {
        self.blocks.iter().map(|b| b.bad).sum()
    }

    /// Smallest and largest timestamp.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        let filled = || self.blocks.iter().filter(|b| b.rows > 0);
        let min = filled().map(|b| b.min).min_by(f64::total_cmp)?;
        let max = filled().map(|b| b.max).max_by(f64::total_cmp)?;
        Some((min, max))
    }

    /// Returns true if the file is sorted and merged as it is.
    pub(super) fn is_tidy(&self) -> bool {
        self.blocks.iter().all(|b| b.ascending && b.bad == 0)
            && self.blocks.windows(2).all(|pair| pair[0].max < pair[1].min)
    }

    /// Begins another block with the next line.
    pub(super) fn start_block(&mut self) {
        self.is_block_ended = true;
    }

    /// Adds the next line, given without its end. Ignores blank lines.
    pub(super) fn push_line(&mut self, line: &[u8], len: u64) {
        if line.trim_ascii().is_empty() {
            self.open_block().len += len;
            self.end += len;
            return;
        }
        match self.scan(line) {
            Ok(ts) => self.push_row(ts, len),
            Err(_) => {
                let block = self.open_block();
                block.bad += 1;
                block.len += len;
                self.end += len;
            }
        }
    }

    /// Adds the next row, whose line has `len` bytes with its end.
    pub(super) fn push_row(&mut self, ts: Timestamp, len: u64) {
        let secs = ts.as_secs();
        let block = self.open_block();
        if block.rows == 0 {
            (block.min, block.max) = (secs, secs);
        } else {
            block.ascending &= secs > block.max;
            block.min = block.min.min(secs);
            block.max = block.max.max(secs);
        }
        block.rows += 1;
        block.len += len;
        self.end += len;
    }

    /// Adds a column's name.
    pub(super) fn push_column(&mut self, name: &Column) {
        if !self.columns.contains(name) {
            self.columns.insert(name.clone());
        }
    }

    fn scan(&mut self, line: &[u8]) -> Result<Timestamp, JsonRowError> {
        let mut new = Vec::new();
        let ts = scan_row(line, |name| {
            if !self.columns.contains(name) {
                new.push(Column::from(name));
            }
        })?;
        self.columns.extend(new);
        Ok(ts)
    }

    /// The block for the next line.
    fn open_block(&mut self) -> &mut Block {
        let is_ended = self.is_block_ended || self.break_at == Some(self.end);
        if self.blocks.last().is_none_or(|b| b.len >= BLOCK_BYTES || is_ended) {
            self.is_block_ended = false;
            self.blocks.push(Block {
                offset: self.end,
                len: 0,
                rows: 0,
                bad: 0,
                min: 0.0,
                max: 0.0,
                ascending: true,
            });
        }
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(lines: &[&str]) -> Index {
        let mut index = Index::default();
        for line in lines {
            index.push_line(line.as_bytes(), line.len() as u64 + 1);
        }
        index
    }

    #[test]
    fn ascending_rows_are_tidy_and_equal_or_earlier_ones_are_not() {
        let row = |ts: i32| format!("{{\"timestamp\":{ts}}}");
        let lines = |times: &[i32]| {
            let lines: Vec<String> = times.iter().map(|t| row(*t)).collect();
            index(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert!(lines(&[1, 2, 3]).is_tidy());
        assert!(!lines(&[1, 2, 2]).is_tidy());
        assert!(!lines(&[1, 3, 2]).is_tidy());
        assert_eq!(lines(&[5, -3, 2]).span(), Some((-3.0, 5.0)));
    }

    #[test]
    fn a_block_that_starts_before_the_end_of_the_last_is_not_tidy() {
        let wide = format!("{{\"timestamp\":9,\"a\":\"{}\"}}", "x".repeat(70_000));
        let index = index(&[&wide, "{\"timestamp\":8}"]);
        assert_eq!(index.blocks().len(), 2);
        assert!(!index.is_tidy());
    }

    #[test]
    fn lines_that_are_not_rows_are_counted_and_blank_ones_are_nothing() {
        let index = index(&["{\"timestamp\":1,\"a\":2}", "", "  ", "{\"timestamp\":2", "NaN"]);
        assert_eq!((index.rows(), index.bad_lines()), (1, 2));
        assert_eq!(index.end(), 22 + 1 + 3 + 15 + 4);
        assert!(!index.is_tidy());
    }

    #[test]
    fn blocks_with_a_hole_are_not_an_index() {
        let mut blocks = index(&["{\"timestamp\":1}"]).blocks().to_vec();
        blocks[0].offset = 4;
        assert_eq!(Index::from_parts(blocks, BTreeSet::new()), None);
    }
}
