//! The endpoints of nodes: projects, folders, experiments and files, made by one call that makes
//! what is not there and says more of what is.

use std::fs;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::header;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::body::{Segments, WholeBody};
use super::error::ApiError;
use super::experiments::{IfAbsent, blocking};
use super::id::{FolderPath, Id};
use super::shape;
use super::token::Namespace;
use super::{files, upload};
use crate::track::{
    ExperimentName, ExperimentNotes, FilePath, RunStatus, RunStatusError, StoreError,
};

/// What the store itself keeps in an experiment's folder; an experiment in another one can't be
/// called so.
const RESERVED: [&str; 2] = ["files", "tracks"];
/// The parent of what lies directly in a project or in an experiment.
const ROOT: &str = "ROOT";

/// The body that makes a node.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "UPPERCASE")]
enum NewNode {
    #[serde(rename_all = "camelCase")]
    Project { name: String, slug: Option<String> },
    #[serde(rename_all = "camelCase")]
    Folder {
        project_id: Option<String>,
        experiment_id: Option<String>,
        parent_id: Option<String>,
        name: String,
    },
    #[serde(rename_all = "camelCase")]
    Experiment {
        name: String,
        parent_id: Option<String>,
        project_id: Option<String>,
        project_slug: Option<String>,
        description: Option<String>,
        tags: Option<Vec<String>>,
        bindrs: Option<Vec<String>>,
        write_protected: Option<bool>,
        metadata: Option<Value>,
    },
}

/// POST `/api/namespaces/{namespace}/nodes`: JSON for all but files, which come as a form.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(of): Segments<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    namespace.check(&of)?;
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|v| v.as_bytes().starts_with(b"multipart/form-data"));
    if is_form {
        return upload::save(&app, &namespace, request).await;
    }
    let body = WholeBody::from_request(request, &app).await?;
    match body.json()? {
        NewNode::Project { name, slug } => {
            let slug = slug.unwrap_or(name);
            let project = folder_in(namespace.as_str(), &slug)?;
            make_folder(&app, &project).await?;
            Ok(Json(json!({ "project": shape::project(&project) })))
        }
        NewNode::Folder { project_id, experiment_id, parent_id, name } => {
            let parent = parent_id.filter(|id| id != ROOT);
            match experiment_id {
                Some(id) => {
                    let experiment = namespace.own_experiment(&id)?;
                    file_folder(&namespace, experiment, parent.as_deref(), &name)
                }
                None => {
                    let project = project_of(&namespace, project_id.as_deref(), None)?;
                    let parent = parent_folder(&namespace, &project, parent.as_deref())?;
                    let folder = folder_in(parent.as_str(), &name)?;
                    refuse_reserved(&folder)?;
                    make_folder(&app, &folder).await?;
                    Ok(Json(json!({ "node": shape::folder(&folder) })))
                }
            }
        }
        NewNode::Experiment {
            name,
            parent_id,
            project_id,
            project_slug,
            description,
            tags,
            bindrs,
            write_protected,
            metadata,
        } => {
            let project = project_of(&namespace, project_id.as_deref(), project_slug.as_deref())?;
            let parent = parent_id.filter(|id| id != ROOT);
            let parent = parent_folder(&namespace, &project, parent.as_deref())?;
            let path = folder_in(parent.as_str(), &name)?;
            refuse_reserved(&path)?;
            let experiment: ExperimentName = path.as_str().parse()?;
            let notes = ExperimentNotes {
                description,
                tags,
                bindrs,
                write_protected,
                metadata,
                status: Some(RunStatus::Running),
                ..Default::default()
            };
            make_experiment(&app, experiment, notes).await
        }
    }
}

async fn make_experiment(
    app: &App,
    name: ExperimentName,
    notes: ExperimentNotes,
) -> Result<Json<Value>, ApiError> {
    let write = app.experiments.write(&name, IfAbsent::Make, |experiment| {
        experiment.annotate(notes)?;
        Ok(experiment.notes()?)
    });
    let notes = write.await?;
    Ok(Json(json!({
        "experiment": shape::experiment(&name, &notes),
        "node": shape::experiment_node(&name, &notes),
        "project": shape::project(&shape::project_of(&name)?),
    })))
}

