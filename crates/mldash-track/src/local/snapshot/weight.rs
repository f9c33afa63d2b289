//! How much memory reading a snapshot takes, before it is read.

use super::{Snapshot, StoreError};
use crate::json::JsonWeight;
use crate::local::index::Block;
use crate::local::merging;
use crate::local::row_file::RowText;

/// A block's rows are small enough to be weighed by their length alone.
const SMALL_BLOCK_BYTES: u64 = 1 << 20;
/// What a byte of a row takes once it is parsed, at most (`[],` becomes an empty list), with the text
/// that is written.
const PARSED_FACTOR: u64 = 33 + TEXT_COPIES;
/// A row's text in the form that is asked for, and on its way out.
const TEXT_COPIES: u64 = 2;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;

impl Snapshot {
    /// The most bytes that up to `readers` cursors between `start` and `end` hold at once: blocks whose
    /// times overlap are loaded together, up to a bound.
    pub(crate) fn loaded_bytes(&self, start: f64, end: f64, readers: usize) -> u64 {
        let held = merging::held_by_cursor(self.blocks_between(start, end).collect());
        held.saturating_mul(self.cuts(start, end, readers).len() as u64 + 1)
    }

    /// What the heaviest row from `start` to `end` takes once it is parsed, at most. Reads the blocks
    /// that hold large rows.
    pub(crate) fn parsed_bytes(&self, start: f64, end: f64) -> Result<u64, StoreError> {
        if !self.lines().1 {
            return self.heaviest_row(start, end);
        }
        let mut largest = 0;
        let mut heaviest = 0;
        for block in self.blocks_between(start, end) {
            if block.len <= SMALL_BLOCK_BYTES {
                largest = largest.max(block.len);
            } else {
                heaviest = heaviest.max(self.heaviest_line(&block)?);
            }
        }
        Ok(heaviest.max(largest * PARSED_FACTOR))
    }

    /// Bytes of the blocks with rows from `start` to `end`.
    pub(crate) fn bytes_between(&self, start: f64, end: f64) -> u64 {
        self.blocks_between(start, end).map(|block| block.len).sum()
    }

    fn blocks_between(&self, start: f64, end: f64) -> impl Iterator<Item = Block> {
        self.blocks().filter(move |b| b.rows > 0 && b.max >= start && b.min <= end)
    }

    /// Several lines may be one row.
    fn heaviest_row(&self, start: f64, end: f64) -> Result<u64, StoreError> {
        self.cursor(start, end).try_fold(0, |heaviest, row| {
            let row = row?;
            let weigh = |line: &[u8]| {
                let mut weight = JsonWeight::rows();
                weight.scan(line);
                weight.bytes() as u64 + TEXT_COPIES * line.len() as u64
            };
            Ok(row.lines().map(weigh).fold(0, u64::saturating_add).max(heaviest))
        })
    }

    /// Does not hold the line.
    fn heaviest_line(&self, block: &Block) -> Result<u64, StoreError> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let (mut weight, mut len, mut heaviest) = (JsonWeight::rows(), 0, 0);
        let mut at = 0;
        while at < block.len {
            let wanted = chunk.len().min(usize::try_from(block.len - at).unwrap_or(usize::MAX));
            let read = &mut chunk[..wanted];
            self.data
                .file
                .read_whole_text(read, block.offset + at)
                .map_err(StoreError::io("read", &self.data.path))?;
            for (place, line) in read.split(|byte| *byte == b'\n').enumerate() {
                if place > 0 {
                    heaviest = heaviest.max(weight.bytes() as u64 + TEXT_COPIES * len);
                    (weight, len) = (JsonWeight::rows(), 0);
                }
                weight.scan(line);
                len += line.len() as u64;
            }
            at += wanted as u64;
        }
        Ok(heaviest.max(weight.bytes() as u64 + TEXT_COPIES * len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(lines: &[String]) -> (tempfile::TempDir, Snapshot) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data.jsonl"), lines.join("\n") + "\n").unwrap();
        let snapshot = Snapshot::open(folder.path()).unwrap().unwrap();
        (folder, snapshot)
    }

    fn all(snapshot: &Snapshot) -> (u64, u64) {
        let (start, end) = (f64::NEG_INFINITY, f64::INFINITY);
        (snapshot.loaded_bytes(start, end, 1), snapshot.parsed_bytes(start, end).unwrap())
    }

    #[test]
    fn rows_in_order_are_loaded_block_by_block_and_interleaved_ones_together() {
        let row = |ts: usize| format!("{{\"timestamp\":{ts},\"note\":\"{}\"}}", "x".repeat(1000));
        let in_order: Vec<String> = (0..1000).map(row).collect();
        let (_folder, snapshot) = snapshot(&in_order);
        assert!(all(&snapshot).0 < 100_000, "{}", all(&snapshot).0);
        let interleaved: Vec<String> =
            (0..1000).map(|i| row(if i % 2 == 0 { i } else { 1000 - i })).collect();
        let (_folder, snapshot) = self::snapshot(&interleaved);
        assert!(all(&snapshot).0 > 1_000_000 / 2, "{}", all(&snapshot).0);
    }

    #[test]
    fn two_clocks_are_loaded_in_bounds_whatever_the_length_of_the_track() {
        let row = |ts: usize| format!("{{\"timestamp\":{ts},\"note\":\"{}\"}}", "x".repeat(10_000));
        let clocks: Vec<String> = (0..4000).map(|i| row(i / 2 + i % 2 * 1_000_000_000)).collect();
        let (_folder, snapshot) = snapshot(&clocks);
        let loaded = all(&snapshot).0;
        assert!((16 << 20..17 << 20).contains(&loaded), "{loaded}");
    }

    #[test]
    fn a_large_row_is_weighed_by_what_is_in_it() {
        let row = |ts, item: &str| {
            format!("{{\"timestamp\":{ts},\"q\":[{}]}}", vec![item; 500_000].join(","))
        };
        let (_folder, numbers) = snapshot(&[row(1, "0.125"), row(2, "0.125")]);
        assert!(all(&numbers).1 < 16_000_000, "{}", all(&numbers).1);
        let (_folder, lists) = snapshot(&[row(1, "0.125"), row(2, "[]")]);
        assert!(all(&lists).1 > 48_000_000, "{}", all(&lists).1);
    }
}
