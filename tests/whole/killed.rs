//! `kill -9` at any moment of the commands that write. What was flushed, acknowledged or seen is there, once, and who goes on
//! ends with exactly the rows of a run that nobody killed. `run` is in tests/ros.
//!
//! By hand: `MLDASH_KILLS=200 cargo test --no-default-features --test whole killed -- --nocapture`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mldash_bridge::track::{Experiment, FileInfo, Format, Options, Query, Value};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::http::{Client, form};
use crate::kills::Kills;
use crate::program::{Program, program};
use crate::server::{Server, TOKEN};
use crate::sync::lab::{Lab, RUN as SYNCED, append};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const RUN: &str = "alice/w/run";

/// How long it takes if nobody kills it.
fn run_to_the_end(program: Program) -> Duration {
    let started = Instant::now();
    let done = program.run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    started.elapsed()
}

/// Every track as text; none if nothing was begun.
fn tracks(run: &str, root: &Path) -> BTreeMap<String, String> {
    let Ok(exp) = Experiment::open_read_only(run, root) else { return BTreeMap::new() };
    let text = |topic: &str| {
        let rows = exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap();
        String::from_utf8(rows).unwrap()
    };
    exp.list().unwrap().into_iter().map(|track| (track.topic.clone(), text(&track.topic))).collect()
}

/// Paths of the files of an experiment below `root`, with their contents, but for what an upload notes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, tree: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, tree),
                false => drop(tree.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, &mut found);
    found
}

