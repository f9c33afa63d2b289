//! Python with the ML-Dash SDK.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter that `make setup` installs beside the sources; worktrees of git share the one of
/// their main checkout.
pub fn python() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = Command::new("git")
        .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .current_dir(sources)
        .output();
    let shared = git.ok().and_then(|done| String::from_utf8(done.stdout).ok());
    let main_checkout = shared.as_deref().and_then(|git| Path::new(git.trim()).parent());
    let pythons =
        [Some(sources), main_checkout].map(|root| Some(root?.join(".ros/venv/bin/python3")));
    let python = pythons.into_iter().flatten().find(|python| python.exists());
    python.expect("the ML-Dash SDK is not there: run make setup")
}
