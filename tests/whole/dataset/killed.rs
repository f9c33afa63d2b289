//! An export that is killed in the middle leaves no half dataset, and the next one is not in its way.
//!
//! By hand: `MLDASH_KILLS=200 cargo test --no-default-features --test whole dataset::killed -- --nocapture`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mldash_bridge::fields;

use super::{START, png, record, record_picture};
use crate::kills::Kills;
use crate::program::{Program, program};

const RECIPE: &str = "{fps: 30, task: t, features: {x: {from: 'odom:x'}, front: {from: camera, as: image, size: [60, 80]}}}";

/// Several episodes, each long enough that a kill hits one in the middle.
fn record_long(root: &Path) {
    record_frames(root, 100);
}

fn record_frames(root: &Path, frames: u16) {
    for run in ["a", "b", "c"] {
        let exp = record(root, &format!("alice/lab/{run}"));
        for i in 0..frames {
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

/// Files below a folder, with their contents; `None` if it is not there.
fn tree(folder: &Path) -> Option<BTreeMap<PathBuf, Vec<u8>>> {
    fn walk(folder: &Path, below: &Path, tree: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder.join(below)).unwrap() {
            let path = below.join(entry.unwrap().file_name());
            match folder.join(&path).is_dir() {
                true => walk(folder, &path, tree),
                false => drop(tree.insert(path.clone(), fs::read(folder.join(&path)).unwrap())),
            }
        }
    }
    let mut found = BTreeMap::new();
    folder.is_dir().then(|| walk(folder, Path::new(""), &mut found)).map(|()| found)
}

fn copy(tree: &BTreeMap<PathBuf, Vec<u8>>, folder: &Path) {
    for (path, contents) in tree {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
}

/// One way to export, and what is there before and after it.
struct Way {
    args: Vec<String>,
    /// `None` if it makes a new dataset.
    before: Option<BTreeMap<PathBuf, Vec<u8>>>,
    after: BTreeMap<PathBuf, Vec<u8>>,
    takes: Duration,
}

impl Way {
    /// Measures it once.
    fn of(args: &[&str], before: Option<&Self>, out: &Path, base: &[String]) -> Self {
        let before = before.map(|way| way.after.clone());
        let args: Vec<String> =
            base.iter().cloned().chain(args.iter().map(|a| (*a).to_owned())).collect();
        let mut way = Self { args, before, after: BTreeMap::new(), takes: Duration::ZERO };
        let started = Instant::now();
        way.after = way.run_to_the_end(out);
        way.takes = started.elapsed();
        way
    }

    fn export(&self, target: &Path) -> Program {
        program(&self.args).arg("-o").arg(target)
    }

    /// From what is there before it; nothing else is left in `out`.
    fn run_to_the_end(&self, out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let target = out.join("set");
        let _ = fs::remove_dir_all(&target);
        self.before.iter().for_each(|before| copy(before, &target));
        self.go_on(out)
    }

    fn go_on(&self, out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let done = self.export(&out.join("set")).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert_eq!(names(out), ["set"]);
        tree(&out.join("set")).unwrap()
    }
}

#[test]
fn a_dataset_is_as_before_or_whole_whenever_its_export_is_killed_and_a_repeat_gives_the_same() {
    let mut kills = Kills::of("dataset", 8);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    record_frames(&root, 20);
    let (recipe, out) = (folder.path().join("recipe.yaml"), folder.path().join("out"));
    fs::write(&recipe, RECIPE).unwrap();
    fs::create_dir(&out).unwrap();
    let base = ["dataset", "--root", root.to_str().unwrap(), "--recipe", recipe.to_str().unwrap()];
    let base = base.map(str::to_owned);
    let mut ways = Vec::new();
    for format in ["lerobot", "parquet"] {
        let new = Way::of(&["--format", format, "alice/lab/[ab]"], None, &out, &base);
        let append = ["--format", format, "--append", "alice/lab/c"];
        let append = Way::of(&append, Some(&new), &out, &base);
        assert!(append.after.len() > 3 && append.after != new.after);
        ways.extend([new, append]);
    }
    let target = out.join("set");
    let (mut killed, mut absent_or_old) = (0, 0);
    for round in 0..kills.count {
        let way = &ways[round as usize % ways.len()];
        let _ = fs::remove_dir_all(&target);
        way.before.iter().for_each(|before| copy(before, &target));
        // What the last one left may be of another dataset.
        killed += u32::from(kills.kill(&mut way.export(&target).start(), way.takes));
        let left = tree(&target);
        let what = format!("round {round}: {:?}", way.args);
        let is_as_before = left == way.before;
        assert!(is_as_before || left.as_ref() == Some(&way.after), "{what}: half a dataset");
        assert!(names(&out).iter().all(|name| name == "set" || name == ".set.partial"), "{what}");
        if is_as_before {
            absent_or_old += 1;
            assert!(way.go_on(&out) == way.after, "{what}: another dataset");
        }
    }
    println!("dataset: {killed} kills, {absent_or_old} before it was in its place");
}
