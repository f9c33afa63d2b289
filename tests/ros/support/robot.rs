//! Publishers: rclpy scenarios and the r2r programs of `examples/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Ended, Process};

/// A running scenario of `publisher.py`.
pub struct Robot {
    process: Process,
    expected: PathBuf,
}

impl Robot {
    pub fn start(
        domain: u32,
        scenario: &str,
        expected: PathBuf,
        namespace: &str,
        overlay: Option<&Path>,
    ) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ros/publisher.py");
        let mut python = Command::new("python3");
        if let Some(prefix) = overlay {
            source(&mut python, prefix);
        }
        let process =
            Process::start(python.arg(script).arg(scenario).arg(&expected).arg(namespace), domain);
        Self { process, expected }
    }

    /// Waits until a scenario that publishes on its own has done so.
    pub fn wait_until_published(&self) {
        self.process.wait_for_stdout("published");
    }

    /// Lets the scenario end, and returns the rows that it expects: track and JSON, in order.
    pub fn finish(mut self) -> Vec<(String, String)> {
        // One that waits for nothing has ended, or ignores the line.
        self.process.go_on();
        let Ended { status, stdout, stderr } = self.process.end();
        assert!(status.success(), "the robot failed:\n{stdout}{stderr}");
        fs::read_to_string(&self.expected).unwrap().lines().map(expected_row).collect()
    }
}

/// `{"track": "…", "row": {…}}`, whose row may hold NaN and so is no strict JSON.
fn expected_row(line: &str) -> (String, String) {
    let rest = line.strip_prefix("{\"track\": \"").unwrap();
    let (track, rest) = rest.split_once("\", \"row\": ").unwrap();
    (track.to_owned(), rest.strip_suffix('}').unwrap().to_owned())
}

/// An example program, built by `cargo test`.
pub fn example(name: &str) -> Command {
    let bridge = Path::new(env!("CARGO_BIN_EXE_mldash_bridge"));
    let path = bridge.with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: build it with `cargo build --examples`", path.display());
    Command::new(path)
}

/// Gives a command an interface package that was built into `prefix`, as sourcing it would.
pub fn source(command: &mut Command, prefix: &Path) {
    let lib = prefix.join("lib");
    let versions = fs::read_dir(&lib).unwrap().map(|entry| entry.unwrap().path());
    let python_dir = versions.into_iter().find(|path| path.join("site-packages").exists());
    prepend(command, "PYTHONPATH", &python_dir.unwrap().join("site-packages"));
    prepend(command, "LD_LIBRARY_PATH", &lib);
    prepend(command, "AMENT_PREFIX_PATH", prefix);
}

fn prepend(command: &mut Command, variable: &str, path: &Path) {
    let rest = std::env::var(variable).unwrap_or_default();
    command.env(variable, format!("{}:{rest}", path.display()));
}
