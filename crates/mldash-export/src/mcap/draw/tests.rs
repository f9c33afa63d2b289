use mldash_track::{ColumnType, RowSchema};

use super::*;

const QUATERNION: &str = "geometry_msgs/msg/Quaternion";
const POINT: &str = "geometry_msgs/msg/Point";
const VECTOR: &str = "geometry_msgs/msg/Vector3";

/// What the rows of a type with these columns are drawn as: the columns that each drawing holds.
fn held(ty: &str, columns: &[&str], messages: &[(&str, &str)]) -> Vec<Vec<String>> {
    held_of(&[schema(ty, columns, messages)])
}

fn schema(ty: &str, columns: &[&str], messages: &[(&str, &str)]) -> RowSchema {
    let schema = RowSchema::new("/topic").type_name(ty);
    let schema = columns.iter().fold(schema, |s, name| s.column(*name, ColumnType::Float));
    messages.iter().fold(schema, |s, (name, ty)| s.message(*name, *ty))
}

fn held_of(sources: &[RowSchema]) -> Vec<Vec<String>> {
    let drawings = of(&Declared::of(sources));
    let names = |drawing: &dyn Drawing| drawing.holds().iter().map(ToString::to_string).collect();
    drawings.iter().map(|drawing| names(&**drawing)).collect()
}

#[test]
fn a_pose_is_known_whatever_its_columns_are_renamed_to() {
    let stamped = "geometry_msgs/msg/PoseStamped";
    let renamed = [("q", QUATERNION), ("e", POINT)];
    assert_eq!(held(stamped, &["q", "e"], &renamed), [["e", "q"]]);
    // Recorded before messages of columns were noted.
    let plain = ["frame_id", "pose.position", "pose.orientation"];
    assert_eq!(held(stamped, &plain, &[]), [["pose.position", "pose.orientation", "frame_id"]]);
    // Twists have vectors, too.
    let odometry = ["pose.pose.position", "pose.pose.orientation", "twist.twist.linear"];
    let vectors = [(odometry[0], POINT), (odometry[1], QUATERNION), (odometry[2], VECTOR)];
    assert_eq!(held("nav_msgs/msg/Odometry", &odometry, &vectors), [[odometry[0], odometry[1]]]);
    // Which of two is the position can't be told.
    let two = [("p", POINT), ("v", VECTOR), ("q", QUATERNION)];
    assert!(held("nav_msgs/msg/Odometry", &["p", "v", "q"], &two).is_empty());
    assert!(held(stamped, &["q"], &renamed[..1]).is_empty());
}

#[test]
fn a_transform_is_one_only_with_both_its_frames() {
    let vectors = [("transform.translation", VECTOR), ("transform.rotation", QUATERNION)];
    let all = ["frame_id", "child_frame_id", "transform.translation", "transform.rotation"];
    let tf = "tf2_msgs/msg/TFMessage";
    let expected = ["transform.translation", "transform.rotation", "frame_id", "child_frame_id"];
    assert_eq!(held(tf, &all, &vectors), [expected]);
    assert_eq!(held("geometry_msgs/msg/TransformStamped", &all, &vectors), [expected]);
    assert!(held(tf, &all[1..], &vectors).is_empty());
    assert_eq!(held(tf, &["transforms"], &[]), [["transforms"]]);
}

#[test]
fn a_track_is_drawn_by_its_type_and_not_by_its_columns_alone() {
    let scan = ["angle_min", "angle_increment", "ranges"];
    assert_eq!(held("sensor_msgs/msg/LaserScan", &scan, &[]), [["angle_min", "ranges"]]);
    assert!(held("arm_msgs/msg/LaserScan", &scan, &[]).is_empty());
    let types = ["sensor_msgs/msg/LaserScan", "arm_msgs/msg/Scan"];
    assert!(held_of(&types.map(|ty| schema(ty, &scan, &[]))).is_empty(), "two types in one track");
    // Another version of the type.
    let versions = [schema(types[0], &scan, &[]), schema(types[0], &["ranges", "x"], &[])];
    assert_eq!(held_of(&versions).len(), 1);
    assert!(held_of(&[]).is_empty());
}

#[test]
fn every_picture_and_cloud_of_a_message_is_drawn_on_a_topic_of_its_own() {
    let file = |prefix: &str, more: &[&str]| -> Vec<String> {
        let names = ["path", "frame", "index", "encoding", "bytes"].iter().chain(more);
        names.map(|name| format!("{prefix}{name}")).collect()
    };
    let mut columns = file("left.image.", &["frame_id"]);
    columns.extend(file("cloud.", &["points"]));
    // Bytes of another kind have no encoding.
    columns.extend(file("blob.", &[]).into_iter().filter(|name| !name.ends_with("encoding")));
    // No file at all.
    columns.push("search.path".to_owned());
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let declared = Declared::of(&[schema("arm_msgs/msg/View", &columns, &[])]);
    let drawings = of(&declared);
    let drawn = |drawing: &dyn Drawing| {
        (drawing.below().to_owned(), drawing.file().map(ToString::to_string).unwrap_or_default())
    };
    let found: Vec<(String, String)> = drawings.iter().map(|drawing| drawn(&**drawing)).collect();
    let expected = [("left/image", "left.image.path"), ("cloud", "cloud.path")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(found, expected);
    assert!(declared.names_file("blob.path") && !declared.names_file("search.path"));
}
