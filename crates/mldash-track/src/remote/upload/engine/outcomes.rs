//! Handles the result of a call.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::{Connection, Engine, Failing, Open, Opened, Outcome, Purpose, Track};
use crate::error::one_line;
use crate::local::{Follower, RunStatus, utc_now};
use crate::remote::error::{CallError, Fault};
use crate::remote::plan::{Call, Failures, FileId};
use crate::remote::send::{FileOutcome, RowsOutcome, TrackSender, tell_namespace};
use crate::remote::state::{CheckpointFile, MAX_REFUSED, Refusal, Refusals, Refused};

impl Engine {
    pub(super) fn handle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Session(Ok(opened)) => self.opened(opened),
            Outcome::Session(Err(error)) => {
                self.connection = Connection::Closed { under_way: false };
                if !self.call_failed(&error) {
                    // Without a session no other call can be made.
                    self.server_failed(&error);
                }
            }
            Outcome::Rows(sender, done) => self.rows_done(*sender, done),
            Outcome::File { id, folder, folder_id, done } => {
                if let (Connection::Open(open), Some(folder_id)) = (&mut self.connection, folder_id)
                {
                    open.folders.insert(folder, folder_id);
                }
                self.file_done(id, done);
            }
            Outcome::Status(status, told) => self.status_done(status, told),
            Outcome::RefusedRetried(tracks) => self.refused_retried(tracks),
        }
        self.note_recovery();
    }

    fn opened(&mut self, opened: Opened) {
        let url = self.context.api.url().to_owned();
        tell_namespace(&url, &opened.session.namespace, &self.task.name);
        let dir = self.task.dir.path();
        let mut file = CheckpointFile::load(dir, &url, &opened.session.namespace);
        let known = file.current.experiment_id.replace(opened.session.experiment_id.clone());
        // Opening the experiment made the server's status RUNNING again.
        file.current.status = None;
        let is_another = known.is_some_and(|known| known != opened.session.experiment_id);
        if is_another {
            tracing::warn!(
                "{url} has lost the experiment or has another one in its place; everything is sent again"
            );
            file.current.tracks.clear();
            // Without the list the files are sent again, which is intended here.
            let _ = std::fs::remove_file(file.beside("files"));
        }
        for (topic, taken) in &mut file.current.tracks {
            let rows = opened.tracks.as_ref().map(|tracks| {
                tracks.iter().find(|(known, _)| known == topic).map(|(_, rows)| rows.unwrap_or(1))
            });
            if matches!(rows, Some(None | Some(0))) && taken.bytes > 0 {
                tracing::warn!("{url} has lost track `{topic}`; it is sent again");
                *taken = Default::default();
            }
        }
        for (topic, track) in &mut self.tracks {
            let taken = file.current.tracks.get(topic).copied().unwrap_or_default();
            if let Some(sender) = &mut track.sender {
                sender.unmake();
                if sender.follower().taken() != taken {
                    let folder = sender.folder().to_owned();
                    let follower = Follower::new(&folder, taken);
                    *sender = TrackSender::new(topic.clone(), folder, follower);
                }
            }
        }
        let refused = match Refusals::load(file.beside("refused.jsonl")) {
            Ok(refused) => refused,
            Err(error) => {
                self.connection = Connection::Closed { under_way: false };
                let error = CallError::new(Fault::Server, one_line(&error));
                self.note_failure(&error);
                return self.server_failed(&error);
            }
        };
        // Not before: a session that is opened again and again and can't be used is to count as failing.
        self.server_is_well();
        let again: Vec<FileId> = if self.retries_refused { refused.file_ids() } else { Vec::new() };
        let is_kept = |id: &FileId| !again.contains(id);
        let kept: Vec<FileId> = refused.file_ids().into_iter().filter(is_kept).collect();
        self.context.files.lock().know(file.beside("files"), kept.into_iter());
        if refused.rows() + refused.files() > 0 {
            tracing::warn!(
                "{} rows and {} files were refused by {url} earlier; its answers are in {}",
                refused.rows(),
                refused.files(),
                refused.path().display()
            );
        }
        self.connection = Connection::Open(Box::new(Open {
            session: opened.session,
            checkpoint: file,
            refused: Arc::new(Mutex::new(refused)),
            folders: Default::default(),
            status_under_way: false,
            status_failures: Failures::default(),
            retrying_refused: false,
        }));
        self.survey();
        if std::mem::take(&mut self.retries_refused) {
            self.retry_refused();
        }
    }

    fn refused_retried(&mut self, tracks: Vec<(TrackSender, RowsOutcome)>) {
        for (sender, done) in tracks {
            self.count_rows(&done);
            self.give_back(sender);
        }
        if let Connection::Open(open) = &mut self.connection {
            open.retrying_refused = false;
            let mut refused = open.refused.lock();
            // Files that are refused again are added one by one.
            refused.take_files();
            if let Err(error) = refused.save() {
                tracing::warn!("{}", one_line(&error));
            }
        }
    }

    fn rows_done(&mut self, sender: TrackSender, done: RowsOutcome) {
        let topic = sender.topic.clone();
        self.plan.end(&Call::Rows(topic.clone()));
        self.count_rows(&done);
        self.tell_refusal(&topic, &done);
        self.plan.set_awaits_file(&topic, !done.awaits.is_empty());
        if !done.awaits.is_empty() {
            self.context.files.lock().await_files(&topic, done.awaits);
            // The files may have been sent since the rows were read.
            self.free_rows();
        }
        match &done.error {
            None => {
                self.server_is_well();
                self.plan.track_is_well(&topic);
            }
            Some(error) => {
                if !self.call_failed(error) {
                    let (backoff, now) = (&self.task.backoff, Instant::now());
                    let wait = error.retry_after;
                    self.plan.track_failed(&topic, backoff, now, wait, fastrand::f64());
                }
            }
        }
        self.give_back(sender);
    }

    fn tell_refusal(&mut self, topic: &str, done: &RowsOutcome) {
        let (Some((rows, answer)), Some(track)) = (&done.refused, self.tracks.get_mut(topic))
        else {
            return;
        };
        if !std::mem::replace(&mut track.refusal_told, true) {
            let url = self.context.api.url();
            tracing::warn!(
                "{url} refuses {rows} rows of track `{topic}`: {answer}; they are set aside, and the other rows are sent"
            );
        }
    }

    fn give_back(&mut self, mut sender: TrackSender) {
        let topic = sender.topic.clone();
        if matches!(self.connection, Connection::Closed { .. }) {
            sender.unmake();
        }
        if let Some(track) = self.tracks.get_mut(&topic) {
            track.sender = Some(sender);
        }
        self.update_track(&topic);
    }

    fn count_rows(&self, done: &RowsOutcome) {
        let mut view = self.view.lock();
        view.rows_sent += done.rows;
        view.bytes_sent += done.bytes;
        view.nulled += done.nulled;
    }

    fn file_done(&mut self, id: FileId, done: FileOutcome) {
        self.plan.end(&Call::File);
        match done {
            FileOutcome::Sent(bytes) => {
                if let Err(error) = self.context.files.lock().sent(id) {
                    // It is sent again after a restart, which is harmless.
                    tracing::warn!("{}", one_line(&error));
                }
                let mut view = self.view.lock();
                view.files_sent += 1;
                view.bytes_sent += bytes;
                drop(view);
                self.server_is_well();
            }
            FileOutcome::Gone => self.context.files.lock().dismiss(id),
            FileOutcome::Refused(answer) => self.refuse_file(id, answer),
            FileOutcome::Failed(error) => self.file_failed(id, &error),
        }
        self.free_rows();
    }

    /// It is tried again.
    fn file_failed(&mut self, id: FileId, error: &CallError) {
        let (backoff, now) = (&self.task.backoff, Instant::now());
        self.context.files.lock().failed(id, backoff, now, error.retry_after);
        self.call_failed(error);
    }

    /// Resumes the tracks whose files the server now has.
    pub(super) fn free_rows(&mut self) {
        let freed = self.context.files.lock().take_freed();
        freed.iter().for_each(|topic| self.plan.set_awaits_file(topic, false));
    }

    fn refuse_file(&mut self, id: FileId, answer: String) {
        tracing::warn!("{} refuses a file: {answer}; it is set aside", self.context.api.url());
        let Connection::Open(open) = &self.connection else {
            return self.file_failed(id, &CallError::new(Fault::Server, answer));
        };
        let refusal = Refusal { what: Refused::File { file: id }, answer };
        let added = open.refused.lock().add(vec![refusal]);
        if let Err(error) = added {
            // Otherwise it would count as sent.
            return self.file_failed(id, &CallError::new(Fault::Server, one_line(&error)));
        }
        self.context.files.lock().dismiss(id);
    }

    fn status_done(&mut self, status: RunStatus, told: Result<(), CallError>) {
        let Connection::Open(open) = &mut self.connection else { return };
        open.status_under_way = false;
        match told {
            Ok(()) => {
                open.checkpoint.current.status = Some(status);
                open.status_failures.clear();
                self.server_is_well();
            }
            Err(error) if matches!(error.fault, Fault::Refused | Fault::TooLarge) => {
                // A server without a status must not hold anything up.
                tracing::warn!(
                    "{} rejects the run's status: {}; the upload continues",
                    self.context.api.url(),
                    error.text
                );
                open.checkpoint.current.status = Some(status);
            }
            Err(error) => {
                let now = Instant::now();
                let wait = error.retry_after;
                open.status_failures.note(&self.task.backoff, now, wait, fastrand::f64());
                self.call_failed(&error);
            }
        }
    }

    /// The server refuses so much that sending more can't be right.
    pub(super) fn too_much_refused(&mut self) {
        let Connection::Open(open) = &self.connection else { return };
        let answers = open.refused.lock().path().display().to_string();
        let text = format!(
            "{MAX_REFUSED} rows and files were refused, and nothing more is sent; mend what the server's \
             answers in {answers} name, then run `mldash_bridge sync`"
        );
        let error = CallError::new(Fault::Server, text);
        self.note_failure(&error);
        self.server_failed(&error);
    }

    /// Notes a failure. Returns true if it affects the whole server, which is then left alone for a
    /// while.
    fn call_failed(&mut self, error: &CallError) -> bool {
        self.note_failure(error);
        if error.fault == Fault::Absent {
            // Something created before is gone; create it again.
            self.connection = Connection::Closed { under_way: false };
        }
        let is_of_the_server = error.fault.is_of_the_server();
        if is_of_the_server {
            self.server_failed(error);
        }
        is_of_the_server
    }

    fn server_failed(&mut self, error: &CallError) {
        let (backoff, now) = (&self.task.backoff, Instant::now());
        self.plan.server_failed(backoff, now, error.retry_after, fastrand::f64());
    }

    fn server_is_well(&mut self) {
        self.plan.server_is_well();
        self.refused_token = None;
    }

    fn note_failure(&mut self, error: &CallError) {
        self.refused_token = match error.fault {
            Fault::Token => Some(self.context.api.current_token()),
            _ => None,
        };
        let reason = error.text.clone();
        match &mut self.failing {
            Some(failing) => failing.reason = reason,
            none => {
                let url = self.context.api.url();
                match (error.fault, self.task.purpose) {
                    (Fault::Token, Purpose::Recording) => {
                        tracing::error!("not uploading: {reason}; recording continues");
                    }
                    // The upload ends here, and the waiting caller gets the error.
                    (Fault::Token, Purpose::Request) => {}
                    (_, Purpose::Recording) => tracing::warn!(
                        "can't upload to {url}: {reason}; recording continues, and the upload is retried"
                    ),
                    (_, Purpose::Request) => {
                        tracing::warn!("can't upload to {url}: {reason}; retrying");
                    }
                }
                *none = Some(Failing { since: utc_now(), reason });
            }
        }
    }

    fn note_recovery(&mut self) {
        if self.worst() == 0
            && let Some(failing) = self.failing.take()
        {
            let waiting: u64 = self.tracks.values().map(|track: &Track| track.waiting.lines).sum();
            tracing::info!(
                "the upload to {} works again, after failing since {}; {waiting} rows are left to send",
                self.context.api.url(),
                failing.since
            );
        }
    }
}
