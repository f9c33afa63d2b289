//! What tracks and bags take in memory when they are read: a part of them, not all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};

use mldash_bridge::fields;
use mldash_bridge::track::{ColumnType, Experiment, Format, Options, RowSchema};

const RUN: &str = "alice/warehouse/run-1";

/// What the program may have of memory of its own, mapped or not.
const LIMIT_BYTES: u64 = 64 << 20;

/// `mldash_bridge` with so much memory of its own.
fn program_within(limit_bytes: u64) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {}; exec \"$@\"", limit_bytes >> 10), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_mldash_bridge"));
    command
}

#[test]
fn a_track_larger_than_the_memory_there_is_can_be_read_and_exported() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(RUN).join("tracks/t");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("data.jsonl");
    let mut data = BufWriter::new(File::create(&path).unwrap());
    let rows = 17_000;
    for i in 0..rows {
        let note = format!("{i:08}").repeat(512);
        writeln!(data, "{{\"timestamp\":{i}.5,\"q\":[{i}.25,0.1],\"note\":\"{note}\"}}").unwrap();
    }
    data.into_inner().unwrap().sync_all().unwrap();
    assert!(fs::metadata(&path).unwrap().len() > LIMIT_BYTES);

    for format in [Format::Json, Format::Parquet] {
        let out = root.path().join(format.name());
        let done = program_within(LIMIT_BYTES)
            .args(["read", RUN, "t", "--root"])
            .arg(root.path())
            .args(["--format", format.name(), "-o"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(done.status.success(), "{format}: {}", String::from_utf8_lossy(&done.stderr));
        assert!(fs::metadata(&out).unwrap().len() > 0, "{format}");
    }
}

/// As many columns as these took a gigabyte when all were encoded at once.
const WIDE_LIMIT_BYTES: u64 = 256 << 20;

#[test]
fn a_track_of_very_many_columns_can_be_exported_as_parquet() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(RUN).join("tracks/t");
    fs::create_dir_all(&folder).unwrap();
    let mut data = BufWriter::new(File::create(folder.join("data.jsonl")).unwrap());
    for row in 0..4 {
        write!(data, "{{\"timestamp\":{row}").unwrap();
        (0..20_000).for_each(|i| write!(data, ",\"c{i}\":{row}.5").unwrap());
        writeln!(data, "}}").unwrap();
    }
    drop(data);
    let out = root.path().join("wide.parquet");
    let read = |columns: &[&str]| {
        program_within(WIDE_LIMIT_BYTES)
            .args(["read", RUN, "t", "--format", "parquet", "--root"])
            .arg(root.path())
            .args(columns)
            .arg("-o")
            .arg(&out)
            .output()
            .unwrap()
    };
    let done = read(&[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let bytes = fs::read(&out).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));

    // More are refused with what to do.
    let mut data = File::options().append(true).open(folder.join("data.jsonl")).unwrap();
    let columns: String = (0..13_000).map(|i| format!(",\"d{i}\":0")).collect();
    writeln!(data, "{{\"timestamp\":9{columns}}}").unwrap();
    let refused = read(&[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("choose columns"), "{said}");
    assert!(said.contains("track `t`: 33000 columns"), "{said}");
    let chosen = read(&["--columns", "c7,d7"]);
    assert!(chosen.status.success(), "{}", String::from_utf8_lossy(&chosen.stderr));
}

/// Bags are put in order in 32 MiB, and as much lies between threads; the rest is room to work.
const IMPORT_LIMIT_BYTES: u64 = 144 << 20;

#[test]
fn a_bag_larger_than_the_memory_there_is_can_be_imported() {
    let dir = tempfile::tempdir().unwrap();
    let bag_path = dir.path().join("bag.mcap");
    let options = mcap::WriteOptions::new().compression(None);
    let mut bag = options.create(BufWriter::new(File::create(&bag_path).unwrap())).unwrap();
    let definition = b"string label\nuint8[] data\n";
    let schema = bag.add_schema("test_msgs/msg/Large", "ros2msg", definition).unwrap();
    let channel_id = bag.add_channel(schema, "/large", "cdr", &Default::default()).unwrap();
    let data = vec![7; 512 << 10];
    let messages = 400;
    for log_time in 1..=messages {
        let mut cdr = b"\0\x01\0\0\x04\0\0\0abc\0".to_vec();
        cdr.extend((data.len() as u32).to_le_bytes());
        cdr.extend(&data);
        let header =
            mcap::records::MessageHeader { channel_id, sequence: 0, log_time, publish_time: 0 };
        bag.write_to_known_channel(&header, &cdr).unwrap();
    }
    bag.finish().unwrap();
    drop(bag);
    assert!(fs::metadata(&bag_path).unwrap().len() > IMPORT_LIMIT_BYTES);
    let config = dir.path().join("m.yaml");
    fs::write(&config, "topics: [{topic: /large, stamp: receive, fields: [label]}]").unwrap();

    let done = program_within(IMPORT_LIMIT_BYTES)
        .args(["import", "--json", "--experiment", RUN, "--root"])
        .arg(dir.path().join("root"))
        .arg("--config")
        .args([&config, &bag_path])
        .output()
        .unwrap();

    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let account: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(account["topics"][0]["stored"], messages);
}

#[test]
fn a_track_of_two_clocks_larger_than_the_memory_there_is_is_closed_sorted_and_read() {
    let root = tempfile::tempdir().unwrap();
    let root_arg = root.path().to_str().unwrap();
    let rows = 100_000;
    let pad = "0123456789abcdef".repeat(45);
    let second = |i: u32| f64::from(i / 2) + f64::from(i % 2) * 1e9;
    let mut append = program_within(LIMIT_BYTES)
        .args(["append", RUN, "t", "--root", root_arg])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufWriter::new(append.stdin.take().unwrap());
    for i in 0..rows {
        writeln!(lines, "{{\"_ts\":{:?},\"n\":{i},\"pad\":\"{pad}\"}}", second(i)).unwrap();
    }
    drop(lines.into_inner().unwrap());
    assert!(append.wait().unwrap().success());

    let folder = root.path().join(RUN).join("tracks/t");
    assert!(fs::metadata(folder.join("data.jsonl")).unwrap().len() > LIMIT_BYTES);
    let leftovers = || {
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(".tmp")).count()
    };
    assert_eq!(leftovers(), 0);
    let out = root.path().join("out.jsonl");
    let read = |track: &str| {
        let done = program_within(LIMIT_BYTES)
            .args(["read", RUN, track, "--root", root_arg, "--format", "jsonl", "-o"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::read_to_string(&out).unwrap()
    };
    let closed = read("t");
    let mut times = closed.lines().map(|line| {
        let (ts, _) = line["{\"timestamp\":".len()..].split_once(',').unwrap();
        ts.parse::<f64>().unwrap()
    });
    let mut expected = (0..rows).map(second).collect::<Vec<_>>();
    expected.sort_by(f64::total_cmp);
    assert!(times.by_ref().eq(expected), "every row, in order of time");

    // The same rows as a killed recording leaves them: nobody has sorted them yet.
    let unsorted = root.path().join(RUN).join("tracks/u");
    fs::create_dir(&unsorted).unwrap();
    let mut data = BufWriter::new(File::create(unsorted.join("data.jsonl")).unwrap());
    for i in 0..rows {
        writeln!(data, "{{\"timestamp\":{:?},\"n\":{i},\"pad\":\"{pad}\"}}", second(i)).unwrap();
    }
    data.into_inner().unwrap();
    assert!(read("u") == closed);
}

/// A chunk and a picture of 4 MiB, some copies of each, and the list of files.
const RUN_LIMIT_BYTES: u64 = 80 << 20;

#[test]
fn a_run_larger_than_the_memory_there_is_becomes_one_mcap_file() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    let schema = RowSchema::new("/camera").type_name("sensor_msgs/msg/Image");
    let schema = ["path", "frame", "index", "bytes", "encoding"]
        .into_iter()
        .fold(schema, |schema, name| schema.column(name, ColumnType::Text));
    let camera = exp.tracks("camera").with_schema(schema);
    let mut picture = vec![0; 4 << 20];
    for index in 0..24 {
        // What can't be compressed.
        fastrand::Rng::with_seed(index).fill(&mut picture);
        exp.files("camera").save_bytes(&picture, &format!("{index}.png")).unwrap();
        let row = fields! { "path": format!("camera/{index}.png") };
        camera.append(row, index as f64).unwrap();
    }
    exp.close().unwrap();
    let out = root.path().join("run.mcap");
    let done = program_within(RUN_LIMIT_BYTES)
        .args(["export", RUN, "--root"])
        .arg(root.path())
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(fs::metadata(&out).unwrap().len() > RUN_LIMIT_BYTES);
}
