//! A fleet on an S3 server: publishing many small experiments, questions to them, `compact`, the same questions again; and how much memory a large
//! experiment takes. `scripts/measure-fleet` runs it.
//!
//! Options: `--experiments N`, `--tracks N`, `--rows N` of each track, `--large ROWS` of the large experiment.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that can't run says so by its panic"
)]

#[path = "../tests/support/free_port.rs"]
mod free_port;
#[path = "../tests/support/program.rs"]
mod program;
#[path = "../tests/support/python.rs"]
mod python;
#[path = "../tests/support/request_proxy.rs"]
mod request_proxy;
#[path = "../tests/support/s3.rs"]
mod s3;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use program::program;
use python::oracle_python;
use s3::{BUCKET, S3};
use serde_json::{Value as Json, json};

/// What is measured.
struct Load {
    experiments: usize,
    tracks: usize,
    rows: usize,
    large: usize,
}

/// What something cost, as the proxy before the store saw it.
struct Cost {
    secs: f64,
    requests: BTreeMap<String, u64>,
    up_bytes: u64,
    down_bytes: u64,
    /// Different files of rows that were read.
    files: usize,
}

fn main() {
    let load = load();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    let s3 = S3::start(&folder.path().join("s3"));
    let url = format!("s3://{BUCKET}/fleet");
    let Load { experiments, tracks, rows, large } = load;

    let begun = Instant::now();
    record(&root, &load);
    println!(
        "recorded {experiments} experiments x {tracks} tracks x {rows} rows in {:.0} s",
        begun.elapsed().as_secs_f64()
    );

    let publish = |names: &str| {
        let program = program(["publish", names, "--to", &url, "--root"]).arg(&root);
        let done = s3.client(program).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
    };
    tell("publish", &cost(&s3, || publish("fleet/lab/*")));
    tell("publish again, nothing new", &cost(&s3, || publish("fleet/lab/*")));
    let size = on_disk(&s3.bucket());
    println!("on the store: {} objects, {} bytes", size.0, size.1);
    let rows_on_store = on_disk(&s3.bucket().join("fleet/tracks"));
    let all_rows = (experiments * tracks * rows) as f64;
    println!(
        "files of rows: {}, {} bytes, {:.1} bytes a row",
        rows_on_store.0,
        rows_on_store.1,
        rows_on_store.1 as f64 / all_rows
    );

    let before = ask_all(&s3, folder.path(), "tracks", &load);
    let compact = cost(&s3, || {
        let done = s3.client(program(["compact", &url])).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
    });
    tell("compact", &compact);
    let merged = on_disk(&s3.bucket().join("fleet/compacted"));
    println!(
        "merged files: {}, {} bytes, {:.1} bytes a row; files left in tracks: {}",
        merged.0,
        merged.1,
        merged.1 as f64 / all_rows,
        on_disk(&s3.bucket().join("fleet/tracks")).0
    );
    let after = ask_all(&s3, folder.path(), "compacted", &load);
    assert_eq!(before, after, "the same questions have the same answers");

    if large > 0 {
        let begun = Instant::now();
        record_large(&root, large);
        println!("recorded {large} rows in {:.0} s", begun.elapsed().as_secs_f64());
        let program = program(["publish", "fleet/large/run", "--to", &url, "--root"]).arg(&root);
        let mut peak = 0;
        let spent = cost(&s3, || peak = peak_kb(s3.client(program).start()));
        tell("publish the large one", &spent);
        println!("peak memory {:.0} MB", peak as f64 / 1024.0);
        let (files, bytes) =
            on_disk(&s3.bucket().join("fleet/tracks/odom/owner=fleet/project=large"));
        let sql = format!(
            "SELECT count(*), round(sum(speed), 9) FROM read_parquet('{{url}}/tracks/odom/*/*/*/*.parquet', hive_partitioning = \
             true) WHERE project = 'large' AND timestamp BETWEEN {START} AND {}",
            START + 1.0
        );
        let query = json!([{"name": "a second", "sql": sql}]);
        let spent = cost(&s3, || {
            let answer = ask(&s3, folder.path(), &query);
            assert_eq!(answer[0]["answer"][0][0], 1001, "{answer}");
        });
        tell(&format!("a second of it, of {files} files with {bytes} bytes"), &spent);
    }
}

fn load() -> Load {
    let mut load = Load { experiments: 1000, tracks: 10, rows: 60, large: 1_000_000 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let into = match arg.as_str() {
            "--experiments" => &mut load.experiments,
            "--tracks" => &mut load.tracks,
            "--rows" => &mut load.rows,
            "--large" => &mut load.large,
            // cargo's own.
            "--bench" => continue,
            other => panic!("unknown option {other}"),
        };
        *into = args
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{arg} needs a number"));
    }
    load
}

/// A time of 2026.
const START: f64 = 1_780_000_000.0;

/// Experiments of a minute each, an hour apart for a robot; a row a second.
fn record(root: &Path, load: &Load) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= load.experiments {
                        return;
                    }
                    let exp = Experiment::open(&format!("fleet/lab/run-{run:04}"), Options::local(root)).unwrap();
                    for track in 0..load.tracks {
                        let rows = exp.tracks(&format!("topic_{track}"));
                        for row in 0..load.rows {
                            let at = START + run as f64 * 36.0 + row as f64 + track as f64 / 100.0;
                            let x = (row as f64 * 0.37 + run as f64).sin();
                            rows.append(fields! { "x": x, "y": x * x, "n": row as i64, "mode": if row % 20 < 10 { "drive" } else { "stop" } }, at).unwrap();
                        }
                    }
                    exp.close().unwrap();
                }
            });
        }
    });
}

