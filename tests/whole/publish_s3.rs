//! Published recordings on a server that speaks S3: others' readers see the local rows, whatever request fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::program::{Done, program};
use crate::python::oracle_python;
use crate::request_proxy::{Fault, INTERNAL_ERROR, SLOW_DOWN, Seen};
use crate::s3::{BUCKET, S3};

/// The first two, by name too, lack a column of the others.
const EXPERIMENTS: [&str; 4] =
    ["alice/lab/run-1", "alice/lab/run-2", "alice/lab/tuesday/run 3", "alice/yard/run-4"];
/// A time of 2026, so that days are days.
const START: f64 = 1_780_000_000.0;

/// A store of recordings, and a server that they are published to.
struct Lake {
    folder: TempDir,
    s3: S3,
}

impl Lake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let s3 = S3::start(&folder.path().join("s3"));
        let lake = Self { folder, s3 };
        for (run, name) in EXPERIMENTS.iter().enumerate() {
            lake.record(name, START + run as f64 * 100.0, 60, run > 1);
        }
        lake
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(".dash")
    }

    /// Two tracks, of 10 and of 4 rows a second; a column comes later.
    fn record(&self, name: &str, start: f64, rows: i32, with_mode: bool) {
        let exp = Experiment::open(name, Options::local(self.root())).unwrap();
        for i in 0..rows {
            let (at, x) = (start + f64::from(i) / 10.0, f64::from(i) / 7.0);
            let odom = exp.tracks("robot/odom");
            if with_mode {
                let mode = if i % 10 < 5 { "drive" } else { "stop" };
                odom.append(fields! { "x": x, "n": i, "mode": mode }, at).unwrap();
            } else {
                odom.append(fields! { "x": x, "n": i }, at).unwrap();
            }
            if i % 5 < 2 {
                exp.tracks("joints").append(fields! { "q": [x, -x] }, at + 0.03).unwrap();
            }
        }
        exp.close().unwrap();
    }

    fn place(&self) -> String {
        format!("{BUCKET}/fleet")
    }

    fn url(&self) -> String {
        format!("s3://{}", self.place())
    }

    fn publish(&self) -> Done {
        let program = program(["publish"]).args(EXPERIMENTS).args(["--to", &self.url()]);
        self.s3.client(program.arg("--root").arg(self.root())).run()
    }

    fn compact(&self) -> Done {
        self.s3.client(program(["compact", &self.url(), "--json"])).run()
    }

    /// Asks DuckDB, pyarrow and Polars for all rows, and compares with those that `read` has.
    fn assert_same_rows(&self) {
        let mut expected: BTreeMap<&str, BTreeMap<&str, Vec<PathBuf>>> = BTreeMap::new();
        for topic in ["robot/odom", "joints"] {
            for (at, name) in EXPERIMENTS.iter().enumerate() {
                let file =
                    self.folder.path().join(format!("{}-{at}.jsonl", topic.replace('/', "_")));
                let read = program(["read", name, topic, "--format", "jsonl", "--root"]);
                let read = read.arg(self.root()).run();
                assert_eq!(read.code, 0, "{}", read.stderr);
                fs::write(&file, read.stdout).unwrap();
                expected.entry(topic).or_default().insert(name, vec![file]);
            }
        }
        self.oracle("check", &json!(expected));
    }

    fn oracle(&self, what: &str, given: &Json) -> String {
        let file = self.folder.path().join(format!("{what}.json"));
        fs::write(&file, given.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/open_lake.py");
        let done = Command::new(oracle_python())
            .arg(script)
            .args([what, &self.s3.endpoint(), &self.place()])
            .arg(file)
            .envs(self.s3.credentials())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// The answer to one query.
    fn ask(&self, sql: &str) -> Json {
        let asked = json!([{"name": "it", "sql": sql, "views": true}]);
        let answers: Json = serde_json::from_str(&self.oracle("ask", &asked)).unwrap();
        answers[0]["answer"].clone()
    }

    /// Names of Parquet files on the server's disk.
    fn files(&self, kind: &str) -> BTreeSet<PathBuf> {
        fn collect(folder: &Path, into: &mut BTreeSet<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, into);
                } else {
                    into.insert(path);
                }
            }
        }
        let mut files = BTreeSet::new();
        collect(&self.s3.bucket().join("fleet").join(kind), &mut files);
        files
    }
}

