//! A dataset that is added to: what it holds, and whether it is of the same kind.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::Place;
use super::info::{Info, Totals, VERSION};
use super::{ACCOUNT, INFO, TASKS, tasks};
use crate::account::Account;
use crate::dataset_schema::DatasetSchema;
use crate::error::ExportError;
use crate::recipe::Recipe;

/// What a dataset holds already.
#[derive(Debug, Default)]
pub(crate) struct Existing {
    pub(crate) episodes: u64,
    pub(crate) frames: u64,
    pub(crate) tasks: Vec<String>,
    pub(crate) account: Account,
    info: Value,
}

impl Existing {
    /// Reads the dataset in `root`.
    pub(crate) fn load(root: &Path) -> Result<Self, ExportError> {
        for file in [INFO, ACCOUNT] {
            if !root.join(file).is_file() {
                return Err(ExportError::NoDataset { path: root.to_owned(), file });
            }
        }
        let info: Value = read_json(&root.join(INFO))?;
        let other = |reason| ExportError::OtherDataset { path: root.to_owned(), reason };
        let number = |key: &str| {
            let number = info[key].as_u64();
            number.ok_or_else(|| other(format!("its {INFO} has no number `{key}`")))
        };
        let (episodes, frames) = (number("total_episodes")?, number("total_frames")?);
        let tasks = tasks::read(&root.join(TASKS))?;
        let total = number("total_tasks")?;
        if tasks.len() as u64 != total {
            let found = tasks.len();
            return Err(other(format!(
                "its {TASKS} names {found} tasks as this program writes them, and {INFO} {total}"
            )));
        }
        Ok(Self { episodes, frames, tasks, account: read_json(&root.join(ACCOUNT))?, info })
    }

    /// What another kind of dataset holds, whose account is this.
    pub(crate) fn of(account: Account) -> Self {
        let (episodes, frames) = (account.episodes, account.frames);
        Self { episodes, frames, account, ..Self::default() }
    }

    /// Checks that episodes of this recipe and schema are of the same kind.
    pub(crate) fn check(
        &self,
        root: &Path,
        recipe: &Recipe,
        schema: &DatasetSchema,
    ) -> Result<(), ExportError> {
        if self.info.is_null() {
            return Ok(());
        }
        let other = |reason| ExportError::OtherDataset { path: root.to_owned(), reason };
        let new = serde_json::to_value(Info::new(recipe, schema, Totals::default(), &[]));
        let new = new.map_err(|source| ExportError::Json { path: root.to_owned(), source })?;
        let version = &self.info["codebase_version"];
        if version != VERSION {
            return Err(other(format!("its version is {version}, not {VERSION}")));
        }
        for key in ["fps", "robot_type"] {
            let (old, new) = (&self.info[key], &new[key]);
            if old != new {
                return Err(other(format!("its {key} is {old}, and the recipe's {new}")));
            }
        }
        match difference(&self.info["features"], &new["features"]) {
            Some(difference) => Err(other(difference)),
            None => Ok(()),
        }
    }
}

impl Existing {
    /// The first free place below a folder of the dataset.
    pub(super) fn next_place(&self, folder: &Path) -> Result<Place, ExportError> {
        // A new dataset has none.
        if self.episodes == 0 { Ok(Place::default()) } else { next_place(folder) }
    }
}

/// How the features differ, apart from what is known of videos only once they are encoded.
fn difference(old: &Value, new: &Value) -> Option<String> {
    let (old, new) = (old.as_object()?, new.as_object()?);
    if let Some(missing) = old.keys().find(|name| !new.contains_key(*name)) {
        return Some(format!("it has a feature `{missing}`, and the recipe has not"));
    }
    for (name, new) in new {
        let Some(old) = old.get(name) else {
            return Some(format!("the recipe has a feature `{name}`, and it has not"));
        };
        for key in ["dtype", "shape", "names", "units"] {
            let (old, new) = (&old[key], &new[key]);
            if old != new {
                return Some(format!("the {key} of `{name}` is {old} there and {new} here"));
            }
        }
    }
    None
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ExportError> {
    let text = fs::read(path).map_err(ExportError::io("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|source| ExportError::Json { path: path.to_owned(), source })
}

/// The files `chunk-000/file-000.*` below a folder, in order.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
    let mut files: Vec<(Place, PathBuf)> = Vec::new();
    for chunk in entries(folder)? {
        let Some(chunk_number) = numbered(&chunk, "chunk-") else { continue };
        for path in entries(&chunk)? {
            if let Some(file) = numbered(&path, "file-") {
                files.push((Place { chunk: chunk_number, file }, path));
            }
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The first free place below a folder.
fn next_place(folder: &Path) -> Result<Place, ExportError> {
    let files = files(folder)?;
    let Some(last) = files.last() else { return Ok(Place::default()) };
    let chunk = last.parent().and_then(|chunk| numbered(chunk, "chunk-"));
    let place = chunk.zip(numbered(last, "file-"));
    Ok(place.map_or(Place::default(), |(chunk, file)| Place { chunk, file }.next()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let wrong = |error| ExportError::io("read", folder)(error);
    let entries = fs::read_dir(folder).map_err(wrong)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(wrong)).collect()
}

fn numbered(path: &Path, prefix: &str) -> Option<u64> {
    path.file_stem()?.to_str()?.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(next_place(root.path()).unwrap(), Place::default());
        for (chunk, file) in [(1, 0), (0, 2), (0, 1000)] {
            let path = Place { chunk, file }.path(root.path(), "parquet");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = files(root.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["file-002.parquet", "file-1000.parquet", "file-000.parquet"]);
        assert_eq!(next_place(root.path()).unwrap(), Place { chunk: 1, file: 1 });
    }

    #[test]
    fn what_differs_is_named() {
        let old = json!({"a": {"dtype": "float32", "shape": [2], "names": null}});
        let same = json!({"a": {"dtype": "float32", "shape": [2], "names": null, "info": {}}});
        assert_eq!(difference(&old, &same), None);
        let other = json!({"a": {"dtype": "float32", "shape": [3], "names": null}});
        let reason = "the shape of `a` is [2] there and [3] here";
        assert_eq!(difference(&old, &other).as_deref(), Some(reason));
        let more = json!({"a": old["a"], "b": {}});
        let reason = "the recipe has a feature `b`, and it has not";
        assert_eq!(difference(&old, &more).as_deref(), Some(reason));
    }
}
