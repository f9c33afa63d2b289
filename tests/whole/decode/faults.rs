//! Layouts that don't fit their type: every fault, where it is, and what to do.

use mldash_bridge::message::{Decoder, Layout, LayoutFault, LayoutPart};

use super::{captured, each, everything, message, names, only, stamp};

fn faults(captured: &captured::Captured, layout: &Layout) -> Vec<LayoutFault> {
    Decoder::compile(&message(captured.ty, captured.definition), layout).unwrap_err()
}

/// The fault's part, its text and its hint.
fn told(fault: &LayoutFault) -> (LayoutPart, String, String) {
    (fault.part, fault.to_string(), fault.hint().unwrap_or_default())
}

fn only_fault(captured: &captured::Captured, layout: &Layout) -> (LayoutPart, String, String) {
    let faults = faults(captured, layout);
    assert_eq!(faults.len(), 1, "{faults:?}");
    told(&faults[0])
}

#[test]
fn all_faults_are_told_at_once() {
    let layout = stamp("pose", names(&["hedaer.frame_id"], only(&["q=pose.orientatoin", "pose"])));
    let parts: Vec<LayoutPart> =
        faults(&captured::POSE, &layout).iter().map(|fault| fault.part).collect();
    assert_eq!(parts, [LayoutPart::Stamp, LayoutPart::Name(0), LayoutPart::Field(0)]);
}

#[test]
fn a_missing_field_comes_with_the_nearest_name_or_all_of_them() {
    let (part, text, hint) = only_fault(&captured::POSE, &only(&["q=pose.orientatoin"]));
    assert_eq!(part, LayoutPart::Field(0));
    let expected = "`pose.orientatoin`: geometry_msgs/msg/Pose has no field `orientatoin`";
    assert_eq!((&*text, &*hint), (expected, "did you mean `orientation`?"));

    let (_, _, hint) = only_fault(&captured::POSE, &only(&["zzz"]));
    assert_eq!(hint, "it has header, pose");
}

#[test]
fn a_path_can_t_go_below_a_number_or_slice_one() {
    let (_, text, _) = only_fault(&captured::POSE, &only(&["pose.position.x.y"]));
    assert!(text.ends_with("`x` is a float64 and has no fields"), "{text}");
    let (_, text, _) = only_fault(&captured::POSE, &only(&["pose.position[0]"]));
    assert!(text.ends_with("`position` is a geometry_msgs/msg/Point, not an array"), "{text}");
}

#[test]
fn a_stamp_is_one_time() {
    let (part, text, hint) = only_fault(&captured::POSE, &stamp("header", everything()));
    assert_eq!(part, LayoutPart::Stamp);
    assert_eq!(text, "`header`: a std_msgs/msg/Header is not a time");
    assert_eq!(hint, "did you mean `header.stamp`?");

    let (_, _, hint) = only_fault(&captured::TF, &stamp("transforms", everything()));
    assert_eq!(hint, "did you mean `transforms.header.stamp`?");

    let (_, text, hint) =
        only_fault(&captured::TF, &stamp("transforms[0:2].header.stamp", everything()));
    assert!(text.ends_with("a slice of `transforms` is not one time"), "{text}");
    assert_eq!(hint, "take one element, as `transforms[0]`");

    let (_, text, _) = only_fault(&captured::POSE, &stamp("header.frame_id", everything()));
    assert!(text.ends_with("a string is not a time"), "{text}");
}

#[test]
fn each_is_a_whole_array_of_messages() {
    let fault = |path: &str| only_fault(&captured::TRAJ, &each(path, only(&["nonsense"])));
    let (part, text, _) = fault("joint_names");
    assert_eq!(part, LayoutPart::Each);
    assert_eq!(text, "`joint_names`: a string[] is not an array of messages");
    assert!(fault("header").1.ends_with("a std_msgs/msg/Header is not an array of messages"));
    assert!(fault("points[0:2]").1.contains("`points`"));
    assert!(fault("points.positions").1.contains("can't go through the array `points`"));
    assert_eq!(fault("pionts").2, "did you mean `points`?");
}

#[test]
fn a_name_is_a_text_or_an_integer() {
    let layout = names(&["transforms.child_frame_id", "transforms[0].transform"], everything());
    let told: Vec<_> = faults(&captured::TF, &layout).iter().map(told).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].0, LayoutPart::Name(0));
    assert!(told[0].2.contains("`[0]`"));
    assert!(told[1].1.ends_with("a geometry_msgs/msg/Transform can't be part of a name"));
}

#[test]
fn columns_are_distinct_and_none_is_the_time() {
    let layout = only(&["p=pose", "p.position=header.frame_id"]);
    let (part, text, _) = only_fault(&captured::POSE, &layout);
    assert_eq!(part, LayoutPart::Field(1));
    assert!(text.ends_with("column `p.position` is already taken by `pose`"), "{text}");

    let (part, text, _) = only_fault(&captured::POSE, &only(&["timestamp=header.frame_id"]));
    assert_eq!(part, LayoutPart::Field(0));
    assert!(text.contains("column `timestamp`"), "{text}");
}
