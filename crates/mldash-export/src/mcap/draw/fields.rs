//! The values of a row as Foxglove's messages have them.

use foxglove::messages::{Pose, Quaternion, Vector3};
use mldash_track::{Column, Fields, Value};

use crate::values::push_numbers;

/// The numbers of a list.
pub(super) fn numbers(value: &Value) -> Option<Vec<f64>> {
    if !matches!(value, Value::Array(_) | Value::List(_)) {
        return None;
    }
    let mut numbers = Vec::new();
    push_numbers(value, None, &mut numbers).ok()?;
    Some(numbers)
}

/// A number, which may be no list.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::F32(_) | Value::F64(_) => {
            let mut numbers = Vec::new();
            push_numbers(value, None, &mut numbers).ok()?;
            numbers.pop()
        }
        _ => None,
    }
}

/// A whole number that is not negative.
pub(super) fn whole(value: &Value) -> Option<u32> {
    match value {
        Value::Int(i) => u32::try_from(*i).ok(),
        Value::UInt(u) => u32::try_from(*u).ok(),
        _ => None,
    }
}

/// A text.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The text in a column, or none where there is no such column or value.
pub(super) fn text_in(row: &Fields, column: Option<&Column>) -> String {
    let value = column.and_then(|column| row.get(column));
    value.and_then(text).unwrap_or_default().to_owned()
}

/// The entry of a dict.
pub(super) fn entry<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Map(entries) => entries.iter().find(|(key, _)| **key == *name).map(|(_, v)| v),
        _ => None,
    }
}

/// A list of three numbers.
pub(super) fn vector(value: &Value) -> Option<Vector3> {
    let [x, y, z] = numbers(value)?.try_into().ok()?;
    Some(Vector3 { x, y, z })
}

/// A list of four numbers, as `geometry_msgs/msg/Quaternion` has them.
pub(super) fn quaternion(value: &Value) -> Option<Quaternion> {
    let [x, y, z, w] = numbers(value)?.try_into().ok()?;
    Some(Quaternion { x, y, z, w })
}

/// A `geometry_msgs/msg/Pose` in a list.
pub(super) fn pose(value: &Value) -> Option<Pose> {
    Some(Pose {
        position: Some(vector(entry(value, "position")?)?),
        orientation: Some(quaternion(entry(value, "orientation")?)?),
    })
}

/// No translation and no rotation.
pub(super) fn identity() -> Pose {
    Pose {
        position: Some(Vector3 { x: 0.0, y: 0.0, z: 0.0 }),
        orientation: Some(Quaternion { x: 0.0, y: 0.0, z: 0.0, w: 1.0 }),
    }
}
