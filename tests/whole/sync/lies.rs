//! Servers that say they have what they do not have. Nothing is removed on their word.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use mldash_bridge::track::{
    Experiment, Keep, Remote, RemoteError, SyncState, SyncStatus, Synced, TrackError, one_line,
};

use super::lab::{Lab, PATIENCE, RUN, append, await_status, is_failing};
use crate::liar::{
    Answer, Liar, Raw, drip, endless, first_hundred_lines, gzipped_refusal, long_refusal,
    right_count,
};

/// A lab whose robot knows the server by a liar's address.
struct LyingLab {
    lab: Lab,
    liar: Liar,
}

impl LyingLab {
    fn new() -> Self {
        let lab = Lab::new();
        let liar = Liar::start(lab.proxy.address());
        Self { lab, liar }
    }

    /// What the server has is to be removed here.
    fn remote(&self) -> Remote {
        Remote::new(self.liar.url())
            .token_file(self.lab.token_file())
            .request_timeout(Duration::from_secs(10))
            .retry_delays(Duration::from_millis(5), Duration::from_millis(20))
            .keep(Keep::Unsynced)
    }

    fn record(&self) -> Experiment {
        Experiment::open(RUN, self.lab.options().remote(self.remote())).unwrap()
    }

    /// Records and uploads 300 rows, of which none is removed here.
    fn record_to_keep(&self) {
        let remote = self.remote().keep(Keep::All);
        let exp = Experiment::open(RUN, self.lab.options().remote(remote)).unwrap();
        append(&exp, "arm", 0..300);
        exp.close().unwrap();
    }

    fn sync(&self) -> Synced {
        self.lab.sync(&self.remote())
    }

    /// The true server has all that was recorded, and nothing of it is left here.
    fn assert_moved(&self, rows: usize, because: &str) {
        let synced = self.sync();
        assert!(synced.failure.is_none(), "{because}: {:?}", synced.failure);
        assert!(synced.status.is_complete(), "{because}: {}", synced.status);
        assert_eq!((self.lab.here("arm").len(), self.lab.on_server("arm").len()), (0, rows));
        assert!(self.lab.recorded().files("").list().unwrap().is_empty(), "{because}");
    }
}

