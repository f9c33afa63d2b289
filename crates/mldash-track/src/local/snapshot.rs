//! A data file at one moment, with its index brought up to the file's end. Readers take one without
//! asking the writer, which only ever appends or renames.

mod weight;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::blocks::SortedBlocks;
use super::cursor::Cursor;
use super::damage;
use super::error::StoreError;
use super::index::{Block, Index};
use super::index_file;
use super::lookup::Lookup;
use super::merging::{self, Merged};
use super::metadata::known_topic;
use super::row_file::{RowFile, RowText};
use crate::json::scan_row;
use crate::row::Timestamp;

/// Bytes read at a time while indexing.
const SCAN_BYTES: usize = 1 << 20;

/// A reader that indexed more than this saves the index for the next one.
const WORTH_SAVING_BYTES: u64 = 1 << 20;

/// The minimum number of blocks in a part: a few milliseconds of work.
const MIN_PART_BLOCKS: usize = 64;

/// An open data file and where it was found.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) file: Arc<RowFile>,
    pub(super) path: PathBuf,
    pub(super) misfit: Misfit,
}

/// What becomes of a block whose rows are not those of its index, since they were damaged after they
/// were indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is an error. For those who write what they read.
    Refused,
    /// What is left of its rows is read, and the damage is named.
    Named,
}

/// A track's rows at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    data: Arc<DataFile>,
    index: Arc<Index>,
    /// A last row without a line end, as an editor may leave it.
    unended: Option<Block>,
    /// What was sorted for its readers.
    sorted: Arc<Mutex<Option<Sorted>>>,
}

/// The rows of a range of time in order.
#[derive(Debug)]
struct Sorted {
    start: f64,
    end: f64,
    merged: Merged,
}

impl Snapshot {
    /// Opens the track in `folder`; `None` if it has no data file.
    pub(crate) fn open(folder: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_within(folder, u64::MAX)
    }

    /// Like [`open`](Self::open). Also `None` if more than `max_bytes` of the data file are not
    /// indexed yet and would have to be read.
    pub(super) fn open_within(folder: &Path, max_bytes: u64) -> Result<Option<Self>, StoreError> {
        let Some(file) = RowFile::open(folder)? else { return Ok(None) };
        let path = file.path().to_owned();
        let mut index = index_file::load(folder, &file)
            .map_err(StoreError::io("read", &path))?
            .unwrap_or_default();
        let known = index.end();
        let len = file.text_bytes().map_err(StoreError::io("read", &path))?;
        if len.saturating_sub(known) > max_bytes {
            return Ok(None);
        }
        let rest = extend_index(&file, &mut index).map_err(StoreError::io("read", &path))?;
        damage::report_lines(&path, index.bad_lines());
        if index.end() - known > WORTH_SAVING_BYTES {
            // This only helps the next reader; a read-only disk must not make this one fail. After a
            // power cut, no index may speak of rows that were not on the disk.
            let topic = known_topic(folder);
            let _ = file
                .sync()
                .map_err(StoreError::io("sync", &path))
                .and_then(|()| index_file::save(folder, topic, &file, &index));
        }
        let unended = unended_row(&mut index, &rest);
        let data = DataFile { file: Arc::new(file), path, misfit: Misfit::Named };
        Ok(Some(Self::from_parts(Arc::new(data), index, unended)))
    }

    /// Takes a snapshot of an open file, whether it is still in its place or not.
    pub(super) fn of(data: Arc<DataFile>) -> Result<Self, StoreError> {
        let mut index = Index::default();
        let rest =
            extend_index(&*data.file, &mut index).map_err(StoreError::io("read", &data.path))?;
        let unended = unended_row(&mut index, &rest);
        Ok(Self::from_parts(data, index, unended))
    }

    fn from_parts(data: Arc<DataFile>, index: Index, unended: Option<Block>) -> Self {
        Self { data, index: Arc::new(index), unended, sorted: Arc::default() }
    }

    /// The rows from `start` to `end`, both inclusive, sorted and merged.
    pub(crate) fn cursor(&self, start: f64, end: f64) -> Cursor {
        self.cursor_within(start, end, (start, end))
    }

    /// Like [`cursor`](Self::cursor), for a part of a range. If the rows must be sorted outside of
    /// memory, that is done once for the whole range, however often parts of it are read.
    pub(crate) fn cursor_within(&self, start: f64, end: f64, range: (f64, f64)) -> Cursor {
        let (data, index, unended) = (self.data.clone(), self.index.clone(), self.unended);
        let sorted = self.sorted.clone();
        let sort = move || {
            let mut sorted = sorted.lock();
            let (start, end) = range;
            if sorted.as_ref().is_none_or(|known| start < known.start || known.end < end) {
                let blocks = index.blocks().iter().copied().chain(unended);
                let blocks = SortedBlocks::between(blocks, start, end).blocks;
                let merged = merging::in_bounds(&data, &blocks, start, end)?;
                *sorted = merged.map(|merged| Sorted { start, end, merged });
            }
            Ok(sorted.as_ref().map(|sorted| sorted.merged.clone()))
        };
        Cursor::new(self.data.clone(), self.blocks(), start, end).sorted_by(Arc::new(sort))
    }

