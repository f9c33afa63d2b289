//! The protocol's calls: namespace, project, folders, experiment, tracks, rows, files.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Method, multipart};
use serde_json::{Map, Value as Json, json};

use super::answer::{confirm_file, confirm_rows, id_at, number_at, unexpected};
use super::http::Api;
use crate::local::{ExperimentNotes, RunStatus, TrackNotes};
use crate::name::ExperimentName;
use crate::remote::error::{CallError, Fault};

/// The parent of nodes outside any folder.
const ROOT: &str = "ROOT";
/// The SDK's number of files per page.
const FILES_PER_PAGE: usize = 500;
/// How deep the SDK looks for an experiment.
const MAX_FOLDERS: usize = 10;
/// Everything except RFC 3986's unreserved characters, so `/` too.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An experiment on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) namespace: String,
    pub(crate) experiment_id: String,
    project_id: String,
    node_id: String,
}

/// A file to be saved on the server.
#[derive(Debug)]
pub(crate) struct FileUpload<'a> {
    /// The node id of its folder.
    pub(crate) parent_id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) checksum: &'a str,
    pub(crate) size_bytes: u64,
    pub(crate) description: Option<&'a str>,
    pub(crate) tags: &'a [String],
    pub(crate) metadata: Option<&'a Json>,
}

impl Session {
    /// Creates the experiment, or opens the existing one.
    pub(crate) async fn open(
        api: &Api,
        name: &ExperimentName,
        notes: &ExperimentNotes,
    ) -> Result<Self, CallError> {
        let namespace = namespace(api).await?;
        let folders: Vec<&str> = folders(name).collect();
        let mut project_id = find_project(api, &namespace, name.project()).await?;
        if project_id.is_none() && !folders.is_empty() {
            let project =
                json!({"type": "PROJECT", "name": name.project(), "slug": name.project()});
            let made = make_node(api, &namespace, &project).await?;
            project_id = Some(id_at(&made, "/project/id")?);
        }
        let mut parent_id = ROOT.to_owned();
        for folder in folders {
            let folder = json!({
                "type": "FOLDER", "projectId": project_id, "parentId": parent_id, "name": folder,
            });
            parent_id = id_at(&make_node(api, &namespace, &folder).await?, "/node/id")?;
        }
        let project = match &project_id {
            Some(id) => ("projectId", Json::from(id.as_str())),
            None => ("projectSlug", Json::from(name.project())),
        };
        let mut experiment = Map::new();
        experiment.insert("type".into(), "EXPERIMENT".into());
        experiment.insert("name".into(), name.name().into());
        experiment.insert("parentId".into(), parent_id.into());
        experiment.insert(project.0.into(), project.1);
        insert(&mut experiment, "description", notes.description.clone());
        insert(&mut experiment, "tags", notes.tags.clone().filter(|tags| !tags.is_empty()));
        insert(&mut experiment, "bindrs", notes.bindrs.clone().filter(|bindrs| !bindrs.is_empty()));
        insert(&mut experiment, "writeProtected", notes.write_protected.filter(|yes| *yes));
        insert(&mut experiment, "metadata", notes.metadata.clone());
        let made = make_node(api, &namespace, &experiment.into()).await?;
        let project_id = match project_id {
            Some(id) => id,
            None => id_at(&made, "/project/id")
                .or_else(|_| id_at(&made, "/experiment/projectId"))
                .or_else(|_| id_at(&made, "/node/projectId"))?,
        };
        Ok(Self {
            experiment_id: id_at(&made, "/experiment/id")?,
            node_id: id_at(&made, "/node/id")?,
            namespace,
            project_id,
        })
    }

    /// Reports the status of the run.
    pub(crate) async fn set_status(&self, api: &Api, status: RunStatus) -> Result<(), CallError> {
        let path = format!("/api/nodes/{}", encoded(&self.node_id));
        api.json(Method::PATCH, &path, &json!({"status": status.name()})).await.map(drop)
    }

