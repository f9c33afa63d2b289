//! What is shown at a time rather than as a curve: laser scans and pictures, some of them, evenly spread in time.

use mldash_track::{Experiment, Row, TrackError, Value, one_line};

use super::limits::ReportLimits;
use super::samples::spread_rows;
use super::track::TrackSummary;
use crate::files::RecordedFiles;
use crate::picture;
use crate::values::push_numbers;

/// Scans of a track; of very many tracks, fewer of each, so that those of a page take about so much.
const MAX_SCANS: usize = 240;
const MIN_SCANS: usize = 8;
const SCANS_BYTES: usize = 4_000_000;
/// Beams of a scan; of more, the nearest of each few.
const MAX_BEAMS: usize = 360;
/// This part of all echoes is within the usual range.
const USUAL: f64 = 0.97;
/// Echoes so many times as far as that are drawn at that distance, out of sight: what a driver means by them (1e30) would leave the
/// others no digits.
const FARTHEST: f64 = 10.0;
/// What stands for a beam that nothing reflected.
const NO_ECHO: u16 = u16::MAX;
/// A larger file is no picture that anybody looks at, and several are read at once.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// The files that are shown; the recorder names a picture's kind by its ending.
const ENDINGS: [&str; 3] = [".jpg", ".jpeg", ".png"];
/// Pictures that can't be used and are named.
const MAX_PROBLEMS: usize = 3;

/// Scans in the plane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scans {
    pub(crate) times: Vec<f64>,
    /// The direction of the first beam and the angle between two, in radians.
    pub(crate) angles: (f64, f64),
    /// Metres that the largest number but one stands for.
    pub(crate) max_range: f64,
    /// Most echoes are nearer: a view up to here shows the surroundings.
    pub(crate) usual_range: f64,
    pub(crate) beams: usize,
    /// Scan by scan, `beams` each.
    pub(crate) ranges: Vec<u16>,
}

/// Small pictures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pictures {
    pub(crate) times: Vec<f64>,
    /// Files of JPEG.
    pub(crate) files: Vec<Vec<u8>>,
    /// How many could not be used, and why the first could not.
    pub(crate) unusable: u64,
    pub(crate) problems: Vec<String>,
    /// How many were left out since they would have taken too much.
    pub(crate) left_out: u64,
    /// How many are in files of another kind, which is no fault of theirs: arrays, video, WebP.
    pub(crate) other_kinds: u64,
}

/// How many scans each of so many tracks may have.
pub(crate) fn max_scans(tracks: usize) -> usize {
    (SCANS_BYTES / (MAX_BEAMS * size_of::<u16>()) / tracks.max(1)).clamp(MIN_SCANS, MAX_SCANS)
}

impl Scans {
    /// Some of a track's scans; `None` if its rows are none after all.
    pub(crate) fn of(
        experiment: &Experiment,
        track: &TrackSummary,
        count: usize,
    ) -> Result<Option<Self>, TrackError> {
        let (true, Some(span)) = (track.shown.has_scans, track.span) else { return Ok(None) };
        let rows = spread_rows(experiment, &track.topic, track.rows, span, count)?;
        let scans: Vec<(f64, f64, f64, Vec<f64>)> = rows.iter().filter_map(scan).collect();
        let Some((_, start, step, first)) = scans.first() else { return Ok(None) };
        let group = first.len().div_ceil(MAX_BEAMS).max(1);
        let beams = first.len().div_ceil(group);
        let ranges = scans.iter().flat_map(|(.., ranges)| ranges).copied();
        let mut echoes: Vec<f64> = ranges.filter(|range| range.is_finite()).collect();
        echoes.sort_unstable_by(f64::total_cmp);
        let last = echoes.last().copied().unwrap_or_default().max(0.0);
        let usual = (echoes.len() as f64 * USUAL) as usize;
        let usual_range = echoes.get(usual).copied().unwrap_or(last).max(0.0);
        let max_range = last.min(usual_range * FARTHEST);
        let mut all = Self {
            times: Vec::new(),
            angles: (*start, step * group as f64),
            max_range,
            usual_range,
            beams,
            ranges: Vec::new(),
        };
        for (ts, _, _, ranges) in &scans {
            all.times.push(*ts);
            let nearest = ranges.chunks(group).map(|beams| {
                // What is in the way is the nearest.
                let echo = beams.iter().copied().filter(|r| r.is_finite() && *r >= 0.0);
                echo.reduce(f64::min).map_or(NO_ECHO, |range| {
                    let part = (range / max_range.max(f64::MIN_POSITIVE)).min(1.0);
                    (part * f64::from(NO_ECHO - 1)) as u16
                })
            });
            all.ranges.extend(nearest.chain(std::iter::repeat(NO_ECHO)).take(beams));
        }
        Ok(Some(all))
    }
}

