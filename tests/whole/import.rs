//! `mldash_bridge import`: whole, cut off and foreign bags.

use std::fs;
use std::path::{Path, PathBuf};

use mldash_bridge::track::{Experiment, Query, Row};
use serde_json::Value;

use crate::program::{Done, program};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml");
const RUN: &str = "tests/import/run";

fn import(bags: &[&Path], config: &Path, root: &Path) -> Done {
    let import = program(["import", "--json", "--experiment", RUN, "--root"]).arg(root);
    let import = import.arg("--config").arg(config);
    bags.iter().fold(import, |import, bag| import.arg(bag)).run()
}

fn received(account: &Value, topic: &str) -> u64 {
    let topics = account["topics"].as_array().unwrap();
    topics.iter().find(|t| t["topic"] == topic).map_or(0, |t| t["received"].as_u64().unwrap())
}

fn rows(root: &Path, track: &str) -> Vec<Row> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    exp.tracks(track).read(&Query::all()).unwrap()
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
    for (topic, messages) in [
        ("/scan", 225),
        ("/odom", 225),
        ("/pose", 225),
        ("/points", 225),
        ("/tf", 450),
        ("/tf_static", 2),
        ("/camera/camera_info", 225),
        ("/camera/image_raw/compressed", 5),
        ("/chatter", 23),
        ("/robot_description", 1),
    ] {
        assert_eq!(received(&first, topic), messages, "{topic}");
    }
    assert_eq!(first["complete"], true);
    let tracks = ["robot/scan", "robot/pose", "chatter"];
    let before = tracks.map(|track| format!("{:?}", rows(dir.path(), track)));

    let again = import(&[Path::new(BAG), Path::new(BAG)], Path::new(CONFIG), dir.path());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(tracks.map(|track| format!("{:?}", rows(dir.path(), track))), before);
}

#[test]
fn a_cut_off_bag_is_imported_up_to_the_cut_which_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(BAG).unwrap();
    let mut last = 0;
    for (i, tenths) in [1, 5, 8].into_iter().enumerate() {
        let bag = dir.path().join(format!("cut_{i}.mcap"));
        let root = dir.path().join(format!("root_{i}"));
        fs::write(&bag, &whole[..whole.len() * tenths / 10]).unwrap();
        let done = import(&[&bag], Path::new(CONFIG), &root);
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains("is cut off at byte"), "{}", done.stderr);
        let account = account(&done);
        assert_eq!(account["complete"], false);
        let scans = received(&account, "/scan");
        assert!(scans >= last && scans < 225, "{scans} after {last}");
        last = scans;
    }
    assert!(last > 0);
}

#[test]
fn a_damaged_bag_gives_no_row_that_the_whole_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let whole_root = dir.path().join("whole");
    import(&[Path::new(BAG)], Path::new(CONFIG), &whole_root);
    let whole = rows(&whole_root, "robot/scan");
    for tenths in [4, 7, 9] {
        let mut bytes = fs::read(BAG).unwrap();
        let damaged_at = bytes.len() * tenths / 10;
        bytes[damaged_at] ^= 0x10;
        let bag = dir.path().join(format!("damaged_{tenths}.mcap"));
        let root = dir.path().join(format!("root_{tenths}"));
        fs::write(&bag, bytes).unwrap();
        let done = import(&[&bag], Path::new(CONFIG), &root);
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert_eq!(account(&done)["complete"], false);
        let rows = rows(&root, "robot/scan");
        assert!(rows.len() < whole.len());
        // NaN is no scan's range here, so that rows compare.
        assert_eq!(rows, whole[..rows.len()]);
    }
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
    let sqlite = file("bag.db3", b"SQLite format 3\0");
    let wrong = file("wrong.yaml", b"topcs: []\n");
    let bag = Path::new(BAG);
    for (bag, config, word) in [
        (&*text, Path::new(CONFIG), "is not an MCAP file"),
        (&*sqlite, Path::new(CONFIG), "ros2 bag convert"),
        (dir.path(), Path::new(CONFIG), "ros2 bag convert"),
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
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        let rows = rows(&root, "chatter");
        assert_eq!(rows.len(), 1, "{name}");
        assert_eq!(rows[0].ts.as_secs(), 1.0);
        let from_idl = self::rows(&root, "idl");
        assert_eq!(from_idl.len(), 1, "{name}");
        assert_eq!(from_idl[0].fields, rows[0].fields);
        let account = account(&done);
        let refused = account["refused"]["/proto"].as_str().unwrap();
        assert!(refused.contains("protobuf"), "{account:#}");
        assert_eq!(account["unmatched"][0], "/nowhere");
    }
}
