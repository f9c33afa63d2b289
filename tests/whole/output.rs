//! Where `-o` leads, and what is never replaced: of `read`, which shares it with `align` and `init`.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};

use crate::failing_calls::{FailingCalls, Fault};
use crate::program::{Done, program};

const RUN: &str = "alice/warehouse/run-1";
const ROWS: &str = "{\"timestamp\":1.0,\"a\":1}\n{\"timestamp\":2.0,\"a\":2}\n";

/// An experiment with the track `arm`.
fn recorded() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    for i in 1..=2 {
        exp.tracks("arm").append(fields! { "a": i }, f64::from(i)).unwrap();
    }
    exp.close().unwrap();
    root
}

fn read(root: &Path, output: &Path) -> Done {
    let read = program(["read", RUN, "arm", "--format", "jsonl", "--root"]).arg(root);
    read.arg("-o").arg(output).run()
}

/// What is in a folder besides.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_file_takes_the_place_of_the_old_one_only_once_it_is_on_the_disk() {
    if !FailingCalls::are_possible() {
        return;
    }
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let folder = out.path().join("out");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("rows.jsonl");
    fs::write(&path, "old").unwrap();
    let read_while_sync_fails = |at| {
        let read = program(["read", RUN, "arm", "--format", "jsonl", "--root"]).arg(root.path());
        FailingCalls { root: &folder, fault: Fault::Sync, at }.of(read.arg("-o").arg(&path)).run()
    };
    let done = read_while_sync_fails(1);
    assert!(done.code == 1 && done.stderr.contains(path.to_str().unwrap()), "{}", done.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(&folder), ["rows.jsonl"]);
    // The second one is that of the folder, where the new name is.
    let done = read_while_sync_fails(2);
    assert!(done.code == 1 && done.stderr.contains(path.to_str().unwrap()), "{}", done.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), ROWS);
    assert_eq!(read_while_sync_fails(0).code, 0);
}

#[test]
fn a_file_system_that_can_not_sync_gets_the_file_all_the_same() {
    if !FailingCalls::are_possible() {
        return;
    }
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let (folder, fault) = (out.path().join("out"), Fault::SyncUnsupported);
    fs::create_dir(&folder).unwrap();
    let path = folder.join("rows.jsonl");
    let read = program(["read", RUN, "arm", "--format", "jsonl", "--root"]).arg(root.path());
    let calls = FailingCalls { root: &folder, fault, at: 1 };
    let done = calls.of(read.arg("-o").arg(&path)).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(calls.count(), 2, "the file and its folder");
    assert_eq!(fs::read_to_string(&path).unwrap(), ROWS);
}

#[test]
fn a_folder_that_may_be_written_and_not_be_read_gets_the_file() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let folder = out.path().join("in-box");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o300)).unwrap();
    let path = folder.join("rows.jsonl");
    let read = program(["read", RUN, "arm", "--format", "jsonl", "--root"]).arg(root.path());
    let done = read.arg("-o").arg(&path).without_privileges().run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), ROWS);
}

#[test]
fn a_device_is_written_into_and_stays_a_device() {
    let root = recorded();
    let done = read(root.path(), Path::new("/dev/null"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(fs::symlink_metadata("/dev/null").unwrap().file_type().is_char_device());
    let full = read(root.path(), Path::new("/dev/full"));
    assert_eq!(full.code, 1, "{}", full.stderr);
    assert!(fs::symlink_metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn a_fifo_and_a_socket_are_written_into() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let fifo = out.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = out.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let from_fifo = fifo.clone();
    let readers = [
        thread::spawn(move || {
            let mut text = String::new();
            File::open(from_fifo).unwrap().read_to_string(&mut text).unwrap();
            text
        }),
        thread::spawn(move || {
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            text
        }),
    ];
    for place in [&fifo, &socket] {
        let done = read(root.path(), place);
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    for reader in readers {
        assert_eq!(reader.join().unwrap(), ROWS);
    }
    assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
}

#[test]
fn a_symlink_stays_and_its_target_is_written() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let (elsewhere, there) = (out.path().join("elsewhere"), out.path().join("there"));
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(&there).unwrap();
    // One to a file that is there, one by way of another to none yet.
    fs::write(elsewhere.join("old"), "old").unwrap();
    symlink("../elsewhere/old", there.join("link")).unwrap();
    symlink("../elsewhere/new", there.join("first")).unwrap();
    symlink("first", there.join("second")).unwrap();
    for link in ["link", "second"] {
        let done = read(root.path(), &there.join(link));
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(there.join(link).is_symlink());
        assert_eq!(fs::read_to_string(there.join(link)).unwrap(), ROWS);
    }
    assert_eq!(names(&elsewhere), ["new", "old"]);

    symlink("around", there.join("around")).unwrap();
    let done = read(root.path(), &there.join("around"));
    assert_eq!(done.code, 1, "{}", done.stderr);
}

#[test]
fn a_file_is_replaced_once_the_new_one_is_whole_and_keeps_its_permissions() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let file = out.path().join("rows");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    // What others left beside it is theirs.
    fs::write(out.path().join("rows.partial"), "another's").unwrap();
    let absent =
        program(["read", RUN, "leg", "--root"]).arg(root.path()).arg("-o").arg(&file).run();
    assert_eq!(absent.code, 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");

    assert_eq!(read(root.path(), &file).code, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), ROWS);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(out.path().join("rows.partial")).unwrap(), "another's");
    assert_eq!(names(out.path()), ["rows", "rows.partial"]);

    let folder = read(root.path(), out.path());
    assert_eq!(folder.code, 2, "{}", folder.stderr);
    assert!(folder.stderr.contains("is a folder"), "{}", folder.stderr);
}

#[test]
fn a_dash_is_stdout_and_what_stdout_leads_to_is_not_replaced() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let done = read(root.path(), Path::new("-"));
    assert_eq!((done.code, done.text()), (0, ROWS));
    // As a shell redirects: `{ echo first; mldash_bridge read … -o /dev/stdout; } > file`.
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let file = out.path().join("file");
        let mut stdout = File::create(&file).unwrap();
        std::io::Write::write_all(&mut stdout, b"first\n").unwrap();
        let mut read = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        read.args(["read", RUN, "arm", "--format", "jsonl", "--root"]).arg(root.path());
        let status = read.args(["-o", name]).stdout(stdout).status().unwrap();
        assert!(status.success());
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("first\n{ROWS}"), "{name}");
    }
    // A file that another descriptor has open is written behind what is there.
    let file = out.path().join("log");
    let log = File::options().create(true).append(true).open(&file).unwrap();
    std::io::Write::write_all(&mut &log, b"first\n").unwrap();
    let mut read = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
    read.args(["read", RUN, "arm", "--format", "jsonl", "-o", "/dev/stderr", "--root"]);
    let status = read.arg(root.path()).stderr(log).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("first\n{ROWS}"));
}

