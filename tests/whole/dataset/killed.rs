//! An export that is killed in the middle leaves no half dataset, and the next one is not in its way.

use std::fs;
use std::os::unix::process::CommandExt;
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
fn an_export_that_is_stopped_says_that_nothing_is_left() {
    // Encoding takes long enough for a signal to arrive.
    if !super::video::has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    record_long(&root);
    let (recipe, out) = (folder.path().join("recipe.yaml"), folder.path().join("out"));
    fs::write(&recipe, RECIPE.replace("as: image, size: [60, 80]", "as: video, size: [480, 640]"))
        .unwrap();
    let stopped = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"))
        .args(["dataset", "alice/lab/*", "--root"])
        .arg(&root)
        .arg("--recipe")
        .arg(&recipe)
        .arg("-o")
        .arg(out.join("set"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // As in a terminal, where the signal goes to all of the group.
        .process_group(0)
        .spawn()
        .unwrap();
    let part = out.join(".set.partial/.parts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !part.read_dir().is_ok_and(|mut files| files.next().is_some()) {
        assert!(Instant::now() < deadline, "it writes nothing");
        std::thread::yield_now();
    }
    let group = rustix::process::Pid::from_child(&stopped);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    let done = stopped.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("stopped; nothing was written"), "{told}");
    assert!(told.contains("what was written so far is removed"), "{told}");
    assert!(!out.exists());
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
