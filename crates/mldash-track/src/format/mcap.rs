//! `mcap`: the track as one channel of JSON messages with a JSON Schema, which Foxglove can plot.

use std::collections::BTreeMap;
use std::io::Write;

use super::{RowSource, write_row};
use crate::error::TrackError;
use crate::json::NonFinite;
use crate::mcap_writer::{McapSchema, McapTimes, McapWriter};

/// Writes the rows of `source` to `out`, each at its time.
pub(super) fn write(source: &impl RowSource, out: &mut dyn Write) -> Result<(), TrackError> {
    let topic = source.about().topic;
    let schema = McapSchema::json_rows(&topic, &source.table()?.columns);
    let mut writer = McapWriter::new(out, "")?;
    let channel = writer.add_channel(&topic, &schema, &BTreeMap::new())?;
    let mut text = Vec::new();
    for row in source.rows() {
        let row = row?;
        text.clear();
        write_row(&row, NonFinite::Null, &mut text);
        writer.write(channel, McapTimes::of(row.ts)?, &text)?;
    }
    writer.finish().map(drop)
}
