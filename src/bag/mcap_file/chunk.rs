//! The messages of a chunk, whole or as much of it as there is.

use mcap::McapError;
use mcap::records::op;
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::super::file::BagMessage;
use super::super::topics::BagTopics;
use super::Contents;
use super::records::{HEAD_BYTES, MAX_RECORD_BYTES};

/// Least that is handed over at once.
const MIN_READ_BYTES: usize = 64 << 10;

/// Those that are recorded, of the chunk record that starts with `body` and is `len` bytes long; and
/// whether all of it is there and right.
///
/// When it is all there, its checksum is held against it before anything is taken.
pub(super) fn messages(
    body: &[u8],
    len: u64,
    contents: &mut Contents,
    topics: &mut BagTopics<'_>,
) -> (Vec<BagMessage>, Result<(), McapError>) {
    let options = LinearReaderOptions::default()
        .with_skip_start_magic(true)
        .with_skip_end_magic(true)
        .with_prevalidate_chunk_crcs(body.len() as u64 == len)
        .with_record_length_limit(MAX_RECORD_BYTES);
    let mut reader = LinearReader::new_with_options(options);
    let mut messages = Vec::new();
    let mut head = [op::CHUNK; HEAD_BYTES];
    head[1..].copy_from_slice(&len.to_le_bytes());
    let mut parts = [&head[..], body];
    let read = loop {
        match reader.next_event() {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(LinearReadEvent::ReadRequest(wanted))) => {
                let taken = take(&mut parts, wanted.max(MIN_READ_BYTES));
                reader.insert(taken.len()).copy_from_slice(taken);
                // None are left: it says whether that is well.
                reader.notify_read(taken.len());
            }
            Some(Ok(LinearReadEvent::Record { opcode, data })) => {
                match contents.take(opcode, data, topics) {
                    Ok(message) => messages.extend(message),
                    Err(error) => break Err(error),
                }
            }
        }
    };
    (messages, read)
}

/// Up to so many bytes of the first part that has any.
fn take<'a>(parts: &mut [&'a [u8]; 2], wanted: usize) -> &'a [u8] {
    for part in parts {
        if !part.is_empty() {
            let (taken, rest) = part.split_at(wanted.min(part.len()));
            *part = rest;
            return taken;
        }
    }
    &[]
}
