//! Pages as a person sees them, in a headless Chromium. Where there is none, these say that they are skipped; CI installs one.

use std::fs;
use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options, RowSchema};
use serde_json::json;

use super::{HOSTILE, RUN, START, record_robot, write_report};
use crate::dataset::source;
use crate::python::browser;

/// Lets a browser look at a page; the checks are those of `tests/browser/report.py`.
fn look(check: &str, page: &Path, argument: &str) {
    let Some((python, chromium)) = browser() else {
        eprintln!("skipped: there is no Chromium (scripts/find-browser)");
        return;
    };
    let mut command = Command::new(python);
    command.arg(source("tests/browser/report.py")).arg(chromium).arg(check).arg(page);
    let done = command.arg(argument).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{check}: {out}{err}");
}

fn look_at_robot(check: &str, argument: &str) {
    let root = tempfile::tempdir().unwrap();
    record_robot(root.path());
    let (page, done) = write_report(root.path(), &[RUN]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    look(check, &page, argument);
}

#[test]
fn every_view_is_drawn_in_the_light_and_in_the_dark_without_an_error() {
    let expected = json!([
        [format!("timeline of the 8 tracks of {RUN}"), "--accent", 5000],
        // The pause.
        [format!("timeline of the 8 tracks of {RUN}"), "--bad", 50],
        ["rate of imu over time", "--accent", 5000],
        ["a of imu over time", "--series-0", 300],
        ["a of imu over time", "--series-1", 300],
        ["position of joint_states over time", "--series-1", 300],
        ["path of robot/pose in the plane", "--accent", 300],
        ["scans of scan at the cursor's time", "--accent", 250],
        ["time between stamps: median 5.1 ms", "--accent", 100],
        ["lag: median 180 ms", "--accent", 50],
    ]);
    look_at_robot("plots", &expected.to_string());
}

#[test]
fn the_slider_moves_all_views_together() {
    let views = [
        "a of imu over time",
        "rate of mode over time",
        "path of robot/pose in the plane",
        "scans of scan at the cursor's time",
        "pictures of camera/front along the time axis",
    ];
    // The first values of joints.
    let values = ["[data-track='2'] .key output"];
    look_at_robot("slider", &json!([views, values]).to_string());
}

#[test]
fn a_drag_over_one_plot_zooms_all() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    for i in 0..2000_u32 {
        let t = f64::from(i) / 100.0;
        exp.tracks("a").append(fields! { "x": t.sin(), "y": t * t }, START + t).unwrap();
        exp.tracks("b").append(fields! { "z": t.cos() }, START + t).unwrap();
    }
    exp.close().unwrap();
    look("zoom", &write_report(root.path(), &[RUN]).0, "x of a over time");
}

#[test]
fn what_the_mouse_does_can_be_done_from_the_keyboard() {
    look_at_robot("keys", "a of imu over time");
}

#[test]
fn hostile_names_and_texts_are_shown_and_do_not_run() {
    look_at_robot("hostile", HOSTILE);
}

#[test]
fn on_a_phone_nothing_is_wider_than_the_screen_and_a_finger_reads_values() {
    look_at_robot("phone", "a of imu over time");
}

#[test]
fn without_scripts_the_words_are_there() {
    look_at_robot("plain", "/imu paused 3.2 s at 12:04:06");
}

#[test]
fn several_experiments_stand_side_by_side_on_one_axis_and_parts_follow_each_other() {
    let root = tempfile::tempdir().unwrap();
    for (name, start) in [("alice/lab/a", START), ("alice/lab/b", START + 86_400.0)] {
        let exp = Experiment::open(name, Options::local(root.path())).unwrap();
        for i in 0..500_u32 {
            let t = f64::from(i) / 50.0;
            exp.tracks("odom").append(fields! { "x": t.sin() * start / START }, start + t).unwrap();
        }
        exp.close().unwrap();
    }
    let (page, _) = write_report(root.path(), &["alice/lab/a", "alice/lab/b"]);
    let expected = json!([
        ["timeline of the 1 tracks of alice/lab/a", "--accent", 5000],
        ["timeline of the 1 tracks of alice/lab/b", "--accent", 5000],
    ]);
    look("beside", &page, &expected.to_string());
}

