//! The methods of joining, grids of times, and what becomes of a time without values.

use std::path::Path;

use mldash_bridge::fields;
use mldash_bridge::track::{
    Aggregate, Align, AlignError, AlignMethod, ColumnType, Experiment, Fields, Format, Join,
    Missing, RowSchema, TrackError, Value,
};

use super::{jsonl, open, record};
use crate::decode::encoder::encode;
use crate::made_bag::{MadeBag, Type, header, with_header};

/// The joined rows as times and fields.
pub(super) fn rows(exp: &Experiment, align: &Align) -> Vec<(f64, Fields)> {
    let rows = exp.align(align).unwrap();
    rows.rows().map(Result::unwrap).map(|row| (row.ts.as_secs(), row.fields)).collect()
}

/// The values of one column, with their times.
pub(super) fn column(exp: &Experiment, align: &Align, name: &str) -> Vec<(f64, Option<Value>)> {
    rows(exp, align).into_iter().map(|(ts, fields)| (ts, fields.get(name).cloned())).collect()
}

fn refused(exp: &Experiment, align: &Align) -> AlignError {
    match exp.align(align) {
        Err(TrackError::Align(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn experiment(root: &Path) -> Experiment {
    let exp = open(root);
    record(&exp, "camera", "frame", &[1.0, 2.0, 3.0]);
    exp
}

#[test]
fn linear_values_lie_between_the_rows_before_and_after_and_nothing_is_beyond_them() {
    let root = tempfile::tempdir().unwrap();
    let exp = experiment(root.path());
    let arm = exp.tracks("arm");
    arm.append(fields! { "n": 1, "q": [0.0, 10.0], "mode": "go", "ok": true }, 1.5).unwrap();
    arm.append(fields! { "n": 3, "q": [1.0, 30.0], "mode": "stop", "ok": false }, 2.5).unwrap();
    arm.append(fields! { "n": 7, "q": [1.0] }, 3.5).unwrap();
    let join = Join::track("arm").method(AlignMethod::Linear).age("age");
    let joined = rows(&exp, &Align::on("camera").join(join.clone()));
    let between = fields! {
        "frame": 2.0, "arm.timestamp": 1.5, "age": 0.5, "arm.n": 2.0, "arm.q": [0.5, 20.0],
        "arm.mode": "go", "arm.ok": true,
    };
    // A column that the row after lacks, and a list of another length, are those of the row before.
    let last = fields! {
        "frame": 3.0, "arm.timestamp": 2.5, "age": 0.5, "arm.n": 5.0, "arm.q": [1.0, 30.0],
        "arm.mode": "stop", "arm.ok": false,
    };
    assert_eq!(joined, [(1.0, fields! { "frame": 1.0 }), (2.0, between), (3.0, last)]);

    // At the very time of a row, that row is enough.
    let at = Align::at_rate(1.0).join(join.clone()).range(1.5..=3.5);
    let values = column(&exp, &at, "arm.n").into_iter().map(|(_, value)| value.unwrap());
    assert_eq!(values.collect::<Vec<_>>(), [1.0, 3.0, 7.0].map(Value::F64));

    // Both rows must be near.
    exp.tracks("far").append(fields! { "n": 0 }, 1.9).unwrap();
    exp.tracks("far").append(fields! { "n": 1 }, 2.3).unwrap();
    let far = |secs| Join::track("far").method(AlignMethod::Linear).tolerance(secs).age("age");
    let ages = column(&exp, &Align::on("camera").join(far(0.31)), "age");
    let Some(Value::F64(age)) = ages[1].1 else { panic!("{ages:?}") };
    assert!((age - 0.3).abs() < 1e-9, "{age}");
    assert_eq!(column(&exp, &Align::on("camera").join(far(0.2)), "age")[1].1, None);
}

#[test]
fn quaternions_turn_if_the_schema_or_the_caller_says_so() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.tracks("camera").append(fields! { "frame": 0 }, 0.5).unwrap();
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let list = || ColumnType::list(ColumnType::Float);
    let schema = RowSchema::new("/pose")
        .column("orientation", list())
        .column("gripper", list())
        .message("orientation", "geometry_msgs/msg/Quaternion");
    let pose = exp.tracks("pose").with_schema(schema);
    for (ts, turned) in [(0.0, [0.0, 0.0, 0.0, 1.0]), (1.0, [0.0, 0.0, half, half])] {
        pose.append(fields! { "orientation": turned, "gripper": turned }, ts).unwrap();
    }
    exp.flush().unwrap();
    let middle = |join: Join, name: &str| {
        let join = join.method(AlignMethod::Linear);
        let found = column(&exp, &Align::on("camera").join(join), name);
        let Some(Value::Array(mldash_bridge::track::Array::F64(found))) = &found[0].1 else {
            panic!("{found:?}")
        };
        found.clone()
    };
    let (sine, cosine) = (std::f64::consts::FRAC_PI_8).sin_cos();
    let is_turned = |found: &[f64]| {
        found.iter().zip([0.0, 0.0, sine, cosine]).all(|(a, b)| (a - b).abs() < 1e-12)
    };
    assert!(is_turned(&middle(Join::track("pose"), "pose.orientation")));
    assert_eq!(middle(Join::track("pose"), "pose.gripper")[2], half / 2.0);
    let named = Join::track("pose").quaternions(["gripper"]);
    assert!(is_turned(&middle(named, "pose.gripper")));
    let unknown = Join::track("pose").quaternions(["griper"]);
    let error = refused(&exp, &Align::on("camera").join(unknown));
    assert!(matches!(error, AlignError::NoColumn { .. }), "{error}");
}

#[test]
fn a_window_is_the_step_that_ends_at_the_time() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for (ts, x) in [(0.0, 1.0), (0.1, 2.0), (0.5, 6.0), (0.6, 3.0), (1.0, 4.0), (1.2, 9.0)] {
        exp.tracks("imu").append(fields! { "x": x }, ts).unwrap();
    }
    let of = |aggregate| {
        let join = Join::track("imu").method(AlignMethod::Window(aggregate)).age("age");
        let align = Align::at_rate(2.0).join(join).range(0.0..=2.0);
        column(&exp, &align, "imu.x").into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    let floats = |values: [Option<f64>; 5]| values.map(|value| value.map(Value::F64));
    assert_eq!(of(Aggregate::Mean), floats([Some(1.0), Some(4.0), Some(3.5), Some(9.0), None]));
    assert_eq!(of(Aggregate::Min), floats([Some(1.0), Some(2.0), Some(3.0), Some(9.0), None]));
    assert_eq!(of(Aggregate::Max), floats([Some(1.0), Some(6.0), Some(4.0), Some(9.0), None]));
    assert_eq!(of(Aggregate::Last), floats([Some(1.0), Some(6.0), Some(4.0), Some(9.0), None]));
    assert_eq!(of(Aggregate::Count), [1, 2, 2, 1, 0].map(|n| Some(Value::Int(n))));

    // The age and the time are those of the last row; one that is too old does not count.
    let join = Join::track("imu")
        .method(AlignMethod::Window(Aggregate::Mean))
        .tolerance(0.1)
        .rename("timestamp", "at")
        .age("age");
    let align = Align::at_rate(1.0).join(join).range(1.0..=2.0);
    assert_eq!(
        rows(&exp, &align),
        [(1.0, fields! { "at": 1.0, "age": 0.0, "imu.x": 4.0 }), (2.0, Fields::new())]
    );
}

#[test]
fn the_steps_of_a_track_go_from_row_to_row_and_the_first_from_the_start_of_the_range() {
    let root = tempfile::tempdir().unwrap();
    let exp = experiment(root.path());
    record(&exp, "imu", "x", &[0.5, 1.0, 1.5, 1.7, 2.5]);
    let count = |align: Align| {
        let align = align.method(AlignMethod::Window(Aggregate::Count)).with(["imu"]);
        let counts = column(&exp, &align, "imu.x").into_iter();
        counts.map(|(_, n)| n.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(count(Align::on("camera")), [2, 2, 1].map(Value::Int));
    assert_eq!(count(Align::on("camera").range(1.7..)), [1, 1].map(Value::Int));
}

#[test]
fn a_grid_goes_from_where_all_tracks_have_rows_to_the_last_row_of_any() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "a", "x", &[0.0, 0.3, 10.0]);
    record(&exp, "b", "x", &[0.25, 10.4]);
    let times = |align: Align| {
        let rows = rows(&exp, &align.with(["a", "b"]));
        rows.into_iter().map(|(ts, _)| ts).collect::<Vec<_>>()
    };
    let ticks = times(Align::at_rate(30.0));
    let expected: Vec<f64> = (0..=304).map(|i| 0.25 + f64::from(i) / 30.0).collect();
    assert_eq!(ticks, expected);
    assert_eq!(times(Align::at_rate(4.0).range(-0.25..0.5)), [-0.25, 0.0, 0.25]);

    assert_eq!(refused(&exp, &Align::at_rate(30.0)), AlignError::NothingToJoin);
    for hz in [0.0, -1.0, f64::NAN] {
        let error = refused(&exp, &Align::at_rate(hz).with(["a"]));
        assert!(matches!(error, AlignError::Rate(_)), "{error}");
    }
    exp.tracks("empty").append(fields! { "x": 1 }, 0.0).unwrap();
    exp.flush().unwrap();
    std::fs::write(exp.folder().join("tracks/empty/data.jsonl"), "").unwrap();
    let error = refused(&exp, &Align::at_rate(1.0).with(["a", "empty"]));
    assert_eq!(error, AlignError::NoRows { topic: "empty".into() });
    assert_eq!(times(Align::at_rate(1.0).range(0.0..=1.0).with(["empty"])), [0.0, 1.0]);
    assert_eq!(rows(&exp, &Align::at_rate(1.0).range(0.0..).with(["empty"])), []);
}

#[test]
fn what_a_time_without_values_costs_is_said_for_each_track() {
    let root = tempfile::tempdir().unwrap();
    let exp = experiment(root.path());
    record(&exp, "arm", "j", &[1.9]);
    let on = |missing| {
        let join = Join::track("arm").tolerance(0.2).missing(missing).age("age");
        Align::on("camera").join(join)
    };
    let ages = |missing| {
        let ages = column(&exp, &on(missing), "age").into_iter();
        ages.map(|(ts, age)| match age {
            Some(Value::F64(age)) => (ts, Some((age * 1e6).round() / 1e6)),
            other => (ts, other.map(|_| f64::NAN)),
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(ages(Missing::Null), [(1.0, None), (2.0, Some(0.1)), (3.0, None)]);
    assert_eq!(ages(Missing::Hold), [(1.0, None), (2.0, Some(0.1)), (3.0, Some(1.1))]);
    assert_eq!(ages(Missing::Drop), [(2.0, Some(0.1))]);
    for format in [Format::Jsonl, Format::Parquet] {
        let error = exp.align(&on(Missing::Error)).unwrap().export(format).unwrap_err();
        let expected = "track `arm` has nothing to join at 1 within 0.2 s";
        assert!(error.to_string().contains(expected), "{error}");
    }

    // A row that one track drops takes nothing of what another gathers for the next.
    record(&exp, "imu", "x", &[0.9, 1.1, 1.2, 2.1]);
    let counted = Join::track("imu").method(AlignMethod::Window(Aggregate::Count));
    let align = Align::on("camera")
        .join(counted)
        .join(Join::track("arm").tolerance(0.2).missing(Missing::Drop));
    assert_eq!(column(&exp, &align, "imu.x"), [(2.0, Some(Value::Int(2)))]);
    let mean = Join::track("imu").method(AlignMethod::Window(Aggregate::Mean));
    let drop = Join::track("arm").tolerance(1.15).missing(Missing::Drop);
    let align = Align::on("camera").join(mean).join(drop);
    assert_eq!(column(&exp, &align, "imu.x")[0].1, Some(Value::F64((1.1 + 1.2) / 2.0)));
}

#[test]
fn columns_are_chosen_and_renamed_for_each_track() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.tracks("camera").append(fields! { "frame": 7, "exposure": 3 }, 1.0).unwrap();
    exp.tracks("arm").append(fields! { "q": 0.5, "effort": 2, "mode": "go" }, 0.9).unwrap();
    let align = Align::on("camera")
        .columns(["frame"])
        .rename("frame", "image")
        .join(Join::track("arm").columns(["q", "timestamp"]).rename("q", "position"))
        .join(Join::track("arm").columns(["mode"]));
    let expected =
        [r#"{"timestamp":1.0,"image":7,"arm.timestamp":0.9,"position":0.5,"arm.mode":"go"}"#];
    assert_eq!(jsonl(&exp, &align), expected);

    let twice = Align::on("camera").with(["arm"]).join(Join::track("arm").columns(["q"]));
    assert_eq!(refused(&exp, &twice), AlignError::Twice("arm".into()));
    let taken = [
        Align::on("camera").join(Join::track("arm").rename("q", "frame")),
        Align::on("camera").join(Join::track("arm").rename("q", "timestamp")),
        Align::on("camera").join(Join::track("arm").rename("q", "x").age("x")),
        Align::on("camera").rename("frame", "exposure").with(["arm"]),
    ];
    for align in taken {
        let error = refused(&exp, &align);
        assert!(matches!(error, AlignError::ColumnTwice { .. }), "{error}");
    }
    for unknown in [
        Align::on("camera").join(Join::track("arm").columns(["p"])),
        Align::on("camera").join(Join::track("arm").rename("p", "x")),
        Align::on("camera").columns(["p"]),
    ] {
        let error = refused(&exp, &unknown);
        assert!(error.to_string().contains("has no column `p`; there are: "), "{error}");
    }
    let renamed = refused(&exp, &Align::on("camera").rename("timestamp", "t"));
    assert!(matches!(renamed, AlignError::NoColumn { .. }), "{renamed}");
}

/// An orientation within a message, as the definition has it.
const POSE: Type = (
    "made_msgs/msg/Pose",
    with_header!(
        "std_msgs/Header header\ngeometry_msgs/Quaternion orientation\nfloat64[4] joints\n\
         ===\nMSG: geometry_msgs/Quaternion\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w"
    ),
);

#[test]
fn a_recording_notes_which_lists_were_quaternions() {
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let mut bag = MadeBag::new();
    for (ts, turned) in [(0_u64, [0.0, 0.0, 0.0, 1.0]), (1, [0.0, 0.0, half, half])] {
        let nanos = (ts + 1) * 1_000_000_000;
        let pose = encode(|e| header(e, nanos as i64).f64s(&turned).f64s(&turned));
        bag.add("/pose", POSE, nanos, &pose);
    }
    let imported = bag.import("topics: [{topic: /pose, fields: {q: orientation, joints: joints}}]");
    assert_eq!(imported.done.code, 0, "{}", imported.done.stderr);
    let align = Align::at_rate(2.0).method(AlignMethod::Linear).with(["pose"]).range(1.5..=1.5);
    let found = rows(&imported.experiment(), &align).remove(0).1;
    let third = |name: &str| match found.get(name) {
        Some(Value::Array(mldash_bridge::track::Array::F64(list))) => list[2],
        other => panic!("{other:?}"),
    };
    assert!((third("pose.q") - std::f64::consts::FRAC_PI_8.sin()).abs() < 1e-12);
    assert_eq!(third("pose.joints"), half / 2.0);
}