    /// Looks up single rows from `start` to `end`, both inclusive, by time.
    pub(crate) fn lookup(&self, start: f64, end: f64) -> Lookup {
        Lookup::new(self.data.clone(), self.blocks(), start, end)
    }

    /// The file that rows were sorted into.
    #[cfg(test)]
    pub(super) fn sorted_file(&self) -> Option<Arc<DataFile>> {
        self.sorted.lock().as_ref().map(|sorted| sorted.merged.data.clone())
    }

    /// The blocks in file order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> {
        self.index.blocks().iter().copied().chain(self.unended)
    }

    /// Ascending times that cut the rows from `start` to `end` into up to `parts` parts of similar
    /// size. Empty if there is too little to cut.
    pub(crate) fn cuts(&self, start: f64, end: f64, parts: usize) -> Vec<f64> {
        let blocks = self.index.blocks().iter().filter(|b| b.rows > 0);
        let mut times: Vec<f64> =
            blocks.map(|b| b.min).filter(|min| (start..=end).contains(min)).collect();
        times.sort_by(f64::total_cmp);
        let parts = parts.min(times.len() / MIN_PART_BLOCKS);
        let mut cuts: Vec<f64> = (1..parts).map(|part| times[times.len() * part / parts]).collect();
        cuts.dedup();
        cuts.retain(|cut| *cut > start);
        cuts
    }

    /// Number of rows; several rows of one time count once.
    pub(crate) fn count_rows(&self) -> Result<u64, StoreError> {
        match self.lines() {
            (rows, true) => Ok(rows),
            (_, false) => self.count_merged(),
        }
    }

    /// Number of lines that are rows, and whether that is the number of rows: no two of them share
    /// a time.
    pub(crate) fn lines(&self) -> (u64, bool) {
        let unended = u64::from(self.unended.is_some());
        (self.index.rows() + unended, self.index.is_tidy() && unended == 0)
    }

    fn count_merged(&self) -> Result<u64, StoreError> {
        self.cursor(f64::NEG_INFINITY, f64::INFINITY).try_fold(0, |n, row| row.map(|_| n + 1))
    }

    /// Names of all columns, sorted.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.index.columns().iter().map(|c| c.to_string()).collect()
    }

    /// Bytes on the disk.
    pub(crate) fn size_bytes(&self) -> Result<u64, StoreError> {
        self.data.file.stored_bytes().map_err(StoreError::io("read", &self.data.path))
    }

    /// Smallest and largest timestamp.
    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let unended = self.unended.map(|b| (b.min, b.max));
        let (first, last) = match (self.index.span(), unended) {
            (Some(a), Some(b)) => (a.0.min(b.0), a.1.max(b.1)),
            (span, unended) => span.or(unended)?,
        };
        Some((Timestamp::new(first).ok()?, Timestamp::new(last).ok()?))
    }
}

fn unended_row(index: &mut Index, rest: &[u8]) -> Option<Block> {
    let ts = scan_row(rest, |name| index.push_column(&name.into())).ok()?.as_secs();
    Some(Block {
        offset: index.end(),
        len: rest.len() as u64,
        rows: 1,
        bad: 0,
        min: ts,
        max: ts,
        ascending: true,
    })
}

/// Indexes the lines of `data` after the index's end. Returns what follows the last line end.
pub(super) fn extend_index(data: &impl RowText, index: &mut Index) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; SCAN_BYTES];
    let mut carry: Vec<u8> = Vec::new();
    let mut offset = index.end();
    loop {
        let read = match data.read_text(&mut chunk, offset) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(carry);
        }
        offset += read as u64;
        let mut lines = &chunk[..read];
        while let Some(at) = memchr::memchr(b'\n', lines) {
            let (line, rest) = (&lines[..at], &lines[at + 1..]);
            if carry.is_empty() {
                index.push_line(line, at as u64 + 1);
            } else {
                carry.extend_from_slice(line);
                index.push_line(&carry, carry.len() as u64 + 1);
                carry.clear();
            }
            lines = rest;
        }
        carry.extend_from_slice(lines);
        if carry.len() > data.max_line_bytes() {
            let mib = data.max_line_bytes() >> 20;
            let reason = format!(
                "a line of it is longer than {mib} MiB, so it was not made by `mldash_bridge pack`; if you \
                 trust it, unpack it with `zstd -d`"
            );
            return Err(io::Error::other(reason));
        }
    }
}
