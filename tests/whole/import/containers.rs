//! Files that hold bags: what is defined again, joined, cut off, written ahead; and that none of them is
//! ever written to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use super::cases::{Case, content, import_case};
use super::raw_mcap::{PACKINGS, Raw};
use super::{RUN, account, import, rows};

const ALL: &str = "min_free: 0\ntopics: [{topic: /**}]\n";
const INT: &str = "std_msgs/msg/Int32";
const FLOAT: &str = "std_msgs/msg/Float64";

fn int(value: i32) -> Vec<u8> {
    [&[0, 1, 0, 0][..], &value.to_le_bytes()].concat()
}

fn float(value: f64) -> Vec<u8> {
    [&[0, 1, 0, 0][..], &value.to_le_bytes()].concat()
}

/// Imports a file of these bytes.
fn imported(name: &str, bytes: &[u8]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let (bag, config) = (dir.path().join(name), dir.path().join("all.yaml"));
    fs::write(&bag, bytes).unwrap();
    fs::write(&config, ALL).unwrap();
    let done = import(&[&bag], &config, &dir.path().join("root"));
    Case { dir, done }
}

/// Ten messages of `/n` from `first` on, a second apart.
fn ints(records: &mut Raw, channel: u16, first: i32) {
    for value in first..first + 10 {
        records.message(channel, value as u64 * 1_000_000_000, &int(value));
    }
}

fn values(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|value| format!("Some(Int({value}))")).collect()
}

#[test]
fn the_newest_record_of_a_channel_or_a_schema_counts() {
    // One id for two topics of two types, one after the other.
    let mut first = Raw::default();
    ints(first.schema(1, INT, "int32 data").channel(1, 1, "/n"), 1, 1);
    let mut second = Raw::default();
    second.schema(1, FLOAT, "float64 data").channel(1, 1, "/x");
    second.message(1, 50, &float(0.5)).channel(2, 1, "/silent");
    // Only the schema is another: the channel that was defined by it goes on.
    let mut third = Raw::default();
    third.schema(1, FLOAT, "# the same\nfloat64 data").message(1, 51, &float(1.5));

    let mut files = vec![];
    let mut unchunked = Raw::file();
    for records in [&first, &second, &third] {
        unchunked = append(unchunked, records);
    }
    files.push(unchunked.finish());
    for packing in PACKINGS {
        let mut chunked = Raw::file();
        chunked.chunk(packing, &first).chunk(packing, &second).chunk(packing, &third);
        files.push(chunked.finish());
        let all = append(append(first.clone(), &second), &third);
        files.push(Raw::file().chunk(packing, &all).finish());
    }
    for (i, bytes) in files.iter().enumerate() {
        let case = imported("again.mcap", bytes);
        assert_eq!(case.done.code, 0, "{i}: {}", case.done.stderr);
        assert_eq!(case.column("n", "data"), values(1..11), "{i}");
        assert_eq!(case.column("x", "data"), ["Some(F64(0.5))", "Some(F64(1.5))"], "{i}");
        assert_eq!(case.stored().get("/silent"), Some(&0), "{i}");
    }
}

fn append(mut records: Raw, more: &Raw) -> Raw {
    records.append(more);
    records
}

