//! Routes paths to handlers, and defines what every request passes: the log, the token, the
//! limit on simultaneous requests, gzip in both directions.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;

use super::app::App;
use super::connections::{Acquaintance, Peer};
use super::error::ApiError;
use super::linger::linger;
use super::token::Namespace;
use super::work::holding;
use super::{files, graphql, nodes, pages, tracks};

/// Smaller answers are not worth compressing.
const COMPRESS_ABOVE_BYTES: u16 = 1024;
/// The only encoding of bodies, in both directions.
const GZIP: &str = "gzip";

/// The whole server as a service.
pub(super) fn router(app: &Arc<App>) -> Router {
    let api = Router::new()
        .route("/graphql", post(graphql::answer))
        .route("/api/namespaces/{namespace}/nodes", post(nodes::create))
        .route("/api/nodes/{id}", get(nodes::get).patch(nodes::change).delete(nodes::delete))
        .route("/api/nodes/{id}/download", get(files::download))
        .route("/api/search/files", get(files::search))
        .route("/api/experiments/{id}/tracks", get(tracks::list).post(tracks::create))
        .route("/api/experiments/{id}/tracks/{topic}/append", post(tracks::append))
        .route("/api/experiments/{id}/tracks/{topic}/append_batch", post(tracks::append_batch))
        .route("/api/experiments/{id}/tracks/{topic}/data", get(tracks::read))
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_method)
        // Bodies are limited where they are read: each kind has its own limit.
        .layer(DefaultBodyLimit::disable())
        .layer(
            ServiceBuilder::new()
                .layer(from_fn(linger))
                .layer(from_fn_with_state(app.clone(), authenticate))
                .layer(from_fn_with_state(app.clone(), within_bounds))
                .layer(from_fn(explain_encoding))
                .layer(compression())
                .layer(RequestDecompressionLayer::new()),
        );
    let all = api.merge(pages::router(app)).with_state(app.clone());
    Router::new().route("/healthz", get(healthy)).merge(all).layer(from_fn(log))
}

/// Compresses answers of text for those who take them so.
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE_BYTES).and(is_text))
}

async fn healthy() -> &'static str {
    "ok\n"
}

pub(super) async fn no_such_endpoint(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found(format!(
        "there is no {method} {}; this server serves experiments, tracks and files",
        uri.path()
    ))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::method_not_allowed(format!("there is no {method} for {}", uri.path()))
}

/// Images and Parquet are compressed already. What can be asked for in parts is sent as it is: the parts, and the tag, are of those
/// bytes.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &axum::http::Extensions) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let is_text = content_type.starts_with(b"application/json")
        || content_type.starts_with(b"application/x-ndjson")
        || content_type.starts_with(b"text/");
    is_text && !headers.contains_key(header::ACCEPT_RANGES)
}

/// Logs one line for each request, without headers and without what follows the `?`.
async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.to_string());
    let peer = peer.unwrap_or_default();
    let response = next.run(request).await;
    let status = response.status();
    let namespace = response.extensions().get::<Namespace>().map_or("-", Namespace::as_str);
    let ms = started.elapsed().as_millis();
    let code = status.as_u16();
    if status.is_server_error() {
        tracing::warn!("{peer} {namespace} {method} {path} {code} {ms} ms");
    } else {
        tracing::info!("{peer} {namespace} {method} {path} {code} {ms} ms");
    }
    response
}

/// Turns requests away when the limit on simultaneous requests is reached, or their namespace's
/// share of it. What a request began on another thread counts until it is done.
pub(super) async fn within_bounds(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let place = app.one_of(&app.requests, &namespace).ok_or_else(|| {
        ApiError::busy("the server's limit on simultaneous requests is reached; try again later")
    })?;
    Ok(holding(place, next.run(request)).await)
}

/// Admits requests with a known token, as its namespace.
async fn authenticate(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let namespace = namespace_of(&app, request.headers())?;
    if let Some(acquaintance) = request.extensions().get::<Acquaintance>() {
        acquaintance.make();
    }
    request.extensions_mut().insert(namespace.clone());
    let mut response = next.run(request).await;
    // For the log, and to tell that bodies may be compressed (RFC 9110, 12.5.3).
    response.extensions_mut().insert(namespace);
    response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(GZIP));
    Ok(response)
}

/// Gives an error in the server's own format where the layer that inflates bodies gives none.
async fn explain_encoding(request: Request, next: Next) -> Result<Response, ApiError> {
    let response = next.run(request).await;
    match response.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Err(ApiError::unsupported_encoding()),
        _ => Ok(response),
    }
}

/// The namespace of the token in the headers.
pub(super) fn namespace_of(app: &App, headers: &HeaderMap) -> Result<Namespace, ApiError> {
    let given = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        ApiError::unauthorized("no token; send the header `Authorization: Bearer <token>`")
    })?;
    let token = given.to_str().ok().and_then(|value| value.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim());
    let namespace = token.and_then(|token| app.tokens.namespace_of(token));
    namespace.ok_or_else(|| ApiError::unauthorized("this token is not known, or no longer valid"))
}
