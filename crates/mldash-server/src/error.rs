//! The errors that clients get: a status, and JSON with a code for programs and a message for
//! people, in the format that the Python SDK 0.11.0 reads. Clients learn nothing about the server's
//! own disk; that goes to the log.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use mldash_export::ExportError;
use mldash_track::{NameError, StoreError, TrackError, TrackName, one_line};

/// How long a client should wait if the server is busy, in seconds.
const BUSY_RETRY_SECS: u32 = 1;
/// How long a client should wait if another program writes the experiment, in seconds.
const LOCKED_RETRY_SECS: u32 = 5;

const OUT_OF_HANDLES: &str = "out_of_handles";
const REMOVED: &str = "removed";

/// Why a request failed.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_secs: Option<u32>,
}

/// What an answer refuses with, for those who make a page of it.
#[derive(Clone, Debug)]
pub(super) struct Refusal(pub(super) String);

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_secs: None }
    }

    /// The request is wrong. Sending it again does not help.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// No namespace has this token.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// The token belongs to another namespace.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// It exists, but does not support this method.
    pub(super) fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// The client sends nothing, or too slowly.
    pub(super) fn too_slow() -> Self {
        let message = "the request's body did not arrive in time; send less at once";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    /// It is over the server's limit.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// The compression is one that the server can't inflate.
    pub(super) fn unsupported_encoding() -> Self {
        let message =
            "the body's Content-Encoding is not supported; send it uncompressed or with gzip";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    }

    /// The data differs from what was announced.
    pub(super) fn checksum(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "checksum_mismatch", message)
    }

    /// The server is busy. The client should try again later.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after_secs: Some(BUSY_RETRY_SECS),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
        }
    }

    /// Returns true if it may be otherwise in a moment.
    pub(super) fn is_for_now(&self) -> bool {
        self.retry_after_secs.is_some()
    }

    /// What it says to people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Says what to do where the memory does not do for a report.
    pub(super) fn for_report(self) -> Self {
        self.for_lack_of_memory(
            "a report of this takes more memory than the server has for one request (`--max-memory`; of several namespaces, \
             one gets half). `mldash_bridge report` makes it on the server's computer; what is recorded can be downloaded here",
        )
    }

    /// Says what to do where the memory does not do for a whole run.
    pub(super) fn for_mcap(self) -> Self {
        self.for_lack_of_memory(
            "the run as one MCAP file takes more memory than the server has for one request (`--max-memory`; of several \
             namespaces, one gets half). `mldash_bridge export` makes it on the server's computer; tracks can be downloaded one \
             by one",
        )
    }

    /// Where the memory will never do to open a track. That is no fault of the rows, so it is not 413, with which uploads set rows
    /// aside.
    pub(super) fn for_opening(self) -> Self {
        if self.status != StatusCode::PAYLOAD_TOO_LARGE {
            return self;
        }
        let message = "opening this track takes more memory than the server has for one request; start it with a larger \
                       `--max-memory` (of several namespaces, one gets half)";
        tracing::error!("{message}");
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "out_of_memory", message)
    }

    /// Where the memory did not do beside that of opening the track, which is open from now on.
    pub(super) fn after_opening(self) -> Self {
        match self.status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::busy("the track was just opened; try again"),
            _ => self,
        }
    }

    fn for_lack_of_memory(mut self, message: &str) -> Self {
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            self.message = message.to_owned();
        }
        self
    }

    /// Adds the track that it is about.
    pub(super) fn in_track(mut self, topic: &TrackName) -> Self {
        self.message = format!("track `{topic}`: {}", self.message);
        self
    }

    /// Returns true if closing an experiment would help.
    pub(super) fn wants_handles(&self) -> bool {
        self.code == OUT_OF_HANDLES
    }

    /// The experiment must be opened again, since its files were removed while it was open.
    pub(super) fn wants_reopening(&self) -> bool {
        self.code == REMOVED
    }

    /// The server failed. `cause` only goes to its log.
    pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!("{}", one_line(cause));
        let message = "the server failed; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<TrackError> for ApiError {
    fn from(error: TrackError) -> Self {
        match &error {
            TrackError::Name(_)
            | TrackError::Timestamp { .. }
            | TrackError::Json { .. }
            | TrackError::Fields { .. }
            | TrackError::ReservedColumn { .. }
            | TrackError::TooDeep { .. }
            | TrackError::RepeatedNames { .. }
            | TrackError::TooManyColumns { .. }
            | TrackError::TooManyDeclarations { .. }
            | TrackError::TooWide { .. } => Self::bad_request(error.to_string()),
            TrackError::NoFile { .. } => Self::not_found(error.to_string()),
            TrackError::NoExperiment { name, .. } => {
                Self::not_found(format!("no experiment `{name}`"))
            }
            TrackError::BufferFull { .. } | TrackError::Closed(_) => {
                Self::busy("the store can't keep up; try again later")
            }
            TrackError::Store(StoreError::FolderCollision { requested, existing, .. }) => {
                let message = format!(
                    "track `{requested}` would share a folder with track `{existing}`, since \
                     ML-Dash replaces '/' by '_'; give one of them another name"
                );
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            TrackError::Store(StoreError::Locked { .. } | StoreError::LockHeld { .. }) => {
                let message =
                    "another program on the server is writing this experiment; try again later";
                tracing::warn!("{}", one_line(&error));
                Self {
                    retry_after_secs: Some(LOCKED_RETRY_SECS),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "locked", message)
                }
            }
            TrackError::Store(store) if store.is_link() => {
                tracing::warn!("{}; the server follows no symbolic links", one_line(&error));
                let message = "this is a symbolic link on the server, which follows none";
                Self::new(StatusCode::FORBIDDEN, "symbolic_link", message)
            }
            TrackError::Store(store) if store.is_out_of_handles() => {
                tracing::warn!("{}", one_line(&error));
                let message = "the server's limit on open files is reached; try again later";
                Self { code: OUT_OF_HANDLES, ..Self::busy(message) }
            }
            TrackError::Store(store) if store.is_removed() => {
                tracing::warn!("{}", one_line(&error));
                let message = "the recording was removed on the server meanwhile; send it again";
                Self { code: REMOVED, ..Self::busy(message) }
            }
            TrackError::Store(StoreError::NoRoomToSort { .. }) => {
                tracing::error!("{}", one_line(&error));
                let message = "these rows are out of order, and the server's disk has no room to \
                               sort them; ask for a shorter time range, or try again once the \
                               recording has ended";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "out_of_space", message)
            }
            TrackError::Store(store) if store.is_out_of_space() => {
                tracing::error!("{}", one_line(&error));
                let message = "the server's disk is full";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "out_of_space", message)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Track { source, .. } => source.into(),
            ExportError::TooManyExperiments { .. } | ExportError::PageTooLarge { .. } => {
                Self::too_large(error.to_string())
            }
            ExportError::Stopped => Self::busy("the server is stopping; try again later"),
            error => Self::internal(&error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        TrackError::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(Body { code: self.code, message: &self.message });
        let mut response = (self.status, body).into_response();
        response.extensions_mut().insert(Refusal(self.message));
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, secs.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
