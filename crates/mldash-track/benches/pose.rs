//! A robot's pose, over and over: the rows that all benchmarks share.

use std::path::Path;

use mldash_track::{Experiment, Fields, Options, fields};

/// The experiment that the benchmarks record.
pub const EXPERIMENT: &str = "alice/bench/run";
/// The track that holds the poses.
pub const TRACK: &str = "robot/pose";
/// The first row's time, seconds.
pub const START_SECS: f64 = 1_700_000_000.0;
/// Rows a second.
pub const RATE_HZ: f64 = 100.0;

/// Row `i` and its time.
pub fn row(i: u32) -> (Fields, f64) {
    let angle = f64::from(i) / 1000.0;
    let position = [3.0 * angle.sin(), 3.0 * angle.cos(), 0.1 * (angle / 7.0).sin()];
    let orientation = [0.0, 0.0, (angle / 2.0).sin(), (angle / 2.0).cos()];
    let fields = fields! { "frame_id": "map", "position": position, "orientation": orientation };
    (fields, START_SECS + f64::from(i) / RATE_HZ)
}

/// Records `rows` poses under `root` and brings them to rest.
pub fn record(root: &Path, rows: u32) {
    let exp = Experiment::open(EXPERIMENT, Options::local(root)).unwrap();
    let track = exp.tracks(TRACK);
    for i in 0..rows {
        let (fields, ts) = row(i);
        track.append(fields, ts).unwrap();
    }
    exp.close().unwrap();
}
