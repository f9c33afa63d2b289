//! `.definitions/`: the texts of the definitions that tracks' schemas name, each once for all tracks
//! of an experiment. This folder is ours; ML-Dash's SDK ignores it.
//!
//! A file is named by the SHA-256 of its text, so that a damaged one is noticed and counts as
//! missing. The next recording that has the text writes it again. Without a text, rows are read as
//! ever; they only can't be turned back into messages.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::atomic::{create_file, replace_file};
use super::beneath::How;
use super::error::StoreError;
use super::{damage, disk, handles};
use crate::row::{TrackSchema, definition_id};

pub(super) const FOLDER: &str = ".definitions";

/// A text over this size is not read.
const MAX_BYTES: u64 = 16 << 20;

fn path(experiment: &Path, id: &str) -> PathBuf {
    experiment.join(FOLDER).join(format!("{id}.msg"))
}

/// The texts that `schema` declares, and where they are stored for the track in `folder`.
fn declared<'s>(
    folder: &Path,
    schema: &'s TrackSchema,
) -> impl Iterator<Item = (PathBuf, &'s str)> {
    let experiment = folder.ancestors().nth(2).unwrap_or(folder).to_owned();
    schema.rows().iter().filter_map(move |rows| {
        let origin = rows.noted_origin()?;
        Some((path(&experiment, origin.definition_id()), origin.declared_text()?))
    })
}

/// Stores the texts that `schema` declares, without waiting for the disk: they survive `kill -9`.
pub(super) fn save_new(folder: &Path, schema: &TrackSchema) -> Result<(), StoreError> {
    for (path, text) in declared(folder, schema) {
        let has_size = |file: fs::Metadata| file.is_file() && file.len() == text.len() as u64;
        if !fs::symlink_metadata(&path).is_ok_and(has_size) {
            let parent = path.parent().unwrap_or(folder);
            disk::create_folders(parent).map_err(StoreError::io("create", parent))?;
            create_file(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

/// Stores the texts that `schema` declares so that they survive a power cut, too.
pub(super) fn save(folder: &Path, schema: &TrackSchema) -> Result<(), StoreError> {
    for (path, text) in declared(folder, schema) {
        let parent = path.parent().unwrap_or(folder);
        if !is_text(&path, text) {
            disk::create_folders(parent).map_err(StoreError::io("create", parent))?;
            replace_file(&path, text.as_bytes())?;
        } else if let Ok(file) = handles::open(&path, How::Read) {
            disk::sync(&file, &path).map_err(StoreError::io("sync", &path))?;
        }
        for folder in [Some(parent), parent.parent()].into_iter().flatten() {
            disk::sync_folder(folder).map_err(StoreError::io("sync", folder))?;
        }
    }
    Ok(())
}

fn is_text(path: &Path, text: &str) -> bool {
    read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    handles::open(path, How::Read)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text with this id; `None` if there is none, or a damaged one, which is reported.
pub(super) fn load(experiment: &Path, id: &str) -> Result<Option<String>, StoreError> {
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let path = path(experiment, id);
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let text = String::from_utf8(bytes).ok().filter(|text| definition_id(text) == id);
    if text.is_none() {
        damage::report(&path, "it is not the text that its name says");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Experiment, Options, Origin, RowSchema, fields};

    const RUN: &str = "alice/warehouse/run-1";

    /// Records a row on each of two tracks whose sources have this definition.
    fn record(root: &std::path::Path, text: &str) -> Origin {
        let exp = Experiment::open(RUN, Options::local(root)).unwrap();
        let notes = serde_json::Map::from_iter([("stamp".to_owned(), "header".into())]);
        let origin = Origin::new(text, notes);
        for track in ["a", "b"] {
            let schema = Arc::new(RowSchema::new("/t").origin(origin.clone()));
            exp.tracks(track).with_schema(schema).append(fields! { "x": 1 }, 1.0).unwrap();
        }
        exp.close().unwrap();
        origin
    }

    #[test]
    fn a_definition_is_stored_once_and_found_by_what_its_tracks_say() {
        let root = tempfile::tempdir().unwrap();
        let origin = record(root.path(), "int32 x\n");
        let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
        for track in ["a", "b"] {
            let slice = exp.tracks(track).slice(..).unwrap();
            let schemas = slice.sources();
            assert_eq!(schemas[0].noted_origin(), Some(&origin));
            let text = exp.definition(schemas[0].noted_origin().unwrap()).unwrap();
            assert_eq!(text.as_deref(), Some("int32 x\n"));
        }
        assert_eq!(std::fs::read_dir(exp.folder().join(super::FOLDER)).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_definition_counts_as_missing_until_it_is_recorded_again() {
        let root = tempfile::tempdir().unwrap();
        let origin = record(root.path(), "int32 x\n");
        let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
        let file = super::path(exp.folder(), origin.definition_id());
        for damage in [&b"int32 y\n"[..], b"", b"\xff"] {
            std::fs::write(&file, damage).unwrap();
            assert_eq!(exp.definition(&origin).unwrap(), None);
            assert_eq!(record(root.path(), "int32 x\n"), origin);
            assert_eq!(exp.definition(&origin).unwrap().as_deref(), Some("int32 x\n"));
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(exp.definition(&origin).unwrap(), None);
        assert_eq!(exp.tracks("a").slice(..).unwrap().sources().len(), 1);
    }
}
