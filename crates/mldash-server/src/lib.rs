//! A self-hosted ML-Dash track server over a local root (`serve`): experiments, tracks and files by
//! the calls of the Python SDK 0.11.0, for a lab without an account. What it keeps is the local
//! store's own layout: `read`, `tracks`, `align` and the SDK read it as it lies.
//!
//! What holds:
//! 1. Rows that were answered with 2xx are flushed: `kill -9` keeps them. A batch is taken whole or
//!    not at all, and taken twice it is the same, since rows of one `_ts` merge.
//! 2. A file is kept only whole, under the checksum that was announced.
//! 3. A token reaches its own namespace and nothing else. Names are parsed before they touch the
//!    disk, and can't leave the root. Ids are places, parsed the same way.
//! 4. Everything is bounded: bodies, rows, files, requests and connections at once, bytes in memory,
//!    open experiments, and how long a client may take. Who is turned away is told when to come back.
//!
//! Knows nothing of ROS, messages or mappings.

mod app;
mod body;
mod connections;
mod entries;
mod error;
mod experiments;
mod export;
mod files;
mod graphql;
mod id;
mod incoming;
mod linger;
mod nodes;
mod routes;
mod shape;
mod token;
mod tracks;
mod upload;

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use app::App;
use experiments::Experiments;
use incoming::Incoming;
use token::Tokens;
pub use token::{TokenFileError, TokenLineProblem};

/// One server a root: it may tidy up after an earlier one.
const LOCK_FILE: &str = ".serve.lock";
/// How often idle experiments and the token file are looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
const SPARE_THREADS: usize = 16;

/// Bounds on what clients may ask for. A time longer than a year counts as a year.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Largest body of a request but for files, bytes, inflated.
    pub max_body_bytes: usize,
    /// Largest file, bytes.
    pub max_file_bytes: u64,
    /// Most rows in a batch.
    pub max_rows: usize,
    /// Bodies held in memory at once, over all requests, bytes.
    pub max_memory_bytes: usize,
    /// Requests answered at once; more are told to come back (429).
    pub max_requests: usize,
    /// Of these, answers that are sent piece by piece as the client takes them: rows and files.
    pub max_downloads: usize,
    /// Connections at once. When one more comes, the oldest that has shown no token is closed; where all
    /// have, it waits.
    pub max_connections: usize,
    /// Experiments written to at once.
    pub max_experiments: usize,
    /// How long the head of a request may take, and a connection lie idle.
    pub header_timeout: Duration,
    /// How long a body may take besides the time its bytes earn (4 KiB/s), and an answer's next
    /// piece may wait for the client.
    pub body_timeout: Duration,
    /// An experiment that nobody wrote to for so long is closed, and so left tidy.
    pub idle_close: Duration,
    /// How long requests under way may take when the server stops.
    pub grace: Duration,
}

/// The longest time that a limit can be: a year.
const LONGEST: Duration = Duration::from_secs(31_536_000);

impl Limits {
    /// Brings the times into a range in which sums of them make sense.
    fn with_times_in_range(mut self) -> Self {
        for time in [
            &mut self.header_timeout,
            &mut self.body_timeout,
            &mut self.idle_close,
            &mut self.grace,
        ] {
            *time = (*time).min(LONGEST);
        }
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 << 20,
            max_file_bytes: 4 << 30,
            max_rows: 100_000,
            max_memory_bytes: 256 << 20,
            max_requests: 128,
            max_downloads: 32,
            max_connections: 1024,
            max_experiments: 64,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            idle_close: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The token file can't be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The root can't be used.
    #[error("can't serve from {}", root.display())]
    Root {
        /// The root.
        root: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// Another server uses the root.
    #[error("another server serves {}; stop it, or choose another root", root.display())]
    RootInUse {
        /// The root.
        root: PathBuf,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's word.
        source: io::Error,
    },
    /// The server's threads can't be started.
    #[error("can't start the server")]
    Runtime(#[source] io::Error),
}

/// A server that listens, and answers once it [runs](Self::run).
///
/// ```no_run
/// use mldash_server::{Limits, Server};
/// let address = "127.0.0.1:3000".parse()?;
/// let server = Server::bind(".dash".as_ref(), address, "tokens".as_ref(), Limits::default())?;
/// server.run(std::future::pending())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    /// Held as long as it lives.
    _lock: File,
}

impl Server {
    /// Listens on `address`, to serve what lies under `root`, which is made if it is not there, to
    /// those whom the token file names.
    ///
    /// # Errors
    /// A root, a token file or an address that can't be used.
    pub fn bind(
        root: &Path,
        address: SocketAddr,
        token_file: &Path,
        limits: Limits,
    ) -> Result<Self, ServeError> {
        let limits = limits.with_times_in_range();
        let tokens = Tokens::load(token_file)?;
        let lock = lock_root(root)?;
        let in_root = |source| ServeError::Root { root: root.to_owned(), source };
        let incoming = Incoming::prepare(root).map_err(in_root)?;
        let listening = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let app = Arc::new(App {
            experiments: Experiments::new(root, limits.max_experiments),
            incoming,
            tokens,
            requests: places(limits.max_requests),
            // One body always fits.
            body_kib: places(limits.max_memory_bytes.max(limits.max_body_bytes).div_ceil(1 << 10)),
            downloads: places(limits.max_downloads),
            limits,
        });
        Ok(Self { app, listener, address, _lock: lock })
    }

    /// Where it listens, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready; then finishes the requests under way within their grace, and
    /// closes the experiments.
    ///
    /// # Errors
    /// Threads that can't be started.
    pub fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let app = self.app;
        let runtime = runtime(&app.limits).map_err(ServeError::Runtime)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener);
            let listener = listener.map_err(ServeError::Runtime)?;
            let upkeep = tokio::spawn(upkeep(app.clone()));
            connections::serve(listener, routes::router(&app), &app.limits, stop).await;
            upkeep.abort();
            app.experiments.close_all().await;
            Ok(())
        })
    }
}

/// So many things at once, however many that is.
fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

fn lock_root(root: &Path) -> Result<File, ServeError> {
    let in_root = |source| ServeError::Root { root: root.to_owned(), source };
    fs::create_dir_all(root).map_err(in_root)?;
    let lock = File::create(root.join(LOCK_FILE)).map_err(in_root)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ServeError::RootInUse { root: root.to_owned() }),
        Err(TryLockError::Error(source)) => Err(in_root(source)),
    }
}

fn runtime(limits: &Limits) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // One for each request and each download, so that none waits for a client, and some for
        // closing and for tokio's own file writes.
        .max_blocking_threads(
            limits.max_requests.saturating_add(limits.max_downloads).saturating_add(SPARE_THREADS),
        )
        .thread_name("serve")
        .build()
}

/// The two don't wait for each other: closing may take a while.
async fn upkeep(app: Arc<App>) {
    let close_idle = async {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        loop {
            every.tick().await;
            app.experiments.close_idle(app.limits.idle_close).await;
        }
    };
    let reload_tokens = async {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        loop {
            every.tick().await;
            app.tokens.reload_if_changed();
        }
    };
    tokio::join!(close_idle, reload_tokens);
}
