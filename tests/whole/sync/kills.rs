//! The client killed: what was flushed is on the server after the next run.

use std::io::Write;
use std::time::Duration;

use super::lab::{Lab, RUN, await_that};
use crate::fault_proxy::Fault;
use crate::program::program;

#[test]
fn a_client_that_is_killed_while_it_records_and_uploads_loses_nothing_that_it_stored() {
    let lab = Lab::new();
    lab.proxy.set(Fault::Slow { latency: Duration::from_millis(5), bytes_per_sec: Some(200_000) });
    for round in 0..3_u32 {
        let mut child = start(&lab);
        let mut stdin = child.stdin.take().unwrap();
        for i in 0..2000_u32 {
            // Every tenth comes late, so that files are sorted when they are opened again.
            let i = if i % 10 == 0 { 2000 * round + i / 10 } else { 2000 * round + i };
            writeln!(stdin, "{{\"_ts\":{},\"round\":{round},\"i\":{i}}}", f64::from(i) / 100.0)
                .unwrap();
        }
        stdin.flush().unwrap();
        // Some of it is there, the rest on its way.
        let before = if round == 0 { 0 } else { lab.on_server("arm").len() };
        await_that(|| lab.on_server("arm").len() > before);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    lab.proxy.set(Fault::None);
    let exp = lab.record();
    exp.flush().unwrap();
    exp.close().unwrap();
    assert!(lab.here("arm").len() > 1000);
    lab.assert_same("after three kills");
}

#[test]
fn a_sync_that_is_killed_goes_on_where_it_was() {
    let lab = Lab::new();
    let local = mldash_bridge::track::Options::local(lab.root());
    let exp = mldash_bridge::track::Experiment::open(RUN, local).unwrap();
    for topic in ["a", "b", "c"] {
        super::lab::append(&exp, topic, 0..5000);
    }
    exp.close().unwrap();
    lab.proxy.set(Fault::Slow { latency: Duration::from_millis(20), bytes_per_sec: Some(100_000) });
    for _ in 0..2 {
        let (url, token, root) = (lab.proxy.url(), lab.token_file(), lab.root());
        let args = [
            "sync",
            RUN,
            "--remote",
            &url,
            "--token-file",
            token.to_str().unwrap(),
            "--root",
            root.to_str().unwrap(),
        ];
        let mut child = program(args).start();
        let before = lab.on_server("a").len();
        await_that(|| lab.on_server("a").len() > before || lab.on_server("a").len() == 5000);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    lab.proxy.set(Fault::None);
    let synced = lab.sync(&lab.remote());
    assert!(synced.failure.is_none(), "{synced:?}");
    lab.assert_same("at last");
}

fn start(lab: &Lab) -> std::process::Child {
    let (url, token, root) = (lab.proxy.url(), lab.token_file(), lab.root());
    let args = [
        "append",
        RUN,
        "arm",
        "--remote",
        &url,
        "--token-file",
        token.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
    ];
    program(args)
        .env("ML_DASH_FLUSH_INTERVAL", "0.02")
        .env("ML_DASH_RETRY_BASE_DELAY", "0.05")
        .start()
}
