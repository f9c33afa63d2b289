//! A recording in numbers: one pass over each track, on several threads, in bounded memory.

use std::path::Path;

use mldash_track::{Experiment, TrackInfo, one_line};

use super::about::{About, TopicLine};
use super::axis::axis;
use super::limits::ReportLimits;
use super::texts::max_changes;
use super::track::{Opened, Room, TrackSummary};
use super::views::{Pictures, Scans, max_scans};
use crate::error::ExportError;
use crate::export::threads::in_parallel;
use crate::files::RecordedFiles;
use crate::plan::Recording;
use crate::progress::Progress;

/// Tracks that are shown; of more, those with the most rows.
const MAX_TRACKS: usize = 200;
/// What all points of a report take as numbers, about.
const POINTS_BYTES: usize = 4_000_000;
/// A point's times, and what one curve adds.
const POINT_BYTES: usize = 12;
const VALUE_BYTES: usize = 8;
/// More points than that a screen does not show, fewer hide too much.
const MAX_POINTS: usize = 4096;
const MIN_POINTS: usize = 128;
/// Names of frames of all tracks.
const FRAMES_BYTES: usize = 4_000_000;
/// Pictures of all tracks, and what they may take.
const PICTURES: usize = 360;
const PICTURES_BYTES: usize = 2_500_000;
/// Pictures of one track.
const MAX_PICTURES: usize = 120;
const MIN_PICTURES: usize = 12;

/// A recording in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExperimentSummary {
    pub(crate) name: String,
    pub(crate) about: About,
    pub(crate) tracks: Vec<TrackSummary>,
    /// From where to where the time axis goes, in seconds.
    pub(crate) axis: (f64, f64),
    /// Tracks that are not looked at.
    pub(crate) more_tracks: usize,
    pub(crate) rows: u64,
    pub(crate) size_bytes: u64,
    /// What could not be read.
    pub(crate) problems: Vec<String>,
}

impl ExperimentSummary {
    /// Reads a recording, which shares the room of a page with `experiments - 1` others.
    pub(super) fn of(
        recording: &Recording,
        experiments: usize,
        limits: &ReportLimits,
        progress: &Progress,
    ) -> Result<Self, ExportError> {
        let Recording { name, experiment } = recording;
        let of_track = || ExportError::track(name);
        let mut infos = experiment.list().map_err(of_track())?;
        let mut summary = Self {
            name: name.clone(),
            about: About::of(experiment).map_err(of_track())?,
            more_tracks: infos.len().saturating_sub(MAX_TRACKS),
            rows: infos.iter().map(|info| info.total_entries).sum(),
            size_bytes: infos.iter().map(|info| info.size_bytes).sum(),
            ..Self::default()
        };
        keep_largest(&mut infos);
        let mut opened = Vec::new();
        for info in infos {
            let topic = info.topic.clone();
            match Opened::new(experiment, info, limits) {
                Ok(track) => opened.push(track),
                Err(reason) => summary.problems.push(format!("{topic} can't be read: {reason}")),
            }
        }
        let room = room(&opened, experiments);
        // The largest first, so that no thread is left with it at the end.
        let mut jobs: Vec<&Opened> = opened.iter().collect();
        jobs.sort_by_key(|opened| std::cmp::Reverse(opened.info.size_bytes));
        summary.tracks = in_parallel(&jobs, limits.threads, |opened| {
            TrackSummary::of(experiment, opened, room, progress)
        })?;
        summary.tracks.sort_by(|a, b| a.topic.cmp(&b.topic));
        summary.add_views(recording, experiments, limits, progress)?;
        summary.axis = axis(&summary.tracks);
        if let Some(folder) = &limits.hidden {
            summary.hide(folder);
        }
        Ok(summary)
    }

    /// Takes the path of a folder out of all texts about what could not be read.
    fn hide(&mut self, folder: &Path) {
        let folder = format!("{}/", folder.display());
        let of_tracks = self.tracks.iter_mut().flat_map(|track| {
            let pictures = track.pictures.iter_mut().flat_map(|pictures| &mut pictures.problems);
            track.problem.iter_mut().chain(pictures)
        });
        for text in self.problems.iter_mut().chain(&mut self.about.problems).chain(of_tracks) {
            tracing::warn!("{}: {text}", self.name);
            *text = text.replace(&folder, "");
        }
    }

    /// The lines of the account that are about a track.
    pub(super) fn lines_of<'a>(
        &'a self,
        track: &'a TrackSummary,
    ) -> impl Iterator<Item = &'a TopicLine> {
        let lines = self.about.account.iter().flat_map(|account| &account.topics);
        lines.filter(|line| track.sources.iter().any(|(topic, _)| *topic == line.topic))
    }

    /// Scans and pictures, which need more than one row's numbers.
    fn add_views(
        &mut self,
        recording: &Recording,
        experiments: usize,
        limits: &ReportLimits,
        progress: &Progress,
    ) -> Result<(), ExportError> {
        let Recording { name, experiment } = recording;
        let cameras = self.tracks.iter().filter(|track| track.shown.pictures.is_some()).count();
        // Listing all files is dear, and they are the same for each track.
        let files = (cameras > 0).then(|| RecordedFiles::new(name, experiment)).transpose()?;
        let shares = cameras.max(1) * experiments;
        let count = (PICTURES / shares).clamp(MIN_PICTURES, MAX_PICTURES);
        let pictures = (count, PICTURES_BYTES / shares);
        let scans = self.tracks.iter().filter(|track| track.shown.has_scans).count();
        let scans = max_scans(scans * experiments);
        let views = in_parallel(&self.tracks, limits.threads, |track| {
            progress.check()?;
            let pictures = files
                .as_ref()
                .map(|files| Pictures::of(experiment, files, track, pictures, limits));
            Ok((Scans::of(experiment, track, scans), pictures.transpose()))
        })?;
        for (track, (scans, pictures)) in self.tracks.iter_mut().zip(views) {
            let mut problem = |error| {
                track.problem.get_or_insert_with(|| one_line(&error));
            };
            match scans {
                Ok(scans) => track.scans = scans,
                Err(error) => problem(error),
            }
            match pictures {
                Ok(pictures) => track.pictures = pictures.flatten(),
                Err(error) => problem(error),
            }
        }
        Ok(())
    }
}

/// Leaves the tracks with the most rows.
fn keep_largest(infos: &mut Vec<TrackInfo>) {
    infos.sort_by_key(|info| std::cmp::Reverse(info.total_entries));
    infos.truncate(MAX_TRACKS);
}

/// How much each track may keep, so that all of them fit on the page.
fn room(opened: &[Opened], experiments: usize) -> Room {
    let bytes: usize = opened.iter().map(|track| POINT_BYTES + VALUE_BYTES * track.width()).sum();
    let max_points = POINTS_BYTES / experiments / bytes.max(1);
    let texts: usize = opened.iter().map(Opened::texts).sum();
    Room {
        max_points: max_points.clamp((MIN_POINTS / experiments).max(4), MAX_POINTS),
        max_changes: max_changes(texts * experiments),
        frames_bytes: FRAMES_BYTES / (opened.len() * experiments).max(1),
    }
}

/// How many rows a report of these reads.
pub(super) fn rows(recordings: &[Recording]) -> u64 {
    let rows = |experiment: &Experiment| experiment.stored_rows().rows;
    recordings.iter().map(|recording| rows(&recording.experiment)).sum()
}
