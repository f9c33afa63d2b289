//! Pythons with the packages that tests need.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Python with the ML-Dash SDK.
pub fn python() -> PathBuf {
    installed("venv")
}

/// Python with the readers and writers of others (`requirements/oracles.txt`).
pub fn oracle_python() -> PathBuf {
    installed("oracles")
}

/// What `make setup` installs beside the sources; worktrees of git share that of their main checkout.
fn installed(venv: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = Command::new("git")
        .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .current_dir(sources)
        .output();
    let shared = git.ok().and_then(|done| String::from_utf8(done.stdout).ok());
    let main_checkout = shared.as_deref().and_then(|git| Path::new(git.trim()).parent());
    let pythons = [Some(sources), main_checkout]
        .map(|root| Some(root?.join(".ros").join(venv).join("bin/python3")));
    let python = pythons.into_iter().flatten().find(|python| python.exists());
    python.unwrap_or_else(|| panic!(".ros/{venv} is not there: run make setup"))
}
