//! What an export does on several threads: looking at all recordings, and writing their episodes, which are put together
//! in order.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::error::ExportError;
use crate::frames::{Episode, Part, Shared, Source, write_episodes};
use crate::plan::{Planned, Recording};

/// How many recordings each thread may be ahead of the first that is not put together yet.
const AHEAD: usize = 4;

/// Calls `work` with each item, on several threads; the results are in the order of the items.
pub(super) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, ExportError> + Sync,
) -> Result<Vec<R>, ExportError> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        let one = || loop {
            let Some((place, item)) = next.lock().next() else { return };
            let result = work(item);
            done.lock().insert(place, result);
        };
        for _ in 0..threads.min(items.len()) {
            scope.spawn(one);
        }
    });
    done.into_inner().into_values().collect()
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
    mut add: impl FnMut(usize, Part) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let turns = Mutex::new(Turns { next: 0, put_together: 0, is_over: false });
    let turned = Condvar::new();
    let ahead = workers * AHEAD;
    let (sender, receiver) = sync_channel(workers);
    let work = |sender: SyncSender<(usize, Result<Vec<Part>, ExportError>)>| loop {
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
        let parts = write_one(recordings, planned, jobs, place, shared);
        if sender.send((place, parts)).is_err() {
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
        let done = put_together(&receiver, recordings.len(), |place, parts| {
            let added = parts.into_iter().try_for_each(|part| add(place, part));
            finish(false);
            added
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
    receiver: &Receiver<(usize, Result<Vec<Part>, ExportError>)>,
    recordings: usize,
    mut add: impl FnMut(usize, Vec<Part>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut waiting = BTreeMap::new();
    for next in 0..recordings {
        let parts = loop {
            if let Some(parts) = waiting.remove(&next) {
                break parts;
            }
            let ended = |_| ExportError::Thread("while it wrote episodes".to_owned());
            let (place, parts) = receiver.recv().map_err(ended)?;
            waiting.insert(place, parts?);
        };
        add(next, parts)?;
    }
    Ok(())
}

pub(super) fn write_one(
    recordings: &[Recording],
    planned: &[Planned],
    jobs: &[Vec<Episode>],
    place: usize,
    shared: &Shared<'_>,
) -> Result<Vec<Part>, ExportError> {
    let mut parts = Vec::new();
    let (Some(recording), Some(planned), Some(episodes)) =
        (recordings.get(place), planned.get(place), jobs.get(place))
    else {
        return Ok(parts);
    };
    let (Some(joins), false) = (&planned.joins, episodes.is_empty()) else { return Ok(parts) };
    let Recording { name, experiment } = recording;
    let (task, start_secs) = (planned.task.as_deref(), planned.start_secs);
    let source = Source { name, experiment, joins, task, start_secs };
    write_episodes(&source, episodes, shared, |part| {
        parts.push(part);
        Ok(())
    })?;
    Ok(parts)
}