#[test]
fn of_files_that_were_joined_all_are_read() {
    let file = |first: i32, chunk: bool| {
        let mut records = Raw::default();
        ints(records.schema(3, INT, "int32 data").channel(7, 3, "/n"), 7, first);
        let mut file = Raw::file();
        match chunk {
            true => file.chunk(PACKINGS[1], &records).finish(),
            false => append(file, &records).finish(),
        }
    };
    // What a writer of indexed files leaves.
    let mut indexed = mcap::Writer::new(std::io::Cursor::new(Vec::new())).unwrap();
    let schema = indexed.add_schema(FLOAT, "ros2msg", b"float64 data").unwrap();
    let channel_id = indexed.add_channel(schema, "/x", "cdr", &Default::default()).unwrap();
    let header =
        mcap::records::MessageHeader { channel_id, sequence: 0, log_time: 9, publish_time: 9 };
    indexed.write_to_known_channel(&header, &float(2.5)).unwrap();
    indexed.finish().unwrap();
    let indexed = indexed.into_inner().into_inner();

    let joined = [indexed, file(1, true), file(11, false)].concat();
    let case = imported("joined.mcap", &joined);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.column("n", "data"), values(1..21));
    assert_eq!(case.column("x", "data"), ["Some(F64(2.5))"]);

    let padded = [file(1, true), vec![0; 4096]].concat();
    assert_eq!(imported("padded.mcap", &padded).done.code, 0);
    let other = [file(1, true), b"something else".to_vec()].concat();
    let case = imported("other.mcap", &other);
    assert_eq!(case.done.code, 1, "{}", case.done.stderr);
    assert!(case.done.stderr.contains("is not MCAP and is not read"), "{}", case.done.stderr);
    assert_eq!(case.column("n", "data"), values(1..11));
}

#[test]
fn a_chunk_too_large_for_memory_is_read_a_piece_at_a_time() {
    // More than is unpacked in memory of all bags together.
    let large = vec![b'x'; 5 << 20];
    let mut cdr = [&[0, 1, 0, 0][..], &(large.len() as u32 + 1).to_le_bytes(), &large].concat();
    cdr.push(0);
    let mut records = Raw::default();
    records.schema(1, "std_msgs/msg/String", "string data").channel(1, 1, "/text");
    for time in 1..=8 {
        records.message(1, time, &cdr);
    }
    records.schema(2, INT, "int32 data").channel(2, 2, "/n");
    ints(&mut records, 2, 1);
    assert!(records.len() > 33 << 20);
    for packing in PACKINGS {
        let whole = Raw::file().chunk(packing, &records).finish();
        let packed = zstd::encode_all(whole.as_slice(), 1).unwrap();
        for (name, bytes) in [("large.mcap", &whole), ("large.mcap.zstd", &packed)] {
            let case = imported(name, bytes);
            assert_eq!(case.done.code, 0, "{packing:?} {name}: {}", case.done.stderr);
            let stored = [("/n".to_owned(), 10), ("/text".to_owned(), 8)];
            assert_eq!(case.stored(), stored.into(), "{packing:?} {name}");
        }
        // A byte of it is wrong: nothing of it is taken, by whichever way it is read.
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        let case = imported("damaged.mcap", &damaged);
        assert_eq!(case.done.code, 1, "{packing:?}: {}", case.done.stderr);
        assert!(case.done.stderr.contains("is damaged and left out"), "{}", case.done.stderr);
        assert_eq!(case.stored().values().sum::<u64>(), 0, "{packing:?}");
        // Cut off, what comes before is right.
        let case = imported("cut.mcap", &whole[..whole.len() * 3 / 4]);
        assert_eq!(case.done.code, 1, "{packing:?}: {}", case.done.stderr);
        assert!(case.done.stderr.contains("is cut off at byte"), "{}", case.done.stderr);
    }
}

/// A bag in SQLite, as rosbag2 wrote it at some time.
fn sqlite(path: &Path, topics: &str, definitions: bool) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(topics).unwrap();
    db.execute_batch(
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
             timestamp INTEGER NOT NULL, data BLOB NOT NULL);",
    )
    .unwrap();
    if definitions {
        db.execute_batch(
            "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL,
                 encoding TEXT NOT NULL, encoded_message_definition TEXT NOT NULL);
             INSERT INTO message_definitions VALUES
                 (1, 'std_msgs/msg/Int32', 'ros2msg', 'int32 data');",
        )
        .unwrap();
    }
    for value in 1..=10 {
        let insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?1, ?2)";
        db.execute(insert, (i64::from(value) * 1_000_000_000, int(value))).unwrap();
    }
    db
}

