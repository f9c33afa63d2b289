//! `mldash_bridge serve`: an ML-Dash track server over a local root.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use mldash_bridge::server::{Limits, ServeError, Server};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::oneshot;

use super::Failure;
use super::args::{RootArgs, parse_duration};

const MIB: usize = 1 << 20;
/// The largest number of MiB or rows: more than there can be.
const MOST: u64 = 1 << 40;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    root: RootArgs,
    /// The address to listen on. Traffic is not encrypted; for other machines, put a TLS proxy in front.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The tokens that give access: one `namespace token` pair per line, # starts a comment. Changes take
    /// effect within a second.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Bounds on what clients may ask for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Largest request body other than a file, decompressed.
    #[arg(long, value_name = "MIB", value_parser = up_to::<usize>(MOST), default_value_t = Limits::default().max_body_bytes / MIB)]
    max_body: usize,
    /// Largest file.
    #[arg(long, value_name = "MIB", value_parser = up_to::<u64>(MOST), default_value_t = Limits::default().max_file_bytes / MIB as u64)]
    max_file: u64,
    /// Most rows in a batch.
    #[arg(long, value_name = "ROWS", value_parser = up_to::<usize>(MOST), default_value_t = Limits::default().max_rows)]
    max_rows: usize,
    /// Memory for requests: bodies, what they become when they are parsed, and what is read for answers. One
    /// namespace of several gets at most half.
    #[arg(long, value_name = "MIB", value_parser = up_to::<usize>(MOST), default_value_t = Limits::default().max_memory_bytes / MIB)]
    max_memory: usize,
    /// Requests answered at the same time; further ones are told to retry.
    #[arg(long, value_name = "N", value_parser = up_to::<usize>(Limits::MOST_AT_ONCE as u64), default_value_t = Limits::default().max_requests)]
    max_requests: usize,
    /// Reads and downloads at the same time.
    #[arg(long, value_name = "N", value_parser = up_to::<usize>(Limits::MOST_AT_ONCE as u64), default_value_t = Limits::default().max_downloads)]
    max_downloads: usize,
    /// Connections at the same time. When another one comes, the oldest that has shown no token is closed;
    /// if all have shown one, the new one waits.
    #[arg(long, value_name = "N", value_parser = up_to::<usize>(Limits::MOST_AT_ONCE as u64), default_value_t = Limits::default().max_connections)]
    max_connections: usize,
    /// Experiments open for writing at the same time.
    #[arg(long, value_name = "N", value_parser = up_to::<usize>(Limits::MOST_AT_ONCE as u64), default_value_t = Limits::default().max_experiments)]
    max_experiments: usize,
    /// How long a request's head may take, and how long a connection may be idle [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    header_timeout: Option<Duration>,
    /// How long a request's body may take, plus a second for each 4 KiB, and how long an answer may wait for
    /// the client [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    body_timeout: Option<Duration>,
    /// Close an experiment after nobody has written to it for this long [default: 60].
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    idle_close: Option<Duration>,
    /// How long running requests may take when the server is stopped [default: 10].
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    grace: Option<Duration>,
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Tokens(_) => Self::Usage(error.into()),
            error => Self::Failed(error.into()),
        }
    }
}

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let stopped = stop_signal().map_err(ServeError::Runtime)?;
    let limits = args.limits.to_limits();
    let root = args.root.path();
    let server = Server::bind(root, args.listen, &args.token_file, limits)?;
    tracing::info!("serving {} on http://{}", root.display(), server.address());
    if !server.address().ip().is_loopback() {
        tracing::warn!("traffic is not encrypted: whoever can read it can read tokens and data");
    }
    server.run(stopped)?;
    tracing::info!("stopped; every experiment is closed");
    Ok(())
}

impl LimitArgs {
    fn to_limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.max_body_bytes = self.max_body.saturating_mul(MIB);
        limits.max_file_bytes = self.max_file.saturating_mul(MIB as u64);
        limits.max_rows = self.max_rows;
        limits.max_memory_bytes = self.max_memory.saturating_mul(MIB);
        limits.max_requests = self.max_requests;
        limits.max_downloads = self.max_downloads;
        limits.max_connections = self.max_connections;
        limits.max_experiments = self.max_experiments;
        limits.header_timeout = self.header_timeout.unwrap_or(limits.header_timeout);
        limits.body_timeout = self.body_timeout.unwrap_or(limits.body_timeout);
        limits.idle_close = self.idle_close.unwrap_or(limits.idle_close);
        limits.grace = self.grace.unwrap_or(limits.grace);
        limits
    }
}

fn up_to<T: TryFrom<u64>>(most: u64) -> RangedU64ValueParser<T> {
    RangedU64ValueParser::new().range(1..=most)
}

/// Ready at the first SIGINT or SIGTERM.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (stop, stopped) = oneshot::channel();
    let watch = move || {
        let mut stop = Some(stop);
        for _ in signals.forever() {
            match stop.take() {
                Some(stop) => {
                    tracing::info!("stopping: finishing requests, closing experiments");
                    // If the server is gone, it need not be told.
                    let _ = stop.send(());
                }
                None => tracing::warn!("still finishing; kill -9 loses nothing that was answered"),
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch)?;
    Ok(async {
        let _ = stopped.await;
    })
}
