//! A self-hosted ML-Dash track server over a local root (`serve`), for a lab without an account. It
//! serves experiments, tracks and files to the calls of the Python SDK 0.11.0. It stores them in
//! the local store's own layout, so that `read`, `tracks`, `align` and the SDK can read them.
//!
//! What holds:
//! 1. Rows answered with 2xx are flushed and survive `kill -9`. A batch that is refused is not
//!    stored at all; one that a kill left in part is whole once it is sent again. Storing it twice gives the same result, since rows of one `_ts` merge.
//! 2. A file is kept only if it is complete and has the announced checksum.
//! 3. A token gives access to its own namespace only. Names are parsed before they touch the disk, and
//!    can't leave the root. Ids are places, and are parsed the same way.
//! 4. Everything is bounded: bodies, rows, files, simultaneous requests and connections, bytes in
//!    memory, open experiments, and how long a client may take. A client that is turned away is told
//!    when to come back.
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
mod memory;
mod nodes;
mod pages;
mod routes;
mod shape;
mod shares;
mod token;
mod tracks;
mod upload;
mod work;

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
use mldash_track::{LinksRefused, open_to_append, refuse_links};
use pages::Pages;
use shares::Shares;
use token::Tokens;
pub use token::{TokenFileError, TokenLineProblem};

/// One server per root: it may clean up after an earlier one.
const LOCK_FILE: &str = ".serve.lock";
/// How often to check for idle experiments and a changed token file.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
const SPARE_THREADS: usize = 16;
/// What open tracks keep in memory is this part of what requests may take.
const KEPT_PART: usize = 8;

/// Bounds on what clients may ask for. A time longer than a year counts as a year, and more at the same time than
/// [`MOST_AT_ONCE`](Self::MOST_AT_ONCE) as that.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Largest body of a request other than a file, in bytes, inflated.
    pub max_body_bytes: usize,
    /// Largest file, in bytes.
    pub max_file_bytes: u64,
    /// Rows in a batch.
    pub max_rows: usize,
    /// Bodies in memory at the same time, over all requests, in bytes.
    pub max_memory_bytes: usize,
    /// Requests answered at the same time. More get 429 and are told to come back.
    pub max_requests: usize,
    /// Of these, answers that are sent in pieces as the client takes them: rows and files.
    pub max_downloads: usize,
    /// Connections at the same time. When one more comes, the oldest one that has shown no token is
    /// closed. If all have shown one, the new one waits.
    pub max_connections: usize,
    /// Experiments written to at the same time.
    pub max_experiments: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a body may take, in addition to the time earned by its bytes (4 KiB/s), and how
    /// long an answer's next piece may wait for the client.
    pub body_timeout: Duration,
    /// After this time without a write, an experiment is closed, which leaves it sorted and merged.
    pub idle_close: Duration,
    /// How long running requests may take when the server stops.
    pub grace: Duration,
}

/// The longest time that a limit can be: a year.
const LONGEST: Duration = Duration::from_secs(31_536_000);

impl Limits {
    /// The most requests, downloads, connections or experiments at the same time.
    pub const MOST_AT_ONCE: usize = 1 << 20;

    /// Brings times and numbers into a range in which sums of them make sense.
    fn in_range(mut self) -> Self {
        for number in [
            &mut self.max_requests,
            &mut self.max_downloads,
            &mut self.max_connections,
            &mut self.max_experiments,
        ] {
            *number = (*number).min(Self::MOST_AT_ONCE);
        }
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
        /// The operating system's error.
        source: io::Error,
    },
    /// Another server uses the root.
    #[error("another server serves {}; stop it, or choose another root", root.display())]
    RootInUse {
        /// The root.
        root: PathBuf,
    },
    /// The server can't listen on the address.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The server's threads can't be started.
    #[error("can't start the server")]
    Runtime(#[source] io::Error),
}

/// A server that listens. It answers once it [runs](Self::run).
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
    /// Both are held as long as the server lives.
    _lock: File,
    _no_links: LinksRefused,
}

impl Server {
    /// Listens on `address`, to serve `root` to those whom the token file names. Creates the root
    /// if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the root, the token file or the address can't be used.
    pub fn bind(
        root: &Path,
        address: SocketAddr,
        token_file: &Path,
        limits: Limits,
    ) -> Result<Self, ServeError> {
        let limits = limits.in_range();
        let tokens = Tokens::load(token_file)?;
        let in_root = |source| ServeError::Root { root: root.to_owned(), source };
        fs::create_dir_all(root).map_err(in_root)?;
        // Before anything in it is opened.
        let no_links = refuse_links(root).map_err(in_root)?;
        let lock = lock_root(root)?;
        let incoming = Incoming::prepare(root).map_err(|error| in_root(io::Error::other(error)))?;
        let listening = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let app = Arc::new(App {
            experiments: Experiments::new(
                root,
                limits.max_experiments,
                limits.max_memory_bytes / KEPT_PART,
            ),
            incoming,
            tokens,
            pages: Pages::default(),
            requests: Shares::new(limits.max_requests),
            // At least one body always fits.
            memory: Shares::new(
                limits.max_memory_bytes.max(limits.max_body_bytes.saturating_mul(2)),
            ),
            downloads: Shares::new(limits.max_downloads),
            limits,
        });
        Ok(Self { app, listener, address, _lock: lock, _no_links: no_links })
    }

    /// The address that it listens on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready. Then finishes running requests within the grace period, and
    /// closes the experiments.
    ///
    /// # Errors
    ///
    /// Fails if threads can't be started.
    pub fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let app = self.app;
        let runtime = runtime(&app.limits).map_err(ServeError::Runtime)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener);
            let listener = listener.map_err(ServeError::Runtime)?;
            let upkeep = tokio::spawn(upkeep(app.clone()));
            // Nobody waits for a report then.
            let stop = async {
                stop.await;
                app.pages.stop();
            };
            connections::serve(listener, routes::router(&app), &app.limits, stop).await;
            upkeep.abort();
            app.experiments.close_all().await;
            Ok(())
        })
    }
}

/// A semaphore for this many things.
fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count))
}

fn lock_root(root: &Path) -> Result<File, ServeError> {
    let in_root = |source| ServeError::Root { root: root.to_owned(), source };
    // Whatever is there is not emptied.
    let lock =
        open_to_append(&root.join(LOCK_FILE)).map_err(|error| in_root(io::Error::other(error)))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ServeError::RootInUse { root: root.to_owned() }),
        Err(TryLockError::Error(source)) => Err(in_root(source)),
    }
}

fn runtime(limits: &Limits) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // One thread for each request and each download, so that none waits for a client, and some
        // for closing experiments and for tokio's own file writes.
        .max_blocking_threads(limits.max_requests + limits.max_downloads + SPARE_THREADS)
        .thread_name("serve")
        .build()
}

/// The three don't wait for each other: closing an experiment may take a while.
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
    tokio::join!(close_idle, app.experiments.close_outgrown(), reload_tokens);
}
