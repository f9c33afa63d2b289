//! Pages for people, beside the calls for programs: who logs in with a token sees the experiments of its namespace, each as a
//! report that goes on while it is recorded, and downloads what they hold.
//!
//! What holds:
//! 1. A session of the browser leads to pages only, a token in a header to calls only. So no page of somebody else's can
//!    make a browser call the server.
//! 2. Whoever sends a token in a header gets the answers that it gets without pages.
//! 3. All markup comes from templates, which escape names and texts; scripts and styles are let in by their hashes; a browser
//!    asks no other host.
//! 4. What a page takes is asked for as by calls: a place among the requests, memory, a place among the downloads.

mod asked;
mod downloads;
mod html;
mod known;
mod list;
mod login;
mod range;
mod report;
mod reports;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceBuilder;

use super::app::App;
use super::connections::Acquaintance;
use super::linger::linger;
use super::routes::{compression, namespace_of, no_such_endpoint, no_such_method, within_bounds};
use html::{explained, guarded};
use known::Known;
use login::WrongTokens;
use reports::Reports;
use session::Sessions;

/// What is kept for pages.
#[derive(Debug, Default)]
pub(super) struct Pages {
    sessions: Sessions,
    wrong_tokens: WrongTokens,
    known: Known,
    reports: Arc<Reports>,
}

impl Pages {
    /// Stops what would take long, for the server's end.
    pub(super) fn stop(&self) {
        self.reports.stop();
    }
}

/// The routes of pages.
pub(super) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let within = Router::new()
        .route("/", get(list::page))
        .route("/report", get(report::page))
        .route("/report/state", get(report::state))
        .route("/downloads", get(downloads::page))
        .route("/downloads/mcap", get(downloads::mcap))
        .route("/downloads/parquet", get(downloads::parquet))
        .route("/downloads/file", get(downloads::file))
        .route("/logout", post(login::log_out))
        .method_not_allowed_fallback(no_such_method)
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(app.clone(), admit))
                .layer(from_fn_with_state(app.clone(), within_bounds)),
        );
    let before = Router::new()
        .route("/login", get(login::page).post(login::log_in))
        .route("/favicon.ico", get(StatusCode::NO_CONTENT))
        .method_not_allowed_fallback(no_such_method);
    within.merge(before).layer(DefaultBodyLimit::disable()).layer(
        ServiceBuilder::new()
            .layer(from_fn(linger))
            .layer(from_fn_with_state(app.clone(), answer_programs))
            .layer(from_fn(guarded))
            .layer(compression())
            .layer(from_fn(explained)),
    )
}

/// Who sends a token in a header is a program, for which there are no pages.
async fn answer_programs(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return next.run(request).await;
    }
    match namespace_of(&app, request.headers()) {
        Ok(namespace) => {
            let (parts, _) = request.into_parts();
            let mut answer = no_such_endpoint(parts.method, parts.uri).await.into_response();
            answer.extensions_mut().insert(namespace);
            answer
        }
        Err(refused) => refused.into_response(),
    }
}

/// Admits requests of a session, as its namespace. Others are shown the way in.
async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(namespace) = session::of(&app, request.headers()) else {
        return login::way_in(request.headers(), request.uri());
    };
    if let Some(acquaintance) = request.extensions().get::<Acquaintance>() {
        acquaintance.make();
    }
    request.extensions_mut().insert(namespace.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(namespace);
    response
}