/// The project that a body names, by its id or its name.
fn project_of(
    namespace: &Namespace,
    id: Option<&str>,
    slug: Option<&str>,
) -> Result<FolderPath, ApiError> {
    match (id, slug) {
        (Some(id), _) => namespace.own_project(id),
        (None, Some(slug)) => folder_in(namespace.as_str(), slug),
        (None, None) => Err(ApiError::bad_request("`projectId` or `projectSlug` is missing")),
    }
}

/// The folder that a project's experiment or folder goes into.
fn parent_folder(
    namespace: &Namespace,
    project: &FolderPath,
    parent: Option<&str>,
) -> Result<FolderPath, ApiError> {
    let Some(id) = parent else { return Ok(project.clone()) };
    match namespace.own(id)? {
        Id::Folder(folder) if folder.project() == *project => Ok(folder),
        _ => Err(ApiError::bad_request(format!("parent `{id}` is not a folder of the project"))),
    }
}

/// `name` in `parent`, one step further down and nowhere else.
fn folder_in(parent: &str, name: &str) -> Result<FolderPath, ApiError> {
    if name.contains('/') {
        return Err(ApiError::bad_request(format!(
            "`{}` can't be a name: it holds a `/`; make a folder for each part",
            name.escape_debug()
        )));
    }
    Ok(format!("{parent}/{name}").parse()?)
}

fn refuse_reserved(path: &FolderPath) -> Result<(), ApiError> {
    let lies_in_a_folder = path.as_str().split('/').count() > 3;
    if lies_in_a_folder && RESERVED.contains(&path.name()) {
        return Err(ApiError::bad_request(format!(
            "`{}` can't be a name in a folder, where ML-Dash keeps its own things under it",
            path.name()
        )));
    }
    Ok(())
}

async fn make_folder(app: &App, folder: &FolderPath) -> Result<(), ApiError> {
    let path = app.experiments.root().join(folder.as_str());
    blocking(move || Ok(fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?)).await
}

/// A folder of files is there as soon as a file is in it.
fn file_folder(
    namespace: &Namespace,
    experiment: ExperimentName,
    parent: Option<&str>,
    name: &str,
) -> Result<Json<Value>, ApiError> {
    let parent = parent_of_files(namespace, &experiment, parent)?;
    let path = file_in(parent.as_ref(), name)?;
    Ok(Json(json!({ "node": shape::file_folder(&experiment, &path) })))
}

/// The folder of an experiment's files that `id` names; `None` for the experiment itself.
pub(super) fn parent_of_files(
    namespace: &Namespace,
    experiment: &ExperimentName,
    id: Option<&str>,
) -> Result<Option<FilePath>, ApiError> {
    let Some(id) = id.filter(|id| *id != ROOT) else { return Ok(None) };
    match namespace.own(id)? {
        Id::Node(name) | Id::Experiment(name) if name == *experiment => Ok(None),
        Id::FileFolder(name, folder) if name == *experiment => Ok(Some(folder)),
        _ => Err(ApiError::bad_request(format!("parent `{id}` is not a folder of the experiment"))),
    }
}

/// `name` in `folder`, one step further down and nowhere else.
pub(super) fn file_in(folder: Option<&FilePath>, name: &str) -> Result<FilePath, ApiError> {
    if name.contains('/') {
        return Err(ApiError::bad_request(format!(
            "`{}` can't be a file's name: it holds a `/`; make a folder for each part",
            name.escape_debug()
        )));
    }
    Ok(match folder {
        Some(folder) => format!("{}/{name}", folder.as_str()).parse()?,
        None => name.parse()?,
    })
}

/// GET `/api/nodes/{id}`: what there is to know of a node.
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

/// What a node is said to be from now on.
#[derive(Deserialize)]
struct Change {
    status: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    metadata: Option<Value>,
}

/// PATCH `/api/nodes/{id}`: an experiment's status, what is said of an experiment or of a file.
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
        _ => Err(ApiError::method_not_allowed("there is nothing to change about a folder")),
    }
}

/// DELETE `/api/nodes/{id}`: takes a file off the list. Recordings are not deleted over the network.
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
