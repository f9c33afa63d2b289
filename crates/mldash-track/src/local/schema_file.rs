//! `.schema.json`: the columns that a track's sources declared. This file is ours; ML-Dash's SDK
//! ignores it. Without it, columns have the types of their values.
//!
//! A flush must not wait for the disk, and replacing a file without waiting could lose both. So new
//! declarations go to `.schema.new.json` before the rows that they describe, which waits for
//! nothing. The next sync puts them into `.schema.json` before it syncs these rows, and removes
//! the other file.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::atomic::create_file;
use super::damage;
use super::definition_files;
use super::disk;
use super::error::StoreError;
use super::metadata::{TrackNotes, load_json, save_json, to_json};
use crate::row::{RowSchema, TrackSchema};

pub(super) const FILE_NAME: &str = ".schema.json";
/// Declarations that a power cut could take. Nothing else depends on this file.
const NEW_FILE_NAME: &str = ".schema.new.json";
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
#[cfg(feature = "remote")]
pub(crate) fn load(folder: &Path) -> Result<TrackSchema, StoreError> {
    // In this order: what is taken over between the two looks is then seen twice, not missed.
    let new = load_new(folder);
    Ok(joined(load_file(folder, FILE_NAME)?, &new))
}

/// Like `load`, but reports a file that can't be read and continues: this loses types, never rows.
pub(crate) fn load_if_readable(folder: &Path) -> TrackSchema {
    let new = load_new(folder);
    let known = load_file(folder, FILE_NAME).unwrap_or_else(|error| {
        let reason = format!(
            "{}; until then, columns have the types of their values, not those declared",
            error.reason()
        );
        damage::report(&folder.join(FILE_NAME), &reason);
        TrackSchema::default()
    });
    joined(known, &new)
}

fn joined(mut schema: TrackSchema, more: &TrackSchema) -> TrackSchema {
    more.rows().iter().for_each(|rows| {
        schema.declare(rows);
    });
    schema
}

/// A power cut can leave the file in any state.
fn load_new(folder: &Path) -> TrackSchema {
    load_file(folder, NEW_FILE_NAME).unwrap_or_default()
}

fn load_file(folder: &Path, name: &str) -> Result<TrackSchema, StoreError> {
    let path = folder.join(name);
    match load_json::<SchemaFile<Vec<RowSchema>>>(&path)? {
        None => Ok(TrackSchema::default()),
        Some(file) if file.version == VERSION => Ok(file.rows.into_iter().collect()),
        Some(file) => {
            let reason = format!("it is of version {}, this program knows {VERSION}", file.version);
            Err(StoreError::Malformed { path, reason })
        }
    }
}

fn file<'a>(topic: &str, schema: &'a TrackSchema) -> SchemaFile<&'a [RowSchema]> {
    SchemaFile { version: VERSION, topic: Some(topic.to_owned()), rows: schema.rows() }
}

/// Stores the declarations of the track `topic` in `folder`, without waiting for the disk: they
/// survive `kill -9`.
pub(super) fn save_new(folder: &Path, topic: &str, schema: &TrackSchema) -> Result<(), StoreError> {
    definition_files::save_new(folder, schema)?;
    let path = folder.join(NEW_FILE_NAME);
    create_file(&path, &to_json(&path, &file(topic, schema))?)
}

/// Stores the declarations so that they survive a power cut, too.
pub(super) fn save(folder: &Path, topic: &str, schema: &TrackSchema) -> Result<(), StoreError> {
    definition_files::save(folder, schema)?;
    save_json(&folder.join(FILE_NAME), &file(topic, schema)).map(drop)
}

/// Returns true if there are declarations that a power cut could take.
pub(super) fn has_new(folder: &Path) -> bool {
    folder.join(NEW_FILE_NAME).exists()
}

/// Removes what [`save_new`] stored, once all of it is [saved](save).
pub(super) fn forget_new(folder: &Path) {
    let path = folder.join(NEW_FILE_NAME);
    match disk::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // It says nothing that `.schema.json` does not.
            tracing::debug!(%error, "can't remove {}", path.display());
        }
        _ => {}
    }
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
