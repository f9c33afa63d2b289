//! Reports: the numbers are those of the rows, and what is wrong with a recording is told.

mod browser;

use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, LabelChange, Options, RowSchema, Value};
use serde_json::json;

use crate::dataset::{oracle, record_picture};
use crate::program::{Done, program};

pub const RUN: &str = "alice/lab/run-1";
/// 2025-06-16 12:04:00 UTC.
pub const START: f64 = 1_750_075_440.0;
const SECS: f64 = 60.0;

/// A text that would become markup if anybody let it.
pub const HOSTILE: &str =
    r#"</script><img src=x onerror="window.harmed=1"><script>window.harmed=1</script>"#;

/// A minute of a robot: an IMU with a pause of 3.2 s, a spike and a NaN; a pose that goes round; joints; a lidar; a camera that lags.
pub fn record_robot(root: &Path) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    exp.start_run(json!({"host": "rover", "mapping": "topics: []"}).as_object().unwrap().clone())
        .unwrap();
    let label = LabelChange::new().task("drive a loop").unwrap().add_tag("kitchen").unwrap();
    exp.label(&label.notes("first try\nsecond line").unwrap()).unwrap();
    let imu =
        exp.tracks("imu").with_schema(RowSchema::new("/imu").type_name("sensor_msgs/msg/Imu"));
    for i in 0..12_000_u32 {
        let t = f64::from(i) / 200.0 + f64::from(i % 7) * 1e-4;
        if (7.0..10.2).contains(&t) {
            continue;
        }
        let x = if i == 9000 { 50.0 } else { (t * 3.0).sin() };
        let y = if i == 5 { f64::NAN } else { t };
        imu.append(fields! { "a": [x, y, 9.81], "n": i, "frame_id": "imu_link" }, START + t)
            .unwrap();
    }
    let schema = RowSchema::new("/pose").message("e", "geometry_msgs/msg/Point");
    let pose = exp.tracks("robot/pose").with_schema(schema);
    for i in 0..600_u32 {
        let t = f64::from(i) / 10.0;
        let turn = TAU * t / SECS;
        let row = fields! { "e": [2.0 * turn.cos(), 2.0 * turn.sin(), 0.0], "frame_id": "map" };
        pose.append(row, START + t).unwrap();
        let names = Value::from(vec!["shoulder", "elbow"]);
        let joints = fields! { "name": names, "position": [turn.sin(), turn.cos()] };
        exp.tracks("joint_states").append(joints, START + t).unwrap();
        let mode = if t < 30.0 { "drive" } else { HOSTILE };
        let mode = fields! { "mode": mode, "receive_ts": START + t + 0.004 };
        exp.tracks("mode").append(mode, START + t).unwrap();
        let wall = |beam: u32| match beam % 9 {
            0 => f64::INFINITY,
            _ => 3.0 + f64::from(beam + i) / 200.0,
        };
        let ranges: Vec<f64> = (0..400).map(wall).collect();
        let scan = fields! { "ranges": ranges, "angle_min": -1.5, "angle_increment": 0.0075, "frame_id": "laser" };
        exp.tracks("scan").append(scan, START + t).unwrap();
        let tf = fields! { "frame_id": "map", "child_frame_id": "laser", "transform.translation": [0.0, 0.0, 0.3] };
        exp.tracks("tf/laser").append(tf, START + t).unwrap();
    }
    for i in 0..30_usize {
        let color = [(i * 8) as u8, 120, 255 - (i * 8) as u8];
        let t = START + 2.0 * i as f64;
        record_picture(&exp, "camera/front", i, &crate::dataset::png(32, 24, color), t);
        exp.tracks("camera/front").append(fields! { "receive_ts": t + 0.18 }, t).unwrap();
    }
    let odd = exp
        .tracks(&HOSTILE.replace('/', "|"))
        .with_schema(RowSchema::new(HOSTILE).type_name(HOSTILE));
    for value in [1.5, 2.5] {
        let mut row = fields! { "text": HOSTILE };
        row.insert(HOSTILE, value);
        odd.append(row, START + value).unwrap();
    }
    let account = json!({
        "complete": false, "missing": ["dropped: 2 queue_full"],
        "topics": [
            {"topic": "/imu", "type": "sensor_msgs/msg/Imu", "received": 11_362, "stored": 11_360,
             "dropped": {"queue_full": 2, "paused": 7}, "lost": 12, "notes": {"clock_jumped_back": 1},
             "clock_jumps": [{"from": START + 40.0, "to": START + 20.0}], "errors": [HOSTILE]},
            {"topic": HOSTILE, "type": HOSTILE, "received": 2, "stored": 2, "lost": "unknown"}
        ],
        "unmatched": [HOSTILE]
    });
    fs::write(exp.folder().join("account.json"), account.to_string()).unwrap();
    exp.close().unwrap();
}

/// Writes a report of these experiments.
pub fn write_report(root: &Path, names: &[&str]) -> (PathBuf, Done) {
    let page = root.join("report.html");
    let done = program(["report"]).args(names).arg("--root").arg(root).arg("-o").arg(&page).run();
    (page, done)
}

