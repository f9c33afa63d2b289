//! Tracks joined by time, from the library and from `mldash_bridge align`.

mod command;
mod grids;
mod methods;
mod tables;

use std::collections::BTreeSet;
use std::path::Path;

use mldash_bridge::track::{
    Align, AlignError, AlignMethod, Experiment, Fields, Format, Options, TrackError, Value,
};
use proptest::prelude::*;

use command::align;

const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, Options::local(root)).unwrap()
}

fn record(exp: &Experiment, topic: &str, column: &str, times: &[f64]) {
    for ts in times {
        let row: Fields = [(column, Value::F64(*ts))].into_iter().collect();
        exp.tracks(topic).append(row, *ts).unwrap();
    }
}

fn jsonl(exp: &Experiment, align: &Align) -> Vec<String> {
    let text = exp.align(align).unwrap().export(Format::Jsonl).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn each_row_carries_what_the_others_held_then_under_their_names() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0, 3.0]);
    record(&exp, "robot/pose", "q", &[1.4, 1.9, 2.4]);
    record(&exp, "arm", "j", &[0.5]);
    let rows = jsonl(&exp, &Align::on("camera").with(["robot/pose", "arm"]));
    assert_eq!(
        rows,
        [
            r#"{"timestamp":1.0,"frame":1.0,"arm.timestamp":0.5,"arm.j":0.5}"#,
            r#"{"timestamp":2.0,"frame":2.0,"robot/pose.timestamp":1.9,"robot/pose.q":1.9,"arm.timestamp":0.5,"arm.j":0.5}"#,
            r#"{"timestamp":3.0,"frame":3.0,"robot/pose.timestamp":2.4,"robot/pose.q":2.4,"arm.timestamp":0.5,"arm.j":0.5}"#,
        ]
    );
}

#[test]
fn the_nearest_row_may_come_after_and_one_too_far_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0, 3.0]);
    record(&exp, "pose", "q", &[1.1, 1.9, 2.1]);
    let nearest = Align::on("camera").with(["pose"]).method(AlignMethod::Nearest);
    assert_eq!(
        jsonl(&exp, &nearest.tolerance(0.1)),
        [
            r#"{"timestamp":1.0,"frame":1.0,"pose.timestamp":1.1,"pose.q":1.1}"#,
            r#"{"timestamp":2.0,"frame":2.0,"pose.timestamp":1.9,"pose.q":1.9}"#,
            r#"{"timestamp":3.0,"frame":3.0}"#,
        ]
    );
}

#[test]
fn joined_rows_can_be_gone_through_again_and_stay_as_they_were() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0]);
    record(&exp, "pose", "q", &[0.9]);
    let aligned = exp.align(&Align::on("camera").with(["pose"])).unwrap();
    let first: Vec<_> = aligned.rows().map(Result::unwrap).collect();
    record(&exp, "pose", "q", &[1.5]);
    exp.flush().unwrap();
    assert_eq!(aligned.rows().map(Result::unwrap).collect::<Vec<_>>(), first);
}

#[test]
fn tracks_that_are_not_there_or_are_named_twice_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0]);
    record(&exp, "pose", "q", &[1.0]);
    let refused = |align: Align| match exp.align(&align) {
        Err(TrackError::Align(error)) => error,
        other => panic!("{other:?}"),
    };
    let absent = refused(Align::on("camera").with(["arm"]));
    assert_eq!(absent.to_string(), "there is no track `arm` to align; there are: camera, pose");
    let twice = refused(Align::on("pose").with(["camera", "camera"]));
    assert_eq!(twice, AlignError::Twice("camera".into()));
    let tolerance = refused(Align::on("pose").with(["camera"]).tolerance(-1.0));
    assert_eq!(tolerance, AlignError::Tolerance(-1.0));
}

#[test]
fn a_joined_column_whose_name_is_taken_is_told_apart_and_the_reference_keeps_its_own() {
    // The default mapping's odometry and pose.
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "odom", "pose.pose.position", &[1.0]);
    record(&exp, "pose", "pose.position", &[0.9]);
    record(&exp, "arm", "j", &[0.8]);
    assert_eq!(
        jsonl(&exp, &Align::on("odom").with(["pose", "arm"])),
        [
            r#"{"timestamp":1.0,"pose.pose.position":1.0,"pose:timestamp":0.9,"pose:pose.position":0.9,"arm.timestamp":0.8,"arm.j":0.8}"#
        ]
    );
    // The other way round nothing is taken.
    assert_eq!(
        jsonl(&exp, &Align::on("pose").with(["odom"])),
        [r#"{"timestamp":0.9,"pose.position":0.9}"#]
    );
    record(&exp, "arm", "x", &[0.95]);
    exp.close().unwrap();
    let done = align(root.path(), &["--on", "odom", "--with", "pose"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("`pose:pose.position` and so on"), "{}", done.stderr);
    assert!(!done.stderr.contains("WARN"), "{}", done.stderr);

    // Names that nothing tells apart are refused.
    let exp = open(root.path());
    record(&exp, "odom", "pose:timestamp", &[1.0]);
    let clash = exp.align(&Align::on("odom").with(["pose"])).unwrap_err();
    assert!(matches!(clash, TrackError::Align(AlignError::ColumnTwice { .. })), "{clash}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn joins_what_a_look_at_every_row_would_join(
        on in prop::collection::btree_set(0..80_i32, 1..30),
        with in prop::collection::btree_set(0..80_i32, 1..30),
        tolerance in 0..10_i32,
        nearest: bool,
        bounds in (0..80_i32, 0..80_i32),
    ) {
        let root = tempfile::tempdir().unwrap();
        let exp = open(root.path());
        let times = |set: &BTreeSet<i32>| set.iter().map(|t| f64::from(*t)).collect::<Vec<_>>();
        record(&exp, "on", "a", &times(&on));
        record(&exp, "with", "b", &times(&with));
        let (start, end) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        let method = if nearest { AlignMethod::Nearest } else { AlignMethod::Floor };
        let align = Align::on("on").with(["with"]).method(method).tolerance(f64::from(tolerance));
        let aligned = exp.align(&align.range(f64::from(start)..=f64::from(end))).unwrap();
        let joined: Vec<_> = aligned
            .rows()
            .map(Result::unwrap)
            .map(|row| (row.ts.as_secs(), row.fields.get("with.b").cloned()))
            .collect();

        let expected: Vec<_> = on
            .range(start..=end)
            .map(|ts| {
                let may = |other: &&i32| nearest || *other <= ts;
                let found = with.iter().filter(may).min_by_key(|other| (ts.abs_diff(**other), **other));
                let found = found.filter(|other| ts.abs_diff(**other) <= tolerance as u32);
                (f64::from(*ts), found.map(|other| Value::F64(f64::from(*other))))
            })
            .collect();
        prop_assert_eq!(joined, expected);
    }
}
