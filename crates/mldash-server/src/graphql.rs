//! The GraphQL queries that the Python SDK 0.11.0 sends for tracks and files: the user, the
//! projects, an experiment and its files. All of them only read.
//!
//! Queries are parsed as GraphQL and answered field by field. A field that is not served is an
//! error that names it.

mod document;
mod tree;

use std::cell::RefCell;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::app::App;
use super::body::NotesBody;
use super::error::ApiError;
use super::export;
use super::id::{FolderPath, Id};
use super::memory::Memory;
use super::shape;
use super::token::Namespace;
use super::work::blocking;
use document::{Document, Selection};
use mldash_track::{Experiment, ExperimentName, ExperimentNotes, TrackError};

/// The limit on files in a page.
const MAX_PAGE: usize = 1000;
/// What a byte of a query takes once it is parsed, at most: ` a` becomes a field.
const QUERY_BYTES_PER_BYTE: usize = 256;

/// The body of the POST.
#[derive(Deserialize)]
struct Call {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// Why a query has no answer. GraphQL reports it with status 200.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error("{0}")]
    Query(String),
    #[error("this server has no field `{field}` of {of}")]
    UnknownField { of: &'static str, field: String },
    #[error("argument `{0}` is missing or of the wrong type")]
    Argument(&'static str),
    #[error(transparent)]
    Store(#[from] TrackError),
    #[error("the server failed; its log says why")]
    Failed(ApiError),
}

/// POST `/graphql`.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    body: NotesBody,
) -> Result<Response, ApiError> {
    let (call, memory) = body.json::<Call>()?;
    let (scope_app, scope_namespace) = (app.clone(), namespace.clone());
    let (answer, memory) = blocking(move || {
        let variables = call.variables.unwrap_or_default();
        let memory = RefCell::new(memory);
        let scope = Scope { app: &scope_app, namespace: &scope_namespace, memory: &memory };
        let answered = scope.hold_parsed(&call.query).and_then(|()| {
            let document =
                Document::parse(&call.query, variables, &memory).map_err(QueryError::Query)?;
            scope.query(&document.root())
        });
        let answer = match answered {
            Ok(data) => json!({ "data": data }),
            Err(QueryError::Store(error)) => return Err(error.into()),
            Err(QueryError::Failed(error)) => return Err(error),
            Err(error) => json!({ "errors": [{ "message": error.to_string() }] }),
        };
        Ok((answer, memory.into_inner()))
    })
    .await?;
    export::json(&app, &namespace, memory, answer).await
}

/// Who asks, and the server's state.
struct Scope<'a> {
    app: &'a App,
    namespace: &'a Namespace,
    memory: &'a RefCell<Memory>,
}

impl Scope<'_> {
    fn hold(&self, bytes: usize) -> Result<(), QueryError> {
        self.memory.borrow_mut().hold(bytes).map_err(QueryError::Failed)
    }

    fn hold_value(&self, value: &Value) -> Result<(), QueryError> {
        self.memory.borrow_mut().hold_value(Some(value)).map_err(QueryError::Failed)
    }

    /// A query becomes a tree, twice.
    fn hold_parsed(&self, query: &str) -> Result<(), QueryError> {
        self.hold(query.len().saturating_mul(2 * QUERY_BYTES_PER_BYTE))
    }

    /// An experiment's notes in the shape that `shape` gives them.
    fn noted(
        &self,
        experiment: &Experiment,
        shape: impl FnOnce(&ExperimentNotes) -> Value,
    ) -> Result<Value, QueryError> {
        let weight = experiment.notes_weight()?.saturating_mul(2);
        self.hold(weight)?;
        let shaped = shape(&experiment.notes()?);
        self.memory.borrow_mut().release(weight);
        self.hold_value(&shaped)?;
        Ok(shaped)
    }

    fn query(&self, root: &Selection<'_>) -> Result<Value, QueryError> {
        root.object(|field| match field.name() {
            "me" => self.me(&field.selection()),
            "namespace" => self.namespace(field.text("slug")?, &field.selection()),
            "experimentNode" => {
                self.experiment_node(field.text("experimentId")?, &field.selection())
            }
            "experimentById" => self.experiment(field.text("id")?, &field.selection()),
            "project" => self.project_asked_for(field, &field.selection()),
            _ => Err(field.unknown("Query")),
        })
    }

    fn me(&self, selection: &Selection<'_>) -> Result<Value, QueryError> {
        selection.object(|field| match field.name() {
            "id" | "username" | "name" => Ok(json!(self.namespace.as_str())),
            "email" | "given_name" | "family_name" | "picture" => Ok(Value::Null),
            _ => Err(field.unknown("User")),
        })
    }

