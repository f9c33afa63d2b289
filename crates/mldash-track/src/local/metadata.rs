//! `metadata.json`, which ML-Dash keeps beside a track's rows, as the Python SDK 0.11.0 writes it,
//! and helpers for all such files. Unknown keys are kept.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::atomic::{create_file, replace_file};
use super::beneath::How;
use super::damage;
use super::error::StoreError;
use super::handles;
use super::{index_file, schema_file};
use crate::json::JsonWeight;
use crate::name::TrackName;
use crate::row::Column;

pub(super) const TRACK_FILE: &str = "metadata.json";

/// Bytes read at a time while a file is weighed.
const WEIGH_BYTES: usize = 64 << 10;

pub(super) type Extra = serde_json::Map<String, serde_json::Value>;

/// What is known of a track without reading its rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackInfo {
    /// The track's topic.
    pub topic: String,
    /// Rows; several rows of one time count once.
    pub total_entries: u64,
    /// Smallest timestamp in seconds; `None` without rows.
    pub first_timestamp: Option<f64>,
    /// Largest timestamp in seconds.
    pub last_timestamp: Option<f64>,
    /// Names of the columns, sorted.
    pub columns: Vec<String>,
    /// Size of the rows on disk in bytes.
    pub size_bytes: u64,
    /// When the track was created, UTC, ISO 8601.
    pub created_at: Option<String>,
    /// Its notes.
    #[serde(flatten)]
    pub notes: TrackNotes,
}

/// Notes on a track besides its rows, for people and for exports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrackNotes {
    /// A description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags for search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Any other metadata, such as `fps` and units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A track's `metadata.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrackMetadata {
    pub(super) track_id: String,
    pub(super) topic: String,
    #[serde(default)]
    pub(super) columns: Vec<Column>,
    #[serde(default)]
    pub(super) total_entries: u64,
    #[serde(default)]
    pub(super) first_timestamp: Option<f64>,
    #[serde(default)]
    pub(super) last_timestamp: Option<f64>,
    #[serde(default)]
    pub(super) created_at: Option<String>,
    /// What else ML-Dash keeps of a track: `description`, `tags`, `metadata`.
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

impl TrackMetadata {
    pub(super) fn new(name: &TrackName) -> Self {
        Self { created_at: Some(utc_now()), ..Self::rebuilt(name.as_str()) }
    }

    /// The metadata of a track whose own can't be used.
    pub(super) fn rebuilt(topic: &str) -> Self {
        Self {
            track_id: format!("local-track-{}", folder_of(topic)),
            topic: topic.to_owned(),
            columns: Vec::new(),
            total_entries: 0,
            first_timestamp: None,
            last_timestamp: None,
            created_at: None,
            extra: Extra::new(),
        }
    }

