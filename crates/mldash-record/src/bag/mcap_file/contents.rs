//! What the records of an MCAP file said so far of its channels. A record that defines one again goes
//! before the ones that came earlier.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcap::records::{Record, op};

use super::super::error::BagError;
use super::super::file::{BagMessage, MAX_MESSAGE_BYTES};
use super::super::packed::Unpacker;
use super::super::topics::{BagTopics, Channel, Met, Recorded};
use super::damage::McapDamage;
use super::records::{Head, MessageHead, Next, Records, is_definition};
use super::summary;

/// The definitions and what became of them.
pub(super) struct Contents {
    path: PathBuf,
    schemas: HashMap<u16, Arc<Schema>>,
    channels: HashMap<u16, ChannelRecord>,
    /// By channel, what its topic is to the import.
    met: HashMap<u16, Met>,
    unpacker: Unpacker,
    is_summary_read: bool,
    unknown_channels: u64,
    broken: Option<Broken>,
}

#[derive(PartialEq, Eq)]
struct Schema {
    name: String,
    encoding: String,
    text: Vec<u8>,
}

#[derive(PartialEq, Eq)]
struct ChannelRecord {
    topic: String,
    message_encoding: String,
    /// 0: it has none.
    schema: u16,
}

/// Records that can't be read and cost nothing but themselves.
struct Broken {
    records: u64,
    first_at_bytes: u64,
    first: McapDamage,
}

/// What a record was.
pub(super) enum Step {
    Message(BagMessage),
    /// Nothing to be given out.
    Other,
    /// A record that its reader knows: a chunk, an end. Its content follows.
    Own(Head),
    End,
    /// The bytes end in a record, in this one if its head is there.
    Cut(Option<Head>),
    /// What comes is no record.
    Damage(McapDamage),
}

