//! The zstd seekable format: independent frames, then a skippable frame with the sizes of each.
//! `zstd -d` skips it. Format: github.com/facebook/zstd, contrib/seekable_format.
//!
//! A skippable frame of ours before it, the note, has the length and CRC of the text and the CRC of the
//! table, which has none of its own. A file whose note or table is damaged or missing is gone
//! through frame by frame.

mod window;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use zstd::zstd_safe;

use self::window::Window;

/// The most text in a frame. Files with larger ones are refused: a frame is held in memory whole.
pub(super) const MAX_FRAME_BYTES: usize = 1 << 20;
/// The most frames of a file: what is known of them takes up to 640 MiB.
pub(super) const MAX_FRAMES: usize = 1 << 24;

const FRAME: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const TABLE: [u8; 4] = 0x184D_2A5E_u32.to_le_bytes();
/// One of the 16 numbers of skippable frames, so only its first bytes tell that it is ours.
const NOTE: [u8; 4] = 0x184D_2A5D_u32.to_le_bytes();
const NOTE_IS_OURS: [u8; 8] = *b"mldash\0\x01";
const TABLE_END: [u8; 4] = 0x8F92_EAB1_u32.to_le_bytes();

const SKIPPABLE_HEADER: usize = 8;
const NOTE_BYTES: usize = SKIPPABLE_HEADER + 24;
const ENTRY_BYTES: usize = 8;
/// An entry with a checksum, which files of other programs may have.
const LONG_ENTRY_BYTES: usize = 12;
const FOOTER_BYTES: usize = 9;

/// A frame of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it begins in the file, and how long it is there.
    pub(super) at: u64,
    pub(super) packed_bytes: u64,
    /// Where its text begins, and how long that is.
    pub(super) start: u64,
    pub(super) bytes: usize,
    /// Whether it is known to be unreadable. Its text is then a placeholder.
    pub(super) is_lost: bool,
}

/// The frames that hold text, in order.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) list: Vec<Frame>,
    /// CRC-32 of the text, if the file tells it.
    pub(super) text_crc: Option<u32>,
    /// What is wrong with the file, beside frames.
    pub(super) fault: Option<&'static str>,
}

/// Why a file is not read at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(
        "its frames hold more than 1 MiB each or do not say how much, so it can't be read in bounded \
         memory: it was not made by `mldash_bridge pack`; if you trust it, unpack it with `zstd -d`"
    )]
    LargeFrames,
    #[error("it has more than {MAX_FRAMES} frames, which is more than 1 TiB of rows has")]
    ManyFrames,
}

impl Frame {
    fn end(&self) -> u64 {
        self.start + self.bytes as u64
    }
}

impl Frames {
    /// The frames of `file`.
    pub(super) fn of(file: &File) -> Result<Self, Refused> {
        let len = file.metadata()?.len();
        match Self::from_table(file, len)? {
            Some(frames) => Ok(frames),
            None => Self::found(file, len),
        }
    }

    /// Bytes of text.
    pub(super) fn text_bytes(&self) -> u64 {
        self.list.last().map_or(0, Frame::end)
    }

    /// The frame with the text at `offset`.
    pub(super) fn at(&self, offset: u64) -> Option<usize> {
        let i = self.list.partition_point(|frame| frame.end() <= offset);
        (i < self.list.len()).then_some(i)
    }

    fn push(&mut self, at: u64, packed_bytes: u64, bytes: usize, is_lost: bool) {
        let start = self.text_bytes();
        self.list.push(Frame { at, packed_bytes, start, bytes, is_lost });
    }

    /// Reads the table; `None` if it can't be relied on.
    fn from_table(file: &File, len: u64) -> Result<Option<Self>, Refused> {
        let Some(place) = TablePlace::find(file, len)? else { return Ok(None) };
        let Some(note) = Note::find(file, place.at)? else { return Ok(None) };
        if place.entry_bytes != ENTRY_BYTES || note.table_crc != place.crc(file)? {
            return Ok(None);
        }
        if place.count > MAX_FRAMES {
            return Err(Refused::ManyFrames);
        }
        let mut frames = Self { text_crc: Some(note.text_crc), ..Self::default() };
        // As it is weighed; a list that grows takes twice that.
        frames.list.reserve_exact(place.count);
        let mut at = 0;
        place.read(file, |entries| {
            for entry in entries.chunks_exact(ENTRY_BYTES) {
                let (packed_bytes, bytes) = (number(&entry[..4]), number(&entry[4..]) as usize);
                if bytes > 0 {
                    frames.push(at, packed_bytes.into(), bytes, false);
                }
                at += u64::from(packed_bytes);
            }
        })?;
        let is_too_large = |frame: &Frame| {
            frame.bytes > MAX_FRAME_BYTES || frame.packed_bytes > MAX_PACKED_FRAME_BYTES
        };
        if frames.list.iter().any(is_too_large) {
            return Err(Refused::LargeFrames);
        }
        // The CRC is right, so whoever wrote the table did not write these frames.
        let fits = at == place.at && frames.text_bytes() == note.text_bytes;
        Ok(fits.then_some(frames))
    }