/// Time, first angle, angle between beams, ranges.
fn scan(row: &Row) -> Option<(f64, f64, f64, Vec<f64>)> {
    let numbers = |name: &str| {
        let mut numbers = Vec::new();
        push_numbers(row.fields.get(name)?, None, &mut numbers).ok()?;
        Some(numbers)
    };
    let ranges = numbers("ranges").filter(|ranges| !ranges.is_empty())?;
    let angle = |name: &str| numbers(name)?.first().copied().filter(|angle| angle.is_finite());
    Some((row.ts.as_secs(), angle("angle_min")?, angle("angle_increment")?, ranges))
}

impl Pictures {
    /// Up to `count` of a track's pictures, in up to `max_bytes`; `None` if it has none.
    pub(crate) fn of(
        experiment: &Experiment,
        files: &RecordedFiles,
        track: &TrackSummary,
        (count, max_bytes): (usize, usize),
        limits: &ReportLimits,
    ) -> Result<Option<Self>, TrackError> {
        let (Some(column), Some(span)) = (&track.shown.pictures, track.span) else {
            return Ok(None);
        };
        let mut found = Self::default();
        let mut room = max_bytes;
        for row in spread_rows(experiment, &track.topic, track.rows, span, count)? {
            let Some(Value::Text(path)) = row.fields.get(column) else { continue };
            if !ENDINGS.iter().any(|ending| path.ends_with(ending)) {
                found.other_kinds += 1;
                continue;
            }
            match thumbnail(files, path, limits) {
                Ok(file) if file.len() > room => found.left_out += 1,
                Ok(file) => {
                    room -= file.len();
                    found.times.push(row.ts.as_secs());
                    found.files.push(file);
                }
                Err(problem) => {
                    found.unusable += 1;
                    if found.problems.len() < MAX_PROBLEMS {
                        found.problems.push(problem);
                    }
                }
            }
        }
        Ok(Some(found))
    }
}

/// A small picture of a file, or why there is none.
fn thumbnail(files: &RecordedFiles, path: &str, limits: &ReportLimits) -> Result<Vec<u8>, String> {
    let bytes = files.find(path).map_or(0, |info| info.size_bytes);
    if bytes > MAX_FILE_BYTES.min(limits.max_picture_bytes()) {
        return Err(format!("{path}: it has {bytes} bytes, more than a picture takes"));
    }
    let file = files.read(path).map_err(|error| one_line(&error))?;
    let small = picture::thumbnail(&file, limits.max_pixels);
    small.map_err(|error| format!("{path}: {}", one_line(&error)))
}

#[cfg(test)]
mod tests {
    use mldash_track::{Options, fields};

    use super::super::columns::Shown;
    use super::*;

    #[test]
    fn an_echo_from_very_far_costs_the_others_no_digits() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("a/b/c", Options::local(root.path())).unwrap();
        let mut ranges: Vec<f64> = (0..100).map(|beam| 1.0 + f64::from(beam) / 100.0).collect();
        ranges[7] = 1e30;
        ranges[8] = f64::INFINITY;
        let scan = fields! { "ranges": ranges, "angle_min": 0.0, "angle_increment": 0.01 };
        exp.tracks("scan").append(scan, 1.0).unwrap();
        exp.flush().unwrap();
        let track = TrackSummary {
            topic: "scan".to_owned(),
            rows: 1,
            span: Some((1.0, 1.0)),
            shown: Shown { has_scans: true, ..Shown::default() },
            ..TrackSummary::default()
        };
        let scans = Scans::of(&exp, &track, 1).unwrap().unwrap();
        assert!((1.9..2.0).contains(&scans.usual_range), "{}", scans.usual_range);
        assert_eq!((scans.ranges[7], scans.ranges[8]), (NO_ECHO - 1, NO_ECHO));
        let shown = f64::from(scans.ranges[50]) / f64::from(NO_ECHO - 1) * scans.max_range;
        assert!((shown - 1.5).abs() < 1e-3, "{shown}");
    }
}