const TOPICS: &str = "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL,
         type TEXT NOT NULL, serialization_format TEXT NOT NULL);
     INSERT INTO topics VALUES (1, '/n', 'std_msgs/msg/Int32', 'cdr');";

#[test]
fn a_bag_of_2018_knows_no_other_encoding_than_cdr() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.db3");
    let topics =
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL);
                  INSERT INTO topics VALUES (1, '/n', 'std_msgs/Int32');";
    drop(sqlite(&path, topics, false));
    let case = imported("old.db3", &fs::read(path).unwrap());
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.column("n", "data"), values(1..11));
}

#[test]
fn messages_of_topics_that_sqlite_does_not_record_are_counted_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.db3");
    let db = sqlite(&path, TOPICS, true);
    db.execute_batch(
        "INSERT INTO topics VALUES (2, '/odd', 'odd_msgs/msg/Odd', 'cdr');
         INSERT INTO topics VALUES (3, '/_hidden', 'std_msgs/msg/Int32', 'cdr');
         INSERT INTO messages(topic_id, timestamp, data) VALUES
             (2, 1, x'0001000001000000'), (2, 2, x'0001000001000000'), (3, 3, x'0001000001000000'),
             (99, 4, x'0001000001000000');",
    )
    .unwrap();
    drop(db);
    let case = imported("some.db3", &fs::read(path).unwrap());
    let account = case.account();
    assert_eq!(case.column("n", "data"), values(1..11));
    assert_eq!(account["not_asked_for"], serde_json::json!({"/_hidden": 1}));
    let odd = account["topics"].as_array().unwrap().iter().find(|t| t["topic"] == "/odd").unwrap();
    assert_eq!((&odd["received"], &odd["dropped"]["refused"]), (&2.into(), &2.into()));
    assert!(case.done.stderr.contains("1 messages in"), "{}", case.done.stderr);
}

#[test]
fn a_compressed_file_that_is_cut_off_anywhere_is_said_to_be_and_read_so_far() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.db3");
    drop(sqlite(&path, TOPICS, true));
    let mut records = Raw::default();
    ints(records.schema(1, INT, "int32 data").channel(1, 1, "/n"), 1, 1);
    let mcap = append(Raw::file(), &records).finish();
    for (name, whole) in [("cut.db3.zstd", fs::read(path).unwrap()), ("cut.mcap.zstd", mcap)] {
        let packed = zstd::encode_all(whole.as_slice(), 1).unwrap();
        for cut in [4, 5, 12, packed.len() / 2, packed.len() - 1] {
            let case = imported(name, &packed[..cut]);
            assert_eq!(case.done.code, 1, "{name} at {cut}: {}", case.done.stderr);
            let said = case.done.stderr.lines().last().unwrap();
            assert!(said.contains("is cut off at byte"), "{name} at {cut}: {said}");
            assert_eq!(case.account()["complete"], false);
        }
        // In blocks of their own, what comes before the cut can be unpacked.
        let mut blocks = zstd::Encoder::new(Vec::new(), 1).unwrap();
        for piece in whole.chunks(whole.len() / 2) {
            std::io::Write::write_all(&mut blocks, piece).unwrap();
            std::io::Write::flush(&mut blocks).unwrap();
        }
        let blocks = blocks.finish().unwrap();
        let case = imported(name, &blocks[..blocks.len() - 20]);
        assert_eq!(case.done.code, 1, "{name}: {}", case.done.stderr);
        assert!(case.done.stderr.contains("is cut off at byte"), "{}", case.done.stderr);
    }
}

#[test]
fn a_bag_that_was_hardly_begun_is_cut_off() {
    for (name, bytes) in [
        ("empty.mcap", &b""[..]),
        ("empty.db3", b""),
        ("short.mcap", b"\x89MCAP0"),
        ("short.db3", b"SQLite fo"),
    ] {
        let case = imported(name, bytes);
        assert_eq!(case.done.code, 1, "{name}: {}", case.done.stderr);
        assert!(case.done.stderr.contains("is cut off at byte"), "{}", case.done.stderr);
    }
    let other = imported("other.txt", b"");
    assert_eq!(other.done.code, 2, "{}", other.done.stderr);
}

