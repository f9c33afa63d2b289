//! What packing rows costs and saves: an hour of joint states, of an IMU and of scans. Times are of CPU, so that other
//! programs disturb them less.
//! `cargo bench -p mldash-track --bench packed`; `MLDASH_BENCH_SECS` says how long instead of 3,600 s.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't run says so by its panic")]

use std::f64::consts::TAU;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use mldash_track::{Experiment, Fields, Format, Options, Query, fields};
use rustix::time::{ClockId, clock_gettime};

const RUN: &str = "bench/packed/run";
const START_SECS: f64 = 1_700_000_000.0;
const REPEATS: usize = 5;

/// A sensor: its name, rate in Hz, and rows.
type Sensor = (&'static str, f64, fn(&mut Noise, f64) -> Fields);

/// Numbers with as many random digits as a sensor's.
struct Noise(fastrand::Rng);

impl Noise {
    fn around(&mut self, value: f64, by: f64) -> f64 {
        value + by * (self.0.f64() - 0.5)
    }
}

const SENSORS: [Sensor; 3] = [
    ("joint_states", 100.0, |noise, t| {
        let mut seven = |amplitude: f64, by: f64| -> Vec<f64> {
            (0..7).map(|k| noise.around(amplitude * (0.3 * t + f64::from(k)).sin(), by)).collect()
        };
        let (position, velocity, effort) = (seven(1.0, 1e-4), seven(0.3, 1e-3), seven(5.0, 1.0));
        fields! { "frame_id": "", "position": position, "velocity": velocity, "effort": effort }
    }),
    ("imu", 200.0, |noise, t| {
        let mut three = |z: f64, by: f64| -> Vec<f64> {
            [0.0, 0.0, z].map(|mean| noise.around(mean, by)).to_vec()
        };
        let (rates, accelerations) = (three(0.1, 0.02), three(9.81, 0.2));
        fields! {
            "frame_id": "imu_link",
            "orientation": vec![0.0, 0.0, (0.1 * t).sin(), (0.1 * t).cos()],
            "orientation_covariance": vec![0.0; 9],
            "angular_velocity": rates,
            "angular_velocity_covariance": vec![0.0; 9],
            "linear_acceleration": accelerations,
            "linear_acceleration_covariance": vec![0.0; 9],
        }
    }),
    ("scan", 10.0, |noise, t| {
        let ray = |k: u32| 3.0 + 2.0 * (f64::from(k) / 720.0 * TAU + 0.05 * t).sin();
        let ranges: Vec<f32> = (0..720).map(|k| noise.around(ray(k), 0.02) as f32).collect();
        fields! { "frame_id": "laser", "angle_min": -3.12414_f32, "angle_increment": 0.0087_f32,
        "range_max": 30.0_f32, "ranges": ranges }
    }),
];

/// What this process has used so far.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// The CPU that some work takes.
fn cpu_of(work: impl FnOnce()) -> Duration {
    let before = cpu();
    work();
    cpu() - before
}

fn record(root: &Path, secs: f64) -> Duration {
    let hour = Duration::from_secs(3600);
    let options = Options::local(root).flush_interval(hour).sync_interval(hour);
    let exp = Experiment::open(RUN, options).unwrap();
    let mut noise = Noise(fastrand::Rng::with_seed(7));
    for (name, rate_hz, row) in SENSORS {
        let track = exp.tracks(name);
        for i in 0..(secs * rate_hz) as u32 {
            let t = f64::from(i) / rate_hz;
            let late = noise.around(0.0, 1e-4);
            track.append(row(&mut noise, t), START_SECS + t + late).unwrap();
            if i % 10_000 == 0 {
                track.flush().unwrap();
            }
        }
    }
    exp.flush().unwrap();
    cpu_of(|| drop(exp.close().unwrap()))
}

fn best(mut work: impl FnMut()) -> Duration {
    (0..REPEATS).map(|_| cpu_of(&mut work)).min().unwrap()
}

/// Bytes on the disk, and the times to read 1 % of the range and all of it.
fn measure(root: &Path, name: &str, secs: f64) -> (u64, Duration, Duration, Duration) {
    let open = || Experiment::open_read_only(RUN, root).unwrap();
    let middle = START_SECS + secs / 2.0;
    let part = Query::range(middle..middle + secs / 100.0);
    let hundredth = best(|| drop(open().tracks(name).read(&part).unwrap()));
    let to_sink = |format: Format| {
        best(|| {
            open().tracks(name).export_to(&Query::all(), format, &mut std::io::sink()).unwrap();
        })
    };
    let folder = open().folder().join("tracks").join(name);
    let size = |file: &str| fs::metadata(folder.join(file)).map_or(0, |file| file.len());
    let bytes = size("data.jsonl") + size("data.jsonl.zst");
    (bytes, hundredth, to_sink(Format::Jsonl), to_sink(Format::Csv))
}

fn main() {
    let secs = std::env::var("MLDASH_BENCH_SECS").map_or(3600.0, |secs| secs.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let closed = record(root.path(), secs);
    let plain = SENSORS.map(|(name, ..)| measure(root.path(), name, secs));
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let before = cpu();
    let done = exp.pack(|| ControlFlow::Continue(())).unwrap();
    let packing = cpu() - before;
    assert_eq!(done.tracks, 3, "{done:?}");
    let packed = SENSORS.map(|(name, ..)| measure(root.path(), name, secs));
    let unpacking = cpu_of(|| drop(exp.unpack().unwrap()));
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{secs} s of each; plain → packed, ms of CPU");
    for ((name, ..), (plain, packed)) in SENSORS.iter().zip(plain.into_iter().zip(packed)) {
        println!(
            "{name}: {:.1} → {:.1} MB (÷ {:.2}); 1 % {:.1} → {:.1} ms; all as JSONL {:.0} → {:.0} ms; \
             all as CSV {:.0} → {:.0} ms",
            mb(plain.0),
            mb(packed.0),
            mb(plain.0) / mb(packed.0),
            ms(plain.1),
            ms(packed.1),
            ms(plain.2),
            ms(packed.2),
            ms(plain.3),
            ms(packed.3)
        );
    }
    println!(
        "close {:.0} ms; pack {:.1} s ({:.0} MB/s); unpack {:.1} s",
        ms(closed),
        packing.as_secs_f64(),
        mb(done.bytes_before) / packing.as_secs_f64(),
        unpacking.as_secs_f64()
    );
}
