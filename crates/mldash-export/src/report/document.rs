//! The one document that a page is made from: JSON, with long lists of numbers as base64 of little-endian floats. Times are
//! seconds since the experiment's `start`. The page's script (`templates/report.js`) reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::Report;
use super::about::{JumpLine, TopicLine};
use super::axis::Axis;
use super::intervals::Intervals;
use super::marks::marks;
use super::spread::{Bulk, Histogram};
use super::summary::ExperimentSummary;
use super::track::TrackSummary;

/// What the script is made for.
const VERSION: u32 = 1;
/// Numbers larger than this lose digits as single floats, and are stored as their distance from the smallest.
const LARGE: f64 = 1e5;

/// A page's document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    version: u32,
    /// The date of 0 on the axis that all plots share, in seconds since 1970; none if it is no date.
    base: Option<f64>,
    experiments: Vec<Experiment<'a>>,
}

#[derive(Serialize)]
struct Experiment<'a> {
    name: &'a str,
    /// Where it begins on the shared axis.
    offset: f64,
    length: f64,
    /// Where it was split, and the like: times and sentences.
    marks: Vec<(f64, String)>,
    tracks: Vec<Track<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Track<'a> {
    topic: &'a str,
    rows: u64,
    /// How often the clock of its stamps was set back.
    clock_jumps: u64,
    /// From when to when, as far as that was noted.
    jumps: Vec<(f64, f64)>,
    first: Option<f64>,
    last: Option<f64>,
    interval: Option<Interval<'a>>,
    lag: Option<&'a Bulk>,
    rows_per_point: u64,
    times: String,
    /// The last time of each point, if points stand for several rows.
    ends: Option<String>,
    series: Vec<Series<'a>>,
    texts: Vec<Text<'a>>,
    path: Option<Path>,
    scans: Option<ScansView>,
    pictures: Option<PicturesView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interval<'a> {
    median: f64,
    p99: f64,
    is_regular: bool,
    histogram: &'a Histogram,
    gaps: Vec<(f64, f64)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Series<'a> {
    column: &'a str,
    element: Option<&'a str>,
    /// What is to be added to each value.
    base: f64,
    low: String,
    /// As `low`, if absent.
    high: Option<String>,
    mean: Option<f64>,
    non_finite: u64,
}

#[derive(Serialize)]
struct Text<'a> {
    column: &'a str,
    changes: u64,
    kept: Vec<(f64, &'a str)>,
}

/// Of each point, the first position; where 0 is, is left open.
#[derive(Serialize)]
struct Path {
    column: String,
    x: String,
    y: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScansView {
    times: String,
    first_angle: f64,
    angle_step: f64,
    beams: usize,
    max_range: f64,
    usual_range: f64,
    /// 16-bit numbers: 65534 is `maxRange`, 65535 no echo.
    ranges: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PicturesView {
    times: String,
    /// JPEGs in base64.
    files: Vec<String>,
}

impl<'a> Document<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let axis = Axis::of(&report.experiments);
        let experiment = |summary: &'a ExperimentSummary| {
            let (start, end) = summary.axis;
            Experiment {
                name: &summary.name,
                offset: axis.offset(summary),
                length: end - start,
                marks: marks(summary)
                    .into_iter()
                    .map(|mark| (mark.at - start, mark.text))
                    .collect(),
                tracks: summary.tracks.iter().map(|track| Track::of(track, summary)).collect(),
            }
        };
        let experiments = report.experiments.iter().map(experiment).collect();
        Self { version: VERSION, base: axis.base, experiments }
    }
}

impl<'a> Track<'a> {
    fn of(track: &'a TrackSummary, summary: &'a ExperimentSummary) -> Self {
        let (points, start) = (&track.points, summary.axis.0);
        let is_each_row = points.rows_per_point <= 1;
        let series = track.series.iter().zip(&points.series);
        let series = series.filter(|(name, _)| !track.is_constant(&name.column));
        let series = series.map(|(name, series)| {
            let base = base(&series.low, &series.high);
            let values = |values: &[f64]| floats(values.iter().map(|value| value - base));
            Series {
                column: &name.column,
                element: name.element.as_deref(),
                base,
                low: values(&series.low),
                high: (!is_each_row).then(|| values(&series.high)),
                mean: series.mean(),
                non_finite: series.non_finite,
            }
        });
        let pictures = track.pictures.as_ref().filter(|pictures| !pictures.files.is_empty());
        let text = |(column, texts): &'a (String, super::texts::Texts)| Text {
            column,
            changes: texts.changes(),
            kept: texts.kept.iter().map(|(ts, text)| (ts - start, text.as_str())).collect(),
        };
        Self {
            topic: &track.topic,
            rows: track.rows,
            clock_jumps: clock_jumps(summary, track),
            jumps: jumps(summary, track, start),
            first: track.span.map(|(first, _)| first - start),
            last: track.span.map(|(_, last)| last - start),
            interval: track.intervals.as_ref().map(|intervals| Interval::of(intervals, start)),
            lag: track.lag.as_ref(),
            rows_per_point: points.rows_per_point,
            times: times(&points.times, start),
            ends: (!is_each_row).then(|| times(&points.ends, start)),
            series: series.collect(),
            texts: track.texts.iter().filter(|(_, texts)| texts.changes() > 1).map(text).collect(),
            path: path(track),
            scans: track.scans.as_ref().map(|scans| ScansView {
                times: times(&scans.times, start),
                first_angle: scans.angles.0,
                angle_step: scans.angles.1,
                beams: scans.beams,
                max_range: scans.max_range,
                usual_range: scans.usual_range,
                ranges: base64(scans.ranges.iter().flat_map(|range| range.to_le_bytes())),
            }),
            pictures: pictures.map(|pictures| PicturesView {
                times: times(&pictures.times, start),
                files: pictures.files.iter().map(|file| STANDARD.encode(file)).collect(),
            }),
        }
    }
}

