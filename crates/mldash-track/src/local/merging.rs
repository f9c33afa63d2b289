//! Makes a file whose blocks overlap in time readable in bounded memory, by an external merge sort.
//!
//! A cursor holds every block that reaches across the time it is at. Where two clocks take turns in
//! a track, these are all blocks of the file. Then runs of blocks are merged into longer ones in a
//! scratch file, again if need be, until few enough blocks overlap. The scratch file has no name,
//! so that a killed process leaves nothing of it, and is about as large as what is sorted; from one
//! pass to the next there are two. Room for them is asked for before (`scratch_room`).
//!
//! The bound: blocks that a cursor holds at once take up to [`HELD_BYTES`], or two blocks if these
//! are larger. A block has 64 KiB and a line, and rows of it are held merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::env;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::mem::size_of;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{LoadedBlock, SortedBlocks};
use super::cursor::Cursor;
use super::disk;
use super::error::StoreError;
use super::index::{Block, Index};
use super::row_file::RowFile;
use super::scratch_room::{Promise, Purpose, TooLittle, free_bytes};
use super::snapshot::{DataFile, Misfit};
use super::tidy::for_each_line;
use crate::row::Timestamp;

/// What the blocks that a cursor holds may take in memory.
const HELD_BYTES: u64 = 16 << 20;
/// Bytes written to the scratch file at a time.
const WRITE_BYTES: usize = 256 << 10;

/// Sorted rows in a scratch file.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) data: Arc<DataFile>,
    pub(super) blocks: Vec<Block>,
}

/// Merges the rows of `blocks` of `data` from `start` to `end`, until a cursor can hold the blocks
/// that overlap. `None` if it can as they are.
///
/// # Errors
/// Fails if there is no room for the scratch file, neither beside `data` nor where temporary files
/// go, or the rows can't be read.
pub(super) fn in_bounds(
    data: &Arc<DataFile>,
    blocks: &[Block],
    start: f64,
    end: f64,
) -> Result<Option<Merged>, StoreError> {
    in_bytes(data, blocks, start, end, HELD_BYTES)
}

/// Returns true if a cursor can hold these blocks as they are.
pub(super) fn can_be_held(blocks: &[Block]) -> bool {
    held_at_once(blocks.to_vec()) <= HELD_BYTES
}

fn in_bytes(
    data: &Arc<DataFile>,
    blocks: &[Block],
    start: f64,
    end: f64,
    held_bytes: u64,
) -> Result<Option<Merged>, StoreError> {
    if held_at_once(blocks.to_vec()) <= held_bytes {
        return Ok(None);
    }
    let mut in_file_order = blocks.to_vec();
    in_file_order.sort_unstable_by_key(|block| block.offset);
    let mut merged: Option<Merged> = None;
    let mut blocks = in_file_order;
    let mut from = data.clone();
    let purpose = match data.misfit {
        Misfit::Refused => Purpose::Writing,
        Misfit::Named => Purpose::Reading,
    };
    loop {
        let runs = runs(&blocks);
        if runs.len() < 2 || (merged.is_some() && held_at_once(blocks.clone()) <= held_bytes) {
            return Ok(merged);
        }
        let groups = groups(&blocks, &runs, held_bytes);
        let bytes = blocks.iter().map(|block| block.len).sum();
        let next = with_scratch(&data.path, bytes, purpose, |scratch| {
            merge_groups(&from, &blocks, &groups, start, end, scratch)
        })?;
        from = next.data.clone();
        blocks.clone_from(&next.blocks);
        merged = Some(next);
    }
}

/// What a block takes in memory.
fn cost(block: &Block) -> u64 {
    let places = block.rows.saturating_mul(size_of::<(Timestamp, Range<usize>)>() as u64);
    places.saturating_add(block.len).saturating_add(size_of::<LoadedBlock>() as u64)
}

