//! Threads for work that must not hold the recording up. Bounded in bytes; whatever order the work
//! ends in, what follows it is done one after the other, in the order of submission.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use mldash_track::ByteBound;

/// Something to be done on a worker.
pub(super) trait Job: Send + 'static {
    /// What it holds in memory until its work is done.
    fn cost_bytes(&self) -> usize;

    /// The work, beside that of others.
    fn work(&mut self);

    /// Its work panicked, and said this.
    fn panicked(&mut self, text: String);

    /// What follows: one job at a time, in the order of submission.
    fn commit(self);
}

/// The threads, started when there is something to do.
#[derive(Debug)]
pub(super) struct Workers<J: Job> {
    pool: Arc<Pool<J>>,
    threads: Vec<JoinHandle<()>>,
    max_threads: usize,
}

#[derive(Debug)]
struct Pool<J> {
    state: Mutex<State<J>>,
    submitted: Condvar,
    progressed: Condvar,
    order: Mutex<Order<J>>,
}

#[derive(Debug)]
struct State<J> {
    queue: VecDeque<(u64, J)>,
    next_number: u64,
    /// The bytes of jobs whose work is not done.
    bytes: ByteBound,
    /// Jobs that are not committed.
    unfinished: usize,
    closed: bool,
}

/// Jobs whose work is done, and whose turn it is.
#[derive(Debug)]
struct Order<J> {
    done: BTreeMap<u64, J>,
    next: u64,
}

impl<J: Job> Workers<J> {
    /// At most so many threads for jobs that hold at most so many bytes together.
    pub(super) fn new(max_threads: usize, limit_bytes: usize) -> Self {
        let state = State {
            queue: VecDeque::new(),
            next_number: 0,
            bytes: ByteBound::new(limit_bytes),
            unfinished: 0,
            closed: false,
        };
        let pool = Pool {
            state: Mutex::new(state),
            submitted: Condvar::new(),
            progressed: Condvar::new(),
            order: Mutex::new(Order { done: BTreeMap::new(), next: 0 }),
        };
        Self { pool: Arc::new(pool), threads: Vec::new(), max_threads }
    }

    /// What the jobs may hold whose work is not done.
    pub(super) fn limit_bytes(&self) -> usize {
        self.pool.state.lock().bytes.limit_bytes()
    }

    /// Bounds them anew; those that are there stay.
    pub(super) fn set_limit_bytes(&mut self, limit_bytes: usize) {
        self.pool.state.lock().bytes.set_limit_bytes(limit_bytes);
    }

    /// What the jobs hold whose work is not done.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.pool.state.lock().bytes.used_bytes()
    }

    /// Whether a job of so many bytes fits. One larger than the bound is let through alone rather
    /// than never.
    pub(super) fn has_room(&self, cost_bytes: usize) -> bool {
        self.pool.state.lock().bytes.has_room(cost_bytes)
    }

    /// Returns once a job of so many bytes fits.
    pub(super) fn wait_for_room(&self, cost_bytes: usize) {
        let mut state = self.pool.state.lock();
        while !state.bytes.has_room(cost_bytes) {
            self.pool.progressed.wait(&mut state);
        }
    }

    /// Hands a job to the threads. Whether there is room is for the caller to ask before.
    pub(super) fn submit(&mut self, job: J) {
        {
            let mut state = self.pool.state.lock();
            let number = state.next_number;
            state.next_number += 1;
            state.bytes.add(job.cost_bytes());
            state.unfinished += 1;
            state.queue.push_back((number, job));
        }
        self.pool.submitted.notify_one();
        if self.threads.len() < self.max_threads {
            let pool = self.pool.clone();
            let thread = thread::Builder::new().name("frames".into());
            match thread.spawn(move || pool.run(|| pool.wait_for_job())) {
                Ok(thread) => self.threads.push(thread),
                Err(error) if self.threads.is_empty() => {
                    tracing::warn!(
                        "no thread for files ({error}): they are made by the recorder's own"
                    );
                    self.pool.run(|| self.pool.state.lock().queue.pop_front());
                }
                Err(_) => {}
            }
        }
    }

    /// Returns once everything that was submitted is done and committed.
    pub(super) fn wait_until_idle(&self) {
        let mut state = self.pool.state.lock();
        while state.unfinished > 0 {
            self.pool.progressed.wait(&mut state);
        }
    }
}

