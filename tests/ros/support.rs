//! Starts a graph, a bridge and robots in a line each.

mod bridge;
mod domain;
mod flood;
mod operator;
mod process;
mod robot;
#[path = "../support/terminal.rs"]
mod terminal;

pub use bridge::{Bridge, Recording};
pub use domain::Domain;
pub use flood::{Flood, flooded, numbers};
pub use operator::Operator;
pub use robot::{Robot, example};
pub use terminal::User;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A ROS graph of its own, and a folder for what is recorded from it.
pub struct Graph {
    domain: Domain,
    folder: tempfile::TempDir,
}

impl Graph {
    pub fn new() -> Self {
        Self { domain: Domain::take(), folder: tempfile::tempdir().unwrap() }
    }

    /// Its domain, for nodes of the test itself.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// A file or folder in this graph's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into this graph's folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts the bridge with a mapping.
    pub fn bridge(&self, mapping: &str) -> Bridge {
        let config = self.file("mapping.yaml", mapping);
        self.bridge_with(&["--config", config.to_str().unwrap()])
    }

    /// Starts the bridge with these arguments, and this graph's experiment and root.
    pub fn bridge_with(&self, args: &[&str]) -> Bridge {
        let root = self.path("root");
        let mut all = vec!["run", "--json", "--experiment", bridge::EXPERIMENT];
        all.extend(["--root", root.to_str().unwrap()]);
        all.extend(args);
        self.bare_bridge(&all)
    }

    /// Starts the bridge with these arguments alone.
    pub fn bare_bridge(&self, args: &[&str]) -> Bridge {
        Bridge::start(self.domain.id(), self.path("root"), args)
    }

    /// Generates an interface package into a folder of its own, long after the bridge was built: something to
    /// source.
    pub fn overlay(&self, package: &Path) -> PathBuf {
        let overlay = self.path("overlay");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build-interfaces");
        let built = Command::new(script).arg(package).arg("--into").arg(&overlay).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        overlay
    }

    /// As [`bridge`](Self::bridge), with such an overlay sourced.
    pub fn bridge_with_overlay(&self, mapping: &str, overlay: &Path) -> Bridge {
        self.bridge_by(mapping, |domain, root, args| {
            Bridge::start_with_overlay(domain, root, args, overlay)
        })
    }

    /// As [`bare_bridge`](Self::bare_bridge), with such an overlay sourced.
    pub fn bare_bridge_with_overlay(&self, args: &[&str], overlay: &Path) -> Bridge {
        Bridge::start_with_overlay(self.domain.id(), self.path("root"), args, overlay)
    }

    /// Starts the bridge where files can't grow beyond 32 KiB.
    pub fn bridge_in_little_space(&self, mapping: &str) -> Bridge {
        self.bridge_within("-f 64", mapping)
    }

    /// Starts the bridge within limits as the shell's `ulimit` takes them.
    pub fn bridge_within(&self, limits: &str, mapping: &str) -> Bridge {
        self.bridge_by(mapping, |domain, root, args| {
            Bridge::start_within(limits, domain, root, args)
        })
    }

    fn bridge_by(
        &self,
        mapping: &str,
        start: impl FnOnce(u32, PathBuf, &[&str]) -> Bridge,
    ) -> Bridge {
        let config = self.file("mapping.yaml", mapping);
        let (config, root) = (config.to_str().unwrap(), self.path("root"));
        let mut args = vec!["run", "--json", "--experiment", bridge::EXPERIMENT];
        args.extend(["--config", config, "--root", root.to_str().unwrap()]);
        start(self.domain.id(), root.clone(), &args)
    }

    /// Starts a scenario of `publisher.py`.
    pub fn robot(&self, scenario: &str) -> Robot {
        Robot::start(self.domain.id(), scenario, self.expected_file(scenario), "", None)
    }

    /// As [`robot`](Self::robot), with all its topics below a namespace.
    pub fn robot_in(&self, namespace: &str, scenario: &str) -> Robot {
        let file = self.expected_file(&format!("{scenario}{}", namespace.replace('/', ".")));
        Robot::start(self.domain.id(), scenario, file, namespace, None)
    }

    /// As [`robot`](Self::robot), with an interface package that only it knows.
    pub fn robot_with_overlay(&self, scenario: &str, overlay: &Path) -> Robot {
        let file = self.expected_file(scenario);
        Robot::start(self.domain.id(), scenario, file, "", Some(overlay))
    }

    /// As [`bridge`](Self::bridge), with a terminal for what it says.
    pub fn bridge_on_a_terminal(&self, mapping: &str) -> Bridge {
        self.bridge_by(mapping, Bridge::start_on_a_terminal)
    }

    /// As [`bridge`](Self::bridge), with a terminal for what it says that takes no text at all.
    pub fn bridge_on_a_held_terminal(&self, mapping: &str) -> Bridge {
        self.bridge_by(mapping, Bridge::start_on_a_held_terminal)
    }

    /// As [`bridge`](Self::bridge), with a terminal of its own, which somebody types at.
    pub fn bridge_at_a_keyboard(&self, mapping: &str, script: &str) -> (Bridge, User) {
        let config = self.file("mapping.yaml", mapping);
        let (config, root) = (config.to_str().unwrap(), self.path("root"));
        let mut args = vec!["run", "--json", "--experiment", bridge::EXPERIMENT];
        args.extend(["--config", config, "--root", root.to_str().unwrap()]);
        self.at_a_keyboard(&args, script)
    }

    /// Starts the program with these arguments at a terminal of its own.
    pub fn at_a_keyboard(&self, args: &[&str], script: &str) -> (Bridge, User) {
        Bridge::start_at_a_keyboard(self.domain.id(), self.path("root"), args, script)
    }

    /// Starts an operator: somebody on the graph who publishes, calls services, listens.
    pub fn operator(&self) -> Operator {
        Operator::start(self.domain.id(), None)
    }

    /// As [`operator`](Self::operator), with an interface package that only it knows.
    pub fn operator_with_overlay(&self, overlay: &Path) -> Operator {
        Operator::start(self.domain.id(), Some(overlay))
    }

    fn expected_file(&self, scenario: &str) -> PathBuf {
        self.path(&format!("{scenario}.expected"))
    }

    /// Starts a flood of so many topics, each at this rate.
    pub fn flood(&self, topics: u32, rate_hz: u32) -> Flood {
        Flood::start(example("flood"), self.domain.id(), topics, rate_hz)
    }

    /// Like [`flood`](Self::flood), without shared memory: Fast DDS's may be of no use to a process that stood still.
    pub fn flood_without_shared_memory(&self, topics: u32, rate_hz: u32) -> Flood {
        let mut flood = example("flood");
        flood.env("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4");
        Flood::start(flood, self.domain.id(), topics, rate_hz)
    }

    /// Runs one of `examples/` to its end.
    pub fn run_example(&self, name: &str, args: &[&str]) {
        process::run_to_end(example(name).args(args), self.domain.id());
    }

    /// Starts one of `examples/`.
    pub fn start_example(&self, name: &str, args: &[&str]) -> process::Process {
        process::Process::start(example(name).args(args), self.domain.id())
    }
}
