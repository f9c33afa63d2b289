//! Threads for work that must not hold up the recording. Limited in bytes. The work ends in any
//! order; what follows it is done one after the other, in the order of submission.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use mldash_track::{ByteBound, panic_text};

/// A job for a worker.
pub(super) trait Job: Send + 'static {
    /// The memory that it holds until its work is done.
    fn cost_bytes(&self) -> usize;

    /// The work. Runs at the same time as that of other jobs.
    fn work(&mut self);

    /// Called if the work panicked, with the panic's text.
    fn panicked(&mut self, text: String);

    /// What follows the work: one job at a time, in the order of submission.
    fn commit(self);
}

/// The threads. They start when there is something to do.
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

/// Jobs whose work is done, and the number of the next to commit.
#[derive(Debug)]
struct Order<J> {
    done: BTreeMap<u64, J>,
    next: u64,
}

impl<J: Job> Workers<J> {
    /// At most this many threads, for jobs that hold at most this many bytes together.
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

    /// The limit on bytes of jobs whose work is not done.
    pub(super) fn limit_bytes(&self) -> usize {
        self.pool.state.lock().bytes.limit_bytes()
    }

    /// Sets another limit. Jobs that were submitted stay.
    pub(super) fn set_limit_bytes(&mut self, limit_bytes: usize) {
        self.pool.state.lock().bytes.set_limit_bytes(limit_bytes);
    }

    /// The bytes of jobs whose work is not done.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.pool.state.lock().bytes.used_bytes()
    }

    /// Returns true if a job of this size fits. A job larger than the limit fits when it is alone.
    pub(super) fn has_room(&self, cost_bytes: usize) -> bool {
        self.pool.state.lock().bytes.has_room(cost_bytes)
    }

    /// Waits until a job of this size fits.
    pub(super) fn wait_for_room(&self, cost_bytes: usize) {
        let mut state = self.pool.state.lock();
        while !state.bytes.has_room(cost_bytes) {
            self.pool.progressed.wait(&mut state);
        }
    }

    /// Hands a job to the threads. The caller has checked that there is room.
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
                        "can't start a thread for files, so the recording thread makes them: {error}"
                    );
                    self.pool.run(|| self.pool.state.lock().queue.pop_front());
                }
                Err(_) => {}
            }
        }
    }

    /// Returns once all submitted jobs are done and committed.
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
                tracing::error!("a thread for files panicked");
            }
        }
    }
}

impl<J: Job> Pool<J> {
    /// Runs jobs until there are no more.
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

    /// Commits the jobs whose turn it is. Returns how many.
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

    /// Waits for the next job; `None` once there will be no more.
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Duration;

    use super::*;

    /// More than anything here takes on a busy machine.
    const GENEROUS: Duration = Duration::from_secs(120);

    /// A job that waits for a signal, then reports its name.
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
            self.go.recv_timeout(GENEROUS).expect("nobody says go");
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

    /// Workers with the jobs `a` and `b`, and what reports their ends.
    struct Two {
        workers: Workers<Waits>,
        go_a: SyncSender<()>,
        go_b: SyncSender<()>,
        ends: Receiver<String>,
    }

    fn two_jobs(threads: usize, limit_bytes: usize) -> Two {
        let (told, ends) = sync_channel(9);
        let mut workers = Workers::new(threads, limit_bytes);
        let (go_a, a) = job("a", &told);
        let (go_b, b) = job("b", &told);
        workers.submit(a);
        workers.submit(b);
        Two { workers, go_a, go_b, ends }
    }

    #[test]
    fn what_is_done_first_waits_for_what_was_submitted_first() {
        let Two { workers, go_a, go_b, ends } = two_jobs(2, 1000);
        go_b.send(()).unwrap();
        go_a.send(()).unwrap();
        workers.wait_until_idle();
        assert_eq!(
            [ends.recv_timeout(GENEROUS).unwrap(), ends.recv_timeout(GENEROUS).unwrap()],
            ["a", "b"]
        );
    }

    #[test]
    fn the_bound_is_in_bytes_and_room_comes_back() {
        assert!(Workers::<Waits>::new(1, 25).has_room(1_000_000), "one job always fits");
        let Two { workers, go_a, go_b, ends } = two_jobs(1, 25);
        assert!(!workers.has_room(10));
        go_a.send(()).unwrap();
        workers.wait_for_room(10);
        assert_eq!(ends.recv_timeout(GENEROUS).unwrap(), "a");
        go_b.send(()).unwrap();
        workers.wait_until_idle();
        assert_eq!(ends.recv_timeout(GENEROUS).unwrap(), "b");
    }

    #[test]
    fn a_panic_costs_its_own_job_and_nothing_behind_it() {
        let Two { workers, go_a, go_b, ends } = two_jobs(1, 1000);
        drop(go_a);
        go_b.send(()).unwrap();
        drop(workers);
        assert_eq!(
            [ends.recv_timeout(GENEROUS).unwrap(), ends.recv_timeout(GENEROUS).unwrap()],
            ["a failed", "b"]
        );
    }
}
