//! A recording in parts. `split` continues in the next experiment while a thread closes the one
//! before, which may take long.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;

use super::account::{Account, TopicAccount};
use super::closing::{ClosedAtLast, Progress, Stage};
use super::frames::WhenBehind;
use crate::mapping::Bytes;
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
mod tests {
    use super::*;
    use mldash_track::{Metadata, Options};

    #[test]
    fn parts_are_numbered_behind_the_first_ones_name() {
        let root = tempfile::tempdir().unwrap();
        let open = |name: &str| Experiment::open(name, Options::local(root.path())).unwrap();
        let mut parts = Parts::default();
        let first = open("alice/lab/run_7");
        assert_eq!(parts.next_name(&first), ("alice/lab/run_7_002".to_owned(), 2));
        parts.begin(first.name(), 2);
        let second = open("alice/lab/run_7_002");
        assert_eq!(parts.next_name(&second), ("alice/lab/run_7_003".to_owned(), 3));
        open("alice/lab/run_7_003").close().unwrap();
        assert_eq!(parts.next_name(&second), ("alice/lab/run_7_004".to_owned(), 4));
        parts.set_continue(true);
        assert_eq!(parts.next_name(&second).1, 4, "it continues another recording");
        second.start_run(Metadata::new()).unwrap();
        second.continue_in("alice/lab/run_7_003").unwrap();
        assert_eq!(parts.next_name(&second).1, 3);
    }

    #[test]
    fn of_many_parts_the_last_ones_account_and_the_first_failure_are_kept() {
        let mut parts = Parts::default();
        for number in 1..=3 {
            let finish = move |(), _: &Progress| {
                let account = Account { experiment: number.to_string(), ..Account::default() };
                let failed = std::io::Error::other(number.to_string());
                (account, if number == 1 { Ok(()) } else { Err(TrackError::Thread(failed)) })
            };
            let closer = parts.closer(finish).unwrap();
            parts.close(closer, ());
        }
        let (last, earlier, closed) = parts.finish_with_last();
        assert_eq!(last.experiment, "3");
        let earlier: Vec<&str> = earlier.iter().map(|part| part.experiment.as_str()).collect();
        assert_eq!(earlier, ["1", "2"]);
        assert!(one_line(&closed.unwrap_err()).contains('2'));
    }

    #[test]
    fn splits_faster_than_parts_close_are_refused() {
        let mut parts = Parts::default();
        let (hold, held) = sync_channel::<()>(0);
        let held = std::sync::Arc::new(parking_lot::Mutex::new(held));
        for _ in 0..MAX_CLOSING {
            let held = held.clone();
            let finish = move |(), _: &Progress| {
                let _ = held.lock().recv();
                (Account { complete: true, ..Account::default() }, Ok(()))
            };
            let closer = parts.closer(finish).unwrap();
            parts.close(closer, ());
        }
        let refused = parts.closer(|(), _| (Account::default(), Ok(()))).err().unwrap();
        assert!(matches!(refused, PartError::StillClosing(MAX_CLOSING)), "{refused}");
        drop(hold);
        let (accounts, closed) = parts.finish();
        assert_eq!(accounts.iter().filter(|part| part.complete).count(), MAX_CLOSING);
        assert!(closed.is_ok());
    }

    #[test]
    fn parts_that_wait_for_a_server_hold_up_none_and_a_flush_waits_for_none() {
        let mut parts = Parts::default();
        let (hold, held) = sync_channel::<()>(0);
        let held = std::sync::Arc::new(parking_lot::Mutex::new(held));
        for _ in 0..MAX_ENDED {
            let held = held.clone();
            let finish = move |(), progress: &Progress| {
                progress.set_flushed(Ok(()));
                progress.set_closed();
                let _ = held.lock().recv();
                (Account::default(), Ok(()))
            };
            let closer = parts.closer(finish).unwrap();
            parts.close(closer, ());
            parts.wait_until_flushed().unwrap();
            parts.closing.last().unwrap().progress.wait_until(Stage::Closed).unwrap();
        }
        let refused = parts.closer(|(), _| (Account::default(), Ok(()))).err().unwrap();
        assert!(matches!(refused, PartError::StillClosing(MAX_ENDED)), "{refused}");
        drop(hold);
        assert_eq!(parts.finish().0.len(), MAX_ENDED);
    }

    #[test]
    fn a_flush_waits_for_the_rows_of_ended_parts_and_says_what_failed() {
        let mut parts = Parts::default();
        let (hold, held) = sync_channel::<()>(0);
        let finish = move |(), progress: &Progress| {
            let _ = held.recv();
            let no_space = std::io::Error::from(std::io::ErrorKind::StorageFull);
            progress.set_flushed(Err(TrackError::Thread(no_space)));
            (Account::default(), Ok(()))
        };
        let closer = parts.closer(finish).unwrap();
        parts.close(closer, ());
        let flushed = thread::scope(|scope| {
            let waiting = scope.spawn(|| parts.wait_until_flushed());
            drop(hold);
            waiting.join().unwrap()
        });
        assert!(flushed.is_err());
        let closer = parts.closer(|(), _| panic!("a fault of its own")).unwrap();
        parts.close(closer, ());
        parts.wait_until_flushed().unwrap();
    }
}
