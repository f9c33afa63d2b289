//! Why parts don't change.

use std::io;

use crate::mapping::Bytes;
use mldash_track::TrackError;

/// Why the part that is recorded did not change, or nothing was saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// Too many parts are being closed.
    #[error("{0} earlier parts are still being closed; try again later")]
    StillClosing(usize),
    /// There is no thread to close on.
    #[error("can't start the thread that closes the current part")]
    Thread(#[source] io::Error),
    /// The next experiment can't be opened.
    #[error("can't continue in another experiment")]
    Open(#[source] TrackError),
    /// No part is recorded that could end.
    #[error(
        "no part is being recorded: {last} has ended, and ~/start begins the next; `mldash_bridge tag {last}` \
         changes what is said of it"
    )]
    Stopped {
        /// The part before.
        last: String,
    },
    /// A part is recorded, so none can begin.
    #[error("{0} is being recorded; ~/split begins the next part, ~/stop ends this one")]
    Recording(String),
    /// A snapshot is held, which has no parts to end or begin.
    #[error(
        "the mapping's `snapshot` holds the last seconds in memory; ~/save writes them as a part of their own"
    )]
    Holding,
    /// No snapshot is held that could be saved.
    #[error("nothing is held for a save; write `snapshot: {{keep: 30s}}` into the mapping")]
    NothingHeld,
    /// Too much of earlier saves is still in memory.
    #[error(
        "{0} of earlier saves are still being written; what is held stays held, try again later"
    )]
    StillSaving(Bytes),
    /// The part changed, but what was to be said of one could not be noted.
    #[error(
        "the part has changed, but what was said of {experiment} is not noted; say it with \
         `mldash_bridge tag {experiment}` and {flag}"
    )]
    NotLabelled {
        /// The part that it was said of.
        experiment: String,
        /// How to say it afterwards.
        flag: &'static str,
        /// Why it failed.
        #[source]
        source: Box<TrackError>,
    },
}

impl PartError {
    /// Returns true if there was nothing to do: what was to end has ended, or what was to begin is recorded. Nothing
    /// failed then.
    pub fn is_out_of_turn(&self) -> bool {
        matches!(
            self,
            Self::Stopped { .. } | Self::Recording(_) | Self::Holding | Self::NothingHeld
        )
    }
}
