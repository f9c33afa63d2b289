//! Chunks: unpacked and compared with their checksums before anything is read from them.

use std::io::{self, BufRead, Cursor, Read};

use super::damage::McapDamage;
use super::input::{Input, InputFile, Section, buffered};
use super::records::{Head, Records};

/// Two times, the unpacked size, the checksum and the length of the compression's name.
const FIXED_BYTES: u64 = 8 + 8 + 8 + 4 + 4;
/// The packed size, after that name.
const SIZE_BYTES: u64 = 8;
/// Much longer than the existing names.
const MAX_NAME_BYTES: u64 = 64;

/// A chunk whose records are read.
pub(super) struct Chunk {
    pub(super) records: Records<Input>,
    /// Its position in the file.
    pub(super) from_bytes: u64,
    /// The file ends within it. Its content is right as far as it can be unpacked, up to a whole
    /// block.
    pub(super) is_cut: bool,
}

/// The result of opening a chunk.
pub(super) enum Opened {
    Chunk(Chunk),
    /// It is left out completely: rows of wrong bytes would be worse than none.
    Damaged(McapDamage),
    /// The file ends before anything that could be unpacked.
    Cut,
}

/// The head of a chunk.
struct ChunkHead {
    unpacked_bytes: u64,
    crc: u32,
    packing: Packing,
    packed_bytes: u64,
    /// The rest of its record.
    padding_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Zstd,
    Lz4,
}

/// Unpacks chunks that fit in memory. Reuses zstd's state.
#[derive(Default)]
pub(super) struct ChunkUnpacker {
    zstd: zstd::bulk::Decompressor<'static>,
}

/// Opens the chunk whose record's head was read from `records`, which belongs to `file`. The chunk
/// is unpacked in memory if its head claims at most `memory_bytes`. Otherwise it is read twice, in
/// pieces.
pub(super) fn open(
    file: &InputFile,
    records: &mut Records<Input>,
    head: Head,
    memory_bytes: u64,
    unpacker: &mut ChunkUnpacker,
) -> io::Result<Opened> {
    let from_bytes = records.at_bytes();
    let chunk = match ChunkHead::read(records, head)? {
        Ok(Some(chunk)) => chunk,
        Ok(None) => return Ok(Opened::Cut),
        Err(damage) => {
            // The next record follows it.
            let left = (from_bytes + head.len).saturating_sub(records.at_bytes());
            return Ok(if records.skip(left)? { Opened::Damaged(damage) } else { Opened::Cut });
        }
    };
    if chunk.packed_bytes.max(chunk.unpacked_bytes) > memory_bytes {
        let section = file.section(records, chunk.packed_bytes)?;
        records.skip(chunk.padding_bytes)?;
        if section.len < chunk.packed_bytes && file.is_finished {
            return Ok(Opened::Cut);
        }
        return chunk.open_section(&section, from_bytes);
    }
    let mut packed = Vec::new();
    records.read(chunk.packed_bytes, &mut packed)?;
    if (packed.len() as u64) < chunk.packed_bytes {
        // The file has an end, so this is damage, and it is unknown which part is right.
        if file.is_finished {
            return Ok(Opened::Cut);
        }
        let unpacked = unpacked(chunk.packing, Box::new(Cursor::new(packed)))?;
        let content = Box::new(unpacked.take(chunk.unpacked_bytes));
        return Ok(Opened::Chunk(Chunk::of(content, from_bytes, true)));
    }
    records.skip(chunk.padding_bytes)?;
    Ok(match chunk.unpack(packed, unpacker) {
        Ok(content) => Opened::Chunk(Chunk::of(Box::new(Cursor::new(content)), from_bytes, false)),
        Err(damage) => Opened::Damaged(damage),
    })
}

impl Chunk {
    fn of(content: Input, from_bytes: u64, is_cut: bool) -> Self {
        Self { records: Records::new(content, 0), from_bytes, is_cut }
    }
}