impl<J: Job> Drop for Workers<J> {
    fn drop(&mut self) {
        self.pool.state.lock().closed = true;
        self.pool.submitted.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread for files ended by a panic");
            }
        }
    }
}

impl<J: Job> Pool<J> {
    /// Does jobs until there are none.
    fn run(&self, next: impl Fn() -> Option<(u64, J)>) {
        while let Some((number, mut job)) = next() {
            let bytes = job.cost_bytes();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.work())) {
                job.panicked(panic_text(&*panic));
            }
            self.state.lock().bytes.release(bytes);
            self.progressed.notify_all();
            let committed = self.commit(number, job);
            self.state.lock().unfinished -= committed;
            self.progressed.notify_all();
        }
    }

    /// Commits the jobs whose turn it is; how many there were.
    fn commit(&self, number: u64, job: J) -> usize {
        let mut order = self.order.lock();
        order.done.insert(number, job);
        let mut committed = 0;
        loop {
            let next = order.next;
            let Some(job) = order.done.remove(&next) else { return committed };
            order.next += 1;
            committed += 1;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.commit())) {
                tracing::error!("storing a row: {}", panic_text(&*panic));
            }
        }
    }

    /// The next job; none once there are to be no more.
    fn wait_for_job(&self) -> Option<(u64, J)> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            self.submitted.wait(&mut state);
        }
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Waits for a word, then tells its name.
    struct Waits {
        name: &'static str,
        go: Receiver<()>,
        told: SyncSender<String>,
        failed: bool,
    }

    impl Job for Waits {
        fn cost_bytes(&self) -> usize {
            10
        }

        fn work(&mut self) {
            self.go.recv().expect("nobody says go");
        }

        fn panicked(&mut self, text: String) {
            self.failed = text.contains("nobody");
        }

        fn commit(self) {
            let failed = if self.failed { " failed" } else { "" };
            self.told.send(format!("{}{failed}", self.name)).unwrap();
        }
    }

    fn job(name: &'static str, told: &SyncSender<String>) -> (SyncSender<()>, Waits) {
        let (go, wait) = sync_channel(1);
        (go, Waits { name, go: wait, told: told.clone(), failed: false })
    }

    #[test]
    fn what_is_done_first_waits_for_what_was_submitted_first() {
        let (told, hear) = sync_channel(9);
        let mut workers = Workers::new(2, 1000);
        let (go_a, a) = job("a", &told);
        let (go_b, b) = job("b", &told);
        workers.submit(a);
        workers.submit(b);
        go_b.send(()).unwrap();
        go_a.send(()).unwrap();
        workers.wait_until_idle();
        assert_eq!([hear.recv().unwrap(), hear.recv().unwrap()], ["a", "b"]);
    }

    #[test]
    fn the_bound_is_in_bytes_and_room_comes_back() {
        let (told, hear) = sync_channel(9);
        let mut workers = Workers::new(1, 25);
        let (go_a, a) = job("a", &told);
        let (go_b, b) = job("b", &told);
        assert!(workers.has_room(1_000_000));
        workers.submit(a);
        assert!(workers.has_room(10));
        workers.submit(b);
        assert!(!workers.has_room(10));
        go_a.send(()).unwrap();
        workers.wait_for_room(10);
        assert_eq!(hear.recv().unwrap(), "a");
        go_b.send(()).unwrap();
        workers.wait_until_idle();
        assert_eq!(hear.recv().unwrap(), "b");
    }

    #[test]
    fn a_panic_costs_its_own_job_and_nothing_behind_it() {
        let (told, hear) = sync_channel(9);
        let mut workers = Workers::new(1, 1000);
        let (go_a, a) = job("a", &told);
        let (go_b, b) = job("b", &told);
        drop(go_a);
        go_b.send(()).unwrap();
        workers.submit(a);
        workers.submit(b);
        drop(workers);
        assert_eq!([hear.recv().unwrap(), hear.recv().unwrap()], ["a failed", "b"]);
    }
}
