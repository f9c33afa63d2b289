//! Looks at the store: which tracks exist, what waits, and which callers can be told that nothing
//! does.

use std::time::Instant;

use super::{Connection, Engine, Track};
use crate::error::one_line;
use crate::local::{Backlog, Follower, Prefix, StoreError, row_bytes};
use crate::name::TrackName;
use crate::remote::error::RemoteError;
use crate::remote::send::TrackSender;
use crate::remote::state::{CheckpointFile, SyncState};
use crate::remote::upload::waiter::{Targets, Waiter};

impl Engine {
    /// Looks at everything that is not in flight.
    pub(super) fn survey(&mut self) {
        self.surveys += 1;
        if let Err(error) = self.find_tracks() {
            tracing::error!("the upload can't list the tracks: {}", one_line(&error));
        }
        let topics: Vec<String> = self.tracks.keys().cloned().collect();
        topics.iter().for_each(|topic| self.update_track(topic));
        let refreshed = self.context.files.lock().refresh();
        if let Err(error) = refreshed {
            tracing::error!("the upload can't list the files: {}", one_line(&error));
        }
        self.free_rows();
        if let Connection::Open(open) = &mut self.connection
            && let Err(error) = open.checkpoint.save_if_due()
        {
            tracing::warn!("{}", one_line(&error));
        }
        if let Some(refused) = &self.refused_token
            && self.context.api.has_other_token(refused.as_ref())
        {
            self.refused_token = None;
            self.plan.server_is_well();
        }
        self.surveyed_at = Some(Instant::now());
    }

    fn find_tracks(&mut self) -> Result<(), StoreError> {
        for topic in self.task.dir.new_topics(&mut self.seen)? {
            if self.tracks.contains_key(&topic) {
                continue;
            }
            let Ok(name) = topic.parse::<TrackName>() else { continue };
            let taken = match &self.connection {
                Connection::Open(open) => open.checkpoint.current.tracks.get(&topic).copied(),
                Connection::Closed { .. } => {
                    let guess = CheckpointFile::guess(self.task.dir.path(), self.context.api.url());
                    guess.tracks.get(&topic).copied()
                }
            };
            let folder = self.task.dir.track_folder(&name);
            let follower = Follower::new(&folder, taken.unwrap_or_default());
            let sender = Some(TrackSender::new(topic.clone(), folder, follower));
            let (waiting, taken) = (Backlog::default(), Prefix::default());
            self.tracks
                .insert(topic, Track { sender, waiting, taken, survey: 0, refusal_told: false });
        }
        Ok(())
    }

    /// Notes what waits of a track, unless it is in flight.
    pub(super) fn update_track(&mut self, topic: &str) {
        let Some(track) = self.tracks.get_mut(topic) else { return };
        let Some(sender) = &mut track.sender else { return };
        match sender.backlog() {
            Ok(waiting) => track.waiting = waiting,
            Err(error) => {
                tracing::error!("the upload can't read track `{topic}`: {}", one_line(&error));
                return;
            }
        }
        track.taken = sender.follower().taken();
        track.survey = self.surveys;
        let waits = track.waiting.lines > 0;
        if let Connection::Open(open) = &mut self.connection {
            open.checkpoint.current.tracks.insert(topic.to_owned(), track.taken);
        }
        self.plan.set_waiting(topic, waits);
    }

    /// Returns true if nothing waits and nothing is in flight.
    pub(super) fn is_drained(&self) -> bool {
        let at_rest = |track: &Track| track.sender.is_some() && track.waiting.lines == 0;
        self.tracks.values().all(at_rest) && self.context.files.lock().waiting().0 == 0
    }

