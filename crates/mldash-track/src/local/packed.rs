//! Rows at rest, packed with zstd: `data.jsonl.zst` in the place of `data.jsonl`. `zstd -d` restores
//! the plain file byte for byte.
//!
//! Each block of the index is a frame of its own, so that a range of times costs no more than its
//! blocks. The index is the same as that of the plain text, and is made from the packed file alone
//! if it is lost.
//!
//! A frame that is damaged (each has a checksum) is named and read as a line that is no row. All
//! other frames are read.
//!
//! This module knows bytes, not rows. `row_file` says which of a track's files are read, `packing`
//! makes one from the other.

mod frames;

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use zstd::bulk::{Compressor, Decompressor};

use self::frames::{Frame, Frames, MAX_FRAME_BYTES, MAX_FRAMES, Refused, end_of_file};
use super::beneath::How;
use super::damage;
use super::error::StoreError;
use super::handles;

/// The packed file's name in a track's folder.
pub(super) const PACKED_FILE: &str = "data.jsonl.zst";

/// Measured on joint states, IMUs and scans: higher levels of zstd take up to six times as long and
/// pack digits worse.
const LEVEL: i32 = 1;

/// The longest line that is read. Packed, it takes hardly any space on the disk, but memory. The largest
/// row that is recorded has half of it.
pub(super) const MAX_LINE_BYTES: usize = if cfg!(test) { 4 << 20 } else { 256 << 20 };

/// The text in a packed file. The file itself is passed in, so that it may be closed between uses.
#[derive(Debug)]
pub(super) struct PackedText {
    path: PathBuf,
    frames: Frames,
    idle: Mutex<Vec<Unpacker>>,
    /// The frame that was last read in part.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

#[derive(Default)]
struct Unpacker {
    context: Decompressor<'static>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl PackedText {
    /// The text in `file`, which is at `path`. Damage is reported.
    ///
    /// # Errors
    /// Fails if the file can't be read, or claims sizes that can't be read in bounded memory.
    pub(super) fn of(file: &File, path: &Path) -> Result<Self, StoreError> {
        let frames = Frames::of(file).map_err(|refused| match refused {
            Refused::Io(error) => StoreError::io("read", path)(error),
            refused => StoreError::Malformed { path: path.to_owned(), reason: refused.to_string() },
        })?;
        if let Some(fault) = frames.fault {
            damage::report_packed(path, None, &format!("{fault}; what is intact of it is read"));
        }
        let path = path.to_owned();
        Ok(Self { path, frames, idle: Mutex::default(), last: Mutex::default() })
    }

    /// Bytes of text.
    pub(super) fn text_bytes(&self) -> u64 {
        self.frames.text_bytes()
    }

    /// CRC-32 of the text as it was packed, if that is known.
    pub(super) fn text_crc(&self) -> Option<u32> {
        self.frames.text_crc
    }

    /// Returns true if a text with this CRC is all that was packed, as far as the file tells. One of another
    /// program does not.
    pub(super) fn is_all(&self, crc: u32) -> bool {
        self.text_crc().map_or(self.frames.fault.is_none(), |packed| packed == crc)
    }

    /// What is wrong with the file, beside frames: then some may be missing at its end.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.frames.fault
    }

    /// Reads text at `offset` from `file`: some of it, and none at the end.
    ///
    /// # Errors
    /// Returns the operating system's error. Damage is no error: it is read as a line that is no row.
    pub(super) fn read_at(&self, file: &File, text: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(i) = self.frames.at(offset) else { return Ok(0) };
        let frame = self.frames.list[i];
        if frame.start == offset
            && let Some(text) = text.get_mut(..frame.bytes)
        {
            self.unpack(file, i, text)?;
            return Ok(frame.bytes);
        }
        let whole = self.whole(file, i)?;
        let from = &whole[(offset - frame.start) as usize..];
        let bytes = from.len().min(text.len());
        text[..bytes].copy_from_slice(&from[..bytes]);
        Ok(bytes)
    }

    /// Calls back for the text in order, in pieces. A damaged frame is a line end, so that what is
    /// left of the lines around it is not taken for one. Returns how many of them there are.
    pub(super) fn for_each_piece(
        &self,
        file: &File,
        mut each: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let mut text = Vec::new();
        let mut damaged = 0;
        for (i, frame) in self.frames.list.iter().enumerate() {
            text.resize(frame.bytes, 0);
            let is_intact =
                self.unpack(file, i, &mut text).map_err(StoreError::io("read", &self.path))?;
            damaged += u64::from(!is_intact);
            each(if is_intact { &text } else { b"\n" })?;
        }
        Ok(damaged)
    }

