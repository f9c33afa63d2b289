//! What an experiment holds, to download: the run as MCAP, each track as Parquet, the files as they were saved.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use mldash_export::mcap::{McapOptions, export_mcap, mcap_weight};
use mldash_export::report::size_text;
use mldash_export::{ExportError, Progress, Recording};
use mldash_track::{ExperimentName, Format, Query, TrackError, TrackName};

use super::asked::Asked;
use super::html::{Styles, id_of, in_query, page as page_of};
use super::range::Part;
use crate::app::App;
use crate::error::ApiError;
use crate::export::{self, Failure, RowsAsked};
use crate::files;
use crate::id::Id;
use crate::memory::Memory;
use crate::shape::file_path;
use crate::token::Namespace;
use crate::work::blocking;

/// Files on one page.
const PER_PAGE: usize = 200;

#[derive(Template)]
#[template(path = "downloads.html")]
struct DownloadsPage<'a> {
    styles: Styles,
    namespace: &'a str,
    name: &'a str,
    id: &'a str,
    tracks: Vec<Track>,
    files: Vec<File>,
    all_files: usize,
    /// Pages of files before and after.
    before: Option<usize>,
    after: Option<usize>,
}

struct Track {
    topic: String,
    in_query: String,
    rows: u64,
    size: String,
}

struct File {
    path: String,
    id: String,
    size: String,
}

/// GET `/downloads`: everything there is of an experiment.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    mut memory: Memory,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked = Asked::of(&uri);
    let name = namespace.own_experiment(asked.needed("e")?)?;
    let number = asked.page();
    let of = name.clone();
    let listed = app.experiments.read(&name, move |experiment| {
        // What is listed, and the page.
        let files = experiment.files("");
        let weight = experiment.list_weight()?.saturating_add(files.list_weight()?);
        memory.hold(weight.saturating_mul(2))?;
        let tracks: Vec<Track> = experiment.list()?.into_iter().map(Track::of).collect();
        let files = files.list()?;
        let all_files = files.len();
        let shown = files.iter().skip((number - 1).saturating_mul(PER_PAGE)).take(PER_PAGE);
        let shown = shown.map(|info| {
            let path = file_path(info)?;
            let id = Id::File(of.clone(), path.clone()).to_string();
            let size = size_text(info.size_bytes);
            Ok(File { path: path.as_str().to_owned(), id, size })
        });
        Ok((tracks, shown.collect::<Result<Vec<_>, ApiError>>()?, all_files, memory))
    });
    let (tracks, files, all_files, _memory) = listed.await?;
    let after = number.saturating_mul(PER_PAGE) < all_files;
    page_of(&DownloadsPage {
        styles: Styles,
        namespace: namespace.as_str(),
        name: name.as_str(),
        id: &id_of(&name),
        tracks,
        files,
        all_files,
        before: (number > 1).then(|| number - 1),
        after: after.then(|| number + 1),
    })
}

impl Track {
    fn of(info: mldash_track::TrackInfo) -> Self {
        let size = size_text(info.size_bytes);
        Self { in_query: in_query(&info.topic), topic: info.topic, rows: info.total_entries, size }
    }
}

/// GET `/downloads/parquet`: a track's rows.
pub(super) async fn parquet(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    memory: Memory,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked = Asked::of(&uri);
    let name = namespace.own_experiment(asked.needed("e")?)?;
    let topic: TrackName = asked.needed("t")?.parse()?;
    let wanted = topic.clone();
    let is_there = app.experiments.read(&name, move |experiment| {
        let columns = experiment.tracks(wanted.as_str()).columns()?;
        let missing = || ApiError::not_found(format!("there is no track `{wanted}`"));
        columns.map(drop).ok_or_else(missing)
    });
    is_there.await?;
    let called = format!("{}-{topic}.parquet", name.name());
    let (query, format) = (Query::all(), Format::Parquet);
    let sent =
        export::stream(&app, &namespace, memory, RowsAsked { name, topic, query, format }).await?;
    Ok(attached(sent, &called))
}

