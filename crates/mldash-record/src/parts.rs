//! A recording in parts. `split` continues in the next experiment while a thread closes the one
//! before, which may take long.

mod error;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;

use super::account::{Account, TopicAccount};
use super::closing::{ClosedAtLast, Progress, Stage};
use super::frames::WhenBehind;
pub use error::PartError;
use mldash_track::{Experiment, ExperimentName, TrackError, one_line};

/// The limit on parts whose store is closed at the same time. Each may hold as much memory as a
/// failing store lets wait.
const MAX_CLOSING: usize = 4;
/// The limit on those and the parts that wait for a server.
const MAX_ENDED: usize = 64;

/// The result of an earlier part of a recording. Its own account lies in its experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartAccount {
    /// The experiment.
    pub experiment: String,
    /// Whether it ended normally and is complete.
    pub complete: bool,
    /// Why it did not end normally.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Messages, over all topics.
    pub received: u64,
    /// Rows.
    pub stored: u64,
    /// Lost or refused.
    pub dropped: u64,
}

/// The end of a part.
pub(super) type Ended = (Account, Result<(), TrackError>);

/// The parts before the current one.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The first part's name and the current part's number; `None` while there is only one.
    series: Option<(ExperimentName, u32)>,
    when_behind: WhenBehind,
    /// Whether parts that exist are continued.
    parts_continue: bool,
    closing: Vec<Closing>,
    /// Those that are closed, but for the last of them.
    closed: Vec<PartAccount>,
    /// That one's whole account. Of the others it lies in their experiments: a recording can have any number.
    last: Option<Account>,
    /// The first failure of a close.
    failed: Option<TrackError>,
}

/// A part that is being closed.
#[derive(Debug)]
struct Closing {
    thread: JoinHandle<Ended>,
    progress: Progress,
}

/// A thread that waits for a part to close.
pub(super) struct Closer<P> {
    part: SyncSender<P>,
    closing: Closing,
}

impl<P: Send + 'static> Closer<P> {
    /// Hands the part over.
    fn close(self, part: P) -> Closing {
        // The thread waits for nothing else, so it is there.
        if self.part.send(part).is_err() {
            tracing::error!("the thread that closes a part is gone");
        }
        self.closing
    }
}

impl Parts {
    pub(super) fn set_when_behind(&mut self, when_behind: WhenBehind) {
        self.when_behind = when_behind;
    }

    pub(super) fn set_continue(&mut self, parts_continue: bool) {
        self.parts_continue = parts_continue;
    }

    /// The name of the part after `current`: the first part's name with `_002`, `_003`, …. Skips
    /// names that exist, unless that part continues `current` and is to be continued.
    pub(super) fn next_name(&self, current: &Experiment) -> (String, u32) {
        let (first, number) = match &self.series {
            Some((first, number)) => (first, *number),
            None => (current.name(), 1),
        };
        let mut next = number + 1;
        loop {
            let name = format!("{first}_{next:03}");
            let folder = current.folder().with_file_name(format!("{}_{next:03}", first.name()));
            if !folder.exists() || (self.parts_continue && current.is_continued_by(&name)) {
                return (name, next);
            }
            next += 1;
        }
    }

