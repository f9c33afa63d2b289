//! Sessions: who is logged in. A browser holds a random name, the server what it stands for. A token in the cookie would be
//! sent along and kept by the browser; a signed statement could not be taken back. So a session ends when its person logs out,
//! when it was not used for a while, within a second of its token's leaving the token file, and with the server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::token::{Namespace, TokenHash, Tokens};

/// The cookie's name.
const COOKIE: &str = "mldash_session";
/// A session that was not used for so long ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// Sessions of one namespace. One more ends the one that was not used for longest.
const MAX_SESSIONS: usize = 64;
/// Random bytes of a name.
const NAME_BYTES: usize = 32;

/// Who is logged in.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// By a hash of the name: how long it takes to find one tells nothing of the names there are.
    by_name: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Debug)]
struct Session {
    token: TokenHash,
    namespace: Namespace,
    used: Instant,
}

impl Sessions {
    /// Begins a session of whoever has shown this token, and returns its name; fails without random numbers.
    pub(super) fn begin(
        &self,
        token: TokenHash,
        namespace: Namespace,
    ) -> Result<String, getrandom::Error> {
        let mut name = [0; NAME_BYTES];
        getrandom::fill(&mut name)?;
        let name = mldash_track::hex(&name);
        let now = Instant::now();
        let mut sessions = self.by_name.lock();
        sessions.retain(|_, session| now.duration_since(session.used) < IDLE);
        let own = sessions.iter().filter(|(_, session)| session.namespace == namespace);
        if own.clone().count() >= MAX_SESSIONS {
            let oldest = own.min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.map(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(key(&name), Session { token, namespace, used: now });
        Ok(name)
    }

    /// The namespace of a session, as long as its token is known.
    fn find(&self, name: &str, tokens: &Tokens) -> Option<Namespace> {
        let mut sessions = self.by_name.lock();
        let key = key(name);
        let session = sessions.get_mut(&key)?;
        let is_alive = session.used.elapsed() < IDLE
            && tokens.find(&session.token).as_ref() == Some(&session.namespace);
        if !is_alive {
            sessions.remove(&key);
            return None;
        }
        session.used = Instant::now();
        Some(session.namespace.clone())
    }

    /// Ends the sessions that a request shows.
    pub(super) fn end(&self, headers: &HeaderMap) {
        let mut sessions = self.by_name.lock();
        names(headers).for_each(|name| drop(sessions.remove(&key(name))));
    }
}

fn key(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// The namespace that a request's session is of.
pub(super) fn of(app: &App, headers: &HeaderMap) -> Option<Namespace> {
    names(headers).find_map(|name| app.pages.sessions.find(name, &app.tokens))
}

/// The names of sessions in a request: one, or several where another site of the same domain has set its own.
fn names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The cookie that holds a session's name until the browser is closed.
pub(super) fn cookie(name: &str, is_encrypted: bool) -> Option<HeaderValue> {
    let secure = if is_encrypted { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{COOKIE}={name}; Path=/; HttpOnly; SameSite=Strict{secure}"))
        .ok()
}

/// Takes the cookie back.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("mldash_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> (tempfile::TempDir, Tokens) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, text).unwrap();
        let tokens = Tokens::load(&path).unwrap();
        (folder, tokens)
    }

    fn begin(sessions: &Sessions, tokens: &Tokens, token: &str) -> String {
        let (hash, namespace) = tokens.admit(token).unwrap();
        sessions.begin(hash, namespace).unwrap()
    }

    fn with(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookies).unwrap())])
    }

    #[test]
    fn a_session_is_of_its_tokens_namespace_until_it_ends_or_the_token_does() {
        let (folder, tokens) = tokens("alice a-secret\nbob b-secret\n");
        let sessions = Sessions::default();
        let (alice, bob) =
            (begin(&sessions, &tokens, "a-secret"), begin(&sessions, &tokens, "b-secret"));
        assert_ne!(alice, bob);
        assert_eq!(sessions.find(&alice, &tokens), Some(Namespace::new("alice")));
        assert_eq!(sessions.find(&bob, &tokens), Some(Namespace::new("bob")));
        assert_eq!(sessions.find("a-secret", &tokens), None);
        sessions.end(&with(&format!("x=1; mldash_session={alice}")));
        assert_eq!(sessions.find(&alice, &tokens), None);
        std::fs::write(folder.path().join("tokens"), "bob another\n").unwrap();
        tokens.reload_if_changed();
        assert_eq!(sessions.find(&bob, &tokens), None, "whoever has lost the token is out");
    }

    #[test]
    fn a_session_is_found_beside_cookies_of_others() {
        let headers =
            with("mldash_session_2=no; mldash_session=a;mldash_session=b; z=mldash_session=c");
        assert_eq!(names(&headers).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn one_session_too_many_ends_the_one_that_was_not_used_for_longest() {
        let (_folder, tokens) = tokens("alice a-secret\nbob b-secret\n");
        let sessions = Sessions::default();
        let bob = begin(&sessions, &tokens, "b-secret");
        let first = begin(&sessions, &tokens, "a-secret");
        let second = begin(&sessions, &tokens, "a-secret");
        sessions.find(&first, &tokens).unwrap();
        for _ in 2..=MAX_SESSIONS {
            begin(&sessions, &tokens, "a-secret");
        }
        assert_eq!(sessions.find(&second, &tokens), None);
        assert!(sessions.find(&first, &tokens).is_some() && sessions.find(&bob, &tokens).is_some());
    }
}
