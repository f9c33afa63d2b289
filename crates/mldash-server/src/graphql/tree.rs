//! What lies under a root: a namespace's projects, and a project's folders and experiments.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::id::FolderPath;
use crate::shape;
use mldash_track::{Experiment, ExperimentName, STORE_FOLDERS, StoreError, TrackError, one_line};

/// How deep a tree of folders is followed, as far as the SDK asks for.
const MAX_DEPTH: usize = 10;

/// A namespace's projects, by name.
pub(super) fn projects(root: &Path, namespace: &str) -> Result<Vec<FolderPath>, TrackError> {
    let names = folders(&root.join(namespace))?;
    Ok(names.iter().filter_map(|name| format!("{namespace}/{name}").parse().ok()).collect())
}

/// A project's folders and experiments as nodes, each with its `children`.
pub(super) fn nodes(root: &Path, project: &FolderPath) -> Result<Vec<Value>, TrackError> {
    below(root, project, MAX_DEPTH, &[])
}

fn below(
    root: &Path,
    path: &FolderPath,
    depth: usize,
    except: &[&str],
) -> Result<Vec<Value>, TrackError> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(Vec::new()) };
    let mut nodes = Vec::new();
    for name in folders(&root.join(path.as_str()))? {
        // Other programs put folders here whose names are not valid.
        let Ok(path) = format!("{}/{name}", path.as_str()).parse::<FolderPath>() else { continue };
        if except.contains(&path.name()) {
            continue;
        }
        // One folder that can't be read must not hide the others.
        match node(root, &path, depth) {
            Ok(node) => nodes.push(node),
            Err(TrackError::Store(error)) if error.is_out_of_handles() => return Err(error.into()),
            Err(error) => tracing::error!("{} is not listed: {}", path.as_str(), one_line(&error)),
        }
    }
    Ok(nodes)
}

fn node(root: &Path, path: &FolderPath, depth: usize) -> Result<Value, TrackError> {
    let name: ExperimentName = path.as_str().parse()?;
    let (mut node, children) = match Experiment::open_read_only(name.as_str(), root) {
        Ok(experiment) => (
            shape::experiment_node(&name, &experiment.notes()?),
            below(root, path, depth, &STORE_FOLDERS)?,
        ),
        Err(TrackError::NoExperiment { .. }) => {
            (shape::folder(path), below(root, path, depth, &[])?)
        }
        Err(error) => return Err(error),
    };
    if let Value::Object(node) = &mut node {
        node.insert("children".to_owned(), json!(children));
    }
    Ok(node)
}

/// The folders in a folder, by name; none if it does not exist.
fn folders(path: &Path) -> Result<Vec<String>, TrackError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", path)(error).into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", path))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        names.extend(entry.file_name().into_string().ok().filter(|_| is_folder));
    }
    names.sort_unstable();
    Ok(names)
}
