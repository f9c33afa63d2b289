//! More tracks than the process may have files open.

use std::fs;
use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};

use super::made_bag::{MadeBag, STAMPED, stamped};
use super::program::program;

const TRACKS: u32 = 150;
const ROWS: u32 = 4;

#[test]
fn every_row_of_more_tracks_than_open_files_is_stored() {
    let mut bag = MadeBag::new();
    for i in 0..ROWS {
        for track in 0..TRACKS {
            let nanos = 1_700_000_000_000_000_000 + i64::from(i) * 1_000_000;
            let cdr = stamped(nanos, f64::from(i));
            bag.add(&format!("/sensor_{track}"), STAMPED, nanos.unsigned_abs(), &cdr);
        }
    }
    // Rows are flushed one by one, so that every track is written to again after all others.
    let mapping = "flush: {batch: 1}\ntopics: [{topic: /**}]";
    let imported = bag.import_by(mapping, |import| import.open_files("-n 64"));
    for track in 0..TRACKS {
        let rows = imported.rows(&format!("sensor_{track}"));
        assert_eq!(rows.len(), ROWS as usize, "sensor_{track}: {}", imported.done.stderr);
    }
    let stderr = &imported.done.stderr;
    assert!(!stderr.contains("ERROR") && !stderr.contains("open files"), "{stderr}");
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "alice s3cret\n").unwrap();
    let serve = program(["serve", "--listen", "127.0.0.1:0", "--root"]);
    let serve = serve.arg(folder.path()).arg("--token-file").arg(tokens);
    let mut serve = serve.open_files("-Sn 64").start();
    let mut said = String::new();
    BufReader::new(serve.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", serve.id())).unwrap();
    kill_process(Pid::from_child(&serve), Signal::TERM).unwrap();
    serve.wait().unwrap();
    assert!(!said.is_empty(), "it has started");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit: Vec<_> = limit.split_whitespace().take(2).collect();
    assert_eq!(limit[0], limit[1], "soft and hard");
    assert_ne!(limit[0], "64");
}
