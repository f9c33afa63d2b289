//! The endpoints for files: download, and search by name.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::body::{Params, Segments};
use super::error::ApiError;
use super::export;
use super::id::Id;
use super::memory::Memory;
use super::shape;
use super::token::Namespace;
use mldash_track::{ExperimentName, FileInfo, FilePath, StoreError, TrackError};

const COPY_BYTES: usize = 64 << 10;
/// The limit on results of a search.
const MAX_FOUND: usize = 1000;
/// The memory of a pattern.
const MAX_PATTERN_BYTES: usize = 256 << 10;
/// The SDK's default.
const DEFAULT_FOUND: usize = 10;

/// The listed file at `path`.
pub(super) async fn find(
    app: &App,
    name: &ExperimentName,
    path: &FilePath,
    memory: Memory,
) -> Result<(FileInfo, Memory), ApiError> {
    let path = path.clone();
    let read = app.experiments.read(name, move |experiment| {
        let (files, mut memory) = (experiment.files(""), memory);
        let weight = files.list_weight()?;
        memory.hold(weight)?;
        let found = files.find(path.as_str())?;
        let found = found
            .ok_or_else(|| ApiError::not_found(format!("there is no file `{}`", path.as_str())))?;
        drop((files, experiment));
        memory.release(weight);
        memory.hold_value(found.metadata.as_ref())?;
        Ok((found, memory))
    });
    read.await
}

/// GET `/api/nodes/{id}/download`: the content of a file.
pub(super) async fn download(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
    memory: Memory,
) -> Result<Response, ApiError> {
    let opened = open(&app, &namespace, &id, memory).await?;
    send(&app, &namespace, opened, u64::MAX).await
}

/// A file that is to be sent.
pub(super) struct Opened {
    pub(super) file: File,
    path: PathBuf,
    pub(super) info: FileInfo,
}

/// Opens the file with this id.
pub(super) async fn open(
    app: &App,
    namespace: &Namespace,
    id: &str,
    memory: Memory,
) -> Result<Opened, ApiError> {
    let Id::File(name, path) = namespace.own(id)? else {
        return Err(ApiError::not_found(format!("`{id}` is not a file's id")));
    };
    let (info, _memory) = find(app, &name, &path, memory).await?;
    let listed = info.clone();
    let open =
        app.experiments.read(&name, move |experiment| Ok(experiment.files("").open(&listed)?));
    let (file, path) = open.await?;
    Ok(Opened { file, path, info })
}

/// The content of a file from where it stands, up to so many bytes.
pub(super) async fn send(
    app: &App,
    namespace: &Namespace,
    opened: Opened,
    most: u64,
) -> Result<Response, ApiError> {
    let Opened { file, path, info } = opened;
    let mut part = file.take(most);
    let mut response =
        export::stream_from(app, namespace, move |out| Ok(copy(&mut part, &path, out)?)).await?;
    let content_type = HeaderValue::from_str(&info.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    // A browser must not run what a robot sent.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response.map(Body::new))
}

/// Like [`std::io::copy`], with separate errors for the two sides.
fn copy(file: &mut impl Read, path: &Path, out: &mut dyn Write) -> Result<(), TrackError> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = file.read(&mut buffer).map_err(StoreError::io("read", path))?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..read]).map_err(TrackError::Export)?;
    }
}

/// The parameters of a search.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchParams {
    pattern: String,
    experiment_id: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// GET `/api/search/files`: the files of an experiment whose path matches a pattern.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Params(params): Params<SearchParams>,
    mut memory: Memory,
) -> Result<Response, ApiError> {
    let id = params.experiment_id.as_deref();
    let id = id.ok_or_else(|| {
        ApiError::bad_request(
            "`experimentId` is missing: this server searches within one experiment",
        )
    })?;
    let name = namespace.own_experiment(id)?;
    let pattern = glob(&params.pattern)?;
    let listed = app.experiments.read(&name, move |experiment| {
        let files = experiment.files("");
        memory.hold(files.list_weight()?)?;
        Ok((files.list()?, memory))
    });
    let (files, mut memory) = listed.await?;
    let limit = params.limit.unwrap_or(DEFAULT_FOUND).min(MAX_FOUND);
    let mut found = Vec::new();
    let mut skip = params.offset.unwrap_or_default();
    for info in &files {
        if found.len() == limit {
            break;
        }
        if !pattern.is_match(shape::file_path(info)?.as_str()) {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        let file = shape::file_with_data(&name, info)?;
        memory.hold_value(Some(&file))?;
        found.push(file);
    }
    export::json(&app, &namespace, memory, json!({ "files": found })).await
}

/// `*` and `?` match within a part of a path, `**/` any number of parts.
fn glob(pattern: &str) -> Result<Regex, ApiError> {
    let mut regex = String::from("^");
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex += "(?:.*/)?";
            rest = after;
            continue;
        }
        match first {
            '*' => regex += "[^/]*",
            '?' => regex += "[^/]",
            other => regex += &regex::escape(other.encode_utf8(&mut [0; 4])),
        }
        rest = &rest[first.len_utf8()..];
    }
    regex.push('$');
    let pattern = RegexBuilder::new(&regex)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .build();
    pattern.map_err(|error| ApiError::bad_request(format!("`pattern`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_names_at_any_depth_and_nothing_more() {
        let matches = |pattern, path| glob(pattern).unwrap().is_match(path);
        assert!(matches("**/a.png", "a.png") && matches("**/a.png", "x/y/a.png"));
        assert!(!matches("**/a.png", "x/aXpng") && !matches("**/a.png", "x/ba.png"));
        assert!(matches("x/*.png", "x/a.png") && !matches("x/*.png", "x/y/a.png"));
        assert!(matches("fr(me?.png", "fr(me1.png"));
    }
}
