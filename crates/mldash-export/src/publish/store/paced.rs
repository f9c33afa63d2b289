//! Sends no faster than asked: what is sent is handed out piece by piece, each when its time has come, so that a robot's link
//! is never full for seconds. Settings of `object_store`'s own client (proxies, certificates of one's own) come from the
//! system here.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// What is handed out at once.
const PIECE_BYTES: usize = 16 << 10;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay without an acknowledgement, and an answer may take besides what sending takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// What of the rate a request has at least: several experiments are published at once, with several pictures each.
const LEAST_SHARE: u64 = 16;

/// Objects are read in parts of this size, which the rate does not bound: it is about what a link sends.
const LARGEST_ANSWER: u64 = 8 << 20;

/// A rate that all requests share.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    bytes_per_sec: u64,
    /// When the next piece may go.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    pub(super) fn new(bytes_per_sec: u64) -> Self {
        Self { bytes_per_sec: bytes_per_sec.max(1), next: Arc::default() }
    }

    /// How long a request may take that sends so many bytes, and receives no more than a part of an object.
    fn longest(&self, bytes: u64) -> Duration {
        let share = (self.bytes_per_sec / LEAST_SHARE).max(1 << 10);
        ANSWER_TIMEOUT + Duration::from_secs(bytes.max(LARGEST_ANSWER) / share)
    }

    /// When so many bytes may go, given `now`.
    pub(super) fn take(&self, bytes: usize, now: Instant) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
        let mut next = self.next.lock();
        let at = next.unwrap_or(now).max(now);
        *next = Some(at + takes);
        at
    }

    /// The pieces of a body, each in its time.
    fn pieces(self, body: HttpRequestBody) -> impl Stream<Item = Result<Bytes, HttpError>> {
        let begun = (self, body, Bytes::new());
        stream::try_unfold(begun, |(pace, mut body, mut rest)| async move {
            while rest.is_empty() {
                let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
                let Some(frame) = frame else { return Ok(None) };
                rest = frame?.into_data().unwrap_or_default();
            }
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            sleep_until(pace.take(piece.len(), Instant::now())).await;
            Ok(Some((piece, (pace, body, rest))))
        })
    }
}

/// Makes clients that keep to a pace.
#[derive(Clone, Debug)]
pub(super) struct PacedConnector(pub(super) Pace);

impl HttpConnector for PacedConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("mldash_bridge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(ANSWER_TIMEOUT)
            .build();
        let client = client.map_err(|error| object_store::Error::Generic {
            store: "HTTP client",
            source: Box::new(error),
        })?;
        Ok(HttpClient::new(PacedClient { client, pace: self.0.clone() }))
    }
}

#[derive(Debug)]
struct PacedClient {
    client: reqwest::Client,
    pace: Pace,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for PacedClient {
    fn call<'s, 'a>(&'s self, request: HttpRequest) -> Answer<'a>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(self.send(request))
    }
}

impl PacedClient {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = reqwest::Url::parse(&parts.uri.to_string())
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.timeout_mut() = Some(self.pace.longest(body.content_length() as u64));
        if body.content_length() > 0 {
            // The length is among the headers, so that it is not sent in chunks, which S3 refuses.
            *request.body_mut() = Some(reqwest::Body::wrap_stream(self.pace.clone().pieces(body)));
        }
        let answer = self.client.execute(request).await.map_err(failed)?;
        let mut made = http::Response::builder().status(answer.status());
        if let Some(headers) = made.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let body = HttpResponseBody::new(Received(reqwest::Body::from(answer)));
        made.body(body).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))
    }
}

/// The body of an answer.
struct Received(reqwest::Body);

impl Body for Received {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(failed)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// What may be tried again is told apart from what may not.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = match () {
        () if error.is_connect() => HttpErrorKind::Connect,
        () if error.is_timeout() => HttpErrorKind::Timeout,
        () if error.is_decode() => HttpErrorKind::Decode,
        () => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, error.without_url())
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[test]
    fn requests_share_a_rate_and_a_pause_is_not_made_up_for() {
        let pace = Pace::new(1000);
        let start = Instant::now();
        let secs = |secs: f64| Duration::from_secs_f64(secs);
        assert_eq!(pace.take(500, start), start);
        assert_eq!(pace.clone().take(1000, start), start + secs(0.5));
        assert_eq!(pace.take(1, start + secs(60.0)), start + secs(60.0));
    }

    #[test]
    fn a_body_arrives_whole() {
        let bytes = Bytes::from(vec![7; 3 * PIECE_BYTES + 1]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pieces = Pace::new(u64::MAX).pieces(bytes.clone().into());
        let pieces: Vec<Bytes> = runtime.block_on(pieces.map(Result::unwrap).collect());
        assert_eq!(pieces.len(), 4);
        assert_eq!(pieces.concat(), bytes);
    }
}
