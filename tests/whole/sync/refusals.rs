//! Rows and files that the server won't have.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Remote, RemoteError, SyncState, SyncStatus, TrackError};

use super::lab::{Lab, PATIENCE, RUN, append, await_status, is_failing};
use crate::liar::Liar;

/// A lab whose robot knows the server by the address of one that refuses.
struct PickyLab {
    lab: Lab,
    server: Liar,
}

impl PickyLab {
    fn new() -> Self {
        let lab = Lab::new();
        let server = Liar::start(lab.proxy.address());
        Self { lab, server }
    }

    fn remote(&self) -> Remote {
        Remote::new(self.server.url())
            .token_file(self.lab.token_file())
            .request_timeout(Duration::from_secs(30))
            .retry_delays(Duration::from_millis(20), Duration::from_millis(200))
    }

    fn record(&self) -> Experiment {
        Experiment::open(RUN, self.lab.options().remote(self.remote())).unwrap()
    }

    /// The file with what was refused and the answers.
    fn answers(&self) -> PathBuf {
        let folder = self.lab.root().join(RUN).join(".sync");
        let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.to_string_lossy().ends_with(".refused.jsonl")).unwrap()
    }
}

fn reason(status: &SyncStatus) -> &str {
    match &status.state {
        SyncState::Failing { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

#[test]
fn a_row_that_is_refused_is_set_aside_with_the_answer_and_the_others_go_on() {
    let picky = PickyLab::new();
    picky.server.refuse("/append_batch ", |request| {
        request.text().contains("\"bad\"").then_some("400 Bad Request")
    });
    let exp = picky.record();
    append(&exp, "arm", 0..200);
    exp.flush().unwrap();
    exp.tracks("arm").append(fields! { "word": "bad" }, 100.25).unwrap();
    append(&exp, "arm", 200..400);
    let error = exp.flush().unwrap_err();
    let TrackError::Remote(RemoteError::SetAside { rows, answers, .. }) = error else { panic!() };
    assert_eq!(rows, 1);
    assert_eq!(picky.lab.on_server("arm").len(), 400);
    let kept = std::fs::read_dir(answers).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.into_iter().find(|path| path.to_string_lossy().contains("refused")).unwrap();
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(
        text.contains("\"track\":\"arm\",\"timestamp\":100.25") && text.contains("400"),
        "{text}"
    );
    exp.flush().unwrap();
    let sync = exp.close().unwrap().sync.unwrap();
    assert_eq!((sync.rows_set_aside, sync.is_complete()), (1, false));
    // It is tried again, and refused again.
    let again = picky.lab.sync(&picky.remote());
    assert!(again.failure.is_none());
    assert_eq!((again.status.rows_set_aside, again.status.rows_sent), (1, 0));
}

/// More bad rows than halving alone finds at once.
#[test]
fn of_many_bad_rows_among_good_ones_only_the_bad_ones_are_set_aside() {
    let picky = PickyLab::new();
    picky.server.refuse("/append_batch ", |request| {
        request.text().contains("\"bad\"").then_some("422 Unprocessable Content")
    });
    let exp = picky.record();
    for i in 0..600_u32 {
        let word = if i % 4 == 0 || (200..300).contains(&i) { "bad" } else { "good" };
        exp.tracks("arm").append(fields! { "word": word }, f64::from(i)).unwrap();
    }
    let error = exp.flush().unwrap_err();
    let TrackError::Remote(RemoteError::SetAside { rows, .. }) = error else { panic!("{error}") };
    assert_eq!(rows, 225, "150 of them each fourth, 75 more between 200 and 300");
    let there = picky.lab.on_server("arm");
    assert_eq!(there.len(), 375);
    assert!(there.iter().all(|row| row["word"] == "good"));
    let calls = picky.server.answered();
    assert!(calls < 2 * 600, "{calls} calls were refused for 225 rows");
    exp.close().unwrap();
    // The server has changed its mind.
    picky.server.tell_the_truth();
    let synced = picky.lab.sync(&picky.remote());
    assert!(synced.failure.is_none() && synced.status.is_complete(), "{}", synced.status);
    picky.lab.assert_same("mended");
}

#[test]
fn a_server_to_which_every_request_is_too_large_fails_and_no_row_is_to_blame() {
    let picky = PickyLab::new();
    picky.server.refuse("/append_batch ", |_| Some("413 Payload Too Large"));
    let exp = picky.record();
    append(&exp, "arm", 0..2000);
    let status = await_status(&exp, is_failing);
    let calls = picky.server.answered();
    assert!(calls <= 24, "{calls} calls to find that it takes none");
    let said = reason(&status);
    assert!(said.contains("413") && said.contains("raise the limit"), "{said}");
    assert_eq!((status.rows_set_aside, status.rows_sent), (0, 0));
    let closed = exp.close().unwrap().sync.unwrap();
    assert_eq!((closed.rows_waiting, closed.rows_set_aside), (2000, 0), "{closed}");
    let synced = picky.lab.sync(&picky.remote());
    let error = synced.failure.unwrap().to_string();
    assert!(error.contains("raise the limit"), "{error}");
    picky.server.tell_the_truth();
    assert!(picky.lab.sync(&picky.remote()).status.is_complete());
    picky.lab.assert_same("the limit was raised");
}

#[test]
fn a_server_that_finds_everything_too_large_fails_also_before_the_first_row() {
    let picky = PickyLab::new();
    picky.server.refuse("POST ", |_| Some("413 Payload Too Large"));
    let exp = picky.record();
    append(&exp, "arm", 0..10);
    assert!(reason(&await_status(&exp, is_failing)).contains("413"));
    picky.server.tell_the_truth();
    exp.flush().unwrap();
    picky.lab.assert_same("the limit was raised");
}

#[test]
fn a_row_that_is_too_large_for_the_server_is_set_aside_and_the_others_go_on() {
    let picky = PickyLab::new();
    picky.server.refuse("/append_batch ", |request| {
        (request.text().len() > 20_000).then_some("413 Payload Too Large")
    });
    let exp = picky.record();
    append(&exp, "arm", 0..300);
    exp.tracks("arm").append(fields! { "word": "x".repeat(30_000) }, 1.005).unwrap();
    let error = exp.flush().unwrap_err();
    assert!(matches!(&error, TrackError::Remote(RemoteError::SetAside { rows: 1, .. })), "{error}");
    assert_eq!(picky.lab.on_server("arm").len(), 300);
}

#[test]
fn when_too_much_was_refused_nothing_more_is_sent_until_somebody_syncs() {
    let picky = PickyLab::new();
    picky.server.refuse("/append_batch ", |request| {
        request.text().contains("[0,0]").then_some("422 Unprocessable Content")
    });
    let exp = picky.record();
    append(&exp, "arm", 0..2);
    exp.close().unwrap();
    let mut file = OpenOptions::new().append(true).open(picky.answers()).unwrap();
    let lines = (1..20_000)
        .map(|i| format!("{{\"track\":\"arm\",\"timestamp\":{i}.0,\"answer\":\"422\"}}\n"));
    file.write_all(lines.collect::<String>().as_bytes()).unwrap();
    picky.server.tell_the_truth();
    let exp = picky.record();
    append(&exp, "arm", 2..50);
    let status = await_status(&exp, is_failing);
    let said = reason(&status);
    assert!(said.contains("20000 rows and files were refused"), "{said}");
    assert!(said.contains(&picky.answers().display().to_string()), "{said}");
    let closed = exp.close().unwrap().sync.unwrap();
    assert_eq!((closed.rows_sent, closed.rows_waiting), (0, 48), "{closed}");
    let synced = picky.lab.sync(&picky.remote());
    assert!(synced.failure.is_none() && synced.status.is_complete(), "{}", synced.status);
    picky.lab.assert_same("synced");
}

#[test]
fn what_was_refused_and_can_not_be_read_ends_a_sync_and_the_next_one_goes_on() {
    let picky = PickyLab::new();
    picky.server.refuse("/append_batch ", |request| {
        request.text().contains("\"bad\"").then_some("400 Bad Request")
    });
    let exp = picky.record();
    exp.tracks("arm").append(fields! { "word": "bad" }, 100.25).unwrap();
    exp.flush().unwrap_err();
    exp.close().unwrap();
    let (answers, aside) = (picky.answers(), picky.lab.root().join("answers"));
    std::fs::rename(&answers, &aside).unwrap();
    std::fs::create_dir(&answers).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let in_time = |_: &SyncStatus| match Instant::now() < deadline {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let synced = picky.lab.recorded().sync(&picky.remote(), in_time).unwrap();
    let Some(RemoteError::Failing { reason, .. }) = synced.failure else {
        panic!("{:?}", synced.failure)
    };
    assert!(reason.contains(answers.to_str().unwrap()), "{reason}");
    std::fs::remove_dir(&answers).unwrap();
    std::fs::rename(&aside, &answers).unwrap();
    picky.server.tell_the_truth();
    let synced = picky.lab.sync(&picky.remote());
    assert!(synced.failure.is_none() && synced.status.is_complete(), "{}", synced.status);
    picky.lab.assert_same("the refused row was sent again");
}
