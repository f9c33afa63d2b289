//! A robot, a server, and the network between them.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{
    Experiment, Export, Format, Options, Query, Remote, RunStatus, SyncState, SyncStatus, Synced,
};
use serde_json::Value as Json;

use crate::fault_proxy::Proxy;
use crate::server::{Server, TOKEN};

/// What is recorded here.
pub const RUN: &str = "alice/warehouse/monday/run-1";
/// How long anything may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// All of it. The client knows the server by the proxy's address.
pub struct Lab {
    folder: tempfile::TempDir,
    server: Option<Server>,
    pub proxy: Proxy,
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("server"));
        let proxy = Proxy::start(server.address.parse().unwrap());
        fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        Self { folder, server: Some(server), proxy }
    }

    /// The robot's root.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("robot")
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub fn server_root(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    /// Impatient, so that tests are not.
    pub fn remote(&self) -> Remote {
        Remote::new(self.proxy.url())
            .token_file(self.token_file())
            .request_timeout(Duration::from_secs(2))
            .retry_delays(Duration::from_millis(20), Duration::from_millis(200))
    }

    pub fn options(&self) -> Options {
        Options::local(self.root())
            .flush_interval(Duration::from_millis(20))
            .remote(self.remote())
            .remote_timeout(PATIENCE)
    }

    /// Opens the run to record and to upload.
    pub fn record(&self) -> Experiment {
        Experiment::open(RUN, self.options()).unwrap()
    }

    /// The run as it lies here.
    pub fn recorded(&self) -> Experiment {
        Experiment::open_read_only(RUN, self.root()).unwrap()
    }

    /// Uploads the run as it lies here, to the end.
    pub fn sync(&self, remote: &Remote) -> Synced {
        self.recorded().sync(remote, |_| ControlFlow::Continue(())).unwrap()
    }

    /// SIGKILL for the server.
    pub fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
        self.proxy.cut_open();
    }

    /// It comes back, on another port.
    pub fn restart_server(&mut self) {
        let server = Server::start(&self.server_root());
        self.proxy.set_upstream(server.address.parse().unwrap());
        self.server = Some(server);
    }

    /// What the server was told of the run.
    pub fn status_on_server(&self) -> Option<RunStatus> {
        Experiment::open_read_only(RUN, self.server_root()).unwrap().notes().unwrap().status
    }

    /// The rows of a track on the server, as strict JSON.
    pub fn on_server(&self, topic: &str) -> Vec<Json> {
        rows(&self.server_root(), topic)
    }

    /// The rows of a track here.
    pub fn here(&self, topic: &str) -> Vec<Json> {
        rows(&self.root(), topic)
    }

    /// Every track has the same rows on the server as here.
    pub fn assert_same(&self, because: &str) {
        let tracks = self.recorded().list().unwrap();
        assert!(!tracks.is_empty());
        for track in tracks {
            let (here, there) = (self.here(&track.topic), self.on_server(&track.topic));
            assert_eq!(here.len(), there.len(), "{because}: rows of {}", track.topic);
            for (here, there) in here.iter().zip(&there) {
                assert_eq!(here, there, "{because}: {}", track.topic);
            }
        }
    }
}

fn rows(root: &Path, topic: &str) -> Vec<Json> {
    let Ok(exp) = Experiment::open_read_only(RUN, root) else { return Vec::new() };
    let strict = Export::from(Format::Jsonl).strict();
    let text = exp.tracks(topic).export(&Query::all(), strict).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Appends rows `from..to` at 100 Hz.
pub fn append(exp: &Experiment, topic: &str, rows: std::ops::Range<u32>) {
    for i in rows {
        let ts = f64::from(i) / 100.0;
        exp.tracks(topic).append(fields! { "q": [i, 2 * i], "mode": "hold" }, ts).unwrap();
    }
}

/// Waits until the upload is as `is_so` wants it.
pub fn await_status(exp: &Experiment, is_so: impl Fn(&SyncStatus) -> bool) -> SyncStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = exp.sync_status().unwrap();
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "it stays like this: {status:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn is_failing(status: &SyncStatus) -> bool {
    matches!(status.state, SyncState::Failing { .. })
}

/// Waits until it is so.
pub fn await_that(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
