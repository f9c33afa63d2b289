//! Follows a track's file as it grows, for a caller that takes its lines elsewhere and must miss
//! none.
//!
//! The taken part is a prefix of the file, identified by its CRC:
//! 1. A remembered prefix counts only for a file that begins with the same bytes; otherwise nothing
//!    counts as taken. So it survives restarts and copies, and a rewritten file is never mistaken
//!    for the old one.
//! 2. When the file is replaced while it is followed (a tidy at close), the old one is still open.
//!    Its rows, sorted up to the earliest row not taken, are compared with the new file. What is
//!    equal was taken; the rest was not. If too many files are open, the old one may be closed
//!    already: then rule 1 decides.
//! 3. The writer cuts back a failed write, and other rows may follow in its place. The lines taken
//!    last are checked before more are read, and taken again if they changed.
//!
//! Lines come whole. A last row without a line end, as an editor may leave it, comes too.

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::file_stamp::FileStamp;
use super::index::Index;
use super::index_file;
use super::row_file::{self, KeptRows, RowFile, RowText};
use super::snapshot::{DataFile, Misfit, Snapshot, extend_index};
use super::tidy;
use crate::json::scan_row;

/// Bytes read at a time to find lines and to compute a CRC.
const CHUNK_BYTES: usize = 1 << 20;

/// The beginning of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prefix {
    /// How long it is.
    pub(crate) bytes: u64,
    /// CRC-32 of its bytes.
    pub(crate) crc: u32,
}

/// A track's file, and how much of it was taken.
#[derive(Debug)]
pub(crate) struct Follower {
    folder: PathBuf,
    data: Option<KeptRows>,
    taken: Prefix,
    /// What was taken before the last step.
    taken_before: Prefix,
    /// A taken last row without a line end: it starts where `taken` ends and has this many bytes.
    unended_taken: Option<(Prefix, u64)>,
    /// Line ends are counted up to here.
    counted_bytes: u64,
    /// Whole lines between the taken part and `counted_bytes`.
    lines_waiting: u64,
    /// The file's state when it was last found to begin with the taken part.
    checked_at: Option<[Option<FileStamp>; 2]>,
}

/// What there is to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// Lines to take next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Whole lines, or one row without a line end.
    pub(crate) text: Vec<u8>,
    /// The file's prefix up to the start of `text`.
    pub(crate) after: Prefix,
}

impl Prefix {
    /// This prefix, extended by `following`.
    pub(crate) fn and(self, following: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial_len(self.crc, self.bytes);
        hasher.update(following);
        Self { bytes: self.bytes + following.len() as u64, crc: hasher.finalize() }
    }

    /// Returns true if these are all the rows of the track in `folder`, none of them damaged since.
    pub(crate) fn is_all_of(self, folder: &Path) -> Result<bool, StoreError> {
        let Some(rows) = RowFile::open(folder)? else { return Ok(false) };
        let same = rows.text_bytes().and_then(|len| Ok(len == self.bytes && self.is_of(&rows)?));
        Ok(same.map_err(StoreError::io("read", rows.path()))? && rows.is_whole()?)
    }

    /// Returns true if `file` begins with this prefix.
    fn is_of(self, file: &RowFile) -> io::Result<bool> {
        Ok(Self::default().extended_to(self.bytes, file)? == Some(self))
    }

    /// This prefix, extended by the bytes of `file` up to `end`; `None` if the file is too short.
    fn extended_to(self, end: u64, file: &RowFile) -> io::Result<Option<Self>> {
        let mut prefix = self;
        let mut chunk = chunk_for(end.saturating_sub(self.bytes));
        while prefix.bytes < end {
            let wanted = chunk.len().min(usize::try_from(end - prefix.bytes).unwrap_or(usize::MAX));
            let read = read_at(file, &mut chunk[..wanted], prefix.bytes)?;
            if read == 0 {
                return Ok(None);
            }
            prefix = prefix.and(&chunk[..read]);
        }
        Ok(Some(prefix))
    }
}

impl Follower {
    /// Follows the track in `folder`, of which `taken` was taken earlier.
    pub(crate) fn new(folder: &Path, taken: Prefix) -> Self {
        Self {
            folder: folder.to_owned(),
            data: None,
            taken,
            taken_before: taken,
            unended_taken: None,
            counted_bytes: taken.bytes,
            lines_waiting: 0,
            checked_at: None,
        }
    }

    /// What was taken.
    pub(crate) fn taken(&self) -> Prefix {
        self.taken
    }

    /// Starts again: nothing was taken.
    pub(crate) fn forget(&mut self) {
        self.restart_at(Prefix::default());
    }

    /// Checks the file's current state.
    pub(crate) fn refresh(&mut self) -> Result<Backlog, StoreError> {
        self.find_file()?;
        let Some(data) = self.data()? else {
            return Ok(Backlog::default());
        };
        self.refresh_from(&data).map_err(StoreError::io("read", data.path()))
    }

