//! How long a report of an hour of ten topics takes, and how large its page is.
//!
//! `cargo bench -p mldash-export --bench report`; `MLDASH_BENCH_PAGE` names a file to leave the page in.

#![expect(clippy::unwrap_used, reason = "a panic in a benchmark is its report")]

use std::path::Path;
use std::time::Instant;

use mldash_export::report::{Report, ReportLimits, write_page};
use mldash_export::{Progress, Recording};
use mldash_track::{Experiment, Fields, Options, fields};

#[path = "support/camera.rs"]
mod camera;

const NAME: &str = "bench/report/hour";
const START_SECS: f64 = 1.75e9;
const HOUR_SECS: u32 = 3600;
/// As many different pictures; they repeat.
const PICTURES: usize = 16;
const RUNS: usize = 3;

/// The i-th row of a topic.
type MakeRow<'t> = dyn Fn(u32) -> Fields + 't;

fn main() {
    let root = tempfile::Builder::new().prefix("mldash-bench").tempdir_in(".").unwrap();
    let (rows, bytes) = record(root.path());
    println!("an hour of 10 topics: {rows} rows, {:.0} MB of rows", bytes as f64 / 1e6);
    let all = ReportLimits::default().threads;
    // As `mldash_bridge report` makes it, and as `serve` does.
    for threads in [all; RUNS].into_iter().chain([1; RUNS]) {
        let mut limits = ReportLimits::default();
        limits.threads = threads;
        let began = Instant::now();
        let recordings = Recording::open_all([NAME.to_owned()], root.path()).unwrap();
        let report = Report::within(&recordings, &limits, &Progress::default()).unwrap();
        let read_secs = began.elapsed().as_secs_f64();
        let mut page = Vec::new();
        write_page(&report, &mut page).unwrap();
        let (secs, megabytes) = (began.elapsed().as_secs_f64(), page.len() as f64 / 1e6);
        println!(
            "{threads} threads: page of {megabytes:.1} MB in {secs:.2} s, of which reading {read_secs:.2} s"
        );
        if let Ok(file) = std::env::var("MLDASH_BENCH_PAGE") {
            std::fs::write(file, page).unwrap();
        }
    }
}

/// Records and returns how many rows there are, and their bytes.
fn record(root: &Path) -> (u64, u64) {
    let exp = Experiment::open(NAME, Options::local(root)).unwrap();
    let wave = |i: u32, period: f64| (f64::from(i) / period).sin();
    let three = |i: u32| [wave(i, 90.0), wave(i, 70.0), wave(i, 3000.0)];
    let topics: [(&str, u32, &MakeRow<'_>); 9] = [
        ("imu", 200, &|i| {
            fields! {
                "frame_id": "imu_link", "orientation": [0.0, 0.0, wave(i, 9000.0), 0.7], "orientation_covariance": [0.0; 9],
                "angular_velocity": three(i), "angular_velocity_covariance": [0.0; 9], "linear_acceleration": three(i + 9),
                "linear_acceleration_covariance": [0.0; 9]
            }
        }),
        ("odom", 50, &|i| {
            fields! {
                "frame_id": "odom", "child_frame_id": "base_link", "pose.pose.position": three(i), "pose.covariance": [0.0; 36],
                "pose.pose.orientation": [0.0, 0.0, wave(i, 9000.0), 0.7], "twist.twist.linear": three(i + 5),
                "twist.twist.angular": three(i + 7), "twist.covariance": [0.0; 36]
            }
        }),
        ("joint_states", 100, &|i| {
            let names = ["a", "b", "c", "d", "e", "f"].to_vec();
            fields! { "name": names, "position": [wave(i, 300.0); 6], "velocity": [wave(i, 50.0); 6], "effort": [wave(i, 10.0); 6] }
        }),
        ("cmd_vel", 20, &|i| fields! { "linear": three(i), "angular": three(i) }),
        ("tf/base_link", 50, &|i| {
            fields! {
                "frame_id": "odom", "child_frame_id": "base_link", "transform.translation": three(i),
                "transform.rotation": [0.0, 0.0, wave(i, 9000.0), 0.7]
            }
        }),
        ("scan", 10, &|i| {
            let ranges: Vec<f32> = (0..720).map(|beam| 4.0 + wave(beam + i, 40.0) as f32).collect();
            fields! { "frame_id": "laser", "angle_min": -1.57, "angle_increment": 0.00436, "range_max": 30.0, "ranges": ranges }
        }),
        (
            "battery",
            1,
            &|i| fields! { "voltage": 24.0 - f64::from(i) / 3600.0, "percentage": 1.0 - f64::from(i) / 7200.0 },
        ),
        ("mode", 1, &|i| fields! { "data": if i % 600 < 300 { "drive" } else { "wait" } }),
        ("gps", 10, &|i| {
            fields! { "latitude": 52.5 + f64::from(i) * 1e-7, "longitude": 13.4, "altitude": 34.0 + wave(i, 400.0), "status": 0 }
        }),
    ];
    for (topic, hz, row) in topics {
        let track = exp.tracks(topic);
        for i in 0..HOUR_SECS * hz {
            let jitter = f64::from(i % 11) * 1e-5;
            track.append(row(i), START_SECS + f64::from(i) / f64::from(hz) + jitter).unwrap();
        }
    }
    let pictures: Vec<Vec<u8>> =
        (0..PICTURES).map(|seed| camera::picture(seed, (240, 320))).collect();
    let (camera, files) = (exp.tracks("camera"), exp.files("camera"));
    for i in 0..HOUR_SECS * 5 {
        let name = format!("{i:06}.jpg");
        files.save_bytes(&pictures[i as usize % PICTURES], &name).unwrap();
        let row = fields! { "path": format!("camera/{name}"), "frame": name, "index": i, "width": 320, "height": 240 };
        camera.append(row, START_SECS + f64::from(i) / 5.0).unwrap();
    }
    let closed = exp.close().unwrap();
    let sum = |of: fn(&mldash_track::TrackInfo) -> u64| {
        closed.tracks.iter().map(|track| of(&track.info)).sum()
    };
    (sum(|info| info.total_entries), sum(|info| info.size_bytes))
}