/// The most that the blocks at one time take.
fn held_at_once(blocks: Vec<Block>) -> u64 {
    let sorted = SortedBlocks::new(blocks.into_iter());
    // Those that are held, the one that ends first on top.
    let mut held: BinaryHeap<(Reverse<Timestamp>, u64)> = BinaryHeap::new();
    let (mut bytes, mut most) = (0_u64, 0);
    for block in &sorted.blocks {
        let Ok(begin) = Timestamp::new(block.min) else { continue };
        let Ok(end) = Timestamp::new(block.max) else { continue };
        while let Some(ended) = held.peek_mut().filter(|held| held.0.0 < begin) {
            bytes = bytes.saturating_sub(PeekMut::pop(ended).1);
        }
        held.push((Reverse(end), cost(block)));
        bytes = bytes.saturating_add(cost(block));
        most = most.max(bytes);
    }
    most
}

/// The most that a cursor over these blocks holds at once: it merges them first if need be.
pub(super) fn held_by_cursor(blocks: Vec<Block>) -> u64 {
    let two = blocks.iter().map(cost).max().unwrap_or_default().saturating_mul(2);
    let held = held_at_once(blocks);
    match held <= HELD_BYTES {
        true => held,
        false => held.min(HELD_BYTES.max(two)) + WRITE_BYTES as u64,
    }
}

/// Runs of blocks, in file order, of which only one is held at a time: each begins after the end of
/// the one before.
fn runs(blocks: &[Block]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if blocks[i - 1].max < block.min => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

/// Neighbouring runs that can be merged at once: at least two, else as many as can be held.
fn groups(blocks: &[Block], runs: &[Range<usize>], held_bytes: u64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut held, mut count) = (0_u64, 0);
    for run in runs {
        let most = blocks[run.clone()].iter().map(cost).max().unwrap_or_default();
        match groups.last_mut() {
            Some(group) if count < 2 || held.saturating_add(most) <= held_bytes => {
                group.end = run.end;
                (held, count) = (held.saturating_add(most), count + 1);
            }
            _ => {
                groups.push(run.clone());
                (held, count) = (most, 1);
            }
        }
    }
    groups
}

