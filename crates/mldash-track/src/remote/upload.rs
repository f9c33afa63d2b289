//! The owner's handle of an upload: a thread that takes commands and reports its progress.

mod engine;
mod waiter;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;

pub(super) use self::engine::Purpose;
use self::engine::{Engine, Task};
use self::waiter::{Command, Waiter};
use super::error::RemoteError;
use super::options::Remote;
use super::send::{Api, SendContext};
use super::state::{FOLDER, FileQueue, SyncState, SyncStatus};
use crate::error::TrackError;
use crate::local::{ExperimentDir, FileFollower, RunStatus};
use crate::name::ExperimentName;

/// How many callers may wait at once.
const MAX_WAITING: usize = 64;
/// How often a waiting caller gets the progress.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// Time for calls in flight when the upload ends.
const GRACE: Duration = Duration::from_millis(200);

/// A background upload that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Upload {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    view: Arc<Mutex<SyncStatus>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The refusals already reported to a waiting caller; rows, files.
    told_refused: Mutex<(u64, u64)>,
    folder: PathBuf,
    max_retries: u32,
}

impl Upload {
    /// Starts to upload the experiment in `dir`, which is or was being recorded.
    pub(crate) fn start(
        name: &ExperimentName,
        dir: &ExperimentDir,
        remote: &Remote,
        status: RunStatus,
        purpose: Purpose,
    ) -> Result<Self, TrackError> {
        let backoff = remote.backoff()?;
        let max_retries = backoff.max_retries;
        let api = Api::new(remote, name.owner())?;
        let files = Mutex::new(FileQueue::new(FileFollower::new(dir.path(), name)));
        let view = SyncStatus { url: api.url().to_owned(), ..SyncStatus::default() };
        let view = Arc::new(Mutex::new(view));
        let (commands, received) = mpsc::channel(MAX_WAITING);
        let task = Task { name: name.clone(), dir: dir.clone(), backoff, status, purpose };
        let engine = Engine::new(task, SendContext { api, files }, view.clone(), received);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("track-upload")
            .enable_all()
            .build()
            .map_err(|error| RemoteError::Setup(error.into()))?;
        let run = move || {
            // A worker thread of its own, so that it may wait for the disk.
            let done = runtime.block_on(runtime.spawn(engine.run()));
            if let Err(error) = done {
                tracing::error!(%error, "the upload ended early; what is not uploaded is still stored here");
            }
            runtime.shutdown_timeout(GRACE);
        };
        let thread = thread::Builder::new()
            .name("track-upload".into())
            .spawn(run)
            .map_err(|error| RemoteError::Setup(error.into()))?;
        let folder = dir.path().to_owned();
        Ok(Self {
            commands: Mutex::new(Some(commands)),
            view,
            thread: Mutex::new(Some(thread)),
            told_refused: Mutex::default(),
            folder,
            max_retries,
        })
    }

    /// The current progress.
    pub(crate) fn status(&self) -> SyncStatus {
        self.view.lock().clone()
    }

    /// Returns once the server has what is in the store now.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<(), RemoteError> {
        let (answer, answered) = sync_channel(1);
        self.tell(Command::Wait(Waiter::new(answer, None, false)))?;
        let keep_on = |_: &SyncStatus| ControlFlow::Continue(());
        self.wait_for(&answered, Some(timeout), keep_on)?;
        self.tell_refused()
    }

    /// Like [`wait`](Self::wait), for a run that has ended with a status; shows the progress.
    /// Without a timeout it gives up after as many failures in a row as the SDK does.
    pub(crate) fn end(
        &self,
        status: RunStatus,
        timeout: Option<Duration>,
        show: impl FnMut(&SyncStatus) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let (answer, answered) = sync_channel(1);
        let is_failing =
            !matches!(self.view.lock().state, SyncState::Sending | SyncState::UpToDate);
        // If the upload is failing already, do not wait through more failures.
        let max_failures = match timeout {
            _ if is_failing => Some(0),
            Some(_) => None,
            None => Some(self.max_retries),
        };
        self.tell(Command::End(status, Waiter::new(answer, max_failures, true)))?;
        self.wait_for(&answered, timeout, show)
    }

    fn tell(&self, command: Command) -> Result<(), RemoteError> {
        let told = self.commands.lock().as_ref().map(|commands| commands.try_send(command).is_ok());
        if told == Some(true) { Ok(()) } else { Err(self.behind()) }
    }

    fn wait_for(
        &self,
        answered: &Receiver<Result<(), RemoteError>>,
        timeout: Option<Duration>,
        mut show: impl FnMut(&SyncStatus) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match answered.recv_timeout(left.unwrap_or(SHOW_EVERY).min(SHOW_EVERY)) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err(self.behind()),
                Err(RecvTimeoutError::Timeout) => {
                    if left.is_some_and(|left| left.is_zero()) || show(&self.status()).is_break() {
                        return Err(self.behind());
                    }
                }
            }
        }
    }

    fn behind(&self) -> RemoteError {
        let status = self.status();
        let reason = match status.state {
            SyncState::Failing { reason, .. } | SyncState::TokenRefused { reason } => Some(reason),
            SyncState::Sending | SyncState::UpToDate => None,
        };
        let (rows, files) = (status.rows_waiting, status.files_waiting);
        RemoteError::Behind { url: status.url, rows, files, reason }
    }

    /// Returns an error for what was refused since the last report.
    fn tell_refused(&self) -> Result<(), RemoteError> {
        let status = self.status();
        let now = (status.rows_set_aside, status.files_set_aside);
        let before = std::mem::replace(&mut *self.told_refused.lock(), now);
        let (rows, files) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        if rows + files == 0 {
            return Ok(());
        }
        let answers = answers_folder(&self.folder);
        Err(RemoteError::SetAside { url: status.url, rows, files, answers })
    }
}

fn answers_folder(experiment: &Path) -> PathBuf {
    experiment.join(FOLDER)
}

impl Upload {
    /// Stops sending. Returns once it has stopped.
    pub(crate) fn stop(&self) {
        // It ends when the command sender is dropped.
        self.commands.lock().take();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(
                "the upload thread panicked; what is not uploaded is still stored here"
            );
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.stop();
    }
}