#[test]
fn a_name_says_the_format_and_may_not_say_another() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let output = |name: &str, args: &[&str]| {
        let read = program(["read", RUN, "arm", "--root"]).arg(root.path());
        read.arg("-o").arg(out.path().join(name)).args(args).run()
    };
    for (name, args, start) in [
        ("a.csv", &[][..], "timestamp,a\n1.0,1\n"),
        ("a.CSV", &[], "timestamp,a\n"),
        ("a.ndjson", &[], ROWS),
        ("a.json", &[], "{\"entries\":["),
        ("mocap.json", &["--format", "mocap"], "{\"version\":"),
        ("a.txt", &["--format", "csv"], "timestamp,a\n"),
        ("plain", &[], "{\"entries\":["),
        ("a.pq", &[], "PAR1"),
    ] {
        let done = output(name, args);
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        let written = fs::read(out.path().join(name)).unwrap();
        assert!(written.starts_with(start.as_bytes()), "{name}");
        fs::remove_file(out.path().join(name)).unwrap();
    }
    for (name, args, reason) in [
        ("a.csv", &["--format", "json"][..], "is called csv and `--format` says json"),
        ("a.json", &["--format", "jsonl"], "is called json and `--format` says jsonl"),
        ("a.xlsx", &[], "does not say in which format; say it with `--format`, or call it .json"),
    ] {
        let done = output(name, args);
        assert_eq!(done.code, 2, "{name}: {}", done.stderr);
        assert!(done.stderr.contains(reason), "{name}: {}", done.stderr);
    }
    let align = ["align", RUN, "--on", "arm", "--with", "arm2", "-o", "a.mcap", "--root"];
    let align = program(align).arg(root.path()).run();
    assert_eq!(align.code, 2);
    assert!(align.stderr.contains("this command does not write mcap"), "{}", align.stderr);
    assert!(names(out.path()).is_empty());
}

#[test]
fn a_column_or_track_that_is_not_there_is_told_and_nothing_written() {
    let (root, out) = (recorded(), tempfile::tempdir().unwrap());
    let file = out.path().join("rows.jsonl");
    let read = |track: &str, columns: &str| {
        let read = program(["read", RUN, track, "--columns", columns, "--root"]).arg(root.path());
        read.arg("-o").arg(&file).run()
    };
    let column = read("arm", "a,angle");
    assert_eq!(column.code, 1);
    let reason = "track `arm` has no column `angle`; there are: a";
    assert!(column.stderr.contains(reason), "{}", column.stderr);
    let track = read("leg", "a");
    assert_eq!(track.code, 1);
    let reason = format!("experiment {RUN} has no track `leg`; there are: arm");
    assert!(track.stderr.contains(&reason), "{}", track.stderr);
    assert!(names(out.path()).is_empty());
    // The time is always there.
    assert_eq!(read("arm", "timestamp,a").code, 0);
    assert_eq!(fs::read_to_string(file).unwrap(), ROWS);
}

#[test]
fn lines_end_with_a_newline_and_no_rows_are_no_line() {
    let root = recorded();
    let jsonl = ["read", RUN, "arm", "--format", "jsonl", "--start"];
    let read = |start: &str| program(jsonl).arg(start).arg("--root").arg(root.path()).run();
    assert_eq!(read("2").text(), "{\"timestamp\":2.0,\"a\":2}\n");
    assert_eq!(read("3").text(), "");
}
