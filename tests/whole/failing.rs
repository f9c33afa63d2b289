//! A disk that fails at any call: once, for good, or for want of space. Nothing that was stored before is lost, no row is wrong,
//! nothing is called stored that is not, nobody panics or hangs; and on a good disk all goes on to the rows of a run that had one.
//!
//! Every call is tried by hand: `MLDASH_FAULTS=1000 cargo test --no-default-features --test whole failing`; in CI some.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use fastrand::Rng;
use mldash_bridge::track::{Experiment, Format, Query, Row, Value};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::failing_calls::{FailingCalls, Fault};
use crate::http::{Client, form};
use crate::program::{Done, Program, program};
use crate::server::{Server, TOKEN};

mod sync;

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const RUN: &str = "alice/w/run";
/// How many places each test tries with each fault.
const COUNT_VARIABLE: &str = "MLDASH_FAULTS";

/// The numbers of the calls to let fail: all `count`, or as many of them as there is time for.
fn places(count: u64, at_most: usize) -> Vec<u64> {
    let set = |variable| std::env::var(variable).ok();
    let at_most = set(COUNT_VARIABLE).map_or(at_most, |text| text.parse().unwrap());
    let mut all: Vec<u64> = (1..=count).collect();
    let seed = set("MLDASH_SEED").map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("{} of {count} calls fail; MLDASH_SEED={seed}", at_most.min(all.len()));
    Rng::with_seed(seed).shuffle(&mut all);
    all.truncate(at_most);
    all
}

/// Runs `test` with each on threads of its own.
fn each_of<T: Sync + Copy>(items: &[T], test: impl Fn(T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) =
                    items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    test(*item);
                }
            });
        }
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &copied),
            false => drop(fs::copy(&path, copied).unwrap()),
        }
    }
}

/// Every track as text; none if there is nothing.
fn tracks(root: &Path) -> BTreeMap<String, String> {
    let Ok(exp) = Experiment::open_read_only(RUN, root) else { return BTreeMap::new() };
    let text = |topic: &str| {
        let rows = exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap();
        String::from_utf8(rows).unwrap()
    };
    exp.list().unwrap().into_iter().map(|track| (track.topic.clone(), text(&track.topic))).collect()
}

fn well(program: Program) -> Done {
    let done = program.run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    done
}

/// What holds of every program, whatever happened.
fn assert_ended_in_words(done: &Done, root: &Path, what: &str) {
    assert!([0, 1, 3].contains(&done.code), "{what}: {}: {}", done.code, done.stderr);
    assert!(!done.stderr.contains("panicked"), "{what}: {}", done.stderr);
    if done.code == 1 {
        let place = root.to_str().unwrap();
        assert!(done.stderr.contains(place), "{what}: what failed is not named: {}", done.stderr);
    }
}

#[test]
fn append_on_a_failing_disk_keeps_what_was_there_and_never_says_stored_of_what_is_not() {
    if !FailingCalls::are_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let append = |root: &Path, rows: &str| {
        let append = program(["append", RUN, "arm", "--root"]).arg(root);
        append.env("ML_DASH_TRACK_BATCH_SIZE", "8").stdin(rows)
    };
    let earlier: String = (0..20).map(|n| format!("{{\"_ts\": {n}, \"q\": {n}}}\n")).collect();
    // Some late, some more of earlier rows: closing rewrites the file.
    let later: String =
        (10..40).map(|n| format!("{{\"_ts\": {}, \"r\": {n}}}\n", 50 - n)).collect();
    let before = folder.path().join("before");
    well(append(&before, &earlier));
    let whole = folder.path().join("whole");
    copy(&before, &whole);
    well(append(&whole, &later));
    let expected = &tracks(&whole)["arm"];
    let rows_before: Vec<&str> = earlier.lines().collect();

    for fault in Fault::ALL {
        let counting = folder.path().join(format!("{fault:?}"));
        copy(&before, &counting);
        let calls = FailingCalls { root: &counting, fault, at: 0 };
        well(calls.of(append(&counting, &later)));
        assert!(calls.count() > 10, "{}", calls.count());
        each_of(&places(calls.count(), 30), |at| {
            let what = format!("append, {fault:?} at call {at}");
            let root = folder.path().join(format!("{fault:?}-{at}"));
            copy(&before, &root);
            let done = FailingCalls { root: &root, fault, at }.of(append(&root, &later)).run();
            assert_ended_in_words(&done, &root, &what);
            let found = &tracks(&root)["arm"];
            let times: Vec<&str> = found.lines().map(time).collect();
            for row in &rows_before {
                let ts = row.split([' ', ',']).nth(1).unwrap();
                assert!(times.contains(&format!("{ts}.0").as_str()), "{what}: {row} is lost");
            }
            for row in found.lines() {
                // Whole, or as it was before the other half came.
                let is_known = expected.lines().any(|known| known == row)
                    || expected
                        .lines()
                        .any(|known| time(known) == time(row) && is_part(row, known));
                assert!(is_known, "{what}: {row} was never appended");
            }
            if done.code == 0 {
                assert_eq!(found, expected, "{what}: it said that all is stored");
            }
            well(append(&root, &later));
            assert_eq!(tracks(&root)["arm"], *expected, "{what}");
            fs::remove_dir_all(&root).unwrap();
        });
    }
}

