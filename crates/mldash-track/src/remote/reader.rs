//! Reads from a server: the list of tracks, and their rows as a file.

use std::future::Future;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::Value as Json;
use tokio::runtime::{Builder, Runtime};

use super::error::{CallError, Fault, RemoteError};
use super::options::Remote;
use super::plan::{Backoff, Failures};
use super::send::{
    Api, ListedFile, data_path, find_experiment, list_files, list_tracks, number_at,
};
use crate::error::TrackError;
use crate::format::Format;
use crate::local::{TrackInfo, TrackNotes};
use crate::name::ExperimentName;
use crate::query::{Query, TopicFilter};

/// An experiment on a server, opened to read.
///
/// ```no_run
/// use mldash_track::{Format, Query, Remote, RemoteExperiment};
/// let remote = Remote::new("https://api.example.org");
/// let exp = RemoteExperiment::open("alice/warehouse/run-1", &remote)?;
/// exp.export_to("robot/pose", &Query::range(0.0..=10.0), Format::Parquet, &mut std::io::stdout())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RemoteExperiment {
    runtime: Runtime,
    api: Api,
    backoff: Backoff,
    id: String,
}

impl RemoteExperiment {
    /// Looks the experiment up. The first part of the name is the owner; the namespace is the
    /// token's.
    ///
    /// # Errors
    /// Fails if the name is invalid, the server can't be reached or refuses, or there is no such
    /// experiment.
    pub fn open(name: &str, remote: &Remote) -> Result<Self, TrackError> {
        let name: ExperimentName = name.parse()?;
        let mut opened = Self::of_id(String::new(), &name, remote)?;
        let found = opened.patiently(|| find_experiment(&opened.api, &name))?;
        opened.id = found.ok_or_else(|| RemoteError::NoExperiment {
            name: name.to_string(),
            url: opened.api.url().to_owned(),
        })?;
        Ok(opened)
    }

    /// The experiment that the server knows by `id`. Makes no call.
    pub(super) fn of_id(
        id: String,
        name: &ExperimentName,
        remote: &Remote,
    ) -> Result<Self, TrackError> {
        let api = Api::new(remote, name.owner())?;
        let backoff = remote.backoff()?;
        Ok(Self { runtime: runtime()?, api, backoff, id })
    }

    /// Makes calls fail at once instead of retrying them.
    pub(super) fn without_retries(mut self) -> Self {
        self.backoff.max_retries = 0;
        self
    }

    /// A page of the files, from the file at `offset` on, and whether there are more.
    pub(super) fn files_page(&self, offset: usize) -> Result<(Vec<ListedFile>, bool), TrackError> {
        self.patiently(|| list_files(&self.api, &self.id, offset))
    }

    /// Lists the tracks that `filter` accepts, by topic.
    ///
    /// # Errors
    /// Fails if the server can't be reached or refuses.
    pub fn list_matching(&self, filter: &TopicFilter) -> Result<Vec<TrackInfo>, TrackError> {
        let listed = self.patiently(|| list_tracks(&self.api, &self.id, None))?;
        let mut tracks: Vec<TrackInfo> = listed.iter().filter_map(track_info).collect();
        tracks.retain(|track| filter.accepts(&track.topic));
        tracks.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(tracks)
    }

    /// Writes the rows that `query` selects, as the server formats them. The server does not apply
    /// a limit.
    ///
    /// # Errors
    /// Fails if the server can't be reached, refuses or breaks off, or `out` can't be written.
    pub fn export_to(
        &self,
        topic: &str,
        query: &Query,
        format: Format,
        out: &mut dyn Write,
    ) -> Result<(), TrackError> {
        self.each_part(topic, query, format, |part| {
            out.write_all(part).map_err(TrackError::Export)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Like [`export_to`](Self::export_to), but hands on part by part, as long as `take` wants more.
    pub(super) fn each_part(
        &self,
        topic: &str,
        query: &Query,
        format: Format,
        mut take: impl FnMut(&[u8]) -> Result<ControlFlow<()>, TrackError>,
    ) -> Result<(), TrackError> {
        let path = data_path(&self.id, topic);
        let asked = asked(query, format);
        let mut body = self.patiently(|| self.api.get(&path, &asked))?;
        loop {
            let part = self.runtime.block_on(body.next_part());
            let Some(part) = part.map_err(|error| self.for_user(error))? else { return Ok(()) };
            if take(&part)?.is_break() {
                return Ok(());
            }
        }
    }

    fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, TrackError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        patiently(&self.runtime, &self.backoff, call).map_err(|error| self.for_user(error))
    }

    fn for_user(&self, error: CallError) -> TrackError {
        error.for_user(self.api.url()).into()
    }
}

/// A runtime on the calling thread.
pub(super) fn runtime() -> Result<Runtime, RemoteError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| RemoteError::Setup(error.into()))
}

/// Retries temporary failures as often as the SDK does.
pub(super) fn patiently<T, F>(
    runtime: &Runtime,
    backoff: &Backoff,
    call: impl Fn() -> F,
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut failures = Failures::default();
    runtime.block_on(async {
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let passes = matches!(
                error.fault,
                Fault::Unreachable | Fault::TimedOut | Fault::Overloaded | Fault::Server
            );
            if !passes || failures.count() >= backoff.max_retries {
                return Err(error);
            }
            failures.note(backoff, Instant::now(), error.retry_after, fastrand::f64());
            if let Some(due) = failures.due() {
                let secs = due.saturating_duration_since(Instant::now()).as_secs();
                tracing::info!("{}; trying again in {secs} s", error.text);
                tokio::time::sleep_until(due.into()).await;
            }
        }
    })
}

fn asked(query: &Query, format: Format) -> Vec<(&'static str, String)> {
    let mut asked = vec![("format", format.name().to_owned())];
    if query.start().is_finite() {
        asked.push(("start_timestamp", query.start().to_string()));
    }
    if query.end().is_finite() {
        asked.push(("end_timestamp", query.end().to_string()));
    }
    if let Some(columns) = query.column_names() {
        asked.push(("columns", columns.join(",")));
    }
    asked
}

/// A track as a server lists it. Servers report more or fewer details.
pub(super) fn track_info(json: &Json) -> Option<TrackInfo> {
    let text = |key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let number = |pointer: &str| number_at(json, pointer).unwrap_or_default();
    let columns = json.get("columns").and_then(Json::as_array).map(Vec::as_slice);
    let columns = columns.unwrap_or_default().iter().filter_map(Json::as_str);
    Some(TrackInfo {
        topic: text("topic")?,
        total_entries: number("/totalEntries"),
        first_timestamp: json.get("firstTimestamp").and_then(Json::as_f64),
        last_timestamp: json.get("lastTimestamp").and_then(Json::as_f64),
        columns: columns.map(str::to_owned).collect(),
        size_bytes: number("/sizeBytes"),
        created_at: text("createdAt"),
        notes: TrackNotes::default(),
    })
}
