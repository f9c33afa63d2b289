//! Reads rows in order of time from a file in order of arrival. Blocks whose times overlap are
//! merged; the others stream one at a time. Lines of one time come together, in file order. If too
//! many blocks overlap to hold them all, `merging` puts them in order first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::blocks::{Line, LoadedBlock, RawRow, SortedBlocks, read_block};
use super::error::StoreError;
use super::index::Block;
use super::merging::{self, Merged};
use super::snapshot::DataFile;
use crate::row::Timestamp;

/// An iterator over [`RawRow`]s in order of time. Each time occurs once.
pub(crate) struct Cursor {
    data: Arc<DataFile>,
    start: f64,
    end: f64,
    blocks: SortedBlocks,
    /// The first block that is not loaded yet.
    next: usize,
    /// Loaded blocks with lines left, the one with the earliest next line on top.
    loaded: BinaryHeap<Reverse<LoadedBlock>>,
    /// Whether the blocks that overlap can be held at once.
    is_bounded: bool,
    /// The rows of these blocks in order, if others need them, too.
    sorted: Option<SharedSort>,
}

/// Sorts what several cursors read, once.
pub(super) type SharedSort =
    Arc<dyn Fn() -> Result<Option<Merged>, StoreError> + Send + Sync + 'static>;

impl Cursor {
    /// Iterates over those of `blocks` that overlap `start..=end`, in bounded memory.
    pub(super) fn new(
        data: Arc<DataFile>,
        blocks: impl Iterator<Item = Block>,
        start: f64,
        end: f64,
    ) -> Self {
        Self { is_bounded: false, ..Self::of_bounded(data, blocks, start, end) }
    }

    /// Like [`new`](Self::new), for blocks of which few enough overlap.
    pub(super) fn of_bounded(
        data: Arc<DataFile>,
        blocks: impl Iterator<Item = Block>,
        start: f64,
        end: f64,
    ) -> Self {
        let blocks = SortedBlocks::between(blocks, start, end);
        let loaded = BinaryHeap::new();
        Self { data, start, end, blocks, next: 0, loaded, is_bounded: true, sorted: None }
    }

    /// The same, with its rows in order from `sorted` if too many blocks overlap.
    pub(super) fn sorted_by(self, sorted: SharedSort) -> Self {
        Self { sorted: Some(sorted), ..self }
    }

    /// Makes sure that the blocks to load fit into memory, before the first is loaded.
    fn bound(&mut self) -> Result<(), StoreError> {
        if self.is_bounded {
            return Ok(());
        }
        let blocks = &self.blocks.blocks;
        let merged = match &self.sorted {
            Some(sorted) if !merging::can_be_held(blocks) => sorted()?,
            Some(_) => None,
            None => merging::in_bounds(&self.data, blocks, self.start, self.end)?,
        };
        if let Some(merged) = merged {
            self.data = merged.data;
            self.blocks = SortedBlocks::between(merged.blocks.into_iter(), self.start, self.end);
        }
        self.is_bounded = true;
        Ok(())
    }

    /// Loads every block that may hold the next time.
    fn load_due(&mut self) -> Result<(), StoreError> {
        while let Some(block) = self.blocks.blocks.get(self.next) {
            let due = match self.loaded.peek() {
                Some(Reverse(top)) => block.min <= top.next_ts().as_secs(),
                None => true,
            };
            if !due {
                break;
            }
            let loaded = LoadedBlock::read_of(&self.data, block, self.start)
                .map_err(StoreError::io("read", &self.data.path))?;
            self.next += 1;
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
        self.bound()?;
        let blocks = &self.blocks.blocks;
        let Some(block) = blocks.get(self.next).filter(|_| self.loaded.is_empty()) else {
            return Ok(0);
        };
        let after = blocks.get(self.next + 1);
        let reaches_further = after.is_some_and(|after| after.min <= block.max);
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
        self.next += 1;
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
        if let Err(error) = self.bound().and_then(|()| self.load_due()) {
            self.is_bounded = true;
            self.next = self.blocks.blocks.len();
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
