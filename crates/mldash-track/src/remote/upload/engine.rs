//! The upload: looks at the store (`survey`), starts the calls that `plan` chooses, and handles
//! their results (`outcomes`). It runs until it is told to stop, whatever the server does.

mod outcomes;
mod survey;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, block_in_place};

use super::waiter::{Command, Waiter};
use crate::error::one_line;
use crate::local::{Backlog, ExperimentDir, Prefix, RunStatus, utc_now};
use crate::name::{ExperimentName, TrackName};
use crate::remote::error::CallError;
use crate::remote::plan::{Backoff, Call, CallPlan, Failures, FileId};
use crate::remote::send::{
    FileOutcome, RowsOutcome, SendContext, Session, Token, TrackSender, send_file,
};
use crate::remote::state::{CheckpointFile, Refusals, SyncState, SyncStatus};

/// How often to survey the store when nobody asks for it.
const SURVEY_EVERY: Duration = Duration::from_millis(500);

/// What to upload, and how.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: ExperimentName,
    pub(crate) dir: ExperimentDir,
    pub(crate) backoff: Backoff,
    /// The run status to report. A final status is sent only once the server has everything.
    pub(crate) status: RunStatus,
    pub(crate) purpose: Purpose,
}

/// The purpose of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Runs beside a recording, whatever the server does.
    Recording,
    /// Somebody waits for it and learns the result. Retries what was refused earlier.
    Request,
}

pub(crate) struct Engine {
    task: Task,
    context: Arc<SendContext>,
    view: Arc<Mutex<SyncStatus>>,
    commands: mpsc::Receiver<Command>,
    waiters: Vec<Waiter>,
    plan: CallPlan,
    tracks: BTreeMap<String, Track>,
    connection: Connection,
    jobs: JoinSet<Outcome>,
    surveyed_at: Option<Instant>,
    /// Counts surveys, so that a waiter knows whether one came after it.
    surveys: u64,
    failing: Option<Failing>,
    /// Earlier refusals still have to be retried.
    retries_refused: bool,
    /// The token that the server refused. The inner value is `None` if there was no token.
    refused_token: Option<Option<Token>>,
    /// Folders of known tracks.
    seen: HashSet<PathBuf>,
}

/// The connection to the experiment on the server.
enum Connection {
    /// Not open yet, or closed again.
    Closed {
        under_way: bool,
    },
    Open(Box<Open>),
}

struct Open {
    session: Session,
    checkpoint: CheckpointFile,
    refused: Arc<Mutex<Refusals>>,
    /// The node ids of the files' folders.
    folders: HashMap<Arc<str>, String>,
    status_under_way: bool,
    status_failures: Failures,
    /// Only the retry of earlier refusals is running.
    retrying_refused: bool,
}

struct Track {
    /// `None` while its rows are being sent.
    sender: Option<TrackSender>,
    waiting: Backlog,
    taken: Prefix,
    /// The survey that set `waiting`.
    survey: u64,
    /// The refusal of this track's rows was logged.
    refusal_told: bool,
}

struct Failing {
    since: String,
    reason: String,
}

/// The result of a call.
enum Outcome {
    Session(Result<Opened, CallError>),
    Rows(Box<TrackSender>, RowsOutcome),
    File { id: FileId, folder: Arc<str>, folder_id: Option<String>, done: FileOutcome },
    Status(RunStatus, Result<(), CallError>),
    RefusedRetried(Vec<(TrackSender, RowsOutcome)>),
}

/// The experiment on the server, and the rows of its tracks if the server reports them.
struct Opened {
    session: Session,
    tracks: Option<Vec<(String, Option<u64>)>>,
}

