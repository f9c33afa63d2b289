//! Where a request comes from, as the browser says: a form of another site must not log anybody in or out.

use axum::http::{HeaderMap, HeaderName, header};

use crate::error::ApiError;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Refuses a form of another site.
pub(super) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    if is_own(headers) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "this form was not sent from a page of this server. If it was, a proxy in between changes the `Host` header: let it \
         pass on what the browser sent (nginx: `proxy_set_header Host $http_host;`)",
    ))
}

fn is_own(headers: &HeaderMap) -> bool {
    // Said over TLS and on this computer; no page can change it.
    if let Some(site) = text(headers, &FETCH_SITE) {
        return site == "same-origin";
    }
    let Some((_, origin)) = text(headers, &header::ORIGIN).and_then(|from| from.split_once("://"))
    else {
        return false;
    };
    text(headers, &header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(origin))
}

/// Returns true if the browser was led here by another site.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    text(headers, &FETCH_SITE).is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Returns true if the browser's side of the connection is encrypted: the browser says so, or a proxy. Whoever says so
/// without being right only keeps back its own cookie.
pub(super) fn is_encrypted(headers: &HeaderMap) -> bool {
    text(headers, &header::ORIGIN).is_some_and(|origin| origin.starts_with("https://"))
        || text(headers, &FORWARDED_PROTO).is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    #[test]
    fn only_a_form_of_this_server_is_taken() {
        let host = ("host", "dash.lab:3000");
        for own in [
            &[host, ("origin", "http://dash.lab:3000")][..],
            &[host, ("origin", "https://Dash.lab:3000")],
            &[host, ("origin", "https://elsewhere"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(check(&headers(own)).is_ok(), "{own:?}");
        }
        for foreign in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://dash.lab:3001")],
            &[host, ("origin", "http://evil.example/dash.lab:3000")],
            &[host, ("origin", "http://dash.lab:3000"), ("sec-fetch-site", "cross-site")],
            &[host, ("origin", "http://dash.lab:3000"), ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert!(check(&headers(foreign)).is_err(), "{foreign:?}");
        }
    }

    #[test]
    fn the_cookie_is_for_tls_alone_where_the_browser_or_a_proxy_speaks_it() {
        assert!(is_encrypted(&headers(&[("origin", "https://dash.lab")])));
        assert!(is_encrypted(&headers(&[("x-forwarded-proto", "https"), ("origin", "http://x")])));
        assert!(!is_encrypted(&headers(&[
            ("origin", "http://dash.lab"),
            ("x-forwarded-proto", "http")
        ])));
        assert!(!is_encrypted(&headers(&[])));
    }
}