/// GET `/downloads/mcap`: the whole run.
pub(super) async fn mcap(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    mut memory: Memory,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked = Asked::of(&uri);
    let name = namespace.own_experiment(asked.needed("e")?)?;
    let called = format!("{}.mcap", name.name());
    let of: ExperimentName = name.clone();
    // The status depends on whether there is such an experiment, and memory for it.
    let opened = app.experiments.read(&name, move |experiment| {
        memory.hold(experiment.files("").list_weight()?)?;
        let recording = Recording { name: of.to_string(), experiment };
        memory.hold(mcap_weight(&recording)?).map_err(ApiError::for_mcap)?;
        Ok((recording, memory))
    });
    let (recording, memory) = opened.await?;
    let mut sent = export::stream_from(&app, &namespace, move |out| {
        let written = export_mcap(&recording, &McapOptions::default(), out, &Progress::default());
        drop(memory);
        let account = written.map_err(|error| match error {
            ExportError::Output(error) => Failure::Track(TrackError::Export(error)),
            ExportError::Track { source, .. } => Failure::Track(source),
            error => Failure::Refused(error.into()),
        })?;
        if account.missing() > 0 {
            tracing::warn!(
                "{}: {} files can't be read and are not in the MCAP file",
                recording.name,
                account.missing()
            );
        }
        Ok(())
    })
    .await?;
    let kind = HeaderValue::from_static("application/octet-stream");
    sent.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(attached(sent, &called))
}

/// GET `/downloads/file`: a file as it was saved, or a part of it.
pub(super) async fn file(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    memory: Memory,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked = Asked::of(&uri);
    let id = asked.needed("f")?;
    let called = match namespace.own(id)? {
        Id::File(_, path) => path.filename().to_owned(),
        _ => return Err(ApiError::not_found(format!("`{id}` is not a file's id"))),
    };
    let mut opened = files::open(&app, &namespace, id, memory).await?;
    let tag = tag_of(&opened.info.checksum);
    let measured = blocking(move || {
        let all = opened.file.metadata().map_err(|error| ApiError::internal(&error))?.len();
        let part = Part::of(&headers, all, tag.as_deref());
        if let Part::Of { from, .. } = part {
            let moved = opened.file.seek(SeekFrom::Start(from));
            moved.map_err(|error| ApiError::internal(&error))?;
        }
        Ok((opened, all, part, tag))
    });
    let (opened, all, part, tag) = measured.await?;
    let (length, range) = match part {
        Part::Whole => (all, None),
        Part::Of { from, length } => {
            (length, Some(format!("bytes {from}-{}/{all}", from + length - 1)))
        }
        Part::Beyond => {
            let range = (header::CONTENT_RANGE, format!("bytes */{all}"));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [range]).into_response());
        }
    };
    let mut response = attached(files::send(&app, &namespace, opened, length).await?, &called);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ACCEPT_RANGES, "bytes");
    if let Some(tag) = tag {
        set(header::ETAG, &tag);
    }
    set(header::CONTENT_LENGTH, &length.to_string());
    if let Some(range) = range {
        set(header::CONTENT_RANGE, &range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The tag of a file's content. There is none for a file that was listed without its checksum.
fn tag_of(checksum: &str) -> Option<String> {
    let is_hex = !checksum.is_empty() && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| format!("\"{checksum}\""))
}

/// As a file of this name, which a browser saves and does not show.
fn attached(mut response: Response, called: &str) -> Response {
    let called = called.replace('/', "_");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.', ' '].contains(&c);
    let plain: String = called.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let disposition =
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", in_query(&called));
    let disposition = HeaderValue::from_str(&disposition);
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_checksum_is_no_tag() {
        assert_eq!(tag_of("0aF"), Some("\"0aF\"".to_owned()));
        assert_eq!(["", "a\"b", "a\r\n", "ü"].map(tag_of), [const { None }; 4]);
    }

    #[test]
    fn a_name_can_not_leave_its_place_in_the_header() {
        let of = |called: &str| {
            let response = attached(Response::default(), called);
            response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned()
        };
        assert_eq!(
            of("run-robot/pose.parquet"),
            "attachment; filename=\"run-robot_pose.parquet\"; filename*=UTF-8''run%2Drobot%5Fpose%2Eparquet"
        );
        assert_eq!(
            of("a\"; x=\r\nb"),
            "attachment; filename=\"a__ x___b\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0Ab"
        );
        assert!(of("../ü").starts_with("attachment; filename=\"..__\";"));
    }
}
