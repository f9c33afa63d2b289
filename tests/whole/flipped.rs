//! Bits flipped, bytes zeroed and ends cut off, anywhere in any file of an experiment: all rows that were not hit are read, what was hit is
//! named, recording and uploading go on, and nothing panics or hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Format, Options, Query};
use proptest::prelude::*;

use crate::program::program;
use crate::server::{Server, TOKEN};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const RUN: &str = "alice/w/run";
const MAPPING: &str = "topics:\n  - {topic: /camera/image_raw/compressed, blobs: file}\n  \
                       - {topic: /chatter, stamp: receive}\n  - {topic: /robot_description, stamp: receive}\n";

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// An experiment with a file of every kind, as paths and contents.
static WHOLE: LazyLock<Files> = LazyLock::new(|| RECORDED.0.clone());
/// When the files were written. Indexes know theirs by it.
static MODIFIED: LazyLock<BTreeMap<PathBuf, SystemTime>> = LazyLock::new(|| RECORDED.1.clone());

static RECORDED: LazyLock<(Files, BTreeMap<PathBuf, SystemTime>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("mapping.yaml"), MAPPING).unwrap();
    fs::write(at("token"), TOKEN).unwrap();
    let server = Server::start(&at("server"));
    // Twice, and a killed one between: lists that were begun and continued.
    for _ in 0..2 {
        let import = program(["import", "--experiment", RUN, "--config"]).arg(at("mapping.yaml"));
        let import = import.args(["--remote", &server.url(), "--token-file"]).arg(at("token"));
        let done = import.arg("--root").arg(at("robot")).arg(BAG).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    let mut files = BTreeMap::new();
    walk(&at("robot"), &at("robot"), &mut files);
    let names: BTreeSet<&str> =
        files.keys().filter_map(|path| path.file_name()?.to_str()).collect();
    for kind in [
        "experiment.json",
        "account.json",
        "metadata.json",
        "data.jsonl",
        ".index.json",
        ".schema.json",
        ".messages",
        "000000.jpg",
    ] {
        assert!(names.contains(kind), "{kind} of {names:?}");
    }
    assert!(files.keys().any(|path| path.components().any(|part| part.as_os_str() == ".sync")));
    let modified =
        |path: &PathBuf| fs::metadata(at("robot").join(path)).unwrap().modified().unwrap();
    let modified = files.keys().map(|path| (path.clone(), modified(path))).collect();
    (files, modified)
});

fn walk(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(root, &path, files),
            false => drop(
                files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()),
            ),
        }
    }
}

/// In memory if possible.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn build(files: &Files, root: &Path) {
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    for (path, modified) in &*MODIFIED {
        let file = fs::File::options().append(true).open(root.join(path)).unwrap();
        file.set_modified(*modified).unwrap();
    }
}

/// Each track's rows, as the lines that they are.
fn rows(root: &Path) -> BTreeMap<String, Vec<String>> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let lines = |topic: &str| {
        let text = exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap();
        let lines: Vec<String> =
            String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(exp.tracks(topic).read(&Query::all()).unwrap().len(), lines.len());
        lines
    };
    exp.list()
        .unwrap()
        .into_iter()
        .map(|track| (track.topic.clone(), lines(&track.topic)))
        .collect()
}

static ROWS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let root = folder();
    build(&WHOLE, root.path());
    rows(root.path())
});

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip { bit: u32 },
    Zeros { bytes: usize },
    Cut,
    Garbage { byte: u8, bytes: usize },
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => (0..8_u32).prop_map(|bit| Damage::Flip { bit }),
        1 => (1..600_usize).prop_map(|bytes| Damage::Zeros { bytes }),
        1 => Just(Damage::Cut),
        1 => (any::<u8>(), 1..40_usize).prop_map(|(byte, bytes)| Damage::Garbage { byte, bytes }),
    ]
}

impl Damage {
    /// Does it at `at`; returns which bytes of the file as it was are no more what they were.
    fn hit(self, file: &mut Vec<u8>, at: usize) -> std::ops::Range<usize> {
        let end = match self {
            Self::Flip { .. } => at + 1,
            Self::Zeros { bytes } | Self::Garbage { bytes, .. } => (at + bytes).min(file.len()),
            Self::Cut => file.len(),
        };
        match self {
            Self::Flip { bit } => file[at] ^= 1 << bit,
            Self::Zeros { .. } => file[at..end].fill(0),
            Self::Garbage { byte, .. } => file[at..end].fill(byte),
            Self::Cut => file.truncate(at),
        }
        at..end
    }
}

