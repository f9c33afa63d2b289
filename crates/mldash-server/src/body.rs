//! Reads a request's body and parameters, with limits on bytes and time. Errors have the server's
//! own format.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, header, request::Parts};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::error::ApiError;
use super::memory::Memory;
use super::token::Namespace;
use mldash_track::json::JsonWeight;

/// A body that is slower than this, after its first moments, is given up.
const MIN_BYTES_PER_SEC: u64 = 4 << 10;

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Instant,
    patience: Duration,
}

impl Pace {
    /// Starts now. `patience` is the time in addition to what its bytes earn.
    pub(super) fn new(patience: Duration) -> Self {
        Self { started: Instant::now(), patience }
    }

    /// When more than `received_bytes` must have arrived.
    pub(super) fn deadline(&self, received_bytes: u64) -> Instant {
        self.started + self.patience + Duration::from_secs(received_bytes / MIN_BYTES_PER_SEC)
    }
}

/// The first bytes that are asked for.
const FIRST_BYTES: usize = 4 << 10;
/// The limit on bodies that are not rows: descriptions, queries.
const MAX_NOTES_BYTES: usize = 4 << 20;
/// A description is parsed, merged with the stored one, stored and answered.
const NOTES_COPIES: usize = 4;

/// A whole body, inflated if it was compressed. Its bytes count against the server's memory limit
/// as long as it lives.
#[derive(Debug)]
pub(super) struct WholeBody {
    bytes: Vec<u8>,
    memory: Memory,
}

/// A body that becomes a tree of values, which may be many times as large.
#[derive(Debug)]
pub(super) struct NotesBody(WholeBody);

impl WholeBody {
    async fn read(request: Request, app: &App, max_bytes: usize) -> Result<Self, ApiError> {
        if announced_bytes(request.headers()).is_some_and(|bytes| bytes > max_bytes as u64) {
            return Err(body_too_large(max_bytes));
        }
        let namespace = request.extensions().get::<Namespace>().cloned();
        let namespace = namespace.ok_or_else(|| ApiError::unauthorized("no token"))?;
        let mut body = request.into_body();
        let pace = Pace::new(app.limits.body_timeout);
        let mut whole = Self { bytes: Vec::new(), memory: Memory::of(app, &namespace) };
        loop {
            let frame = timeout_at(pace.deadline(whole.bytes.len() as u64), body.frame()).await;
            let frame = frame.map_err(|_| ApiError::too_slow())?;
            let Some(frame) = frame else { return Ok(whole) };
            let broken = |error: axum::Error| {
                ApiError::bad_request(format!("the request's body can't be read: {error}"))
            };
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if whole.bytes.len() + data.len() > max_bytes {
                return Err(body_too_large(max_bytes));
            }
            whole.take_in(&data, max_bytes)?;
        }
    }

    /// Asks for memory before it takes it.
    fn take_in(&mut self, data: &[u8], max_bytes: usize) -> Result<(), ApiError> {
        let needed = self.bytes.len() + data.len();
        let capacity = self.bytes.capacity();
        if needed > capacity {
            let grown = needed.max(capacity * 2).max(FIRST_BYTES).min(max_bytes.max(needed));
            self.memory.hold(grown - capacity)?;
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Its bytes, and the memory that they are in, which may hold more.
    pub(super) fn parts(&mut self) -> (&[u8], &mut Memory) {
        (&self.bytes, &mut self.memory)
    }
}

impl NotesBody {
    /// Parses it as JSON. The memory also holds what storing and answering it takes.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<(T, Memory), ApiError> {
        let WholeBody { bytes, mut memory } = self.0;
        memory.hold(JsonWeight::of(&bytes).saturating_mul(NOTES_COPIES))?;
        let parsed = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::bad_request(format!("the request's JSON: {error}")))?;
        Ok((parsed, memory))
    }
}

impl FromRequest<Arc<App>> for WholeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::read(request, app, app.limits.max_body_bytes).await
    }
}

impl FromRequest<Arc<App>> for NotesBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let max_bytes = app.limits.max_body_bytes.min(MAX_NOTES_BYTES);
        WholeBody::read(request, app, max_bytes).await.map(Self)
    }
}

fn body_too_large(max_bytes: usize) -> ApiError {
    let message = format!("the request's body is larger than {max_bytes} bytes; send less at once");
    ApiError::too_large(message)
}

/// The length that the headers announce.
pub(super) fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The parameters in the path, percent-decoded.
#[derive(Debug)]
pub(super) struct Segments<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|error| ApiError::bad_request(error.body_text()))
    }
}

/// The parameters after the `?`.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(params)| Self(params))
            .map_err(|error| ApiError::bad_request(error.body_text()))
    }
}
