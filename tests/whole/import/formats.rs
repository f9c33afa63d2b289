//! The same recording in every way that bags lie on disk gives the same tracks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use super::{BAG, CONFIG, account, assert_same, import, tracks, tracks_of_the_bag};
use crate::python::oracle_python;

const DB: &str = "sqlite3_none/sqlite3_none.db3";

/// The bag as `rosbags` writes it, in every format and compression that it knows: a folder each.
fn rewritten(folder: &Path) -> Vec<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/whole/import/write_bags.py");
    let wrote = Command::new(oracle_python()).args([script, BAG]).arg(folder).output().unwrap();
    assert!(wrote.status.success(), "{}", String::from_utf8_lossy(&wrote.stderr));
    let mut bags: Vec<_> = fs::read_dir(folder).unwrap().map(|bag| bag.unwrap().path()).collect();
    bags.sort();
    bags
}

#[test]
fn folders_and_files_of_every_storage_and_compression_give_the_same_tracks() {
    let dir = tempfile::tempdir().unwrap();
    let expected = tracks_of_the_bag(dir.path());
    let bags = dir.path().join("bags");
    fs::create_dir(&bags).unwrap();
    let bags = rewritten(&bags);
    let names: Vec<_> = bags.iter().map(|bag| bag.file_name().unwrap().to_str().unwrap()).collect();
    let kinds = [
        "mcap_file",
        "mcap_message",
        "mcap_none",
        "mcap_storage",
        "sqlite3_file",
        "sqlite3_message",
        "sqlite3_none",
    ];
    assert_eq!(names, kinds);
    for (bag, name) in bags.iter().zip(kinds) {
        let root = dir.path().join(name);
        let done = import(&[bag], Path::new(CONFIG), &root);
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        assert_same(&tracks(&root), &expected);

        let files = fs::read_dir(bag).unwrap().map(|file| file.unwrap().path());
        let file = files.into_iter().find(|file| !file.ends_with("metadata.yaml")).unwrap();
        let root = dir.path().join(format!("{name}_file"));
        let done = import(&[&file], Path::new(CONFIG), &root);
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        assert_same(&tracks(&root), &expected);
    }
}

/// A folder with the messages of a `.db3` file in two, and the list of both.
fn split(db: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    for (name, not_kept) in [("run_9.db3", "id > 700"), ("run_10.db3", "id <= 700")] {
        let file = folder.join(name);
        fs::copy(db, &file).unwrap();
        let delete = format!("DELETE FROM messages WHERE {not_kept}");
        Connection::open(file).unwrap().execute(&delete, []).unwrap();
    }
    let list = "rosbag2_bagfile_information:\n  relative_file_paths: [run_9.db3, run_10.db3]\n";
    fs::write(folder.join("metadata.yaml"), list).unwrap();
}

#[test]
fn a_bag_of_several_files_is_one_bag_with_its_list_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let expected = tracks_of_the_bag(dir.path());
    let bags = dir.path().join("bags");
    fs::create_dir(&bags).unwrap();
    rewritten(&bags);
    let bag = dir.path().join("run");
    split(&bags.join(DB), &bag);
    let listed = dir.path().join("listed");
    let done = import(&[&bag], Path::new(CONFIG), &listed);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_same(&tracks(&listed), &expected);

    // A folder and a file beside each other.
    let (first, second) = (dir.path().join("first"), bag.join("run_10.db3"));
    fs::create_dir(&first).unwrap();
    fs::copy(bag.join("run_9.db3"), first.join("run_9.db3")).unwrap();
    let root = dir.path().join("mixed");
    let done = import(&[&second, &first], Path::new(CONFIG), &root);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_same(&tracks(&root), &expected);

    // As a recorder that was killed leaves it: no list, or one that lacks the last file.
    fs::write(
        bag.join("metadata.yaml"),
        "rosbag2_bagfile_information: {relative_file_paths: [run_9.db3]}",
    )
    .unwrap();
    let root = dir.path().join("half_listed");
    let done = import(&[&bag], Path::new(CONFIG), &root);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("run_10.db3 is not in metadata.yaml"), "{}", done.stderr);
    assert_same(&tracks(&root), &expected);

    fs::remove_file(bag.join("metadata.yaml")).unwrap();
    let root = dir.path().join("unlisted");
    let done = import(&[&bag], Path::new(CONFIG), &root);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_same(&tracks(&root), &expected);

    // A file that is not a bag's costs the others nothing.
    fs::write(bag.join("run_9.db3"), "gone").unwrap();
    let root = dir.path().join("one_lost");
    let done = import(&[&bag], Path::new(CONFIG), &root);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("run_9.db3 is not a bag of ROS 2"), "{}", done.stderr);
    let rest = &tracks(&root)["robot/scan"];
    assert!(!rest.is_empty() && expected["robot/scan"].ends_with(rest));
}