    fn whole(&self, file: &File, i: usize) -> io::Result<Arc<Vec<u8>>> {
        if let Some((last, text)) = &*self.last.lock()
            && *last == i
        {
            return Ok(text.clone());
        }
        let mut text = vec![0; self.frames.list[i].bytes];
        self.unpack(file, i, &mut text)?;
        let text = Arc::new(text);
        *self.last.lock() = Some((i, text.clone()));
        Ok(text)
    }

    /// Fills `text` with a frame's. Returns false, and fills it with a line that is no row, if the
    /// frame is damaged.
    fn unpack(&self, file: &File, i: usize, text: &mut [u8]) -> io::Result<bool> {
        let frame = self.frames.list[i];
        if !frame.is_lost && self.unpack_intact(file, &frame, text)? {
            return Ok(true);
        }
        let Frame { at, packed_bytes, bytes, .. } = frame;
        let text_said = match frame.is_lost {
            true => "the rows there".to_owned(),
            false => format!("its {bytes} bytes of rows"),
        };
        let end = at + packed_bytes;
        let said = format!(
            "frame {i} (bytes {at} to {end} of the file) is damaged: {text_said} are left out, and all \
             others are read"
        );
        damage::report_packed(&self.path, Some(i), &said);
        text.fill(0);
        if let Some(last) = text.last_mut() {
            *last = b'\n';
        }
        Ok(false)
    }

    fn unpack_intact(&self, file: &File, frame: &Frame, text: &mut [u8]) -> io::Result<bool> {
        let mut unpacker = self.idle.lock().pop().unwrap_or_default();
        let Unpacker { context, packed } = &mut unpacker;
        packed.resize(frame.packed_bytes as usize, 0);
        let unpacked = match file.read_exact_at(packed, frame.at) {
            Ok(()) => context.decompress_to_buffer(packed, text),
            // It was cut.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => return Err(error),
        };
        self.idle.lock().push(unpacker);
        Ok(unpacked.is_ok_and(|bytes| bytes == text.len()))
    }
}

/// Writes a packed file.
pub(super) struct Packer<W> {
    out: W,
    context: Compressor<'static>,
    packed: Vec<u8>,
    frames: Vec<(u32, u32)>,
    text_bytes: u64,
    text_crc: crc32fast::Hasher,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut context = Compressor::new(LEVEL)?;
        context.include_checksum(true)?;
        let (packed, frames) = (Vec::new(), Vec::new());
        let text_crc = crc32fast::Hasher::new();
        Ok(Self { out, context, packed, frames, text_bytes: 0, text_crc })
    }

    /// Packs a piece of text as a frame.
    ///
    /// # Errors
    /// Also `InvalidInput` if it is empty or over [`MAX_FRAME_BYTES`], or there are too many.
    pub(super) fn push(&mut self, text: &[u8]) -> io::Result<()> {
        let fits = (1..=MAX_FRAME_BYTES).contains(&text.len());
        if !fits || self.frames.len() >= MAX_FRAMES - 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too large to be packed"));
        }
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(text.len()));
        let bytes = self.context.compress_to_buffer(text, &mut self.packed)?;
        self.out.write_all(&self.packed)?;
        self.frames.push((bytes as u32, text.len() as u32));
        self.text_bytes += text.len() as u64;
        self.text_crc.update(text);
        Ok(())
    }

    /// Writes the end of the file.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let crc = self.text_crc.finalize();
        self.out.write_all(&end_of_file(&self.frames, self.text_bytes, crc))?;
        Ok(self.out)
    }
}

/// How much memory reading the packed rows of the track in `folder` takes beside the rows, at most.
pub(super) fn weight(folder: &Path) -> Result<usize, StoreError> {
    let path = folder.join(PACKED_FILE);
    match handles::open(&path, How::Read) {
        Ok(file) => {
            let frames = frames::weight(&file).map_err(StoreError::io("read", &path))?;
            Ok(frames + 2 * MAX_FRAME_BYTES)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io("open", &path)(error)),
    }
}

/// Cuts a range of text into ranges that fit a frame each.
pub(super) fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let step = MAX_FRAME_BYTES as u64;
    let end = range.end;
    range.step_by(MAX_FRAME_BYTES).map(move |start| start..end.min(start + step))
}

#[cfg(test)]
mod tests;