fn assert_done(done: &Done) {
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn duckdb_pyarrow_and_polars_see_the_local_rows_before_and_after_compact() {
    let lake = Lake::new();
    assert_done(&lake.publish());
    lake.assert_same_rows();
    let joined = "SELECT count(*), count(j.q), round(max(o.stamp - j.stamp), 3)::DOUBLE FROM \
                  (SELECT *, timestamp AS stamp FROM \"robot/odom\") AS o ASOF LEFT JOIN \
                  (SELECT *, timestamp AS stamp FROM joints) AS j \
                  ON o.owner = j.owner AND o.project = j.project AND o.experiment = j.experiment \
                  AND o.stamp >= j.stamp";
    let joined = joined.replace("(SELECT *, timestamp", "(SELECT * EXCLUDE (stamp), timestamp");
    let before = lake.ask(&joined);
    // The first row of each experiment has none before it.
    assert_eq!((&before[0][0], &before[0][1]), (&json!(240), &json!(236)), "{before}");

    let compacted = lake.compact();
    assert_done(&compacted);
    let report: Json = serde_json::from_slice(&compacted.stdout).unwrap();
    // Three of alice/lab become one a topic; what alice/yard has is left alone.
    assert_eq!(
        (&report["files_before"], &report["files_after"]),
        (&json!(6), &json!(2)),
        "{report}"
    );
    assert_eq!((lake.files("compacted").len(), lake.files("tracks").len()), (2, 2));
    lake.assert_same_rows();
    assert_eq!(lake.ask(&joined), before);

    // Later rows of a merged experiment are files of their own, and merge in turn.
    lake.record(EXPERIMENTS[0], START + 50.0, 20, true);
    assert_done(&lake.publish());
    assert_eq!(lake.files("compacted").len(), 2);
    lake.assert_same_rows();
    assert_done(&lake.compact());
    assert_eq!((lake.files("compacted").len(), lake.files("tracks").len()), (2, 2));
    lake.assert_same_rows();
}

#[test]
fn a_filter_reads_no_other_files_and_of_its_own_only_the_group_that_it_needs() {
    let lake = Lake::new();
    // A file has groups of 122,880 rows: the filter takes some of the second one.
    let (rows, taken, run) = (130_000, 100, EXPERIMENTS[2]);
    lake.record(run, START + 1000.0, rows, true);
    assert_done(&lake.publish());
    lake.s3.proxy.take_seen();
    let from = START + 1000.0 + f64::from(rows - taken) / 10.0 - 0.05;
    let sql = format!(
        "SELECT count(n) FROM read_parquet('{{url}}/tracks/robot%2Fodom/**/*.parquet', hive_partitioning = true, \
         hive_types_autocast = false) WHERE experiment = 'tuesday/run 3' AND timestamp > {from:?}"
    );
    let asked = json!([{"name": "it", "sql": sql}]);
    let answers: Json = serde_json::from_str(&lake.oracle("ask", &asked)).unwrap();
    assert_eq!(answers[0]["answer"], json!([[taken]]), "{answers}");
    let mut read: BTreeMap<String, u64> = BTreeMap::new();
    let gets = lake.s3.proxy.take_seen().into_iter().filter(|seen| seen.head.method == "GET");
    for seen in gets.filter(|seen| seen.head.path.ends_with(".parquet")) {
        *read.entry(seen.head.path).or_default() += seen.down_bytes;
    }
    let is_own = |path: &str| path.contains("tuesday");
    // The first file of all gives the columns.
    assert!(read.keys().filter(|path| !is_own(path)).count() <= 1, "{read:?}");
    let files = lake.files("tracks").into_iter().filter(|file| {
        let name = file.to_string_lossy();
        is_own(&name) && name.contains("odom")
    });
    let bytes = files.map(|file| fs::metadata(file).unwrap().len()).max().unwrap();
    let own: u64 = read.iter().filter(|(path, _)| is_own(path)).map(|(_, bytes)| bytes).sum();
    assert!(own > 0 && own < bytes / 2, "{own} of {bytes} bytes, {read:?}");
}

/// Each request fails once in one of the ways, and is tried again.
#[test]
fn whatever_request_fails_each_row_is_there_once() {
    let lake = Lake::new();
    let faults = [
        SLOW_DOWN,
        Fault::Swallow,
        Fault::CutBody,
        INTERNAL_ERROR,
        Fault::CutAnswer,
        Fault::CutBefore,
    ];
    let every = faults.clone();
    lake.s3.proxy.set(move |_, nth| match nth % 3 {
        2 => every[(nth / 3) % every.len()].clone(),
        _ => Fault::None,
    });
    assert_done(&lake.publish());
    assert_done(&lake.compact());
    let seen = lake.s3.proxy.take_seen();
    assert!(seen.len() / 3 > faults.len(), "{} requests try not all faults", seen.len());
    lake.s3.proxy.set(|_, _| Fault::None);
    lake.assert_same_rows();
    // Nothing is left of what was put twice or in vain.
    assert_eq!((lake.files("compacted").len(), lake.files("tracks").len()), (2, 2));
    assert!(
        conditional_puts(&seen) > 0,
        "without conditions, nothing of this would have been tried"
    );
}

fn conditional_puts(seen: &[Seen]) -> usize {
    let conditional = |seen: &&Seen| {
        seen.head.method == "PUT"
            && (seen.head.header("if-match").is_some()
                || seen.head.header("if-none-match").is_some())
    };
    seen.iter().filter(conditional).count()
}

#[test]
fn two_publishers_and_two_compactors_at_once_agree() {
    let lake = Lake::new();
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| lake.publish()));
        both.into_iter().for_each(|done| assert_done(&done.join().unwrap()));
        let both = [0, 1].map(|_| scope.spawn(|| lake.compact()));
        both.into_iter().for_each(|done| assert_done(&done.join().unwrap()));
    });
    assert_eq!((lake.files("compacted").len(), lake.files("tracks").len()), (2, 2));
    lake.assert_same_rows();
}

