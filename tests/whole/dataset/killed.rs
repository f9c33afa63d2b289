//! An export that is killed in the middle leaves no half dataset, and the next one is not in its way.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mldash_bridge::fields;

use super::{START, png, record, record_picture};
use crate::program::program;

const RECIPE: &str = "{fps: 30, task: t, features: {x: {from: 'odom:x'}, front: {from: camera, as: image, size: [60, 80]}}}";

/// Several episodes, each long enough that a kill hits one in the middle.
fn record_long(root: &Path) {
    for run in ["a", "b", "c"] {
        let exp = record(root, &format!("alice/lab/{run}"));
        for i in 0..100_u16 {
            let secs = START + f64::from(i) / 30.0;
            exp.tracks("odom").append(fields! { "x": f64::from(i) }, secs).unwrap();
            record_picture(&exp, "camera", i.into(), &png(160, 120, [i as u8; 3]), secs);
        }
        exp.close().unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_killed_export_leaves_no_dataset_and_the_next_one_clears_up_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    record_long(&root);
    let (recipe, out) = (folder.path().join("recipe.yaml"), folder.path().join("out"));
    fs::write(&recipe, RECIPE).unwrap();
    let target = out.join("set");
    let mut killed = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"))
        .args(["dataset", "alice/lab/*", "--root"])
        .arg(&root)
        .arg("--recipe")
        .arg(&recipe)
        .arg("-o")
        .arg(&target)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once frames of an episode are being written.
    let part = out.join(".set.partial/.parts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !part.read_dir().is_ok_and(|mut files| files.next().is_some()) {
        assert!(killed.try_wait().unwrap().is_none(), "it ended before it could be killed");
        assert!(Instant::now() < deadline, "it writes nothing");
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(
        names(&out),
        [".set.partial"],
        "no dataset, and what is left is named for what it is"
    );
    let done = program(["dataset", "alice/lab/*", "--root"])
        .arg(&root)
        .arg("--recipe")
        .arg(&recipe)
        .arg("-o")
        .arg(&target)
        .run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("which an export that was killed has left"), "{}", done.stderr);
    assert_eq!(names(&out), ["set"]);
    assert!(done.text().contains("3 episodes, 300 frames"), "{}", done.text());
}
