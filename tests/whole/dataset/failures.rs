//! Where conversions go wrong: gaps, slow cameras, joints in another order, offsets, nothing at all. Each gives the right
//! dataset, or an error that names episode, feature and time.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use mldash_bridge::export::account::Cost;
use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Metadata, Value};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use super::{START, png, record, record_picture, try_export};

const RUN: &str = "alice/lab/run";

fn read(target: &Path) -> RecordBatch {
    let file = File::open(target.join("data/chunk-000/file-000.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1, "these datasets have few rows");
    batches.remove(0)
}

fn singles(target: &Path, column: &str) -> Vec<f32> {
    let batch = read(target);
    batch.column_by_name(column).unwrap().as_primitive::<Float32Type>().values().to_vec()
}

fn doubles(target: &Path, column: &str) -> Vec<f64> {
    let batch = read(target);
    batch.column_by_name(column).unwrap().as_primitive::<Float64Type>().values().to_vec()
}

fn wholes(target: &Path, column: &str) -> Vec<i64> {
    let batch = read(target);
    batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

/// x at 10 Hz from `START`, at these ticks.
fn record_x(exp: &Experiment, ticks: impl IntoIterator<Item = u32>) {
    for tick in ticks {
        let secs = START + f64::from(tick) / 10.0;
        exp.tracks("odom").append(fields! { "x": f64::from(tick) }, secs).unwrap();
    }
}

/// Of ticks 0 to 19, 8 to 11 are missing.
fn record_gap(root: &Path) {
    let exp = record(root, RUN);
    record_x(&exp, (0..8).chain(12..20));
    // Something else that goes on.
    for tick in 0..20 {
        exp.tracks("clock").append(fields! { "n": tick }, START + f64::from(tick) / 10.0).unwrap();
    }
    exp.close().unwrap();
}

fn gap_recipe(missing: &str) -> String {
    format!(
        "{{fps: 10, task: t, missing: {missing}, features: {{x: {{from: 'odom:x', tolerance: 0.05}}, n: {{from: \
         'clock:n', dtype: int64}}}}}}"
    )
}

#[test]
fn after_a_gap_a_new_episode_begins_if_ticks_are_dropped() {
    let root = tempfile::tempdir().unwrap();
    record_gap(root.path());
    let target = root.path().join("set");
    let account = try_export(root.path(), &[RUN], &gap_recipe("drop"), &target).unwrap();
    assert_eq!((account.episodes, account.frames, account.ticks(Cost::Dropped)), (2, 16, 4));
    let hole = &account.experiments[0].missing[0];
    assert_eq!((hole.feature.as_str(), hole.ticks), ("x", 4));
    assert!((hole.first_secs - (START + 0.8)).abs() < 1e-6);
    let ticks: Vec<i64> = (0..8).chain(12..20).collect();
    assert_eq!(wholes(&target, "n"), ticks);
    assert_eq!(singles(&target, "x"), ticks.iter().map(|t| *t as f32).collect::<Vec<_>>());
    let timestamps: Vec<f32> = (0..8).chain(0..8).map(|i| (f64::from(i) / 10.0) as f32).collect();
    assert_eq!(singles(&target, "timestamp"), timestamps);
    assert_eq!(wholes(&target, "episode_index"), [[0; 8], [1; 8]].concat());
    assert_eq!(wholes(&target, "index"), (0..16).collect::<Vec<_>>());
}

#[test]
fn a_gap_is_held_ends_the_episode_or_is_an_error_as_the_recipe_says() {
    let root = tempfile::tempdir().unwrap();
    record_gap(root.path());
    let held = root.path().join("held");
    let account = try_export(root.path(), &[RUN], &gap_recipe("hold"), &held).unwrap();
    assert_eq!((account.episodes, account.frames, account.ticks(Cost::Held)), (1, 20, 4));
    assert_eq!(singles(&held, "x")[7..13], [7.0, 7.0, 7.0, 7.0, 7.0, 12.0]);
    let x = &account.experiments[0].episodes[0].features[0];
    assert!((x.max_age_secs - 0.4).abs() < 1e-6, "{x:?}");
    let ended = root.path().join("ended");
    let account = try_export(root.path(), &[RUN], &gap_recipe("end_episode"), &ended).unwrap();
    assert_eq!((account.episodes, account.frames), (1, 8));
    assert_eq!((account.ticks(Cost::Ended), account.experiments[0].after_end), (4, 8));
    let target = root.path().join("error");
    let error = try_export(root.path(), &[RUN], &gap_recipe("error"), &target).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("alice/lab/run: feature `x` has no value at 1600000000.800000"),
        "{told}"
    );
    assert!(told.contains("the last one is 0.100 s older"), "{told}");
    assert!(!target.exists());
}

#[test]
fn episodes_that_are_too_short_are_left_out_and_told() {
    let root = tempfile::tempdir().unwrap();
    record_gap(root.path());
    let recipe = gap_recipe("drop").replace("fps: 10", "fps: 10, min_frames: 9");
    let error = try_export(root.path(), &[RUN], &recipe, &root.path().join("set")).unwrap_err();
    assert!(error.to_string().contains("no episode has a frame"), "{error}");
    let recipe = recipe.replace("min_frames: 9", "min_frames: 8");
    let account = try_export(root.path(), &[RUN], &recipe, &root.path().join("set")).unwrap();
    assert_eq!(account.episodes, 2);
}

#[test]
fn a_camera_of_28_7_hz_shows_some_frames_twice_at_30_fps_and_the_account_says_which() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    for i in 0..100 {
        let picture = png(8, 8, [i, 0, 0]);
        record_picture(&exp, "camera", usize::from(i), &picture, START + f64::from(i) / 28.7);
    }
    exp.close().unwrap();
    let recipe = "{fps: 30, task: t, stamps: true, features: {front: {from: camera, as: image, tolerance: 0.05}}}";
    let target = root.path().join("set");
    let account = try_export(root.path(), &[RUN], recipe, &target).unwrap();
    let stamps = doubles(&target, "stamp.front");
    let expected = |tick: usize| {
        let secs = START + tick as f64 / 30.0;
        (0..100).map(|i| START + f64::from(i) / 28.7).rfind(|stamp| *stamp <= secs).unwrap()
    };
    let all: Vec<f64> = (0..stamps.len()).map(expected).collect();
    assert_eq!(stamps, all);
    let front = &account.experiments[0].episodes[0].features[0];
    let repeated = all.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(repeated > 0 && front.repeated == repeated as u64, "{front:?}");
    assert_eq!(singles(&target, "timestamp")[90], 3.0);
    // A tolerance below the camera's period finds holes, and they are not papered over.
    let strict = recipe.replace("0.05", "0.03");
    let error = try_export(root.path(), &[RUN], &strict, &root.path().join("strict")).unwrap_err();
    assert!(error.to_string().contains("feature `front` has no value at"), "{error}");
}

#[test]
fn joints_are_taken_by_name_whatever_the_order_and_whoever_else_publishes() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    let joints = exp.tracks("joint_states");
    for i in 0..21 {
        let (a, b) = (f64::from(i), 100.0 + f64::from(i));
        let (names, position) =
            if i % 2 == 0 { (["a", "b"], [a, b]) } else { (["b", "a"], [b, a]) };
        let fields = fields! { "name": names.to_vec(), "position": position };
        joints.append(fields, START + f64::from(i) / 10.0).unwrap();
        // Another node's message, which has no such joints.
        let other = fields! { "name": vec!["gripper"], "position": [9.0] };
        joints.append(other, START + f64::from(i) / 10.0 + 0.05).unwrap();
    }
    exp.close().unwrap();
    for method in ["floor", "linear", "window"] {
        let recipe = format!(
            "{{fps: 20, task: t, missing: hold, features: {{arm: {{from: 'joint_states:position', joints: [b, a], \
             method: {method}}}}}}}"
        );
        let target = root.path().join(method);
        try_export(root.path(), &[RUN], &recipe, &target).unwrap();
        let batch = read(&target);
        let arm = batch.column_by_name("arm").unwrap().as_fixed_size_list().clone();
        let info: serde_json::Value =
            serde_json::from_slice(&std::fs::read(target.join("meta/info.json")).unwrap()).unwrap();
        assert_eq!(info["features"]["arm"]["names"], json!(["b", "a"]));
        for tick in 0..40 {
            let row = arm.value(tick);
            let row = row.as_primitive::<Float32Type>().values();
            let at = if method == "linear" { tick as f32 / 2.0 } else { (tick / 2) as f32 };
            // Stamps of today are exact to a quarter of a microsecond.
            let is_near = |(found, at): (&f32, f32)| (found - at).abs() < 1e-4;
            let near = row.iter().zip([100.0 + at, at]).all(is_near);
            assert!(near, "{method} at tick {tick}: {row:?}");
        }
    }
}

