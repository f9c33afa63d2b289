//! How far an upload is, for people and for whoever watches the recorder.

use std::fmt;

use serde::Serialize;

use super::error::RemoteError;

/// How far an experiment's upload is. Counts are those of this process; what waits, waits on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncStatus {
    /// The server's address.
    pub url: String,
    /// What goes on.
    #[serde(flatten)]
    pub state: SyncState,
    /// Rows that the server does not have yet.
    pub rows_waiting: u64,
    /// Files that the server does not have yet.
    pub files_waiting: u64,
    /// Bytes of the rows and files that wait.
    pub bytes_waiting: u64,
    /// Rows that the server has taken.
    pub rows_sent: u64,
    /// Files that the server has taken.
    pub files_sent: u64,
    /// Bytes of the rows and files that the server has taken, as they lie on disk.
    pub bytes_sent: u64,
    /// Rows that the server refused for what is in them; `mldash_bridge sync` tries them again.
    pub rows_set_aside: u64,
    /// Files that the server refused.
    pub files_set_aside: u64,
    /// Floats that are not finite, which JSON has no word for: the server has `null` instead.
    pub nulled: u64,
}

/// What an upload is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SyncState {
    /// On its way; what waits is being sent.
    #[default]
    Sending,
    /// The server has everything.
    UpToDate,
    /// The server can't be reached or is not well; it is tried again and again.
    Failing {
        /// Since when, UTC, ISO 8601.
        since: String,
        /// What it last was.
        reason: String,
    },
    /// There is no token, or the server takes it no more; a new one is picked up.
    TokenRefused {
        /// Which token it was and what to do.
        reason: String,
    },
}

/// What became of an upload that was to send everything.
#[derive(Debug)]
pub struct Synced {
    /// How far it came.
    pub status: SyncStatus,
    /// Why no further, if something is left.
    pub failure: Option<RemoteError>,
}

impl fmt::Display for SyncStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, rows_sent, files_sent, rows_waiting, files_waiting, .. } = self;
        write!(f, "uploaded to {url}: {rows_sent} rows, {files_sent} files")?;
        if rows_waiting + files_waiting > 0 {
            write!(f, "; {rows_waiting} rows, {files_waiting} files wait")?;
        }
        let (rows, files) = (self.rows_set_aside, self.files_set_aside);
        if rows + files > 0 {
            write!(f, "; {rows} rows, {files} files refused and set aside")?;
        }
        match &self.state {
            SyncState::Failing { since, reason } => write!(f, "; failing since {since}: {reason}"),
            SyncState::TokenRefused { reason } => write!(f, "; {reason}"),
            SyncState::Sending | SyncState::UpToDate => Ok(()),
        }
    }
}

impl SyncStatus {
    /// Whether the server has everything: nothing waits, nothing was set aside.
    pub fn is_complete(&self) -> bool {
        let waiting = self.rows_waiting + self.files_waiting;
        waiting + self.rows_set_aside + self.files_set_aside == 0
    }
}
