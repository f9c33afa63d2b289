//! Frames without a transform.

use std::collections::BTreeMap;

use super::super::summary::ExperimentSummary;
use super::super::track::TrackSummary;
use super::{Severity, Warning, listed, name};

/// Frames that are told one by one. Where a driver makes up names, there are hundreds, and they would hide all else.
const MAX_TOLD: usize = 10;

/// Frames that rows name and no transform connects.
pub(super) fn frames(summary: &ExperimentSummary, found: &mut Vec<Warning>) {
    let tf: Vec<&TrackSummary> = summary.tracks.iter().filter(|track| track.shown.is_tf).collect();
    let is_known = |frame: &str| tf.iter().any(|track| track.frames.contains(frame));
    let mut missing: BTreeMap<&str, Vec<&TrackSummary>> = BTreeMap::new();
    for track in summary.tracks.iter().filter(|track| !track.shown.is_tf) {
        for frame in track.frames.iter().filter(|frame| !is_known(frame)) {
            missing.entry(frame).or_default().push(track);
        }
    }
    if missing.is_empty() {
        return;
    }
    if tf.is_empty() {
        let frames = listed(missing.keys().copied());
        let text = format!("no /tf was recorded; rows are in the frames {frames}");
        found.push(Warning::new(Severity::Note, text));
        return;
    }
    let more = missing.len().saturating_sub(MAX_TOLD);
    for (frame, tracks) in missing.into_iter().take(MAX_TOLD) {
        let names: Vec<String> = tracks.iter().map(|track| name(track)).collect();
        let text = format!(
            "no /tf for {frame}, the frame of {}",
            listed(names.iter().map(String::as_str))
        );
        found.push(Warning::new(Severity::Warning, text));
    }
    if more > 0 {
        found.push(Warning::new(Severity::Warning, format!("no /tf for {more} more frames")));
    }
}
