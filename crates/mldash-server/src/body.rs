//! Reads a request's body and parameters, with limits on bytes and time. Errors have the server's
//! own format.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, header, request::Parts};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::error::ApiError;

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

/// A whole body, inflated if it was compressed. Its bytes count against the server's memory limit
/// as long as it lives.
#[derive(Debug)]
pub(super) struct WholeBody {
    bytes: Vec<u8>,
    counted: Option<OwnedSemaphorePermit>,
}

impl std::ops::Deref for WholeBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl WholeBody {
    /// Parses it as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| ApiError::bad_request(format!("the request's JSON: {error}")))
    }
}

impl FromRequest<Arc<App>> for WholeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let max_bytes = app.limits.max_body_bytes;
        if announced_bytes(request.headers()).is_some_and(|bytes| bytes > max_bytes as u64) {
            return Err(body_too_large(max_bytes));
        }
        let mut body = request.into_body();
        let pace = Pace::new(app.limits.body_timeout);
        let mut whole = Self { bytes: Vec::new(), counted: None };
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
            whole.take_in(&data, app)?;
        }
    }
}

impl WholeBody {
    fn take_in(&mut self, data: &[u8], app: &App) -> Result<(), ApiError> {
        self.bytes.extend_from_slice(data);
        let held = self.counted.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let kib = self.bytes.len().div_ceil(1 << 10).saturating_sub(held);
        let more = u32::try_from(kib).ok();
        let more = more.and_then(|kib| app.body_kib.clone().try_acquire_many_owned(kib).ok());
        let Some(more) = more else {
            return Err(ApiError::busy("the server's memory limit is reached; try again later"));
        };
        match &mut self.counted {
            Some(counted) => counted.merge(more),
            none => *none = Some(more),
        }
        Ok(())
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