/// The lines of `text` that a hit at these bytes leaves as they are.
fn unhit(text: &[u8], hit: &std::ops::Range<usize>) -> Vec<String> {
    let mut start = 0;
    let mut lines = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        // The line end before it counts: without, two lines are one.
        if end <= hit.start || start > hit.end {
            lines.push(String::from_utf8_lossy(line).trim_end().to_owned());
        }
        start = end;
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_hit_the_other_rows_are_read_and_what_was_hit_is_named(
        file in any::<prop::sample::Index>(),
        place in 0.0..1.0,
        damage in damage(),
        is_unseen in any::<bool>(),
    ) {
        let mut files = WHOLE.clone();
        let path = file.get(&files.keys().cloned().collect::<Vec<_>>()).clone();
        let bytes = files.get_mut(&path).unwrap();
        prop_assume!(!bytes.is_empty());
        let before = bytes.clone();
        let at = (bytes.len() as f64 * place) as usize;
        let hit = damage.hit(bytes, at);
        let root = folder();
        let root = root.path();
        build(&files, root);
        let hit_file = fs::File::options().append(true).open(root.join(&path)).unwrap();
        hit_file.set_modified(SystemTime::now()).unwrap();
        if is_unseen {
            // As a bad disk does it, which leaves the times of files alone.
            hit_file.set_modified(MODIFIED[&path]).unwrap();
        }

        // Of a track whose rows were hit, those on other lines; of all else, all.
        let mut safe = ROWS.clone();
        let is_data = path.ends_with("data.jsonl");
        if is_data {
            let lines = unhit(&before, &hit);
            let hit_track = safe.values_mut().find(|rows| rows.join("\n") == String::from_utf8_lossy(&before).trim_end());
            let hit_track = hit_track.expect("a closed track's file is its rows");
            hit_track.retain(|row| lines.contains(row));
        }
        let check = |when: &str| -> Result<(), TestCaseError> {
            let found = rows(root);
            for (topic, safe) in &safe {
                let Some(found) = found.get(topic) else {
                    return Err(TestCaseError::fail(format!("{when}: there is no {topic} in {:?}", found.keys())));
                };
                for row in safe {
                    prop_assert!(found.contains(row), "{path:?} {hit:?} {when}: {topic}: {row} is lost");
                }
                // A line that was hit may be another row, as far as anybody can tell.
                prop_assert!(found.len() <= ROWS[topic].len() + 2, "{when}: {topic}: {} rows", found.len());
            }
            Ok(())
        };
        check("as it lies")?;
        // What is missing is named.
        let missing = ROWS.iter().find(|(topic, rows)| self::rows(root)[*topic].len() < rows.len());
        // A line without its end may be one that is being written.
        let is_torn = hit.end >= before.len();
        if let Some((topic, _)) = missing.filter(|_| !is_torn) {
            let done = program(["read", RUN, topic, "--root"]).arg(root).run();
            prop_assert!(done.stderr.contains("data.jsonl") || done.stderr.contains(".index.json"), "{topic} of {path:?}: {} {:?}", done.stderr, self::rows(root)[topic]);
        }
        // Pictures: those that are listed and were not hit are as they were.
        let exp = Experiment::open_read_only(RUN, root).unwrap();
        let listed = exp.files("").list().unwrap();
        let is_of_files = path.components().any(|part| part.as_os_str() == "files");
        for file in &listed {
            let read = exp.files("").read_listed(file);
            if !is_of_files {
                prop_assert_eq!(&read.unwrap(), &WHOLE[&exp.files("").path(file).unwrap().strip_prefix(root).unwrap().to_owned()]);
            }
        }
        prop_assert!(is_of_files || listed.len() == 5, "{listed:?}");
        drop(exp);

        // Recording goes on.
        let exp = Experiment::open(RUN, Options::local(root)).unwrap();
        for topic in ROWS.keys() {
            exp.tracks(topic).append(fields! { "more": true }, 4e9).unwrap();
        }
        let closed = exp.close();
        prop_assert!(closed.is_ok(), "{closed:?}");
        check("after more was recorded")?;
    }
}
