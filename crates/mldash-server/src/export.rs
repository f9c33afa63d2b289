//! Sends rows to a client: a blocking thread writes them, and they are sent in pieces as the client
//! takes them, never held completely. A client that stops taking them is given up.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Body as Streamed, Frame};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::app::App;
use super::error::ApiError;
use mldash_track::{ExperimentName, Export, Format, Query, TrackError, TrackName, one_line};

/// The size of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the client.
const WAITING_PIECES: usize = 4;

/// A piece of what is written, `None` at its end. If the channel closes without an end, the answer
/// was broken off.
type Piece = Option<Bytes>;

/// Ends an answer early. The connection is cut, so that nobody takes a part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the data can't be read to its end")]
struct Broken;

/// The rows of `query` in `format`, with non-finite floats as null.
pub(super) async fn stream(
    app: &App,
    name: ExperimentName,
    topic: TrackName,
    query: Query,
    format: Format,
) -> Result<Response, ApiError> {
    // The status depends on whether there is such an experiment.
    let experiment = app.experiments.read(&name, Ok).await?;
    let mut response = stream_from(app, move |out| {
        let export = Export::from(format).strict();
        experiment.tracks(topic.as_str()).export_to(&query, export, out)
    })
    .await?;
    let content_type = HeaderValue::from_static(content_type(format));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// Answers with what `write` writes.
pub(super) async fn stream_from(
    app: &App,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), TrackError> + Send + 'static,
) -> Result<Response, ApiError> {
    let counted = app.downloads.clone().try_acquire_owned();
    let counted = counted.map_err(|_| {
        ApiError::busy("the server's limit on simultaneous downloads is reached; try again later")
    })?;
    let (send, mut pieces) = mpsc::channel(WAITING_PIECES);
    let patience = app.limits.body_timeout;
    let runtime = Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        let counted = Some(counted);
        let mut out = PieceWriter { piece: Vec::new(), send, runtime, patience, counted };
        let written = write(&mut out).and_then(|()| out.finish().map_err(TrackError::Export));
        // A client that is gone is no failure of the server.
        if let Err(error) = &written
            && !matches!(error, TrackError::Export(_))
        {
            tracing::error!("{}", one_line(error));
        }
        written
    });
    // An error before the first piece still has its own status.
    match pieces.recv().await {
        Some(first) => Ok(Response::new(Body::new(PieceBody { known: Some(first), pieces }))),
        None => match written.await {
            Ok(Ok(())) => Ok(Response::new(Body::empty())),
            Ok(Err(error)) => Err(error.into()),
            Err(panicked) => Err(ApiError::internal(&panicked)),
        },
    }
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Mocap => "application/json",
        Format::Jsonl => "application/x-ndjson",
        Format::Parquet => "application/vnd.apache.parquet",
        Format::Csv => "text/csv; charset=utf-8",
        // Nor has MCAP a registered one.
        _ => "application/octet-stream",
    }
}

/// Passes on what is written, in pieces.
struct PieceWriter {
    piece: Vec<u8>,
    send: mpsc::Sender<Piece>,
    runtime: Handle,
    /// How long a piece may wait for the client.
    patience: Duration,
    /// Its place among the downloads.
    counted: Option<OwnedSemaphorePermit>,
}

impl PieceWriter {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        match self.runtime.block_on(timeout(self.patience, self.send.send(piece))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        // A client that has seen the end finds the place free.
        self.counted = None;
        self.send(None)
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.send(Some(piece))
    }
}

/// The pieces as a body.
struct PieceBody {
    /// A piece that is known already: the first, or the end, which can be polled again.
    known: Option<Piece>,
    pieces: mpsc::Receiver<Piece>,
}

impl Streamed for PieceBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let piece = match self.known.take() {
            Some(piece) => Some(piece),
            None => ready!(self.pieces.poll_recv(context)),
        };
        Poll::Ready(match piece {
            Some(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(None) => {
                self.known = Some(None);
                None
            }
            None => Some(Err(Broken)),
        })
    }
}
