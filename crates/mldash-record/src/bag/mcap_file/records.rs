//! The framing of MCAP's records, in a file and within a chunk: one after another. Nothing of a
//! record is read into memory before its purpose is known.

use std::io::{self, BufRead};

use mcap::records::op;

use super::damage::McapDamage;

/// A record's kind and length.
const HEAD_BYTES: usize = 1 + 8;
/// The least memory reserved for a record's content, if it is that long.
const MIN_RESERVED_BYTES: usize = 64 << 10;
/// People write definitions; no schema or channel is larger.
const MAX_DEFINITION_BYTES: u64 = 16 << 20;

/// A record's kind, and the length of what follows its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) op: u8,
    pub(super) len: u64,
}

/// The head of a record, or why there is none.
pub(super) enum Next {
    Record(Head),
    /// No byte is left.
    End,
    /// The bytes end within the head.
    Cut,
    /// What follows is not a record, and the start of the next one is unknown.
    Damage(McapDamage),
}

/// The start of a message record.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageHead {
    pub(super) channel: u16,
    /// The log time, in nanoseconds since the epoch.
    pub(super) log_time: u64,
    /// The publish time.
    pub(super) publish_time: u64,
}

impl MessageHead {
    pub(super) const BYTES: usize = 2 + 4 + 8 + 8;

    fn parse(bytes: &[u8; Self::BYTES]) -> Self {
        let [c0, c1, _, _, _, _, rest @ ..] = bytes;
        let time = |at: usize| {
            let mut time = [0; 8];
            time.copy_from_slice(&rest[at..at + 8]);
            u64::from_le_bytes(time)
        };
        let channel = u16::from_le_bytes([*c0, *c1]);
        Self { channel, log_time: time(0), publish_time: time(8) }
    }
}

/// Reads records.
pub(super) struct Records<R> {
    input: R,
    at_bytes: u64,
}

impl<R: BufRead> Records<R> {
    /// Reads from `input`, of which `at_bytes` were read before.
    pub(super) fn new(input: R, at_bytes: u64) -> Self {
        Self { input, at_bytes }
    }

    /// The position in the bytes; for a file that is compressed as a whole, in the unpacked bytes.
    pub(super) fn at_bytes(&self) -> u64 {
        self.at_bytes
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        Ok(match self.array::<HEAD_BYTES>()? {
            // No record has this kind.
            Ok([0, ..]) => Next::Damage(McapDamage::Kind),
            Ok([op, len @ ..]) => Next::Record(Head { op, len: u64::from_le_bytes(len) }),
            Err(0) => Next::End,
            Err(_) => Next::Cut,
        })
    }

    /// The content of a schema or a channel; an error if it is cut off or too large.
    pub(super) fn definition(&mut self, head: Head) -> io::Result<Result<Vec<u8>, McapDamage>> {
        if head.len > MAX_DEFINITION_BYTES {
            let Head { op, len } = head;
            return Ok(match self.skip(len)? {
                true => Err(McapDamage::TooLarge { op, len }),
                false => Err(McapDamage::Cut),
            });
        }
        Ok(self.content(head.len)?.ok_or(McapDamage::Cut))
    }

    /// The next `len` bytes; `None` if there are fewer. Memory grows only with bytes that are
    /// there.
    pub(super) fn content(&mut self, len: u64) -> io::Result<Option<Vec<u8>>> {
        let mut content = Vec::new();
        self.read(len, &mut content)?;
        Ok((content.len() as u64 == len).then_some(content))
    }

    /// The start of a message record that is long enough; `None` if it is cut off.
    pub(super) fn message_head(&mut self) -> io::Result<Option<MessageHead>> {
        Ok(self.array()?.ok().as_ref().map(MessageHead::parse))
    }

    /// Skips this many bytes. Returns true if all are there.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<bool> {
        self.pieces(len, |_, _| {})
    }

    /// Reads as many of `bytes` bytes as there are.
    pub(super) fn read(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<()> {
        self.pieces(bytes, |piece, left| {
            // Doubles each time, up to the length.
            let wanted = left.min(into.len().max(MIN_RESERVED_BYTES) as u64) as usize;
            into.reserve_exact(wanted.max(piece.len()));
            into.extend_from_slice(piece);
        })
        .map(drop)
    }

    /// The next bytes, or how many are left.
    fn array<const N: usize>(&mut self) -> io::Result<Result<[u8; N], usize>> {
        let mut array = [0; N];
        let mut filled = 0;
        let is_whole = self.pieces(N as u64, |piece, _| {
            array[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        })?;
        Ok(if is_whole { Ok(array) } else { Err(filled) })
    }

    /// Passes the next `len` bytes to `take` in pieces, with the number of bytes left including the
    /// piece. Returns true if all are there.
    fn pieces(&mut self, len: u64, mut take: impl FnMut(&[u8], u64)) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return or_cut(error).map(|()| false),
            };
            let there = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if there == 0 {
                return Ok(false);
            }
            take(&buffer[..there], left);
            self.input.consume(there);
            self.at_bytes += there as u64;
            left -= there as u64;
        }
        Ok(true)
    }

    /// Skips bytes up to and including the next `pattern`. Returns true if there is one.
    pub(super) fn seek_behind(&mut self, pattern: &[u8]) -> io::Result<bool> {
        let mut kept: Vec<u8> = Vec::new();
        loop {
            let buffer = match self.input.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(buffer) => buffer,
                Err(error) => return or_cut(error).map(|()| false),
            };
            let from = kept.len();
            kept.extend_from_slice(buffer);
            let read = buffer.len();
            if let Some(found) = memchr::memmem::find(&kept, pattern) {
                let used = found + pattern.len() - from;
                self.input.consume(used);
                self.at_bytes += used as u64;
                return Ok(true);
            }
            self.input.consume(read);
            self.at_bytes += read as u64;
            // The pattern may start in this piece and end in the next.
            kept.drain(..kept.len().saturating_sub(pattern.len() - 1));
        }
    }

    /// Reads the rest. Returns true if it is all zeros.
    pub(super) fn rest_is_zero(&mut self) -> io::Result<bool> {
        loop {
            let buffer = match self.input.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(buffer) => buffer,
                Err(error) => return or_cut(error).map(|()| true),
            };
            let (read, is_zero) = (buffer.len(), buffer.iter().all(|byte| *byte == 0));
            self.input.consume(read);
            self.at_bytes += read as u64;
            if !is_zero {
                return Ok(false);
            }
        }
    }
}

/// A compressed stream that is cut off ends here.
fn or_cut(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    }
}

/// Returns true if a record is a schema or a channel.
pub(super) fn is_definition(op: u8) -> bool {
    matches!(op, op::SCHEMA | op::CHANNEL)
}