#[test]
fn splits_other_runs_and_clocks_that_were_set_back_are_marked_in_the_timeline() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/lab/part-2", Options::local(root.path())).unwrap();
    let details = json!({
        "continues": "alice/lab/part-1", "continued_in": "alice/lab/part-3",
        "earlier_runs": [{"started_at": "2025-06-16T12:03:59Z"}], "started_at": "2025-06-16T12:04:20Z",
    });
    exp.start_run(details.as_object().unwrap().clone()).unwrap();
    let odom = exp.tracks("odom").with_schema(RowSchema::new("/odom"));
    for i in 0..=600_u32 {
        odom.append(fields! { "x": i }, START + f64::from(i) / 10.0).unwrap();
    }
    let jump = json!({"from": START + 45.0, "to": START + 30.0});
    let topic = json!({"topic": "/odom", "notes": {"clock_jumped_back": 1}, "clock_jumps": [jump]});
    fs::write(exp.folder().join("account.json"), json!({"topics": [topic]}).to_string()).unwrap();
    exp.close().unwrap();
    let (page, done) = write_report(root.path(), &["alice/lab/part-2"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let set_back = "odom: clock set back from 12:04:45.0 to 12:04:30.0";
    let [begin, run, end] = [
        "It goes on where alice/lab/part-1 ended.",
        "Another run begins at 12:04:20.",
        "It goes on in alice/lab/part-3.",
    ];
    let warning =
        "/odom: the clock of the stamps was set back; rows of before and after lie over each other";
    let expected = json!([
        "timeline of the 1 tracks of alice/lab/part-2",
        [["--accent", 5000], ["--series-3", 300], ["--series-4", 150]],
        [[0.0, begin], [20.0, run], [60.0, end], [30.0, set_back], [45.0, set_back], [52.0, ""]],
        [
            [run, "12:04:20.000"],
            [end, "12:05:00.000"],
            [begin, "12:04:00.000"],
            [warning, "12:04:30.000"]
        ],
    ]);
    look("marks", &page, &expected.to_string());
}

/// A double's largest as "no value", a counter whose steps are the last digits of a double, stamps beyond all dates.
#[test]
fn numbers_and_times_that_are_too_large_for_an_axis_are_drawn_and_do_not_stop_the_page() {
    let root = tempfile::tempdir().unwrap();
    for (name, start, step) in [("alice/lab/near", START, 1.0), ("alice/lab/far", 1e14, 1e9)] {
        let exp = Experiment::open(name, Options::local(root.path())).unwrap();
        for i in 0..30_u32 {
            let t = f64::from(i);
            let x = if i == 7 { f64::MAX } else { t.sin() };
            let n = 1_700_000_000_000_000_000_u64 + 256 * u64::from(i % 2);
            exp.tracks("odd").append(fields! { "x": x, "n": n }, start + t * step).unwrap();
        }
        exp.close().unwrap();
        let expected = json!([
            ["x of odd over time", "--series-0", 20],
            ["n of odd over time", "--series-0", 20]
        ]);
        look("drawn", &write_report(root.path(), &[name]).0, &expected.to_string());
    }
}

#[test]
fn times_read_as_people_expect() {
    let (hour, week) = (3600.0, 7.0 * 86_400.0);
    let expected = json!([
        [null, hour, 59.9996, 3, "1:00.000"],
        [null, hour, 3661.25, 2, "1:01:01.25"],
        [START, hour, 5.0, 0, "12:04:05"],
        [START, week, 86_405.5, 1, "06-17 12:04:05.5"],
        [START, week, 1e13, 0, "2777777777:46:40"],
    ]);
    look_at_robot("clocks", &expected.to_string());
}
