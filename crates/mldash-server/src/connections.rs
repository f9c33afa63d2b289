//! Accepts connections: a limited number, with a limit on how long a request's head may take, until
//! the server is told to stop. Running requests are then finished within a time limit. If all
//! places are taken, the oldest connection that has shown no token is closed, so that a crowd of
//! such connections locks nobody out.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::{Limits, places};

/// The pause after the system refused a connection, for example for lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The limit on the head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The client's address, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Connections that have shown no token yet, the oldest first.
#[derive(Debug, Default)]
struct Strangers {
    here: Mutex<BTreeMap<u64, Arc<Notify>>>,
    came: AtomicU64,
}

/// Membership among the strangers. Dropping it ends it.
#[derive(Debug)]
struct Unknown {
    number: u64,
    leave: Arc<Notify>,
    strangers: Arc<Strangers>,
}

/// Lets the authentication report that this connection has shown a token.
#[derive(Clone, Debug)]
pub(super) struct Acquaintance(Arc<Unknown>);

impl Strangers {
    fn take_in(self: &Arc<Self>) -> Arc<Unknown> {
        let number = self.came.fetch_add(1, Ordering::Relaxed);
        let leave = Arc::new(Notify::new());
        self.here.lock().insert(number, leave.clone());
        Arc::new(Unknown { number, leave, strangers: self.clone() })
    }

    fn send_one_away(&self) {
        if let Some((_, leave)) = self.here.lock().pop_first() {
            leave.notify_one();
        }
    }
}

impl Acquaintance {
    /// Keeps the connection from being closed for others.
    pub(super) fn make(&self) {
        self.0.strangers.here.lock().remove(&self.0.number);
    }
}

impl Drop for Unknown {
    fn drop(&mut self) {
        self.strangers.here.lock().remove(&self.number);
    }
}

/// Serves until `stop`. Returns when no connection is left or the grace period is over.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let connections = places(limits.max_connections);
    let strangers = Arc::new(Strangers::default());
    let http = http(limits);
    let take_all = async {
        loop {
            let (stream, peer, counted) = match accept(&listener, &connections, &strangers).await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection; trying again");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let unknown = strangers.take_in();
            let acquaintance = Acquaintance(unknown.clone());
            let service = router.clone().map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request.extensions_mut().insert(acquaintance.clone());
                request
            });
            let service = TowerToHyperService::new(service);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                tokio::select! {
                    // Clients often hang up in the middle.
                    done = connection => if let Err(error) = done {
                        tracing::debug!(%error, "a connection broke");
                    },
                    () = unknown.leave.notified() => {
                        tracing::debug!(%peer, "closed to make room for another connection");
                    }
                }
                drop(counted);
            });
        }
    };
    tokio::select! {
        () = stop => {}
        () = take_all => {}
    }
    drop(listener);
    if timeout(limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end within {:?} and were aborted", limits.grace);
    }
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    http
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    strangers: &Strangers,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    if connections.available_permits() == 0 {
        strangers.send_one_away();
    }
    let counted = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((stream, peer, counted))
}
