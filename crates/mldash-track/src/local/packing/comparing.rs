//! Reads back what was written, before anything is removed.

use std::fs::File;
use std::io::{self, Write};

use crate::local::index::Index;
use crate::local::packed::pieces;
use crate::local::row_file::{RowFile, RowText};

/// Bytes read back at a time.
const COMPARED_BYTES: usize = 256 << 10;

/// Copies all of `from` to `out`. Returns how much it is.
pub(super) fn copy(
    from: &File,
    out: &mut impl Write,
    crc: &mut crc32fast::Hasher,
) -> io::Result<u64> {
    let mut piece = vec![0; COMPARED_BYTES];
    let mut at = 0;
    loop {
        match from.read_text(&mut piece, at) {
            Ok(0) => return Ok(at),
            Ok(read) => {
                crc.update(&piece[..read]);
                out.write_all(&piece[..read])?;
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The CRC-32 of all of `file`.
pub(super) fn crc_of(file: &File) -> io::Result<u32> {
    let mut crc = crc32fast::Hasher::new();
    copy(file, &mut io::sink(), &mut crc)?;
    Ok(crc.finalize())
}

/// Returns true if both have the text that `index` covers, and no more; `None` if it was told to stop.
pub(super) fn is_same(
    packed: &RowFile,
    plain: &File,
    index: &Index,
    goes_on: &dyn Fn() -> bool,
) -> io::Result<Option<bool>> {
    if packed.text_bytes()? != index.end() || plain.text_bytes()? != index.end() {
        return Ok(Some(false));
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for block in index.blocks() {
        if !goes_on() {
            return Ok(None);
        }
        for piece in pieces(block.offset..block.offset + block.len) {
            ours.resize((piece.end - piece.start) as usize, 0);
            theirs.resize(ours.len(), 0);
            packed.read_whole_text(&mut ours, piece.start)?;
            plain.read_whole_text(&mut theirs, piece.start)?;
            if ours != theirs {
                return Ok(Some(false));
            }
        }
    }
    Ok(Some(true))
}
