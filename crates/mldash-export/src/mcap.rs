//! A whole run as one MCAP file: every track on its stamps, pictures and clouds included, in the schemas that Foxglove and
//! Rerun draw. What no such schema holds of a row goes beside it as JSON, so that nothing is left out. It knows no graph
//! and no terminal.
//!
//! the crate's `rows` merges the tracks by time, `track` makes messages of one track's rows (by way of `draw`, which knows the
//! schemas), `messages` has the channels of the file, `about` writes what is known of the run.

mod about;
mod account;
mod draw;
mod files;
mod messages;
mod track;

use std::io::Write;
use std::ops::RangeInclusive;

use mldash_track::{Experiment, FindError, Timestamp, TrackError, TrackInfo};

use crate::error::ExportError;
use crate::files::account_weight;
use crate::plan::Recording;
use crate::progress::Progress;
use crate::rows::{self, MergedRows};
pub use account::{McapAccount, McapTopic, McapTrack, MissingFile, MissingFiles};
use files::RunFiles;
use messages::Messages;
use track::TrackExport;

/// What of a run to export.
#[derive(Clone, Debug, PartialEq)]
pub struct McapOptions {
    /// The tracks, by topic; `None` for all.
    pub tracks: Option<Vec<String>>,
    /// The rows from a time to another, in seconds, both inclusive.
    pub range: RangeInclusive<f64>,
}

impl Default for McapOptions {
    /// The whole run.
    fn default() -> Self {
        Self { tracks: None, range: f64::NEG_INFINITY..=f64::INFINITY }
    }
}

impl McapOptions {
    fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn takes(&self, track: &TrackInfo) -> bool {
        self.tracks.as_ref().is_none_or(|tracks| tracks.contains(&track.topic))
    }
}

/// What is written at once, and packed.
const CHUNKS_BYTES: usize = 16 << 20;
/// A file as it was read, as a message and as bytes of the chunk.
const FILE_COPIES: u64 = 3;
/// What is parsed of notes and lists, and kept.
const NOTES_COPIES: usize = 3;

/// Bytes of memory that [`export_mcap`] takes for the whole recording, at most. To find out takes that of the
/// [list of files](mldash_track::Files::list_weight).
///
/// # Errors
/// Fails if the recording can't be read.
pub fn mcap_weight(recording: &Recording) -> Result<usize, ExportError> {
    let Recording { name, experiment } = recording;
    let weigh = || -> Result<usize, TrackError> {
        let files = experiment.files("");
        let notes = experiment.notes_weight()?.saturating_add(experiment.list_weight()?);
        let notes = notes.saturating_add(files.list_weight()?).saturating_mul(NOTES_COPIES);
        let largest = files.list()?.iter().map(|file| file.size_bytes).max().unwrap_or(0);
        let file = usize::try_from(largest.saturating_mul(FILE_COPIES)).unwrap_or(usize::MAX);
        let beside = notes.saturating_add(file).saturating_add(account_weight(experiment));
        experiment.list()?.iter().try_fold(beside.saturating_add(CHUNKS_BYTES), |sum, track| {
            Ok(sum.saturating_add(experiment.tracks(&track.topic).rows_weight()?))
        })
    };
    weigh().map_err(failed(name))
}

/// Writes `recording` to `out` and returns what became of each track. A recording that is still being written is exported
/// as far as it has come. Memory takes one row of each track, one file at a time, and the list of files.
///
/// A picture or cloud that can't be read costs that message, which is named in the account; its row is there.
///
/// # Errors
/// Fails if the recording can't be read, a row has a time that MCAP can't count, `out` can't be written, or the export is
/// stopped. What was written then has no end, so that no reader takes it for whole.
pub fn export_mcap(
    recording: &Recording,
    options: &McapOptions,
    out: &mut (dyn Write + Send),
    progress: &Progress,
) -> Result<McapAccount, ExportError> {
    let Recording { name, experiment } = recording;
    // Before the rows: what is written later is not in them.
    let is_live = experiment.is_being_written().map_err(failed(name))?;
    let listed = experiment.list().map_err(failed(name))?;
    let topics: Vec<&str> = listed.iter().map(|track| track.topic.as_str()).collect();
    let mut tracks = Vec::new();
    for track in listed.iter().filter(|track| options.takes(track)) {
        let slice = experiment.tracks(&track.topic).slice(options.range.clone());
        tracks.push(TrackExport::new(slice.map_err(failed(name))?, &topics));
    }
    // After the rows: a file is there before the row that names it.
    let mut files = RunFiles::new(name, experiment)?;
    let mut messages = Messages::new(out, "").map_err(failed(name))?;
    let span = rows::span(tracks.iter().map(TrackExport::slice), &options.range);
    let (first, last) = span.unwrap_or_default();
    progress.expect((last - first).ceil() as u64);
    write_what_holds(experiment, options, &mut tracks, &mut files, &mut messages)
        .map_err(failed(name))?;
    let mut rows = MergedRows::new(tracks.iter().map(TrackExport::slice));
    while let Some((at, row)) = rows.next().map_err(failed(name))? {
        progress.check()?;
        progress.reach((row.ts.as_secs() - first) as u64);
        if let Some(track) = tracks.get_mut(at) {
            track.write(row, &mut files, &mut messages).map_err(failed(name))?;
        }
    }
    let mut account = McapAccount { experiment: name.clone(), is_live, ..McapAccount::default() };
    account.tracks = tracks.into_iter().map(TrackExport::into_account).collect();
    about::write(experiment, options, &account, &mut messages).map_err(failed(name))?;
    if options.is_whole() {
        about::attach_others(&mut files, last, &mut account, &mut messages)
            .map_err(failed(name))?;
    }
    account.topics = messages.finish().map_err(failed(name))?;
    Ok(account)
}

/// Writes the transforms, maps and calibrations that hold when the range begins: the last row before it.
fn write_what_holds(
    experiment: &Experiment,
    options: &McapOptions,
    tracks: &mut [TrackExport],
    files: &mut RunFiles,
    messages: &mut Messages<'_>,
) -> Result<(), TrackError> {
    let Ok(start) = Timestamp::new(*options.range.start()) else { return Ok(()) };
    for track in tracks.iter_mut().filter(|track| track.stays()) {
        let before = experiment.tracks(track.slice().topic()).slice(..start.as_secs())?;
        match before.find_by_time(start.as_secs()) {
            Ok(row) => track.write_at_start(start, row, files, messages)?,
            Err(FindError::Read(error)) => return Err(error),
            Err(_there_is_none) => {}
        }
    }
    Ok(())
}

/// What fails is the recording, or the output.
fn failed(experiment: &str) -> impl Fn(TrackError) -> ExportError {
    let experiment = experiment.to_owned();
    move |error| match error {
        TrackError::Export(error) => ExportError::Output(error),
        source => ExportError::Track { experiment: experiment.clone(), source },
    }
}