    /// Starts a thread that will close a part with `finish`.
    pub(super) fn closer<P: Send + 'static>(
        &mut self,
        finish: impl FnOnce(P, &Progress) -> Ended + Send + 'static,
    ) -> Result<Closer<P>, PartError> {
        self.make_room()?;
        let (part, handed_over) = sync_channel(1);
        let progress = Progress::default();
        let told = ClosedAtLast(progress.clone());
        let run = move || match handed_over.recv() {
            Ok(part) => finish(part, &told.0),
            Err(_) => (Account::default(), Ok(())),
        };
        let thread = thread::Builder::new().name("close-part".into()).spawn(run);
        let closing = Closing { thread: thread.map_err(PartError::Thread)?, progress };
        Ok(Closer { part, closing })
    }

    /// Sees to it that one more part may be closed. A server that is slow or gone holds up none.
    fn make_room(&mut self) -> Result<(), PartError> {
        self.collect();
        let open: Vec<&Closing> = self.closing.iter().filter(|part| !part.is_closed()).collect();
        let (is_full, waiting) = match open.len() >= MAX_CLOSING {
            true => (true, open.len()),
            false => (self.closing.len() >= MAX_ENDED, self.closing.len()),
        };
        match self.when_behind {
            _ if !is_full => Ok(()),
            WhenBehind::DropNewest => Err(PartError::StillClosing(waiting)),
            WhenBehind::Wait if self.closing.len() >= MAX_ENDED => {
                let oldest = self.closing.remove(0);
                self.join(oldest);
                Ok(())
            }
            WhenBehind::Wait => {
                // What fails is in that part's account.
                let _ = open.first().map(|oldest| oldest.progress.wait_until(Stage::Closed));
                Ok(())
            }
        }
    }

    /// If the recorder waits, does so until all earlier parts are closed.
    pub(super) fn wait_if_behind(&self) {
        if self.when_behind == WhenBehind::Wait {
            for part in &self.closing {
                // What fails is in that part's account.
                let _ = part.progress.wait_until(Stage::Closed);
            }
        }
    }

    /// Waits until all rows of earlier parts are in the store.
    ///
    /// # Errors
    /// Returns the first error of one that could not be written; its rows are retried.
    pub(super) fn wait_until_flushed(&self) -> Result<(), TrackError> {
        let mut parts = self.closing.iter();
        parts.try_for_each(|part| part.progress.wait_until(Stage::Flushed))
    }

    /// Closes a part.
    pub(super) fn close<P: Send + 'static>(&mut self, closer: Closer<P>, ended: P) {
        self.closing.push(closer.close(ended));
    }

    /// Makes the part with this number, after `before`, the current one.
    pub(super) fn begin(&mut self, before: &ExperimentName, number: u32) {
        let first = self.series.take().map_or_else(|| before.clone(), |(first, _)| first);
        self.series = Some((first, number));
    }

    /// Waits for all parts. Returns the account of the last one, those of the others, and the first
    /// failure.
    pub(super) fn finish_with_last(
        mut self,
    ) -> (Account, Vec<PartAccount>, Result<(), TrackError>) {
        self.join_all();
        let last = self.last.unwrap_or_default();
        (last, self.closed, self.failed.map_or(Ok(()), Err))
    }

    /// Waits for the earlier parts. Returns their accounts, and the first failure.
    pub(super) fn finish(mut self) -> (Vec<PartAccount>, Result<(), TrackError>) {
        self.join_all();
        self.closed.extend(self.last.as_ref().map(PartAccount::from));
        (self.closed, self.failed.map_or(Ok(()), Err))
    }

    /// Collects the parts that are closed by now, in their order.
    fn collect(&mut self) {
        while self.closing.first().is_some_and(|part| part.thread.is_finished()) {
            let first = self.closing.remove(0);
            self.join(first);
        }
    }

    fn join_all(&mut self) {
        for part in std::mem::take(&mut self.closing) {
            self.join(part);
        }
    }

    fn join(&mut self, part: Closing) {
        let (account, closed) = part.thread.join().unwrap_or_else(|_| {
            let failure = Some("closing it panicked; flushed rows are stored".to_owned());
            (Account { failure, ..Account::default() }, Ok(()))
        });
        let before = self.last.replace(account);
        self.closed.extend(before.as_ref().map(PartAccount::from));
        match closed {
            Ok(()) => {}
            Err(error) if self.failed.is_none() => self.failed = Some(error),
            Err(error) => tracing::error!("{}", one_line(&error)),
        }
    }
}

impl Closing {
    /// Whether it holds no memory of the store's any more.
    fn is_closed(&self) -> bool {
        self.thread.is_finished() || self.progress.is_closed()
    }
}

impl From<&Account> for PartAccount {
    fn from(account: &Account) -> Self {
        let total = |count: fn(&TopicAccount) -> u64| account.topics.iter().map(count).sum();
        Self {
            experiment: account.experiment.clone(),
            complete: account.complete,
            failure: account.failure.clone(),
            received: total(|topic| topic.received),
            stored: total(|topic| topic.stored),
            dropped: total(TopicAccount::dropped_total),
        }
    }
}

#[cfg(test)]
mod tests;
