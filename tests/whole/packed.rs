//! Rows that are packed with zstd are read as if they were plain, by every command and the server; what was hit costs its
//! frame; a kill at any moment costs nothing.

mod damage;
mod remote;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{
    Align, Compression, Experiment, Fields, Format, LabelChange, Options, Query, Value,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::kills::Kills;
use crate::program::{Done, Program, program};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const RUN: &str = "alice/w/run";

fn run(root: &Path, args: &[&str]) -> Done {
    program(args).arg("--root").arg(root).run()
}

fn done(root: &Path, args: &[&str]) -> String {
    let done = run(root, args);
    assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
    done.text().to_owned()
}

fn packed_file(root: &Path, track: &str) -> PathBuf {
    root.join(RUN).join("tracks").join(track).join("data.jsonl.zst")
}

fn plain_file(root: &Path, track: &str) -> PathBuf {
    packed_file(root, track).with_extension("")
}

/// Two tracks with the rows of these times; the arm's are wide enough for several frames.
fn record(root: &Path, times: &[u16]) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for (i, ts) in times.iter().enumerate() {
        let ts = f64::from(*ts) / 8.0;
        let wide: Vec<f64> = (0..300).map(|k| ts + f64::from(k) / 7.0).collect();
        exp.tracks("robot/arm").append(fields! { "q": wide, "n": i as i64 }, ts).unwrap();
        let mode: Fields = [(["m0", "m1", "m2"][i % 3], Value::from("hold"))].into_iter().collect();
        exp.tracks("mode").append(mode, ts + 0.25).unwrap();
    }
    exp.close().unwrap();
}

fn pack(root: &Path) {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let packed = exp.pack(|| ControlFlow::Continue(())).unwrap();
    assert!(packed.problems.is_empty() && !packed.is_stopped, "{packed:?}");
}

/// What a query of each kind gives.
fn answers(root: &Path, from: f64, to: f64, limit: u64) -> Vec<String> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let mut answers = Vec::new();
    for topic in ["robot/arm", "mode"] {
        let track = exp.tracks(topic);
        let queries = [
            Query::all(),
            Query::range(from..=to),
            Query::range(from..to).columns(["n", "m1"]),
            Query::range(from..).limit(limit),
        ];
        for query in &queries {
            for format in Format::ALL.iter().copied().filter(|format| *format != Format::Mcap) {
                answers.push(format!("{:?}", track.export(query, format).unwrap()));
            }
            answers.push(format!("{:?}", track.read(query).unwrap()));
        }
        let slice = track.slice(..).unwrap();
        for ts in [from, to, (from + to) / 2.0] {
            answers.push(format!("{:?}", slice.find_by_time(ts).ok()));
            answers.push(format!("{:?}", slice.find_nearest(ts, 0.5).ok()));
        }
    }
    let aligned = exp.align(&Align::on("mode").with(["robot/arm"]).tolerance(0.5)).unwrap();
    answers.extend(aligned.rows().map(|row| format!("{:?}", row.unwrap())));
    for mut track in exp.list().unwrap() {
        track.size_bytes = 0;
        answers.push(format!("{track:?}"));
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn packed_rows_answer_every_query_as_plain_ones_do(
        times in prop::collection::vec(0..400_u16, 1..120),
        from in 0.0..50.0_f64,
        length in 0.0..20.0_f64,
        limit in 0..20_u64,
    ) {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        record(root, &times);
        let ask = || answers(root, from, from + length, limit);
        let plain = ask();
        let text = fs::read(plain_file(root, "robot_arm")).unwrap();
        pack(root);
        prop_assert!(!plain_file(root, "robot_arm").exists());
        prop_assert_eq!(ask(), plain.clone());
        // From the packed file alone.
        fs::remove_file(packed_file(root, "robot_arm").with_file_name(".index.json")).unwrap();
        prop_assert_eq!(ask(), plain.clone());
        let packed = fs::read(packed_file(root, "robot_arm")).unwrap();
        prop_assert_eq!(&zstd::decode_all(&packed[..]).unwrap(), &text);
        let exp = Experiment::open_read_only(RUN, root).unwrap();
        prop_assert!(exp.unpack().unwrap().problems.is_empty());
        prop_assert_eq!(fs::read(plain_file(root, "robot_arm")).unwrap(), text);
        prop_assert_eq!(ask(), plain);
    }
}

/// Imports the demo's bag; returns each track as text.
fn import(root: &Path, mapping: &str, args: &[&str]) -> BTreeMap<String, String> {
    fs::create_dir_all(root).unwrap();
    let config = root.join("mapping.yaml");
    fs::write(&config, mapping).unwrap();
    let import = program(["import", BAG, "--experiment", RUN, "--config"]).arg(&config);
    let import = import.args(args).arg("--root").arg(root).run();
    assert_eq!(import.code, 0, "{}", import.stderr);
    tracks(root)
}

