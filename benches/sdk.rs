//! The same work done by the ML-Dash SDK and by us, one after the other on one machine.
//! `cargo bench --no-default-features --bench sdk`; needs `make setup`. Fails when a target is missed.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't run says so by its panic")]

#[path = "../crates/mldash-track/benches/pose.rs"]
mod pose;
#[path = "../tests/support/python.rs"]
mod python;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use mldash_bridge::track::{Experiment, Format, Query};
use python::python;
use rustix::time::{ClockId, clock_gettime};

const ROWS: u32 = 1_000_000;
const APPENDED_ROWS: u32 = 200_000;

/// What a task took.
#[derive(Clone, Copy)]
struct Cost {
    wall_secs: f64,
    cpu_secs: f64,
}

/// By which of its costs a task is compared.
#[derive(Clone, Copy, Debug)]
enum By {
    Wall,
    Cpu,
}

impl Cost {
    fn of(self, by: By) -> f64 {
        match by {
            By::Wall => self.wall_secs,
            By::Cpu => self.cpu_secs,
        }
    }
}

fn main() -> ExitCode {
    let root = tempfile::tempdir().unwrap();
    let appended = root.path().join("appended");
    let recorded = root.path().join("recorded");
    pose::record(&recorded, ROWS);
    let middle = pose::START_SECS + f64::from(ROWS / 2) / pose::RATE_HZ;
    let end = middle + f64::from(ROWS / 100 - 1) / pose::RATE_HZ;
    let hundredth = Query::range(middle..=end);
    let (from, to) = (middle.to_string(), end.to_string());

    println!("{:28} {:>6} {:>9} {:>9} {:>7} {:>7}", "", "", "SDK s", "ours s", "times", "target");
    let append = compare(
        "append 200,000 rows",
        By::Cpu,
        20.0,
        || sdk_appends(&root.path().join("sdk"), APPENDED_ROWS),
        || pose::record(&appended, APPENDED_ROWS),
    );
    let read = |query: &Query| drop(track(&recorded).read(query).unwrap());
    let export = |format| drop(track(&recorded).export(&Query::all(), format).unwrap());
    let range = compare(
        "read 1 % of 1,000,000 rows",
        By::Wall,
        100.0,
        || sdk("read", &recorded, &["json", &from, &to], b""),
        || read(&hundredth),
    );
    let all = [Format::Json, Format::Jsonl, Format::Mocap, Format::Parquet].map(|format| {
        compare(
            &format!("read all, {format}"),
            By::Wall,
            10.0,
            || sdk("read", &recorded, &[format.name()], b""),
            || export(format),
        )
    });
    if append && range && all.into_iter().all(|met| met) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints both costs and their ratio; whether it reaches `target`.
fn compare(task: &str, by: By, target: f64, sdk: impl Fn() -> Cost, ours: impl Fn()) -> bool {
    let (sdk, ours) = (sdk().of(by), measure(ours).of(by));
    let times = sdk / ours;
    println!("{task:28} {by:>6?} {sdk:9.3} {ours:9.3} {times:6.1}x {target:6.0}x");
    times >= target
}

fn measure(task: impl Fn()) -> Cost {
    let cpu = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
    };
    let (wall_before, cpu_before) = (Instant::now(), cpu());
    task();
    Cost {
        wall_secs: wall_before.elapsed().as_secs_f64(),
        cpu_secs: (cpu() - cpu_before).as_secs_f64(),
    }
}

fn track(root: &Path) -> mldash_bridge::track::Track {
    Experiment::open_read_only(pose::EXPERIMENT, root).unwrap().tracks(pose::TRACK)
}

fn sdk_appends(root: &Path, rows: u32) -> Cost {
    let ours = tempfile::tempdir().unwrap();
    pose::record(ours.path(), rows);
    let lines = track(ours.path()).export(&Query::all(), Format::Jsonl).unwrap();
    sdk("append", root, &[], &lines)
}

/// Runs benches/sdk.py, which measures itself.
fn sdk(task: &str, root: &Path, args: &[&str], stdin: &[u8]) -> Cost {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(python())
        .arg(sources.join("benches/sdk.py"))
        .args([task, root.to_str().unwrap(), pose::EXPERIMENT, pose::TRACK])
        .args(args)
        .env("ML_DASH_NO_VERSION_CHECK", "1")
        .env("ML_DASH_CONFIG_DIR", root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "the SDK failed to {task}");
    let report = String::from_utf8(done.stdout).unwrap();
    let figures: Vec<f64> = report.split_whitespace().map(|n| n.parse().unwrap()).collect();
    Cost { wall_secs: figures[0], cpu_secs: figures[1] }
}
