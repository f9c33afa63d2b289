//! What an export does on several threads: looking at all recordings, and writing their episodes, which are put together
//! in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::at_once::at_once;
use crate::error::ExportError;
use crate::frames::{Episode, PlannedRecording, Shared, Written, write_episodes};
use crate::plan::{Planned, Recording};

/// How many recordings each thread may be ahead of the first that is not put together yet.
const AHEAD: usize = 4;

/// Calls `work` with each item, on several threads, up to the first error; the results are in the order of the items.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, ExportError> + Sync,
) -> Result<Vec<R>, ExportError> {
    at_once(items, threads, |item| caught("while it looked at a recording", || work(item)))
}

/// A panic as an error: threads that wait for one another would wait for ever.
fn caught<R>(when: &str, work: impl FnOnce() -> Result<R, ExportError>) -> Result<R, ExportError> {
    // What it was about to change is thrown away with the export.
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(ExportError::Thread(when.to_owned())))
}

/// Which recordings may be begun, and which are put together.
struct Turns {
    next: usize,
    put_together: usize,
    is_over: bool,
}

/// Writes the episodes of all recordings, on `workers` threads, and hands them to `add` in order.
pub(super) fn write_all(
    recordings: &[Recording],
    planned: &[Planned],
    jobs: &[Vec<Episode>],
    workers: usize,
    shared: &Shared<'_>,
    mut add: impl FnMut(usize, Written) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let turns = Mutex::new(Turns { next: 0, put_together: 0, is_over: false });
    let turned = Condvar::new();
    let ahead = workers * AHEAD;
    let (sender, receiver) = sync_channel(workers);
    let work = |sender: SyncSender<(usize, Result<Written, ExportError>)>| loop {
        let place = {
            let mut turns = turns.lock();
            while !turns.is_over && turns.next >= turns.put_together + ahead {
                turned.wait(&mut turns);
            }
            if turns.is_over || turns.next >= recordings.len() {
                return;
            }
            turns.next += 1;
            turns.next - 1
        };
        let written = caught("while it wrote episodes", || {
            write_one(recordings, planned, jobs, place, shared)
        });
        if sender.send((place, written)).is_err() {
            return;
        }
    };
    let finish = |is_over: bool| {
        let mut turns = turns.lock();
        turns.put_together += 1;
        turns.is_over |= is_over;
        turned.notify_all();
    };
    thread::scope(|scope| {
        let work = &work;
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || work(sender));
        }
        drop(sender);
        let done = caught("while it put episodes together", || {
            put_together(&receiver, recordings.len(), |place, written| {
                let added = add(place, written);
                finish(false);
                added
            })
        });
        if done.is_err() {
            // The others end at their next batch.
            shared.progress.stop();
            finish(true);
            while receiver.recv().is_ok() {}
        }
        done
    })
}

/// Takes the recordings as they come, and hands them on in order.
fn put_together(
    receiver: &Receiver<(usize, Result<Written, ExportError>)>,
    recordings: usize,
    mut add: impl FnMut(usize, Written) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut waiting = BTreeMap::new();
    for next in 0..recordings {
        let written = loop {
            if let Some(written) = waiting.remove(&next) {
                break written;
            }
            let ended = |_| ExportError::Thread("while it wrote episodes".to_owned());
            let (place, written) = receiver.recv().map_err(ended)?;
            waiting.insert(place, written?);
        };
        add(next, written)?;
    }
    Ok(())
}

pub(super) fn write_one(
    recordings: &[Recording],
    planned: &[Planned],
    jobs: &[Vec<Episode>],
    place: usize,
    shared: &Shared<'_>,
) -> Result<Written, ExportError> {
    let (Some(recording), Some(planned), Some(episodes)) =
        (recordings.get(place), planned.get(place), jobs.get(place))
    else {
        return Ok(Written::default());
    };
    let (Some(joins), false) = (&planned.joins, episodes.is_empty()) else {
        return Ok(Written::default());
    };
    let Recording { name, experiment } = recording;
    let (task, start_secs) = (planned.task.as_deref(), planned.start_secs);
    let source = PlannedRecording { name, experiment, joins, task, start_secs };
    write_episodes(&source, episodes, shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_one_thread_is_an_error_of_the_export() {
        let failed = in_parallel(&[1, 2, 3], 2, |item| {
            assert_ne!(*item, 2, "as planned");
            Ok(())
        });
        assert!(matches!(failed, Err(ExportError::Thread(_))));
    }
}
