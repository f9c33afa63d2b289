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
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::app::App;
use super::error::ApiError;
use super::memory::Memory;
use super::shares::Share;
use super::token::Namespace;
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

/// Why what is sent ends early.
#[derive(Debug)]
pub(super) enum Failure {
    Track(TrackError),
    Refused(ApiError),
}

impl From<TrackError> for Failure {
    fn from(error: TrackError) -> Self {
        Self::Track(error)
    }
}

impl Failure {
    fn into_answer(self) -> ApiError {
        match self {
            Self::Track(error) => error.into(),
            Self::Refused(error) => error,
        }
    }
}

/// Rows that a client asks for.
pub(super) struct RowsAsked {
    pub(super) name: ExperimentName,
    pub(super) topic: TrackName,
    pub(super) query: Query,
    pub(super) format: Format,
}

/// The rows that are asked for, with non-finite floats as null.
pub(super) async fn stream(
    app: &App,
    namespace: &Namespace,
    mut memory: Memory,
    asked: RowsAsked,
) -> Result<Response, ApiError> {
    let RowsAsked { name, topic, query, format } = asked;
    // The status depends on whether there is such an experiment.
    let experiment = app.experiments.read(&name, Ok).await?;
    let mut response = stream_from(app, namespace, move |out| {
        let export = Export::from(format).strict();
        let mut refused = None;
        let has_room = |bytes| match memory.hold(bytes) {
            Ok(()) => true,
            Err(error) => {
                refused = Some(error);
                false
            }
        };
        let track = experiment.tracks(topic.as_str());
        let written = track.export_within(&query, export, out, has_room);
        match refused {
            Some(error) => Err(Failure::Refused(error.in_track(&topic))),
            None => Ok(written?),
        }
    })
    .await?;
    let content_type = HeaderValue::from_static(content_type(format));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// Answers with JSON. A large answer is sent in pieces, as the client takes them, and its memory is
/// held until then.
pub(super) async fn json(
    app: &App,
    namespace: &Namespace,
    mut memory: Memory,
    value: Value,
) -> Result<Response, ApiError> {
    let text = text_of(&value, &mut memory)?;
    drop(value);
    let mut response = if text.len() <= PIECE_BYTES {
        Response::new(Body::from(text))
    } else {
        stream_from(app, namespace, move |out| {
            let written = out.write_all(&text).map_err(TrackError::Export);
            drop(memory);
            Ok(written?)
        })
        .await?
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn text_of(value: &Value, memory: &mut Memory) -> Result<Vec<u8>, ApiError> {
    let mut bounded = Bounded { text: Vec::new(), memory, refused: None };
    match (serde_json::to_writer(&mut bounded, value), bounded.refused) {
        (Ok(()), _) => Ok(bounded.text),
        (Err(_), Some(refused)) => Err(refused),
        (Err(error), None) => Err(ApiError::internal(&error)),
    }
}

/// Asks for the memory of what is written.
struct Bounded<'a> {
    text: Vec<u8>,
    memory: &'a mut Memory,
    /// Why there was no memory.
    refused: Option<ApiError>,
}

impl Bounded<'_> {
    /// Makes room for `needed` bytes in all, and some more if there is memory for it.
    fn grow_to(&mut self, needed: usize) -> Result<(), ApiError> {
        let capacity = self.text.capacity();
        let roomy = needed.max(capacity + capacity / 2);
        let tight = needed.saturating_add(PIECE_BYTES).min(roomy);
        let grown = match self.memory.hold(roomy - capacity) {
            Ok(()) => roomy,
            Err(_) => self.memory.hold(tight - capacity).map(|()| tight)?,
        };
        self.text.reserve_exact(grown - self.text.len());
        Ok(())
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.text.len() + bytes.len();
        if needed > self.text.capacity()
            && let Err(refused) = self.grow_to(needed)
        {
            self.refused = Some(refused);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers with what `write` writes.
pub(super) async fn stream_from(
    app: &App,
    namespace: &Namespace,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Failure> + Send + 'static,
) -> Result<Response, ApiError> {
    let counted = app.one_of(&app.downloads, namespace).ok_or_else(|| {
        ApiError::busy("the server's limit on simultaneous downloads is reached; try again later")
    })?;
    let (send, mut pieces) = mpsc::channel(WAITING_PIECES);
    let patience = app.limits.body_timeout;
    let runtime = Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        let counted = Some(counted);
        let mut out = PieceWriter { piece: Vec::new(), send, runtime, patience, counted };
        let written =
            write(&mut out).and_then(|()| Ok(out.finish().map_err(TrackError::Export)?));
        match &written {
            // A client that is gone is no failure of the server.
            Err(Failure::Track(error)) if !matches!(error, TrackError::Export(_)) => {
                tracing::error!("{}", one_line(error));
            }
            _ => {}
        }
        written
    });
    // An error before the first piece still has its own status.
    match pieces.recv().await {
        Some(first) => Ok(Response::new(Body::new(PieceBody { known: Some(first), pieces }))),
        None => match written.await {
            Ok(Ok(())) => Ok(Response::new(Body::empty())),
            Ok(Err(failure)) => Err(failure.into_answer()),
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
    counted: Option<Share>,
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
        // No piece is larger, however large a row is.
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
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

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn an_answer_that_can_never_fit_is_too_large_and_most_of_the_memory_can_be_used() {
        let text = |bytes: usize| Value::from(vec!["x".repeat(1000); bytes / 1003]);
        let refused = text_of(&text(2 << 20), &mut Memory::alone(1 << 20)).unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::PAYLOAD_TOO_LARGE);
        let answer = text_of(&text(900 << 10), &mut Memory::alone(1 << 20)).unwrap();
        assert!(answer.len() > 890 << 10);
    }
}
