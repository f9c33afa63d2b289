//! Answers with pages, and what every answer to a browser carries: what may run, who may show it, and that it is kept nowhere.

use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use mldash_export::report::{SCRIPT, STYLE, hash};
use mldash_track::ExperimentName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{ApiError, Refusal};
use crate::id::Id;

/// The style of what a site adds to a report.
pub(super) const SITE_STYLE: &str = include_str!("../../templates/site.css");
/// The script that goes on with a report while its experiments are recorded.
pub(super) const LIVE_SCRIPT: &str = include_str!("../../templates/live.js");
/// The script that goes on with the list while something is recorded.
pub(super) const LIST_SCRIPT: &str = include_str!("../../templates/list.js");

/// Lets in our scripts and styles, by their hashes, pictures within a page, and requests to this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}' '{}' '{}'; style-src '{}' '{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(LIVE_SCRIPT),
        hash(LIST_SCRIPT),
        hash(STYLE),
        hash(SITE_STYLE)
    )
});

/// A page that says why there is no other.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    styles: Styles,
    status: u16,
    message: &'a str,
    /// Whether to ask again by itself.
    is_for_now: bool,
}

/// The styles of a page, for templates.
#[derive(Clone, Copy)]
pub(super) struct Styles;

impl Styles {
    /// The style elements' texts.
    pub(super) fn texts(self) -> [&'static str; 2] {
        [STYLE, SITE_STYLE]
    }
}

/// The page of a template.
pub(super) fn page(template: &impl Template) -> Result<Response, ApiError> {
    let text = template.render().map_err(|error| ApiError::internal(&error))?;
    Ok(Html(text).into_response())
}

/// An experiment's id, as it stands in links: of letters, digits, `-`, `_`, `.` and `~` alone.
pub(super) fn id_of(name: &ExperimentName) -> String {
    Id::Experiment(name.clone()).to_string()
}

/// A text as a part of a link's query.
pub(super) fn in_query(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Returns true if a person waits for the answer.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).map_or(&[][..], HeaderValue::as_bytes);
    accepted.windows(9).any(|part| part == b"text/html")
}

/// Makes a page of a refusal, for people.
pub(super) async fn explained(request: Request, next: Next) -> Response {
    let is_for_person = wants_page(request.headers());
    let response = next.run(request).await;
    let Some(Refusal(message)) = response.extensions().get().filter(|_| is_for_person) else {
        return response;
    };
    let (status, is_for_now) =
        (response.status(), response.headers().contains_key(header::RETRY_AFTER));
    let refused = Refused { styles: Styles, status: status.as_u16(), message, is_for_now };
    let Ok(text) = refused.render() else { return response };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    parts.headers.insert(header::CONTENT_TYPE, html);
    Response::from_parts(parts, Body::from(text))
}

/// Sets the headers that every answer to a browser has.
pub(super) async fn guarded(request: Request, next: Next) -> Response {
    const FIXED: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with that, forms would not tell their origin.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_adds_can_stand_in_a_page_and_turns_no_text_into_markup_but_the_servers_own() {
        for script in [LIVE_SCRIPT, LIST_SCRIPT] {
            assert!(!script.contains("</script") && !script.contains("<!--"));
        }
        assert!(!SITE_STYLE.contains("</style"));
        for text in [LIVE_SCRIPT, LIST_SCRIPT, SITE_STYLE] {
            assert!(!text.contains("://"), "a page asks no other host");
            assert!(!text.contains('\r'), "a parser of HTML would change it, and with it its hash");
        }
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            let is_used = LIVE_SCRIPT.contains(way) || LIST_SCRIPT.contains(way);
            assert!(!is_used, "{way} lets texts become markup");
        }
    }

    #[test]
    fn the_policy_lets_in_nothing_by_its_place_or_by_being_there() {
        for lax in ["unsafe-inline", "unsafe-eval", "http:", "https:", "script-src 'self'", "*"] {
            assert!(!POLICY.contains(lax), "{}", *POLICY);
        }
    }
}