#[test]
fn what_ros2_bag_play_unpacked_beside_a_bag_is_read_once() {
    let image = "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n\
                 uint8 is_bigendian\nuint32 step\nuint8[] data\n";
    let prefix = tempfile::tempdir().unwrap();
    let share = prefix.path().join("share/sensor_msgs/msg");
    fs::create_dir_all(&share).unwrap();
    fs::write(share.join("Image.msg"), image).unwrap();
    let case = import_case("played_pics", ALL, Some(prefix.path()));
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    let account = case.account();
    assert_eq!(account["topics"][0]["received"], 3, "{account:#}");
    let exp = mldash_bridge::track::Experiment::open_read_only(RUN, case.root()).unwrap();
    assert_eq!(exp.files("").list().unwrap().len(), 3);
    // Where only the copy is left, the list means that.
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bag");
    fs::create_dir(&bag).unwrap();
    drop(sqlite(&bag.join("run_0.db3"), TOPICS, true));
    let list = "rosbag2_bagfile_information: {relative_file_paths: [run_0.db3.zstd]}";
    fs::write(bag.join("metadata.yaml"), list).unwrap();
    let config = dir.path().join("all.yaml");
    fs::write(&config, ALL).unwrap();
    let done = import(&[&bag], &config, &dir.path().join("root"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(rows(&dir.path().join("root"), "n").len(), 10);
}

/// A bag whose recorder was killed: its last messages are in the log beside it.
fn killed(folder: &Path) {
    let working = tempfile::tempdir().unwrap();
    let path = working.path().join("w_0.db3");
    let db = sqlite(&path, TOPICS, true);
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    let insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (1, 11000000000, ?1)";
    db.execute(insert, [int(11)]).unwrap();
    fs::create_dir(folder).unwrap();
    for file in ["w_0.db3", "w_0.db3-wal"] {
        fs::copy(working.path().join(file), folder.join(file)).unwrap();
    }
    assert!(fs::metadata(folder.join("w_0.db3-wal")).unwrap().len() > 0);
}

#[test]
fn a_bag_with_a_log_is_read_with_it_and_nothing_is_written_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (bag, config) = (dir.path().join("bag"), dir.path().join("all.yaml"));
    killed(&bag);
    fs::write(&config, ALL).unwrap();
    let times = || {
        let of = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        [of(&bag), of(&bag.join("w_0.db3")), of(&bag.join("w_0.db3-wal"))]
    };
    let (before, times_before) = (content(&bag), times());
    let done = import(&[&bag], &config, &dir.path().join("root"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(rows(&dir.path().join("root"), "n").len(), 11);
    assert!(content(&bag) == before && times() == times_before);

    let case = import_case("wal_only", ALL, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.stored(), [("/n".into(), 50)].into());
}

#[test]
fn an_ordinary_user_can_import_from_a_folder_that_must_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bag");
    killed(&bag);
    // What root may do says nothing: the program runs as nobody.
    let as_nobody = rustix::process::geteuid().is_root();
    let has_setpriv = || Command::new("setpriv").arg("--version").output().is_ok();
    if as_nobody && !has_setpriv() {
        eprintln!("skipped: there is no setpriv to become an ordinary user with");
        return;
    }
    let program = dir.path().join("mldash_bridge");
    fs::copy(env!("CARGO_BIN_EXE_mldash_bridge"), &program).unwrap();
    let (config, root) = (dir.path().join("all.yaml"), dir.path().join("root"));
    fs::write(&config, ALL).unwrap();
    fs::create_dir(&root).unwrap();
    let permit = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    permit(dir.path(), 0o755);
    permit(&root, 0o777);
    permit(&bag.join("w_0.db3"), 0o444);
    permit(&bag.join("w_0.db3-wal"), 0o444);
    permit(&bag, 0o555);

    let mut command = match as_nobody {
        true => {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
            setpriv
        }
        false => Command::new(&program),
    };
    command.args(["import", "--json", "--experiment", RUN, "--root"]).arg(&root);
    let done = command.arg("--config").arg(&config).arg(&bag).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let account: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(account["topics"][0]["stored"], 11);
    assert_eq!(content(&bag).len(), 2);
    permit(&bag, 0o755);
}

#[test]
fn a_bag_that_is_written_while_it_is_read_is_said_to_be() {
    use mldash_bridge::bag::{BagError, Bags, ImportError};
    use mldash_bridge::mapping::Mapping;
    use mldash_bridge::message::Definitions;
    use mldash_bridge::record::Recorder;
    use mldash_bridge::track::{Experiment, Options};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("busy.db3");
    let db = sqlite(&path, TOPICS, true);
    // More than is held to be put in order before the first is recorded.
    let fill = "WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
         INSERT INTO messages(topic_id, timestamp, data) SELECT 1, i * 1000000000, zeroblob(100000) FROM n";
    db.execute(fill, []).unwrap();
    let exp = Experiment::open(RUN, Options::local(dir.path().join("root"))).unwrap();
    let mut recorder = Recorder::new(exp);
    let mapping = Mapping::parse(ALL, "all.yaml").unwrap();
    let mut written = false;
    let write = |_| {
        if !std::mem::replace(&mut written, true) {
            db.execute("DELETE FROM messages WHERE id = 1", []).unwrap();
        }
        std::ops::ControlFlow::Continue(())
    };
    let bags = Bags::open([&path]).unwrap().decoders(0);
    let imported = bags.import(&mapping, &Definitions::default(), &mut recorder, write);
    recorder.finish(None).1.unwrap();
    let Err(ImportError::Incomplete(errors)) = imported else { panic!("{imported:?}") };
    assert!(errors.iter().any(|error| matches!(error, BagError::Changed { .. })), "{errors:?}");
}

#[test]
fn bags_that_follow_each_other_are_not_all_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (config, root) = (dir.path().join("all.yaml"), dir.path().join("root"));
    fs::write(&config, ALL).unwrap();
    let mut bags = Vec::new();
    for number in (0..30).rev() {
        let path = dir.path().join(format!("{number:02}.mcap"));
        let mut writer = mcap::Writer::new(fs::File::create(&path).unwrap()).unwrap();
        let schema = writer.add_schema(INT, "ros2msg", b"int32 data").unwrap();
        let channel_id = writer.add_channel(schema, "/n", "cdr", &Default::default()).unwrap();
        for value in number * 10..number * 10 + 10 {
            let log_time = 1 + value as u64;
            let header =
                mcap::records::MessageHeader { channel_id, sequence: 0, log_time, publish_time: 0 };
            writer.write_to_known_channel(&header, &int(value)).unwrap();
        }
        writer.finish().unwrap();
        bags.push(path);
    }
    // Each reads its own file and nothing but that: with so few handles, thirty could not be open.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 24; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_mldash_bridge")]);
    command.args(["import", "--json", "--experiment", RUN, "--root"]).arg(&root);
    let done = command.arg("--config").arg(&config).args(&bags).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let data = |row: &mldash_bridge::track::Row| format!("{:?}", row.fields.get("data"));
    let found: Vec<String> = rows(&root, "n").iter().map(data).collect();
    assert_eq!(found, values(0..300));
    let account: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(account["topics"][0]["notes"].get("clock_jumped_back"), None, "{account:#}");
}

#[test]
fn a_joined_account_names_the_bag_in_one_line() {
    let case = imported("cut\nhere.mcap", b"\x89MCAP0\r\n\x01");
    assert_eq!(case.done.code, 1, "{}", case.done.stderr);
    let failure = account(&case.done)["failure"].as_str().unwrap().to_owned();
    assert!(failure.contains("cut here.mcap is cut off"), "{failure}");
}
