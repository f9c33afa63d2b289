//! Creates nodes. One call creates what does not exist, and changes the description of what does.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::body::{NotesBody, Segments};
use crate::error::ApiError;
use crate::experiments::IfAbsent;
use crate::export;
use crate::id::{FolderPath, Id};
use crate::memory::Memory;
use crate::shape;
use crate::token::Namespace;
use crate::upload;
use crate::work::blocking;
use mldash_track::{ExperimentName, ExperimentNotes, FilePath, RunStatus, create_folders};

/// Names that the store uses in an experiment's folder. An experiment within another one can't have
/// them.
const RESERVED: [&str; 4] = ["account.json", "experiment.json", "files", "tracks"];
/// The parent of what lies directly in a project or an experiment.
const ROOT: &str = "ROOT";

/// The body that creates a node.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "UPPERCASE")]
enum NewNode {
    Project(NewProject),
    Folder(NewFolder),
    Experiment(NewExperiment),
}

#[derive(Deserialize)]
struct NewProject {
    name: String,
    slug: Option<String>,
}

/// In a project, or among the files of an experiment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewFolder {
    name: String,
    parent_id: Option<String>,
    project_id: Option<String>,
    experiment_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewExperiment {
    name: String,
    parent_id: Option<String>,
    project_id: Option<String>,
    project_slug: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    bindrs: Option<Vec<String>>,
    write_protected: Option<bool>,
    metadata: Option<Value>,
}

/// POST `/api/namespaces/{namespace}/nodes`: JSON, or a form for files.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(of): Segments<String>,
    request: Request,
) -> Result<Response, ApiError> {
    namespace.check(&of)?;
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|v| v.as_bytes().starts_with(b"multipart/form-data"));
    if is_form {
        return Ok(upload::save(&app, &namespace, request).await?.into_response());
    }
    let (node, memory) = NotesBody::from_request(request, &app).await?.json()?;
    let (made, memory) = match node {
        NewNode::Project(project) => (project.make(&app, &namespace).await?, memory),
        NewNode::Folder(folder) => (folder.make(&app, &namespace).await?, memory),
        NewNode::Experiment(experiment) => experiment.make(&app, &namespace, memory).await?,
    };
    export::json(&app, &namespace, memory, made).await
}

impl NewProject {
    async fn make(self, app: &App, namespace: &Namespace) -> Result<Value, ApiError> {
        let project = folder_in(namespace.as_str(), &self.slug.unwrap_or(self.name))?;
        make_folder(app, &project).await?;
        Ok(json!({ "project": shape::project(&project) }))
    }
}

impl NewFolder {
    async fn make(self, app: &App, namespace: &Namespace) -> Result<Value, ApiError> {
        if let Some(id) = &self.experiment_id {
            // A folder of files exists as soon as a file is in it.
            let experiment = namespace.own_experiment(id)?;
            let parent = parent_of_files(namespace, &experiment, self.parent_id.as_deref())?;
            let path = file_in(parent.as_ref(), &self.name)?;
            return Ok(json!({ "node": shape::file_folder(&experiment, &path) }));
        }
        let project = project_of(namespace, self.project_id.as_deref(), None)?;
        let parent = parent_folder(namespace, &project, self.parent_id.as_deref())?;
        let folder = folder_in(parent.as_str(), &self.name)?;
        refuse_reserved(&folder)?;
        make_folder(app, &folder).await?;
        Ok(json!({ "node": shape::folder(&folder) }))
    }
}

impl NewExperiment {
    async fn make(
        self,
        app: &App,
        namespace: &Namespace,
        mut memory: Memory,
    ) -> Result<(Value, Memory), ApiError> {
        let name = self.place(namespace)?;
        let notes = ExperimentNotes {
            description: self.description,
            tags: self.tags,
            bindrs: self.bindrs,
            write_protected: self.write_protected,
            metadata: self.metadata,
            status: Some(RunStatus::Running),
            ..Default::default()
        };
        let write = app.experiments.write(&name, IfAbsent::Make, move |experiment| {
            // Those before are read and changed, those after are read and answered twice.
            memory.hold(experiment.notes_weight()?.saturating_mul(4))?;
            experiment.annotate(notes)?;
            Ok((experiment.notes()?, memory))
        });
        let (notes, memory) = write.await?;
        let made = json!({
            "experiment": shape::experiment(&name, &notes),
            "node": shape::experiment_node(&name, &notes),
            "project": shape::project(&shape::project_of(&name)?),
        });
        Ok((made, memory))
    }

    fn place(&self, namespace: &Namespace) -> Result<ExperimentName, ApiError> {
        let Self { project_id, project_slug, parent_id, .. } = self;
        let project = project_of(namespace, project_id.as_deref(), project_slug.as_deref())?;
        let parent = parent_folder(namespace, &project, parent_id.as_deref())?;
        let path = folder_in(parent.as_str(), &self.name)?;
        refuse_reserved(&path)?;
        Ok(path.as_str().parse()?)
    }
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

/// The folder for a project's new experiment or folder.
fn parent_folder(
    namespace: &Namespace,
    project: &FolderPath,
    parent: Option<&str>,
) -> Result<FolderPath, ApiError> {
    let Some(id) = parent.filter(|id| *id != ROOT) else { return Ok(project.clone()) };
    match namespace.own(id)? {
        Id::Folder(folder) if folder.project() == *project => Ok(folder),
        _ => Err(ApiError::bad_request(format!("parent `{id}` is not a folder of the project"))),
    }
}

/// `name` in `parent`, exactly one level further down.
fn folder_in(parent: &str, name: &str) -> Result<FolderPath, ApiError> {
    refuse_slash(name)?;
    Ok(format!("{parent}/{name}").parse()?)
}

fn refuse_slash(name: &str) -> Result<(), ApiError> {
    if !name.contains('/') {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "`{}` can't be a name, since it contains a `/`; create a folder for each part",
        name.escape_debug()
    )))
}

fn refuse_reserved(path: &FolderPath) -> Result<(), ApiError> {
    let lies_in_a_folder = path.as_str().split('/').count() > 3;
    if lies_in_a_folder && RESERVED.contains(&path.name()) {
        return Err(ApiError::bad_request(format!(
            "`{}` can't be a name in a folder, since ML-Dash uses it there",
            path.name()
        )));
    }
    Ok(())
}

async fn make_folder(app: &App, folder: &FolderPath) -> Result<(), ApiError> {
    let path = app.experiments.root().join(folder.as_str());
    blocking(move || Ok(create_folders(&path)?)).await
}

/// The folder of an experiment's files that `id` names; `None` for the experiment itself.
pub(crate) fn parent_of_files(
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

/// `name` in `folder`, exactly one level further down.
pub(crate) fn file_in(folder: Option<&FilePath>, name: &str) -> Result<FilePath, ApiError> {
    refuse_slash(name)?;
    Ok(match folder {
        Some(folder) => format!("{}/{name}", folder.as_str()).parse()?,
        None => name.parse()?,
    })
}