    /// Creates a track, or updates its notes.
    pub(crate) async fn make_track(
        &self,
        api: &Api,
        topic: &str,
        notes: &TrackNotes,
    ) -> Result<(), CallError> {
        let mut track = Map::new();
        track.insert("topic".into(), topic.into());
        insert(&mut track, "description", notes.description.clone());
        insert(&mut track, "tags", notes.tags.clone());
        insert(&mut track, "metadata", notes.metadata.clone());
        api.json(Method::POST, &tracks_path(&self.experiment_id), &track.into()).await.map(drop)
    }

    /// Appends rows; the body holds `entries`, `rows` of them. Succeeds only if the server says
    /// that it took that many.
    pub(crate) async fn append(
        &self,
        api: &Api,
        topic: &str,
        body: Vec<u8>,
        rows: usize,
    ) -> Result<(), CallError> {
        let tracks = tracks_path(&self.experiment_id);
        let path = format!("{tracks}/{}/append_batch", encoded(topic));
        confirm_rows(&api.large_json(&path, body).await?, topic, rows)
    }

    /// The topics of the server's tracks, each with its number of rows if the server reports it.
    pub(crate) async fn tracks(&self, api: &Api) -> Result<Vec<(String, Option<u64>)>, CallError> {
        let tracks = list_tracks(api, &self.experiment_id, None).await?;
        let known = |track: &Json| {
            let topic = track.get("topic")?.as_str()?.to_owned();
            Some((topic, number_at(track, "/totalEntries")))
        };
        Ok(tracks.iter().filter_map(known).collect())
    }

    /// The node id of a folder of the experiment's files, created if needed. `folder` has no
    /// leading or trailing `/`.
    pub(crate) async fn make_folder(&self, api: &Api, folder: &str) -> Result<String, CallError> {
        let mut parent_id = self.node_id.clone();
        for name in folder.split('/').filter(|name| !name.is_empty()) {
            let folder = json!({
                "type": "FOLDER", "projectId": self.project_id, "experimentId": self.experiment_id,
                "parentId": parent_id, "name": name,
            });
            parent_id = id_at(&make_node(api, &self.namespace, &folder).await?, "/node/id")?;
        }
        Ok(parent_id)
    }

    /// Saves a file. Succeeds only if the server names the file that it saved, with the checksum
    /// and size of this one where it gives them.
    pub(crate) async fn save_file(
        &self,
        api: &Api,
        file: &FileUpload<'_>,
        data: Body,
    ) -> Result<(), CallError> {
        let mime = Some(file.content_type).filter(|mime| !mime.is_empty());
        let part = multipart::Part::stream_with_length(data, file.size_bytes)
            .file_name(file.name.to_owned())
            .mime_str(mime.unwrap_or("application/octet-stream"))
            .map_err(|error| CallError::new(Fault::Refused, error.to_string()))?;
        let mut form = multipart::Form::new()
            .text("type", "FILE")
            .text("projectId", self.project_id.clone())
            .text("experimentId", self.experiment_id.clone())
            .text("parentId", file.parent_id.to_owned())
            .text("name", file.name.to_owned())
            .text("checksum", file.checksum.to_owned());
        if let Some(description) = file.description {
            form = form.text("description", description.to_owned());
        }
        if !file.tags.is_empty() {
            form = form.text("tags", file.tags.join(","));
        }
        if let Some(metadata) = file.metadata {
            form = form.text("metadata", metadata.to_string());
        }
        let path = nodes_path(&self.namespace);
        let answer = api.form(&path, form.part("file", part), file.size_bytes).await?;
        confirm_file(&answer, file)
    }
}

/// A token is bound to its own namespace, which may differ from the owner in the recording's name.
/// Logs where the experiment then is.
pub(crate) fn tell_namespace(url: &str, namespace: &str, name: &ExperimentName) {
    if namespace != name.owner() {
        tracing::warn!(
            "the token belongs to namespace `{namespace}`, so on {url} `{name}` is there and not in `{}`",
            name.owner()
        );
    }
}

