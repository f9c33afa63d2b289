//! Real messages, as rmw_fastrtps wrote them.

use mldash_bridge::fields;
use mldash_bridge::message::{ByteArrays, Element, Layout};
use mldash_bridge::track::{Fields, Timestamp, Value};

use super::captured::{self, Captured};
use super::{byte_arrays, columns, decode, each, everything, message, names, only};

const STAMP_SECS: f64 = 12.345;

fn rows(captured: &Captured, layout: &Layout) -> Vec<Element> {
    decode(&message(captured.ty, captured.definition), layout, &captured.bytes())
}

fn row(captured: &Captured, layout: &Layout) -> Element {
    let mut rows = rows(captured, layout);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn map(fields: Fields) -> Value {
    Value::Map(fields.into_iter().collect())
}

#[test]
fn a_pose() {
    let row = row(&captured::POSE, &everything());
    assert_eq!(row.stamp, Some(Timestamp::new(STAMP_SECS).unwrap()));
    let expected = fields! {
        "frame_id": "map",
        "pose.position": [1.0, -2.0, 0.5],
        "pose.orientation": [0.0, 0.0, 0.6, 0.8]
    };
    assert_eq!(row.fields, expected);
}

#[test]
fn joint_states() {
    let expected = fields! {
        "frame_id": "b",
        "name": Value::from(vec!["hip", "knee_l"]),
        "position": [0.1, -0.2],
        "velocity": Vec::<f64>::new(),
        "effort": [3.0]
    };
    assert_eq!(row(&captured::JOINTS, &everything()).fields, expected);
}

#[test]
fn camera_info() {
    let row = row(&captured::CAMERA, &everything());
    let k: Vec<f64> = (0..9).map(f64::from).collect();
    let expected = fields! {
        "frame_id": "cam",
        "height": 480,
        "width": 640,
        "distortion_model": "plumb_bob",
        "d": [0.1, 0.2],
        "k": k,
        "r": vec![0.0; 9],
        "p": vec![0.0; 12],
        "binning_x": 0,
        "binning_y": 0,
        "roi.x_offset": 1,
        "roi.y_offset": 0,
        "roi.height": 0,
        "roi.width": 0,
        "roi.do_rectify": true
    };
    assert_eq!(row.fields, expected);
}

#[test]
fn transforms_one_by_one() {
    let layout = names(&["child_frame_id"], each("transforms", everything()));
    let rows = rows(&captured::TF, &layout);
    let expected = fields! {
        "frame_id": "odom",
        "child_frame_id": "base",
        "transform.translation": [1.0, 2.0, 3.0],
        "transform.rotation": [0.0, 0.0, 0.0, 1.0]
    };
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].fields, expected);
    assert_eq!(rows[0].stamp, Some(Timestamp::new(STAMP_SECS).unwrap()));
    assert_eq!(rows[1].names, [Some("lidar".to_owned())]);
}

#[test]
fn transforms_as_one_row() {
    let row = row(&captured::TF, &everything());
    assert_eq!(columns(&row), ["transforms"]);
    assert_eq!(row.stamp, None);
    let Some(Value::List(transforms)) = row.fields.get("transforms") else { panic!("{row:?}") };
    let stamp = map(fields! { "sec": 12, "nanosec": 345_000_000 });
    let header = Value::Map(vec![("stamp".into(), stamp), ("frame_id".into(), "a".into())]);
    let transform = map(fields! {
        "translation": [0.0, 0.0, 0.0],
        "rotation": [0.0, 0.0, 0.0, 1.0]
    });
    let lidar = Value::Map(vec![
        ("header".into(), header),
        ("child_frame_id".into(), "lidar".into()),
        ("transform".into(), transform),
    ]);
    assert_eq!(transforms[1], lidar);
}

#[test]
fn a_scan_with_its_infinities() {
    let row = row(&captured::SCAN, &everything());
    assert_eq!(row.fields.get("ranges"), Some(&[1.0f32, f32::INFINITY, 2.5].into()));
    assert_eq!(row.fields.get("intensities"), Some(&Vec::<f32>::new().into()));
    assert_eq!(row.fields.get("range_max"), Some(&Value::F32(5.5)));
}

