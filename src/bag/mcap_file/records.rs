//! The records of an MCAP file, one after another. What no import needs is stepped over unread into
//! memory: attachments may be large.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcap::records::op;
use mcap::{MAGIC, McapError};

use super::super::packed;

/// No record is larger, whatever its length field says.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 30;
/// A record's kind and length.
pub(super) const HEAD_BYTES: usize = 1 + 8;
const BUFFER_BYTES: usize = 1 << 20;

/// Reads records from the start of a file.
pub(super) struct RecordReader {
    input: Box<dyn Read + Send>,
    read_bytes: Arc<AtomicU64>,
    at_bytes: u64,
    /// Whether the file has its end: then a record that leads beyond it is damaged, not cut off.
    is_finished: bool,
}

/// What comes next.
pub(super) enum Next {
    Record {
        op: u8,
        body: Vec<u8>,
    },
    /// The file ends in it.
    Cut {
        op: Option<u8>,
        body: Vec<u8>,
        /// What it would have been long.
        len: u64,
    },
    /// Bytes that are no record; where the next one starts is not known.
    Damage(McapError),
    /// What follows only repeats and indexes what came: a cut in it costs nothing.
    End,
}

impl RecordReader {
    pub(super) fn open(path: &Path, is_packed: bool) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let is_finished = !is_packed && ends_with_magic(&mut file)?;
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { file, read_bytes: read_bytes.clone() };
        let mut input: Box<dyn Read + Send> = if is_packed {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, packed::reader(counted)?))
        } else {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, counted))
        };
        // It was seen when the file was found to be MCAP.
        io::copy(&mut (&mut input).take(MAGIC.len() as u64), &mut io::sink())?;
        Ok(Self { input, read_bytes, at_bytes: MAGIC.len() as u64, is_finished })
    }

    /// Bytes on disk that are read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Where the next record starts; in a file that is compressed as a whole, once it is unpacked.
    pub(super) fn at_bytes(&self) -> u64 {
        self.at_bytes
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        loop {
            let mut head = Vec::with_capacity(HEAD_BYTES);
            self.read(HEAD_BYTES as u64, &mut head)?;
            let Some((&[op, ref len @ ..], [])) = head.split_first_chunk::<HEAD_BYTES>() else {
                return Ok(self.cut(None, head, 0));
            };
            let len = u64::from_le_bytes(*len);
            match op {
                op::DATA_END => return Ok(Next::End),
                op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK => {
                    if len > MAX_RECORD_BYTES as u64 {
                        let too_large = McapError::RecordTooLarge { opcode: op, len };
                        return Ok(Next::Damage(too_large));
                    }
                    // A length is not believed before its bytes are there.
                    let mut body = Vec::with_capacity(len.min(BUFFER_BYTES as u64) as usize);
                    self.read(len, &mut body)?;
                    return Ok(match body.len() as u64 == len {
                        true => Next::Record { op, body },
                        false => self.cut(Some(op), body, len),
                    });
                }
                // No record has this one.
                0 => {
                    let opcode = McapError::PrivateRecordOpcodeIsReserved { opcode: op };
                    return Ok(Next::Damage(opcode));
                }
                _ => {
                    let skipped = io::copy(&mut (&mut self.input).take(len), &mut io::sink());
                    let skipped = or_end(skipped, 0)?;
                    self.at_bytes += skipped;
                    if skipped < len {
                        return Ok(self.cut(Some(op), Vec::new(), len));
                    }
                }
            }
        }
    }

    fn cut(&self, op: Option<u8>, body: Vec<u8>, len: u64) -> Next {
        if self.is_finished {
            let opcode = op.unwrap_or_default();
            return Next::Damage(McapError::RecordTooLarge { opcode, len });
        }
        Next::Cut { op, body, len }
    }

    /// As much of `bytes` as there is.
    fn read(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let read = (&mut self.input).take(bytes).read_to_end(into);
        or_end(read.map(|read| read as u64), into.len() as u64)?;
        self.at_bytes += into.len() as u64;
        Ok(())
    }
}

/// A compressed file that is cut off ends there; what was unpacked before is `so_far`.
fn or_end(read: io::Result<u64>, so_far: u64) -> io::Result<u64> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(so_far),
        read => read,
    }
}

fn ends_with_magic(file: &mut File) -> io::Result<bool> {
    let mut end = Vec::new();
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(MAGIC.len() as u64)))?;
    file.read_to_end(&mut end)?;
    file.rewind()?;
    Ok(len > MAGIC.len() as u64 && end == MAGIC)
}

/// A file that tells how much of it was read.
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
