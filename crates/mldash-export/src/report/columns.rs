//! Which columns of a track are shown, and how, by a few of its rows and what was declared. Pure.

use mldash_track::{Row, RowSchema, Value};

use crate::values::{describe, length};

/// A longer list is no handful of curves.
pub(crate) const MAX_WIDTH: usize = 16;
/// Curves of one track.
pub(crate) const MAX_SERIES: usize = 40;
/// Columns of text of one track.
pub(crate) const MAX_TEXTS: usize = 8;
/// Columns that were left out and are named.
pub(crate) const MAX_NAMED: usize = 12;
/// Types that are a place in space. A vector is one only if it is called so: others are velocities or forces.
const PLACES: [&str; 2] = ["geometry_msgs/msg/Point", "geometry_msgs/msg/Point32"];

/// What is shown of a track.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// Columns that are decoded in every row, with what they are.
    pub(crate) columns: Vec<(String, Role)>,
    /// The column whose x and y are a path in the plane.
    pub(crate) path: Option<String>,
    /// Names of the elements of lists, such as joints.
    pub(crate) labels: Vec<String>,
    /// Columns whose elements are x, y, z and, of a rotation, w.
    pub(crate) axes: Vec<String>,
    /// Rows are laser scans.
    pub(crate) has_scans: bool,
    /// Rows name pictures, in this column.
    pub(crate) pictures: Option<String>,
    /// Rows are transforms between frames.
    pub(crate) is_tf: bool,
    /// What is not shown, and why.
    pub(crate) left_out: Vec<String>,
}

/// What a column is to the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// So many numbers.
    Numbers(usize),
    Text,
    /// The name of a frame: a text, and a part of the tree of frames.
    Frame,
    /// When the message was received.
    Received,
    /// None of the rows that were looked at has it.
    Unknown,
}

/// What to show of a track with these columns; `samples` are some of its rows.
pub(crate) fn choose(columns: &[String], samples: &[Row], schemas: &[RowSchema]) -> Shown {
    let mut shown = Shown::default();
    let has = |name: &str| columns.iter().any(|known| known == name);
    shown.has_scans = has("ranges") && has("angle_min") && has("angle_increment");
    shown.pictures = picture_column(columns);
    shown.is_tf = has("child_frame_id") && columns.iter().any(|name| name.starts_with("transform"));
    shown.labels = labels(samples);
    let mut left_out = Vec::new();
    let (mut series, mut texts) = (0, 0);
    for name in columns {
        let values = || samples.iter().filter_map(|row| row.fields.get(name));
        if is_part_of_view(&shown, name) || (name == "name" && !shown.labels.is_empty()) {
            continue;
        }
        let role = match role(name, values()) {
            Ok(role) => role,
            Err(what) => {
                left_out.push(format!("{name} ({what})"));
                continue;
            }
        };
        let has_room = match role {
            Role::Numbers(width) => {
                series += width;
                series <= MAX_SERIES
            }
            Role::Text | Role::Frame => {
                texts += 1;
                texts <= MAX_TEXTS || role == Role::Frame
            }
            Role::Received | Role::Unknown => true,
        };
        if has_room {
            shown.columns.push((name.clone(), role));
        } else {
            left_out.push(format!("{name} (one too many)"));
        }
    }
    shown.path = path_column(&shown, has_names(samples), schemas);
    shown.axes = axes(&shown, schemas);
    let more = left_out.len().saturating_sub(MAX_NAMED);
    left_out.truncate(MAX_NAMED);
    if more > 0 {
        left_out.push(format!("{more} more columns"));
    }
    shown.left_out = left_out;
    shown
}

/// The column that names a row's picture.
fn picture_column(columns: &[String]) -> Option<String> {
    let prefix = columns.iter().find_map(|name| name.strip_suffix("path"))?;
    let has = |name: &str| columns.iter().any(|known| *known == format!("{prefix}{name}"));
    let is_picture = has("width") && has("height") && !has("points");
    is_picture.then(|| format!("{prefix}path"))
}

/// Returns true for what is seen in another way, or tells a person nothing.
fn is_part_of_view(shown: &Shown, name: &str) -> bool {
    const SCAN: [&str; 2] = ["ranges", "intensities"];
    // What the recorder notes of a file.
    const FILE: [&str; 4] = ["path", "frame", "index", "bytes"];
    let is_file =
        shown.pictures.as_ref().and_then(|path| path.strip_suffix("path")).is_some_and(|prefix| {
            name.strip_prefix(prefix).is_some_and(|name| FILE.contains(&name))
        });
    is_file || name == "stamp_ns" || (shown.has_scans && SCAN.contains(&name))
}