fn tracks(root: &Path) -> BTreeMap<String, String> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let text = |topic: &str| {
        String::from_utf8(exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap()).unwrap()
    };
    exp.list().unwrap().into_iter().map(|track| (track.topic.clone(), text(&track.topic))).collect()
}

const TOPICS: &str =
    "topics:\n  - topic: /pose\n  - topic: /odom\n  - {topic: /tf, each: transforms}\n";

fn data_files(root: &Path) -> (usize, usize) {
    let tracks = fs::read_dir(root.join(RUN).join("tracks")).unwrap();
    tracks.fold((0, 0), |(plain, packed), track| {
        let track = track.unwrap().path();
        let is = |name: &str| usize::from(track.join(name).exists());
        (plain + is("data.jsonl"), packed + is("data.jsonl.zst"))
    })
}

#[test]
fn a_mapping_or_a_flag_packs_each_recording_when_it_is_closed_and_commands_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, mapped, flagged, refused] =
        ["plain", "mapped", "flagged", "refused"].map(|name| folder.path().join(name));
    let expected = import(&plain, TOPICS, &[]);
    let count = expected.len();
    assert_eq!(data_files(&plain), (count, 0));
    assert_eq!(import(&mapped, &format!("compress: zstd\n{TOPICS}"), &[]), expected);
    assert_eq!(data_files(&mapped), (0, count));
    assert_eq!(import(&flagged, TOPICS, &["--compress", "zstd"]), expected);
    assert_eq!(data_files(&flagged), (0, count));
    let none = import(&refused, &format!("compress: zstd\n{TOPICS}"), &["--compress", "none"]);
    assert_eq!((none, data_files(&refused)), (expected, (count, 0)));
    // Once more into it: the same rows, packed again.
    import(&mapped, &format!("compress: zstd\n{TOPICS}"), &[]);
    assert_eq!(data_files(&mapped), (0, count));

    let recipe = folder.path().join("recipe.yaml");
    fs::write(
        &recipe,
        "format: parquet\nfps: 5\nfeatures:\n  x: {from: \"odom:pose.pose.position[0:2]\"}\n",
    )
    .unwrap();
    let said = |root: &Path| {
        let dataset =
            folder.path().join(format!("{}-dataset", root.file_name().unwrap().display()));
        let dataset = dataset.to_str().unwrap();
        let recipe = recipe.to_str().unwrap();
        done(root, &["dataset", RUN, "--recipe", recipe, "-o", dataset]);
        let experiments: Json =
            serde_json::from_str(&done(root, &["experiments", "--json"])).unwrap();
        (
            done(root, &["read", RUN, "pose", "--format", "csv"]),
            done(root, &["read", RUN, "odom", "--start", "0", "--limit", "7"]),
            done(root, &["align", RUN, "--on", "odom", "--with", "pose"]),
            experiments[0]["totalEntries"].clone(),
            experiments[0]["lengthSecs"].clone(),
            experiments[0]["isExact"].clone(),
        )
    };
    assert_eq!(said(&flagged), said(&plain));
    let size = |root: &Path| {
        let experiments: Json =
            serde_json::from_str(&done(root, &["experiments", "--json"])).unwrap();
        experiments[0]["sizeBytes"].as_u64().unwrap()
    };
    assert!(size(&flagged) < size(&plain), "{} of {}", size(&flagged), size(&plain));
}

#[test]
fn pack_and_unpack_say_what_they_did_and_leave_alone_what_is_being_recorded() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &(0..200).collect::<Vec<_>>());
    let before = tracks(root);
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for command in ["pack", "unpack"] {
        let refused = run(root, &[command, RUN]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("is being recorded by process"), "{}", refused.stderr);
    }
    exp.close().unwrap();
    let packed = done(root, &["pack", "alice"]);
    assert!(packed.contains("alice/w/run: packed 2 tracks, "), "{packed}");
    assert_eq!((tracks(root), data_files(root)), (before.clone(), (0, 2)));
    assert_eq!(done(root, &["pack", RUN]), "alice/w/run: nothing to be packed\n");
    // Labels are no rows.
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    exp.label(&LabelChange::new().success(Some(true))).unwrap();
    assert_eq!(data_files(root), (0, 2));
    let unpacked: Json = serde_json::from_str(&done(root, &["unpack", RUN, "--json"])).unwrap();
    assert_eq!((&unpacked[0]["tracks"], &unpacked[0]["damaged"]), (&json!(2), &json!([])));
    assert_eq!((tracks(root), data_files(root)), (before, (2, 0)));
}

