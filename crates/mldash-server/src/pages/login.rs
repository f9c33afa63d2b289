//! In and out: a form that takes a token, a button that ends the session. What protects a token is its length, as with calls,
//! which refuse a wrong one at once. Here a person waits a second after a mistake, and a program that makes many is told to go
//! slower; whoever has a token gets in, whatever others do.

mod origin;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::asked::Asked;
use super::html::{Styles, in_query, page as page_of, wants_page};
use super::session;
use crate::app::App;
use crate::connections::Peer;
use crate::error::ApiError;

/// A form's text: a token, and where to go then.
const MAX_FORM_BYTES: usize = 16 << 10;
/// How long a wrong token is not answered.
const AFTER_WRONG: Duration = Duration::from_secs(1);
/// Wrong tokens that wait for their answer: of one address, behind a proxy that of all, …
const MAX_OF_ADDRESS: usize = 8;
/// … and of all addresses.
const MAX_WRONG: usize = 64;

/// The form.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    styles: Styles,
    /// Where to go then.
    next: &'a str,
    problem: Option<&'a str>,
}

/// A page that goes on to the form by itself.
#[derive(Template)]
#[template(path = "way_in.html")]
struct WayIn<'a> {
    styles: Styles,
    login: &'a str,
}

/// Attempts to log in with a wrong token that wait for their answer, by address.
#[derive(Debug, Default)]
pub(super) struct WrongTokens(Mutex<HashMap<IpAddr, usize>>);

/// One of them. Dropping it ends it.
struct WrongToken<'a> {
    all: &'a WrongTokens,
    address: IpAddr,
}

impl WrongTokens {
    fn begin(&self, peer: IpAddr) -> Option<WrongToken<'_>> {
        let address = network(peer);
        let mut here = self.0.lock();
        let of_address = here.get(&address).copied().unwrap_or_default();
        if of_address >= MAX_OF_ADDRESS || here.values().sum::<usize>() >= MAX_WRONG {
            return None;
        }
        here.insert(address, of_address + 1);
        Some(WrongToken { all: self, address })
    }
}

impl Drop for WrongToken<'_> {
    fn drop(&mut self) {
        let mut here = self.all.0.lock();
        if let Some(count) = here.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.address);
            }
        }
    }
}

/// Whom an address belongs to: of IPv6, everybody has 2^64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// GET `/login`: the form; for those who are logged in, the way on.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let next = next_of(&Asked::of(&uri));
    if session::of(&app, &headers).is_some() {
        return Ok(go_to(&next));
    }
    page_of(&LoginPage { styles: Styles, next: &next, problem: None })
}

/// POST `/login`: begins a session.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    origin::check(&parts.headers)?;
    let form = Asked::of_form(&form(&app, body).await?);
    let next = next_of(&form);
    let token = form.get("token").unwrap_or_default().trim();
    let Some((hash, namespace)) = app.tokens.admit(token) else {
        let peer = parts.extensions.get::<Peer>().map(|Peer(peer)| peer.ip());
        let wrong = app.pages.wrong_tokens.begin(peer.unwrap_or(Ipv6Addr::UNSPECIFIED.into()));
        let wrong = wrong.ok_or_else(|| {
            ApiError::busy(
                "this token is not known, and too many wrong ones came at the same time; try again",
            )
        })?;
        sleep(AFTER_WRONG).await;
        drop(wrong);
        let problem = Some("This token is not known, or no longer valid.");
        let mut refused = page_of(&LoginPage { styles: Styles, next: &next, problem })?;
        *refused.status_mut() = StatusCode::FORBIDDEN;
        return Ok(refused);
    };
    let name = app.pages.sessions.begin(hash, namespace.clone());
    let name = name.map_err(|error| ApiError::internal(&error))?;
    let mut answer = go_to(&next);
    if let Some(cookie) = session::cookie(&name, origin::is_encrypted(&parts.headers)) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer.extensions_mut().insert(namespace);
    Ok(answer)
}

/// POST `/logout`: ends the session.
pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    origin::check(&headers)?;
    app.pages.sessions.end(&headers);
    let mut answer = go_to("/login");
    answer.headers_mut().insert(header::SET_COOKIE, session::no_cookie());
    Ok(answer)
}

/// What those get who are not logged in: people the form, programs a refusal.
pub(super) fn way_in(headers: &HeaderMap, uri: &Uri) -> Response {
    if !wants_page(headers) {
        return ApiError::unauthorized(
            "not logged in; programs send the header `Authorization: Bearer <token>` to the calls below /api",
        )
        .into_response();
    }
    let next = uri.path_and_query().map_or("/", |next| next.as_str());
    let login = format!("/login?next={}", in_query(next));
    if !origin::is_from_elsewhere(headers) {
        return go_to(&login);
    }
    // A link on another site's page, or in a mail: the browser keeps the cookie back until our own page leads on.
    page_of(&WayIn { styles: Styles, login: &login }).unwrap_or_else(IntoResponse::into_response)
}

/// Where to go once logged in: a place on this server.
fn next_of(asked: &Asked) -> String {
    let next = asked.get("next").unwrap_or_default();
    // `//host` and `/\host` are other hosts to a browser.
    let is_here = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (if is_here { next } else { "/" }).to_owned()
}

fn go_to(place: &str) -> Response {
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

async fn form(app: &App, body: Body) -> Result<Vec<u8>, ApiError> {
    let whole = Limited::new(body, MAX_FORM_BYTES).collect();
    let whole = timeout(app.limits.body_timeout, whole).await.map_err(|_| ApiError::too_slow())?;
    let too_large = |_| ApiError::bad_request("the form can't be read, or is too large");
    Ok(whole.map_err(too_large)?.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_a_browser_stays_here() {
        let next =
            |next: &str| next_of(&Asked::of_form(format!("next={}", in_query(next)).as_bytes()));
        assert_eq!(next("/report?e=experiment~~a~~b~~c"), "/report?e=experiment~~a~~b~~c");
        for elsewhere in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\r\nSet-Cookie: x=1",
            "x",
        ] {
            assert_eq!(next(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn of_one_address_few_wrong_tokens_wait_and_others_have_their_places() {
        let all = WrongTokens::default();
        let [here, there] =
            ["2001:db8::1", "2001:db8:1::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let neighbour = "2001:db8::2".parse().unwrap();
        let held: Vec<_> = std::iter::from_fn(|| all.begin(here)).collect();
        assert_eq!(held.len(), MAX_OF_ADDRESS);
        assert!(all.begin(neighbour).is_none(), "whoever has the one has the other");
        assert!(all.begin(there).is_some());
        drop(held);
        assert!(all.begin(here).is_some() && all.0.lock().is_empty());
    }
}