    /// Callers that just began to wait now wait for the current contents of the store.
    pub(super) fn set_targets(&mut self) {
        let failures = self.worst();
        let dir = &self.task.dir;
        let len = |topic: &String| {
            let name: TrackName = topic.parse().ok()?;
            Some((topic.clone(), row_bytes(&dir.track_folder(&name))?))
        };
        for waiter in self.waiters.iter_mut().filter(|waiter| waiter.targets.is_none()) {
            waiter.targets = Some(Targets {
                tracks: self.tracks.keys().filter_map(len).collect(),
                newest_file: self.context.files.lock().newest(),
                survey: self.surveys,
                failures,
            });
        }
    }

    pub(super) fn answer_waiters(&mut self) {
        let waiters = std::mem::take(&mut self.waiters);
        for waiter in waiters {
            let answer = if self.has_reached(&waiter) {
                Ok(())
            } else if let Some(error) = self.gives_up(&waiter) {
                Err(error)
            } else {
                self.waiters.push(waiter);
                continue;
            };
            if let Connection::Open(open) = &mut self.connection
                && let Err(error) = open.checkpoint.save()
            {
                tracing::warn!("{}", one_line(&error));
            }
            // A caller that no longer waits was told already.
            let _ = waiter.answer.try_send(answer);
        }
    }

    fn has_reached(&self, waiter: &Waiter) -> bool {
        let Connection::Open(open) = &self.connection else { return false };
        let Some(targets) = &waiter.targets else { return false };
        let rows = targets.tracks.iter().all(|(topic, bytes)| {
            self.tracks.get(topic).is_none_or(|track| {
                let is_empty = track.waiting.lines == 0 && track.survey >= targets.survey;
                track.sender.is_some() && (is_empty || track.taken.bytes >= *bytes)
            })
        });
        let newest = targets.newest_file;
        let files = newest.is_none_or(|newest| !self.context.files.lock().waits_through(newest));
        let status = open.checkpoint.current.status == Some(self.task.status);
        rows && files && !open.retrying_refused && (status || !waiter.wants_status)
    }

    fn gives_up(&self, waiter: &Waiter) -> Option<RemoteError> {
        let before = waiter.targets.as_ref().map_or(0, |targets| targets.failures);
        let max_failures = before.saturating_add(waiter.max_failures?);
        let state = &self.view.lock().state;
        match state {
            SyncState::TokenRefused { reason } => Some(RemoteError::TokenRefused(reason.clone())),
            SyncState::Failing { reason, .. } if self.worst() > max_failures => {
                let url = self.context.api.url().to_owned();
                Some(RemoteError::Failing { url, reason: reason.clone() })
            }
            _ => None,
        }
    }

    /// How many times in a row the worst call failed.
    pub(super) fn worst(&self) -> u32 {
        let status = match &self.connection {
            Connection::Open(open) => open.status_failures.count(),
            Connection::Closed { .. } => 0,
        };
        self.plan.worst().max(self.context.files.lock().worst()).max(status)
    }

    /// Publishes the progress.
    pub(super) fn publish(&self) {
        let (files, file_bytes) = self.context.files.lock().waiting();
        let waiting = self.tracks.values().map(|track| track.waiting);
        let rows = waiting.fold(Backlog::default(), |sum, track| Backlog {
            lines: sum.lines + track.lines,
            bytes: sum.bytes + track.bytes,
        });
        let mut view = self.view.lock();
        view.rows_waiting = rows.lines;
        view.files_waiting = files;
        view.bytes_waiting = rows.bytes + file_bytes;
        let is_open = matches!(self.connection, Connection::Open(_));
        if let Connection::Open(open) = &self.connection {
            let refused = open.refused.lock();
            (view.rows_set_aside, view.files_set_aside) = (refused.rows(), refused.files());
        }
        view.state = match &self.failing {
            Some(failing) if self.refused_token.is_some() => {
                SyncState::TokenRefused { reason: failing.reason.clone() }
            }
            Some(failing) => {
                SyncState::Failing { since: failing.since.clone(), reason: failing.reason.clone() }
            }
            None if is_open && self.is_drained() => SyncState::UpToDate,
            None => SyncState::Sending,
        };
    }
}