    /// Loads the metadata of the track in `folder`; `None` if there is none. Metadata that can't be
    /// used, or is another folder's, is reported once and counts as none: rows are read without it.
    ///
    /// # Errors
    /// Fails if there are too many open files to tell.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(TRACK_FILE);
        let Some(metadata) = load_json_if_usable::<Self>(&path)? else { return Ok(None) };
        if folder.file_name().is_some_and(|name| *name != *folder_of(&metadata.topic)) {
            let reason = format!("it is that of `{}`, which has another folder", metadata.topic);
            damage::report(&path, &reason);
            return Ok(None);
        }
        Ok(Some(metadata))
    }

    /// Loads the metadata of the track `topic` in `folder`, which may belong to another topic.
    pub(crate) fn load_for(topic: &str, folder: &Path) -> Result<Option<Self>, StoreError> {
        let metadata = Self::load(folder)?;
        let known = match &metadata {
            Some(metadata) => Some(metadata.topic.clone()),
            None => known_topic(folder),
        };
        match known {
            Some(existing) if existing != topic => Err(StoreError::FolderCollision {
                requested: topic.to_owned(),
                existing,
                folder: folder.to_owned(),
            }),
            _ => Ok(metadata),
        }
    }

    /// Replaces the stored metadata.
    pub(super) fn save(&self, folder: &Path) -> Result<(), StoreError> {
        save_json(&folder.join(TRACK_FILE), self).map(|_| ())
    }

    /// Stores the metadata of a new track. It survives a power cut once it is
    /// [saved](Self::save) again.
    pub(super) fn create(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(TRACK_FILE);
        if fs::symlink_metadata(&path).is_ok() {
            damage::clear_the_way(&path, "it does not describe this track");
        }
        create_file(&path, &to_json(&path, self)?)
    }

    /// The track's notes. Skips values of an unexpected type from other programs.
    pub(crate) fn notes(&self) -> TrackNotes {
        fn note<T: DeserializeOwned>(extra: &Extra, key: &str) -> Option<T> {
            extra.get(key).and_then(|value| T::deserialize(value).ok())
        }
        TrackNotes {
            description: note(&self.extra, "description"),
            tags: note(&self.extra, "tags"),
            metadata: note(&self.extra, "metadata"),
        }
    }

    /// What it says of a track whose rows are not here any more.
    pub(super) fn noted(self) -> TrackInfo {
        TrackInfo {
            notes: self.notes(),
            topic: self.topic,
            total_entries: self.total_entries,
            first_timestamp: self.first_timestamp,
            last_timestamp: self.last_timestamp,
            columns: self.columns.iter().map(ToString::to_string).collect(),
            size_bytes: 0,
            created_at: self.created_at,
        }
    }

    /// Stores `notes`. Everything else keeps its value.
    pub(super) fn annotate(&mut self, notes: TrackNotes) {
        let description = notes.description.map(serde_json::Value::from);
        let tags = notes.tags.map(serde_json::Value::from);
        let metadata = notes.metadata.map(serde_json::Value::from);
        let said = [("description", description), ("tags", tags), ("metadata", metadata)];
        for (key, value) in said {
            self.extra.extend(value.map(|value| (key.to_owned(), value)));
        }
    }
}

/// The current time in ML-Dash's format: UTC ISO 8601, microseconds, `Z`.
pub(crate) fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The folder of a track.
pub(super) fn folder_of(topic: &str) -> String {
    topic.replace('/', "_")
}

/// The topic of the track in `folder`: from its metadata, else from our other files.
pub(super) fn known_topic(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        topic: String,
    }
    let files = [TRACK_FILE, index_file::FILE_NAME, schema_file::FILE_NAME];
    let mut named = files.into_iter().filter_map(|name| {
        let text = handles::read(&folder.join(name)).ok()?;
        Some(serde_json::from_slice::<Named>(&text).ok()?.topic)
    });
    let name = folder.file_name()?;
    named.find(|topic| *name == *folder_of(topic))
}

/// Loads a JSON file; `None` if there is none.
///
/// # Errors
/// Fails on a file that can't be read or parsed.
pub(super) fn load_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let text = match handles::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| malformed(path, &error))
}

/// Like [`load_json`], for a file that rows don't depend on: one that can't be read or parsed is
/// reported once and counts as none.
///
/// # Errors
/// Fails if there are too many open files to tell.
pub(super) fn load_json_if_usable<T: DeserializeOwned>(
    path: &Path,
) -> Result<Option<T>, StoreError> {
    load_json(path).or_else(|error| {
        if error.is_out_of_handles() {
            return Err(error);
        }
        damage::report(path, &error.reason());
        Ok(None)
    })
}

/// How much memory reading a JSON file takes, at most: the text and what it becomes. 0 if there is
/// none.
pub(super) fn json_weight(path: &Path) -> Result<usize, StoreError> {
    weigh(path, JsonWeight::tree())
}

/// Like [`json_weight`], for a text that `weight` weighs.
pub(super) fn weigh(path: &Path, mut weight: JsonWeight) -> Result<usize, StoreError> {
    let read = |error| StoreError::io("read", path)(error);
    let mut file = match handles::open(path, How::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(read(error)),
    };
    let mut chunk = vec![0; WEIGH_BYTES];
    let mut bytes: usize = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(weight.bytes().saturating_add(bytes)),
            Ok(read) => {
                weight.scan(&chunk[..read]);
                bytes += read;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
}

/// Returns the number of bytes written.
pub(super) fn save_json<T: Serialize>(path: &Path, value: &T) -> Result<u64, StoreError> {
    let text = to_json(path, value)?;
    replace_file(path, &text)?;
    Ok(text.len() as u64)
}

pub(super) fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| malformed(path, &error))
}

pub(super) fn malformed(path: &Path, error: &serde_json::Error) -> StoreError {
    StoreError::Malformed { path: path.to_owned(), reason: error.to_string() }
}
