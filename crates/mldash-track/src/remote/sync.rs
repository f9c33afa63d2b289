//! An experiment's uploads: one while it is recorded, and one on request.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::RemoteError;
use super::options::{Keep, Remote};
use super::room::{CapSettings, LocalCap, Patience, Removal, SyncedExperiment};
use super::send::checked_url;
use super::state::{SyncState, SyncStatus, Synced};
use super::upload::{Purpose, Upload};
use crate::error::{TrackError, one_line};
use crate::experiment::{CloseError, Closed, Experiment};
use crate::local::{RunStatus, utc_now};
use crate::options::Options;
use crate::state::ExperimentState;

/// Starts the upload that the options ask for, and the limit on the local store.
pub(crate) fn start_upload(
    shared: &Arc<ExperimentState>,
    options: &Options,
) -> Result<Option<LocalCap>, TrackError> {
    let Some(remote) = &options.remote else { return Ok(None) };
    let status = RunStatus::Running;
    let upload = Upload::start(&shared.name, &shared.dir, remote, status, Purpose::Recording)?;
    let url = upload.status().url;
    // Nobody else has set it yet.
    let _ = shared.upload.set((upload, options.remote_timeout));
    let Some((max_bytes, when_full)) = remote.max_local else { return Ok(None) };
    let settings = CapSettings { max_bytes, when_full, remote: remote.clone(), url };
    LocalCap::start(shared.clone(), settings).map(Some).map_err(TrackError::Thread)
}

impl Experiment {
    /// The server that this was opened to be uploaded to.
    pub fn remote(&self) -> Option<&Remote> {
        self.options.remote.as_ref()
    }

    /// The progress of the upload; `None` for an experiment without one.
    pub fn sync_status(&self) -> Option<SyncStatus> {
        self.shared.upload.get().map(|(upload, _)| upload.status())
    }

    /// The upload's part of [`close`](Self::close), once the local store is closed.
    pub(crate) fn close_upload(
        &self,
        mut closed: Result<Closed, CloseError>,
    ) -> Result<Closed, CloseError> {
        let status = if closed.is_ok() { RunStatus::Completed } else { RunStatus::Failed };
        let sync = self.end_upload(status).map(Box::new);
        match &mut closed {
            Ok(closed) => closed.sync = sync,
            Err(error) => error.closed.sync = sync,
        }
        closed
    }

    /// The second half of the close: reports the final status of the run once the server has
    /// everything. Returns the progress. Nothing is sent after that.
    pub fn end_upload(&self, status: RunStatus) -> Option<SyncStatus> {
        let (upload, timeout) = self.shared.upload.get()?;
        // The status in the run's notes takes precedence.
        let noted = self.notes().ok().and_then(|notes| notes.status).filter(|s| s.is_final());
        let hurry = &self.options.hurry;
        let go_on = |_: &SyncStatus| match hurry.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        if let Err(error) = upload.end(noted.unwrap_or(status), Some(*timeout), go_on) {
            tracing::warn!(
                "not everything is uploaded ({}); upload the rest with `{}`",
                one_line(&error),
                self.sync_command()
            );
        }
        upload.stop();
        let mut status = upload.status();
        if let Some(remote) = &self.options.remote {
            let goes_on = || !hurry.load(Ordering::Relaxed);
            let failures = self.drop_synced(remote, &mut status, &goes_on);
            failures.iter().for_each(|failure| tracing::error!("{}", one_line(failure)));
        }
        Some(status)
    }

    fn sync_command(&self) -> String {
        let (name, root) = (&self.shared.name, self.shared.dir.root(&self.shared.name));
        let remote = self.options.remote.as_ref();
        remote.map(|remote| remote.sync_command(name, root)).unwrap_or_default()
    }