impl ChunkHead {
    /// `None` if it is cut off.
    fn read(
        records: &mut Records<Input>,
        head: Head,
    ) -> io::Result<Result<Option<Self>, McapDamage>> {
        let Head { op, len } = head;
        let wrong = McapDamage::Fields { op, len };
        if len < FIXED_BYTES + SIZE_BYTES {
            return Ok(Err(wrong));
        }
        let Some(fixed) = records.content(FIXED_BYTES)? else { return Ok(Ok(None)) };
        let name_bytes = number(&fixed, 28, 4);
        let head_bytes = FIXED_BYTES + name_bytes + SIZE_BYTES;
        if name_bytes > MAX_NAME_BYTES || head_bytes > len {
            return Ok(Err(wrong));
        }
        let Some(rest) = records.content(name_bytes + SIZE_BYTES)? else { return Ok(Ok(None)) };
        let (name, size) = rest.split_at(name_bytes as usize);
        let packing = match name {
            b"" => Packing::None,
            b"zstd" => Packing::Zstd,
            b"lz4" => Packing::Lz4,
            name => {
                let name = String::from_utf8_lossy(name).escape_debug().to_string();
                return Ok(Err(McapDamage::Compression(name)));
            }
        };
        let packed_bytes = number(size, 0, 8);
        let Some(padding_bytes) = (len - head_bytes).checked_sub(packed_bytes) else {
            return Ok(Err(wrong));
        };
        let (unpacked_bytes, crc) = (number(&fixed, 16, 8), number(&fixed, 24, 4) as u32);
        Ok(Ok(Some(Self { unpacked_bytes, crc, packing, packed_bytes, padding_bytes })))
    }

    /// Unpacks all of it at once.
    fn unpack(&self, packed: Vec<u8>, unpacker: &mut ChunkUnpacker) -> Result<Vec<u8>, McapDamage> {
        let claimed = self.unpacked_bytes;
        let content = match self.packing {
            Packing::None => packed,
            Packing::Zstd => {
                let capacity = usize::try_from(claimed).unwrap_or(usize::MAX);
                unpacker.zstd.decompress(&packed, capacity).map_err(McapDamage::Unpack)?
            }
            Packing::Lz4 => {
                let mut content = Vec::new();
                let decoder = lz4::Decoder::new(packed.as_slice()).map_err(McapDamage::Unpack)?;
                let read = decoder.take(claimed + 1).read_to_end(&mut content);
                read.map_err(McapDamage::Unpack)?;
                content
            }
        };
        self.check(content.len() as u64, crc32fast::hash(&content))?;
        Ok(content)
    }

    fn check(&self, found: u64, calculated: u32) -> Result<(), McapDamage> {
        let (claimed, saved) = (self.unpacked_bytes, self.crc);
        if found != claimed {
            return Err(McapDamage::Size { claimed, found });
        }
        // 0: the writer left it out.
        if saved != 0 && saved != calculated {
            return Err(McapDamage::Checksum { saved, calculated });
        }
        Ok(())
    }

    /// Reads it in pieces: once for the checksum, once for its content.
    fn open_section(&self, section: &Section, from_bytes: u64) -> io::Result<Opened> {
        let is_cut = section.len < self.packed_bytes;
        let content = || {
            Ok::<_, io::Error>(unpacked(self.packing, section.open()?)?.take(self.unpacked_bytes))
        };
        if !is_cut {
            let mut hasher = crc32fast::Hasher::new();
            // One byte more shows that it is too long.
            let mut whole = unpacked(self.packing, section.open()?)?
                .take(self.unpacked_bytes.saturating_add(1));
            match hash(&mut whole, &mut hasher) {
                Ok(found) => {
                    if let Err(damage) = self.check(found, hasher.finalize()) {
                        return Ok(Opened::Damaged(damage));
                    }
                }
                Err(error) => return Ok(Opened::Damaged(McapDamage::Unpack(error))),
            }
        }
        Ok(Opened::Chunk(Chunk::of(Box::new(content()?), from_bytes, is_cut)))
    }
}

fn unpacked(packing: Packing, packed: Input) -> io::Result<Input> {
    Ok(match packing {
        Packing::None => packed,
        Packing::Zstd => buffered(zstd::stream::read::Decoder::with_buffer(packed)?),
        Packing::Lz4 => buffered(lz4::Decoder::new(packed)?),
    })
}

fn hash(content: &mut impl BufRead, hasher: &mut crc32fast::Hasher) -> io::Result<u64> {
    let mut found = 0;
    loop {
        let read = match content.fill_buf()? {
            [] => return Ok(found),
            piece => {
                hasher.update(piece);
                piece.len()
            }
        };
        content.consume(read);
        found += read as u64;
    }
}

/// A little-endian number of `len` bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let digits = bytes.get(at..at + len).unwrap_or_default();
    digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit))
}
