//! `.schema.json`: the columns that a track's sources declared. This file is ours; ML-Dash's SDK
//! ignores it. Without it, columns have the types of their values.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::damage;
use super::error::StoreError;
use super::metadata::{TrackNotes, load_json, save_json};
use crate::row::{RowSchema, TrackSchema};

pub(super) const FILE_NAME: &str = ".schema.json";
const VERSION: u32 = 1;

/// The key in a track's metadata that carries the schema to a server. ML-Dash has no other place
/// for it.
const NOTE: &str = "mldash_bridge.schema";

#[derive(Serialize, Deserialize)]
struct SchemaFile<R> {
    version: u32,
    /// The track, in case its metadata is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    rows: R,
}

/// The declarations of the track in `folder`.
pub(crate) fn load(folder: &Path) -> Result<TrackSchema, StoreError> {
    let path = folder.join(FILE_NAME);
    match load_json::<SchemaFile<Vec<RowSchema>>>(&path)? {
        None => Ok(TrackSchema::default()),
        Some(file) if file.version == VERSION => Ok(file.rows.into_iter().collect()),
        Some(file) => {
            let reason = format!("it is of version {}, this program knows {VERSION}", file.version);
            Err(StoreError::Malformed { path, reason })
        }
    }
}

/// Like [`load`], but reports a file that can't be read and continues: this loses types, never
/// rows.
pub(crate) fn load_if_readable(folder: &Path) -> TrackSchema {
    load(folder).unwrap_or_else(|error| {
        let reason = format!(
            "{}; until then, columns have the types of their values, not those declared",
            error.reason()
        );
        damage::report(&folder.join(FILE_NAME), &reason);
        TrackSchema::default()
    })
}

/// Replaces the schema stored in `folder`, which is that of the track `topic`.
pub(super) fn save(folder: &Path, topic: &str, schema: &TrackSchema) -> Result<(), StoreError> {
    let topic = Some(topic.to_owned());
    let file = SchemaFile { version: VERSION, topic, rows: schema.rows() };
    save_json(&folder.join(FILE_NAME), &file).map(drop)
}

/// Adds a track's declarations to `notes`, which go to a server.
pub(crate) fn note(notes: &mut TrackNotes, schema: &TrackSchema) {
    let rows = schema.rows();
    if !rows.is_empty()
        && let Ok(rows) = serde_json::to_value(rows)
    {
        notes.metadata.get_or_insert_default().insert(NOTE.to_owned(), rows);
    }
}

/// Removes a client's declarations from `notes` and returns them. Unreadable ones stay in `notes`.
pub fn take_noted(notes: &mut TrackNotes) -> Vec<RowSchema> {
    let noted = notes.metadata.as_ref().and_then(|metadata| metadata.get(NOTE));
    let rows = noted.and_then(|rows| Vec::<RowSchema>::deserialize(rows).ok());
    if rows.is_some()
        && let Some(metadata) = &mut notes.metadata
    {
        metadata.remove(NOTE);
        if metadata.is_empty() {
            notes.metadata = None;
        }
    }
    rows.unwrap_or_default()
}
