//! What can't become messages again is named, and nothing is made up.

use std::fs;
use std::path::Path;

use super::{DATA, Lab, RUN};
use crate::decode::encoder::encode;
use crate::made_bag::{MadeBag, Type, header, with_header};
use crate::program::program;

const PACKET: Type = ("made_msgs/msg/Packet", with_header!("std_msgs/Header header\nuint8[] data"));

fn sena() -> std::path::PathBuf {
    Path::new(DATA).join("sena_lab_loop.mcap")
}

#[test]
fn tracks_that_lack_a_part_of_their_messages_are_left_out_and_named() {
    let lab = Lab::new();
    let mapping = "topics:\n  - {topic: /odom, fields: [pose.pose.position]}\n  - {topic: /points, blobs: drop}\n  \
        - {topic: /pose}\n  - {topic: /scan, fields: {r: ranges}}\n";
    lab.import(&sena(), mapping, "root");
    let done = lab.export("root", "run.mcap");
    assert_eq!(done.code, 3, "{}", done.stderr);
    for said in [
        "track odom is left out: it does not hold whole messages: `fields` selects or renames columns",
        "track scan is left out: it does not hold whole messages: `fields` selects",
        "225 messages on 1 topics",
    ] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert!(!done.stderr.contains("track pose"), "{}", done.stderr);
}

#[test]
fn rows_of_another_hand_and_of_a_lost_definition_are_left_out_and_named() {
    let lab = Lab::new();
    lab.import(&sena(), "topics: [{topic: /pose}, {topic: /chatter}]\n", "root");
    let root = lab.path("root");
    let append = program(["append", RUN, "by/hand", "--root"]).arg(&root);
    assert_eq!(append.stdin("{\"_ts\": 1, \"x\": 2}\n").run().code, 0);
    let append = program(["append", RUN, "chatter", "--root"]).arg(&root);
    assert_eq!(append.stdin("{\"_ts\": 1, \"x\": 2}\n").run().code, 0);
    let definitions = root.join(RUN).join(".definitions");
    let of_pose = fs::read_dir(&definitions).unwrap().map(|file| file.unwrap().path());
    let of_pose =
        of_pose.into_iter().find(|file| fs::read_to_string(file).unwrap().contains("Pose pose"));
    fs::write(of_pose.unwrap(), "int32 other\n").unwrap();

    let done = lab.export("root", "run.mcap");

    assert_eq!(done.code, 3, "{}", done.stderr);
    for said in [
        "track by/hand is left out: no recording of ROS messages wrote it",
        "track pose is left out: the definition of geometry_msgs/msg/PoseStamped is missing",
        "track chatter: 1 of 24 rows are left out; the first at 1: std_msgs/msg/String, `data`: the row has no such \
         column",
        "23 messages on 1 topics",
    ] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
}

#[test]
fn pictures_that_became_jpeg_and_files_that_are_gone_are_told_by_the_row() {
    let lab = Lab::new();
    lab.import(&sena(), "topics: [{topic: /camera/**}]\n", "root");
    let files = lab.path("root").join(RUN).join("files");
    let picture =
        walk(&files).into_iter().find(|file| file.extension().is_some_and(|e| e == "jpg"));
    fs::remove_file(picture.unwrap()).unwrap();
    let done = lab.export("root", "run.mcap");
    assert_eq!(done.code, 3, "{}", done.stderr);
    let said = "track camera/image_raw/compressed: 1 of 5 rows are left out; the first at ";
    assert!(done.stderr.contains(said), "{}", done.stderr);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn halves_of_services_are_named_as_such() {
    let lab = Lab::new();
    lab.import(&Path::new(DATA).join("cases/service_action.mcap"), "services: all\n", "root");
    let done = lab.export("root", "run.mcap");
    assert_eq!(done.code, 3, "{}", done.stderr);
    for service in ["add_1", "add_2", "add_3"] {
        let said = format!(
            "track {service}/request is left out: it does not hold whole messages: a service's event became a row"
        );
        assert!(done.stderr.contains(&said), "{said}: {}", done.stderr);
    }
}

#[test]
fn a_row_of_two_messages_becomes_neither() {
    let mut made = MadeBag::new();
    // The first one's bytes stay in the row, the second one's become a file.
    for (log_nanos, size) in [(1, 10), (2, 70_000)] {
        let data = vec![7; size];
        let cdr = encode(|e| header(e, 1_000_000_000).length(size).raw(&data));
        made.add("/packet", PACKET, log_nanos, &cdr);
    }
    let (_folder, bag) = made.finish();
    let lab = Lab::new();
    lab.import(&bag, "topics: [{topic: /packet, same_stamp: merge}]\n", "root");
    let done = lab.export("root", "run.mcap");
    assert_eq!(done.code, 3, "{}", done.stderr);
    let said = "track packet: 1 of 1 rows are left out; the first at 1: the row has the bytes of `data` and the path of a \
                file for them: two messages";
    assert!(done.stderr.contains(said), "{}", done.stderr);
}

#[test]
fn nothing_is_left_of_an_export_that_fails() {
    let lab = Lab::new();
    let done = lab.export("nowhere", "run.mcap");
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(fs::read_dir(lab.dir.path()).unwrap().next().is_none());
}
