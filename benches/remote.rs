//! Recording to a distant server, the ML-Dash SDK and us side by side: rows arrived of rows sent, when
//! both end as meant, and when they don't. `scripts/measure-remote` runs it.
//!
//! Options: `--secs N`, `--rate HZ`, `--latency MS` of a request and its answer together. Fails when ours
//! loses a row that was flushed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that can't run says so by its panic"
)]

#[path = "../tests/support/proxy.rs"]
mod fault_proxy;
#[path = "../tests/support/program.rs"]
mod program;
#[path = "../tests/support/python.rs"]
mod python;
#[path = "../tests/support/server.rs"]
mod server;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use fault_proxy::{Fault, Proxy};
use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options, Query, Remote, TrackError};
use program::program;
use python::python;
use server::{Server, TOKEN};

const JOINTS: u32 = 7;
const TRACK: &str = "robot/arm";
const SDK: &str = "alice/measure/sdk";
const OURS: &str = "alice/measure/ours";
/// As the recorder's mapping has it in config/bridge.yaml: what a kill may cost.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// The argument that makes this program the recorder that is measured.
const RECORD: &str = "record";

/// What is recorded, and how far away the server is.
#[derive(Clone, Copy)]
struct Load {
    rows: u32,
    rate_hz: f64,
    latency: Duration,
}

/// How the recorders end.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Orderly,
    /// SIGKILL as soon as the last row is appended.
    Killed,
    /// The same, and the server could not be reached for the second half.
    AwayThenKilled,
}

impl End {
    const ALL: [Self; 3] = [Self::Orderly, Self::Killed, Self::AwayThenKilled];

    fn name(self) -> &'static str {
        match self {
            Self::Orderly => "ended in order",
            Self::Killed => "killed at the last row",
            Self::AwayThenKilled => "offline half way, killed",
        }
    }

    /// Rows that we may lose: those that no flush has returned for.
    fn may_lose(self, load: Load) -> f64 {
        match self {
            Self::Orderly => 0.0,
            Self::Killed | Self::AwayThenKilled => {
                2.0 * FLUSH_INTERVAL.as_secs_f64() * load.rate_hz
            }
        }
    }
}

/// Rows on the server.
struct Arrived {
    sdk: usize,
    ours: usize,
    /// After what was left on our disk has been sent, as a restart does it.
    ours_after_sync: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, url, tokens, root, rate_hz, rows] = &args[..]
        && command == RECORD
    {
        record(url, tokens, root, rate_hz.parse().unwrap(), rows.parse().unwrap()).unwrap();
        return ExitCode::SUCCESS;
    }
    let option = |name: &str, default: f64| {
        let given = args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
        given.map_or(default, |value| value.parse().unwrap())
    };
    let rate_hz = option("--rate", 100.0);
    let load = Load {
        rows: (option("--secs", 30.0) * rate_hz) as u32,
        rate_hz,
        latency: Duration::from_secs_f64(option("--latency", 500.0) / 1000.0),
    };
    println!(
        "{} rows at {rate_hz} Hz each, to a server that is {:?} away",
        load.rows, load.latency
    );
    println!(
        "{:24} {:>14} {:>14} {:>20}",
        "rows on the server", "SDK", "ours", "ours, after `sync`"
    );
    let mut lost = false;
    for end in End::ALL {
        let arrived = measure(load, end);
        let share =
            |rows: usize| format!("{rows} {:.1} %", 100.0 * rows as f64 / f64::from(load.rows));
        let (sdk, ours, synced) =
            (share(arrived.sdk), share(arrived.ours), share(arrived.ours_after_sync));
        println!("{:24} {sdk:>14} {ours:>14} {synced:>20}", end.name());
        lost |= (arrived.ours_after_sync as f64) < f64::from(load.rows) - end.may_lose(load);
    }
    if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(load: Load, end: End) -> Arrived {
    let folder = tempfile::tempdir().unwrap();
    let server_root = folder.path().join("server");
    let server = Server::start(&server_root);
    let proxy = Proxy::start(server.address.parse().unwrap());
    proxy.set(Fault::latency(load.latency / 2));

    let mut ours = start_ours(load, folder.path(), &proxy.url());
    let mut sdk = start_sdk(load, folder.path(), &proxy.url());
    if end == End::AwayThenKilled {
        std::thread::sleep(Duration::from_secs_f64(f64::from(load.rows) / load.rate_hz / 2.0));
        proxy.set(Fault::BlackHole);
    }
    for recorder in [&mut ours, &mut sdk] {
        wait_for_last_row(recorder);
        if end != End::Orderly {
            recorder.kill().unwrap();
        }
        let status = recorder.wait().unwrap();
        assert!(end != End::Orderly || status.success(), "{status}");
    }
    let on_server = |name| rows_in(&server_root, name);
    let (sdk, ours) = (on_server(SDK), on_server(OURS));
    let synced = program(["sync", OURS, "--remote", &server.url(), "--root"])
        .arg(folder.path().join("ours"))
        .arg("--token-file")
        .arg(token_file(folder.path()))
        .run();
    assert_eq!(synced.code, 0, "{}", synced.stderr);
    Arrived { sdk, ours, ours_after_sync: on_server(OURS) }
}

fn token_file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("token");
    fs::write(&path, TOKEN).unwrap();
    path
}

fn start_ours(load: Load, folder: &Path, url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([RECORD, url]).arg(token_file(folder)).arg(folder.join("ours"));
    spawn(&mut command, load)
}

fn start_sdk(load: Load, folder: &Path, url: &str) -> Child {
    let tokens = format!("{{\"ml-dash-token\": \"{TOKEN}\"}}");
    fs::write(folder.join("tokens.json"), tokens).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/remote_sdk.py");
    let mut command = Command::new(python());
    command.arg(script).args([url, SDK]);
    command.env("ML_DASH_CONFIG_DIR", folder).env("ML_DASH_NO_VERSION_CHECK", "1");
    spawn(&mut command, load)
}

fn spawn(command: &mut Command, load: Load) -> Child {
    command.args([load.rate_hz.to_string(), load.rows.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Until the recorder says that it has appended all.
fn wait_for_last_row(recorder: &mut Child) {
    let mut lines = BufReader::new(recorder.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap_or_else(|| panic!("the recorder ended early")).unwrap();
    assert_eq!(line, "appended");
}

/// Our recorder: the same rows through the Track API, stored on its own disk and sent from there.
fn record(url: &str, tokens: &str, root: &str, rate_hz: f64, rows: u32) -> Result<(), TrackError> {
    let remote = Remote::new(url).token_file(tokens);
    let options = Options::local(root).flush_interval(FLUSH_INTERVAL).remote(remote);
    let experiment = Experiment::open(OURS, options)?;
    let arm = experiment.tracks(TRACK);
    let start = Instant::now();
    for row in 0..rows {
        let due = Duration::from_secs_f64(f64::from(row) / rate_hz);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let q: Vec<f64> =
            (0..JOINTS).map(|joint| f64::from(row) * 0.001 + f64::from(joint)).collect();
        arm.append(fields! { "q": q }, f64::from(row) / rate_hz)?;
    }
    println!("appended");
    drop(experiment.close());
    Ok(())
}

fn rows_in(root: &Path, name: &str) -> usize {
    match Experiment::open_read_only(name, root) {
        Ok(experiment) => experiment.tracks(TRACK).read(&Query::all()).unwrap().len(),
        Err(TrackError::NoExperiment { .. }) => 0,
        Err(error) => panic!("{error}"),
    }
}
