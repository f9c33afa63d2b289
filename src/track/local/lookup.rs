//! Finding single rows by time: only the blocks that may hold them are read, and the last few are
//! kept, since one look is mostly followed by another close by.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::{LoadedBlock, RawRow};
use super::error::StoreError;
use super::index::Block;
use super::snapshot::DataFile;
use crate::track::row::Timestamp;

/// Neighbouring times meet in at most two blocks of a tidy file; the rest is for untidy ones.
const KEPT_BLOCKS: usize = 4;

/// Rows by time, of a part of a data file.
#[derive(Debug)]
pub(crate) struct Lookup {
    data: Arc<DataFile>,
    /// By their smallest time.
    blocks: Vec<Block>,
    /// Of each block and all before it, the largest time.
    max_through: Vec<f64>,
    start: f64,
    end: f64,
    kept: VecDeque<Arc<LoadedBlock>>,
}

impl Lookup {
    /// Of the rows from `start` to `end`, both included.
    pub(super) fn new(
        data: Arc<DataFile>,
        blocks: impl Iterator<Item = Block>,
        start: f64,
        end: f64,
    ) -> Self {
        let mut blocks: Vec<Block> =
            blocks.filter(|b| b.rows > 0 && b.max >= start && b.min <= end).collect();
        blocks.sort_by(|a, b| a.min.total_cmp(&b.min));
        let running_max = |max: &mut f64, block: &Block| {
            *max = max.max(block.max);
            Some(*max)
        };
        let max_through = blocks.iter().scan(f64::NEG_INFINITY, running_max).collect();
        Self { data, blocks, max_through, start, end, kept: VecDeque::new() }
    }

    /// The largest time that is not after `secs`.
    pub(crate) fn floor(&mut self, secs: f64) -> Result<Option<Timestamp>, StoreError> {
        let secs = secs.min(self.end);
        let mut best = None;
        for i in (0..self.blocks_from(secs)).rev() {
            // No block from here on down reaches further up.
            if best.is_some_and(|best: Timestamp| best.as_secs() >= self.max_through[i]) {
                break;
            }
            let found = self.load(i)?.floor(secs);
            best = best.max(found);
        }
        Ok(best.filter(|ts| ts.as_secs() >= self.start))
    }

    /// The smallest time that is not before `secs`.
    pub(crate) fn ceil(&mut self, secs: f64) -> Result<Option<Timestamp>, StoreError> {
        let secs = secs.max(self.start);
        let above = self.blocks_from(secs);
        let mut best = self.blocks.get(above).and_then(|b| Timestamp::new(b.min).ok());
        for i in (0..above).rev() {
            if self.max_through[i] < secs {
                break;
            }
            let found = self.load(i)?.ceil(secs);
            best = best.into_iter().chain(found).min();
        }
        Ok(best.filter(|ts| ts.as_secs() <= self.end))
    }

    /// The row of a time that [`floor`](Self::floor) or [`ceil`](Self::ceil) found.
    pub(crate) fn row(&mut self, ts: Timestamp) -> Result<Option<RawRow>, StoreError> {
        let secs = ts.as_secs();
        let mut holders = Vec::new();
        for i in (0..self.blocks_from(secs)).rev() {
            if self.max_through[i] < secs {
                break;
            }
            if self.blocks[i].max >= secs {
                holders.push(self.load(i)?);
            }
        }
        holders.sort_by_key(|block| block.offset());
        Ok(RawRow::new(ts, holders.iter().flat_map(|block| block.lines(ts))))
    }

    /// Blocks that begin at `secs` or before: all below the number returned.
    fn blocks_from(&self, secs: f64) -> usize {
        self.blocks.partition_point(|block| block.min <= secs)
    }

    fn load(&mut self, i: usize) -> Result<Arc<LoadedBlock>, StoreError> {
        let block = self.blocks[i];
        if let Some(at) = self.kept.iter().position(|kept| kept.offset() == block.offset) {
            // To the front, so that it is the last to go.
            self.kept.swap(0, at);
        } else {
            let loaded = LoadedBlock::read(&self.data.file, &block, f64::NEG_INFINITY)
                .map_err(StoreError::io("read", &self.data.path))?;
            self.kept.truncate(KEPT_BLOCKS - 1);
            self.kept.push_front(Arc::new(loaded));
        }
        Ok(self.kept[0].clone())
    }
}