/// Writes the rows of each group sorted and merged, one group after the other, so that lines of one
/// time stay in the order of the file.
fn merge_groups(
    data: &Arc<DataFile>,
    blocks: &[Block],
    groups: &[Range<usize>],
    start: f64,
    end: f64,
    scratch: &File,
) -> Result<Index, StoreError> {
    let write = || StoreError::io("sort into a temporary file beside", &data.path);
    let mut out = BufWriter::with_capacity(WRITE_BYTES, scratch);
    let mut index = Index::default();
    for group in groups {
        index.start_block();
        let blocks = blocks[group.clone()].iter().copied();
        let cursor = Cursor::of_bounded(data.clone(), blocks, start, end);
        for_each_line(cursor, &data.path, |ts, line| {
            out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(write())?;
            index.push_row(ts, line.len() as u64 + 1);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    out.flush().map_err(write())?;
    drop(out);
    Ok(index)
}

/// Calls `fill`, which writes up to `bytes`, with a file beside `path`; if that fails, with one where
/// temporary files go.
fn with_scratch(
    path: &Path,
    bytes: u64,
    purpose: Purpose,
    fill: impl Fn(&File) -> Result<Index, StoreError>,
) -> Result<Merged, StoreError> {
    let attempt = |folder: PathBuf| {
        let free = free_bytes(&folder).map_err(StoreError::io("look at", &folder))?;
        // Until what is written is no longer free.
        let _promise = Promise::of(bytes, free, purpose).map_err(|few| {
            let TooLittle { needed_bytes, free_bytes } = few;
            StoreError::NoRoomToSort { path: path.to_owned(), needed_bytes, free_bytes }
        })?;
        let file = disk::scratch_file(&folder).map_err(StoreError::io("sort in", &folder))?;
        let index = fill(&file)?;
        let file = Arc::new(RowFile::plain(Arc::new(file), path));
        let data = DataFile { file, path: path.to_owned(), misfit: Misfit::Refused };
        Ok(Merged { data: Arc::new(data), blocks: index.blocks().to_vec() })
    };
    let beside = attempt(path.parent().unwrap_or(path).to_owned());
    beside.or_else(|error: StoreError| match error.is_out_of_handles() {
        true => Err(error),
        // The disk of the store may be full or read-only.
        false => attempt(env::temp_dir()).map_err(|_: StoreError| error),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::local::row_file::DATA_FILE;
    use crate::local::snapshot::Snapshot;

    /// The lines of a cursor over the file, merged in as many bytes.
    fn sorted_within(folder: &Path, held_bytes: u64) -> (Vec<String>, bool) {
        let path = folder.join(DATA_FILE);
        let snapshot = Snapshot::open(folder).unwrap().unwrap();
        let file = Arc::new(RowFile::open(folder).unwrap().unwrap());
        let data = Arc::new(DataFile { file, path: path.clone(), misfit: Misfit::Refused });
        let blocks: Vec<Block> = snapshot.blocks().collect();
        let (start, end) = (f64::NEG_INFINITY, f64::INFINITY);
        let merged = in_bytes(&data, &blocks, start, end, held_bytes).unwrap();
        let was_merged = merged.is_some();
        let (data, blocks) = merged.map_or((data, blocks), |m| (m.data, m.blocks));
        let two = blocks.iter().map(cost).max().unwrap_or_default() * 2;
        assert!(held_at_once(blocks.clone()) <= held_bytes.max(two));
        let cursor = Cursor::of_bounded(data, blocks.into_iter(), start, end);
        let mut lines = Vec::new();
        let push = |_, line: &[u8]| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(ControlFlow::Continue(()))
        };
        for_each_line(cursor, &path, push).unwrap();
        (lines, was_merged)
    }

    fn written(rows: impl Iterator<Item = (f64, usize)>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for (number, (ts, wide)) in rows.enumerate() {
            let wide = "x".repeat(wide);
            text += &format!(
                "{{\"timestamp\":{ts:?},\"c{}\":{number},\"w\":\"{wide}\"}}\n",
                number % 3
            );
        }
        fs::write(folder.path().join(DATA_FILE), text).unwrap();
        folder
    }

    #[test]
    fn two_clocks_are_merged_in_as_many_passes_as_the_memory_asks_for() {
        let clocks = (0..40_000).map(|i| (f64::from(i / 2) + f64::from(i % 2) * 1e9, 40));
        let folder = written(clocks);
        let (expected, was_merged) = sorted_within(folder.path(), u64::MAX);
        assert!(!was_merged && expected.len() == 40_000);
        for held_bytes in [0, 300_000, 1_000_000] {
            let (lines, was_merged) = sorted_within(folder.path(), held_bytes);
            assert!(was_merged && lines == expected, "{held_bytes}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "data and index, no more");
    }

    #[test]
    fn all_readers_of_a_snapshot_share_one_sort() {
        let rows = 2 * HELD_BYTES as usize / 1000;
        let clocks = (0..rows).map(|i| ((i / 2) as f64 + (i % 2) as f64 * 1e9, 1000));
        let folder = written(clocks);
        let snapshot = Snapshot::open(folder.path()).unwrap().unwrap();
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        let times = |start, end| -> Vec<f64> {
            snapshot.cursor_within(start, end, all).map(|row| row.unwrap().ts.as_secs()).collect()
        };
        let sorted = times(all.0, all.1);
        assert_eq!(sorted.len(), rows);
        let scratch = snapshot.sorted_file().expect("it was sorted");
        assert_eq!(snapshot.count_rows().unwrap(), rows as u64);
        let part = times(10.0, 1e9 + 10.0);
        assert_eq!(part.len(), rows / 2 - 10 + 11);
        assert!(part.is_sorted() && sorted.is_sorted());
        assert!(Arc::ptr_eq(&scratch, &snapshot.sorted_file().unwrap()));
    }

    #[test]
    fn what_hardly_overlaps_is_left_as_it_is() {
        let jitter = (0..20_000).map(|i| (f64::from(i) + f64::from(i % 7) * 3.0, 40));
        let (_, was_merged) = sorted_within(written(jitter).path(), 500_000);
        assert!(!was_merged);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_are_the_same_however_little_is_held_at_once(
            rows in prop::collection::vec((0_i8..20, 0_usize..30_000), 1..60),
            held_bytes in 0_u64..400_000,
        ) {
            let folder = written(rows.into_iter().map(|(ts, wide)| (f64::from(ts), wide)));
            let (expected, _) = sorted_within(folder.path(), u64::MAX);
            let (lines, _) = sorted_within(folder.path(), held_bytes);
            prop_assert_eq!(lines, expected);
        }
    }
}
