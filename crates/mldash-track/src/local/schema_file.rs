//! `.schema.json`: what the sources of a track declared of its columns. A file of our own beside
//! ML-Dash's, which its SDK takes no notice of; without it, columns have the types of their values.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::atomic::replace_file_durably;
use super::error::StoreError;
use super::metadata::{TrackNotes, load_json};
use crate::row::{RowSchema, TrackSchema};

const FILE_NAME: &str = ".schema.json";
const VERSION: u32 = 1;

/// On the wire it is in a track's metadata, under this key; ML-Dash has no other place for it.
const NOTE: &str = "mldash_bridge.schema";

#[derive(Serialize, Deserialize)]
struct SchemaFile<R> {
    version: u32,
    rows: R,
}

/// What was declared of the track in `folder`.
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

/// As [`load`]. A file that can't be read costs types, never rows: it is told and passed over.
pub(crate) fn load_if_readable(folder: &Path) -> TrackSchema {
    load(folder).unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "columns have the types of their values, not those declared");
        TrackSchema::default()
    })
}

/// Replaces what is stored in `folder`.
pub(super) fn save(folder: &Path, schema: &TrackSchema) -> Result<(), StoreError> {
    let file = SchemaFile { version: VERSION, rows: schema.rows() };
    let path = folder.join(FILE_NAME);
    let text = serde_json::to_vec(&file)
        .map_err(|error| StoreError::Malformed { path: path.clone(), reason: error.to_string() })?;
    replace_file_durably(&path, &text)
}

/// Says in `notes`, which go to a server, what was declared of a track.
pub(crate) fn note(notes: &mut TrackNotes, schema: &TrackSchema) {
    let rows = schema.rows();
    if !rows.is_empty()
        && let Ok(rows) = serde_json::to_value(rows)
    {
        notes.metadata.get_or_insert_default().insert(NOTE.to_owned(), rows);
    }
}

/// What the `notes` of a client say was declared; they don't any more then. What can't be read stays.
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
