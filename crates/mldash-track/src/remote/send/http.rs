//! One call to an ML-Dash server: the token, the body, the answer, and what a failure means. It
//! knows paths and HTTP; `session` knows what the calls mean.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde_json::Value as Json;

use super::answer::{shorten, words_of};
use super::body::{AnswerBody, timed_out};
use super::token::{FoundToken, Token, TokenSources};
use crate::error::one_line;
use crate::remote::error::{CallError, Fault, RemoteError};
use crate::remote::options::Remote;
use crate::remote::plan::retry_after;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The minimum bandwidth at which a large body gets through in time.
const SLOWEST_BYTES_PER_SEC: u64 = 32 << 10;
/// Below this size, compression costs more than it saves.
const WORTH_GZIP_BYTES: usize = 1024;
/// Answers other than rows are small.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How much of a refusal is read, inflated. Its beginning says why.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// A server and the credentials to call it.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    base: String,
    tokens: TokenSources,
    timeout: Duration,
    gzip: AtomicU8,
}

/// Whether the server accepts gzip bodies. RFC 9110 lets a client try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Gzip {
    Untried,
    Accepted,
    Refused,
}

impl Api {
    /// The API of the server that `remote` names, with the token of `owner` if there are several.
    pub(crate) fn new(remote: &Remote, owner: &str) -> Result<Self, RemoteError> {
        let base = checked_url(&remote.url)?;
        // An earlier caller has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("mldash_bridge/", env!("CARGO_PKG_VERSION")))
            // A redirected POST would arrive as a GET, and somewhere else.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(remote.request_timeout))
            .build()
            .map_err(|error| RemoteError::Setup(error.into()))?;
        Ok(Self {
            client,
            base,
            tokens: remote.token_sources(owner),
            timeout: remote.request_timeout,
            gzip: AtomicU8::new(Gzip::Untried as u8),
        })
    }

    /// The server's address, without a trailing `/`.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// Returns the data of a GraphQL query.
    pub(crate) async fn graphql(&self, query: &str, variables: Json) -> Result<Json, CallError> {
        let body = serde_json::json!({ "query": query, "variables": variables });
        let mut answer = self.json(Method::POST, "/graphql", &body).await?;
        if let Some(errors) = answer.get("errors").and_then(Json::as_array) {
            let messages: Vec<&str> =
                errors.iter().filter_map(|error| error.get("message")?.as_str()).collect();
            return Err(CallError::new(Fault::Refused, shorten(&messages.join("; "))));
        }
        Ok(answer.get_mut("data").map(Json::take).unwrap_or_default())
    }

    /// A call with a small JSON body.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        body: &Json,
    ) -> Result<Json, CallError> {
        let token = self.token()?;
        let request = self.request(method, path, &token).json(body).timeout(self.timeout);
        self.answer(request, &token).await
    }

    /// A call with a large JSON body, compressed if the server accepts that.
    pub(crate) async fn large_json(&self, path: &str, body: Vec<u8>) -> Result<Json, CallError> {
        let gzip = self.gzip();
        if gzip == Gzip::Refused || body.len() < WORTH_GZIP_BYTES {
            return self.send_body(path, body, false).await;
        }
        match self.send_body(path, gzipped(&body), true).await {
            Err(error) if gzip == Gzip::Untried && error.fault == Fault::Refused => {
                let sent = self.send_body(path, body, false).await;
                if sent.is_ok() {
                    self.gzip.store(Gzip::Refused as u8, Ordering::Relaxed);
                    tracing::debug!("{} does not accept gzip: {}", self.base, error.text);
                }
                sent
            }
            sent => {
                if sent.is_ok() {
                    self.gzip.store(Gzip::Accepted as u8, Ordering::Relaxed);
                }
                sent
            }
        }
    }

    async fn send_body(
        &self,
        path: &str,
        body: Vec<u8>,
        is_gzipped: bool,
    ) -> Result<Json, CallError> {
        let token = self.token()?;
        let timeout = self.timeout_for(body.len() as u64);
        let mut request = self.request(Method::POST, path, &token);
        if is_gzipped {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(body).timeout(timeout);
        self.answer(request, &token).await
    }

    /// A call with a form of `bytes` bytes.
    pub(crate) async fn form(
        &self,
        path: &str,
        form: reqwest::multipart::Form,
        bytes: u64,
    ) -> Result<Json, CallError> {
        let token = self.token()?;
        let request = self.request(Method::POST, path, &token).multipart(form);
        self.answer(request.timeout(self.timeout_for(bytes)), &token).await
    }

    /// Streams what is at `path`.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<AnswerBody, CallError> {
        let token = self.token()?;
        let request = self.request(Method::GET, path, &token).query(query);
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let response = sent
            .map_err(|_| timed_out(self.timeout))?
            .map_err(|error| network_error(error, &token))?;
        if response.status().is_success() {
            return Ok(AnswerBody::of(response, self.timeout));
        }
        Err(self.failure(response, &token).await)
    }

    /// Like [`get`](Self::get), for JSON, within a time for all of it.
    pub(crate) async fn get_json(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Json, CallError> {
        let time = self.timeout_for(MAX_ANSWER_BYTES as u64);
        let read = async { json_of(&self.get(path, query).await?.whole(MAX_ANSWER_BYTES).await?) };
        tokio::time::timeout(time, read).await.map_err(|_| timed_out(time))?
    }

    async fn answer(&self, request: RequestBuilder, token: &FoundToken) -> Result<Json, CallError> {
        let response = request.send().await.map_err(|error| network_error(error, token))?;
        self.note_gzip(response.headers());
        if response.status().is_success() {
            let body = AnswerBody::of(response, self.timeout).whole(MAX_ANSWER_BYTES).await?;
            return json_of(&body);
        }
        Err(self.failure(response, token).await)
    }

    async fn failure(&self, response: Response, token: &FoundToken) -> CallError {
        let status = response.status();
        let mut fault = Fault::of_status(status.as_u16());
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
        let body = AnswerBody::of(response, self.timeout).beginning(MAX_REFUSAL_BYTES).await;
        // A part of the token would not be found any more.
        let words = words_of(&String::from_utf8_lossy(&body)).replace(token.token.secret(), "…");
        let words = shorten(&words);
        let mut text = status.to_string();
        if !words.is_empty() {
            text = format!("{status}: {words}");
        }
        if let Some(wait) = retry_after.filter(|wait| !wait.is_zero()) {
            text = format!("{text} (it asks to wait {} s)", wait.as_secs());
        }
        if fault == Fault::Token {
            text = format!(
                "{} refuses the token from {} ({text}); replace it there, no restart is needed",
                self.base, token.source
            );
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_none() {
            fault = Fault::Server;
        }
        CallError { fault, retry_after, text }
    }

    fn request(&self, method: Method, path: &str, token: &FoundToken) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.bearer_auth(token.token.secret())
    }

    fn token(&self) -> Result<FoundToken, CallError> {
        self.tokens.find().map_err(|error| CallError::new(Fault::Token, one_line(&error)))
    }

    /// Returns true if there is a token now and it is not `refused`.
    pub(crate) fn has_other_token(&self, refused: Option<&Token>) -> bool {
        self.tokens.find().is_ok_and(|found| Some(&found.token) != refused)
    }

    /// The current token, if there is one.
    pub(crate) fn current_token(&self) -> Option<Token> {
        self.tokens.find().ok().map(|found| found.token)
    }

    fn timeout_for(&self, body_bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(body_bytes / SLOWEST_BYTES_PER_SEC)
    }

    fn gzip(&self) -> Gzip {
        match self.gzip.load(Ordering::Relaxed) {
            accepted if accepted == Gzip::Accepted as u8 => Gzip::Accepted,
            refused if refused == Gzip::Refused as u8 => Gzip::Refused,
            _ => Gzip::Untried,
        }
    }

    /// A server may say which encodings it accepts (RFC 9110, 12.5.3).
    fn note_gzip(&self, headers: &HeaderMap) {
        let Some(accepted) = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok())
        else {
            return;
        };
        let is_accepted = accepted.split(',').any(|coding| {
            matches!(coding.split(';').next().unwrap_or_default().trim(), "gzip" | "*")
        });
        let gzip = if is_accepted { Gzip::Accepted } else { Gzip::Refused };
        self.gzip.store(gzip as u8, Ordering::Relaxed);
    }
}

