//! The memory that requests take: bodies, what they become once they are inflated and parsed, and
//! what an answer is made of. It is asked for piece by piece before it is used, and everything
//! together stays below the server's limit, in fair [shares](super::shares).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::Value;

use super::app::App;
use super::error::ApiError;
use super::shares::{Refused, Share};
use super::token::Namespace;

/// It is asked for in pieces of this size, so that small ones need no lock.
const PIECE_BYTES: usize = 64 << 10;

/// The memory of one request. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Memory {
    share: Share,
    used: usize,
}

impl Memory {
    /// Nothing yet, for a request of `namespace`.
    pub(super) fn of(app: &App, namespace: &Namespace) -> Self {
        Self { share: app.share_of(&app.memory, namespace), used: 0 }
    }

    /// That of a server with one namespace.
    #[cfg(test)]
    pub(super) fn alone(bytes: usize) -> Self {
        let shares = super::shares::Shares::new(bytes);
        Self { share: Share::nothing(&shares, &Namespace::new("alice"), true), used: 0 }
    }

    /// That of one namespace of several.
    #[cfg(test)]
    pub(super) fn within(shares: &Arc<super::shares::Shares>, namespace: &Namespace) -> Self {
        Self { share: Share::nothing(shares, namespace, false), used: 0 }
    }

    /// Asks for `bytes` more.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        let used = self.used.saturating_add(bytes);
        let missing = used.saturating_sub(self.share.amount());
        if missing > 0 {
            let rounded = missing.next_multiple_of(PIECE_BYTES);
            let grown = self.share.grow(rounded).or_else(|_| self.share.grow(missing));
            grown.map_err(|refused| match refused {
                Refused::Now => {
                    ApiError::busy("the server's memory limit is reached; try again later")
                }
                Refused::Always => ApiError::too_large(format!(
                    "this takes more memory than the {} bytes that the server has for one request; \
                     send less at once, or ask for less: fewer columns, a shorter time range",
                    self.share.most()
                )),
            })?;
        }
        self.used = used;
        Ok(())
    }

    /// Asks for what a value takes that was made, or is about to be copied.
    pub(super) fn hold_value(&mut self, value: Option<&Value>) -> Result<(), ApiError> {
        self.hold(value.map_or(0, value_bytes))
    }

    /// Notes that `bytes` are no longer used.
    pub(super) fn release(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        if self.share.amount() - self.used > 2 * PIECE_BYTES {
            self.share.shrink_to(self.used + PIECE_BYTES);
        }
    }
}

impl FromRequestParts<Arc<App>> for Memory {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let namespace = Namespace::from_request_parts(parts, app).await?;
        Ok(Self::of(app, &namespace))
    }
}

/// What the allocator and a dict's tree add to each value.
const NODE_BYTES: usize = 64;
/// A dict's first node.
const DICT_BYTES: usize = 768;

/// The memory of a value.
fn value_bytes(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_bytes).sum(),
            Value::Object(entries) => {
                let entry =
                    |(key, value): (&String, &Value)| NODE_BYTES + key.len() + value_bytes(value);
                DICT_BYTES + entries.iter().map(entry).sum::<usize>()
            }
        }
}