#[test]
fn joints_that_no_message_holds_are_named() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    let fields = fields! { "name": Value::from(vec!["a"]), "position": [1.0] };
    exp.tracks("joint_states").append(fields, START).unwrap();
    exp.close().unwrap();
    let recipe =
        "{fps: 20, task: t, features: {arm: {from: 'joint_states:position', joints: [a, wrist]}}}";
    let error = try_export(root.path(), &[RUN], recipe, &root.path().join("set")).unwrap_err();
    let told = "feature `arm`: there is no joint `wrist` in any message of track `joint_states`; there are: a";
    assert!(error.to_string().ends_with(told), "{error}");
}

#[test]
fn a_camera_that_starts_late_begins_the_episode_and_the_account_says_how_late() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    record_x(&exp, 0..50);
    for i in 0..30_u8 {
        record_picture(
            &exp,
            "camera",
            i.into(),
            &png(8, 8, [i; 3]),
            START + 2.03 + f64::from(i) / 10.0,
        );
    }
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, features: {x: {from: 'odom:x', method: linear, tolerance: 0.2}, front: {from: \
                  camera, as: image, tolerance: 0.2}}}";
    let target = root.path().join("set");
    let account = try_export(root.path(), &[RUN], recipe, &target).unwrap();
    let run = &account.experiments[0];
    assert!((run.late_secs - 2.03).abs() < 1e-6, "{run:?}");
    assert_eq!(run.late_track.as_deref(), Some("camera"));
    assert!((run.episodes[0].start_secs - (START + 2.03)).abs() < 1e-6);
    // The first tick is 20.3 steps after the first row.
    let x = singles(&target, "x");
    assert!((x[0] - 20.3).abs() < 1e-4 && (x[1] - 21.3).abs() < 1e-4, "{x:?}");
    assert_eq!(singles(&target, "timestamp")[..2], [0.0, 0.1]);
    assert!(
        run.lines(10)
            .iter()
            .any(|line| line.contains("2.030 s after its first row, when `camera`"))
    );
}

