//! Whoever wants to know of parts beside the recording, such as a publisher.

use std::fmt;

use mldash_track::Experiment;
use serde::Serialize;

/// Is told of each part. It is called by the threads that record and close, so it only takes note.
pub trait PartWatcher: fmt::Debug + Send + Sync {
    /// A part begins.
    fn begun(&self, part: &Experiment);

    /// A part is closed, with its account, and packed if that is asked. Nobody writes it any more.
    fn closed(&self, part: &Experiment);

    /// How far it is, for the status.
    fn status(&self) -> PublishStatus;
}

/// How far the publication of a recording is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PublishStatus {
    /// The URL.
    pub to: String,
    /// The current state.
    #[serde(flatten)]
    pub state: PublishState,
    /// Closed parts that are not published yet; they are on disk.
    pub parts_waiting: u64,
    /// Parts that this process published.
    pub parts_published: u64,
    /// Rows that this process put.
    pub rows_put: u64,
    /// Bytes that this process put.
    pub bytes_put: u64,
}

/// The state of a publication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PublishState {
    /// Everything that is closed is published.
    #[default]
    UpToDate,
    /// A part is being published.
    Publishing,
    /// The store can't be reached or refuses something; it is tried again.
    Failing {
        /// Why.
        reason: String,
    },
}

impl PublishStatus {
    /// Returns true if nothing waits.
    pub fn is_complete(&self) -> bool {
        self.parts_waiting == 0
    }
}

impl fmt::Display for PublishStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, parts_published, rows_put, parts_waiting, .. } = self;
        let plural = if *parts_published == 1 { "" } else { "s" };
        write!(f, "published to {to}: {parts_published} part{plural}, {rows_put} rows")?;
        if *parts_waiting > 0 {
            write!(f, "; {parts_waiting} not yet")?;
        }
        match &self.state {
            PublishState::Failing { reason } => write!(f, ": {reason}"),
            PublishState::UpToDate | PublishState::Publishing => Ok(()),
        }
    }
}
