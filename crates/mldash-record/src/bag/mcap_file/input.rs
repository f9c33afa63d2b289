//! The bytes of an MCAP file, or of one that is compressed as a whole. Also parts of them that are
//! too large for memory and are read more than once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcap::MAGIC;

use super::super::packed;
use super::records::Records;

/// A source of bytes.
pub(super) type Input = Box<dyn BufRead + Send>;

const BUFFER_BYTES: usize = 256 << 10;

/// A file that is read from its start to its end.
pub(super) struct InputFile {
    path: PathBuf,
    is_packed: bool,
    read_bytes: Arc<AtomicU64>,
    /// Whether the file has its end. A record that goes beyond it is then damaged, not cut off.
    pub(super) is_finished: bool,
}

impl InputFile {
    /// The file, and its records after the magic bytes, which were checked when the file was
    /// recognized.
    pub(super) fn open(path: &Path, is_packed: bool) -> io::Result<(Self, Records<Input>)> {
        let mut file = File::open(path)?;
        let is_finished = !is_packed && ends_with_magic(&mut file)?;
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { file, read_bytes: read_bytes.clone() };
        let input: Input = match is_packed {
            true => buffered(packed::reader(counted)?),
            false => buffered(counted),
        };
        let mut records = Records::new(input, 0);
        records.skip(MAGIC.len() as u64)?;
        Ok((Self { path: path.to_owned(), is_packed, read_bytes, is_finished }, records))
    }

    /// Bytes on disk that were read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Skips the next `len` bytes of `records`, which belongs to this file, so that they can be
    /// read separately: from the file, or, if it is compressed as a whole, from an unnamed copy in
    /// `TMPDIR`. Fewer bytes if the file ends before.
    pub(super) fn section(&self, records: &mut Records<Input>, len: u64) -> io::Result<Section> {
        let from_bytes = records.at_bytes();
        if !self.is_packed {
            records.skip(len)?;
            let len = records.at_bytes() - from_bytes;
            return Ok(Section { file: File::open(&self.path)?, from_bytes, len });
        }
        let mut file = tempfile::tempfile()?;
        let mut piece = Vec::new();
        while records.at_bytes() - from_bytes < len {
            piece.clear();
            let left = len - (records.at_bytes() - from_bytes);
            records.read(left.min(PIECE_BYTES), &mut piece)?;
            if piece.is_empty() {
                break;
            }
            io::Write::write_all(&mut file, &piece)?;
        }
        Ok(Section { file, from_bytes: 0, len: records.at_bytes() - from_bytes })
    }
}

/// The size of a copied piece.
const PIECE_BYTES: u64 = 256 << 10;

/// A part of a file.
pub(super) struct Section {
    file: File,
    from_bytes: u64,
    pub(super) len: u64,
}

impl Section {
    /// Its bytes from the start. Use one reader at a time: they share the position in the file.
    pub(super) fn open(&self) -> io::Result<Input> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(self.from_bytes))?;
        Ok(buffered(file.take(self.len)))
    }
}

pub(super) fn buffered(input: impl Read + Send + 'static) -> Input {
    Box::new(BufReader::with_capacity(BUFFER_BYTES, input))
}

fn ends_with_magic(file: &mut File) -> io::Result<bool> {
    let mut end = Vec::new();
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(MAGIC.len() as u64)))?;
    file.read_to_end(&mut end)?;
    file.rewind()?;
    Ok(len > MAGIC.len() as u64 && end == MAGIC)
}

/// A file that counts how much of it was read.
struct Counted {
    file: File,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(space)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
