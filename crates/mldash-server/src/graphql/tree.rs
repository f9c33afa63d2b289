//! What lies under a root: a namespace's projects, and a project's folders and experiments.

use std::path::Path;

use serde_json::Value;

use super::{QueryError, Scope};
use crate::id::FolderPath;
use crate::shape;
use mldash_track::{
    Experiment, ExperimentName, STORE_FOLDERS, StoreError, TrackError, list_folder, one_line,
};

/// How deep a tree of folders is followed, as far as the SDK asks for.
const MAX_DEPTH: usize = 10;

/// A namespace's projects, by name.
pub(super) fn projects(root: &Path, namespace: &str) -> Result<Vec<FolderPath>, TrackError> {
    let names = folders(&root.join(namespace))?;
    Ok(names.iter().filter_map(|name| format!("{namespace}/{name}").parse().ok()).collect())
}

/// A project's folders and experiments as nodes, each with its `children`.
pub(super) fn nodes(scope: &Scope<'_>, project: &FolderPath) -> Result<Vec<Value>, QueryError> {
    below(scope, project, MAX_DEPTH, &[])
}

fn below(
    scope: &Scope<'_>,
    path: &FolderPath,
    depth: usize,
    except: &[&str],
) -> Result<Vec<Value>, QueryError> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(Vec::new()) };
    let mut nodes = Vec::new();
    for name in folders(&scope.app.experiments.root().join(path.as_str()))? {
        // Other programs put folders here whose names are not valid.
        let Ok(path) = format!("{}/{name}", path.as_str()).parse::<FolderPath>() else { continue };
        if except.contains(&path.name()) {
            continue;
        }
        // One folder that can't be read must not hide the others.
        match node(scope, &path, depth) {
            Ok(node) => nodes.push(node),
            Err(error) if concerns_all(&error) => return Err(error),
            Err(error) => tracing::error!("{} is not listed: {}", path.as_str(), one_line(&error)),
        }
    }
    Ok(nodes)
}

/// Returns true if the other folders would fail too.
fn concerns_all(error: &QueryError) -> bool {
    match error {
        QueryError::Store(TrackError::Store(error)) => error.is_out_of_handles(),
        QueryError::Failed(_) => true,
        _ => false,
    }
}

fn node(scope: &Scope<'_>, path: &FolderPath, depth: usize) -> Result<Value, QueryError> {
    let name: ExperimentName = path.as_str().parse().map_err(TrackError::Name)?;
    let root = scope.app.experiments.root();
    let (mut node, except) = match Experiment::open_read_only(name.as_str(), root) {
        Ok(experiment) => {
            let node = scope.noted(&experiment, |notes| shape::experiment_node(&name, notes))?;
            (node, &STORE_FOLDERS[..])
        }
        Err(TrackError::NoExperiment { .. }) => {
            let node = shape::folder(path);
            scope.hold_value(&node)?;
            (node, &[][..])
        }
        Err(error) => return Err(error.into()),
    };
    let children = below(scope, path, depth, except)?;
    if let Value::Object(node) = &mut node {
        node.insert("children".to_owned(), Value::Array(children));
    }
    Ok(node)
}

/// The folders in a folder, by name; none if it does not exist.
fn folders(path: &Path) -> Result<Vec<String>, TrackError> {
    let entries = match list_folder(path) {
        Ok(entries) => entries,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", path))?;
        let is_folder = entry.is_folder();
        names.extend(entry.name.into_string().ok().filter(|_| is_folder));
    }
    names.sort_unstable();
    Ok(names)
}