fn time(row: &str) -> &str {
    row.trim_start_matches("{\"timestamp\":").split([',', '}']).next().unwrap()
}

/// Every field of `row` is one of `whole`.
fn is_part(row: &str, whole: &str) -> bool {
    let fields =
        |text: &str| -> serde_json::Map<String, Json> { serde_json::from_str(text).unwrap() };
    let whole = fields(whole);
    fields(row).iter().all(|(name, value)| whole.get(name) == Some(value))
}

#[test]
fn import_onto_a_failing_disk_says_so_and_is_whole_when_it_is_done_again() {
    if !FailingCalls::are_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("mapping.yaml");
    let text =
        "topics:\n  - {topic: /camera/image_raw/compressed, blobs: file}\n  - topic: /chatter\n";
    fs::write(&mapping, text).unwrap();
    let import = |root: &Path| {
        let import = program(["import", "--experiment", RUN, "--config"]).arg(&mapping);
        import.arg("--root").arg(root).arg(BAG)
    };
    let whole = folder.path().join("whole");
    well(import(&whole));
    let expected = pictures_and_texts(&whole);
    assert_eq!(expected.len(), 5 + 23);
    for fault in Fault::ALL {
        let counting = folder.path().join(format!("{fault:?}"));
        let calls = FailingCalls { root: &counting, fault, at: 0 };
        well(calls.of(import(&counting)));
        each_of(&places(calls.count(), 12), |at| {
            let what = format!("import, {fault:?} at call {at}");
            let root = folder.path().join(format!("{fault:?}-{at}"));
            let done = FailingCalls { root: &root, fault, at }.of(import(&root)).run();
            assert_ended_in_words(&done, &root, &what);
            // What is there is right, and every row's picture is there.
            let found = pictures_and_texts(&root);
            for row in &found {
                assert!(expected.contains(row), "{what}: {row:?}");
            }
            let wrong = |found: &[(Row, String)]| -> Vec<_> {
                expected.iter().filter(|row| !found.contains(row)).cloned().collect()
            };
            if done.code == 0 {
                assert_eq!(wrong(&found), [], "{what}: it said that all is stored");
            }
            well(import(&root));
            let found = pictures_and_texts(&root);
            assert_eq!((wrong(&found), found.len()), (vec![], expected.len()), "{what}");
            fs::remove_dir_all(&root).unwrap();
        });
    }
}

