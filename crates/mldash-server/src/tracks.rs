//! The endpoints of tracks: create, append, list, read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::body::{NotesBody, Params, Segments, WholeBody};
use super::entries;
use super::error::ApiError;
use super::experiments::IfAbsent;
use super::export::{self, RowsAsked};
use super::memory::Memory;
use super::token::Namespace;
use mldash_track::json::{JsonWriter, NonFinite};
use mldash_track::{
    ExperimentName, Format, FormatError, Query, Row, TIMESTAMP_COLUMN, TopicFilter, TrackInfo,
    TrackName, TrackNotes, take_noted_schema,
};

/// The body that creates a track.
#[derive(Deserialize)]
pub(super) struct NewTrack {
    topic: String,
    #[serde(flatten)]
    notes: TrackNotes,
}

/// POST `/api/experiments/{id}/tracks`: creates a track, or changes its description.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
    body: NotesBody,
) -> Result<Json<Value>, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let (track, mut memory) = body.json::<NewTrack>()?;
    let topic: TrackName = track.topic.parse()?;
    let filter = TopicFilter::from(topic.as_str());
    let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
        let mut notes = track.notes;
        let track = experiment.tracks(topic.as_str());
        memory.hold(track.opening_bytes()?).map_err(ApiError::for_opening)?;
        track.declare(&take_noted_schema(&mut notes))?;
        track.annotate(notes)?;
        Ok((experiment.list_matching(&filter)?.pop(), memory))
    });
    let (info, _memory) = write.await?;
    let info = info.ok_or_else(|| ApiError::not_found("the track was deleted meanwhile"))?;
    Ok(Json(track_json(&name, &info)))
}

/// POST `/api/experiments/{id}/tracks/{topic}/append`: one row.
pub(super) async fn append(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments((id, topic)): Segments<(String, String)>,
    body: WholeBody,
) -> Result<Json<Value>, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let topic: TrackName = topic.parse()?;
    let named = topic.clone();
    let stored = store(&app, name, topic, body, move |body| {
        let (text, memory) = body.parts();
        let row = entries::row(text, memory).map_err(|error| error.in_track(&named))?;
        let mut data = Vec::new();
        // The row as it is stored: flat, without its time.
        JsonWriter::new(&mut data, NonFinite::Null).row(TIMESTAMP_COLUMN, row.ts, &row.fields);
        let data: serde_json::Map<String, Value> =
            serde_json::from_slice(&data).map_err(|error| ApiError::internal(&error))?;
        Ok((vec![row], data))
    });
    let mut data = stored.await?;
    let timestamp = data.remove(TIMESTAMP_COLUMN);
    Ok(Json(json!({ "timestamp": timestamp, "data": data })))
}

/// POST `/api/experiments/{id}/tracks/{topic}/append_batch`: stores rows, all or none.
pub(super) async fn append_batch(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments((id, topic)): Segments<(String, String)>,
    body: WholeBody,
) -> Result<Json<Value>, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let max_rows = app.limits.max_rows;
    let topic: TrackName = topic.parse()?;
    let named = topic.clone();
    let stored = store(&app, name, topic, body, move |body| {
        let (text, memory) = body.parts();
        let rows = entries::rows(text, max_rows, memory).map_err(|error| error.in_track(&named))?;
        let count = rows.len();
        Ok((rows, count))
    });
    let count = stored.await?;
    Ok(Json(json!({ "count": count })))
}

/// Stores the rows that `parse` makes of the body. Returns what it says of them, once they are flushed. The body holds their memory
/// until then.
///
/// A track that is there is opened first. Rows are refused as too much only by what they take themselves: clients set aside what is
/// refused so.
async fn store<T: Send + 'static>(
    app: &App,
    name: ExperimentName,
    topic: TrackName,
    mut body: WholeBody,
    parse: impl FnOnce(&mut WholeBody) -> Result<(Vec<Row>, T), ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
        let track = experiment.tracks(topic.as_str());
        let opening_bytes = track.opening_bytes()?;
        if opening_bytes > 0 {
            let (_, memory) = body.parts();
            memory.hold(opening_bytes).map_err(ApiError::for_opening)?;
            track.declare(&[])?;
        }
        let parsed = parse(&mut body);
        let (rows, said) = match parsed {
            // The next request need not open it.
            Err(error) if opening_bytes > 0 => return Err(error.after_opening()),
            parsed => parsed?,
        };
        track.append_rows(rows)?;
        track.flush()?;
        Ok((said, body))
    });
    let (said, _body) = write.await?;
    Ok(said)
}

/// The parameters of a listing.
#[derive(Deserialize)]
pub(super) struct ListParams {
    topic: Option<String>,
}

/// GET `/api/experiments/{id}/tracks`: lists the tracks.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments(id): Segments<String>,
    Params(params): Params<ListParams>,
    mut memory: Memory,
) -> Result<Response, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let filter = TopicFilter::from(params.topic.as_deref().unwrap_or("*"));
    let of = name.clone();
    let read = app.experiments.read(&name, move |experiment| {
        // What is listed, and the answer.
        memory.hold(experiment.list_weight()?.saturating_mul(2))?;
        let tracks = experiment.list_matching(&filter)?;
        let tracks: Vec<Value> = tracks.iter().map(|info| track_json(&of, info)).collect();
        Ok((tracks, memory))
    });
    let (tracks, memory) = read.await?;
    export::json(&app, &namespace, memory, json!({ "tracks": tracks })).await
}

/// The JSON of a track: its `metadata.json` on disk, and its ids.
fn track_json(name: &ExperimentName, info: &TrackInfo) -> Value {
    let mut track = json!(info);
    let id = super::id::Id::Experiment(name.clone()).to_string();
    if let Value::Object(track) = &mut track {
        track.insert("id".to_owned(), json!(format!("{id}~.{}", info.topic)));
        track.insert("experimentId".to_owned(), json!(id));
        track.entry("description").or_insert(Value::Null);
        track.entry("tags").or_insert_with(|| json!([]));
        track.entry("metadata").or_insert(Value::Null);
    }
    track
}

/// The parameters of a read.
#[derive(Deserialize)]
pub(super) struct ReadParams {
    format: Option<String>,
    start_timestamp: Option<f64>,
    end_timestamp: Option<f64>,
    columns: Option<String>,
}

impl ReadParams {
    fn query(&self) -> Result<Query, ApiError> {
        let start = self.start_timestamp.unwrap_or(f64::NEG_INFINITY);
        let end = self.end_timestamp.unwrap_or(f64::INFINITY);
        if start.is_nan() || end.is_nan() {
            return Err(ApiError::bad_request("a time range can't start or end at NaN"));
        }
        let query = Query::range(start..=end);
        Ok(match self.columns.as_deref() {
            None | Some("") => query,
            Some(columns) => query.columns(columns.split(',')),
        })
    }
}

/// GET `/api/experiments/{id}/tracks/{topic}/data`: rows in one of the formats.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    Segments((id, topic)): Segments<(String, String)>,
    Params(params): Params<ReadParams>,
    memory: Memory,
) -> Result<Response, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let topic: TrackName = topic.parse()?;
    let format = params.format.as_deref().unwrap_or("json");
    let format: Format =
        format.parse().map_err(|error: FormatError| ApiError::bad_request(error.to_string()))?;
    let query = params.query()?;
    export::stream(&app, &namespace, memory, RowsAsked { name, topic, query, format }).await
}
