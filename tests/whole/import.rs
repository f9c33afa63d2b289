//! `mldash_bridge import`: bags of every format, whole and otherwise.

mod bombs;
mod cases;
mod containers;
mod damage;
mod disk;
mod formats;
mod raw_mcap;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mldash_bridge::track::{Experiment, Format, Query, Row, RunStatus};
use serde_json::Value;

use crate::account::assert_received_robots_bag;
use crate::program::{Done, program};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml");
const RUN: &str = "tests/import/run";

fn import(bags: &[&Path], config: &Path, root: &Path) -> Done {
    let import = program(["import", "--json", "--experiment", RUN, "--root"]).arg(root);
    let import = import.arg("--config").arg(config);
    bags.iter().fold(import, |import, bag| import.arg(bag)).run()
}

fn rows(root: &Path, track: &str) -> Vec<Row> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    exp.tracks(track).read(&Query::all()).unwrap()
}

/// Every track as text.
fn tracks(root: &Path) -> BTreeMap<String, String> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let text = |topic: &str| {
        let rows = exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap();
        String::from_utf8(rows).unwrap()
    };
    exp.list().unwrap().into_iter().map(|track| (track.topic.clone(), text(&track.topic))).collect()
}

/// The tracks of the whole bag, as it is.
fn tracks_of_the_bag(folder: &Path) -> BTreeMap<String, String> {
    let root = folder.join("whole");
    let done = import(&[Path::new(BAG)], Path::new(CONFIG), &root);
    assert_eq!(done.code, 0, "{}", done.stderr);
    tracks(&root)
}

/// That two imports gave the same, without printing a track.
fn assert_same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (topic, rows) in expected {
        assert!(found[topic] == *rows, "rows of {topic} differ");
    }
}

fn account(done: &Done) -> Value {
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", done.stderr))
}

#[test]
fn a_bag_is_imported_whole_and_twice_is_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let done = import(&[Path::new(BAG)], Path::new(CONFIG), dir.path());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let first = account(&done);
    assert_received_robots_bag(&first);
    assert_eq!(first["complete"], true);
    let tracks = ["robot/scan", "robot/pose", "chatter"];
    let before = tracks.map(|track| format!("{:?}", rows(dir.path(), track)));

    let again = import(&[Path::new(BAG), Path::new(BAG)], Path::new(CONFIG), dir.path());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(tracks.map(|track| format!("{:?}", rows(dir.path(), track))), before);
    let adds = "already; this run adds to them";
    assert!(!done.stderr.contains(adds) && again.stderr.contains(adds), "{}", again.stderr);
}

#[test]
fn an_experiment_says_which_bags_it_is_of_and_what_they_lacked() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("m.yaml");
    let text = "required: [/pose, /lost]\ntopics:\n  - topic: /pose\n  - topic: /lost\n";
    fs::write(&config, text).unwrap();
    let done = import(&[Path::new(BAG)], &config, root.path());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("required topic /lost has not come"), "{}", done.stderr);
    let required = account(&done)["required"].clone();
    assert_eq!((&required[0]["state"], &required[1]["state"]), (&"met".into(), &"missing".into()));
    let notes = Experiment::open_read_only(RUN, root.path()).unwrap().notes().unwrap();
    let metadata = notes.metadata.unwrap();
    assert_eq!(metadata["bags"], serde_json::json!([BAG]));
    assert_eq!(metadata["mapping"], text);
}

#[test]
fn what_is_no_bag_or_no_mapping_is_wrong_usage_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let root = dir.path().join("root");
    let text = file("text.mcap", b"not a bag at all");
    let ros1 = file("ros1.bag", b"#ROSBAG V2.0\n");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let wrong = file("wrong.yaml", b"topcs: []\n");
    let bag = Path::new(BAG);
    for (bag, config, word) in [
        (&*text, Path::new(CONFIG), "is neither an MCAP nor a SQLite file"),
        (&*ros1, Path::new(CONFIG), "rosbags-convert"),
        (&*empty, Path::new(CONFIG), "contains no bag"),
        (bag, &*wrong, "topcs"),
    ] {
        let done = import(&[bag], config, &root);
        assert_eq!(done.code, 2, "{}", done.stderr);
        assert!(done.stderr.contains(word), "{}", done.stderr);
        assert!(!root.exists());
    }
}

