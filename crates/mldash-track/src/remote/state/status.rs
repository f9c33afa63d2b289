//! The progress of an upload, for people and for programs that watch the recorder.

use std::fmt;

use serde::Serialize;

use crate::remote::error::RemoteError;

/// The progress of an experiment's upload. Sent counts are those of this process; waiting data is
/// on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncStatus {
    /// The server's address.
    pub url: String,
    /// The current state.
    #[serde(flatten)]
    pub state: SyncState,
    /// Rows that the server does not have yet.
    pub rows_waiting: u64,
    /// Files that the server does not have yet.
    pub files_waiting: u64,
    /// Bytes of the waiting rows and files.
    pub bytes_waiting: u64,
    /// Rows that the server accepted.
    pub rows_sent: u64,
    /// Files that the server accepted.
    pub files_sent: u64,
    /// Bytes of the accepted rows and files, as stored on disk.
    pub bytes_sent: u64,
    /// Rows that the server refused because of their content; `mldash_bridge sync` retries them.
    pub rows_set_aside: u64,
    /// Files that the server refused.
    pub files_set_aside: u64,
    /// Non-finite floats, which JSON can't represent: the server has `null` instead.
    pub nulled: u64,
}

/// The state of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SyncState {
    /// Sending what waits.
    #[default]
    Sending,
    /// The server has everything.
    UpToDate,
    /// The server can't be reached or has failures; the upload keeps retrying.
    Failing {
        /// Since when, UTC, ISO 8601.
        since: String,
        /// The last failure.
        reason: String,
    },
    /// There is no token, or the server no longer accepts it. A new one is picked up.
    TokenRefused {
        /// Which token it was, and what to do.
        reason: String,
    },
}

/// The result of an upload of everything.
#[derive(Debug)]
pub struct Synced {
    /// How far it got.
    pub status: SyncStatus,
    /// Why it stopped, if something is left.
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
    /// Returns true if the server has everything: nothing waits and nothing was refused.
    pub fn is_complete(&self) -> bool {
        let waiting = self.rows_waiting + self.files_waiting;
        waiting + self.rows_set_aside + self.files_set_aside == 0
    }
}