#[test]
fn cameras_with_an_offset_keep_their_own_times() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    for i in 0..30_u8 {
        let secs = START + f64::from(i) / 10.0;
        record_picture(&exp, "left", i.into(), &png(8, 8, [i, 0, 0]), secs);
        record_picture(&exp, "right", i.into(), &png(8, 8, [0, i, 0]), secs + 0.04);
    }
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, stamps: true, features: {left: {from: left, as: image}, right: {from: right, as: \
                  image, method: nearest}}}";
    let target = root.path().join("set");
    let account = try_export(root.path(), &[RUN], recipe, &target).unwrap();
    let (left, right) = (doubles(&target, "stamp.left"), doubles(&target, "stamp.right"));
    assert!(left.iter().zip(&right).all(|(left, right)| (right - left - 0.04).abs() < 1e-6));
    let ages = |name| singles(&target, name);
    assert!(ages("age.left").iter().all(|age| (age - 0.04).abs() < 1e-5), "{:?}", ages("age.left"));
    assert!(ages("age.right").iter().all(|age| age.abs() < 1e-5));
    assert_eq!(account.experiments[0].late_track.as_deref(), Some("right"));
}

#[test]
fn an_episode_without_frames_is_told_and_the_others_are_written() {
    let root = tempfile::tempdir().unwrap();
    for name in ["alice/lab/a", "alice/lab/b", "alice/lab/c"] {
        let exp = record(root.path(), name);
        record_x(&exp, 0..5);
        let is_empty = name == "alice/lab/b";
        // Where the first track has ended long before.
        let start = if is_empty { START + 100.0 } else { START };
        exp.tracks("cmd").append(fields! { "v": 1.0 }, start).unwrap();
        exp.tracks("cmd").append(fields! { "v": 1.0 }, start + 0.4).unwrap();
        exp.close().unwrap();
    }
    let recipe =
        "{fps: 10, task: t, features: {x: {from: 'odom:x', tolerance: 1}, v: {from: 'cmd:v'}}}";
    let names = ["alice/lab/a", "alice/lab/b", "alice/lab/c"];
    let account = try_export(root.path(), &names, recipe, &root.path().join("set")).unwrap();
    assert_eq!((account.episodes, account.is_incomplete()), (2, true));
    let b = account.experiments[1].lines(10).join("\n");
    assert!(b.contains("alice/lab/b: 0 episodes, 0 frames of 5 ticks"), "{b}");
    assert!(b.contains("`x` lacks a value at 5 ticks, before the first whole one"), "{b}");
    let error =
        try_export(root.path(), &names[1..2], recipe, &root.path().join("none")).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("alice/lab/b: feature `x` lacks a value at 5 of 5 ticks from 16000001"),
        "{told}"
    );
    assert!(!root.path().join("none").exists());
}

