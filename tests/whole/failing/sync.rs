//! `sync` from a disk that fails.

use std::path::{Path, PathBuf};

use mldash_bridge::track::Options;

use super::*;
use crate::liar::Liar;

/// A run with 50 rows, one of which a server may dislike, and a file.
struct Lab {
    folder: tempfile::TempDir,
    before: PathBuf,
    token: PathBuf,
    expected: BTreeMap<String, String>,
}

/// In the row that a server may dislike.
const BAD: &str = "\"bad\"";

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let before = folder.path().join("before");
        let row = |n: u32| match n {
            13 => format!("{{\"_ts\": {n}, \"q\": {BAD}}}\n"),
            _ => format!("{{\"_ts\": {n}, \"q\": {n}}}\n"),
        };
        let append = program(["append", RUN, "arm", "--root"]).arg(&before);
        well(append.stdin((0..50).map(row).collect::<String>()));
        let exp = Experiment::open(RUN, Options::local(&before)).unwrap();
        exp.files("frames").save_bytes([7; 5000], "7.bin").unwrap();
        exp.close().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, TOKEN).unwrap();
        let expected = tracks(&before);
        Self { folder, before, token, expected }
    }

    /// A copy of the run, and a server.
    fn set_up(&self, name: &str) -> (PathBuf, Server) {
        let root = self.folder.path().join(name);
        copy(&self.before, &root);
        let server = Server::start(&self.folder.path().join(format!("server-{name}")));
        (root, server)
    }

    fn sync(&self, root: &Path, url: &str) -> Program {
        let sync = program(["sync", RUN, "--drop-synced", "--remote", url, "--root"]).arg(root);
        let sync = sync.arg("--token-file").arg(&self.token);
        sync.env("ML_DASH_MAX_RETRIES", "1").env("ML_DASH_RETRY_BASE_DELAY", "0.05")
    }

    fn assert_all_on(&self, server: &Server, what: &str) {
        assert_eq!(tracks(server.root()), self.expected, "{what}");
        let files = Experiment::open_read_only(RUN, server.root()).unwrap().files("");
        assert_eq!(files.read("frames/7.bin").unwrap(), [7; 5000], "{what}");
    }
}

/// Every row is here or there.
fn assert_nothing_lost(here: &Path, server: &Server, what: &str) {
    let mut all: Vec<String> = Vec::new();
    for side in [here, server.root()] {
        all.extend(tracks(side).values().flat_map(|text| text.lines()).map(str::to_owned));
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 50, "{what}: rows are lost");
}

#[test]
fn sync_on_a_failing_disk_removes_nothing_that_the_server_lacks_and_goes_on() {
    if !FailingCalls::are_possible() {
        return;
    }
    let lab = Lab::new();
    let try_at = |fault: Fault, at: u64| {
        let what = format!("sync, {fault:?} at call {at}");
        let (root, server) = lab.set_up(&format!("{fault:?}-{at}"));
        let calls = FailingCalls { root: &root, fault, at };
        let done = calls.of(lab.sync(&root, &server.url())).run();
        assert_ended_in_words(&done, &root, &what);
        let count = calls.count();
        assert_nothing_lost(&root, &server, &what);
        if done.code == 0 {
            assert_eq!(tracks(server.root()), lab.expected, "{what}: it said that all is there");
        }
        well(lab.sync(&root, &server.url()));
        lab.assert_all_on(&server, &what);
        count
    };
    for fault in Fault::ALL {
        let count = try_at(fault, 0);
        each_of(&places(count, 12), |at| {
            try_at(fault, at);
        });
    }
}

#[test]
fn sync_on_a_failing_disk_forgets_nothing_that_the_server_refused() {
    if !FailingCalls::are_possible() {
        return;
    }
    let lab = Lab::new();
    let try_at = |fault: Fault, at: u64, is_again: bool| {
        let what = format!("refused, {fault:?} at call {at}, again: {is_again}");
        let (root, server) = lab.set_up(&format!("{fault:?}-{at}-{is_again}"));
        let picky = Liar::start(server.address.parse().unwrap());
        picky.refuse("/append_batch ", |request| {
            request.text().contains(BAD).then_some("400 Bad Request")
        });
        let sync = || lab.sync(&root, &picky.url());
        if is_again {
            assert_eq!(sync().run().code, 1, "{what}");
        }
        let calls = FailingCalls { root: &root, fault, at };
        let done = calls.of(sync()).run();
        assert_ended_in_words(&done, &root, &what);
        assert_ne!(done.code, 0, "{what}: {}", done.stderr);
        let count = calls.count();
        assert_nothing_lost(&root, &server, &what);
        let refused = sync().run();
        assert_eq!(refused.code, 1, "{what}: {}", refused.stderr);
        let said = "1 rows and 0 files were refused";
        assert!(refused.stderr.contains(said), "{what}: {}", refused.stderr);
        picky.tell_the_truth();
        well(sync());
        lab.assert_all_on(&server, &what);
        count
    };
    for (fault, is_again) in Fault::ALL.into_iter().flat_map(|f| [(f, false), (f, true)]) {
        let count = try_at(fault, 0, is_again);
        // A single failure is what is forgotten most easily.
        let at_most = if matches!(fault, Fault::OneError) { 40 } else { 4 };
        each_of(&places(count, at_most), |at| {
            try_at(fault, at, is_again);
        });
    }
}