    /// Goes through a file without a table that can be relied on.
    fn found(file: &File, len: u64) -> Result<Self, Refused> {
        let mut window = Window::of(file, len);
        let mut frames = Self::default();
        let (mut at, mut is_large, mut has_table, mut has_note) = (0, false, false, false);
        while at < len {
            if frames.list.len() == MAX_FRAMES {
                return Err(Refused::ManyFrames);
            }
            let bytes = window.read(at, FULL_FRAME_BYTES)?;
            match Piece::of(bytes, len - at) {
                Piece::Frame { packed_bytes, bytes: text }
                    if ends_where_it_says(bytes, packed_bytes, text, len - at) =>
                {
                    frames.push(at, packed_bytes, text, false);
                    at += packed_bytes;
                }
                Piece::Skippable { bytes: skipped, kind } => {
                    has_table |= kind == TABLE;
                    if let Some(note) = Note::of(bytes) {
                        (has_note, frames.text_crc) = (true, Some(note.text_crc));
                    }
                    at += skipped;
                }
                piece => {
                    is_large |= matches!(piece, Piece::Large);
                    let next = next_piece(&mut window, at + 1, len)?;
                    frames.push(at, next - at, 1, true);
                    at = next;
                }
            }
        }
        if is_large && frames.list.iter().all(|frame| frame.is_lost) {
            return Err(Refused::LargeFrames);
        }
        // A seekable file of another program has a table and no note.
        let is_others = has_table && !has_note;
        frames.fault = (!is_others).then_some("its table of frames is damaged or missing");
        Ok(frames)
    }
}

/// The most bytes of a frame in the file.
const MAX_PACKED_FRAME_BYTES: u64 = MAX_FRAME_BYTES as u64 + (MAX_FRAME_BYTES as u64 >> 8) + 64;
const FULL_FRAME_BYTES: usize = MAX_PACKED_FRAME_BYTES as usize;

/// What a file goes on with.
enum Piece {
    /// A frame with so much text.
    Frame { packed_bytes: u64, bytes: usize },
    /// A frame without text.
    Skippable { bytes: u64, kind: [u8; 4] },
    /// A frame with too much text, or one that does not say how much it has.
    Large,
    /// Damage.
    Other,
}

impl Piece {
    /// What `bytes` begin with, of which `left` are left in the file.
    fn of(bytes: &[u8], left: u64) -> Self {
        let Some((kind, rest)) = bytes.split_first_chunk::<4>() else { return Self::Other };
        if *kind == FRAME {
            return match zstd_safe::get_frame_content_size(bytes) {
                Ok(Some(text)) if text <= MAX_FRAME_BYTES as u64 => {
                    match zstd_safe::find_frame_compressed_size(bytes) {
                        Ok(packed) if text == 0 => {
                            Self::Skippable { bytes: packed as u64, kind: *kind }
                        }
                        Ok(packed) => {
                            Self::Frame { packed_bytes: packed as u64, bytes: text as usize }
                        }
                        Err(_) => Self::Other,
                    }
                }
                Ok(_) => Self::Large,
                Err(_) => Self::Other,
            };
        }
        let is_skippable = kind[0] & 0xF0 == 0x50 && kind[1..] == TABLE[1..];
        match rest.first_chunk::<4>() {
            Some(size) if is_skippable => {
                let bytes = SKIPPABLE_HEADER as u64 + u64::from(u32::from_le_bytes(*size));
                if bytes <= left { Self::Skippable { bytes, kind: *kind } } else { Self::Other }
            }
            _ => Self::Other,
        }
    }
}

/// Where damage that begins before `from` ends: at the next frame, or at `len`.
fn next_piece(window: &mut Window<'_>, from: u64, len: u64) -> io::Result<u64> {
    let mut at = from;
    loop {
        let bytes = window.read(at, FULL_FRAME_BYTES)?;
        if bytes.is_empty() {
            return Ok(len);
        }
        let Some(found) = memchr::memchr3(FRAME[0], TABLE[0], NOTE[0], bytes) else {
            at += bytes.len() as u64;
            continue;
        };
        at += found as u64;
        let bytes = window.read(at, FULL_FRAME_BYTES)?;
        let is_one = match Piece::of(bytes, len - at) {
            Piece::Frame { .. } => true,
            // By chance, any four bytes come up in a large file.
            Piece::Skippable { bytes, kind: TABLE } => at + bytes == len,
            Piece::Skippable { kind: NOTE, .. } => bytes.starts_with(&note_header()),
            Piece::Skippable { .. } | Piece::Large | Piece::Other => false,
        };
        if is_one {
            return Ok(at);
        }
        at += 1;
    }
}

