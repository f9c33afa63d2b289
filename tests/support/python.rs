//! Pythons with the packages that tests need.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Python with the ML-Dash SDK.
pub fn python() -> PathBuf {
    let whole = |venv: &Path| venv.join(".complete").exists();
    let found = installed("venv", whole).or_else(|| installed("sdk", whole));
    found.unwrap_or_else(|| install("sdk"))
}

/// Python with the readers and writers of others (`requirements/oracles.txt`).
pub fn oracle_python() -> PathBuf {
    up_to_date("oracles")
}

/// Python with what editors use of JSON Schemas (`requirements/schema.txt`).
pub fn schema_python() -> PathBuf {
    up_to_date("schema")
}

/// Python that drives a browser (`requirements/browser.txt`), and the browser; `None` if there is none.
pub fn browser() -> Option<(PathBuf, PathBuf)> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new(sources.join("scripts/find-browser")).output().unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    found.status.success().then(|| (up_to_date("browser"), path.trim().into()))
}

/// Python with what `requirements/VENV.txt` says now; another checkout's may be older.
fn up_to_date(venv: &str) -> PathBuf {
    let requirements = format!("requirements/{venv}.txt");
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join(requirements);
    let requirements = std::fs::read(requirements).unwrap();
    let is_up_to_date = |venv: &Path| {
        std::fs::read(venv.join(".complete")).is_ok_and(|complete| complete == requirements)
    };
    installed(venv, is_up_to_date).unwrap_or_else(|| install(venv))
}

/// What was installed beside the sources; worktrees of git share that of their main checkout.
fn installed(venv: &str, is_whole: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = Command::new("git")
        .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .current_dir(sources)
        .output();
    let shared = git.ok().and_then(|done| String::from_utf8(done.stdout).ok());
    let main_checkout = shared.as_deref().and_then(|git| Path::new(git.trim()).parent());
    let venvs = [Some(sources), main_checkout].map(|root| Some(root?.join(".ros").join(venv)));
    let mut whole = venvs.into_iter().flatten().filter(|venv| is_whole(venv));
    whole.next().map(|venv| venv.join("bin/python3"))
}

/// Where nobody has run `make setup`, as on a machine without ROS.
fn install(venv: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let done = Command::new(sources.join("scripts/test-python")).arg(venv).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    sources.join(".ros").join(venv).join("bin/python3")
}
