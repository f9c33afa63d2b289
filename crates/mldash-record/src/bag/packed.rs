//! zstd, which rosbag2 uses for whole files or for each message.

use std::io::{self, Read};

use zstd::stream::read::Decoder;
use zstd::zstd_safe::DCtx;

use super::file::MAX_MESSAGE_BYTES;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Returns true if bytes are a zstd frame. CDR starts with a zero byte, so no message is one by
/// chance.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Unpacks `input` as it is read.
pub(super) fn reader<R: Read>(input: R) -> io::Result<impl Read + use<R>> {
    Decoder::new(input)
}

/// Unpacks messages packed by `compression_mode: message`.
pub(super) struct Unpacker {
    context: DCtx<'static>,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self { context: DCtx::create() }
    }

    /// Returns a message as it was published. A message that is damaged, or over the size limit
    /// when unpacked, stays packed and is then counted as undecodable.
    pub(super) fn unpack(&mut self, message: Vec<u8>) -> Vec<u8> {
        if !is_packed(&message) {
            return message;
        }
        let mut unpacked = Vec::new();
        let decoder = Decoder::with_context(message.as_slice(), &mut self.context);
        let read = decoder.take(MAX_MESSAGE_BYTES + 1).read_to_end(&mut unpacked);
        match read {
            Ok(bytes) if bytes as u64 <= MAX_MESSAGE_BYTES => unpacked,
            _ => {
                self.context = DCtx::create();
                message
            }
        }
    }
}