/// Whether a frame is one as far as its length goes: damage may have changed what it says of that.
fn ends_where_it_says(bytes: &[u8], packed_bytes: u64, text_bytes: usize, left: u64) -> bool {
    let (frame, rest) = bytes.split_at(bytes.len().min(packed_bytes as usize));
    let goes_on = [FRAME, TABLE, NOTE].iter().any(|kind| rest.starts_with(kind));
    packed_bytes == left || goes_on || zstd::bulk::decompress(frame, text_bytes).is_ok()
}

/// Where the table is.
struct TablePlace {
    /// Where its frame begins.
    at: u64,
    count: usize,
    entry_bytes: usize,
}

impl TablePlace {
    fn find(file: &File, len: u64) -> io::Result<Option<Self>> {
        let Some(footer_at) = len.checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let (count, descriptor) = (number(&footer[..4]) as usize, footer[4]);
        if footer[5..] != TABLE_END || descriptor & 0x7C != 0 {
            return Ok(None);
        }
        let entry_bytes = if descriptor & 0x80 == 0 { ENTRY_BYTES } else { LONG_ENTRY_BYTES };
        let bytes = count as u64 * entry_bytes as u64 + FOOTER_BYTES as u64;
        let Some(at) = len.checked_sub(bytes + SKIPPABLE_HEADER as u64) else { return Ok(None) };
        let mut header = [0; SKIPPABLE_HEADER];
        file.read_exact_at(&mut header, at)?;
        let is_there = header[..4] == TABLE && u64::from(number(&header[4..])) == bytes;
        Ok(is_there.then_some(Self { at, count, entry_bytes }))
    }

    /// Calls back for the entries, some at a time.
    fn read(&self, file: &File, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut entries = vec![0; self.entry_bytes << 12];
        let mut at = self.at + SKIPPABLE_HEADER as u64;
        let mut left = self.count * self.entry_bytes;
        while left > 0 {
            let some = left.min(entries.len());
            file.read_exact_at(&mut entries[..some], at)?;
            each(&entries[..some]);
            at += some as u64;
            left -= some;
        }
        Ok(())
    }

    fn crc(&self, file: &File) -> io::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        self.read(file, |entries| hasher.update(entries))?;
        Ok(hasher.finalize())
    }
}

/// What our own skippable frame says.
struct Note {
    text_bytes: u64,
    text_crc: u32,
    table_crc: u32,
}

impl Note {
    fn find(file: &File, table_at: u64) -> io::Result<Option<Self>> {
        let Some(at) = table_at.checked_sub(NOTE_BYTES as u64) else { return Ok(None) };
        let mut note = [0; NOTE_BYTES];
        file.read_exact_at(&mut note, at)?;
        Ok(Self::of(&note))
    }

    /// The note that `bytes` begin with.
    fn of(bytes: &[u8]) -> Option<Self> {
        let said = bytes.strip_prefix(&note_header()[..])?.get(..16)?;
        let text_bytes = u64::from(number(&said[..4])) | u64::from(number(&said[4..8])) << 32;
        let (text_crc, table_crc) = (number(&said[8..12]), number(&said[12..16]));
        Some(Self { text_bytes, text_crc, table_crc })
    }
}

fn note_header() -> Vec<u8> {
    [NOTE, ((NOTE_BYTES - SKIPPABLE_HEADER) as u32).to_le_bytes()]
        .concat()
        .into_iter()
        .chain(NOTE_IS_OURS)
        .collect()
}

/// The note and the table: the end of a file with these frames, as (bytes in the file, bytes of text).
pub(super) fn end_of_file(frames: &[(u32, u32)], text_bytes: u64, text_crc: u32) -> Vec<u8> {
    let mut entries = Vec::with_capacity((frames.len() + 1) * ENTRY_BYTES);
    for (packed_bytes, bytes) in frames.iter().copied().chain([(NOTE_BYTES as u32, 0)]) {
        entries.extend(packed_bytes.to_le_bytes());
        entries.extend(bytes.to_le_bytes());
    }
    let mut end = note_header();
    end.extend(text_bytes.to_le_bytes());
    end.extend(text_crc.to_le_bytes());
    end.extend(crc32fast::hash(&entries).to_le_bytes());
    end.extend(TABLE);
    end.extend(((entries.len() + FOOTER_BYTES) as u32).to_le_bytes());
    end.extend(&entries);
    end.extend((frames.len() as u32 + 1).to_le_bytes());
    end.push(0);
    end.extend(TABLE_END);
    end
}

/// Bytes of memory that what is known of the frames of `file` takes.
pub(super) fn weight(file: &File) -> io::Result<usize> {
    let place = TablePlace::find(file, file.metadata()?.len())?;
    Ok(place.map_or(0, |place| place.count.min(MAX_FRAMES) * size_of::<Frame>()))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