#[test]
fn a_bag_without_definitions_takes_those_of_the_sourced_workspace_and_names_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let bags = dir.path().join("bags");
    fs::create_dir(&bags).unwrap();
    rewritten(&bags);
    let db = bags.join(DB);
    // As rosbag2 wrote them before Iron.
    Connection::open(&db).unwrap().execute("DROP TABLE message_definitions", []).unwrap();
    let share = dir.path().join("share/std_msgs/msg");
    fs::create_dir_all(&share).unwrap();
    fs::write(share.join("String.msg"), "string data\n").unwrap();

    let import = |prefixes: &str, root: &Path| {
        let args = ["import", "--json", "--experiment", super::RUN, "--config", CONFIG, "--root"];
        let import = crate::program::program(args).arg(root).arg(&db);
        import.env("AMENT_PREFIX_PATH", prefixes).run()
    };
    let sourced = import(dir.path().to_str().unwrap(), &dir.path().join("sourced"));
    assert_eq!(sourced.code, 3, "{}", sourced.stderr);
    assert_eq!(tracks(&dir.path().join("sourced"))["chatter"].lines().count(), 23);
    let refused = account(&sourced)["refused"]["/scan"].as_str().unwrap().to_owned();
    assert!(refused.contains("sensor_msgs/msg/LaserScan"), "{refused}");
    assert!(refused.contains("source the workspace"), "{refused}");

    // What is of std_msgs needs no workspace.
    let bare = import("", &dir.path().join("bare"));
    assert_eq!(tracks(&dir.path().join("bare"))["chatter"].lines().count(), 23);
    let refused = account(&bare)["refused"]["/scan"].as_str().unwrap().to_owned();
    assert!(refused.contains("the bag does not have its definition"), "{refused}");
    assert!(refused.contains("source the ROS 2 workspace"), "{refused}");
}

#[test]
fn what_a_crash_left_beside_a_bag_is_read_and_the_bag_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let expected = tracks_of_the_bag(dir.path());
    let bags = dir.path().join("bags");
    fs::create_dir(&bags).unwrap();
    rewritten(&bags);
    for mode in ["WAL", "DELETE"] {
        let bag = dir.path().join(mode);
        fs::create_dir(&bag).unwrap();
        let working = dir.path().join(format!("{mode}.db3"));
        fs::copy(bags.join(DB), &working).unwrap();
        let db = Connection::open(&working).unwrap();
        db.pragma_update(None, "journal_mode", mode).unwrap();
        // A transaction under way: under WAL what was committed before lies in the journal; else the
        // journal holds what the file was like.
        db.execute("UPDATE topics SET offered_qos_profiles = '[]'", []).unwrap();
        db.pragma_update(None, "cache_size", 1).unwrap();
        db.execute_batch("BEGIN; DELETE FROM messages WHERE id % 2 = 0;").unwrap();
        for suffix in ["", "-wal", "-journal"] {
            let from = dir.path().join(format!("{mode}.db3{suffix}"));
            if from.exists() {
                fs::copy(&from, bag.join(format!("run.db3{suffix}"))).unwrap();
            }
        }
        let before = fs::read(bag.join("run.db3")).unwrap();
        let root = dir.path().join(format!("{mode}_root"));
        let done = import(&[&bag.join("run.db3")], Path::new(CONFIG), &root);
        assert_eq!(done.code, 0, "{mode}: {}", done.stderr);
        assert_same(&tracks(&root), &expected);
        assert!(fs::read(bag.join("run.db3")).unwrap() == before);
    }
}