#[test]
fn wrong_credentials_are_told_and_not_repeated() {
    let lake = Lake::new();
    let program =
        program(["publish", EXPERIMENTS[0], "--to", &lake.url(), "--root"]).arg(lake.root());
    let done = lake.s3.client(program).env("AWS_SECRET_ACCESS_KEY", "not-the-s3cret").run();
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(!done.stderr.contains("not-the-s3cret"), "{}", done.stderr);
    assert!(lake.s3.proxy.take_seen().len() < 10, "what is refused is not tried for minutes");
}

/// The view that docs/fleet.md gives is the one that is tried here, and so are the calls of docs/publish.md.
#[test]
fn the_documented_queries_are_those_that_are_tried() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words =
        |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let script = fs::read_to_string(sources.join("tests/oracles/open_lake.py")).unwrap();
    let text = |name: &str| {
        let text = script.split(&format!("\n{name} = \"\"\"")).nth(1).unwrap();
        text.split("\"\"\"").next().unwrap().to_owned()
    };
    let docs = |file: &str| words(&fs::read_to_string(sources.join("docs").join(file)).unwrap());
    for name in ["PYARROW", "POLARS"] {
        assert!(
            docs("publish.md").contains(&words(&text(name))),
            "docs/publish.md lacks:\n{}",
            text(name)
        );
    }
    let view = text("VIEW")
        .replace("{view}", "odom")
        .replace("{url}", "s3://lake/fleet")
        .replace("{topic}", "odom");
    assert!(docs("fleet.md").contains(&words(&view)), "docs/fleet.md lacks:\n{view}");
}
