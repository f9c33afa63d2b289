//! MCAP files record by record, also such that no writer would write.

use std::io::{Cursor, Write};

use mcap::MAGIC;
use mcap::records::op;

/// How a chunk is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    None,
    Zstd,
    Lz4,
}

pub const PACKINGS: [Packing; 3] = [Packing::None, Packing::Zstd, Packing::Lz4];

/// What a chunk says of itself, where that is not what it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    pub unpacked_bytes: Option<u64>,
    pub packed_bytes: Option<u64>,
    pub crc: Option<u32>,
}

/// Records in the making: of a file, or of a chunk.
#[derive(Clone, Default)]
pub struct Raw {
    bytes: Vec<u8>,
}

impl Raw {
    /// A file's, which begins.
    pub fn file() -> Self {
        let mut raw = Self { bytes: MAGIC.to_vec() };
        let header = [text("ros2"), text("by hand")].concat();
        raw.record(op::HEADER, &header);
        raw
    }

    pub fn record(&mut self, op: u8, content: &[u8]) -> &mut Self {
        self.record_of_length(op, content.len() as u64, content)
    }

    /// A record that claims to be so long.
    pub fn record_of_length(&mut self, op: u8, len: u64, content: &[u8]) -> &mut Self {
        self.bytes.push(op);
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(content);
        self
    }

    pub fn schema(&mut self, id: u16, name: &str, definition: &str) -> &mut Self {
        let mut content = id.to_le_bytes().to_vec();
        content.extend([text(name), text("ros2msg"), text(definition)].concat());
        self.record(op::SCHEMA, &content)
    }

    pub fn channel(&mut self, id: u16, schema: u16, topic: &str) -> &mut Self {
        let mut content = [id.to_le_bytes(), schema.to_le_bytes()].concat();
        content.extend([text(topic), text("cdr")].concat());
        content.extend(0_u32.to_le_bytes());
        self.record(op::CHANNEL, &content)
    }

    pub fn message(&mut self, channel: u16, log_time: u64, cdr: &[u8]) -> &mut Self {
        let mut content = channel.to_le_bytes().to_vec();
        content.extend([0; 4]);
        content.extend([log_time.to_le_bytes(), log_time.to_le_bytes()].concat());
        content.extend(cdr);
        self.record(op::MESSAGE, &content)
    }

    pub fn chunk(&mut self, packing: Packing, records: &Self) -> &mut Self {
        self.chunk_that_claims(packing, records, Claims::default())
    }

    pub fn chunk_that_claims(
        &mut self,
        packing: Packing,
        records: &Self,
        claims: Claims,
    ) -> &mut Self {
        let (name, packed) = match packing {
            Packing::None => ("", records.bytes.clone()),
            Packing::Zstd => ("zstd", zstd::encode_all(Cursor::new(&records.bytes), 1).unwrap()),
            Packing::Lz4 => {
                let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
                encoder.write_all(&records.bytes).unwrap();
                ("lz4", encoder.finish().0)
            }
        };
        let mut content = vec![0; 16];
        let unpacked_bytes = claims.unpacked_bytes.unwrap_or(records.bytes.len() as u64);
        content.extend(unpacked_bytes.to_le_bytes());
        let crc = claims.crc.unwrap_or_else(|| crc32fast::hash(&records.bytes));
        content.extend(crc.to_le_bytes());
        content.extend(text(name));
        content.extend(claims.packed_bytes.unwrap_or(packed.len() as u64).to_le_bytes());
        content.extend(packed);
        self.record(op::CHUNK, &content)
    }

    /// Adds other records.
    pub fn append(&mut self, records: &Self) -> &mut Self {
        self.append_bytes(&records.bytes)
    }

    pub fn append_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    /// Ends a file, without a summary.
    pub fn finish(&self) -> Vec<u8> {
        let mut ended = self.clone();
        ended.record(op::DATA_END, &[0; 4]).record(op::FOOTER, &[0; 20]);
        ended.bytes.extend(MAGIC);
        ended.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// As they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}
