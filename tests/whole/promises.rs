//! What README and docs/RELIABILITY.md promise of a kill, with real processes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::program::program;

const RUN: &str = "alice/warehouse/run-1";
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn lines(root: &Path) -> usize {
    let path = root.join(RUN).join("tracks/t/data.jsonl");
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_kill_costs_no_row_that_is_older_than_half_a_second_though_nothing_is_set() {
    let root = tempfile::tempdir().unwrap();
    let mut append = program(["append", RUN, "t", "--root"]).arg(root.path()).start();
    let mut stdin = append.stdin.take().unwrap();
    let mut waits = Vec::new();
    for row in 1..=6 {
        writeln!(stdin, "{{\"_ts\": {row}}}").unwrap();
        stdin.flush().unwrap();
        let sent = Instant::now();
        while lines(root.path()) < row {
            assert!(sent.elapsed() < PATIENCE, "row {row} is not flushed");
            std::thread::sleep(Duration::from_millis(5));
        }
        waits.push(sent.elapsed());
    }
    append.kill().unwrap();
    append.wait().unwrap();
    assert_eq!(lines(root.path()), 6);
    // A loaded machine may hold up some of them, but not each for as long as the SDK's 5 s.
    let shortest = waits[1..].iter().min().unwrap();
    assert!(*shortest < Duration::from_millis(1500), "{waits:?}");
}