#[test]
fn a_packed_track_is_unpacked_by_an_append_and_the_others_stay_packed() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &[8, 16, 24]);
    pack(root);
    let rows = r#"{"_ts": 2.5, "n": 7}"#;
    let appended = program(["append", RUN, "robot/arm", "--root"]).arg(root).stdin(rows).run();
    assert_eq!(appended.code, 0, "{}", appended.stderr);
    assert!(appended.stderr.contains("was unpacked to append to it"), "{}", appended.stderr);
    assert_eq!(data_files(root), (1, 1));
    let exp = Experiment::open(RUN, Options::local(root).compress(Compression::Zstd)).unwrap();
    let times = |topic: &str| -> Vec<f64> {
        let rows = exp.tracks(topic).read(&Query::all()).unwrap();
        rows.iter().map(|row| row.ts.as_secs()).collect()
    };
    assert_eq!(times("robot/arm"), [1.0, 2.0, 2.5, 3.0]);
    assert_eq!(times("mode"), [1.25, 2.25, 3.25]);
    // Whoever asks for it leaves all of it packed, also tracks that it did not write.
    exp.close().unwrap();
    assert_eq!(data_files(root), (0, 2));
}

#[test]
fn rows_that_the_sdk_appends_beside_packed_ones_are_read_with_them_and_kept() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &(0..300).collect::<Vec<_>>());
    pack(root);
    // It knows nothing of packed files, and begins anew. One of its rows has a time that is there.
    let theirs = "{\"timestamp\": 5.0, \"n\": -1}\n{\"timestamp\": 99.5, \"n\": -2}\n";
    fs::write(plain_file(root, "robot_arm"), theirs).unwrap();
    let check = |when: &str| {
        let exp = Experiment::open_read_only(RUN, root).unwrap();
        let rows = exp.tracks("robot/arm").read(&Query::all()).unwrap();
        let listed = exp.list().unwrap().into_iter().find(|track| track.topic == "robot/arm");
        assert_eq!((rows.len(), listed.unwrap().total_entries), (301, 301), "{when}");
        let row = rows.iter().find(|row| row.ts.as_secs() == 5.0).unwrap();
        let n = format!("{:?}", row.fields.get("n"));
        assert!(n.contains("-1") && row.fields.get("q").is_some(), "{when}: {row:?}");
    };
    check("as it lies");
    done(root, &["pack", RUN]);
    check("packed together");
    assert_eq!(data_files(root), (0, 2));
    fs::write(plain_file(root, "robot_arm"), theirs).unwrap();
    done(root, &["unpack", RUN]);
    check("unpacked together");
    assert_eq!(data_files(root), (2, 0));
}

/// What a change that was cut short leaves.
#[test]
fn where_both_files_hold_the_same_rows_each_counts_once() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &(0..300).collect::<Vec<_>>());
    let before = tracks(root);
    let text = fs::read(plain_file(root, "robot_arm")).unwrap();
    pack(root);
    fs::write(plain_file(root, "robot_arm"), &text).unwrap();
    assert_eq!(tracks(root), before);
    assert!(done(root, &["tracks", RUN]).contains("300"));
    // Whoever opens it to record removes what is left over.
    Experiment::open(RUN, Options::local(root)).unwrap().close().unwrap();
    assert_eq!((tracks(root), data_files(root)), (before.clone(), (1, 1)));
    done(root, &["pack", RUN]);
    assert_eq!((tracks(root), data_files(root)), (before, (0, 2)));
}

fn run_to_the_end(program: Program) -> Duration {
    let started = Instant::now();
    let done = program.run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    started.elapsed()
}

#[test]
fn pack_and_unpack_killed_at_any_moment_leave_each_row_once_and_go_on() {
    let mut kills = Kills::of("packed", 8);
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &(0..400).collect::<Vec<_>>());
    let expected = tracks(root);
    let command = |command: &str| program([command, RUN, "--root"]).arg(root);
    let within = run_to_the_end(command("pack")).max(run_to_the_end(command("unpack")));
    let mut killed = 0;
    for round in 0..kills.count {
        let name = if kills.random.bool() { "pack" } else { "unpack" };
        killed += u32::from(kills.kill(&mut command(name).start(), within));
        assert_eq!(tracks(root), expected, "round {round}, {name}");
        let exp = Experiment::open_read_only(RUN, root).unwrap();
        for track in exp.list().unwrap() {
            assert_eq!(track.total_entries, 400, "round {round}, {name}: {track:?}");
        }
    }
    run_to_the_end(command("pack"));
    assert_eq!((tracks(root), data_files(root)), (expected.clone(), (0, 2)));
    let folder = packed_file(root, "robot_arm");
    let left = fs::read_dir(folder.parent().unwrap()).unwrap();
    let mut left: Vec<String> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".index.json", "data.jsonl.zst", "metadata.json"]);
    run_to_the_end(command("unpack"));
    assert_eq!((tracks(root), data_files(root)), (expected, (2, 0)));
    println!("packed: {killed} kills");
}
