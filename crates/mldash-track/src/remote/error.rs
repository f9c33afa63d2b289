//! What can go wrong between here and a server: for users, and for whoever decides what comes next.

use std::time::Duration;

use super::token::TokenError;

/// Something with a server that failed. No text shows a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The address is none.
    #[error(
        "the remote's address can't be used: {reason}; write one such as https://api.example.org"
    )]
    Url {
        /// Why.
        reason: String,
    },
    /// There is no token that can be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server takes no token of ours.
    #[error("{0}")]
    TokenRefused(String),
    /// The server did not answer, or not as one that is well.
    #[error("{url}: {reason}")]
    Failing {
        /// The server.
        url: String,
        /// What it last was.
        reason: String,
    },
    /// The server answered that it won't.
    #[error("{url} refuses: {answer}")]
    Refused {
        /// The server.
        url: String,
        /// Its status and what it says.
        answer: String,
    },
    /// There is no such experiment on the server.
    #[error("there is no experiment `{name}` on {url}")]
    NoExperiment {
        /// The name asked for.
        name: String,
        /// The server.
        url: String,
    },
    /// The server does not have everything in the time given; what it lacks is stored here.
    #[error(
        "{url} does not have {rows} rows and {files} files yet{}; they are stored here",
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    Behind {
        /// The server.
        url: String,
        /// Rows that wait.
        rows: u64,
        /// Files that wait.
        files: u64,
        /// Why, if something is wrong.
        reason: Option<String>,
    },
    /// The server refused rows or files for what is in them.
    #[error(
        "{url} refused {rows} rows and {files} files; they are stored here, and what it said lies in \
         {}; `mldash_bridge sync` tries them again", answers.display()
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
    /// The upload's own thread or its connections could not be set up.
    #[error("can't set up the upload")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A call that did not do what it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallError {
    pub(super) fault: Fault,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Status and the server's words, or what the network said; on one line.
    pub(super) text: String,
}

/// What kind of failure a call met, by what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection, or it broke: nothing else would come through either.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// 429, 503: the server wants fewer calls.
    Overloaded,
    /// 5xx and what else passes.
    Server,
    /// 401, 403, or no token to send.
    Token,
    /// 404, 410: what was made before is not there.
    Absent,
    /// 413: less at a time.
    TooLarge,
    /// Any other 4xx: this will never do.
    Refused,
}

impl Fault {
    /// Of a status that is not 2xx.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Token,
            404 | 410 => Self::Absent,
            // 409: two that make the same at once; 423, 425: later.
            408 | 409 | 423 | 425 => Self::Server,
            413 => Self::TooLarge,
            429 | 503 => Self::Overloaded,
            400..500 => Self::Refused,
            // 1xx and 3xx are not from an ML-Dash server, but from something on the way to it.
            _ => Self::Server,
        }
    }

    /// Whether it stands in the way of every call, and not only of this one.
    pub(super) fn is_of_the_server(self) -> bool {
        matches!(self, Self::Unreachable | Self::Overloaded | Self::Token)
    }
}

impl CallError {
    pub(super) fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault, retry_after: None, text: text.into() }
    }

    /// For users of calls that nobody tries again.
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
