//! Lists a namespace's experiments on a server.

use serde_json::{Value as Json, json};

use super::error::{CallError, RemoteError};
use super::options::Remote;
use super::reader::{patiently, runtime, track_info};
use super::send::{Api, experiment_id, find_projects, list_tracks, namespace, project_nodes};
use crate::error::TrackError;
use crate::listing::{ExperimentInfo, notes_from};
use crate::local::Brief;

/// Lists the experiments on a server whose names `wanted` accepts, by name: those of the token's
/// namespace. The server is asked about each of them. `owner` selects the token in a file with
/// several.
///
/// # Errors
/// Fails if the server can't be reached or refuses.
pub fn list_remote_experiments(
    remote: &Remote,
    owner: Option<&str>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ExperimentInfo>, TrackError> {
    let api = Api::new(remote, owner.unwrap_or_default())?;
    let backoff = remote.backoff()?;
    let runtime = runtime()?;
    let listed = patiently(&runtime, &backoff, || names(&api));
    let mut listed = listed.map_err(|error| error.for_user(api.url()))?;
    listed.retain(|(name, _)| wanted(name));
    listed.sort();
    let describe = |(name, id): (String, String)| {
        let described = patiently(&runtime, &backoff, || describe(&api, &name, &id));
        described.map_err(|error| error.for_user(api.url()))
    };
    Ok(listed.into_iter().map(describe).collect::<Result<_, RemoteError>>()?)
}

/// Every experiment's name and id.
async fn names(api: &Api) -> Result<Vec<(String, String)>, CallError> {
    let namespace = namespace(api).await?;
    let mut found = Vec::new();
    for (slug, _) in find_projects(api, &namespace).await? {
        let nodes = project_nodes(api, &namespace, &slug).await?;
        take_experiments(&nodes, &format!("{namespace}/{slug}"), &mut found);
    }
    Ok(found)
}

fn take_experiments(nodes: &Json, above: &str, found: &mut Vec<(String, String)>) {
    for node in nodes.as_array().map(Vec::as_slice).unwrap_or_default() {
        let Some(name) = node.get("name").and_then(Json::as_str) else { continue };
        let name = format!("{above}/{name}");
        if let Some(id) = experiment_id(node) {
            found.push((name.clone(), id));
        }
        take_experiments(node.get("children").unwrap_or(&Json::Null), &name, found);
    }
}

async fn describe(api: &Api, name: &str, id: &str) -> Result<ExperimentInfo, CallError> {
    let query = "query GetExperiment($id: ID!) { \
                 experimentById(id: $id) { description tags status metadata startedAt } }";
    let mut answer = api.graphql(query, json!({ "id": id })).await?;
    let experiment = answer.get_mut("experimentById").map(Json::take).unwrap_or_default();
    let mut tracks = Brief { is_exact: true, ..Brief::default() };
    for track in list_tracks(api, id, None).await?.iter().filter_map(track_info) {
        let span = track.first_timestamp.zip(track.last_timestamp);
        tracks.add(track.total_entries, span, track.size_bytes);
    }
    Ok(ExperimentInfo::new(name.to_owned(), notes_from(&experiment), tracks))
}
