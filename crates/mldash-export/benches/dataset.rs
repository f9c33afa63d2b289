//! How fast a recording of two cameras and joints becomes a dataset, in GB a minute: with pictures, and with videos where
//! ffmpeg is.
//!
//! `cargo bench -p mldash-export --bench dataset`; `MLDASH_BENCH_MB` says how large the recording is (1000).

#![expect(clippy::unwrap_used, reason = "a panic in a benchmark is its report")]

use std::path::Path;
use std::time::Instant;

use mldash_export::recipe::Recipe;
use mldash_export::{Progress, Recording, Target, export};
use mldash_track::{Experiment, Options, fields};

#[path = "support/camera.rs"]
mod camera;

const CAMERA_HZ: u32 = 30;
const JOINTS_HZ: u32 = 100;
const START_SECS: f64 = 1.7e9;
/// As many different pictures; they repeat.
const PICTURES: usize = 16;

fn main() {
    let megabytes: u64 =
        std::env::var("MLDASH_BENCH_MB").map_or(1000, |text| text.parse().unwrap());
    let root = tempfile::Builder::new().prefix("mldash-bench").tempdir_in(".").unwrap();
    let began = Instant::now();
    let bytes = record(root.path(), megabytes * 1_000_000);
    let secs = began.elapsed().as_secs_f64();
    println!("recording of {:.3} GB, made in {secs:.1} s", bytes as f64 / 1e9);
    for store in ["image", "video"] {
        measure(root.path(), store, bytes);
    }
}

fn measure(root: &Path, store: &str, bytes: u64) {
    let recipe = format!(
        "{{fps: 30, task: bench, missing: error, features: {{\
         observation.state: {{from: 'joint_states:position', method: linear, joints: [a, b, c, d, e, f]}}, \
         observation.images.left: {{from: camera/left, as: {store}}}, \
         observation.images.right: {{from: camera/right, as: {store}}}}}}}"
    );
    let recipe = Recipe::parse(&recipe, "bench").unwrap();
    let experiment = Experiment::open_read_only("bench/dataset/run", root).unwrap();
    let recordings = [Recording { name: "bench/dataset/run".to_owned(), experiment }];
    let target = root.join(store);
    let began = Instant::now();
    match export(&recipe, &recordings, &target, Target::New, &Progress::default()) {
        Ok(account) => {
            let secs = began.elapsed().as_secs_f64();
            let gb_per_minute = bytes as f64 / 1e9 / (secs / 60.0);
            println!(
                "{store}: {} frames in {secs:.1} s, {gb_per_minute:.2} GB/min",
                account.frames
            );
        }
        Err(error) => println!("{store}: {error}"),
    }
}

/// Records until the pictures have so many bytes, and returns how many all files and rows have.
fn record(root: &Path, bytes: u64) -> u64 {
    let pictures: Vec<Vec<u8>> =
        (0..PICTURES).map(|seed| camera::picture(seed, (480, 640))).collect();
    let exp = Experiment::open("bench/dataset/run", Options::local(root)).unwrap();
    let mut saved = 0;
    let mut frame = 0_u32;
    while saved < bytes {
        let secs = START_SECS + f64::from(frame) / f64::from(CAMERA_HZ);
        for camera in ["camera/left", "camera/right"] {
            let picture = &pictures[frame as usize % PICTURES];
            let name = format!("{frame:06}.jpg");
            exp.files(camera).save_bytes(picture, &name).unwrap();
            let fields =
                fields! { "path": format!("{camera}/{name}"), "width": 640, "height": 480 };
            exp.tracks(camera).append(fields, secs).unwrap();
            saved += picture.len() as u64;
        }
        frame += 1;
    }
    for i in 0..frame * JOINTS_HZ / CAMERA_HZ {
        let secs = START_SECS + f64::from(i) / f64::from(JOINTS_HZ);
        let names = ["a", "b", "c", "d", "e", "f"].to_vec();
        let fields =
            fields! { "name": names, "position": [secs.sin(); 6], "velocity": [secs.cos(); 6] };
        exp.tracks("joint_states").append(fields, secs).unwrap();
    }
    let closed = exp.close().unwrap();
    saved + closed.tracks.iter().map(|track| track.info.size_bytes).sum::<u64>()
}
