//! Runs an export with a progress bar, until it is done or a signal comes.

use std::sync::Arc;
use std::time::Duration;

use mldash_bridge::export::{ExportError, Progress};
use mldash_bridge::ros::StopFlag;
use mldash_bridge::track::Repeating;

use super::stop::stop_export_on_signals;
use super::{Failure, progress};

/// How often the progress bar moves.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// An export that a signal stops, and its progress bar.
pub(super) struct Exporting {
    stop: StopFlag,
}

impl Exporting {
    /// Watches for signals from now on.
    pub(super) fn start() -> Result<Self, Failure> {
        let stop = StopFlag::default();
        stop_export_on_signals(&stop)?;
        Ok(Self { stop })
    }

    /// Calls `export`, which counts `things`.
    pub(super) fn run<T>(
        self,
        things: &str,
        export: impl FnOnce(&Progress) -> Result<T, ExportError>,
    ) -> Result<T, Failure> {
        let shown = Arc::new(Progress::default());
        let bar = progress::count(things);
        let watching = {
            let (shown, bar, stop) = (shown.clone(), bar.clone(), self.stop.clone());
            Repeating::start("progress", PROGRESS_EVERY, move || {
                let (done, total) = shown.done();
                bar.set_length(total);
                bar.set_position(done);
                if stop.is_set() {
                    shown.stop();
                }
            })?
        };
        let exported = export(&shown);
        drop(watching);
        progress::remove(&bar);
        // The signal can reach a program of the export first, which then fails.
        exported.map_err(|error| match self.stop.is_set() {
            true => ExportError::Stopped.into(),
            false => error.into(),
        })
    }
}
