//! A file that is gone through from its start to its end, of which a part is held in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes read at a time while a file is gone through.
const WINDOW_BYTES: usize = 4 << 20;

/// A part of a file in memory.
#[derive(Debug)]
pub(super) struct Window<'f> {
    file: &'f File,
    /// How long the file is.
    len: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl<'f> Window<'f> {
    /// Of `file`, which has `len` bytes.
    pub(super) fn of(file: &'f File, len: u64) -> Self {
        Self { file, len, at: 0, bytes: Vec::new() }
    }

    /// The bytes at `offset`: at least `wanted`, unless the file ends before.
    pub(super) fn read(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let from = offset.checked_sub(self.at).and_then(|from| usize::try_from(from).ok());
        let is_to_the_end = self.at + self.bytes.len() as u64 >= self.len;
        let held = from.filter(|from| {
            from + wanted <= self.bytes.len() || (is_to_the_end && *from <= self.bytes.len())
        });
        if held.is_none() {
            let left = self.len.saturating_sub(offset).min(WINDOW_BYTES as u64) as usize;
            self.bytes.resize(left, 0);
            let mut read = 0;
            while read < left {
                match self.file.read_at(&mut self.bytes[read..], offset + read as u64) {
                    Ok(0) => break,
                    Ok(more) => read += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.bytes.truncate(read);
            self.at = offset;
        }
        Ok(&self.bytes[held.unwrap_or(0)..])
    }
}