#[test]
fn the_numbers_are_those_that_the_rows_give_when_they_are_computed_anew() {
    let root = tempfile::tempdir().unwrap();
    record_robot(root.path());
    let (page, done) = write_report(root.path(), &[RUN]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let compared = |track: &str| -> serde_json::Value {
        let folder = root.path().join(RUN);
        serde_json::from_str(&oracle("same_as_report.py", &[&page, &folder, &track])).unwrap()
    };
    let imu = compared("imu");
    assert_eq!((&imu["gaps"], &imu["rows_per_point"]), (&json!(1), &json!(4)), "of 11,360 rows");
    for track in ["robot/pose", "joint_states", "mode", "scan", "camera/front"] {
        assert_eq!(compared(track)["rows_per_point"], 1, "{track}");
    }
}

#[test]
fn what_is_worth_acting_on_is_told_on_stderr_and_on_the_page() {
    let root = tempfile::tempdir().unwrap();
    record_robot(root.path());
    let (page, done) = write_report(root.path(), &[RUN]);
    let page = fs::read_to_string(page).unwrap();
    for text in [
        "/imu: 2 messages dropped (queue_full)",
        "/imu: 12 messages lost before they were received",
        "/imu paused 3.2 s at 12:04:06",
        "camera/front lags 180 ms",
        "no /tf for imu_link, the frame of /imu",
    ] {
        assert!(done.stderr.contains(text), "{text}: {}", done.stderr);
        assert!(page.contains(text), "{text}");
    }
    assert!(!done.stderr.contains("paused 7"), "that was asked for: {}", done.stderr);
}

#[test]
fn a_page_asks_nobody_for_anything_and_lets_only_its_own_script_run() {
    let root = tempfile::tempdir().unwrap();
    record_robot(root.path());
    let page = fs::read_to_string(write_report(root.path(), &[RUN]).0).unwrap();
    assert!(page.contains(r#"content="default-src 'none'; script-src 'sha256-"#));
    assert!(!page.contains(" src=\"") && !page.contains("<link") && !page.contains("@import"));
    assert_eq!(page.matches("<script").count(), 2, "the document and the script");
    assert!(!page.contains("<img src=x"), "hostile texts are escaped");
}

#[test]
fn a_report_replaces_an_older_one_and_a_stop_or_a_wrong_name_leaves_it() {
    let root = tempfile::tempdir().unwrap();
    record_robot(root.path());
    let (page, _) = write_report(root.path(), &[RUN]);
    let first = fs::read(&page).unwrap();
    let (_, wrong) = write_report(root.path(), &["alice/lab/run-2"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("no experiment under"), "{}", wrong.stderr);
    assert_eq!(fs::read(&page).unwrap(), first);
    let piped = program(["report", RUN, "--root"]).arg(root.path()).run();
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    assert!(piped.stdout == first, "stdout carries the page and nothing else");
}

#[test]
fn a_track_that_can_not_be_read_is_told_and_the_others_are_shown() {
    let root = tempfile::tempdir().unwrap();
    record_robot(root.path());
    let data = root.path().join(RUN).join("tracks/joint_states/data.jsonl");
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    fs::write(root.path().join(RUN).join("account.json"), "{").unwrap();
    let (page, done) = write_report(root.path(), &[RUN]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(done.stderr.contains("account.json can't be read"), "{}", done.stderr);
    assert!(fs::read_to_string(page).unwrap().contains("robot/pose"));
}

#[test]
fn an_experiment_without_rows_and_one_with_a_single_row_have_a_page() {
    let root = tempfile::tempdir().unwrap();
    for (name, rows) in [("alice/lab/none", 0), ("alice/lab/one", 1)] {
        let exp = Experiment::open(name, Options::local(root.path())).unwrap();
        for _ in 0..rows {
            exp.tracks("t").append(fields! { "x": 1 }, 5.0).unwrap();
        }
        exp.close().unwrap();
    }
    let (_, done) = write_report(root.path(), &["alice/lab/none", "alice/lab/one"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("alice/lab/none: it has no rows"), "{}", done.stderr);
}

#[test]
fn more_experiments_than_a_page_shows_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for run in 0..33 {
        let name = format!("alice/lab/run-{run}");
        let exp = Experiment::open(&name, Options::local(root.path())).unwrap();
        exp.tracks("t").append(fields! { "x": 1 }, 5.0).unwrap();
        exp.close().unwrap();
    }
    let (page, done) = write_report(root.path(), &["alice/lab/*"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    let reason = "a page shows up to 32 experiments side by side, and these are 33; choose fewer";
    assert!(done.stderr.contains(reason), "{}", done.stderr);
    assert!(!page.exists());
}

#[test]
fn columns_that_come_late_are_shown_while_there_is_room_and_the_others_are_named() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    for i in 0..200_u32 {
        let mut row = fields! { "x": i };
        // Not among the rows that are looked at first.
        if i == 101 {
            for late in 0..10 {
                row.insert(format!("t{late}"), "late");
            }
        }
        exp.tracks("t").append(row, f64::from(i)).unwrap();
    }
    exp.close().unwrap();
    let (page, done) = write_report(root.path(), &[RUN]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("Not plotted: t8 (one too many), t9 (one too many)<"), "too many texts");
}

#[test]
fn pictures_in_files_that_a_page_does_not_show_are_no_fault_and_damaged_ones_are() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    for (track, name) in [("depth", "0.npy"), ("camera", "0.jpg")] {
        exp.files(track).save_bytes(b"neither", name).unwrap();
        let path = format!("{track}/{name}");
        let row = fields! { "path": path, "frame": name, "index": 0, "width": 8, "height": 8 };
        exp.tracks(track).append(row, START).unwrap();
    }
    exp.close().unwrap();
    let (page, done) = write_report(root.path(), &[RUN]);
    assert!(done.stderr.contains("camera: 1 of 1 pictures can't be shown"), "{}", done.stderr);
    assert!(!done.stderr.contains("depth"), "{}", done.stderr);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("Not plotted: pictures that are neither JPEG nor PNG<"), "it is said");
}
