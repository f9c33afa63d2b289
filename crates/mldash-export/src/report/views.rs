//! What is shown at a time rather than as a curve: laser scans and pictures, some of them, evenly spread in time.

use mldash_track::{Experiment, Row, TrackError, Value, one_line};

use super::track::{TrackSummary, spread_rows};
use crate::files::RecordedFiles;
use crate::picture;
use crate::values::push_numbers;

/// Scans of a track.
const MAX_SCANS: usize = 240;
/// Beams of a scan; of more, the nearest of each few.
const MAX_BEAMS: usize = 360;
/// This part of all echoes is within the usual range.
const USUAL: f64 = 0.97;
/// What stands for a beam that nothing reflected.
const NO_ECHO: u16 = u16::MAX;
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
}

impl Scans {
    /// Some of a track's scans; `None` if its rows are none after all.
    pub(crate) fn of(
        experiment: &Experiment,
        track: &TrackSummary,
    ) -> Result<Option<Self>, TrackError> {
        let (true, Some(span)) = (track.shown.has_scans, track.span) else { return Ok(None) };
        let rows = spread_rows(experiment, &track.topic, track.rows, span, MAX_SCANS)?;
        let scans: Vec<(f64, f64, f64, Vec<f64>)> = rows.iter().filter_map(scan).collect();
        let Some((_, start, step, first)) = scans.first() else { return Ok(None) };
        let group = first.len().div_ceil(MAX_BEAMS).max(1);
        let beams = first.len().div_ceil(group);
        let ranges = scans.iter().flat_map(|(.., ranges)| ranges).copied();
        let mut echoes: Vec<f64> = ranges.filter(|range| range.is_finite()).collect();
        echoes.sort_unstable_by(f64::total_cmp);
        let max_range = echoes.last().copied().unwrap_or_default().max(0.0);
        let usual = (echoes.len() as f64 * USUAL) as usize;
        let mut all = Self {
            times: Vec::new(),
            angles: (*start, step * group as f64),
            max_range,
            usual_range: echoes.get(usual).copied().unwrap_or(max_range),
            beams,
            ranges: Vec::new(),
        };
        for (ts, _, _, ranges) in &scans {
            all.times.push(*ts);
            let nearest = ranges.chunks(group).map(|beams| {
                // What is in the way is the nearest.
                let echo = beams.iter().copied().filter(|r| r.is_finite() && *r >= 0.0);
                echo.reduce(f64::min).map_or(NO_ECHO, |range| {
                    (range / max_range.max(f64::MIN_POSITIVE) * f64::from(NO_ECHO - 1)) as u16
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
        count: usize,
        max_bytes: usize,
    ) -> Result<Option<Self>, TrackError> {
        let (Some(column), Some(span)) = (&track.shown.pictures, track.span) else {
            return Ok(None);
        };
        let mut found = Self::default();
        let mut room = max_bytes;
        for row in spread_rows(experiment, &track.topic, track.rows, span, count)? {
            let Some(Value::Text(path)) = row.fields.get(column) else { continue };
            let thumbnail = files.read(path).map_err(|error| one_line(&error)).and_then(|file| {
                picture::thumbnail(&file).map_err(|error| format!("{path}: {}", one_line(&error)))
            });
            match thumbnail {
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
