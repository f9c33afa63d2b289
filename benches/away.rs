//! Recording while the server is away all along, then there: rows lost, memory, and how fast the server
//! catches up. `cargo bench --no-default-features --bench away`.
//!
//! Options: `--secs N`, `--rate HZ` of each track, `--tracks N`. Fails when a row is lost.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't run says so by its panic")]

#[path = "../tests/support/proxy.rs"]
mod fault_proxy;
#[path = "../tests/support/program.rs"]
mod program;
#[path = "../tests/support/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fault_proxy::{Fault, Proxy};
use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Format, Options, Query, Remote};
use server::{Server, TOKEN};

const RUN: &str = "alice/measure/away";
/// As the recorder's mapping has it in config/bridge.yaml.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// The server is given this long to catch up.
const PATIENCE: Duration = Duration::from_secs(600);
/// Before memory is looked at first, so that all is set up.
const WARM_UP_SECS: f64 = 5.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: f64| {
        let given = args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
        given.map_or(default, |value| value.parse().unwrap())
    };
    let (secs, rate_hz) = (option("--secs", 60.0), option("--rate", 1000.0));
    let topics: Vec<String> =
        (0..option("--tracks", 3.0) as u32).map(|i| format!("robot/pose_{i}")).collect();

    let folder = tempfile::tempdir().unwrap();
    let (root, server_root) = (folder.path().join("robot"), folder.path().join("server"));
    let server = Server::start(&server_root);
    let proxy = Proxy::start(server.address.parse().unwrap());
    proxy.set(Fault::Refuse);
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    let remote = Remote::new(proxy.url()).token_file(token);
    let options = Options::local(&root).flush_interval(FLUSH_INTERVAL).remote(remote);
    let exp = Experiment::open(RUN, options.remote_timeout(PATIENCE)).unwrap();

    let start = Instant::now();
    let (mut warm_kb, warm_row) = (0, (WARM_UP_SECS.min(secs / 2.0) * rate_hz) as u32);
    for row in 0..(secs * rate_hz) as u32 {
        let at_secs = f64::from(row) / rate_hz;
        std::thread::sleep(Duration::from_secs_f64(at_secs).saturating_sub(start.elapsed()));
        if row == warm_row {
            warm_kb = resident_kb();
        }
        for topic in &topics {
            let pose =
                fields! { "position": [1.25, -0.5, at_secs], "orientation": [0.0, 0.0, 0.0, 1.0] };
            exp.tracks(topic).append(pose, at_secs).unwrap();
        }
    }
    let end_kb = resident_kb();
    let recorded = start.elapsed();
    proxy.set(Fault::None);
    let back = Instant::now();
    exp.flush().unwrap();
    let caught_up = back.elapsed();
    let sent = exp.sync_status().unwrap().rows_sent;
    let drained_kb = resident_kb();
    exp.close().unwrap();
    drop(server);

    let rows: usize =
        topics.iter().map(|topic| text(&server_root, topic).split_inclusive('\n').count()).sum();
    let is_same = topics.iter().all(|topic| text(&root, topic) == text(&server_root, topic));
    println!("{} tracks at {rate_hz} Hz for {recorded:.1?} without the server", topics.len());
    println!(
        "on the server {rows} rows, {}",
        if is_same { "the local ones" } else { "NOT the local ones" }
    );
    println!("memory: {warm_kb} kB once warm, {end_kb} kB at the end, {drained_kb} kB caught up");
    println!(
        "caught up in {caught_up:.1?}: {:.0} rows a second",
        sent as f64 / caught_up.as_secs_f64()
    );
    if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn text(root: &Path, topic: &str) -> String {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    String::from_utf8(exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap()).unwrap()
}

/// What this process holds of memory, the proxy included.
fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