const IDL: &str = "================================================================================
IDL: std_msgs/msg/String
module std_msgs { module msg { struct String { @verbatim (language=\"comment\", text=\"a text\") string data; }; }; };
";

/// Writes one message of each (topic, schema encoding), 1 s apart, as the options say.
fn write_bag(path: &Path, options: mcap::WriteOptions, topics: &[(&str, &str)]) {
    let mut bag = options.create(fs::File::create(path).unwrap()).unwrap();
    let cdr = [0, 1, 0, 0, 3, 0, 0, 0, b'h', b'i', 0];
    for (i, (topic, encoding)) in (1u64..).zip(topics) {
        let definition: &[u8] = match *encoding {
            "ros2idl" => IDL.as_bytes(),
            _ => b"string data\n",
        };
        let schema = bag.add_schema("std_msgs/msg/String", encoding, definition).unwrap();
        let channel_id = bag.add_channel(schema, topic, "cdr", &Default::default()).unwrap();
        let log_time = i * 1_000_000_000;
        let header =
            mcap::records::MessageHeader { channel_id, sequence: 0, log_time, publish_time: 0 };
        bag.write_to_known_channel(&header, &cdr).unwrap();
    }
    bag.finish().unwrap();
}

#[test]
fn any_compression_and_no_index_give_the_same_row_and_other_schemas_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("all.yaml");
    fs::write(&config, "topics:\n  - {topic: /**, stamp: receive}\n  - topic: /nowhere\n").unwrap();
    let options = || mcap::WriteOptions::new();
    for (name, options) in [
        ("zstd", options().compression(Some(mcap::Compression::Zstd))),
        ("lz4", options().compression(Some(mcap::Compression::Lz4))),
        ("plain", options().compression(None)),
        ("unindexed", options().emit_chunk_indexes(false).emit_message_indexes(false)),
        ("unchunked", options().use_chunks(false)),
    ] {
        let (bag, root) = (dir.path().join(format!("{name}.mcap")), dir.path().join(name));
        write_bag(
            &bag,
            options,
            &[("/chatter", "ros2msg"), ("/idl", "ros2idl"), ("/proto", "protobuf")],
        );
        let done = import(&[&bag], &config, &root);
        assert_eq!(done.code, 3, "{name}: {}", done.stderr);
        let rows = rows(&root, "chatter");
        assert_eq!(rows.len(), 1, "{name}");
        assert_eq!(rows[0].ts.as_secs(), 1.0);
        let from_idl = self::rows(&root, "idl");
        assert_eq!(from_idl.len(), 1, "{name}");
        assert_eq!(from_idl[0].fields, rows[0].fields);
        let account = account(&done);
        let refused = account["refused"]["/proto"].as_str().unwrap();
        assert!(refused.contains("protobuf"), "{account:#}");
        assert_eq!(account["complete"], false);
        assert!(account["missing"][0].as_str().unwrap().starts_with("not recorded: /proto"));
        assert_eq!(account["unmatched"][0], "/nowhere");
    }
}

#[test]
fn the_last_line_says_what_is_missing_and_so_does_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (bag, config) = (dir.path().join("bag.mcap"), dir.path().join("m.yaml"));
    let run = |mapping: &str, root: &str| {
        fs::write(&config, mapping).unwrap();
        let import = program(["import", "--experiment", RUN, "--root"]).arg(dir.path().join(root));
        import.arg("--config").arg(&config).arg(&bag).run()
    };
    write_bag(&bag, mcap::WriteOptions::new(), &[("/chatter", "ros2msg"), ("/proto", "protobuf")]);
    let whole = run("topics: [{topic: /chatter, stamp: receive}]", "whole");
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    assert!(
        whole.text().ends_with("1 received, 1 stored, 0 dropped; complete\n"),
        "{}",
        whole.text()
    );
    let lacking = run("topics: [{topic: /**, stamp: receive}]", "lacking");
    assert_eq!(lacking.code, 3, "{}", lacking.stderr);
    let last = lacking.text().lines().last().unwrap();
    assert!(last.contains("; INCOMPLETE: not recorded: /proto"), "{last}");
    // The run itself ended as it should.
    let exp = Experiment::open_read_only(RUN, dir.path().join("lacking")).unwrap();
    assert_eq!(exp.notes().unwrap().status, Some(RunStatus::Completed));
}
