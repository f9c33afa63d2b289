//! The notes on this process's run, in `experiment.json`.

use serde_json::Value;

use super::ExperimentState;
use crate::error::{TrackError, one_line};
use crate::labels::{LabelChange, Labels};
use crate::local::{ExperimentNotes, StoreError, utc_now};
use crate::run::{Metadata, Run, RunNotes};

impl ExperimentState {
    /// Starts a run and notes it in `experiment.json`.
    pub(crate) fn start_run(&self, details: Metadata) -> Result<(), TrackError> {
        self.check_writing()?;
        self.change_run(|run| run.start(&details, utc_now()))?;
        *self.run.lock() = Some(Run { details, ..Run::default() });
        Ok(())
    }

    /// This process's run, to be continued elsewhere; `None` if there is none.
    pub(crate) fn run_to_continue(&self) -> Option<Run> {
        self.run.lock().as_ref().map(|run| Run { failure: None, ..run.clone() })
    }

    /// Changes the labels, and returns what they are then.
    pub(crate) fn label(&self, change: &LabelChange) -> Result<Labels, TrackError> {
        if self.check_writing().is_err() {
            // Whoever records puts a damaged file aside; others leave it as it is.
            self.dir.usable_notes()?;
        }
        let mut changed = Ok(Labels::default());
        self.dir.annotate(&self.name, |notes| match change.apply(&notes) {
            Ok(after) => {
                changed = Ok(Labels::from(&after));
                after
            }
            Err(error) => {
                changed = Err(error);
                ExperimentNotes::default()
            }
        })?;
        if let (Ok(_), Some(run)) = (&changed, self.run.lock().as_mut()) {
            run.carried = change.carried().or(std::mem::take(&mut run.carried));
        }
        Ok(changed?)
    }

    /// Notes in which experiment the recording went on, whether this one is open or closed by now.
    pub(crate) fn note_continued_in(&self, next: &str) -> Result<(), StoreError> {
        self.change_run(|run| drop(run.metadata.insert("continued_in".to_owned(), next.into())))
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