/// What a column is by some of its values, or why it is not shown.
fn role<'a>(name: &str, values: impl Iterator<Item = &'a Value>) -> Result<Role, String> {
    if name == "receive_ts" {
        return Ok(Role::Received);
    }
    let mut found = Role::Unknown;
    for value in values {
        let of_value = match value {
            Value::Null => continue,
            Value::Text(_) if is_frame(name) => Role::Frame,
            Value::Text(_) => Role::Text,
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::F32(_) | Value::F64(_) => {
                Role::Numbers(1)
            }
            Value::Array(_) | Value::List(_) => match length(value) {
                Some(0) => continue,
                Some(width) if width > MAX_WIDTH => return Err(describe(value)),
                Some(width) if is_numbers(value) => Role::Numbers(width),
                _ => return Err(describe(value)),
            },
            Value::Bytes(_) | Value::Map(_) => return Err(describe(value)),
        };
        found = match (found, of_value) {
            (Role::Numbers(before), Role::Numbers(now)) => Role::Numbers(before.max(now)),
            (_, now) => now,
        };
    }
    Ok(found)
}

fn is_frame(name: &str) -> bool {
    ["frame_id", "child_frame_id"].contains(&name.rsplit('.').next().unwrap_or(name))
}

fn is_numbers(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::List(items) => items.iter().all(|item| {
            matches!(item, Value::Int(_) | Value::UInt(_) | Value::F32(_) | Value::F64(_))
        }),
        _ => false,
    }
}

/// The lists of names, as of joints.
fn names(samples: &[Row]) -> impl Iterator<Item = &Vec<Value>> {
    samples.iter().filter_map(|row| match row.fields.get("name") {
        Some(Value::List(items)) => Some(items),
        _ => None,
    })
}

fn has_names(samples: &[Row]) -> bool {
    names(samples).next().is_some()
}