/// The JSON of a 2xx. Fails for anything else: a proxy or portal may answer with a page of its own.
fn json_of(body: &[u8]) -> Result<Json, CallError> {
    match serde_json::from_slice(body) {
        Ok(json @ (Json::Object(_) | Json::Array(_))) => Ok(json),
        _ => {
            let text = "2xx, but the answer is not JSON, so it is not from an ML-Dash server";
            Err(CallError::new(Fault::Server, text))
        }
    }
}

pub(crate) fn checked_url(text: &str) -> Result<String, RemoteError> {
    let wrong = |reason: &str| RemoteError::Url { reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is not http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it contains a user or a password; pass a token by file or environment variable",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must end after the path, without `?` or `#`"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory can't fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

fn network_error(error: reqwest::Error, token: &FoundToken) -> CallError {
    let fault = if error.is_timeout() && !error.is_connect() {
        Fault::TimedOut
    } else {
        Fault::Unreachable
    };
    // Callers show the address before this text.
    let text = one_line(&error.without_url());
    CallError::new(fault, text.replace(token.token.secret(), "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_holds_no_secret() {
        let checked = |text| checked_url(text).map_err(|error| error.to_string());
        assert_eq!(checked("https://api.example.org/"), Ok("https://api.example.org".into()));
        assert_eq!(checked("http://127.0.0.1:3000"), Ok("http://127.0.0.1:3000".into()));
        for wrong in ["api.example.org", "ftp://x", "https://u:s3cret@x", "https://x/?token=s3cret"]
        {
            let error = checked(wrong).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_server_that_takes_no_gzip_gets_bodies_as_they_are() {
        let refuses_gzip = |headers: axum::http::HeaderMap, body: axum::body::Bytes| async move {
            match headers.contains_key("content-encoding") {
                true => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
                false => Ok(axum::Json(serde_json::json!({ "bytes": body.len() }))),
            }
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let routes = axum::Router::new().route("/rows", axum::routing::post(refuses_gzip));
            tokio::spawn(async move { axum::serve(listener, routes).await });
            let folder = tempfile::tempdir().unwrap();
            let token = folder.path().join("token");
            std::fs::write(&token, "s3cret").unwrap();
            let api = Api::new(&Remote::new(url).token_file(token), "alice").unwrap();
            let sent = api.large_json("/rows", vec![b' '; 5000]).await.unwrap();
            assert_eq!(sent["bytes"], 5000);
            assert_eq!(api.gzip(), Gzip::Refused);
        });
    }

    #[test]
    fn a_gzipped_body_is_smaller_and_opens() {
        let body = "{\"timestamp\":1.25}".repeat(100).into_bytes();
        let zipped = gzipped(&body);
        assert!(zipped.len() * 5 < body.len());
        let mut opened = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*zipped), &mut opened)
            .unwrap();
        assert_eq!(opened, body);
    }
}