    /// Removes what the server has, if it lacks nothing and the options ask for it. Returns why
    /// something was not removed, and notes in `status` what the server turned out to lack.
    fn drop_synced(
        &self,
        remote: &Remote,
        status: &mut SyncStatus,
        goes_on: &dyn Fn() -> bool,
    ) -> Vec<RemoteError> {
        if remote.keep == Keep::All || !status.is_complete() {
            return Vec::new();
        }
        let patience = Patience { retries: true, goes_on };
        let Some(removal) = self.remove_synced(remote, &status.url, patience) else {
            return Vec::new();
        };
        if let Some(holder) = &removal.held_by {
            tracing::info!("what {} has stays here until {holder} has it too", status.url);
        }
        status.rows_waiting += removal.rows_missing;
        status.files_waiting += removal.files_missing;
        if let Some(failure) = removal.failures.first() {
            status.state = SyncState::Failing { since: utc_now(), reason: one_line(failure) };
        }
        removal.failures
    }

    fn remove_synced(&self, remote: &Remote, url: &str, patience: Patience<'_>) -> Option<Removal> {
        let (name, dir) = (&self.shared.name, &self.shared.dir);
        match (SyncedExperiment { name, dir, remote, url, patience }).remove() {
            Ok(removal) => {
                if removal.bytes > 0 {
                    tracing::info!("removed {} bytes of {name}, which {url} has", removal.bytes);
                }
                Some(removal)
            }
            Err(error) => {
                tracing::error!("can't remove what the server has: {}", one_line(&error));
                None
            }
        }
    }

    /// Removes here what the server has of an experiment that is closed: each track and each file that the server returns. What was
    /// not uploaded stays, and so does all of it while it is [held](Self::hold). What goes wrong is logged. Ends early once
    /// `goes_on` returns false.
    ///
    /// # Errors
    /// Fails if the server's address is wrong.
    pub fn remove_uploaded(
        &self,
        remote: &Remote,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), TrackError> {
        let patience = Patience { retries: false, goes_on };
        let removal = self.remove_synced(remote, &checked_url(&remote.url)?, patience);
        let failures = removal.map(|removal| removal.failures).unwrap_or_default();
        failures.iter().for_each(|failure| tracing::error!("{}", one_line(failure)));
        Ok(())
    }

    /// Uploads what the server lacks and retries what it refused before. Also works while the
    /// experiment is being recorded. Calls `show` now and then; `show` can end the upload, and the
    /// removal of what the server has.
    ///
    /// # Errors
    /// Fails if the upload can't be started. The returned value holds the upload's own result.
    pub fn sync(
        &self,
        remote: &Remote,
        show: impl FnMut(&SyncStatus) -> ControlFlow<()>,
    ) -> Result<Synced, TrackError> {
        let dir = &self.shared.dir;
        let is_recorded = dir.is_being_written()?;
        let status = match dir.notes()?.status {
            _ if is_recorded => RunStatus::Running,
            Some(status) if status.is_final() => status,
            // The recorder ended without noting how the run ended.
            Some(_) => RunStatus::Failed,
            None => RunStatus::Completed,
        };
        let upload = Upload::start(&self.shared.name, dir, remote, status, Purpose::Request)?;
        let show = RefCell::new(show);
        let ended = upload.end(status, None, |status| (*show.borrow_mut())(status));
        upload.stop();
        let mut status = upload.status();
        let (shown, is_stopped) = (status.clone(), Cell::new(false));
        let goes_on = || {
            is_stopped.set(is_stopped.get() || (*show.borrow_mut())(&shown).is_break());
            !is_stopped.get()
        };
        let mut unconfirmed = self.drop_synced(remote, &mut status, &goes_on).into_iter();
        let stopped = || is_stopped.get().then(|| RemoteError::Stopped { url: status.url.clone() });
        let failure = ended.err().or_else(|| unconfirmed.next()).or_else(stopped);
        unconfirmed.for_each(|failure| tracing::error!("{}", one_line(&failure)));
        Ok(Synced { status, failure })
    }
}