/// The rows, with the picture's hash for its name: one that the disk did not take leaves its number to the next.
fn pictures_and_texts(root: &Path) -> Vec<(Row, String)> {
    let Ok(exp) = Experiment::open_read_only(RUN, root) else { return Vec::new() };
    let mut rows = Vec::new();
    for track in exp.list().unwrap() {
        for mut row in exp.tracks(&track.topic).read(&Query::all()).unwrap() {
            let picture = match row.fields.get("path") {
                Some(Value::Text(path)) => hash(&exp.files("").read(path).unwrap()),
                _ => String::new(),
            };
            row.fields = row
                .fields
                .iter()
                .filter(|(name, _)| !["path", "frame", "index"].contains(&&***name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            rows.push((row, picture));
        }
    }
    rows
}

fn hash(bytes: &[u8]) -> String {
    mldash_bridge::track::hex(&Sha256::digest(bytes))
}

#[test]
fn serve_on_a_failing_disk_acknowledges_only_what_it_keeps_and_serves_on() {
    if !FailingCalls::are_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let try_at = |fault: Fault, at: u64| {
        let what = format!("serve, {fault:?} at call {at}");
        let root: PathBuf = folder.path().join(format!("{fault:?}-{at}"));
        let calls = FailingCalls { root: &root, fault, at };
        let set_up = |program| calls.of(program);
        let kept = match Server::try_start(&root, "127.0.0.1:0", &[], set_up) {
            Err(log) => {
                assert!(
                    log.contains(root.to_str().unwrap()) && !log.contains("panicked"),
                    "{what}: {log}"
                );
                Kept::default()
            }
            Ok(server) => {
                let kept = work(&server, &what);
                let stopped = server.terminate();
                assert!(stopped.status.code().is_some(), "{what}: {}", stopped.log);
                assert!(!stopped.log.contains("panicked"), "{what}: {}", stopped.log);
                kept
            }
        };
        let count = calls.count();
        if at == 0 {
            assert_eq!((kept.rows.len(), kept.file), (40, true));
        }
        // As it lies, and served again.
        let rows: Vec<u64> = tracks(&root).get("arm").map_or(Vec::new(), |text| {
            text.lines().map(|row| time(row).parse::<f64>().unwrap() as u64).collect()
        });
        for row in &kept.rows {
            assert!(rows.contains(row), "{what}: row {row} was acknowledged");
        }
        assert_eq!(rows.len() % 10, 0, "{what}: a batch is there in part: {rows:?}");
        if kept.file {
            let files = Experiment::open_read_only(RUN, &root).unwrap().files("");
            assert_eq!(files.read("7.bin").unwrap(), [7; 5000], "{what}");
        }
        let server = Server::start(&root);
        let kept = work(&server, &what);
        assert_eq!((kept.rows.len(), kept.file), (40, true), "{what}: it does not go on");
        count
    };
    for fault in Fault::ALL {
        let count = try_at(fault, 0);
        each_of(&places(count, 12), |at| {
            try_at(fault, at);
        });
    }
}

/// What a server has acknowledged.
#[derive(Default)]
struct Kept {
    rows: Vec<u64>,
    file: bool,
}

/// An experiment, four batches and a file, each sent once more if it was refused.
fn work(server: &Server, what: &str) -> Kept {
    let client = Client::new(&server.address, TOKEN);
    let twice = |request: &dyn Fn() -> crate::http::Answer| {
        (0..2).any(|_| {
            let answer = request();
            let is_refusal = [404, 429, 500, 503, 507].contains(&answer.status);
            assert!(
                answer.status == 200 || is_refusal,
                "{what}: {} {}",
                answer.status,
                answer.text()
            );
            answer.status == 200
        })
    };
    let mut kept = Kept::default();
    let node = json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"});
    twice(&|| client.post("/api/namespaces/alice/nodes", &node));
    for first in (0..40).step_by(10) {
        let entries: Vec<Json> =
            (first..first + 10).map(|i| json!({"timestamp": i, "q": i})).collect();
        let batch = json!({ "entries": entries });
        let path = "/api/experiments/experiment~~alice~~w~~run/tracks/arm/append_batch";
        if twice(&|| client.post(path, &batch)) {
            kept.rows.extend(first..first + 10);
        }
    }
    let data = [7; 5000];
    let checksum = hash(&data);
    let parts: [(&str, &[u8]); 5] = [
        ("type", b"FILE"),
        ("experimentId", b"experiment~~alice~~w~~run"),
        ("name", b"7.bin"),
        ("checksum", checksum.as_bytes()),
        ("file", &data),
    ];
    let (content_type, body) = form(&parts, "7.bin");
    kept.file =
        twice(&|| client.send("POST", "/api/namespaces/alice/nodes", &[&content_type], &body));
    kept
}