fn assert_no_leftovers(root: &Path) {
    let left: Vec<PathBuf> = tree(root).into_keys().collect();
    let left: Vec<&PathBuf> =
        left.iter().filter(|path| path.extension().is_some_and(|ext| ext == "tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

const ROWS: u32 = 20_000;

/// The row that is appended as number `n`: every tenth comes late, every seventh is a later field of an earlier row.
fn row_of(n: u32) -> (u32, &'static str) {
    match n {
        _ if n % 70 == 69 => (n / 3 * 2, "late"),
        _ if n % 7 == 6 => (n - 1, "more"),
        _ => (n, "q"),
    }
}

/// What a reader finds once the first `count` were appended.
fn rows_after(count: u32) -> BTreeMap<u32, BTreeMap<String, u32>> {
    let mut rows: BTreeMap<u32, BTreeMap<String, u32>> = BTreeMap::new();
    for n in 0..count {
        let (ts, field) = row_of(n);
        rows.entry(ts).or_default().insert(field.to_owned(), n);
    }
    rows
}

fn rows_in(root: &Path) -> BTreeMap<u32, BTreeMap<String, u32>> {
    let Ok(exp) = Experiment::open_read_only(RUN, root) else { return BTreeMap::new() };
    let rows = exp.tracks("arm").read(&Query::all()).unwrap();
    let number = |value: &Value| match value {
        Value::Int(number) => u32::try_from(*number).unwrap(),
        other => panic!("{other:?} was never appended"),
    };
    let fields = |row: &mldash_bridge::track::Row| {
        row.fields.iter().map(|(name, value)| (name.to_string(), number(value))).collect()
    };
    let found: BTreeMap<_, _> =
        rows.iter().map(|row| (row.ts.as_secs() as u32, fields(row))).collect();
    assert_eq!(found.len(), rows.len(), "a time is there twice");
    found
}

#[test]
fn append_killed_at_any_moment_keeps_the_rows_up_to_some_row_and_goes_on() {
    let mut kills = Kills::of("append", 6);
    let mut input = String::new();
    for n in 0..ROWS {
        let (ts, field) = row_of(n);
        writeln!(input, "{{\"_ts\": {ts}, \"{field}\": {n}}}").unwrap();
    }
    let append = |root: &Path| {
        let append = program(["append", RUN, "arm", "--root"]).arg(root);
        append.env("ML_DASH_FLUSH_INTERVAL", "0.01").env("ML_DASH_TRACK_BATCH_SIZE", "100")
    };
    let whole = tempfile::tempdir().unwrap();
    let within = run_to_the_end(append(whole.path()).stdin(input.as_str()));
    let expected = tracks(RUN, whole.path());
    assert_eq!(rows_in(whole.path()), rows_after(ROWS));

    let root = tempfile::tempdir().unwrap();
    let data = root.path().join(RUN).join("tracks/arm/data.jsonl");
    let mut killed = 0;
    let mut fed = 0;
    for round in 0..kills.count {
        // Now and then from nothing: the first rows are as likely as the last.
        if kills.random.u8(..4) == 0 {
            let _ = fs::remove_dir_all(root.path().join("alice"));
            fed = 0;
        }
        let mut child = append(root.path()).start();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.clone();
        let feeding = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        killed += u32::from(kills.kill(&mut child, within));
        feeding.join().unwrap();
        // Every row is a prefix of what was fed, though closing may have been rewriting the file.
        let found = rows_in(root.path());
        let count = found.values().flat_map(BTreeMap::values).max().map_or(0, |last| last + 1);
        assert!(count >= fed, "round {round}: {count} rows are left of {fed}");
        // Rows that were fed again after an earlier kill were there before.
        assert_eq!(found, rows_after(count), "round {round}");
        fed = count;
    }
    run_to_the_end(append(root.path()).stdin(input.as_str()));
    assert_eq!(tracks(RUN, root.path()), expected);
    let lines = fs::read_to_string(&data).unwrap().lines().count();
    assert_eq!(lines, rows_after(ROWS).len(), "at rest, the file has each row once");
    assert_no_leftovers(root.path());
    println!("append: {killed} kills");
}

#[test]
fn import_killed_at_any_moment_is_imported_again_to_the_same_rows_and_files() {
    let mut kills = Kills::of("import", 4);
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("mapping.yaml");
    let text = "flush: {interval: 0.01}\ntopics:\n  - {topic: /camera/image_raw/compressed, blobs: file}\n  \
                - topic: /pose\n  - topic: /odom\n  - {topic: /tf, each: transforms}\n";
    fs::write(&mapping, text).unwrap();
    let import = |root: &Path| {
        let import = program(["import", "--experiment", RUN, "--config"]).arg(&mapping);
        import.arg("--root").arg(root).arg(BAG)
    };
    let whole = folder.path().join("whole");
    let within = run_to_the_end(import(&whole));
    let expected = tracks(RUN, &whole);
    assert!(expected.len() > 3, "{:?}", expected.keys());
    let files = |root: &Path| -> BTreeMap<String, Vec<u8>> {
        let Ok(exp) = Experiment::open_read_only(RUN, root) else { return BTreeMap::new() };
        let files = exp.files("");
        let named = files.list().unwrap().into_iter();
        named.map(|file| (path_of(&file), files.read_listed(&file).unwrap())).collect()
    };
    let expected_files = files(&whole);
    assert_eq!(expected_files.len(), 5, "{:?}", expected_files.keys());

    let root = folder.path().join("root");
    let mut killed = 0;
    for round in 0..kills.count {
        if kills.random.u8(..4) == 0 {
            let _ = fs::remove_dir_all(&root);
        }
        killed += u32::from(kills.kill(&mut import(&root).start(), within));
        for (topic, rows) in tracks(RUN, &root) {
            let known: Vec<&str> = expected[&topic].lines().collect();
            let mut rest = known.iter();
            for row in rows.lines() {
                // In order and each once.
                assert!(rest.any(|known| *known == row), "round {round}: {topic}: {row}");
            }
        }
        // Every row's picture is whole.
        if let Ok(exp) = Experiment::open_read_only(RUN, &root) {
            for row in exp.tracks("camera/image_raw/compressed").read(&Query::all()).unwrap() {
                let Some(Value::Text(path)) = row.fields.get("path") else { panic!("{row:?}") };
                let bytes = exp.files("").read(path).unwrap();
                assert_eq!(bytes, expected_files[&**path], "round {round}: {path}");
            }
        }
    }
    run_to_the_end(import(&root));
    assert_eq!(tracks(RUN, &root), expected);
    assert_eq!(files(&root), expected_files);
    assert_no_leftovers(&root);
    println!("import: {killed} kills");
}

fn sync(lab: &Lab) -> Program {
    let sync = program(["sync", SYNCED, "--remote", &lab.proxy.url(), "--root"]).arg(lab.root());
    sync.arg("--token-file").arg(lab.token_file())
}

fn record_for(lab: &Lab) {
    let exp = Experiment::open(SYNCED, Options::local(lab.root())).unwrap();
    for topic in ["a", "b", "c"] {
        append(&exp, topic, 0..4000);
    }
    for number in 0..20_u8 {
        exp.files("frames").save_bytes([number; 5000], &format!("{number}.bin")).unwrap();
    }
    exp.close().unwrap();
}

#[test]
fn sync_killed_at_any_moment_loses_nothing_here_or_there_and_goes_on() {
    let mut kills = Kills::of("sync", 6);
    let lab = Lab::new();
    record_for(&lab);
    let within = run_to_the_end(sync(&lab));
    let expected = tracks(SYNCED, &lab.root());
    let expected_files: Vec<String> = file_names(&lab.server_root());
    let mut killed = 0;
    let mut kills_left = kills.count;
    while kills_left > 0 {
        let lab = Lab::new();
        record_for(&lab);
        // Some of them on the way from the first row to the last.
        for _ in 0..kills_left.min(6) {
            kills_left -= 1;
            let is_dropping = kills.random.bool();
            let sync = if is_dropping { sync(&lab).arg("--drop-synced") } else { sync(&lab) };
            killed += u32::from(kills.kill(&mut sync.start(), within));
            let (here, there) = (tracks(SYNCED, &lab.root()), tracks(SYNCED, &lab.server_root()));
            for (topic, rows) in &expected {
                let of = |side: &BTreeMap<String, String>| -> Vec<String> {
                    let text = side.get(topic).map_or("", String::as_str);
                    text.lines().map(str::to_owned).collect()
                };
                let (mut all, there) = (of(&here), of(&there));
                all.extend(there.iter().cloned());
                all.sort();
                all.dedup();
                let mut rows: Vec<&str> = rows.lines().collect();
                rows.sort_unstable();
                assert!(all == rows, "{topic}: {} of {} rows are left", all.len(), rows.len());
            }
        }
        run_to_the_end(sync(&lab));
        let there = tracks(SYNCED, &lab.server_root());
        assert!(there == expected, "the server has not the rows recorded");
        assert_eq!(file_names(&lab.server_root()), expected_files);
    }
    println!("sync: {killed} kills");
}

fn file_names(root: &Path) -> Vec<String> {
    let exp = Experiment::open_read_only(SYNCED, root).unwrap();
    let files = exp.files("");
    let named = files.list().unwrap().into_iter();
    named
        .map(|file| format!("{} {}", path_of(&file), hash(&files.read_listed(&file).unwrap())))
        .collect()
}

fn path_of(file: &FileInfo) -> String {
    format!("{}/{}", file.path, file.filename).trim_start_matches('/').to_owned()
}

fn hash(bytes: &[u8]) -> String {
    mldash_bridge::track::hex(&Sha256::digest(bytes))
}

/// What the server has acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Of each writer, how many rows.
    rows: BTreeMap<u32, u32>,
    files: BTreeMap<String, Vec<u8>>,
}

/// Whether the server answered 200; it may be killed at any moment.
fn is_taken(address: &str, request: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut text = Vec::new();
    let exchanged = stream.write_all(request).and_then(|()| stream.read_to_end(&mut text));
    exchanged.is_ok() && text.starts_with(b"HTTP/1.1 200")
}

/// Sends rows and files until the server is gone.
fn write(address: &str, writer: u32, acknowledged: &Mutex<Acknowledged>, is_over: &AtomicBool) {
    const BATCH: u32 = 10;
    let client = Client::new(address, TOKEN);
    let post = |path: &str, content_type: &str, body: &[u8]| {
        let mut request = client.head("POST", path, &[content_type], body.len());
        request.extend_from_slice(body);
        is_taken(address, &request)
    };
    let start = acknowledged.lock().unwrap().rows.get(&writer).copied().unwrap_or_default();
    for first in (start..).step_by(BATCH as usize) {
        if is_over.load(Ordering::Acquire) {
            return;
        }
        let entries: Vec<Json> = (first..first + BATCH)
            .map(|i| json!({"timestamp": i, format!("w{writer}"): i}))
            .collect();
        let path = "/api/experiments/experiment~~alice~~w~~run/tracks/arm/append_batch";
        let body = json!({ "entries": entries }).to_string();
        if post(path, "Content-Type: application/json", body.as_bytes()) {
            acknowledged.lock().unwrap().rows.insert(writer, first + BATCH);
        } else {
            // It may be busy; what was not acknowledged is sent again.
            return;
        }
        let data = vec![first as u8; 3000];
        let name = format!("{writer}-{first}.bin");
        let parts: [(&str, &[u8]); 5] = [
            ("type", b"FILE"),
            ("experimentId", b"experiment~~alice~~w~~run"),
            ("name", name.as_bytes()),
            ("checksum", &hash(&data).into_bytes()),
            ("file", &data),
        ];
        let (content_type, body) = form(&parts, &name);
        if post("/api/namespaces/alice/nodes", &content_type, &body) {
            acknowledged.lock().unwrap().files.insert(name, data);
        }
    }
}

#[test]
fn serve_killed_at_any_moment_keeps_every_row_and_file_that_it_acknowledged() {
    const WRITERS: u32 = 3;
    let mut kills = Kills::of("serve", 5);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let acknowledged = Mutex::new(Acknowledged::default());
    for round in 0..=kills.count {
        // Also while what the last one left is being opened.
        let server = Server::start(&root);
        let address = server.address.clone();
        let client = Client::new(&address, TOKEN);
        let node = json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"});
        assert_eq!(client.post("/api/namespaces/alice/nodes", &node).status, 200);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (address, acknowledged, is_over) = (&address, &acknowledged, &is_over);
                scope.spawn(move || write(address, writer, acknowledged, is_over));
            }
            thread::sleep(kills.moment(Duration::from_millis(300)));
            if round < kills.count {
                server.kill();
            } else {
                is_over.store(true, Ordering::Release);
            }
        });
        let acknowledged = acknowledged.lock().unwrap();
        let exp = Experiment::open_read_only(RUN, &root).unwrap();
        let rows = exp.tracks("arm").read(&Query::all()).unwrap();
        let times: Vec<u32> = rows.iter().map(|row| row.ts.as_secs() as u32).collect();
        assert!(times.iter().enumerate().all(|(i, ts)| i as u32 == *ts), "each time once");
        for (writer, count) in &acknowledged.rows {
            let column = format!("w{writer}");
            let of_writer = rows.iter().filter_map(|row| Some((row, row.fields.get(&column)?)));
            let mut kept = 0;
            for (row, value) in of_writer {
                assert_eq!(*value, Value::Int(row.ts.as_secs() as i64), "{row:?}");
                kept += 1;
            }
            assert!(kept >= *count, "round {round}: {kept} of {count} rows of writer {writer}");
            assert_eq!(kept % 10, 0, "round {round}: a batch is there in part");
        }
        let files = exp.files("");
        for (name, data) in &acknowledged.files {
            assert_eq!(files.read(name).unwrap(), *data, "round {round}: {name}");
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let rows: u32 = acknowledged.rows.values().sum();
    let files = acknowledged.files.len();
    assert!(rows > 0 && files > 0, "nothing was acknowledged");
    println!("serve: {} kills, {rows} rows and {files} files acknowledged", kills.count);
}
