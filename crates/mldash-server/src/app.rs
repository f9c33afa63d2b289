//! The state that all requests share, and who sent a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Limits;
use super::error::ApiError;
use super::experiments::Experiments;
use super::id::{FolderPath, Id, IdError};
use super::incoming::Incoming;
use super::pages::Pages;
use super::shares::{Share, Shares};
use super::token::{Namespace, Tokens};
use mldash_track::ExperimentName;

/// The state that all requests share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) experiments: Experiments,
    pub(super) incoming: Incoming,
    pub(super) tokens: Tokens,
    pub(super) pages: Pages,
    pub(super) limits: Limits,
    /// Running requests.
    pub(super) requests: Arc<Shares>,
    /// Bytes of memory that requests take.
    pub(super) memory: Arc<Shares>,
    /// Answers that a client takes in pieces, which it may do slowly.
    pub(super) downloads: Arc<Shares>,
}

impl App {
    /// A share for a request of `namespace`, with nothing in it yet.
    pub(super) fn share_of(&self, shares: &Arc<Shares>, namespace: &Namespace) -> Share {
        Share::nothing(shares, namespace, self.tokens.name_one_namespace())
    }

    /// One of `shares`' things, if there is one left for `namespace`.
    pub(super) fn one_of(&self, shares: &Arc<Shares>, namespace: &Namespace) -> Option<Share> {
        let mut share = self.share_of(shares, namespace);
        share.grow(1).ok().map(|()| share)
    }
}

impl Namespace {
    /// The thing that `id` names, if it belongs to this namespace.
    pub(super) fn own(&self, id: &str) -> Result<Id, ApiError> {
        let id: Id = id.parse().map_err(|error: IdError| ApiError::not_found(error.to_string()))?;
        self.check(id.owner())?;
        Ok(id)
    }

    /// The experiment that `id` names, by either of its ids.
    pub(super) fn own_experiment(&self, id: &str) -> Result<ExperimentName, ApiError> {
        match self.own(id)? {
            Id::Experiment(name) | Id::Node(name) => Ok(name),
            _ => Err(ApiError::not_found(format!("`{id}` is not an experiment's id"))),
        }
    }

    /// The project that `id` names.
    pub(super) fn own_project(&self, id: &str) -> Result<FolderPath, ApiError> {
        match self.own(id)? {
            Id::Project(path) => Ok(path),
            _ => Err(ApiError::not_found(format!("`{id}` is not a project's id"))),
        }
    }

    /// Fails if `owner` is another namespace.
    pub(super) fn check(&self, owner: &str) -> Result<(), ApiError> {
        if owner == self.as_str() {
            return Ok(());
        }
        let message = format!(
            "this token belongs to namespace `{}` and can't access another one",
            self.as_str()
        );
        Err(ApiError::forbidden(message))
    }
}

impl<S: Sync> FromRequestParts<S> for Namespace {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| ApiError::unauthorized("no token"))
    }
}