impl Engine {
    pub(crate) fn new(
        task: Task,
        context: SendContext,
        view: Arc<Mutex<SyncStatus>>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            retries_refused: task.purpose == Purpose::Request,
            task,
            context: Arc::new(context),
            view,
            commands,
            waiters: Vec::new(),
            plan: CallPlan::default(),
            tracks: BTreeMap::new(),
            connection: Connection::Closed { under_way: false },
            jobs: JoinSet::new(),
            surveyed_at: None,
            surveys: 0,
            failing: None,
            refused_token: None,
            seen: HashSet::new(),
        }
    }

    /// Uploads until all command senders are dropped.
    pub(crate) async fn run(mut self) {
        loop {
            if self.surveyed_at.is_none_or(|at| at.elapsed() >= SURVEY_EVERY) {
                block_in_place(|| self.survey());
            }
            self.start_calls();
            self.publish();
            self.answer_waiters();
            let wake = tokio::time::Instant::from_std(self.wake_at());
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => block_in_place(|| self.take_command(command)),
                    None => break,
                },
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => match done {
                    Ok(done) => block_in_place(|| self.handle(done)),
                    // Only a panic does that. It loses what the call held, so continuing would
                    // silently leave out a track.
                    Err(error) => {
                        self.break_down(&error);
                        break;
                    }
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        if let Connection::Open(open) = &mut self.connection
            && let Err(error) = open.checkpoint.save()
        {
            tracing::warn!("{}", one_line(&error));
        }
    }

    fn break_down(&self, error: &JoinError) {
        let reason =
            format!("the upload crashed: {error}; upload the rest with `mldash_bridge sync`");
        tracing::error!("{reason}");
        self.view.lock().state = SyncState::Failing { since: utc_now(), reason };
    }

    fn wake_at(&self) -> Instant {
        let survey = self.surveyed_at.unwrap_or_else(Instant::now) + SURVEY_EVERY;
        let now = Instant::now();
        let failed = [self.plan.due(), self.context.files.lock().due()];
        failed.into_iter().flatten().filter(|due| *due > now).fold(survey, Instant::min)
    }

    fn take_command(&mut self, command: Command) {
        match command {
            Command::Wait(waiter) => self.waiters.push(waiter),
            Command::End(status, waiter) => {
                self.task.status = status;
                self.waiters.push(waiter);
            }
        }
        self.survey();
        let now = Instant::now();
        self.plan.hasten(now);
        self.context.files.lock().hasten(now);
        self.set_targets();
    }

    fn start_calls(&mut self) {
        let now = Instant::now();
        match &mut self.connection {
            Connection::Closed { under_way: true } => {}
            Connection::Closed { under_way } => {
                // Calls of the previous connection may still be running.
                if self.plan.may_call(now) && self.jobs.is_empty() {
                    *under_way = true;
                    self.open_session();
                }
            }
            Connection::Open(open) if open.retrying_refused => {}
            Connection::Open(_) => {
                self.start_rows_and_files(now);
                self.start_status(now);
            }
        }
    }

    fn open_session(&mut self) {
        let (context, name) = (self.context.clone(), self.task.name.clone());
        // Unreadable notes are not sent; the upload continues without them.
        let notes = block_in_place(|| self.task.dir.notes()).unwrap_or_default();
        self.jobs.spawn(async move {
            let opened = async {
                let session = Session::open(&context.api, &name, &notes).await?;
                let tracks = match session.tracks(&context.api).await {
                    Ok(tracks) => Some(tracks),
                    Err(error) if error.fault.is_of_the_server() => return Err(error),
                    Err(_) => None,
                };
                Ok(Opened { session, tracks })
            };
            Outcome::Session(opened.await)
        });
    }

    fn start_rows_and_files(&mut self, now: Instant) {
        let Connection::Open(open) = &self.connection else { return };
        if open.refused.lock().is_full() {
            if self.plan.may_call(now) && self.jobs.is_empty() {
                self.too_much_refused();
            }
            return;
        }
        loop {
            // A failing file waits for its retry and must not be chosen again at once.
            let next_file = self.context.files.lock().has_next(now);
            match self.plan.start_next(now, next_file) {
                None => return,
                Some(Call::Rows(topic)) => {
                    let track = self.tracks.get_mut(&topic);
                    let Some(mut sender) = track.and_then(|track| track.sender.take()) else {
                        self.plan.end(&Call::Rows(topic));
                        return;
                    };
                    let (context, session) = (self.context.clone(), open.session.clone());
                    let refused = open.refused.clone();
                    self.jobs.spawn(async move {
                        let done = sender.send(&context, &session, &refused).await;
                        Outcome::Rows(Box::new(sender), done)
                    });
                }
                Some(Call::File) => {
                    let started = self.context.files.lock().start_next(now);
                    let Some((id, file)) = started else {
                        self.plan.end(&Call::File);
                        return;
                    };
                    let (context, session) = (self.context.clone(), open.session.clone());
                    let known = open.folders.get(&file.folder).cloned();
                    self.jobs.spawn(async move {
                        let folder = file.folder.clone();
                        let folder_id = match known {
                            Some(folder_id) => Ok(folder_id),
                            None => session.make_folder(&context.api, &folder).await,
                        };
                        let (folder_id, done) = match folder_id {
                            Ok(folder_id) => {
                                let done =
                                    send_file(&context.api, &session, &folder_id, &file).await;
                                (Some(folder_id), done)
                            }
                            Err(error) => (None, FileOutcome::of(error)),
                        };
                        Outcome::File { id, folder, folder_id, done }
                    });
                }
            }
        }
    }

    /// Reports the end of the run once the server has all of it.
    fn start_status(&mut self, now: Instant) {
        let status = self.task.status;
        let is_drained = !status.is_final() || (self.is_drained() && self.jobs.is_empty());
        let Connection::Open(open) = &mut self.connection else { return };
        let is_told = open.checkpoint.current.status == Some(status);
        let may_call = self.plan.may_call(now) && open.status_failures.is_due(now);
        if is_told || open.status_under_way || !is_drained || !may_call {
            return;
        }
        open.status_under_way = true;
        let (context, session) = (self.context.clone(), open.session.clone());
        let name = self.task.name.clone();
        let notes = block_in_place(|| self.task.dir.notes()).unwrap_or_default();
        self.jobs.spawn(async move {
            let told = async {
                if status.is_final() {
                    // The run's notes may have changed since it began.
                    Session::open(&context.api, &name, &notes).await?;
                }
                session.set_status(&context.api, status).await
            };
            Outcome::Status(status, told.await)
        });
    }

    /// Retries what was refused before, each track's rows in order of time. Rows of a track that
    /// can't be read now stay refused; those of a track that was removed are no more.
    fn retry_refused(&mut self) {
        let Connection::Open(open) = &mut self.connection else { return };
        let (tracks, dir) = (&self.tracks, &self.task.dir);
        let is_there = |topic: &str| {
            let name = topic.parse::<TrackName>();
            name.is_ok_and(|name| dir.track_folder(&name).try_exists().unwrap_or(true))
        };
        let has_sender =
            |topic: &str| tracks.get(topic).is_some_and(|track| track.sender.is_some());
        let by_track = open.refused.lock().take_rows(|topic| has_sender(topic) || !is_there(topic));
        let mut again = Vec::new();
        for (topic, times) in by_track {
            let sender = self.tracks.get_mut(&topic).and_then(|track| track.sender.take());
            again.extend(sender.map(|sender| (sender, times)));
        }
        open.retrying_refused = true;
        let (context, session) = (self.context.clone(), open.session.clone());
        let refused = open.refused.clone();
        self.jobs.spawn(async move {
            let mut done = Vec::new();
            for (mut sender, times) in again {
                let rows = sender.send_again(&context, &session, &refused, &times).await;
                done.push((sender, rows));
            }
            Outcome::RefusedRetried(done)
        });
    }
}
