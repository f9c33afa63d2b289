//! The JSON of the server's objects, with the field names that the Python SDK 0.11.0 reads.

use serde_json::{Value, json};

use super::error::ApiError;
use super::id::{FolderPath, Id};
use mldash_track::{ExperimentName, ExperimentNotes, FileInfo, FilePath};

/// An experiment's project.
pub(super) fn project_of(name: &ExperimentName) -> Result<FolderPath, ApiError> {
    Ok(format!("{}/{}", name.owner(), name.project()).parse()?)
}

/// A project.
pub(super) fn project(path: &FolderPath) -> Value {
    json!({
        "id": Id::Project(path.project()).to_string(),
        "name": path.project().name(),
        "slug": path.project().name(),
        "namespace": namespace(path.owner()),
    })
}

/// A namespace.
pub(super) fn namespace(name: &str) -> Value {
    json!({ "id": name, "slug": name })
}

/// A folder of a project.
pub(super) fn folder(path: &FolderPath) -> Value {
    json!({
        "id": Id::Folder(path.clone()).to_string(),
        "type": "FOLDER",
        "name": path.name(),
        "parentId": parent(path.as_str()),
        "projectId": Id::Project(path.project()).to_string(),
        "experimentId": null,
        "pPath": path.as_str(),
    })
}

/// The node above the one at `path`; `None` for what lies directly in a project.
fn parent(path: &str) -> Option<String> {
    let above: FolderPath = path.rsplit_once('/')?.0.parse().ok()?;
    (above.project() != above).then(|| Id::Folder(above).to_string())
}

/// An experiment.
pub(super) fn experiment(name: &ExperimentName, notes: &ExperimentNotes) -> Value {
    json!({
        "id": Id::Experiment(name.clone()).to_string(),
        "name": name.name(),
        "projectId": project_id(name),
        "description": notes.description,
        "tags": notes.tags.as_deref().unwrap_or_default(),
        "bindrs": notes.bindrs.as_deref().unwrap_or_default(),
        "metadata": notes.metadata,
        "writeProtected": notes.write_protected.unwrap_or_default(),
        "status": notes.status,
        "createdAt": notes.created_at,
        "startedAt": notes.created_at,
        "displayPath": name.as_str(),
    })
}

fn project_id(name: &ExperimentName) -> Option<String> {
    project_of(name).ok().map(|project| Id::Project(project).to_string())
}

/// An experiment as a node of its project.
pub(super) fn experiment_node(name: &ExperimentName, notes: &ExperimentNotes) -> Value {
    json!({
        "id": Id::Node(name.clone()).to_string(),
        "type": "EXPERIMENT",
        "name": name.name(),
        "parentId": parent(name.as_str()),
        "projectId": project_id(name),
        "experimentId": Id::Experiment(name.clone()).to_string(),
        "pPath": name.as_str(),
        "description": notes.description,
        "tags": notes.tags.as_deref().unwrap_or_default(),
        "metadata": notes.metadata,
        "status": notes.status,
        "createdAt": notes.created_at,
    })
}

/// A folder of an experiment's files.
pub(super) fn file_folder(name: &ExperimentName, path: &FilePath) -> Value {
    json!({
        "id": Id::FileFolder(name.clone(), path.clone()).to_string(),
        "type": "FOLDER",
        "name": path.filename(),
        "parentId": files_parent(name, path),
        "projectId": project_id(name),
        "experimentId": Id::Experiment(name.clone()).to_string(),
        "pPath": format!("{name}/{}", path.as_str()),
    })
}

fn files_parent(name: &ExperimentName, path: &FilePath) -> String {
    let parent = match path.folder().parse() {
        Ok(folder) => Id::FileFolder(name.clone(), folder),
        Err(_) => Id::Node(name.clone()),
    };
    parent.to_string()
}

/// The path of a listed file among its experiment's files.
pub(super) fn file_path(info: &FileInfo) -> Result<FilePath, ApiError> {
    let folder = info.path.trim_matches('/');
    let path = if folder.is_empty() {
        info.filename.clone()
    } else {
        format!("{folder}/{}", info.filename)
    };
    Ok(path.parse()?)
}

/// A file as a node.
pub(super) fn file(name: &ExperimentName, info: &FileInfo) -> Result<Value, ApiError> {
    let path = file_path(info)?;
    Ok(json!({
        "id": Id::File(name.clone(), path.clone()).to_string(),
        "type": "FILE",
        "name": info.filename,
        "parentId": files_parent(name, &path),
        "projectId": project_id(name),
        "experimentId": Id::Experiment(name.clone()).to_string(),
        "pPath": format!("{name}/{}", path.as_str()),
        "path": format!("/{}", path.as_str()),
        "description": info.description,
        "tags": info.tags,
        "metadata": info.metadata,
        "createdAt": info.uploaded_at,
        "updatedAt": info.updated_at,
        "deletedAt": info.deleted_at,
    }))
}

/// The stored file of a file's node. Its size is a text, since JavaScript's numbers are too short.
pub(super) fn physical_file(info: &FileInfo) -> Value {
    json!({
        "id": info.id,
        "filename": info.filename,
        "contentType": info.content_type,
        "sizeBytes": info.size_bytes.to_string(),
        "checksum": info.checksum,
        "s3Url": null,
    })
}

/// A file as a node with its stored file.
pub(super) fn file_with_data(name: &ExperimentName, info: &FileInfo) -> Result<Value, ApiError> {
    let mut node = file(name, info)?;
    if let Value::Object(node) = &mut node {
        node.insert("physicalFile".to_owned(), physical_file(info));
    }
    Ok(node)
}