#[test]
fn a_discarded_experiment_is_left_out_and_told() {
    let root = tempfile::tempdir().unwrap();
    for (name, discarded) in [("alice/lab/a", true), ("alice/lab/b", false)] {
        let exp = record(root.path(), name);
        let details: Metadata = json!({"discarded": discarded}).as_object().unwrap().clone();
        exp.start_run(details).unwrap();
        record_x(&exp, 0..5);
        exp.close().unwrap();
    }
    let recipe = "{fps: 10, task: t, features: {x: {from: 'odom:x'}}}";
    let names = ["alice/lab/a", "alice/lab/b"];
    let account = try_export(root.path(), &names, recipe, &root.path().join("set")).unwrap();
    assert_eq!((account.episodes, account.is_incomplete()), (1, false));
    assert_eq!(
        account.experiments[0].lines(10),
        ["alice/lab/a: left out: it is marked as discarded"]
    );
}

#[test]
fn an_experiment_that_is_marked_as_not_successful_is_told() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    exp.start_run(json!({"success": false}).as_object().unwrap().clone()).unwrap();
    record_x(&exp, 0..5);
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, features: {x: {from: 'odom:x'}}}";
    let account = try_export(root.path(), &[RUN], recipe, &root.path().join("set")).unwrap();
    let lines = account.experiments[0].lines(10);
    assert_eq!(lines[1], "  it is marked as not successful", "{lines:?}");
}

#[test]
fn an_experiment_that_is_being_recorded_is_left_out_and_told() {
    let root = tempfile::tempdir().unwrap();
    let open = ["alice/lab/a", "alice/lab/b"].map(|name| {
        let exp = record(root.path(), name);
        record_x(&exp, 0..5);
        exp.flush().unwrap();
        exp
    });
    let recipe = "{fps: 10, task: t, features: {x: {from: 'odom:x'}}}";
    let names = ["alice/lab/a", "alice/lab/b"];
    let [first, second] = open;
    second.close().unwrap();
    let account = try_export(root.path(), &names, recipe, &root.path().join("set")).unwrap();
    assert_eq!((account.episodes, account.is_incomplete()), (1, true));
    let told = "alice/lab/a: left out: it is being recorded; export it once that has ended";
    assert_eq!(account.experiments[0].lines(10), [told]);
    first.close().unwrap();
    let account = try_export(root.path(), &names, recipe, &root.path().join("both")).unwrap();
    assert_eq!((account.episodes, account.is_incomplete()), (2, false));
}

#[test]
fn rows_without_a_column_do_not_hide_the_last_value() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    for tick in 0..10 {
        let (secs, n) = (START + f64::from(tick) / 10.0, f64::from(tick));
        let row = if tick % 2 == 0 {
            fields! { "x": n }
        } else {
            fields! { "y": n }
        };
        exp.tracks("odom").append(row, secs).unwrap();
    }
    exp.close().unwrap();
    for (method, missing, all) in [
        ("floor", "error", [0.0, 0.0, 2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0]),
        ("floor", "hold", [0.0, 0.0, 2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0]),
        ("linear", "error", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
    ] {
        let recipe = format!(
            "{{fps: 10, task: t, features: {{x: {{from: 'odom:x', method: {method}, missing: {missing}}}}}}}"
        );
        let target = root.path().join(format!("{method}-{missing}"));
        try_export(root.path(), &[RUN], &recipe, &target).unwrap();
        let found = singles(&target, "x");
        let near = found.iter().zip(all).all(|(found, x)| (found - x).abs() < 1e-4);
        assert!(near && found.len() >= all.len(), "{method}, {missing}: {found:?}");
    }
}