impl<'a> Interval<'a> {
    fn of(intervals: &'a Intervals, start: f64) -> Self {
        let Intervals { median, p99, is_regular, histogram, gaps, .. } = intervals;
        Self {
            median: *median,
            p99: *p99,
            is_regular: *is_regular,
            histogram,
            gaps: gaps.iter().map(|(from, to)| (from - start, to - start)).collect(),
        }
    }
}

/// Of all topics that lead into the track.
fn clock_jumps(summary: &ExperimentSummary, track: &TrackSummary) -> u64 {
    let jumps = |line: &TopicLine| line.notes.get("clock_jumped_back").copied().unwrap_or_default();
    summary.lines_of(track).map(jumps).sum()
}

fn jumps(summary: &ExperimentSummary, track: &TrackSummary, start: f64) -> Vec<(f64, f64)> {
    let jumps = summary.lines_of(track).flat_map(|line| &line.clock_jumps);
    jumps.map(|JumpLine { from, to }| (from - start, to - start)).collect()
}

fn path(track: &TrackSummary) -> Option<Path> {
    let (x, y) = track.path?;
    let column = track.series.get(x)?.column.clone();
    let first = |place: usize| Some(&track.points.series.get(place)?.first);
    let (x, y) = (first(x)?, first(y)?);
    // What never moves has no path.
    let moves = |values: &[f64]| {
        let mut finite = values.iter().filter(|value| value.is_finite());
        let first = finite.next();
        finite.any(|value| Some(value) != first)
    };
    // A map's coordinates can be millions of metres, of which single floats would keep half a metre; only shapes are drawn.
    let floats = |values: &[f64]| {
        let base = base(values, values);
        floats(values.iter().map(|value| value - base))
    };
    (moves(x) || moves(y)).then(|| Path { column, x: floats(x), y: floats(y) })
}

/// What to take off all values, so that single floats keep the digits that differ.
fn base(low: &[f64], high: &[f64]) -> f64 {
    let finite = |values: &[f64]| {
        values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>()
    };
    let least = finite(low).into_iter().reduce(f64::min).unwrap_or(0.0);
    let most = finite(high).into_iter().reduce(f64::max).unwrap_or(0.0);
    let largest = least.abs().max(most.abs());
    // Where the distances are as large as the values (a sentinel among small numbers), they would lose the digits of the
    // small ones.
    if largest > LARGE && most - least < largest / 2.0 { least } else { 0.0 }
}

/// Single floats. A value beyond them is their largest: as an infinity it would leave the plot without a scale.
fn floats(values: impl Iterator<Item = f64>) -> String {
    let (least, most) = (f64::from(f32::MIN), f64::from(f32::MAX));
    base64(values.flat_map(|value| (value.clamp(least, most) as f32).to_le_bytes()))
}

/// Times after `start`, exact.
fn times(times: &[f64], start: f64) -> String {
    base64(times.iter().flat_map(|ts| (ts - start).to_le_bytes()))
}

fn base64(bytes: impl Iterator<Item = u8>) -> String {
    STANDARD.encode(bytes.collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<f32> {
        let bytes = STANDARD.decode(text).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|float| f32::from_le_bytes(*float)).collect()
    }

    #[test]
    fn large_numbers_that_lie_close_keep_their_digits() {
        let northing = [5_400_000.01, 5_400_000.02, f64::NAN];
        let base = base(&northing, &northing);
        let found = read(&floats(northing.iter().map(|value| value - base)));
        assert_eq!(base, northing[0]);
        assert!((f64::from(found[1]) - 0.01).abs() < 1e-6 && found[2].is_nan(), "{found:?}");
    }

    #[test]
    fn a_sentinel_does_not_cost_the_other_values_their_digits() {
        let values = [f64::from(i32::MIN), 1.0, 2.0];
        assert_eq!(base(&values, &values), 0.0);
        assert_eq!(base(&[1.0, 1e12], &[1.0, 1e12]), 0.0);
        assert_eq!(base(&[], &[]), 0.0);
    }

    #[test]
    fn what_is_too_large_for_a_single_float_stays_finite_and_nan_stays_nan() {
        let found = read(&floats([f64::MAX, -1e300, f64::NAN].into_iter()));
        assert_eq!(found[..2], [f32::MAX, f32::MIN]);
        assert!(found[2].is_nan());
    }
}
