//! One MCAP file, read from its start to its end: with and without chunks, whatever their
//! compression, with and without an index, whole or cut off.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mcap::read::ChannelAccumulator;
use mcap::records::{Record, op};
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::{MAGIC, McapError, parse_record};

use super::error::BagError;
use super::topics::BagTopics;
use crate::track::Timestamp;

/// No record is larger, whatever its length field says.
const MAX_RECORD_BYTES: usize = 1 << 30;
/// Least and most that is read at once: a length field is not believed before its bytes are there.
const MIN_READ_BYTES: usize = 64 << 10;
const MAX_READ_BYTES: usize = 1 << 20;

const SQLITE_MAGIC: &[u8] = b"SQLite f";
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A bag while it is read.
pub(super) struct BagFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    read_bytes: u64,
    records: LinearReader,
    channels: ChannelAccumulator<'static>,
    /// By channel, the recorder's number of its topic; `None` when it is not recorded.
    topics: HashMap<u16, Option<usize>>,
    last_message_at: Option<Timestamp>,
}

/// A message that is recorded.
pub(super) struct BagMessage {
    pub(super) topic: usize,
    /// Nanoseconds since the epoch.
    pub(super) log_time: u64,
    pub(super) cdr: Vec<u8>,
}

impl BagFile {
    pub(super) fn open(path: &Path) -> Result<Self, BagError> {
        let path = path.to_owned();
        if path.is_dir() {
            return Err(folder_error(path));
        }
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size_bytes, mut file) = match opened {
            Ok(opened) => opened,
            Err(source) => return Err(BagError::Open { path, source }),
        };
        let mut start = Vec::new();
        if let Err(source) = (&mut file).take(MAGIC.len() as u64).read_to_end(&mut start) {
            return Err(BagError::Open { path, source });
        }
        if start.starts_with(SQLITE_MAGIC) {
            return Err(BagError::Sqlite { path });
        } else if start.starts_with(ZSTD_MAGIC) {
            return Err(BagError::Compressed { path });
        } else if start != MAGIC {
            return Err(BagError::NotMcap { path });
        }
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            // A damaged chunk is left out whole: rows made of wrong bytes would be worse than none.
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(MAX_RECORD_BYTES);
        Ok(Self {
            path,
            file,
            size_bytes,
            read_bytes: MAGIC.len() as u64,
            records: LinearReader::new_with_options(options),
            channels: ChannelAccumulator::default(),
            topics: HashMap::new(),
            last_message_at: None,
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The next message in the order of the file that `topics` wants; `None` at its end.
    pub(super) fn next(
        &mut self,
        topics: &mut BagTopics<'_>,
    ) -> Result<Option<BagMessage>, BagError> {
        loop {
            let event = match self.records.next_event() {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Err(self.broken(error)),
                None => return Ok(None),
            };
            let taken = match event {
                LinearReadEvent::ReadRequest(bytes) => {
                    let space = self.records.insert(bytes.clamp(MIN_READ_BYTES, MAX_READ_BYTES));
                    match read_some(&mut self.file, space) {
                        Ok(bytes) => {
                            self.records.notify_read(bytes);
                            self.read_bytes += bytes as u64;
                        }
                        Err(source) => return Err(self.unreadable(source)),
                    }
                    continue;
                }
                // What follows only repeats and indexes what came: a cut in it costs nothing.
                LinearReadEvent::Record { opcode: op::DATA_END, .. } => return Ok(None),
                LinearReadEvent::Record { opcode: op::MESSAGE, data } => {
                    wanted_message(data, &self.topics)
                }
                LinearReadEvent::Record { opcode, data } => {
                    define(opcode, data, &mut self.channels, &mut self.topics, topics)
                        .map(|()| None)
                }
            };
            match taken {
                Ok(Some(message)) => {
                    self.last_message_at = self
                        .last_message_at
                        .max(Some(Timestamp::from_nanos(super::receive_nanos(message.log_time))));
                    return Ok(Some(message));
                }
                Ok(None) => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn broken(&self, error: McapError) -> BagError {
        let (path, last_message_at) = (self.path.clone(), self.last_message_at);
        match error {
            McapError::UnexpectedEof => {
                BagError::Truncated { path, size_bytes: self.read_bytes, last_message_at }
            }
            source => {
                BagError::Damaged { path, at_bytes: self.read_bytes, last_message_at, source }
            }
        }
    }

    fn unreadable(&self, source: io::Error) -> BagError {
        BagError::Read { path: self.path.clone(), at_bytes: self.read_bytes, source }
    }
}

/// A message, if its topic is recorded.
fn wanted_message(
    record: &[u8],
    topics: &HashMap<u16, Option<usize>>,
) -> Result<Option<BagMessage>, McapError> {
    let Record::Message { header, data } = parse_record(op::MESSAGE, record)? else {
        return Ok(None);
    };
    let unknown = || McapError::UnknownChannel(header.sequence, header.channel_id);
    let topic = *topics.get(&header.channel_id).ok_or_else(unknown)?;
    let log_time = header.log_time;
    Ok(topic.map(|topic| BagMessage { topic, log_time, cdr: data.into_owned() }))
}

/// Takes a schema or a channel; a channel's topic is held against the mapping when it is new.
fn define(
    opcode: u8,
    record: &[u8],
    channels: &mut ChannelAccumulator<'static>,
    numbers: &mut HashMap<u16, Option<usize>>,
    topics: &mut BagTopics<'_>,
) -> Result<(), McapError> {
    match opcode {
        op::SCHEMA | op::CHANNEL => {}
        _ => return Ok(()),
    }
    match parse_record(opcode, record)? {
        Record::Schema { header, data } => {
            channels.add_schema(header, Cow::Owned(data.into_owned()))?;
        }
        Record::Channel(channel) => {
            let id = channel.id;
            channels.add_channel(channel)?;
            if let Some(channel) = channels.get(id) {
                numbers.entry(id).or_insert_with(|| topics.number(&channel));
            }
        }
        _ => {}
    }
    Ok(())
}

fn read_some(file: &mut File, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// rosbag2's bags are folders: says what to do with what is in this one.
fn folder_error(path: PathBuf) -> BagError {
    let entries = fs::read_dir(&path).into_iter().flatten().flatten();
    let has_sqlite =
        entries.into_iter().any(|entry| entry.path().extension().is_some_and(|e| e == "db3"));
    if has_sqlite { BagError::Sqlite { path } } else { BagError::Folder { path } }
}
