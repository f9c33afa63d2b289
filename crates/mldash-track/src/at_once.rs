//! Runs the same work on many things at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

use parking_lot::Mutex;

/// Returns what `work` makes of each of `things`, in order. The calling thread takes part, and does
/// all the work if no other thread can be started.
pub(super) fn at_once<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    on_threads(available_parallelism().map_or(1, usize::from), things, work)
}

/// Like [`at_once`], on so many threads.
pub(super) fn on_threads<T: Sync, R: Send>(
    threads: usize,
    things: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let helpers = threads.min(things.len()).saturating_sub(1);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(things.len()));
    let run = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(place) else { return };
            let result = work(thing);
            done.lock().push((place, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            // If it can't start, the others do its part.
            let _ = thread::Builder::new().name("at-once".into()).spawn_scoped(scope, run);
        }
        run();
    });
    let mut done = done.into_inner();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thing_is_worked_on_once_and_results_keep_their_order() {
        let things: Vec<usize> = (0..1000).collect();
        let doubled: Vec<usize> = things.iter().map(|n| n * 2).collect();
        assert_eq!(at_once(&things, |n| n * 2), doubled);
        assert!(at_once(&[0_u8; 0], |n| *n).is_empty());
    }
}
