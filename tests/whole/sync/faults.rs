//! What networks and servers do to requests.

use std::time::{Duration, SystemTime};

use mldash_bridge::fields;
use mldash_bridge::track::{RemoteError, RunStatus, SyncState, TrackError};

use super::lab::{Lab, append, await_status, is_failing};
use crate::fault_proxy::{Bytes, Fault};

#[test]
fn what_was_recorded_is_on_the_server_when_flush_returns() {
    let lab = Lab::new();
    let exp = lab.record();
    append(&exp, "robot/arm", 0..300);
    exp.tracks("robot/imu").append(fields! { "a": [f64::NAN, 1.5], "b": 3 }, 0.5).unwrap();
    exp.flush().unwrap();
    lab.assert_same("flushed");
    assert_eq!(lab.status_on_server(), Some(RunStatus::Running));
    let status = exp.sync_status().unwrap();
    assert_eq!((status.rows_sent, status.rows_waiting, status.nulled), (301, 0, 1));
    let closed = exp.close().unwrap();
    assert!(closed.sync.unwrap().is_complete());
    assert_eq!(lab.status_on_server(), Some(RunStatus::Completed));
    lab.assert_same("closed");
}

/// Each of these hits a few connections in a row; then the network is well.
#[test]
fn whatever_happens_to_requests_the_server_ends_up_with_the_rows_appended() {
    let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(5));
    let faults = [
        Fault::latency(Duration::from_millis(50)),
        Fault::Slow { latency: Duration::ZERO, bytes_per_sec: Some(20_000) },
        Fault::Cut { after: Bytes::Up(700) },
        Fault::Cut { after: Bytes::Up(3000) },
        Fault::Cut { after: Bytes::Down(1) },
        Fault::Cut { after: Bytes::Down(60) },
        Fault::status("500 Internal Server Error", &[]),
        Fault::status("502 Bad Gateway", &[]),
        Fault::status("503 Service Unavailable", &["Retry-After: 0"]),
        Fault::status("429 Too Many Requests", &["Retry-After: 1"]),
        Fault::status("429 Too Many Requests", &[&format!("Retry-After: {past}")]),
        Fault::status("302 Found", &["Location: http://portal.example/"]),
        Fault::Answer(
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nwelcome".into(),
        ),
        Fault::Refuse,
        Fault::BlackHole,
    ];
    let lab = Lab::new();
    let exp = lab.record();
    for (i, fault) in (0..).zip(&faults) {
        let rows = 200 * i..200 * (i + 1);
        (0..3).for_each(|_| lab.proxy.next(fault.clone()));
        append(&exp, "robot/arm", rows.clone());
        append(&exp, "robot/base", rows);
        // Rows of one time in two flushes, and one that is late.
        exp.tracks("robot/arm").append(fields! { "mode": "move" }, f64::from(2 * i)).unwrap();
        exp.flush().unwrap();
        lab.assert_same(&format!("after {fault:?}"));
    }
    exp.close().unwrap();
    lab.assert_same("closed");
}

