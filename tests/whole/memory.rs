//! What a track takes in memory when it is read: a part of it, not all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::Command;

use mldash_bridge::track::Format;

const RUN: &str = "alice/warehouse/run-1";

/// What the program may have of memory of its own, mapped or not.
const LIMIT_BYTES: u64 = 64 << 20;

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
        let done = Command::new("sh")
            .args(["-c", &format!("ulimit -d {}; exec \"$@\"", LIMIT_BYTES >> 10), "sh"])
            .args([env!("CARGO_BIN_EXE_mldash_bridge"), "read", RUN, "t", "--root"])
            .arg(root.path())
            .args(["--format", format.name(), "-o"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(done.status.success(), "{format}: {}", String::from_utf8_lossy(&done.stderr));
        assert!(fs::metadata(&out).unwrap().len() > 0, "{format}");
    }
}