fn reason(status: &SyncStatus) -> &str {
    match &status.state {
        SyncState::Failing { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

#[test]
fn rows_whose_number_the_server_does_not_confirm_are_never_removed_and_sent_again() {
    let lying = LyingLab::new();
    let answers: [Answer; 5] = [
        |_| "{}".to_owned(),
        |_| "[]".to_owned(),
        |_| r#"{"count":0}"#.to_owned(),
        |_| r#"{"count":299}"#.to_owned(),
        |_| r#"{"count":301}"#.to_owned(),
    ];
    for (round, answer) in (0..).zip(answers) {
        lying.liar.lie("/append_batch ", answer);
        let exp = lying.record();
        append(&exp, "arm", 300 * round..300 * (round + 1));
        let status = await_status(&exp, is_failing);
        assert!(reason(&status).contains("track `arm`"), "{status}");
        let sync = exp.close().unwrap().sync.unwrap();
        assert!(!sync.is_complete() && sync.rows_waiting == 300, "{sync}");
        let synced = lying.sync();
        let error = synced.failure.unwrap().to_string();
        assert!(error.contains("track `arm`") && error.contains("300 rows"), "{error}");
        assert_eq!((lying.lab.here("arm").len(), synced.status.rows_sent), (300, 0));
        lying.liar.tell_the_truth();
        lying.assert_moved(300 * (round as usize + 1), "the server counts right again");
    }
}

#[test]
fn rows_that_the_server_counts_and_does_not_return_are_never_removed_and_sent_again() {
    let lying = LyingLab::new();
    lying.liar.lie("/append_batch ", right_count);
    let exp = lying.record();
    append(&exp, "arm", 0..300);
    let sync = exp.close().unwrap().sync.unwrap();
    assert_eq!((sync.rows_waiting, lying.lab.here("arm").len()), (300, 300));
    assert!(reason(&sync).contains("does not return 300 of 300 rows of track `arm`"), "{sync}");
    lying.liar.tell_the_truth();
    lying.assert_moved(300, "the server takes rows again");
}

#[test]
fn a_server_that_answers_reads_with_nothing_gets_nothing_removed() {
    let lying = LyingLab::new();
    let exp = lying.record();
    append(&exp, "arm", 0..300);
    exp.flush().unwrap();
    lying.liar.lie("/data?", |_| String::new());
    let sync = exp.close().unwrap().sync.unwrap();
    assert!(reason(&sync).contains("300 of 300 rows"), "{sync}");
    assert_eq!(lying.lab.here("arm").len(), 300);
    lying.liar.tell_the_truth();
    lying.assert_moved(300, "the server reads again");
}

#[test]
fn a_server_that_returns_few_rows_at_a_time_is_asked_for_the_rest_and_believed() {
    let lying = LyingLab::new();
    lying.liar.lie("/data?", first_hundred_lines);
    let exp = lying.record();
    append(&exp, "arm", 0..300);
    let sync = exp.close().unwrap().sync.unwrap();
    assert!(sync.is_complete() && sync.state == SyncState::UpToDate, "{sync}");
    assert_eq!((lying.lab.here("arm").len(), lying.lab.on_server("arm").len()), (0, 300));
}

#[test]
fn what_a_server_lost_since_is_found_before_it_is_removed_here_and_sent_again() {
    let mut lab = Lab::new();
    let exp = lab.record();
    append(&exp, "arm", 0..300);
    append(&exp, "base", 0..300);
    exp.close().unwrap();
    lose_second_half(&mut lab, RUN);
    let remote = lab.remote().keep(Keep::Unsynced);
    let Some(RemoteError::RowsMissing { topic, missing, rows, first_secs, .. }) =
        lab.sync(&remote).failure
    else {
        panic!()
    };
    assert_eq!((topic.as_str(), missing, rows, first_secs), ("arm", 150, 300, 1.5));
    assert_eq!((lab.here("arm").len(), lab.here("base").len()), (300, 0));
    assert!(lab.sync(&remote).failure.is_none());
    assert_eq!((lab.here("arm").len(), lab.on_server("arm").len()), (0, 300));
}

/// The server's disk loses the second half of track `arm`.
pub fn lose_second_half(lab: &mut Lab, run: &str) {
    lab.kill_server();
    let data = lab.server_root().join(run).join("tracks/arm/data.jsonl");
    let text = fs::read_to_string(&data).unwrap();
    let rows = text.lines().count() / 2;
    let kept: String = text.split_inclusive('\n').take(rows).collect();
    fs::write(&data, kept).unwrap();
    lab.restart_server();
}

#[test]
fn a_file_that_the_server_does_not_confirm_or_list_is_never_removed_and_sent_again() {
    let answers: [(Answer, &str); 3] = [
        (|_| "{}".to_owned(), "node.id"),
        (|_| r#"{"node":{"id":"7"},"physicalFile":{"sizeBytes":"1"}}"#.to_owned(), "another size"),
        (|_| r#"{"node":{"id":"7"}}"#.to_owned(), "does not list 1 of 1 files"),
    ];
    for (answer, said) in answers {
        let lying = LyingLab::new();
        lying.liar.lie("multipart/form-data", answer);
        let options = lying.lab.options().remote(lying.remote());
        let options = options.remote_timeout(Duration::from_millis(100));
        let exp = Experiment::open(RUN, options).unwrap();
        append(&exp, "arm", 0..10);
        exp.files("frames").save_bytes(b"left", "frame.bin").unwrap();
        exp.close().unwrap();
        let synced = lying.sync();
        let error = match synced.failure {
            Some(error) => TrackError::from(error).to_string(),
            None => panic!("{said}: {}", synced.status),
        };
        assert!(error.contains("frame.bin") && error.contains(said), "{error}");
        assert_eq!(lying.lab.recorded().files("frames").read("frame.bin").unwrap(), b"left");
        lying.liar.tell_the_truth();
        lying.assert_moved(10, said);
        let there = Experiment::open_read_only(RUN, lying.lab.server_root()).unwrap();
        assert_eq!(there.files("frames").read("frame.bin").unwrap(), b"left");
    }
}

#[test]
fn a_refusal_without_end_is_read_as_far_as_it_says_why() {
    let refusals: [(Raw, &str); 2] = [(long_refusal, "500"), (gzipped_refusal, "429")];
    for (refusal, status_code) in refusals {
        let lying = LyingLab::new();
        lying.liar.write("/append_batch ", refusal);
        // Whoever wants all of it waits for as long.
        let remote = lying.remote().request_timeout(Duration::from_secs(3600));
        let exp = Experiment::open(RUN, lying.lab.options().remote(remote)).unwrap();
        append(&exp, "arm", 0..300);
        let status = await_status(&exp, is_failing);
        let said = reason(&status);
        assert!(said.contains(status_code) && said.contains("xxx"), "{said}");
        assert!(said.len() < 1000, "{said}");
        lying.liar.tell_the_truth();
        exp.flush().unwrap();
        assert_eq!(lying.lab.on_server("arm").len(), 300);
    }
}

#[test]
fn rows_that_drip_or_never_end_prove_nothing_and_hold_up_nobody() {
    let reads: [(Raw, &str); 2] =
        [(drip, "less than 1024 bytes/s"), (endless, "does not return 300 of 300 rows")];
    for (read, said) in reads {
        let lying = LyingLab::new();
        lying.record_to_keep();
        lying.liar.write("/data?", read);
        let remote = lying.remote().request_timeout(Duration::from_secs(2));
        let error = one_line(&lying.lab.sync(&remote).failure.unwrap());
        assert!(error.contains(said), "{error}");
        assert_eq!(lying.lab.here("arm").len(), 300);
        lying.liar.tell_the_truth();
        lying.assert_moved(300, said);
    }
}

#[test]
fn who_is_shown_the_progress_can_end_the_comparison_with_the_server() {
    let lying = Arc::new(LyingLab::new());
    lying.record_to_keep();
    lying.liar.write("/data?", drip);
    let (ended, end) = sync_channel(1);
    let asking = lying.clone();
    thread::spawn(move || {
        let remote = asking.remote().request_timeout(Duration::from_secs(3600));
        let synced = asking.lab.recorded().sync(&remote, |_| match asking.liar.answered() {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        });
        ended.send(synced.unwrap()).unwrap();
    });
    let synced = end.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(synced.failure, Some(RemoteError::Stopped { .. })), "{:?}", synced.failure);
    assert!(synced.status.is_complete(), "{}", synced.status);
    assert_eq!(lying.lab.here("arm").len(), 300);
}
