//! The same work on many items, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

/// Calls `work` with each item, on so many threads, up to the first error; the results are in the order of the items. A panic of `work` is one of the caller.
pub(crate) fn at_once<T: Sync, R: Send, E: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let one = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return };
            let result = work(item);
            if result.is_err() {
                // The others end after what they are at.
                next.store(items.len(), Ordering::Relaxed);
            }
            done.lock().insert(place, result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(one);
        }
        // This thread is one of them.
        one();
    });
    done.into_inner().into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_nothing_is_begun_after_an_error() {
        let items: Vec<u64> = (0..100).collect();
        assert_eq!(at_once::<_, _, ()>(&items, 4, |item| Ok(item * 2)).unwrap()[99], 198);
        let begun = Mutex::new(0);
        let failed = at_once(&items, 1, |item| {
            *begun.lock() += 1;
            if *item == 3 { Err(*item) } else { Ok(()) }
        });
        assert_eq!(failed, Err(3));
        assert_eq!(*begun.lock(), 4);
    }
}
