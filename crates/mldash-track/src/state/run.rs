//! The notes on this process's run, in `experiment.json`.

use serde_json::Value;

use super::ExperimentState;
use crate::error::{TrackError, one_line};
use crate::local::{StoreError, utc_now};
use crate::run::{Metadata, Run, RunNotes};

impl ExperimentState {
    /// Starts a run and notes it in `experiment.json`.
    pub(crate) fn start_run(&self, details: Metadata) -> Result<(), TrackError> {
        self.check_writing()?;
        self.change_run(|run| run.start(&details, utc_now()))?;
        *self.run.lock() = Some(Run { details, failure: None });
        Ok(())
    }

    /// The details that this process's run was started with, if there is one.
    pub(crate) fn run_details(&self) -> Option<Metadata> {
        self.run.lock().as_ref().map(|run| run.details.clone())
    }

    /// Makes the run end as failed. The first reason is kept.
    pub(crate) fn fail_run(&self, reason: &str) {
        if let Some(run) = self.run.lock().as_mut() {
            run.failure.get_or_insert_with(|| reason.to_owned());
        }
    }

    /// Sets one key of the metadata.
    pub(crate) fn set_metadata(&self, key: &str, value: Value) -> Result<(), TrackError> {
        self.check_writing()?;
        Ok(self.change_run(|run| drop(run.metadata.insert(key.to_owned(), value)))?)
    }

    pub(super) fn end_run(&self, failed: Option<&TrackError>) -> Result<(), StoreError> {
        let Some(ended) = self.run.lock().take() else {
            return Ok(());
        };
        let failure = ended.failure.or_else(|| failed.map(|error| one_line(error)));
        self.change_run(|run| run.end(failure.as_deref(), utc_now()))
    }

    fn change_run(&self, change: impl FnOnce(&mut RunNotes)) -> Result<(), StoreError> {
        self.dir.annotate(&self.name, |notes| {
            let mut run = RunNotes::from(notes);
            change(&mut run);
            run.into()
        })
    }
}
