//! What a folder remembers of its publication, in `.publish.json`: that it is to be published, and what was published when. Only
//! a cache: without it everything is looked at again.

use std::fs;
use std::path::Path;

use mldash_track::{Experiment, TrackError, one_line, replace_file};
use serde::{Deserialize, Serialize};

use super::PublishOptions;
use super::manifest::Manifest;
use crate::report::BESIDE;

const STATE_FILE: &str = ".publish.json";
/// A folder's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LocalState {
    /// The URL it goes to.
    pub(super) to: String,
    /// What the experiment looked like when it was published, and how that was done; empty while it waits.
    pub(super) stamp: String,
    /// The manifest's revision then.
    pub(super) revision: u64,
}

impl LocalState {
    /// The state of the experiment as it is now, published in this way.
    pub(super) fn now(
        experiment: &Experiment,
        options: &PublishOptions,
    ) -> Result<Self, TrackError> {
        let stamp = format!("{} {options:?}", experiment.stamp(&BESIDE)?);
        Ok(Self { stamp, ..Self::default() })
    }

    /// The state that was noted; `None` if there is none that can be used.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(STATE_FILE)).ok()?).ok()
    }

    /// Returns true if nothing has changed here and there since it was published.
    pub(super) fn is_published(&self, now: &Self, url: &str, manifest: &Manifest) -> bool {
        self.to == url && self.stamp == now.stamp && self.revision == manifest.revision
    }

    /// Notes that this state is published: what a server has may be removed here. If it has changed since, or somebody writes, what
    /// comes is to be published too: nothing is noted, and the hold stays.
    pub(super) fn save(
        &self,
        experiment: &Experiment,
        options: &PublishOptions,
        url: &str,
        revision: u64,
    ) {
        match self.release(experiment, options, url) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let (name, error) = (experiment.name(), one_line(&error));
                tracing::warn!("{name} is published, and stays held for {url}: {error}");
                return;
            }
        }
        // A kill in between leaves one that is published once more, which puts nothing.
        let state = Self { to: url.to_owned(), stamp: self.stamp.clone(), revision };
        state.store(experiment.folder());
    }

    /// Returns false if the experiment is not as it was.
    fn release(
        &self,
        experiment: &Experiment,
        options: &PublishOptions,
        url: &str,
    ) -> Result<bool, TrackError> {
        let is_as_it_was = || -> Result<bool, TrackError> {
            Ok(!experiment.is_being_written()?
                && Self::now(experiment, options)?.stamp == self.stamp)
        };
        if !is_as_it_was()? {
            return Ok(false);
        }
        if experiment.held_by()?.as_deref() != Some(url) {
            return Ok(true);
        }
        experiment.release(url)?;
        // Whoever began to write in between had it held before.
        let is_released = is_as_it_was()?;
        if !is_released {
            experiment.hold(url)?;
        }
        Ok(is_released)
    }

    /// Notes that the experiment is to be published. Until it is, nothing is removed of what a server has.
    pub(super) fn note_waiting(experiment: &Experiment, url: &str) {
        if let Err(error) = experiment.hold(url) {
            let name = experiment.name();
            tracing::error!("{name} can't be held for {url}: {}", one_line(&error));
        }
        Self { to: url.to_owned(), ..Self::default() }.store(experiment.folder());
    }

    /// Returns true if the experiment waits, or has changed since.
    pub(super) fn is_waiting(
        &self,
        now: &Self,
        experiment: &Experiment,
        url: &str,
    ) -> Result<bool, TrackError> {
        let has_changed = self.to == url && self.stamp != now.stamp;
        Ok(has_changed || experiment.held_by()?.as_deref() == Some(url))
    }

    fn store(&self, folder: &Path) {
        let path = folder.join(STATE_FILE);
        let json = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = replace_file(&path, &json) {
            // A recording on a disk that is not written to can be published all the same.
            tracing::debug!("{}: {error}", path.display());
        }
    }
}
