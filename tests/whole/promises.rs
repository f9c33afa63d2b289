//! What README and docs/RELIABILITY.md promise of a kill, with real processes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use mldash_bridge::track::Options;

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
    assert_eq!(Options::DEFAULT_FLUSH_INTERVAL, Duration::from_millis(500));
    let root = tempfile::tempdir().unwrap();
    let mut append = program(["append", RUN, "t", "--root"]).arg(root.path()).start();
    let mut stdin = append.stdin.take().unwrap();
    // Each is flushed by the interval alone: nothing comes after it.
    for row in 1..=6 {
        writeln!(stdin, "{{\"_ts\": {row}}}").unwrap();
        stdin.flush().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while lines(root.path()) < row {
            assert!(Instant::now() < deadline, "row {row} is not flushed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    append.kill().unwrap();
    append.wait().unwrap();
    assert_eq!(lines(root.path()), 6);
}
