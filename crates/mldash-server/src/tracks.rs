//! The endpoints of tracks: create, append, list, read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::body::{Params, Segments, WholeBody};
use super::entries;
use super::error::ApiError;
use super::experiments::IfAbsent;
use super::export;
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
    body: WholeBody,
) -> Result<Json<Value>, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let track: NewTrack = body.json()?;
    let topic: TrackName = track.topic.parse()?;
    let filter = TopicFilter::from(topic.as_str());
    let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
        let mut notes = track.notes;
        for schema in take_noted_schema(&mut notes) {
            let declaring = experiment.tracks(topic.as_str()).with_schema(schema);
            declaring.annotate(TrackNotes::default())?;
        }
        experiment.tracks(topic.as_str()).annotate(notes)?;
        Ok(experiment.list_matching(&filter)?.pop())
    });
    let info =
        write.await?.ok_or_else(|| ApiError::not_found("the track was deleted meanwhile"))?;
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
    let row = entries::row(&body)?;
    let mut data = Vec::new();
    // The row as it is stored: flat, without its time.
    JsonWriter::new(&mut data, NonFinite::Null).row(TIMESTAMP_COLUMN, row.ts, &row.fields);
    let mut data: serde_json::Map<String, Value> =
        serde_json::from_slice(&data).map_err(|error| ApiError::internal(&error))?;
    let timestamp = data.remove(TIMESTAMP_COLUMN);
    store(&app, name, topic.parse()?, move || Ok(vec![row])).await?;
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
    let count = store(&app, name, topic.parse()?, move || entries::rows(&body, max_rows)).await?;
    Ok(Json(json!({ "count": count })))
}

/// Stores rows. Returns their number once they are flushed.
async fn store(
    app: &App,
    name: ExperimentName,
    topic: TrackName,
    rows: impl FnOnce() -> Result<Vec<Row>, ApiError> + Send + 'static,
) -> Result<usize, ApiError> {
    let write = app.experiments.write(&name, IfAbsent::Refuse, move |experiment| {
        let rows = rows()?;
        let count = rows.len();
        let track = experiment.tracks(topic.as_str());
        track.append_rows(rows)?;
        track.flush()?;
        Ok(count)
    });
    write.await
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
) -> Result<Json<Value>, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let filter = TopicFilter::from(params.topic.as_deref().unwrap_or("*"));
    let read = app.experiments.read(&name, move |exp| Ok(exp.list_matching(&filter)?));
    let tracks: Vec<Value> = read.await?.iter().map(|info| track_json(&name, info)).collect();
    Ok(Json(json!({ "tracks": tracks })))
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
) -> Result<Response, ApiError> {
    let name = namespace.own_experiment(&id)?;
    let topic: TrackName = topic.parse()?;
    let format = params.format.as_deref().unwrap_or("json");
    let format: Format =
        format.parse().map_err(|error: FormatError| ApiError::bad_request(error.to_string()))?;
    let query = params.query()?;
    export::stream(&app, name, topic, query, format).await
}
