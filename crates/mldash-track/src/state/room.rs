//! How much room the local store takes, and whether it may take more.

use std::sync::atomic::Ordering;

use super::ExperimentState;
use crate::error::TrackError;

impl ExperimentState {
    /// How many bytes this process has added to the experiment's rows and files, less those that it
    /// has removed of the files.
    #[cfg(feature = "remote")]
    pub(crate) fn grown_bytes(&self) -> i64 {
        let appended = self.appended_bytes.load(Ordering::Relaxed);
        self.files.grown_bytes().saturating_add_unsigned(appended)
    }

    /// Notes how many bytes the local store uses and how many it may use.
    pub(crate) fn note_local_use(&self, used_bytes: u64, max_bytes: u64) {
        let was_full = self.full_at_bytes.load(Ordering::Relaxed) > 0;
        // Once full, resume only when there is some room, not after every deleted file.
        let bound = if was_full { max_bytes - max_bytes / 20 } else { max_bytes };
        let is_full = used_bytes > bound;
        self.full_at_bytes.store(if is_full { max_bytes } else { 0 }, Ordering::Relaxed);
        let root = self.dir.root(&self.name);
        match (was_full, is_full) {
            (false, true) => tracing::error!("{}", self.local_full(max_bytes)),
            (true, false) => {
                tracing::info!("there is room in {} again; recording continues", root.display())
            }
            _ => {}
        }
    }

    /// Fails while the local store is full.
    pub(crate) fn check_room(&self) -> Result<(), TrackError> {
        match self.full_at_bytes.load(Ordering::Relaxed) {
            0 => Ok(()),
            max_bytes => Err(self.local_full(max_bytes)),
        }
    }

    fn local_full(&self, max_bytes: u64) -> TrackError {
        TrackError::LocalFull { root: self.dir.root(&self.name).to_owned(), max_bytes }
    }
}