/// The id of an experiment to read; `None` if there is none.
pub(crate) async fn find_experiment(
    api: &Api,
    name: &ExperimentName,
) -> Result<Option<String>, CallError> {
    let namespace = namespace(api).await?;
    tell_namespace(api.url(), &namespace, name);
    let nodes = project_nodes(api, &namespace, name.project()).await?;
    let path: Vec<&str> = folders(name).chain([name.name()]).collect();
    Ok(experiment_at(&nodes, &path))
}

/// A project's folders and experiments, nested by `children`; null if there is no such project.
pub(crate) async fn project_nodes(
    api: &Api,
    namespace: &str,
    slug: &str,
) -> Result<Json, CallError> {
    let variables = json!({"namespaceSlug": namespace, "projectSlug": slug});
    let mut data = api.graphql(&hierarchy_query(), variables).await?;
    Ok(data.pointer_mut("/project/nodes").map(Json::take).unwrap_or_default())
}

/// The id of the experiment that a node stands for; `None` for a folder.
pub(crate) fn experiment_id(node: &Json) -> Option<String> {
    let is_experiment = node.get("type").is_some_and(|ty| ty == "EXPERIMENT");
    is_experiment.then(|| id_at(node, "/experimentId").ok()).flatten()
}

/// Tracks as the server lists them.
pub(crate) async fn list_tracks(
    api: &Api,
    experiment_id: &str,
    filter: Option<String>,
) -> Result<Vec<Json>, CallError> {
    let query: Vec<(&str, String)> = filter.map(|filter| ("topic", filter)).into_iter().collect();
    let mut answer = api.get_json(&tracks_path(experiment_id), &query).await?;
    match answer.get_mut("tracks").map(Json::take) {
        Some(Json::Array(tracks)) => Ok(tracks),
        _ => Err(unexpected("tracks")),
    }
}

/// A file as the server lists it. What the server leaves out is empty.
#[derive(Debug)]
pub(crate) struct ListedFile {
    pub(crate) name: String,
    pub(crate) checksum: String,
}

/// A page of an experiment's files, from the file at `offset` on, and whether there are more.
pub(crate) async fn list_files(
    api: &Api,
    experiment_id: &str,
    offset: usize,
) -> Result<(Vec<ListedFile>, bool), CallError> {
    let query = "query ListExperimentFilesPaginated($experimentId: ID!, $limit: Int!, $offset: Int!) { \
                 experimentById(id: $experimentId) { \
                 filesPaginated(limit: $limit, offset: $offset) { \
                 files { name physicalFile { checksum } } hasMore } } }";
    let variables =
        json!({"experimentId": experiment_id, "limit": FILES_PER_PAGE, "offset": offset});
    let data = api.graphql(query, variables).await?;
    let page = data.pointer("/experimentById/filesPaginated");
    let page = page.ok_or_else(|| unexpected("filesPaginated"))?;
    let text = |json: Option<&Json>| json.and_then(Json::as_str).unwrap_or_default().to_owned();
    let listed = |file: &Json| ListedFile {
        name: text(file.get("name")),
        checksum: text(file.pointer("/physicalFile/checksum")),
    };
    let files = page.get("files").and_then(Json::as_array).ok_or_else(|| unexpected("files"))?;
    let has_more = page.get("hasMore").and_then(Json::as_bool).unwrap_or(false);
    Ok((files.iter().map(listed).collect(), has_more && !files.is_empty()))
}

/// The path for reading a track's rows.
pub(crate) fn data_path(experiment_id: &str, topic: &str) -> String {
    format!("{}/{}/data", tracks_path(experiment_id), encoded(topic))
}

/// The namespace that the token belongs to.
pub(crate) async fn namespace(api: &Api) -> Result<String, CallError> {
    let data = api.graphql("query { me { username } }", json!({})).await?;
    id_at(&data, "/me/username")
}

