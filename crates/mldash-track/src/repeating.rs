//! A thread that does the same thing at an interval.

use std::fmt;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::complaint::Complaint;
use super::panics::caught;

/// Runs a task at an interval, on a thread of its own, until this is dropped. The interval is from
/// start to start; a task that takes longer follows itself. A task that panics is reported and runs
/// again. Dropping it waits for a task that is under way.
pub struct Repeating {
    name: &'static str,
    /// Nothing is sent: the thread ends once this is gone.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeating {
    /// Starts the thread. The task runs for the first time after one interval.
    ///
    /// # Errors
    /// Fails if the thread can't be started.
    pub fn start(
        name: &'static str,
        every: Duration,
        task: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_after(name, every, every, task)
    }

    /// Like [`start`](Self::start), but the task runs for the first time after `first`.
    ///
    /// # Errors
    /// Fails if the thread can't be started.
    pub fn start_after(
        name: &'static str,
        first: Duration,
        every: Duration,
        mut task: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        let run = move || {
            let mut wait = first;
            let mut complaint = Complaint::new(
                "a background task panicked, which is a bug",
                "it is tried again",
                "the background task that panicked works again",
            );
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let started = Instant::now();
                let panic = caught(&mut task).err();
                complaint.note(panic.map(|text| format!("`{name}`: {text}")).as_deref());
                wait = every.saturating_sub(started.elapsed());
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self { name, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread `{}` panicked", self.name);
        }
    }
}

impl fmt::Debug for Repeating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeating").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than anything here takes on a busy machine.
    const GENEROUS: Duration = Duration::from_secs(120);

    #[test]
    fn a_task_runs_again_and_again_until_it_is_dropped() {
        let (ran, runs) = sync_channel(0);
        let repeating = Repeating::start("test", Duration::from_millis(1), move || {
            let _ = ran.send(());
        });
        let repeating = repeating.unwrap();
        for _ in 0..3 {
            runs.recv_timeout(GENEROUS).unwrap();
        }
        let ended = thread::spawn(move || drop(repeating));
        while runs.recv_timeout(GENEROUS) != Err(RecvTimeoutError::Disconnected) {}
        ended.join().unwrap();
    }

    #[test]
    fn a_task_that_panics_runs_again() {
        let (ran, runs) = sync_channel(0);
        let mut count = 0;
        let repeating = Repeating::start("test", Duration::from_millis(1), move || {
            count += 1;
            let _ = ran.send(count);
            assert!(count % 2 == 0, "every other time");
        });
        let repeating = repeating.unwrap();
        assert_eq!([(); 4].map(|()| runs.recv_timeout(GENEROUS).unwrap()), [1, 2, 3, 4]);
        drop(runs);
        drop(repeating);
    }

    #[test]
    fn dropping_does_not_wait_for_the_interval() {
        let never = Duration::from_secs(u64::from(u32::MAX));
        let repeating = Repeating::start("test", never, || unreachable!("too early")).unwrap();
        drop(repeating);
    }
}
