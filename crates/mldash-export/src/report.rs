//! A report of recordings: one page that a person looks at to see what is there and what is wrong with it.
//!
//! [`Report::of`] reads each recording once: it finds gaps, jitter, lags, losses and what values do over time, in bounded
//! memory and with a bounded result, however large the recording is. [`write_page`] writes it as a file of HTML that
//! opens offline. What had to be left out is said on the page.
//!
//! ```
//! use mldash_export::report::{Report, write_page};
//! use mldash_export::{Progress, Recording};
//! use mldash_track::{Experiment, Options, fields};
//!
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/lab/run", Options::local(root.path()))?;
//! for i in 0..500 {
//!     let pause = if i < 300 { 0.0 } else { 3.2 };
//!     exp.tracks("imu").append(fields! { "rate": f64::from(i) }, f64::from(i) / 100.0 + pause)?;
//! }
//! exp.close()?;
//! let experiment = Experiment::open_read_only("alice/lab/run", root.path())?;
//! let recordings = [Recording { name: "alice/lab/run".to_owned(), experiment }];
//! let report = Report::of(&recordings, &Progress::default())?;
//! let (_, warnings) = report.warnings().next().ok_or("one experiment")?;
//! assert_eq!(warnings[0].text, "imu paused 3.2 s at 2.990 s");
//! let mut page = Vec::new();
//! write_page(&report, &mut page)?;
//! assert!(page.starts_with(b"<!doctype html>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod about;
mod axis;
mod columns;
mod constants;
mod document;
mod envelope;
mod intervals;
mod limits;
mod marks;
mod page;
mod samples;
mod spread;
mod summary;
mod texts;
mod times;
mod track;
mod views;
mod warnings;

pub use limits::ReportLimits;
pub use page::{SCRIPT, STYLE, Site, hash, size_text, write_page, write_page_of_site};
pub use texts::cut;
pub use times::{clock_text, date, date_text, length_text};
pub use warnings::{Severity, Warning};

use crate::error::ExportError;
use crate::plan::Recording;
use crate::progress::Progress;
use summary::ExperimentSummary;

/// The files beside the tracks that a page shows, for [`Experiment::stamp`](mldash_track::Experiment::stamp).
pub const BESIDE: [&str; 1] = [mldash_record::ACCOUNT_FILE];

/// What a page shows of one or several recordings.
#[derive(Debug)]
pub struct Report {
    experiments: Vec<ExperimentSummary>,
    /// Of each experiment.
    warnings: Vec<Vec<Warning>>,
}

impl Report {
    /// Reads the recordings, which may be under way.
    ///
    /// # Errors
    /// Fails if there are too many recordings for a page, one can't be read at all, or the report is stopped. What can't be read of a recording is among
    /// its [`warnings`](Self::warnings).
    pub fn of(recordings: &[Recording], progress: &Progress) -> Result<Self, ExportError> {
        Self::within(recordings, &ReportLimits::default(), progress)
    }

    /// As [`of`](Self::of), for others, who choose what is read: in memory that is
    /// [known](ReportLimits::weight) before.
    ///
    /// # Errors
    /// As [`of`](Self::of). What is too large to be shown is among the [`warnings`](Self::warnings).
    pub fn within(
        recordings: &[Recording],
        limits: &ReportLimits,
        progress: &Progress,
    ) -> Result<Self, ExportError> {
        let (found, most) = (recordings.len(), limits::MAX_EXPERIMENTS);
        if found > most {
            return Err(ExportError::TooManyExperiments { found, most });
        }
        progress.expect(summary::rows(recordings));
        let read = |recording| ExperimentSummary::of(recording, found, limits, progress);
        let experiments: Vec<_> = recordings.iter().map(read).collect::<Result<_, _>>()?;
        let warnings = experiments.iter().map(warnings::warnings).collect();
        Ok(Self { experiments, warnings })
    }

    /// The names of the experiments, and what there is to know of each, what matters most first.
    pub fn warnings(&self) -> impl Iterator<Item = (&str, &[Warning])> {
        let names = self.experiments.iter().map(|summary| summary.name.as_str());
        names.zip(self.warnings.iter().map(Vec::as_slice))
    }

    /// Returns true if everything could be read.
    pub fn is_whole(&self) -> bool {
        self.experiments.iter().all(|summary| {
            let is_read = |track: &track::TrackSummary| track.problem.is_none();
            summary.problems.is_empty()
                && summary.about.problems.is_empty()
                && summary.tracks.iter().all(is_read)
        })
    }
}
