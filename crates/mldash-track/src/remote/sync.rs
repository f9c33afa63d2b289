//! An experiment's uploads: one while it is recorded, and one on request.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::options::{Keep, Remote};
use super::room::{CapSettings, LocalCap, remove_synced};
use super::state::{SyncStatus, Synced};
use super::upload::{Purpose, Upload};
use crate::error::{TrackError, one_line};
use crate::experiment::{CloseError, Closed, Experiment};
use crate::local::RunStatus;
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
    let settings = CapSettings { max_bytes, when_full, url };
    LocalCap::start(shared.clone(), settings).map(Some).map_err(TrackError::Thread)
}

impl Experiment {
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
        let status = upload.status();
        if let Some(remote) = &self.options.remote {
            self.drop_synced(remote, &status);
        }
        Some(status)
    }

    fn sync_command(&self) -> String {
        let (name, root) = (&self.shared.name, self.shared.dir.root(&self.shared.name));
        let remote = self.options.remote.as_ref();
        remote.map(|remote| remote.sync_command(name, root)).unwrap_or_default()
    }

    /// Removes what the server has, if it lacks nothing and the options ask for it.
    fn drop_synced(&self, remote: &Remote, status: &SyncStatus) {
        if remote.keep == Keep::All || !status.is_complete() {
            return;
        }
        match remove_synced(&self.shared.name, &self.shared.dir, &status.url) {
            Ok(bytes) => tracing::info!("removed {bytes} bytes, which {} has", status.url),
            Err(error) => tracing::error!("removing what the server has: {}", one_line(&error)),
        }
    }

    /// Uploads what the server lacks and retries what it refused before. Also works while the
    /// experiment is being recorded. Calls `show` now and then; `show` can end the upload.
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
        let ended = upload.end(status, None, show);
        upload.stop();
        self.drop_synced(remote, &upload.status());
        Ok(Synced { status: upload.status(), failure: ended.err() })
    }
}
