//! How much a report takes: of memory where it is made for others, and of room on a page.

use std::path::PathBuf;

use mldash_track::{Experiment, TrackError};

use crate::files::account_weight;
use crate::picture::MAX_PIXELS;
use crate::plan::Recording;

/// Experiments side by side. More are no page that anybody reads.
pub(crate) const MAX_EXPERIMENTS: usize = 32;
/// A larger page is opened by no mail program, and by few phones.
pub(crate) const MAX_PAGE_BYTES: usize = 24 << 20;
/// Rows that are looked at together take this much in memory, and one row more.
pub(crate) const SAMPLED_BYTES: usize = 4 << 20;
/// What points, texts, scans and thumbnails take, and the page that they become.
const PAGE_WEIGHT: usize = 64 << 20;
/// What a pixel takes while a thumbnail is made, with its file.
const PIXEL_WEIGHT: u64 = 10;
/// What is parsed of notes and lists, and shown.
const COPIES: usize = 6;

/// What a report may take where it is made for others, who choose what is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReportLimits {
    /// Tracks whose rows can take more memory than this are not shown, in bytes of a row that is parsed.
    pub max_row_bytes: usize,
    /// Pictures with more pixels are not shown.
    pub max_pixels: u64,
    /// How many tracks are read at once.
    pub threads: usize,
    /// A folder whose path no text shows: the store's, where it is served. What can't be read is logged with it.
    pub hidden: Option<PathBuf>,
}

impl Default for ReportLimits {
    /// All that a picture or a row can be, on all cores.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { max_row_bytes: usize::MAX, max_pixels: MAX_PIXELS, threads, hidden: None }
    }
}

impl ReportLimits {
    /// Bytes of memory that a [report](super::Report::within) of these recordings and its page take, at most.
    ///
    /// # Errors
    /// Fails if a recording can't be looked at.
    pub fn weight(&self, recordings: &[Recording]) -> Result<usize, TrackError> {
        let pixels = self.max_pixels.saturating_mul(PIXEL_WEIGHT);
        let reader = self.max_row_bytes.saturating_add(SAMPLED_BYTES);
        let reader = reader.saturating_add(usize::try_from(pixels).unwrap_or(usize::MAX));
        let sum = PAGE_WEIGHT.saturating_add(reader.saturating_mul(self.threads));
        recordings.iter().try_fold(sum, |sum, recording| {
            Ok(sum.saturating_add(noted_weight(&recording.experiment)?))
        })
    }

    /// The largest file of a picture.
    pub(crate) fn max_picture_bytes(&self) -> u64 {
        // Sixteen bits a pixel, not compressed at all.
        self.max_pixels.saturating_mul(2)
    }
}

/// What lies beside the rows and is read whole.
fn noted_weight(experiment: &Experiment) -> Result<usize, TrackError> {
    let notes = experiment.notes_weight()?.saturating_add(experiment.list_weight()?);
    let files = experiment.files("").list_weight()?;
    let sum = notes.saturating_add(files).saturating_mul(COPIES);
    Ok(sum.saturating_add(account_weight(experiment)))
}