#[test]
fn a_cloud_with_and_without_its_bytes() {
    let kept = row(&captured::CLOUD, &everything());
    assert_eq!(kept.fields.get("data"), Some(&[1u8, 2, 3, 4, 5, 6, 7, 8].into()));
    let point = map(fields! { "name": "x", "offset": 0, "datatype": 7, "count": 1 });
    assert_eq!(kept.fields.get("fields"), Some(&Value::List(vec![point])));
    assert_eq!(kept.left_out, []);

    let small = byte_arrays(ByteArrays::KeepUpTo { max_bytes: 7 }, everything());
    let left_out = row(&captured::CLOUD, &small);
    let [data] = &left_out.left_out[..] else { panic!("{left_out:?}") };
    assert_eq!(&*data.column.as_ref().unwrap().path, "data");
    assert_eq!(&*data.bytes(&captured::CLOUD.bytes()), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(left_out.fields.get("data"), None);
    assert_eq!(left_out.fields.get("is_dense"), Some(&Value::Bool(true)));

    let enough = byte_arrays(ByteArrays::KeepUpTo { max_bytes: 8 }, everything());
    assert_eq!(row(&captured::CLOUD, &enough), kept);
}

#[test]
fn diagnostics() {
    let row = row(&captured::DIAG, &everything());
    let values = Value::List(vec![map(fields! { "key": "t", "value": "90" })]);
    let status = Value::Map(vec![
        ("level".into(), 2.into()),
        ("name".into(), "motor".into()),
        ("message".into(), "hot".into()),
        ("hardware_id".into(), "".into()),
        ("values".into(), values),
    ]);
    assert_eq!(row.fields.get("status"), Some(&Value::List(vec![status])));
}

#[test]
fn a_parameter_of_arrays_of_every_size() {
    let expected = fields! {
        "name": "gain",
        "value.type": 3,
        "value.bool_value": false,
        "value.integer_value": 0,
        "value.double_value": 0.25,
        "value.string_value": "",
        "value.byte_array_value": [1u8],
        "value.bool_array_value": [true, false],
        "value.integer_array_value": [-1i64],
        "value.double_array_value": Vec::<f64>::new(),
        "value.string_array_value": Value::from(vec!["a", "bc"])
    };
    assert_eq!(row(&captured::PARAM, &everything()).fields, expected);
}

#[test]
fn a_joystick() {
    let expected = fields! { "frame_id": "j", "axes": [0.5f32, -1.0], "buttons": [1i32, 0, 1] };
    assert_eq!(row(&captured::JOY, &everything()).fields, expected);
}

#[test]
fn an_empty_message_has_a_byte_and_no_column() {
    assert!(row(&captured::EMPTY, &everything()).fields.is_empty());
}

#[test]
fn a_trajectory() {
    let layout = only(&["points.positions", "points[0].time_from_start", "joint_names[-1]"]);
    let expected = fields! {
        "points.positions": Value::List(vec![[1.0].into()]),
        "points[0].time_from_start.sec": -1,
        "points[0].time_from_start.nanosec": 5,
        "joint_names[-1]": "a"
    };
    assert_eq!(row(&captured::TRAJ, &layout).fields, expected);
}

#[test]
fn wide_strings_and_bounded_ones() {
    let expected = fields! {
        "a": 1,
        "w": "hé😀",
        "b": 2,
        "v": "ab",
        "many": Value::from(vec!["x", "", "yz"]),
        "two": Value::from(vec!["q", "r"]),
        "s": Value::from(vec!["a", "bc"]),
        "end": 1.5
    };
    let row = row(&captured::WIDE, &everything());
    assert_eq!(row.fields, expected);
    assert!(!row.repaired_text);
}

#[test]
fn hidden_bytes_and_empty_arrays_between_doubles() {
    let nothing = Value::Map(vec![]);
    let bounded = |a: i64, s: &str, n: Vec<u16>| {
        Value::Map(vec![("a".into(), a.into()), ("s".into(), s.into()), ("n".into(), n.into())])
    };
    let expected: Fields = [
        ("a", 1.into()),
        ("none", Value::List(vec![nothing.clone(), nothing.clone()])),
        ("three", Value::List(vec![nothing.clone(), nothing.clone(), nothing])),
        ("x", 2.0.into()),
        ("b", 3.into()),
        ("empty", Vec::<f64>::new().into()),
        ("c", 4.into()),
        ("bs", Value::List(vec![bounded(1, "x", vec![5]), bounded(2, "yyyyy", vec![])])),
        ("by", 7.into()),
        ("ch", 9.into()),
        ("flags", [true, false, true].into()),
        ("fixed", [-1i64, 2].into()),
    ]
    .into_iter()
    .collect();
    assert_eq!(row(&captured::NEST, &everything()).fields, expected);
}