#[test]
fn a_gap_that_is_bridged_without_a_tolerance_is_told() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    record_x(&exp, (0..30).chain(50..80));
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, features: {x: {from: 'odom:x', method: linear}}}";
    let account = try_export(root.path(), &[RUN], recipe, &root.path().join("set")).unwrap();
    let run = &account.experiments[0];
    let told = run.lines(10).join("\n");
    // A tick just beside a row is farthest from the other.
    assert!(told.contains("`x`: at most 2.000 s from its tick, at 160000000"), "{told}");
    assert!(told.contains("`x`: 20 frames lie in gaps and were computed across them"), "{told}");
    let strict = recipe.replace("linear", "linear, missing: drop, tolerance: 0.5");
    let account = try_export(root.path(), &[RUN], &strict, &root.path().join("strict")).unwrap();
    assert_eq!((account.episodes, account.experiments[0].episodes[0].features[0].bridged), (2, 0));
}

#[test]
fn slerp_of_what_is_no_quaternion_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    for tick in 0..3 {
        let row = fields! { "position": [0.5, 0.0, 0.0], "orientation": [0.0, 0.0, 0.0, 1.0] };
        exp.tracks("odom").append(row, START + f64::from(tick) / 10.0).unwrap();
    }
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, features: {pose: {from: ['odom:position', 'odom:orientation'], method: slerp}}}";
    let target = root.path().join("set");
    let error = try_export(root.path(), &[RUN], recipe, &target).unwrap_err().to_string();
    assert!(error.contains("odom:position: a list of 3 is no quaternion [x, y, z, w]"), "{error}");
    let recipe = recipe.replace("['odom:position', 'odom:orientation']", "'odom:orientation'");
    assert_eq!(try_export(root.path(), &[RUN], &recipe, &target).unwrap().frames, 3);
}

#[test]
fn a_feature_of_empty_lists_is_an_error_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    exp.tracks("joint_states").append(fields! { "effort": [0.0; 0] }, START).unwrap();
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, features: {effort: {from: 'joint_states:effort'}}}";
    let error = try_export(root.path(), &[RUN], recipe, &root.path().join("set")).unwrap_err();
    let told =
        "alice/lab/run: feature `effort` at 1600000000.000000: it has no number: each of its lists";
    assert!(error.to_string().starts_with(told), "{error}");
}

#[test]
fn a_picture_that_is_damaged_or_of_another_size_is_an_error_with_its_file_and_time() {
    let root = tempfile::tempdir().unwrap();
    let whole = png(8, 8, [1, 2, 3]);
    let damaged = whole[..whole.len() - 20].to_vec();
    for (name, second) in [("alice/lab/cut", damaged), ("alice/lab/larger", png(9, 9, [1, 2, 3]))] {
        let exp = record(root.path(), name);
        record_picture(&exp, "camera", 0, &whole, START);
        record_picture(&exp, "camera", 1, &second, START + 0.1);
        exp.close().unwrap();
    }
    let recipe = "{fps: 10, task: t, features: {front: {from: camera, as: image}}}";
    let target = root.path().join("set");
    let told = |name| try_export(root.path(), &[name], recipe, &target).unwrap_err().to_string();
    let cut = told("alice/lab/cut");
    let expected = "alice/lab/cut: feature `front` at 1600000000.100000: the picture camera/000001.png can't be used";
    assert_eq!(cut, expected);
    let larger = told("alice/lab/larger");
    assert!(
        larger.contains("the picture camera/000001.png is 9x9 with 3 channels of 8 bits"),
        "{larger}"
    );
    assert!(larger.contains("`size` in the recipe makes them equal"), "{larger}");
    let sized = recipe.replace("as: image", "as: image, size: [8, 8]");
    assert_eq!(try_export(root.path(), &["alice/lab/larger"], &sized, &target).unwrap().frames, 2);
}
