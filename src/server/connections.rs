//! Taking connections: a bounded number, with a bound on how long a request's head may take, until
//! the server is told to stop; then what is under way is finished within a bound.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::{Limits, places};

/// After the system refused a connection, being out of file handles for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Who is at the other end, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves until `stop`; returns when no connection is left, or the grace is over.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let connections = places(limits.max_connections);
    let http = http(limits);
    let take_all = async {
        loop {
            let (stream, peer, counted) = match accept(&listener, &connections).await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(%error, "can't take a connection; trying again");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let service = router.clone().map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request
            });
            let service = TowerToHyperService::new(service);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // Clients that hang up in the middle are an everyday thing.
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke");
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
        tracing::warn!("some requests were not done within {:?}; they are cut off", limits.grace);
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
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let counted = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, counted))
}
