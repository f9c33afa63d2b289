//! The channels that the records of an MCAP file have defined so far. A record that defines one
//! again replaces earlier ones.

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

/// The definitions, and what the import does with them.
pub(super) struct Contents {
    path: PathBuf,
    schemas: HashMap<u16, Arc<Schema>>,
    channels: HashMap<u16, ChannelRecord>,
    /// By channel: what the import does with its topic.
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
    /// 0 if it has none.
    schema: u16,
    offered_qos: String,
}

/// Records that can't be read. Only they are lost.
struct Broken {
    records: u64,
    first_at_bytes: u64,
    first: McapDamage,
}

/// What a record was.
pub(super) enum Step {
    Message(BagMessage),
    /// Nothing to pass on.
    Other,
    /// A record for the reader itself: a chunk, an end. Its content follows.
    Own(Head),
    End,
    /// The bytes end within a record; this is its head if it was complete.
    Cut(Option<Head>),
    /// What follows is not a record.
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

    /// Starts another file within this one, with its own channels.
    pub(super) fn restart(&mut self, topics: &mut BagTopics<'_>) {
        self.meet_all(topics);
        self.schemas.clear();
        self.channels.clear();
        self.met.clear();
    }

    /// Takes the next record. `at_bytes` is its position in the file, for errors.
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
                let mut metadata = channel.metadata;
                let record = ChannelRecord {
                    offered_qos: metadata.remove("offered_qos_profiles").unwrap_or_default(),
                    topic: channel.topic,
                    message_encoding: channel.message_encoding,
                    schema: channel.schema_id,
                };
                self.define_channel(channel.id, record, topics);
            }
            // The crate's error has several lines, and paths of its source.
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
            // Channels of this schema are decided again at their next message, since they may be
            // defined again too.
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
            // Decided at once, so that a topic without messages is known.
            self.meet(id, topics);
        }
    }

    /// What the import does with a channel; `None` if it is not defined.
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

    /// Decides what the import does with a channel's topic.
    fn meet(&mut self, channel: u16, topics: &mut BagTopics<'_>) {
        let Some(known) = self.channels.get(&channel) else { return };
        let schema = self.schemas.get(&known.schema).filter(|_| known.schema != 0);
        let met = topics.meet(Channel {
            topic: &known.topic,
            type_name: schema.map_or("", |schema| &schema.name),
            message_encoding: &known.message_encoding,
            definition: schema.map(|schema| (schema.encoding.as_str(), &*schema.text)),
            offered_qos: &known.offered_qos,
        });
        self.met.insert(channel, met);
    }

    /// Includes channels that had no message since they were defined again.
    fn meet_all(&mut self, topics: &mut BagTopics<'_>) {
        let mut channels: Vec<u16> = self.channels.keys().copied().collect();
        channels.retain(|channel| !self.met.contains_key(channel));
        channels.sort_unstable();
        channels.into_iter().for_each(|channel| self.meet(channel, topics));
    }

    /// Reads the summary, which repeats definitions that a damaged part may have had.
    fn read_summary(&mut self, topics: &mut BagTopics<'_>) {
        if std::mem::replace(&mut self.is_summary_read, true) {
            return;
        }
        let path = self.path.clone();
        summary::definitions(&path, |op, content| match mcap::parse_record(op, content) {
            // It may know later definitions. Those that were read count.
            Ok(Record::Schema { header, .. }) if self.schemas.contains_key(&header.id) => {}
            Ok(Record::Channel(channel)) if self.channels.contains_key(&channel.id) => {}
            _ => self.define(op, content, 0, topics),
        });
    }

    /// Notes a record that can't be read.
    pub(super) fn note_broken(&mut self, at_bytes: u64, damage: McapDamage) {
        match &mut self.broken {
            Some(broken) => broken.records += 1,
            None => {
                self.broken = Some(Broken { records: 1, first_at_bytes: at_bytes, first: damage });
            }
        }
    }

    /// Ends the file. Returns the errors to report.
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

/// Skips the rest of a record.
fn skip<R: BufRead>(records: &mut Records<R>, head: Head, bytes: u64) -> io::Result<Step> {
    Ok(if records.skip(bytes)? { Step::Other } else { Step::Cut(Some(head)) })
}
