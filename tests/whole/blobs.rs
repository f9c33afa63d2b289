//! Pictures, clouds and other large byte arrays as files: made by the whole program from bags, opened
//! with the readers of others, compared with the bytes that were sent.

mod clouds;
mod made;
mod pictures;
mod rules;

use std::path::Path;
use std::process::Command;

use super::program::program;
use super::python::oracle_python;

#[test]
fn the_files_of_a_recorded_robot_hold_what_its_bag_holds() {
    let bag = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sena_lab_loop.mcap");
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("mapping.yaml");
    std::fs::write(&config, "topics:\n  - topic: /points\n  - topic: /camera/**\n").unwrap();
    let import = program(["import", "--experiment", "tests/blobs/run"]).arg("--root");
    let done = import.arg(root.path()).arg("--config").arg(&config).arg(&bag).run();
    assert_eq!(done.code, 0, "{}", done.stderr);

    let compared = Command::new(oracle_python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/same_as_bag.py"))
        .arg(&bag)
        .arg(root.path().join("tests/blobs/run"))
        .args(["/points", "/camera/image_raw/compressed"])
        .output()
        .unwrap();
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    assert_eq!(String::from_utf8_lossy(&compared.stdout).trim(), "230");
}