/// The names of joints, if every row has the same.
fn labels(samples: &[Row]) -> Vec<String> {
    let Some(first) = names(samples).next() else { return Vec::new() };
    if names(samples).any(|names| names != first) {
        return Vec::new();
    }
    let names = first;
    let texts: Option<Vec<String>> = (names.iter())
        .map(|name| match name {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
        .collect();
    texts.unwrap_or_default()
}

/// The column that says where something is: as declared, else by its name.
fn path_column(shown: &Shown, has_names: bool, schemas: &[RowSchema]) -> Option<String> {
    let lists = || {
        let columns = shown.columns.iter();
        columns.filter(|(_, role)| matches!(role, Role::Numbers(2 | 3))).map(|(name, _)| name)
    };
    let is_place = |name: &String| {
        let mut messages = schemas.iter().flat_map(RowSchema::messages);
        messages.any(|(column, ty)| **column == **name && PLACES.contains(&ty.as_str()))
    };
    // Of joints, `position` is no place.
    let is_named = |name: &String| {
        let own = name.rsplit('.').next().unwrap_or(name);
        !has_names && ["position", "translation"].contains(&own)
    };
    lists().find(|name| is_place(name)).or_else(|| lists().find(|name| is_named(name))).cloned()
}

/// The columns that are vectors, points and rotations: as declared, else the path and what has four elements and is called so.
fn axes(shown: &Shown, schemas: &[RowSchema]) -> Vec<String> {
    const AXES: [&str; 4] = ["Point", "Point32", "Vector3", "Quaternion"];
    let is_axes = |name: &str, width: usize| {
        let mut messages = schemas.iter().flat_map(RowSchema::messages);
        let is_declared = messages.any(|(column, ty)| {
            **column == *name && ty.rsplit('/').next().is_some_and(|ty| AXES.contains(&ty))
        });
        let own = name.rsplit('.').next().unwrap_or(name);
        is_declared
            || shown.path.as_deref() == Some(name)
            || (width == 4 && ["orientation", "rotation"].contains(&own))
    };
    let lists = shown.columns.iter().filter_map(|(name, role)| match role {
        Role::Numbers(width @ 2..=4) if is_axes(name, *width) => Some(name.clone()),
        _ => None,
    });
    lists.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mldash_track::{Fields, Timestamp, fields};

    use super::*;

    fn shown(rows: &[Fields]) -> Shown {
        let rows: Vec<Row> = (rows.iter().zip(1_u32..))
            .map(|(fields, i)| Row::new(Timestamp::new(f64::from(i)).unwrap(), fields.clone()))
            .collect();
        let columns: BTreeSet<String> =
            rows.iter().flat_map(|row| row.fields.iter()).map(|(n, _)| n.to_string()).collect();
        choose(&columns.into_iter().collect::<Vec<_>>(), &rows, &[])
    }

    #[test]
    fn numbers_and_short_lists_are_curves_and_long_lists_are_left_out_by_name() {
        let row = fields! {
            "v": 1.5, "on": true, "pose.position": [0.0, 1.0, 2.0], "covariance": [0.0; 36], "mode": "hold",
            "frame_id": "odom", "receive_ts": 1.0
        };
        let shown = shown(&[row]);
        let role = |name: &str| shown.columns.iter().find(|(n, _)| n == name).map(|(_, r)| *r);
        assert_eq!(role("v"), Some(Role::Numbers(1)));
        assert_eq!(role("on"), Some(Role::Numbers(1)));
        assert_eq!(role("pose.position"), Some(Role::Numbers(3)));
        assert_eq!(role("mode"), Some(Role::Text));
        assert_eq!(role("frame_id"), Some(Role::Frame));
        assert_eq!(role("receive_ts"), Some(Role::Received));
        assert_eq!(shown.left_out, ["covariance (a list of 36)"]);
        assert_eq!(shown.path.as_deref(), Some("pose.position"));
    }

    #[test]
    fn joints_have_their_names_as_long_as_all_rows_agree_and_are_no_path() {
        let joints = |names: [&str; 3]| {
            fields! { "name": Value::from(names.to_vec()), "position": [0.1, 0.2, 0.3] }
        };
        let alike = shown(&[joints(["a", "b", "c"]), joints(["a", "b", "c"])]);
        assert_eq!((alike.labels.len(), alike.path), (3, None));
        let mixed = shown(&[joints(["a", "b", "c"]), joints(["c", "a", "b"])]);
        assert!(mixed.labels.is_empty());
    }

    #[test]
    fn scans_pictures_and_transforms_are_known_by_their_columns() {
        let scan = fields! { "ranges": [1.0; 361], "angle_min": 0.0, "angle_increment": 0.1 };
        let scan = shown(&[scan]);
        assert!(scan.has_scans && scan.left_out.is_empty());
        let picture = fields! { "path": "a/0.jpg", "frame": "0.jpg", "width": 4, "height": 4 };
        let picture = shown(&[picture]);
        assert_eq!(picture.pictures.as_deref(), Some("path"));
        assert!(picture.columns.iter().all(|(name, _)| name != "path"));
        let tf = fields! { "frame_id": "map", "child_frame_id": "odom", "transform.translation": [0.0; 3] };
        let tf = shown(&[tf]);
        assert!(tf.is_tf);
        assert_eq!(tf.path.as_deref(), Some("transform.translation"));
    }

    #[test]
    fn a_declared_point_is_a_path_whatever_it_is_called() {
        let row = Row::new(Timestamp::new(1.0).unwrap(), fields! { "e": [0.0; 3], "v": [0.0; 3] });
        let schema = RowSchema::new("/pose")
            .message("e", "geometry_msgs/msg/Point")
            .message("v", "geometry_msgs/msg/Vector3");
        let columns = ["e".to_owned(), "v".to_owned()];
        let shown = choose(&columns, std::slice::from_ref(&row), &[schema]);
        assert_eq!(shown.path.as_deref(), Some("e"));
        assert_eq!(shown.axes, ["e", "v"]);
        assert_eq!(choose(&columns, &[row], &[]).path, None);
    }

    #[test]
    fn very_many_columns_are_bounded_and_what_is_left_out_is_said() {
        let mut row = Fields::new();
        for i in 0..100 {
            row.insert(format!("c{i:03}"), f64::from(i));
        }
        let shown = shown(&[row]);
        assert_eq!(shown.columns.len(), MAX_SERIES);
        assert_eq!(shown.left_out.last().map(String::as_str), Some("48 more columns"));
    }
}
