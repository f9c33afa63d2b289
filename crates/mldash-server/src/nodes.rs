//! The endpoints of nodes: projects, folders, experiments and files, and their descriptions.

mod create;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::body::{Segments, WholeBody};
use super::error::ApiError;
use super::experiments::IfAbsent;
use super::files;
use super::id::Id;
use super::shape;
use super::token::Namespace;
use mldash_track::{ExperimentNotes, RunStatus, RunStatusError};

pub(super) use create::{create, file_in, parent_of_files};

/// GET `/api/nodes/{id}`: describes a node.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
) -> Result<Json<Value>, ApiError> {
    match namespace.own(&id)? {
        Id::Node(name) | Id::Experiment(name) => {
            let notes = app.experiments.read(&name, |experiment| Ok(experiment.notes()?)).await?;
            Ok(Json(shape::experiment_node(&name, &notes)))
        }
        Id::File(name, path) => {
            let info = files::find(&app, &name, &path).await?;
            Ok(Json(shape::file_with_data(&name, &info)?))
        }
        Id::Project(path) => Ok(Json(shape::project(&path))),
        Id::Folder(path) => Ok(Json(shape::folder(&path))),
        Id::FileFolder(name, path) => Ok(Json(shape::file_folder(&name, &path))),
    }
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
    body: WholeBody,
) -> Result<Json<Value>, ApiError> {
    let Change { status, description, tags, metadata } = body.json()?;
    let status = status.as_deref().map(str::parse).transpose();
    let status: Option<RunStatus> =
        status.map_err(|error: RunStatusError| ApiError::bad_request(error.to_string()))?;
    match namespace.own(&id)? {
        Id::Node(name) | Id::Experiment(name) => {
            let notes =
                ExperimentNotes { status, description, tags, metadata, ..Default::default() };
            let write = app.experiments.write(&name, IfAbsent::Refuse, |experiment| {
                experiment.annotate(notes)?;
                Ok(experiment.notes()?)
            });
            let notes = write.await?;
            if status.is_some_and(RunStatus::is_final) {
                app.experiments.close(&name).await;
            }
            Ok(Json(shape::experiment_node(&name, &notes)))
        }
        Id::File(name, path) => {
            let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
                let mut files = experiment.files("");
                if let Some(description) = description {
                    files = files.description(description);
                }
                if let Some(tags) = tags {
                    files = files.tags(tags);
                }
                if let Some(metadata) = metadata {
                    files = files.metadata(metadata);
                }
                Ok(files.annotate(path.as_str())?)
            });
            let info = write.await?;
            Ok(Json(shape::file_with_data(&name, &info)?))
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
) -> Result<Json<Value>, ApiError> {
    let Id::File(name, path) = namespace.own(&id)? else {
        let message = "this server deletes files only; delete recordings on its disk";
        return Err(ApiError::method_not_allowed(message));
    };
    let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
        Ok(experiment.files("").delete(path.as_str())?)
    });
    let info = write.await?;
    Ok(Json(json!({ "id": id, "deletedAt": info.deleted_at })))
}
