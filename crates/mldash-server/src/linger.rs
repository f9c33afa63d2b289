//! Lets a client see a refusal: what it still sends is read for a while and discarded. If the
//! connection were closed, it would be reset and the client would never see the reason.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Body as Streamed, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

/// The limit on discarded bytes…
const MAX_DISCARDED_BYTES: u64 = 64 << 20;
/// …and on the time that it takes.
const MAX_DISCARDING: Duration = Duration::from_secs(2);

/// A request's body whose rest can be read after its handler is done.
struct SharedBody(Arc<Mutex<State>>);

struct State {
    body: Body,
    was_asked_for: bool,
}

impl Streamed for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.0.lock();
        state.was_asked_for = true;
        Pin::new(&mut state.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}

/// The middleware, outside of everything that may refuse.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    let waits_to_be_asked = request.headers().contains_key(header::EXPECT);
    let mut shared = None;
    let request = request.map(|body| {
        let state = Arc::new(Mutex::new(State { body, was_asked_for: false }));
        shared = Some(state.clone());
        Body::new(SharedBody(state))
    });
    let response = next.run(request).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if let Some(state) = shared.filter(|_| refused) {
        // A client that asks before it sends (`Expect: 100-continue`) sends nothing then.
        if !waits_to_be_asked || state.lock().was_asked_for {
            discard(SharedBody(state)).await;
        }
    }
    response
}

async fn discard(mut body: SharedBody) {
    let read = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
            if discarded > MAX_DISCARDED_BYTES {
                break;
            }
        }
    };
    // A client that was refused gets no more time.
    let _ = timeout(MAX_DISCARDING, read).await;
}