    /// Another namespace is treated like one that does not exist.
    fn namespace(&self, slug: &str, selection: &Selection<'_>) -> Result<Value, QueryError> {
        if slug != self.namespace.as_str() {
            return Ok(Value::Null);
        }
        selection.object(|field| match field.name() {
            "id" | "slug" => Ok(json!(slug)),
            "projects" => {
                let selection = field.selection();
                let projects = tree::projects(self.app.experiments.root(), slug)?;
                let projects = projects.iter().map(|project| self.project(project, &selection));
                projects.collect()
            }
            _ => Err(field.unknown("Namespace")),
        })
    }

    fn project_asked_for(
        &self,
        field: &document::Field<'_>,
        selection: &Selection<'_>,
    ) -> Result<Value, QueryError> {
        let project =
            match (field.text("id"), field.text("namespaceSlug"), field.text("projectSlug")) {
                (Ok(id), _, _) => self.namespace.own_project(id).ok(),
                (_, Ok(namespace), Ok(slug)) => {
                    let path = format!("{namespace}/{slug}").parse::<FolderPath>().ok();
                    path.filter(|path| {
                        path.owner() == self.namespace.as_str() && path.project() == *path
                    })
                }
                (Err(error), _, _) => return Err(error),
            };
        let root = self.app.experiments.root();
        match project.filter(|project| root.join(project.as_str()).is_dir()) {
            Some(project) => self.project(&project, selection),
            None => Ok(Value::Null),
        }
    }

    fn project(
        &self,
        project: &FolderPath,
        selection: &Selection<'_>,
    ) -> Result<Value, QueryError> {
        selection.object(|field| match field.name() {
            "id" => Ok(json!(Id::Project(project.clone()).to_string())),
            "slug" | "name" => Ok(json!(project.name())),
            "namespace" => self.namespace(project.owner(), &field.selection()),
            "nodes" => {
                let nodes = tree::nodes(self, project)?;
                field.selection().list(&nodes, "Node")
            }
            _ => Err(field.unknown("Project")),
        })
    }

    fn open(&self, id: &str) -> Result<Option<(ExperimentName, Experiment)>, QueryError> {
        let Ok(name) = self.namespace.own_experiment(id) else { return Ok(None) };
        match Experiment::open_read_only(name.as_str(), self.app.experiments.root()) {
            Ok(experiment) => Ok(Some((name, experiment))),
            Err(TrackError::NoExperiment { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn experiment_node(&self, id: &str, selection: &Selection<'_>) -> Result<Value, QueryError> {
        let Some((name, experiment)) = self.open(id)? else { return Ok(Value::Null) };
        let node = self.noted(&experiment, |notes| shape::experiment_node(&name, notes))?;
        selection.of(&node, "Node")
    }

    fn experiment(&self, id: &str, selection: &Selection<'_>) -> Result<Value, QueryError> {
        let Some((name, experiment)) = self.open(id)? else { return Ok(Value::Null) };
        let known = self.noted(&experiment, |notes| shape::experiment(&name, notes))?;
        selection.object(|field| match field.name() {
            "project" => {
                let project = shape::project_of(&name).map_err(QueryError::Failed)?;
                self.project(&project, &field.selection())
            }
            "filesPaginated" => self.files_page(&name, &experiment, field),
            _ => field.value_in(&known, "Experiment"),
        })
    }

    fn files_page(
        &self,
        name: &ExperimentName,
        experiment: &Experiment,
        field: &document::Field<'_>,
    ) -> Result<Value, QueryError> {
        let limit = field.count("limit")?.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let offset = field.count("offset")?.unwrap_or_default();
        let files = experiment.files("");
        self.hold(files.list_weight()?)?;
        let files = files.list()?;
        field.selection().object(|field| match field.name() {
            "files" => {
                let page = files.iter().skip(offset).take(limit);
                let page = page.map(|info| {
                    let file = shape::file_with_data(name, info).map_err(QueryError::Failed)?;
                    self.hold_value(&file)?;
                    Ok::<Value, QueryError>(file)
                });
                field.selection().list(&page.collect::<Result<Vec<_>, _>>()?, "File")
            }
            "totalCount" => Ok(json!(files.len())),
            "hasMore" => Ok(json!(offset.saturating_add(limit) < files.len())),
            _ => Err(field.unknown("FilePage")),
        })
    }
}
