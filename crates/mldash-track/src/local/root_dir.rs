//! Finds the experiments under a root. Follows links to folders where opening an experiment does.

use std::path::{Path, PathBuf};

use super::beneath;
use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::experiment_file;
use super::handles::{self, Identity};
use crate::error::one_line;
use crate::name::{ExperimentName, NameError};

/// Folders of an experiment that belong to the store. Elsewhere they are folders like any other.
pub const STORE_FOLDERS: [&str; 4] = ["files", "logs", "metrics", "tracks"];

/// A folder that holds an experiment, or could not be searched.
#[derive(Debug)]
pub(crate) struct FoundFolder {
    /// Its path below the root.
    pub(crate) name: String,
    /// The experiment, or why there is none to open.
    pub(crate) experiment: Result<ExperimentName, String>,
}

/// Finds the experiments under `root`, by name. A folder that can't be searched is found too, with
/// the reason. Files and hidden folders are not looked at.
///
/// # Errors
/// Fails if the root itself can't be listed.
pub(crate) fn find_experiments(root: &Path) -> Result<Vec<FoundFolder>, StoreError> {
    find_experiments_below(root, Path::new(""))
}

/// As [`find_experiments`], of those below a folder of `root`.
///
/// # Errors
/// Fails if that folder can't be listed.
pub(crate) fn find_experiments_below(
    root: &Path,
    folder: &Path,
) -> Result<Vec<FoundFolder>, StoreError> {
    let above = vec![Identity::at(&root.join(folder)).ok()];
    let mut search = Search { root, found: Vec::new(), above };
    search.below(folder, false)?;
    search.found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(search.found)
}

struct Search<'a> {
    root: &'a Path,
    found: Vec<FoundFolder>,
    /// The folders on the way down. A link to one of them would lead in circles.
    above: Vec<Option<Identity>>,
}

impl Search<'_> {
    fn below(&mut self, path: &Path, is_experiment: bool) -> Result<(), StoreError> {
        let folder = self.root.join(path);
        let entries = handles::list(&folder).map_err(StoreError::io("list", &folder))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            if !entry.is_folder() && beneath::refuses_links(&folder) {
                continue;
            }
            let name = entry.name;
            let is_of_the_store = is_experiment
                && STORE_FOLDERS.iter().any(|own| name.as_encoded_bytes() == own.as_bytes());
            if !name.as_encoded_bytes().starts_with(b".") && !is_of_the_store {
                self.visit(path.join(name));
            }
        }
        Ok(())
    }

    fn visit(&mut self, path: PathBuf) {
        let folder = self.root.join(&path);
        let id = Identity::at(&folder).ok();
        if !folder.is_dir() || self.above.contains(&id) {
            return;
        }
        let name = path.to_string_lossy().into_owned();
        let parsed = match path.to_str() {
            Some(name) => name.parse().map_err(|error: NameError| error.to_string()),
            None => Err("its name is not UTF-8".to_owned()),
        };
        let is_experiment = match &parsed {
            Ok(name) => ExperimentDir::new(self.root, name).exists(),
            Err(_) => experiment_file::exists(&folder),
        };
        if is_experiment {
            self.found.push(FoundFolder { name: name.clone(), experiment: parsed });
        }
        self.above.push(id);
        if let Err(error) = self.below(&path, is_experiment) {
            self.found.push(FoundFolder { name, experiment: Err(one_line(&error)) });
        }
        self.above.pop();
    }
}