impl Contents {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            schemas: HashMap::new(),
            channels: HashMap::new(),
            met: HashMap::new(),
            unpacker: Unpacker::new(),
            is_summary_read: false,
            unknown_channels: 0,
            broken: None,
        }
    }

    /// Another file begins in this one, with channels of its own.
    pub(super) fn restart(&mut self, topics: &mut BagTopics<'_>) {
        self.meet_all(topics);
        self.schemas.clear();
        self.channels.clear();
        self.met.clear();
    }

    /// Takes the next record. `at_bytes` is where it is in the file, for errors.
    pub(super) fn step<R: BufRead>(
        &mut self,
        records: &mut Records<R>,
        at_bytes: u64,
        topics: &mut BagTopics<'_>,
    ) -> io::Result<Step> {
        let head = match records.next()? {
            Next::Record(head) => head,
            Next::End => return Ok(Step::End),
            Next::Cut => return Ok(Step::Cut(None)),
            Next::Damage(damage) => return Ok(Step::Damage(damage)),
        };
        match head.op {
            op::MESSAGE => self.message(records, head, at_bytes, topics),
            op if is_definition(op) => {
                match records.definition(head)? {
                    Ok(content) => self.define(op, &content, at_bytes, topics),
                    Err(McapDamage::Cut) => return Ok(Step::Cut(Some(head))),
                    Err(damage) => self.note_broken(at_bytes, damage),
                }
                Ok(Step::Other)
            }
            op::CHUNK | op::DATA_END | op::FOOTER => Ok(Step::Own(head)),
            _ => skip(records, head, head.len),
        }
    }

    fn message<R: BufRead>(
        &mut self,
        records: &mut Records<R>,
        head: Head,
        at_bytes: u64,
        topics: &mut BagTopics<'_>,
    ) -> io::Result<Step> {
        let Some(bytes) = head.len.checked_sub(MessageHead::BYTES as u64) else {
            self.note_broken(at_bytes, McapDamage::Fields { op: head.op, len: head.len });
            return skip(records, head, head.len);
        };
        let Some(message) = records.message_head()? else { return Ok(Step::Cut(Some(head))) };
        match self.met(message.channel, topics) {
            None => self.unknown_channels += 1,
            Some(Met::LeftOut(number)) => topics.count_left_out(*number, bytes),
            Some(Met::Recorded(Recorded { number, .. })) if bytes > MAX_MESSAGE_BYTES => {
                topics.count_too_large(*number);
            }
            Some(Met::Recorded(Recorded { number, plan })) => {
                let (topic, plan) = (*number, plan.clone());
                let Some(content) = records.content(bytes)? else {
                    return Ok(Step::Cut(Some(head)));
                };
                let log_time = i64::try_from(message.log_time).ok();
                let send_time = i64::try_from(message.publish_time).ok();
                let cdr = self.unpacker.unpack(content);
                let message = BagMessage { topic, plan, log_time, send_time, cdr };
                return Ok(Step::Message(message));
            }
        }
        skip(records, head, bytes)
    }

    fn define(&mut self, op: u8, content: &[u8], at_bytes: u64, topics: &mut BagTopics<'_>) {
        let parsed = mcap::parse_record(op, content);
        match parsed {
            Ok(Record::Schema { header, data }) if header.id != 0 => {
                let schema = Schema {
                    name: header.name,
                    encoding: header.encoding,
                    text: data.into_owned(),
                };
                self.define_schema(header.id, schema);
            }
            Ok(Record::Channel(channel)) => {
                let record = ChannelRecord {
                    topic: channel.topic,
                    message_encoding: channel.message_encoding,
                    schema: channel.schema_id,
                };
                self.define_channel(channel.id, record, topics);
            }
            // What the crate says of it has several lines, and places in its own source.
            _ => {
                let len = content.len() as u64;
                self.note_broken(at_bytes, McapDamage::Fields { op, len });
            }
        }
    }

    fn define_schema(&mut self, id: u16, schema: Schema) {
        if self.schemas.get(&id).is_some_and(|known| **known == schema) {
            return;
        }
        if self.schemas.insert(id, Arc::new(schema)).is_some() {
            // Channels of this schema are met again with their next message: they may be defined again, too.
            let channels = &self.channels;
            self.met.retain(|channel, _| channels.get(channel).is_none_or(|c| c.schema != id));
        }
    }

    fn define_channel(&mut self, id: u16, channel: ChannelRecord, topics: &mut BagTopics<'_>) {
        if self.channels.get(&id) == Some(&channel) {
            return;
        }
        let schema = channel.schema;
        let is_again = self.channels.insert(id, channel).is_some();
        if is_again {
            self.met.remove(&id);
        } else if schema == 0 || self.schemas.contains_key(&schema) {
            // At once, so that a topic without messages is known.
            self.meet(id, topics);
        }
    }

    /// What a channel is to the import; `None` where nothing is known of it.
    fn met(&mut self, channel: u16, topics: &mut BagTopics<'_>) -> Option<&Met> {
        if !self.met.contains_key(&channel) {
            let schema = self.channels.get(&channel).map(|known| known.schema);
            if schema.is_none_or(|id| id != 0 && !self.schemas.contains_key(&id)) {
                self.read_summary(topics);
            }
            self.meet(channel, topics);
        }
        self.met.get(&channel)
    }

    /// Holds a channel's topic against the mapping.
    fn meet(&mut self, channel: u16, topics: &mut BagTopics<'_>) {
        let Some(known) = self.channels.get(&channel) else { return };
        let schema = self.schemas.get(&known.schema).filter(|_| known.schema != 0);
        let met = topics.meet(Channel {
            topic: &known.topic,
            type_name: schema.map_or("", |schema| &schema.name),
            message_encoding: &known.message_encoding,
            definition: schema.map(|schema| (schema.encoding.as_str(), &*schema.text)),
        });
        self.met.insert(channel, met);
    }

    /// Those, too, that had no message since they were defined again.
    fn meet_all(&mut self, topics: &mut BagTopics<'_>) {
        let mut channels: Vec<u16> = self.channels.keys().copied().collect();
        channels.retain(|channel| !self.met.contains_key(channel));
        channels.sort_unstable();
        channels.into_iter().for_each(|channel| self.meet(channel, topics));
    }

    /// A part that is damaged may have had the definition of a channel; the summary repeats it.
    fn read_summary(&mut self, topics: &mut BagTopics<'_>) {
        if std::mem::replace(&mut self.is_summary_read, true) {
            return;
        }
        let path = self.path.clone();
        summary::definitions(&path, |op, content| match mcap::parse_record(op, content) {
            // It may know of later ones; those that were read count.
            Ok(Record::Schema { header, .. }) if self.schemas.contains_key(&header.id) => {}
            Ok(Record::Channel(channel)) if self.channels.contains_key(&channel.id) => {}
            _ => self.define(op, content, 0, topics),
        });
    }

    /// Takes note of a record that can't be read.
    pub(super) fn note_broken(&mut self, at_bytes: u64, damage: McapDamage) {
        match &mut self.broken {
            Some(broken) => broken.records += 1,
            None => {
                self.broken = Some(Broken { records: 1, first_at_bytes: at_bytes, first: damage });
            }
        }
    }

    /// Ends the file: what is to be told of it.
    pub(super) fn end(&mut self, topics: &mut BagTopics<'_>) -> Vec<BagError> {
        self.meet_all(topics);
        let mut errors = Vec::new();
        if let Some(Broken { records, first_at_bytes: at_bytes, first }) = self.broken.take() {
            let path = self.path.clone();
            errors.push(BagError::RecordsDamaged { path, records, at_bytes, source: first });
        }
        let messages = std::mem::take(&mut self.unknown_channels);
        if messages > 0 {
            errors.push(BagError::UnknownChannels { path: self.path.clone(), messages });
        }
        errors
    }
}

/// Steps over what is left of a record.
fn skip<R: BufRead>(records: &mut Records<R>, head: Head, bytes: u64) -> io::Result<Step> {
    Ok(if records.skip(bytes)? { Step::Other } else { Step::Cut(Some(head)) })
}