fn record_large(root: &Path, rows: usize) {
    let exp = Experiment::open("fleet/large/run", Options::local(root)).unwrap();
    let track = exp.tracks("odom");
    for row in 0..rows {
        let x = (row as f64 * 0.001).sin();
        let position = [x, x * 2.0, 0.0];
        track.append(fields! { "position": position, "orientation": [0.0, 0.0, x, 1.0 - x], "speed": x / 3.0, "n": row as i64 }, START + row as f64 / 1000.0).unwrap();
    }
    exp.close().unwrap();
}

/// Three questions, and how often the store was asked for each. Returns the answers.
fn ask_all(s3: &S3, folder: &Path, kind: &str, load: &Load) -> Vec<Json> {
    let from = |topic: &str| {
        format!(
            "read_parquet('{{url}}/{kind}/{topic}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
        )
    };
    let (a, b) = (from("topic_0"), from("topic_1"));
    let hundred = load.experiments.min(100);
    let one = load.experiments / 2;
    let start = START + one as f64 * 36.0;
    let queries = [
        (
            "all rows of a topic, by mode",
            format!("SELECT mode, count(*), round(avg(x), 9) FROM {a} GROUP BY mode ORDER BY mode"),
        ),
        (
            "as-of join of two tracks over 100 experiments",
            format!(
                "SELECT count(*), round(sum(o.x - j.x), 6) FROM {a} AS o ASOF JOIN {b} AS j ON o.experiment = j.experiment AND \
                 o.timestamp >= j.timestamp WHERE o.experiment < 'run-{hundred:04}' AND j.experiment < 'run-{hundred:04}'"
            ),
        ),
        (
            "ten seconds of one experiment",
            format!(
                "SELECT count(*), round(max(x), 9) FROM {a} WHERE experiment = 'run-{one:04}' AND timestamp BETWEEN {start} AND {}",
                start + 9.5
            ),
        ),
    ];
    let mut answers = Vec::new();
    for (name, sql) in queries {
        let mut answer = Json::Null;
        let mut spent = cost(s3, || answer = ask(s3, folder, &json!([{"name": name, "sql": sql}])));
        // Without the start of Python.
        spent.secs = answer[0]["secs"].as_f64().unwrap();
        tell(&format!("{kind}: {name}"), &spent);
        let analyzed = ask(s3, folder, &json!([{"name": name, "sql": sql, "analyze": true}]));
        println!("    DuckDB itself counts {} bytes", analyzed[0]["http_in_bytes"]);
        answers.push(answer[0]["answer"].clone());
    }
    answers
}

fn ask(s3: &S3, folder: &Path, queries: &Json) -> Json {
    let file = folder.join("queries.json");
    fs::write(&file, queries.to_string()).unwrap();
    let done = Command::new(oracle_python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/open_lake.py"))
        .args(["ask", &s3.endpoint(), &format!("{BUCKET}/fleet")])
        .arg(&file)
        .envs(s3.credentials())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn cost(s3: &S3, what: impl FnOnce()) -> Cost {
    s3.proxy.take_seen();
    let begun = Instant::now();
    what();
    let secs = begun.elapsed().as_secs_f64();
    let seen = s3.proxy.take_seen();
    let mut requests = BTreeMap::new();
    let mut files = BTreeSet::new();
    for seen in &seen {
        let is_list = seen.head.method == "GET" && seen.head.query.contains("list-type");
        let kind = if is_list { "LIST".to_owned() } else { seen.head.method.clone() };
        *requests.entry(kind).or_default() += 1;
        if seen.head.method == "GET" && seen.head.path.ends_with(".parquet") {
            files.insert(&seen.head.path);
        }
    }
    let up_bytes = seen.iter().map(|seen| seen.up_bytes).sum();
    let down_bytes = seen.iter().map(|seen| seen.down_bytes).sum();
    Cost { secs, requests, up_bytes, down_bytes, files: files.len() }
}

fn tell(what: &str, cost: &Cost) {
    let requests: u64 = cost.requests.values().sum();
    let kinds: Vec<String> =
        cost.requests.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!(
        "{what}: {:.1} s, {requests} requests ({}), {} bytes up, {} down, of {} files",
        cost.secs,
        kinds.join(", "),
        cost.up_bytes,
        cost.down_bytes,
        cost.files
    );
}

/// Files below a folder, and their bytes.
fn on_disk(folder: &Path) -> (u64, u64) {
    let mut all = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path: PathBuf = entry.unwrap().path();
        let (files, bytes) =
            if path.is_dir() { on_disk(&path) } else { (1, path.metadata().unwrap().len()) };
        all = (all.0 + files, all.1 + bytes);
    }
    all
}

/// The most memory that the process had, as Linux counts it.
fn peak_kb(mut child: std::process::Child) -> u64 {
    drop(child.stdin.take());
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kb.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "publish failed");
            return peak;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
