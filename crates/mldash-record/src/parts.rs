//! A recording in parts. `split` continues in the next experiment while a thread closes the one
//! before, which may take long.

use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;

use super::account::{Account, TopicAccount};
use mldash_track::{ExperimentName, TrackError};

/// The limit on parts that are closed at the same time. Each may hold as much memory as a failing
/// store lets wait.
const MAX_CLOSING: usize = 4;

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

/// Why a recording can't continue in another experiment. It continues where it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Too many parts are being closed.
    #[error("{0} earlier parts are still being closed; try again later")]
    StillClosing(usize),
    /// There is no thread to close on.
    #[error("can't start the thread that closes the current part")]
    Thread(#[source] io::Error),
    /// The next experiment can't be opened.
    #[error("can't continue in another experiment")]
    Open(#[source] TrackError),
}

/// The end of a part.
pub(super) type Ended = (Account, Result<(), TrackError>);

/// The parts before the current one.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The first part's name and the current part's number; `None` before a split.
    series: Option<(ExperimentName, u32)>,
    closing: Vec<JoinHandle<Ended>>,
    closed: Vec<Ended>,
}

/// A thread that waits for a part to close.
pub(super) struct Closer<P> {
    part: SyncSender<P>,
    thread: JoinHandle<Ended>,
}

impl<P: Send + 'static> Closer<P> {
    /// Hands the part over.
    fn close(self, part: P) -> JoinHandle<Ended> {
        // The thread waits for nothing else, so it is there.
        if self.part.send(part).is_err() {
            tracing::error!("the thread that closes a part is gone");
        }
        self.thread
    }
}

impl Parts {
    /// The name of the part after `current`, whose folder is `folder`: the first part's name with
    /// `_002`, `_003`, …. Skips names that exist.
    pub(super) fn next_name(&self, current: &ExperimentName, folder: &Path) -> (String, u32) {
        let (first, number) = match &self.series {
            Some((first, number)) => (first, *number),
            None => (current, 1),
        };
        let mut next = number + 1;
        while folder.with_file_name(format!("{}_{next:03}", first.name())).exists() {
            next += 1;
        }
        (format!("{first}_{next:03}"), next)
    }

    /// Starts a thread that will close a part with `finish`.
    pub(super) fn closer<P: Send + 'static>(
        &mut self,
        finish: impl FnOnce(P) -> Ended + Send + 'static,
    ) -> Result<Closer<P>, SplitError> {
        self.collect();
        if self.closing.len() >= MAX_CLOSING {
            return Err(SplitError::StillClosing(self.closing.len()));
        }
        let (part, handed_over) = sync_channel(1);
        let run = move || match handed_over.recv() {
            Ok(part) => finish(part),
            Err(_) => (Account::default(), Ok(())),
        };
        let thread = thread::Builder::new().name("close-part".into()).spawn(run);
        Ok(Closer { part, thread: thread.map_err(SplitError::Thread)? })
    }

    /// Makes the part with this number the current one. Closes `ended`.
    pub(super) fn go_on<P: Send + 'static>(
        &mut self,
        before: &ExperimentName,
        number: u32,
        closer: Closer<P>,
        ended: P,
    ) {
        let first = self.series.take().map_or_else(|| before.clone(), |(first, _)| first);
        self.series = Some((first, number));
        self.closing.push(closer.close(ended));
    }

    /// Waits for the earlier parts. Returns their accounts, and the first failure.
    pub(super) fn finish(mut self) -> (Vec<PartAccount>, Result<(), TrackError>) {
        for thread in std::mem::take(&mut self.closing) {
            self.join(thread);
        }
        let accounts = self.closed.iter().map(|(account, _)| PartAccount::from(account)).collect();
        let failed = self.closed.into_iter().find_map(|(_, closed)| closed.err());
        (accounts, failed.map_or(Ok(()), Err))
    }

    /// Collects the parts that are closed by now.
    fn collect(&mut self) {
        for thread in std::mem::take(&mut self.closing) {
            if thread.is_finished() {
                self.join(thread);
            } else {
                self.closing.push(thread);
            }
        }
    }

    fn join(&mut self, thread: JoinHandle<Ended>) {
        match thread.join() {
            Ok(ended) => self.closed.push(ended),
            Err(_) => {
                let failure = Some("closing it panicked; flushed rows are stored".to_owned());
                self.closed.push((Account { failure, ..Account::default() }, Ok(())));
            }
        }
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
mod tests {
    use super::*;

    fn name(text: &str) -> ExperimentName {
        text.parse().unwrap()
    }

    #[test]
    fn parts_are_numbered_behind_the_first_ones_name() {
        let root = tempfile::tempdir().unwrap();
        let mut parts = Parts::default();
        let first = name("alice/lab/run_7");
        let folder = root.path().join("run_7");
        assert_eq!(parts.next_name(&first, &folder), ("alice/lab/run_7_002".to_owned(), 2));
        let closer = parts.closer(|()| (Account::default(), Ok(()))).unwrap();
        parts.go_on(&first, 2, closer, ());
        let second = name("alice/lab/run_7_002");
        let folder = root.path().join("run_7_002");
        assert_eq!(parts.next_name(&second, &folder), ("alice/lab/run_7_003".to_owned(), 3));
        std::fs::create_dir(root.path().join("run_7_003")).unwrap();
        assert_eq!(parts.next_name(&second, &folder), ("alice/lab/run_7_004".to_owned(), 4));
    }

    #[test]
    fn splits_faster_than_parts_close_are_refused() {
        let mut parts = Parts::default();
        let first = name("alice/lab/run");
        let (hold, held) = sync_channel::<()>(0);
        let held = std::sync::Arc::new(parking_lot::Mutex::new(held));
        for number in 0..MAX_CLOSING as u32 {
            let held = held.clone();
            let finish = move |()| {
                let _ = held.lock().recv();
                (Account { complete: true, ..Account::default() }, Ok(()))
            };
            let closer = parts.closer(finish).unwrap();
            parts.go_on(&first, number + 2, closer, ());
        }
        let refused = parts.closer(|()| (Account::default(), Ok(()))).err().unwrap();
        assert!(matches!(refused, SplitError::StillClosing(MAX_CLOSING)), "{refused}");
        drop(hold);
        let (accounts, closed) = parts.finish();
        assert_eq!(accounts.iter().filter(|part| part.complete).count(), MAX_CLOSING);
        assert!(closed.is_ok());
    }
}
