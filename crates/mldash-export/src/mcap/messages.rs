//! The channels of an MCAP file, each added with its first message.

use std::any::type_name;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use foxglove::Encode;
use mldash_track::{McapChannel, McapSchema, McapTimes, McapWriter, TrackError};

use super::account::McapTopic;

/// An MCAP file that is being written.
pub(super) struct Messages<'o> {
    writer: McapWriter<&'o mut (dyn Write + Send)>,
    channels: Vec<(McapChannel, McapTopic)>,
    /// The channels of each topic, by what they are of: a Rust type, or a word for what has none.
    topics: HashMap<String, Vec<(&'static str, usize)>>,
    /// Where a message is encoded.
    message: Vec<u8>,
}

/// Where the messages of a track go.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    /// What a channel's metadata says: the track, where its rows came from and as what.
    pub(super) about: BTreeMap<String, String>,
}

impl Topic {
    /// A topic below this one.
    pub(super) fn below(&self, name: &str) -> Self {
        Self { name: format!("{}/{name}", self.name), about: self.about.clone() }
    }
}

impl<'o> Messages<'o> {
    /// See [`McapWriter::new`].
    pub(super) fn new(out: &'o mut (dyn Write + Send), profile: &str) -> Result<Self, TrackError> {
        Ok(Self {
            writer: McapWriter::new(out, profile)?,
            channels: Vec::new(),
            topics: HashMap::new(),
            message: Vec::new(),
        })
    }

    /// Writes one of Foxglove's messages.
    pub(super) fn draw<T: Encode>(
        &mut self,
        topic: &Topic,
        times: McapTimes,
        message: &T,
    ) -> Result<(), TrackError> {
        let mut bytes = std::mem::take(&mut self.message);
        bytes.clear();
        let encoded = message.encode(&mut bytes);
        encoded.map_err(|error| TrackError::Export(io::Error::other(error.to_string())))?;
        let written =
            self.write(topic, type_name::<T>(), || Ok(drawn_schema::<T>()), times, &bytes);
        self.message = bytes;
        written
    }

    /// Writes a message to the channel of `topic` that is of this `kind`. `schema` is asked for a new channel's.
    pub(super) fn write<'s>(
        &mut self,
        topic: &Topic,
        kind: &'static str,
        schema: impl FnOnce() -> Result<McapSchema<'s>, TrackError>,
        times: McapTimes,
        message: &[u8],
    ) -> Result<(), TrackError> {
        let at = match self.channel(&topic.name, kind) {
            Some(at) => at,
            None => self.add_channel(topic, kind, &schema()?)?,
        };
        if let Some((channel, account)) = self.channels.get_mut(at) {
            self.writer.write(*channel, times, message)?;
            account.messages += 1;
        }
        Ok(())
    }

    /// For what is no message.
    pub(super) fn writer(&mut self) -> &mut McapWriter<&'o mut (dyn Write + Send)> {
        &mut self.writer
    }

    /// Ends the file, and says what it holds.
    pub(super) fn finish(self) -> Result<Vec<McapTopic>, TrackError> {
        self.writer.finish()?;
        Ok(self.channels.into_iter().map(|(_, account)| account).collect())
    }

    fn channel(&self, topic: &str, kind: &str) -> Option<usize> {
        let of_topic = self.topics.get(topic)?;
        of_topic.iter().find(|(known, _)| *known == kind).map(|(_, at)| *at)
    }

    fn add_channel(
        &mut self,
        topic: &Topic,
        kind: &'static str,
        schema: &McapSchema<'_>,
    ) -> Result<usize, TrackError> {
        let channel = self.writer.add_channel(&topic.name, schema, &topic.about)?;
        let account = McapTopic {
            name: topic.name.clone(),
            schema: schema.name.clone().into_owned(),
            messages: 0,
        };
        let at = self.channels.len();
        self.channels.push((channel, account));
        self.topics.entry(topic.name.clone()).or_default().push((kind, at));
        Ok(at)
    }
}

/// The schema of one of Foxglove's messages, in Protobuf.
fn drawn_schema<T: Encode>() -> McapSchema<'static> {
    let message_encoding = T::get_message_encoding().into();
    match T::get_schema() {
        Some(foxglove::Schema { name, encoding, data }) => {
            McapSchema { name: name.into(), encoding: encoding.into(), data, message_encoding }
        }
        // All messages of Foxglove's have one.
        None => McapSchema {
            name: type_name::<T>().into(),
            encoding: "".into(),
            data: (&[][..]).into(),
            message_encoding,
        },
    }
}