    fn refresh_from(&mut self, file: &RowFile) -> io::Result<Backlog> {
        let stamps = file.stamps()?;
        if self.checked_at != Some(stamps) {
            let len = file.text_bytes()?;
            self.check_taken(file, len)?;
            self.count_lines(file, len)?;
            self.checked_at = Some(stamps);
        }
        let mut waiting = self.whole_lines_waiting();
        if let Some(row) = self.unended_row(file)? {
            waiting.lines += 1;
            waiting.bytes += row.len() as u64;
        }
        Ok(waiting)
    }

    /// The count may include lines of a failed write that others have replaced. The number is then
    /// an estimate, but whether there are any is certain.
    fn whole_lines_waiting(&self) -> Backlog {
        let bytes = self.counted_bytes.saturating_sub(self.taken.bytes);
        Backlog { lines: if bytes == 0 { 0 } else { self.lines_waiting.max(1) }, bytes }
    }

    /// The next whole lines that [`refresh`](Self::refresh) saw: at most `max_bytes`, unless a single
    /// line is longer. Empty if there are none.
    pub(crate) fn read(&self, max_bytes: usize) -> Result<Lines, StoreError> {
        let Some(data) = self.data()? else {
            return Ok(Lines::default());
        };
        let lines = match self.whole_lines(&data, max_bytes) {
            Ok(text) if text.is_empty() => self.unended_row(&data).map(Option::unwrap_or_default),
            lines => lines,
        };
        let text = lines.map_err(StoreError::io("read", data.path()))?;
        Ok(Lines { text, after: self.taken })
    }

    /// Marks the first `taken` bytes of the text of `lines`, whole lines, as taken.
    pub(crate) fn take(&mut self, lines: &Lines, taken: usize) {
        // Lines read before the file was found to be another one do not count for this one.
        if lines.after != self.taken {
            return;
        }
        let text = lines.text.get(..taken).unwrap_or(&lines.text);
        if text.last().is_some_and(|last| *last != b'\n') {
            self.unended_taken = Some((self.taken, text.len() as u64));
            return;
        }
        self.taken_before = self.taken;
        self.taken = self.taken.and(text);
        let ends = memchr::memchr_iter(b'\n', text).count() as u64;
        self.lines_waiting = self.lines_waiting.saturating_sub(ends);
    }

    fn find_file(&mut self) -> Result<(), StoreError> {
        let same = match &self.data {
            Some(data) => data.are_all_in_place(&self.folder),
            None => Ok(false),
        };
        if same.map_err(StoreError::io("look at", &self.folder))? {
            return Ok(());
        }
        let Some(found) = RowFile::open(&self.folder)? else {
            if self.data.take().is_some() {
                self.forget();
            }
            return Ok(());
        };
        let path = found.path().to_owned();
        // A file that had to be closed meanwhile can't be read any more.
        let old = self.data.take().and_then(|old| old.get().ok());
        let taken = match old {
            None => self.taken,
            Some(old) => {
                let old_path = old.path().to_owned();
                let len = old.text_bytes();
                len.and_then(|len| self.check_taken(&old, len))
                    .map_err(StoreError::io("read", &old_path))?;
                let old = Arc::new(DataFile {
                    file: Arc::new(old),
                    path: old_path,
                    misfit: Misfit::Refused,
                });
                carried_over(&old, self.taken, &found)?
            }
        };
        let begins_so = taken.is_of(&found).map_err(StoreError::io("read", &path))?;
        self.restart_at(if begins_so { taken } else { Prefix::default() });
        self.data = Some(KeptRows::of(found).map_err(StoreError::io("read", &path))?);
        Ok(())
    }

