//! `mcap`: the track as one channel of JSON messages with a JSON Schema, which Foxglove can plot.

use std::collections::BTreeMap;
use std::io::{self, Write};

use mcap::records::MessageHeader;
use mcap::write::NoSeek;
use mcap::{Compression, McapError, WriteOptions};
use serde_json::{Map, Value as Json, json};

use super::{RowSource, write_row};
use crate::error::TrackError;
use crate::json::NonFinite;
use crate::row::{Column, ColumnType, TIMESTAMP_COLUMN, Timestamp};

/// A chunk, and its compressed form.
pub(super) const BUFFER_BYTES: usize = 4 << 20;

/// Writes the rows of `source` to `out`, each at its time.
pub(super) fn write(source: &impl RowSource, out: &mut dyn Write) -> Result<(), TrackError> {
    let topic = source.about().topic;
    let schema = schema(&source.table()?.columns).to_string();
    let mut writer = WriteOptions::new()
        .compression(Some(Compression::Zstd))
        .compression_threads(0)
        .library(concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")))
        .disable_seeking(true)
        .create(NoSeek::new(out))
        .map_err(failed)?;
    let schema = writer.add_schema(&topic, "jsonschema", schema.as_bytes()).map_err(failed)?;
    let channel = writer.add_channel(schema, &topic, "json", &BTreeMap::new()).map_err(failed)?;
    let mut text = Vec::new();
    for (sequence, row) in source.rows().enumerate() {
        let row = row?;
        let log_time = nanos(row.ts)?;
        text.clear();
        write_row(&row, NonFinite::Null, &mut text);
        let header = MessageHeader {
            channel_id: channel,
            sequence: u32::try_from(sequence).unwrap_or(u32::MAX),
            log_time,
            publish_time: log_time,
        };
        writer.write_to_known_channel(&header, &text).map_err(failed)?;
    }
    writer.finish().map(|_| ()).map_err(failed)
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

/// The columns' types. Types that Foxglove lacks are left out: it shows those values anyway, but
/// refuses a channel whose schema names them.
fn schema(columns: &[(Column, ColumnType)]) -> Json {
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

/// The writer's errors come from its destination; any other is a bug.
fn failed(error: McapError) -> TrackError {
    TrackError::Export(match error {
        McapError::Io(error) => error,
        error => io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
