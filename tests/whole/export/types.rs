//! Every type that has a schema for drawing, and what such a schema can't say.

use mldash_bridge::fields;
use mldash_bridge::track::{ColumnType, Experiment, Fields, RowSchema, Value};

use super::{AT, RUN, exported, hold_against_rows, messages};
use crate::dataset::record;

/// A run of types that the bag lacks, as their topics declare them.
fn record_other_types(exp: &Experiment) {
    let append = |track: &str, ty: &str, row: Fields| {
        let schema = RowSchema::new(format!("/{track}")).type_name(ty);
        // Columns are known by their names; the types of their values are found.
        let with = |schema: RowSchema, name: &str| schema.column(name, ColumnType::Null);
        let schema = row.iter().fold(schema, |schema, (name, _)| with(schema, name));
        exp.tracks(track).with_schema(schema).append(row, AT).unwrap();
    };
    let entries = |entries: Vec<(&str, Value)>| -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    };
    let pose = |x: f64| {
        let orientation = Value::from([0.0, 0.0, 0.6, 0.8]);
        entries(vec![("position", Value::from([x, 0.5, -1.0])), ("orientation", orientation)])
    };
    append(
        "odom",
        "nav_msgs/msg/Odometry",
        fields! {
            "frame_id": "odom", "child_frame_id": "base", "pose.pose.position": [1.5, -2.5, 0.0],
            "pose.pose.orientation": [0.0, 0.0, 0.6, 0.8], "pose.covariance": vec![0.1; 36],
            "twist.twist.linear": [0.3, 0.0, 0.0], "stamp_ns": 1_700_000_000_123_456_789_i64,
        },
    );
    let poses = vec![pose(1.0), pose(2.0)];
    append("array", "geometry_msgs/msg/PoseArray", fields! { "frame_id": "map", "poses": poses });
    let stamp = || entries(vec![("sec", Value::Int(7)), ("nanosec", Value::Int(5))]);
    let header = || entries(vec![("stamp", stamp()), ("frame_id", Value::from("map"))]);
    let stamped = vec![entries(vec![("header", header()), ("pose", pose(3.0))])];
    append("path", "nav_msgs/msg/Path", fields! { "frame_id": "map", "poses": stamped });
    append(
        "no_path",
        "nav_msgs/msg/Path",
        fields! { "frame_id": "map", "poses": Vec::<Value>::new() },
    );
    append(
        "fix",
        "sensor_msgs/msg/NavSatFix",
        fields! {
            "frame_id": "gps", "status.status": 0, "latitude": 36.7, "longitude": -4.4, "altitude": f64::NAN,
            "position_covariance": vec![2.5; 9], "position_covariance_type": 2,
        },
    );
    append(
        "rosout",
        "rcl_interfaces/msg/Log",
        fields! { "level": 40, "name": "arm", "msg": "too hot", "file": "arm.cpp", "function": "f", "line": 7 },
    );
    // A level that the schema lacks.
    append("odd_log", "rcl_interfaces/msg/Log", fields! { "level": 45, "msg": "odd" });
    let map = fields! {
        "frame_id": "map", "info.resolution": 0.05, "info.width": 3, "info.height": 2,
        "info.origin.position": [-1.0, -2.0, 0.0], "info.origin.orientation": [0.0, 0.0, 0.0, 1.0],
        "data": vec![0_i64, 100, -1, 50, -128, 127],
    };
    append("map", "nav_msgs/msg/OccupancyGrid", map.clone());
    let mut odd = map;
    odd.insert("info.width", 4);
    append("odd_map", "nav_msgs/msg/OccupancyGrid", odd);
    append(
        "scan",
        "sensor_msgs/msg/LaserScan",
        fields! {
            "frame_id": "laser", "angle_min": -1.0, "angle_max": 1.0, "angle_increment": 0.5,
            "ranges": [f32::INFINITY, f32::NAN, f32::NEG_INFINITY, 0.1, 4.0], "intensities": Vec::<f64>::new(),
        },
    );
    append("other", "arm_msgs/msg/Arm", fields! { "q": [0.1, f64::NAN], "mode": "hold", "a.b": 1 });
}

#[test]
fn types_for_drawing_hold_every_value_and_what_they_can_not_say_is_json() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), RUN);
    record_other_types(&exp);
    // From the SDK, without a schema.
    exp.tracks("sdk")
        .append(fields! { "position": [0.0, 1.0, 2.0], "orientation": [0; 4] }, AT)
        .unwrap();
    exp.close().unwrap();

    let file = exported(root.path(), &[]);

    let found = hold_against_rows(root.path(), &file, &[]);
    assert_eq!(
        found["schemas"].to_string(),
        r#"{"JSON":11,"foxglove.Grid":1,"foxglove.LaserScan":1,"foxglove.LocationFix":1,"foxglove.Log":1,"foxglove.PoseInFrame":1,"foxglove.PosesInFrame":3}"#
    );
    let json = |topic: &str| {
        let all = messages(&file);
        let found = all.into_iter().find(|(known, _, _, text)| known == topic && !text.is_empty());
        found.map(|(.., text)| text).unwrap_or_default()
    };
    assert!(json("/odom/columns").contains(r#""child_frame_id":"base","pose.covariance":"#));
    assert!(json("/odd_log/columns").contains(r#""level":45"#), "{}", json("/odd_log/columns"));
    assert!(json("/other").contains(r#""q":[0.1,null]"#));
}