#[test]
fn a_flush_says_what_the_server_lacks_when_it_takes_too_long_and_recording_goes_on() {
    let lab = Lab::new();
    lab.proxy.set(Fault::BlackHole);
    let options = lab.options().remote_timeout(Duration::from_millis(300));
    let exp = mldash_bridge::track::Experiment::open(super::lab::RUN, options).unwrap();
    append(&exp, "robot/arm", 0..100);
    let error = exp.flush().unwrap_err();
    let TrackError::Remote(RemoteError::Behind { rows, .. }) = &error else { panic!("{error}") };
    assert_eq!(*rows, 100);
    assert!(error.to_string().contains(&lab.proxy.url()), "{error}");
    assert_eq!(lab.here("robot/arm").len(), 100, "it is stored here");
    append(&exp, "robot/arm", 100..200);
    await_status(&exp, is_failing);
    lab.proxy.set(Fault::None);
    await_status(&exp, |status| status.state == SyncState::UpToDate && status.rows_sent == 200);
    lab.assert_same("the network is back");
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_left_alone_also_by_who_flushes() {
    let lab = Lab::new();
    lab.proxy.set(Fault::status("429 Too Many Requests", &["Retry-After: 3600"]));
    let options = lab.options().remote_timeout(Duration::from_millis(200));
    let exp = mldash_bridge::track::Experiment::open(super::lab::RUN, options).unwrap();
    append(&exp, "robot/arm", 0..10);
    await_status(&exp, is_failing);
    let connections = lab.proxy.connections();
    assert!(exp.flush().is_err());
    assert!(exp.flush().is_err());
    assert_eq!(lab.proxy.connections(), connections);
}

#[test]
fn a_server_that_asks_for_years_is_tried_again_soon() {
    for asked in ["Retry-After: 100000000", "Retry-After: Thu, 31 Dec 2099 23:59:59 GMT"] {
        let lab = Lab::new();
        lab.proxy.set(Fault::status("503 Service Unavailable", &[asked]));
        let remote = lab.remote().longest_retry_after(Duration::from_millis(300));
        let exp =
            mldash_bridge::track::Experiment::open(super::lab::RUN, lab.options().remote(remote));
        let exp = exp.unwrap();
        append(&exp, "robot/arm", 0..10);
        let status = await_status(&exp, is_failing);
        let SyncState::Failing { reason, .. } = status.state else { unreachable!() };
        assert!(reason.contains("503") && reason.contains("it asks to wait"), "{reason}");
        lab.proxy.set(Fault::None);
        await_status(&exp, |status| status.state == SyncState::UpToDate);
        lab.assert_same(asked);
    }
}

#[test]
fn a_run_that_is_synced_again_stays_completed() {
    let lab = Lab::new();
    let exp = lab.record();
    append(&exp, "robot/arm", 0..10);
    exp.close().unwrap();
    for round in 0..2 {
        let synced = lab.sync(&lab.remote());
        assert!(synced.failure.is_none(), "{:?}", synced.failure);
        assert_eq!(lab.status_on_server(), Some(RunStatus::Completed), "sync {round}");
    }
}

#[test]
fn a_token_that_is_replaced_on_disk_is_picked_up_and_none_is_ever_shown() {
    let lab = Lab::new();
    std::fs::write(lab.token_file(), "expired-s3cret").unwrap();
    let exp = lab.record();
    append(&exp, "robot/arm", 0..100);
    let refused = |status: &mldash_bridge::track::SyncStatus| {
        matches!(status.state, SyncState::TokenRefused { .. })
    };
    let status = await_status(&exp, refused);
    let SyncState::TokenRefused { reason } = status.state else { unreachable!() };
    assert!(reason.contains(&lab.token_file().display().to_string()), "{reason}");
    assert!(reason.contains("401") && !reason.contains("s3cret"), "{reason}");
    std::fs::write(lab.token_file(), format!("alice {}\n", crate::server::TOKEN)).unwrap();
    await_status(&exp, |status| status.state == SyncState::UpToDate);
    exp.close().unwrap();
    lab.assert_same("there is a good token");
}

#[test]
fn a_server_that_is_killed_and_comes_back_has_everything() {
    let mut lab = Lab::new();
    let exp = lab.record();
    for round in 0..3 {
        append(&exp, "robot/arm", 400 * round..400 * round + 200);
        lab.kill_server();
        append(&exp, "robot/arm", 400 * round + 200..400 * (round + 1));
        await_status(&exp, is_failing);
        lab.restart_server();
        exp.flush().unwrap();
        lab.assert_same("the server is back");
    }
}

#[test]
fn rows_that_come_out_of_order_and_merge_are_sent_once_though_closing_sorts_them() {
    let lab = Lab::new();
    let exp = lab.record();
    append(&exp, "robot/arm", 500..1000);
    exp.flush().unwrap();
    append(&exp, "robot/arm", 0..500);
    exp.tracks("robot/arm").append(fields! { "mode": "move" }, 7.0).unwrap();
    exp.flush().unwrap();
    lab.assert_same("flushed");
    let sync = exp.close().unwrap().sync.unwrap();
    lab.assert_same("sorted");
    assert!(sync.is_complete());
    assert_eq!(sync.rows_sent, 1001, "what is proven to be there is not sent again");
}

#[test]
fn a_server_that_lost_its_disk_gets_everything_again() {
    let mut lab = Lab::new();
    let exp = lab.record();
    append(&exp, "robot/arm", 0..200);
    exp.close().unwrap();
    lab.kill_server();
    std::fs::remove_dir_all(lab.server_root()).unwrap();
    lab.restart_server();
    let exp = lab.record();
    append(&exp, "robot/arm", 200..300);
    exp.close().unwrap();
    lab.assert_same("a new disk");
}
