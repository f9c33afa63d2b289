//! Finds single rows by time. It reads only blocks that may hold them, and keeps the last few,
//! since the next lookup is usually close by.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blocks::{LoadedBlock, RawRow, SortedBlocks};
use super::error::StoreError;
use super::index::{Block, Index};
use super::snapshot::DataFile;
use crate::row::Timestamp;

/// In a tidy file, neighbouring times span at most two blocks; the rest is for untidy files.
const KEPT_BLOCKS: usize = 4;

/// At most this many blocks are kept if more than [`KEPT_BLOCKS`] overlap in time.
const MAX_KEPT_BLOCKS: usize = 64;

/// Up to this many blocks written since the last sort are searched one by one.
const UNSORTED_BLOCKS: usize = 64;

/// Finds rows by time in a part of a data file.
#[derive(Debug)]
pub(crate) struct Lookup {
    data: Arc<DataFile>,
    blocks: SortedBlocks,
    start: f64,
    end: f64,
    kept: KeptBlocks,
}

/// Finds rows by exact time in a file that is being appended to.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// The index's blocks that were full when they were sorted.
    sorted: SortedBlocks,
    sorted_count: usize,
    kept: KeptBlocks,
}

/// The blocks used last.
#[derive(Debug, Default)]
struct KeptBlocks(VecDeque<Arc<LoadedBlock>>);

impl Lookup {
    /// Looks among the rows from `start` to `end`, both inclusive.
    pub(super) fn new(
        data: Arc<DataFile>,
        blocks: impl Iterator<Item = Block>,
        start: f64,
        end: f64,
    ) -> Self {
        let blocks = SortedBlocks::between(blocks, start, end);
        Self { data, blocks, start, end, kept: KeptBlocks::default() }
    }

    /// The largest time at or before `secs`.
    pub(crate) fn floor(&mut self, secs: f64) -> Result<Option<Timestamp>, StoreError> {
        let secs = secs.min(self.end);
        let mut best = None;
        for i in (0..self.blocks.count_from(secs)).rev() {
            // No block from here on down reaches a later time.
            if best.is_some_and(|best: Timestamp| best.as_secs() >= self.blocks.max_through[i]) {
                break;
            }
            let found = self.load(i)?.floor(secs);
            best = best.max(found);
        }
        Ok(best.filter(|ts| ts.as_secs() >= self.start))
    }

    /// The smallest time at or after `secs`.
    pub(crate) fn ceil(&mut self, secs: f64) -> Result<Option<Timestamp>, StoreError> {
        let secs = secs.max(self.start);
        let above = self.blocks.count_from(secs);
        let mut best = self.blocks.blocks.get(above).and_then(|b| Timestamp::new(b.min).ok());
        for i in (0..above).rev() {
            if self.blocks.max_through[i] < secs {
                break;
            }
            let found = self.load(i)?.ceil(secs);
            best = best.into_iter().chain(found).min();
        }
        Ok(best.filter(|ts| ts.as_secs() <= self.end))
    }

    /// The row of a time that [`floor`](Self::floor) or [`ceil`](Self::ceil) returned.
    pub(crate) fn row(&mut self, ts: Timestamp) -> Result<Option<RawRow>, StoreError> {
        let holders = self.blocks.holding(ts.as_secs());
        self.kept.row(&self.data, holders, ts)
    }

    fn load(&mut self, i: usize) -> Result<Arc<LoadedBlock>, StoreError> {
        self.kept.load(&self.data, &self.blocks.blocks[i], KEPT_BLOCKS)
    }
}

impl Finder {
    /// The row of exactly this time in `data`, which is indexed by `index`. Each `index` must have grown from the one given before.
    pub(super) fn row(
        &mut self,
        data: &DataFile,
        index: &Index,
        ts: Timestamp,
    ) -> Result<Option<RawRow>, StoreError> {
        let blocks = index.blocks();
        // The last block is still growing.
        let full = blocks.len().saturating_sub(1);
        if full > self.sorted_count + UNSORTED_BLOCKS || self.sorted_count == 0 {
            self.sorted = SortedBlocks::new(blocks[..full].iter().copied());
            self.sorted_count = full;
        }
        let secs = ts.as_secs();
        let mut holders = self.sorted.holding(secs);
        holders.extend(blocks[self.sorted_count..].iter().filter(|b| b.may_hold(secs)).copied());
        self.kept.row(data, holders, ts)
    }
}

impl KeptBlocks {
    /// Finds the row of a time in the blocks that may hold it.
    fn row(
        &mut self,
        data: &DataFile,
        mut holders: Vec<Block>,
        ts: Timestamp,
    ) -> Result<Option<RawRow>, StoreError> {
        holders.sort_unstable_by_key(|block| block.offset);
        let kept = (holders.len() + 1).clamp(KEPT_BLOCKS, MAX_KEPT_BLOCKS);
        let mut lines = Vec::new();
        for block in &holders {
            // In a track of two clocks, these may be all blocks. One without such a line goes.
            lines.extend(self.load(data, block, kept)?.lines(ts));
        }
        Ok(RawRow::new(ts, lines.into_iter()))
    }

    /// Loads a block unless it is kept. Keeps up to `kept` blocks.
    fn load(
        &mut self,
        data: &DataFile,
        block: &Block,
        kept: usize,
    ) -> Result<Arc<LoadedBlock>, StoreError> {
        if let Some(at) = self.0.iter().position(|kept| kept.is_of(block)) {
            // Move it to the front, so that it is evicted last.
            self.0.swap(0, at);
        } else {
            let loaded = LoadedBlock::read_of(data, block, f64::NEG_INFINITY)
                .map_err(StoreError::io("read", &data.path))?;
            self.0.truncate(kept - 1);
            self.0.push_front(Arc::new(loaded));
        }
        Ok(self.0[0].clone())
    }
}
