//! One MCAP file, read from its start to its end: with and without chunks, whatever their
//! compression, with and without an index, whole, cut off or damaged.

mod chunk;
mod records;
mod summary;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use mcap::read::ChannelAccumulator;
use mcap::records::{Record, op};
use mcap::{McapError, parse_record};

use super::error::BagError;
use super::file::BagMessage;
use super::packed::Unpacker;
use super::topics::{BagTopics, Channel, Recorded};
use crate::track::Timestamp;
use records::{Next, RecordReader};

/// A bag while it is read.
pub(super) struct McapFile {
    path: PathBuf,
    records: RecordReader,
    contents: Contents,
    /// Read and not yet given out.
    ready: VecDeque<BagMessage>,
    /// To be told after those.
    pending: Option<BagError>,
    ended: bool,
    last_message_at: Option<Timestamp>,
}

/// What the records said so far.
struct Contents {
    path: PathBuf,
    channels: ChannelAccumulator<'static>,
    /// By channel, its topic; `None` when that is not recorded.
    topics: HashMap<u16, Option<Recorded>>,
    unpacker: Unpacker,
    is_summary_read: bool,
    unknown_channels: u64,
}

impl McapFile {
    pub(super) fn open(path: &Path, is_packed: bool) -> Result<Self, BagError> {
        let records = RecordReader::open(path, is_packed)
            .map_err(|source| BagError::Open { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            records,
            contents: Contents {
                path: path.to_owned(),
                channels: ChannelAccumulator::default(),
                topics: HashMap::new(),
                unpacker: Unpacker::new(),
                is_summary_read: false,
                unknown_channels: 0,
            },
            ready: VecDeque::new(),
            pending: None,
            ended: false,
            last_message_at: None,
        })
    }

    /// Bytes on disk that are read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.records.read_bytes()
    }

    /// The next message that `topics` wants; `None` at the end. After an error it may go on.
    pub(super) fn next(
        &mut self,
        topics: &mut BagTopics<'_>,
    ) -> Result<Option<BagMessage>, BagError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                let log_time = message.log_time.map(Timestamp::from_nanos);
                self.last_message_at = self.last_message_at.max(log_time);
                return Ok(Some(message));
            }
            if let Some(error) = self.pending.take() {
                return Err(error);
            }
            if self.ended {
                return Ok(None);
            }
            self.read(topics)?;
        }
    }

    /// Takes the next record.
    fn read(&mut self, topics: &mut BagTopics<'_>) -> Result<(), BagError> {
        let from_bytes = self.records.at_bytes();
        match self.records.next() {
            Err(source) => {
                self.ended = true;
                Err(self.unreadable(source))
            }
            Ok(Next::Record { op: op::CHUNK, body }) => {
                match chunk::messages(&body, body.len() as u64, &mut self.contents, topics) {
                    (messages, Ok(())) => self.ready.extend(messages),
                    (_, Err(source)) => {
                        let (path, to_bytes) = (self.path.clone(), self.records.at_bytes());
                        return Err(BagError::ChunkDamaged { path, from_bytes, to_bytes, source });
                    }
                }
                Ok(())
            }
            Ok(Next::Record { op, body }) => match self.contents.take(op, &body, topics) {
                Ok(message) => {
                    self.ready.extend(message);
                    Ok(())
                }
                Err(source) => {
                    self.ended = true;
                    Err(self.damaged(source))
                }
            },
            Ok(Next::Cut { op, body, len }) => {
                if op == Some(op::CHUNK) {
                    // What a cut leaves of a chunk is right as far as it can be unpacked: to a whole block.
                    let (messages, _) = chunk::messages(&body, len, &mut self.contents, topics);
                    self.ready.extend(messages);
                }
                self.ended = true;
                let times = self.ready.iter().filter_map(|message| message.log_time);
                let last = times.map(Timestamp::from_nanos).max();
                self.pending = Some(BagError::Truncated {
                    path: self.path.clone(),
                    size_bytes: self.records.at_bytes(),
                    last_message_at: self.last_message_at.max(last),
                });
                Ok(())
            }
            Ok(Next::Damage(source)) => {
                self.ended = true;
                Err(self.damaged(source))
            }
            Ok(Next::End) => {
                self.ended = true;
                let messages = self.contents.unknown_channels;
                if messages > 0 {
                    let path = self.path.clone();
                    self.pending = Some(BagError::UnknownChannels { path, messages });
                }
                Ok(())
            }
        }
    }

    fn damaged(&self, source: McapError) -> BagError {
        BagError::Damaged {
            path: self.path.clone(),
            at_bytes: self.records.at_bytes(),
            last_message_at: self.last_message_at,
            source,
        }
    }

    fn unreadable(&self, source: io::Error) -> BagError {
        BagError::Read { path: self.path.clone(), at_bytes: self.records.at_bytes(), source }
    }
}

impl Contents {
    /// Takes a record that is no chunk; a message, if it is one whose topic is recorded.
    fn take(
        &mut self,
        op: u8,
        body: &[u8],
        topics: &mut BagTopics<'_>,
    ) -> Result<Option<BagMessage>, McapError> {
        match op {
            op::SCHEMA | op::CHANNEL | op::MESSAGE => {}
            _ => return Ok(None),
        }
        match parse_record(op, body)? {
            Record::Schema { header, data } => {
                self.channels.add_schema(header, Cow::Owned(data.into_owned()))?;
            }
            Record::Channel(channel) => {
                let id = channel.id;
                let added = self.channels.add_channel(channel.clone());
                if let Err(McapError::UnknownSchema(..)) = added
                    && self.read_summary(topics)
                {
                    self.channels.add_channel(channel)?;
                } else {
                    added?;
                }
                self.meet(id, topics);
            }
            Record::Message { header, data } => {
                if !self.topics.contains_key(&header.channel_id) {
                    self.read_summary(topics);
                }
                let Some(topic) = self.topics.get(&header.channel_id) else {
                    self.unknown_channels += 1;
                    return Ok(None);
                };
                let Some(Recorded { number, plan }) = topic.clone() else { return Ok(None) };
                let log_time = i64::try_from(header.log_time).ok();
                let cdr = self.unpacker.unpack(data.into_owned());
                return Ok(Some(BagMessage { topic: number, plan, log_time, cdr }));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Holds a channel's topic against the mapping, when it is new.
    fn meet(&mut self, channel: u16, topics: &mut BagTopics<'_>) {
        let Some(known) = self.channels.get(channel) else { return };
        self.topics.entry(channel).or_insert_with(|| {
            let schema = known.schema.as_deref();
            topics.recorded(Channel {
                topic: &known.topic,
                type_name: schema.map_or("", |schema| &schema.name),
                message_encoding: &known.message_encoding,
                definition: schema.map(|schema| (schema.encoding.as_str(), &*schema.data)),
            })
        });
    }

    /// A part that is damaged may have had the definition of a channel; the summary repeats it. Whether
    /// there is one that was not read before.
    fn read_summary(&mut self, topics: &mut BagTopics<'_>) -> bool {
        if std::mem::replace(&mut self.is_summary_read, true) {
            return false;
        }
        let Some(summary) = summary::read(&self.path) else { return false };
        self.channels = ChannelAccumulator::from_summary(&summary);
        for channel in summary.channels.keys() {
            self.meet(*channel, topics);
        }
        true
    }
}
