//! A plain table of Parquet: one folder an episode, named as Hive does, so that DuckDB, pandas, polars and Spark read the
//! whole folder as one table with a column `episode_index`.

use std::fs;
use std::path::Path;

use crate::account::Account;
use crate::dataset_schema::DatasetSchema;
use crate::error::ExportError;
use crate::frames::WrittenEpisode;
use crate::lerobot::{Existing, read_json, write_json};
use crate::parquet_file::read_schema;
use crate::recipe::{Format, Recipe};

/// Readers of such tables leave out what begins with `_`.
pub(crate) const ACCOUNT: &str = "_mldash.json";

/// Reads what the table in `root` holds already.
pub(crate) fn load(root: &Path) -> Result<Existing, ExportError> {
    let path = root.join(ACCOUNT);
    if !path.is_file() {
        return Err(ExportError::NoDataset { path: root.to_owned(), file: ACCOUNT });
    }
    let account: Account = read_json(&path)?;
    Ok(Existing::of(account))
}

/// Checks that episodes of this recipe and schema have the rate and the columns of those that are there.
pub(crate) fn check(
    root: &Path,
    existing: &Existing,
    recipe: &Recipe,
    schema: &DatasetSchema,
) -> Result<(), ExportError> {
    let Some(last) = existing.episodes.checked_sub(1) else { return Ok(()) };
    let (old, new) = (read_schema(&place(root, last))?, schema.arrow_schema(Format::Parquet));
    let other = |reason| ExportError::OtherDataset { path: root.to_owned(), reason };
    let fps = existing.account.fps;
    if fps != recipe.fps {
        return Err(other(format!("its fps is {fps}, and the recipe's {}", recipe.fps)));
    }
    if old.fields() != new.fields() {
        let differs = old.fields().iter().find(|field| !new.fields().iter().any(|f| f == *field));
        let what = differs.map_or_else(
            || "the recipe has more features".to_owned(),
            |field| format!("its column `{}` is {} there", field.name(), field.data_type()),
        );
        return Err(other(what));
    }
    Ok(())
}

/// Adds the next episode.
pub(crate) fn add(root: &Path, part: &WrittenEpisode) -> Result<(), ExportError> {
    let path = place(root, part.episode.episode_index);
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(ExportError::io("create", folder))?;
    fs::rename(&part.table, &path).map_err(ExportError::io("create", &path))
}

pub(crate) fn finish(root: &Path, account: &Account) -> Result<(), ExportError> {
    write_json(&root.join(ACCOUNT), account)
}

fn place(root: &Path, episode: u64) -> std::path::PathBuf {
    root.join(format!("episode_index={episode}/data.parquet"))
}
