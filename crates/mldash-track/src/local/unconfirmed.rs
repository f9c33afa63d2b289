//! What was appended to a data file and no sync has confirmed yet.
//!
//! After a sync that failed, the system may take the pages for clean and never write them: the next
//! sync then succeeds without them. So they are written again before it, from what the system still
//! has of them, provided that this is what was appended.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc32fast::Hasher;

use super::beneath::How;
use super::disk;
use super::handles::{self, Identity};

/// What is checked and written again at once.
const PIECE_BYTES: u64 = 1 << 20;
/// How much of it before one sync. A disk that keeps failing is not kept busy with more and more.
const AGAIN_BYTES: u64 = 16 << 20;

/// Rows that were appended in one go or in several that follow each other.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    start: u64,
    len: u64,
    rows: u64,
    sum: Hasher,
    /// A sync may have failed over it.
    is_doubtful: bool,
}

/// The pieces, in file order.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    pieces: VecDeque<Piece>,
    /// Rows that the disk failed to store, and that the system no longer has.
    lost_rows: u64,
    /// Whether the next rows are a piece of their own: a sync of those before has begun.
    is_last_ended: bool,
}

impl Piece {
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Writes it again; returns false if the file no longer has what was appended.
    fn write_again(&self, file: &File, path: &Path) -> io::Result<bool> {
        let mut bytes = vec![0; self.len as usize];
        match file.read_exact_at(&mut bytes, self.start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if crc32fast::hash(&bytes) != self.sum.clone().finalize() {
            return Ok(false);
        }
        disk::write_again(file, path, self.start, &bytes).map(|()| true)
    }
}

impl Unconfirmed {
    /// Notes that `rows` rows of `len` bytes with this CRC are at `start` now.
    pub(super) fn push(&mut self, start: u64, len: u64, rows: u64, sum: &Hasher) {
        match self.pieces.back_mut() {
            Some(last)
                if !self.is_last_ended
                    && !last.is_doubtful
                    && last.end() == start
                    && last.len + len <= PIECE_BYTES =>
            {
                last.sum.combine(sum);
                last.len += len;
                last.rows += rows;
            }
            _ => {
                let sum = sum.clone();
                self.pieces.push_back(Piece { start, len, rows, sum, is_doubtful: false });
                self.is_last_ended = false;
            }
        }
    }

    /// A sync of what is there begins. Returns what must be written again before.
    pub(super) fn begin_sync(&mut self) -> Vec<Piece> {
        self.is_last_ended = true;
        let mut bytes = 0;
        let doubtful = self.pieces.iter().filter(|piece| piece.is_doubtful);
        let fits = doubtful.take_while(|piece| {
            let before = bytes;
            bytes += piece.len;
            before == 0 || bytes <= AGAIN_BYTES
        });
        fits.cloned().collect()
    }

    /// A sync of the file's first `end` bytes succeeded, before which `again` was written again, all
    /// but `lost`.
    pub(super) fn confirm(&mut self, end: u64, again: &[Piece], lost: &[Piece]) {
        self.lost_rows += lost.iter().map(Piece::rows).sum::<u64>();
        let is_again = |piece: &Piece| again.iter().any(|done| done.start == piece.start);
        self.pieces.retain(|piece| {
            !(if piece.is_doubtful { is_again(piece) } else { piece.end() <= end })
        });
    }

    /// A sync failed. It may have been about anything that was not confirmed, also what came later.
    pub(super) fn doubt(&mut self) {
        self.pieces.iter_mut().for_each(|piece| piece.is_doubtful = true);
    }

    /// Whether anything waits to be written again.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.pieces.iter().any(|piece| piece.is_doubtful)
    }

    /// How many rows are lost.
    pub(super) fn lost_rows(&self) -> u64 {
        self.lost_rows
    }

    /// Another program cut the file to `len` bytes.
    pub(super) fn cut(&mut self, len: u64) {
        self.pieces.retain(|piece| piece.end() <= len);
    }
}

/// Writes pieces of `data`, which is at `path`, again. Returns those that the system no longer has.
pub(super) fn write_again(data: &File, path: &Path, pieces: &[Piece]) -> io::Result<Vec<Piece>> {
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    // What is open to append can't be written to at a place.
    let file = handles::open(path, How::ReadWrite)?;
    if Identity::of(&file)? != Identity::of(data)? {
        let reason = "another file has taken its place";
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    let mut lost = Vec::new();
    for piece in pieces {
        if !piece.write_again(&file, path)? {
            lost.push(piece.clone());
        }
    }
    Ok(lost)
}