async fn find_project(api: &Api, namespace: &str, slug: &str) -> Result<Option<String>, CallError> {
    let projects = find_projects(api, namespace).await?;
    Ok(projects.into_iter().find(|(known, _)| known == slug).and_then(|(_, id)| id))
}

/// The slug and the id of each project of a namespace.
pub(crate) async fn find_projects(
    api: &Api,
    namespace: &str,
) -> Result<Vec<(String, Option<String>)>, CallError> {
    let query = "query GetProject($namespace: String!) { namespace(slug: $namespace) { projects { id slug } } }";
    let data = api.graphql(query, json!({"namespace": namespace})).await?;
    let projects = data.pointer("/namespace/projects").and_then(Json::as_array);
    let projects = projects.ok_or_else(|| {
        CallError::new(Fault::Refused, format!("the server has no namespace `{namespace}`"))
    })?;
    let known = projects.iter().filter_map(|project| {
        let slug = project.get("slug")?.as_str()?.to_owned();
        Some((slug, id_at(project, "/id").ok()))
    });
    Ok(known.collect())
}

async fn make_node(api: &Api, namespace: &str, node: &Json) -> Result<Json, CallError> {
    api.json(Method::POST, &nodes_path(namespace), node).await
}

/// The SDK's query, which nests the levels by hand.
fn hierarchy_query() -> String {
    let node = "id name type experimentId";
    let nested =
        (0..MAX_FOLDERS).fold(node.to_owned(), |below, _| format!("{node} children {{ {below} }}"));
    format!(
        "query GetProjectHierarchy($namespaceSlug: String!, $projectSlug: String!) {{ \
         project(namespaceSlug: $namespaceSlug, projectSlug: $projectSlug) {{ \
         nodes(parentId: null, maxDepth: 20) {{ {nested} }} }} }}"
    )
}

fn experiment_at(nodes: &Json, path: &[&str]) -> Option<String> {
    let (name, below) = path.split_first()?;
    let named = nodes.as_array()?.iter().filter(|node| node.get("name").is_some_and(|n| n == name));
    let mut found = named.filter_map(|node| match below {
        [] => experiment_id(node),
        below => experiment_at(node.get("children")?, below),
    });
    found.next()
}

fn folders(name: &ExperimentName) -> impl Iterator<Item = &str> {
    let folders = name.segments().count().saturating_sub(3);
    name.segments().skip(2).take(folders)
}

fn nodes_path(namespace: &str) -> String {
    format!("/api/namespaces/{}/nodes", encoded(namespace))
}

fn tracks_path(experiment_id: &str) -> String {
    format!("/api/experiments/{}/tracks", encoded(experiment_id))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_A_PATH).to_string()
}

fn insert(map: &mut Map<String, Json>, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_part_of_a_path() {
        let path = data_path("7", "robot/arm pose/ä");
        assert_eq!(path, "/api/experiments/7/tracks/robot%2Farm%20pose%2F%C3%A4/data");
    }

    #[test]
    fn an_experiment_is_found_below_its_folders() {
        let nodes = json!([
            {"id": "1", "name": "run", "type": "EXPERIMENT", "experimentId": "9"},
            {"id": "2", "name": "monday", "type": "FOLDER", "children": [
                {"id": "3", "name": "run", "type": "FOLDER", "children": []},
                {"id": "4", "name": "run", "type": "EXPERIMENT", "experimentId": 8},
            ]},
        ]);
        assert_eq!(experiment_at(&nodes, &["monday", "run"]).as_deref(), Some("8"));
        assert_eq!(experiment_at(&nodes, &["run"]).as_deref(), Some("9"));
        assert_eq!(experiment_at(&nodes, &["monday"]), None);
        let name: ExperimentName = "alice/lab/a/b/run".parse().unwrap();
        assert_eq!(folders(&name).collect::<Vec<_>>(), ["a", "b"]);
    }
}