    /// The file that was found; `None` also if it had to be closed and is gone from its place.
    fn data(&self) -> Result<Option<RowFile>, StoreError> {
        match self.data.as_ref().map(KeptRows::get).transpose() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            data => data.map_err(StoreError::io("open", &self.folder)),
        }
    }

    fn restart_at(&mut self, taken: Prefix) {
        (self.taken, self.taken_before) = (taken, taken);
        (self.counted_bytes, self.lines_waiting) = (taken.bytes, 0);
        (self.unended_taken, self.checked_at) = (None, None);
    }

    /// Undoes the last step if the file now has other bytes there.
    fn check_taken(&mut self, file: &RowFile, len: u64) -> io::Result<()> {
        let unchanged = self.taken_before.extended_to(self.taken.bytes, file)? == Some(self.taken);
        if unchanged && len >= self.counted_bytes {
            return Ok(());
        }
        let known = if unchanged { self.taken } else { self.taken_before };
        let known = if known.is_of(file)? { known } else { Prefix::default() };
        self.restart_at(known);
        Ok(())
    }

    fn count_lines(&mut self, file: &RowFile, len: u64) -> io::Result<()> {
        let mut chunk = chunk_for(len.saturating_sub(self.counted_bytes));
        let mut offset = self.counted_bytes;
        loop {
            let read = read_at(file, &mut chunk, offset)?;
            let Some(last) = memchr::memrchr(b'\n', &chunk[..read]) else {
                if read == 0 {
                    return Ok(());
                }
                offset += read as u64;
                continue;
            };
            self.lines_waiting += memchr::memchr_iter(b'\n', &chunk[..=last]).count() as u64;
            self.counted_bytes = offset + last as u64 + 1;
            offset += read as u64;
        }
    }

    fn whole_lines(&self, file: &RowFile, max_bytes: usize) -> io::Result<Vec<u8>> {
        let waiting = self.counted_bytes.saturating_sub(self.taken.bytes);
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        let mut text = Vec::new();
        // A line longer than `max_bytes` is read in steps until it ends.
        let mut wanted = max_bytes.min(waiting);
        while text.len() < wanted {
            let from = text.len();
            text.resize(wanted, 0);
            let read = read_at(file, &mut text[from..], self.taken.bytes + from as u64)?;
            text.truncate(from + read);
            if let Some(last) = memchr::memrchr(b'\n', &text) {
                text.truncate(last + 1);
                return Ok(text);
            }
            if read == 0 {
                break;
            }
            wanted = wanted.saturating_mul(2).min(waiting);
        }
        Ok(Vec::new())
    }

    /// The row after the last line end, unless it was taken or is not a row.
    fn unended_row(&self, file: &RowFile) -> io::Result<Option<Vec<u8>>> {
        let len = file.text_bytes()?;
        // Not before everything ahead of it.
        if self.counted_bytes != self.taken.bytes || len <= self.counted_bytes {
            return Ok(None);
        }
        let rest_bytes = len - self.counted_bytes;
        if self.unended_taken == Some((self.taken, rest_bytes)) || rest_bytes > CHUNK_BYTES as u64 {
            return Ok(None);
        }
        let mut rest = chunk_for(rest_bytes);
        let read = read_at(file, &mut rest, self.counted_bytes)?;
        rest.truncate(read);
        Ok((!rest.contains(&b'\n') && scan_row(&rest, |_| {}).is_ok()).then_some(rest))
    }
}

/// Removes the rows of the track in `folder`. Its notes stay. Returns how many bytes they took.
pub(crate) fn remove_track_data(folder: &Path) -> Result<u64, StoreError> {
    let bytes = row_file::stored_bytes(folder)?.unwrap_or(0);
    index_file::remove(folder)?;
    row_file::remove(folder)?;
    Ok(bytes)
}

/// Bytes of the rows of the track in `folder`, as text; `None` if there are none or they can't be read.
pub(crate) fn row_bytes(folder: &Path) -> Option<u64> {
    RowFile::open(folder).ok()??.text_bytes().ok()
}

/// How much of `new` counts as taken, if `taken` was taken of `old`, the file that it replaced.
fn carried_over(old: &Arc<DataFile>, taken: Prefix, new: &RowFile) -> Result<Prefix, StoreError> {
    let read = || StoreError::io("read", &old.path);
    if taken.bytes == 0 || taken.is_of(new).map_err(read())? {
        return Ok(taken);
    }
    let mut untaken = Index::starting_at(taken.bytes);
    let rest = extend_index(&*old.file, &mut untaken).map_err(read())?;
    if let Ok(ts) = scan_row(&rest, |_| {}) {
        untaken.push_row(ts, rest.len() as u64);
    }
    let end = untaken.span().map_or(f64::INFINITY, |(first, _)| first.next_down());
    let mut carried = Prefix::default();
    let mut new = BufReader::with_capacity(CHUNK_BYTES, FromTheStart { text: new, at: 0 });
    let mut theirs = Vec::new();
    let rows = Snapshot::of(old.clone())?.cursor(f64::NEG_INFINITY, end);
    tidy::for_each_line(rows, &old.path, |_, line| {
        theirs.resize(line.len() + 1, 0);
        let is_same = match new.read_exact(&mut theirs) {
            Ok(()) => theirs.strip_suffix(b"\n") == Some(line),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(read()(error)),
        };
        if !is_same {
            return Ok(ControlFlow::Break(()));
        }
        carried = carried.and(&theirs);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(carried)
}

struct FromTheStart<'t> {
    text: &'t RowFile,
    at: u64,
}

impl Read for FromTheStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.text, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A buffer for at most this many bytes.
fn chunk_for(bytes: u64) -> Vec<u8> {
    vec![0; usize::try_from(bytes).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)]
}

fn read_at(file: &RowFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_text(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
