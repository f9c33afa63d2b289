//! Writes MCAP, for a track alone and for whole runs: chunks compressed with zstd and indexed, a summary with statistics.
//! It knows no experiments.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use mcap::records::{MessageHeader, Metadata};
use mcap::write::NoSeek;
use mcap::{Attachment, Compression, McapError, WriteOptions, Writer};
use serde_json::{Map, Value as Json, json};

use crate::error::TrackError;
use crate::row::{Column, ColumnType, TIMESTAMP_COLUMN, Timestamp};

/// The memory that a writer takes: a chunk, and its compressed form.
pub(crate) const BUFFER_BYTES: usize = 4 << 20;

/// An MCAP file that is being written. It only ever appends, so it can go to a pipe. Without
/// [`finish`](Self::finish) it has no end, so that no reader takes it for a whole file.
///
/// Chunks hold about a megabyte of messages, or one message that is larger.
pub struct McapWriter<W: Write> {
    /// `None` once it is finished.
    writer: Option<Writer<NoSeek<W>>>,
    /// How many messages each channel has, by its number.
    sequences: BTreeMap<u16, u32>,
}

/// A channel of an [`McapWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McapChannel(u16);

/// What the messages of a channel are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McapSchema<'a> {
    /// The name, such as `foxglove.PoseInFrame`.
    pub name: Cow<'a, str>,
    /// The encoding of `data`: `jsonschema`, `protobuf`, `ros2msg`.
    pub encoding: Cow<'a, str>,
    /// The definition.
    pub data: Cow<'a, [u8]>,
    /// The encoding of the messages: `json`, `protobuf`, `cdr`.
    pub message_encoding: Cow<'a, str>,
}

/// The times of a message, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McapTimes {
    /// What readers sort and seek by.
    pub log: u64,
    /// When it was published.
    pub publish: u64,
}

impl McapTimes {
    /// Both are the time of a row, to the nearest nanosecond.
    ///
    /// # Errors
    /// Fails for times before 1970 and after 2554, which MCAP can't count.
    pub fn of(ts: Timestamp) -> Result<Self, TrackError> {
        let nanos = nanos(ts)?;
        Ok(Self { log: nanos, publish: nanos })
    }
}

impl<'a> McapSchema<'a> {
    /// Rows as JSON objects, with the time under `timestamp` and these columns. Types that Foxglove
    /// lacks are left out of the schema: it shows those values anyway, but refuses a channel whose
    /// schema names them.
    pub fn json_rows(topic: &'a str, columns: &[(Column, ColumnType)]) -> Self {
        Self {
            name: topic.into(),
            encoding: "jsonschema".into(),
            data: json_schema(columns).to_string().into_bytes().into(),
            message_encoding: "json".into(),
        }
    }
}

