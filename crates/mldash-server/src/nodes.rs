//! The endpoints of nodes: projects, folders, experiments and files, and their descriptions.

mod create;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::body::{NotesBody, Segments};
use super::error::ApiError;
use super::experiments::IfAbsent;
use super::export;
use super::files;
use super::id::Id;
use super::memory::Memory;
use super::shape;
use super::token::Namespace;
use mldash_track::{ExperimentNotes, RunStatus, RunStatusError};

pub(super) use create::{create, file_in, parent_of_files};

/// GET `/api/nodes/{id}`: describes a node.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
    mut memory: Memory,
) -> Result<Response, ApiError> {
    let (node, memory) = match namespace.own(&id)? {
        Id::Node(name) | Id::Experiment(name) => {
            let read = app.experiments.read(&name, move |experiment| {
                // The notes, and the answer.
                memory.hold(experiment.notes_weight()?.saturating_mul(2))?;
                Ok((experiment.notes()?, memory))
            });
            let (notes, memory) = read.await?;
            (shape::experiment_node(&name, &notes), memory)
        }
        Id::File(name, path) => {
            let (info, mut memory) = files::find(&app, &name, &path, memory).await?;
            memory.hold_value(info.metadata.as_ref())?;
            (shape::file_with_data(&name, &info)?, memory)
        }
        Id::Project(path) => (shape::project(&path), memory),
        Id::Folder(path) => (shape::folder(&path), memory),
        Id::FileFolder(name, path) => (shape::file_folder(&name, &path), memory),
    };
    export::json(&app, &namespace, memory, node).await
}

/// The new description of a node.
#[derive(Deserialize)]
struct Change {
    status: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    metadata: Option<Value>,
}

/// PATCH `/api/nodes/{id}`: changes an experiment's status, or the description of an experiment or
/// a file.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
    body: NotesBody,
) -> Result<Response, ApiError> {
    let (Change { status, description, tags, metadata }, mut memory) = body.json()?;
    let status = status.as_deref().map(str::parse).transpose();
    let status: Option<RunStatus> =
        status.map_err(|error: RunStatusError| ApiError::bad_request(error.to_string()))?;
    match namespace.own(&id)? {
        Id::Node(name) | Id::Experiment(name) => {
            let notes =
                ExperimentNotes { status, description, tags, metadata, ..Default::default() };
            let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
                // Those before are read and changed, those after are read and answered.
                memory.hold(experiment.notes_weight()?.saturating_mul(3))?;
                experiment.annotate(notes)?;
                Ok((experiment.notes()?, memory))
            });
            let (notes, memory) = write.await?;
            if status.is_some_and(RunStatus::is_final) {
                app.experiments.close(&name).await;
            }
            let node = shape::experiment_node(&name, &notes);
            export::json(&app, &namespace, memory, node).await
        }
        Id::File(name, path) => {
            let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
                let mut files = experiment.files("");
                // The list is read, changed and written.
                memory.hold(files.list_weight()?.saturating_mul(2))?;
                if let Some(description) = description {
                    files = files.description(description);
                }
                if let Some(tags) = tags {
                    files = files.tags(tags);
                }
                if let Some(metadata) = metadata {
                    files = files.metadata(metadata);
                }
                Ok((files.annotate(path.as_str())?, memory))
            });
            let (info, memory) = write.await?;
            let node = shape::file_with_data(&name, &info)?;
            export::json(&app, &namespace, memory, node).await
        }
        _ => Err(ApiError::method_not_allowed("a folder can't be changed")),
    }
}

/// DELETE `/api/nodes/{id}`: removes a file from the list. Recordings are not deleted over the
/// network.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
    mut memory: Memory,
) -> Result<Json<Value>, ApiError> {
    let Id::File(name, path) = namespace.own(&id)? else {
        let message = "this server deletes files only; delete recordings on its disk";
        return Err(ApiError::method_not_allowed(message));
    };
    let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
        let files = experiment.files("");
        memory.hold(files.list_weight()?.saturating_mul(2))?;
        Ok(files.delete(path.as_str())?)
    });
    let info = write.await?;
    Ok(Json(json!({ "id": id, "deletedAt": info.deleted_at })))
}
