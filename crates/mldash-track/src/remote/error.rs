//! Errors between here and a server, for users and for retry decisions.

use std::time::Duration;

use super::send::TokenError;

/// A failed operation with a server. No text shows a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The address is invalid.
    #[error(
        "the remote's address can't be used: {reason}; write one such as https://api.example.org"
    )]
    Url {
        /// Why.
        reason: String,
    },
    /// There is no usable token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server rejects our token.
    #[error("{0}")]
    TokenRefused(String),
    /// The server did not answer, or answered with a failure of its own.
    #[error("{url}: {reason}")]
    Failing {
        /// The server.
        url: String,
        /// The last failure.
        reason: String,
    },
    /// The server refused the request.
    #[error("{url} refuses: {answer}")]
    Refused {
        /// The server.
        url: String,
        /// Its status and text.
        answer: String,
    },
    /// The server has no such experiment.
    #[error("there is no experiment `{name}` on {url}")]
    NoExperiment {
        /// The requested name.
        name: String,
        /// The server.
        url: String,
    },
    /// The server does not have everything within the given time. What it lacks is stored here.
    #[error(
        "{url} does not have {rows} rows and {files} files yet{}; they are stored here",
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    Behind {
        /// The server.
        url: String,
        /// Rows that wait to be sent.
        rows: u64,
        /// Files that wait to be sent.
        files: u64,
        /// Why, if something is wrong.
        reason: Option<String>,
    },
    /// The server refused rows or files because of their content.
    #[error(
        "{url} refused {rows} rows and {files} files; they are stored here, and its answers are in {}; \
         `mldash_bridge sync` retries them", answers.display()
    )]
    SetAside {
        /// The server.
        url: String,
        /// Rows refused.
        rows: u64,
        /// Files refused.
        files: u64,
        /// The file with the server's answers.
        answers: std::path::PathBuf,
    },
    /// The server accepted rows and does not return them.
    #[error(
        "{url} does not return {missing} of {rows} rows of track `{topic}`, which it had accepted; the \
         first is at {first_secs} s; all of the track stays here and the next `mldash_bridge sync` sends \
         it again"
    )]
    RowsMissing {
        /// The server.
        url: String,
        /// The track.
        topic: String,
        /// Rows that the server does not return.
        missing: u64,
        /// Rows of the track here.
        rows: u64,
        /// The time of the first of the missing rows, in seconds.
        first_secs: f64,
    },
    /// The server accepted files and does not list them.
    #[error(
        "{url} does not list {missing} of {files} files that it had accepted, such as `{name}`; they stay \
         here and the next `mldash_bridge sync` sends them again"
    )]
    FilesMissing {
        /// The server.
        url: String,
        /// Files that the server does not list with their name and checksum.
        missing: u64,
        /// Files that it had accepted.
        files: u64,
        /// The name of one of them.
        name: String,
    },
    /// What the server has could not be compared with what is here.
    #[error("can't check that {url} has {what}, so nothing of it is removed here")]
    Unchecked {
        /// The server.
        url: String,
        /// A track, or the files.
        what: String,
        /// Why.
        #[source]
        source: Box<crate::error::TrackError>,
    },
    /// Stopped while the server was asked for what it has.
    #[error(
        "stopped before {url} was asked for everything; what was not asked for is not removed here"
    )]
    Stopped {
        /// The server.
        url: String,
    },
    /// The upload thread or its connections could not be set up.
    #[error("can't set up the upload")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallError {
    pub(super) fault: Fault,
    /// The server's `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// Status and the server's text, or the network error; on one line.
    pub(super) text: String,
}

/// The kind of a failure, by what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no connection, or it broke: no other call would get through either.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// 429, 503: the server wants fewer calls.
    Overloaded,
    /// 5xx and other temporary failures.
    Server,
    /// 401, 403, or no token to send.
    Token,
    /// 404, 410: something created before is gone.
    Absent,
    /// 413: send less at a time.
    TooLarge,
    /// Any other 4xx: a retry can't succeed.
    Refused,
    /// 2xx, but the answer does not say that everything was taken.
    Unconfirmed,
}

impl Fault {
    /// The kind for a status that is not 2xx.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Token,
            404 | 410 => Self::Absent,
            // 409: two clients create the same at once; 423, 425: retry later.
            408 | 409 | 423 | 425 => Self::Server,
            413 => Self::TooLarge,
            429 | 503 => Self::Overloaded,
            400..500 => Self::Refused,
            // 1xx and 3xx come from something in between, not from an ML-Dash server.
            _ => Self::Server,
        }
    }

    /// Returns true if it affects every call, not only this one.
    pub(super) fn is_of_the_server(self) -> bool {
        matches!(self, Self::Unreachable | Self::Overloaded | Self::Token)
    }
}

impl CallError {
    pub(super) fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault, retry_after: None, text: text.into() }
    }

    /// The error for users of calls without a retry.
    pub(super) fn for_user(self, url: &str) -> RemoteError {
        let url = url.to_owned();
        match self.fault {
            Fault::Token => RemoteError::TokenRefused(self.text),
            Fault::Absent | Fault::TooLarge | Fault::Refused => {
                RemoteError::Refused { url, answer: self.text }
            }
            _ => RemoteError::Failing { url, reason: self.text },
        }
    }
}