impl<W: Write> McapWriter<W> {
    /// Starts a file. `profile` says what its channels have in common: `ros2`, or nothing.
    ///
    /// # Errors
    /// Fails if `out` can't be written.
    pub fn new(out: W, profile: &str) -> Result<Self, TrackError> {
        let writer = WriteOptions::new()
            .compression(Some(Compression::Zstd))
            .compression_threads(0)
            .profile(profile)
            .library(concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")))
            .disable_seeking(true)
            .create(NoSeek::new(out))
            .map_err(failed)?;
        Ok(Self { writer: Some(writer), sequences: BTreeMap::new() })
    }

    /// Adds a channel, or returns the one that is just like it.
    ///
    /// # Errors
    /// Fails if `out` can't be written or there are more than 65,535 channels.
    pub fn add_channel(
        &mut self,
        topic: &str,
        schema: &McapSchema<'_>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<McapChannel, TrackError> {
        let McapSchema { name, encoding, data, message_encoding } = schema;
        let writer = self.writer()?;
        let schema = writer.add_schema(name, encoding, data).map_err(failed)?;
        let channel = writer.add_channel(schema, topic, message_encoding, metadata);
        Ok(McapChannel(channel.map_err(failed)?))
    }

    /// Adds a message.
    ///
    /// # Errors
    /// Fails if `out` can't be written.
    pub fn write(
        &mut self,
        channel: McapChannel,
        times: McapTimes,
        message: &[u8],
    ) -> Result<(), TrackError> {
        let sequence = self.sequences.entry(channel.0).or_default();
        let header = MessageHeader {
            channel_id: channel.0,
            sequence: *sequence,
            log_time: times.log,
            publish_time: times.publish,
        };
        *sequence = sequence.wrapping_add(1);
        self.writer()?.write_to_known_channel(&header, message).map_err(failed)
    }

    /// Adds a record of metadata. It ends the chunk at hand.
    ///
    /// # Errors
    /// Fails if `out` can't be written.
    pub fn write_metadata(
        &mut self,
        name: &str,
        metadata: BTreeMap<String, String>,
    ) -> Result<(), TrackError> {
        let record = Metadata { name: name.to_owned(), metadata };
        self.writer()?.write_metadata(&record).map_err(failed)
    }

    /// Adds a file. It ends the chunk at hand.
    ///
    /// # Errors
    /// Fails if `out` can't be written.
    pub fn attach(
        &mut self,
        name: &str,
        media_type: &str,
        log_nanos: u64,
        data: &[u8],
    ) -> Result<(), TrackError> {
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        let data = Cow::Borrowed(data);
        let attachment =
            Attachment { log_time: log_nanos, create_time: log_nanos, name, media_type, data };
        self.writer()?.attach(&attachment).map_err(failed)
    }

    /// Ends the file with its indexes, and returns where it was written to.
    ///
    /// # Errors
    /// Fails if `out` can't be written.
    pub fn finish(mut self) -> Result<W, TrackError> {
        self.writer()?.finish().map_err(failed)?;
        let writer = self.writer.take().ok_or_else(is_finished)?;
        Ok(writer.into_inner().into_inner())
    }

    fn writer(&mut self) -> Result<&mut Writer<NoSeek<W>>, TrackError> {
        self.writer.as_mut().ok_or_else(is_finished)
    }
}

impl<W: Write> Drop for McapWriter<W> {
    fn drop(&mut self) {
        // Dropped by itself, the library's writer would end the file as if it were whole.
        if let Some(writer) = self.writer.take() {
            drop(writer.into_inner());
        }
    }
}

fn is_finished() -> TrackError {
    TrackError::Export(io::Error::other("the MCAP file is finished"))
}

/// MCAP counts unsigned nanoseconds.
fn nanos(ts: Timestamp) -> Result<u64, TrackError> {
    let secs = ts.as_secs();
    let nanos = secs.trunc() * 1e9;
    if secs < 0.0 || nanos >= u64::MAX as f64 - 1e9 {
        let reason =
            format!("a row at {secs} s has no time in MCAP, which counts from 0; leave it out");
        return Err(TrackError::Export(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    Ok(secs.trunc() as u64 * 1_000_000_000 + (secs.fract() * 1e9).round() as u64)
}

fn json_schema(columns: &[(Column, ColumnType)]) -> Json {
    let timestamp = (TIMESTAMP_COLUMN.to_owned(), json!({ "type": "number" }));
    let columns = columns.iter().filter_map(|(name, ty)| Some((name.to_string(), json_type(ty)?)));
    object([timestamp].into_iter().chain(columns).collect())
}

fn json_type(ty: &ColumnType) -> Option<Json> {
    match ty {
        ColumnType::List(items) => match &**items {
            ColumnType::List(_) => None,
            items => Some(json!({ "type": "array", "items": json_type(items)? })),
        },
        ColumnType::Bool => Some(json!({ "type": "boolean" })),
        ColumnType::Int | ColumnType::UInt => Some(json!({ "type": "integer" })),
        ColumnType::Float => Some(json!({ "type": "number" })),
        ColumnType::Text => Some(json!({ "type": "string" })),
        ColumnType::Dict(entries) => {
            let entry = |(key, ty): &(Column, ColumnType)| Some((key.to_string(), json_type(ty)?));
            Some(object(entries.iter().filter_map(entry).collect()))
        }
        ColumnType::Null | ColumnType::Json => None,
    }
}

fn object(properties: Map<String, Json>) -> Json {
    json!({ "type": "object", "properties": properties })
}

/// The writer's errors come from its destination; any other is a bug, or too many channels.
fn failed(error: McapError) -> TrackError {
    TrackError::Export(match error {
        McapError::Io(error) => error,
        error => io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_was_finished_has_an_end() {
        let mut files = [Vec::new(), Vec::new()];
        for (is_finished, out) in [true, false].into_iter().zip(&mut files) {
            let mut writer = McapWriter::new(out, "").unwrap();
            let schema = McapSchema::json_rows("arm", &[("q".into(), ColumnType::Float)]);
            let channel = writer.add_channel("/arm", &schema, &BTreeMap::new()).unwrap();
            let times = McapTimes { log: 7, publish: 5 };
            writer.write(channel, times, b"{\"q\":1.5}").unwrap();
            writer.write_metadata("run", BTreeMap::new()).unwrap();
            if is_finished {
                writer.finish().unwrap();
            }
        }
        let [whole, broken] = files;
        let messages: Vec<_> =
            mcap::MessageStream::new(&whole).unwrap().map(Result::unwrap).collect();
        let [message] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!((message.log_time, message.publish_time, message.sequence), (7, 5, 0));
        let summary = mcap::Summary::read(&whole).unwrap().unwrap();
        assert_eq!((summary.chunk_indexes.len(), summary.metadata_indexes.len()), (1, 1));
        assert!(mcap::Summary::read(&broken).is_err());
    }

    fn nanos_at(secs: f64) -> Result<u64, TrackError> {
        nanos(Timestamp::new(secs).unwrap())
    }

    #[test]
    fn times_are_rounded_to_the_nearest_nanosecond() {
        assert_eq!(nanos_at(0.033).unwrap(), 33_000_000);
        assert_eq!(nanos_at(0.999_999_999_9).unwrap(), 1_000_000_000);
        assert_eq!(nanos_at(1_700_000_000.25).unwrap(), 1_700_000_000_250_000_000);
    }

    #[test]
    fn times_that_mcap_can_not_count_are_refused() {
        assert!(
            matches!(nanos_at(-0.5), Err(TrackError::Export(e)) if e.to_string().contains("-0.5 s"))
        );
        assert!(nanos_at(1e300).is_err());
    }
}
