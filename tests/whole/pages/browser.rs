//! The pages as a person sees them, in a headless Chromium. Where there is none, these say that they are skipped; CI installs one.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, LabelChange, Options};
use serde_json::{Value as Json, json};

use super::record;
use crate::dataset::source;
use crate::program::program;
use crate::python::browser;
use crate::report::{HOSTILE, RUN, START, record_robot};
use crate::server::{BOBS_TOKEN, Server, TOKEN};

/// Lets a browser visit a server; the checks are those of `tests/browser/pages.py`. Returns false if there is no browser.
fn look(check: &str, server: &Server, told: &Json) -> bool {
    let Some((python, chromium)) = browser() else {
        eprintln!("skipped: there is no Chromium (scripts/find-browser)");
        return false;
    };
    let mut command = Command::new(python);
    command.arg(source("tests/browser/pages.py")).arg(chromium).arg(check).arg(server.url());
    let done = command.arg(told.to_string()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{check}: {out}{err}");
    true
}

fn run(root: &Path, args: &[&str]) -> Vec<u8> {
    let done = program(args).arg("--root").arg(root).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    done.stdout
}

#[test]
fn a_person_logs_in_finds_a_recording_looks_at_it_downloads_it_and_logs_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    record_robot(&root);
    for i in 0..101 {
        record(&root, &format!("alice/lab/many/{i:03}"), 3);
    }
    record(&root, "bob/lab/secret", 3);
    let live = Experiment::open("alice/lab/live", Options::local(&root)).unwrap();
    live.tracks("odom").append(fields! { "x": 1.5 }, 10.0).unwrap();
    live.flush().unwrap();
    let server = Server::start(&root);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let told = json!({
        "token": TOKEN, "otherToken": BOBS_TOKEN, "folder": out,
        "report": "/report?e=experiment~~alice~~lab~~run-1", "live": "lab/live", "robot": "lab/run-1",
        "plots": [
            ["a of imu over time", "--series-0", 300],
            ["path of robot/pose in the plane", "--accent", 300],
            ["scans of scan at the cursor's time", "--accent", 250],
        ],
        "downloads": ["The whole run as MCAP", "imu", "camera/front/000000.png"],
    });
    if !look("visit", &server, &told) {
        return;
    }
    let downloaded = |name: &str| fs::read(out.join(name)).unwrap();
    let mcap = folder.path().join("run.mcap");
    run(&root, &["export", RUN, "-o", mcap.to_str().unwrap()]);
    assert!(downloaded("run-1.mcap") == fs::read(&mcap).unwrap());
    let parquet = run(&root, &["read", RUN, "imu", "--format", "parquet", "--strict"]);
    assert!(downloaded("run-1-imu.parquet") == parquet);
    let exp = Experiment::open_read_only(RUN, &root).unwrap();
    let picture = exp.files("camera/front").read("000000.png").unwrap();
    assert!(downloaded("000000.png") == picture);
    live.close().unwrap();
}

#[test]
fn pages_fit_a_phone_and_the_dark() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    record(&root, "alice/lab/a-run-with-a-name-that-no-phone-is-wide-enough-for-0123456789", 300);
    let server = Server::start(&root);
    let id =
        "experiment~~alice~~lab~~a-run-with-a-name-that-no-phone-is-wide-enough-for-0123456789";
    let told = json!({
        "token": TOKEN, "report": format!("/report?e={id}"), "downloads": format!("/downloads?e={id}"),
        "plot": "x of odom over time",
    });
    look("small", &server, &told);
}

/// Says that something is over, however it ended.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_page_goes_on_while_its_recording_does_and_keeps_what_its_reader_has_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    fs::create_dir_all(&root).unwrap();
    let mut append = program(["append", "alice/lab/live", "odom", "--root"]).arg(&root).start();
    let mut stdin = append.stdin.take().unwrap();
    let line = |i: u32| {
        let t = f64::from(i) / 50.0;
        format!("{{\"_ts\": {}, \"x\": {}, \"y\": {}}}\n", START + t, t.sin(), t.cos())
    };
    let server = Server::start(&root);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                stdin.write_all(line(i).as_bytes()).unwrap();
                // As a robot would; nothing depends on how fast it is.
                thread::sleep(Duration::from_millis(20));
            }
            drop(stdin);
        });
        let _ends = Ends(&is_over);
        let rows = root.join("alice/lab/live/tracks/odom/data.jsonl");
        while fs::metadata(&rows).map_or(0, |metadata| metadata.len()) == 0 {
            thread::sleep(Duration::from_millis(20));
        }
        let told = json!({
            "token": TOKEN, "report": "/report?e=experiment~~alice~~lab~~live", "plot": "x of odom over time",
        });
        look("live", &server, &told);
    });
    assert!(append.wait().unwrap().success());
}

#[test]
fn hostile_names_tags_and_texts_are_shown_and_do_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    // What a name may not hold is left out: a slash.
    let hostile = HOSTILE.replace("</", "<");
    let exp = Experiment::open(&format!("alice/lab/{hostile}"), Options::local(&root)).unwrap();
    let label = LabelChange::new().task(HOSTILE).unwrap().add_tag(HOSTILE).unwrap();
    exp.label(&label.notes(HOSTILE).unwrap().operator(HOSTILE).unwrap()).unwrap();
    let mut row = fields! { "x": 1.5 };
    row.insert(HOSTILE, HOSTILE);
    exp.tracks(&hostile).append(row, START).unwrap();
    exp.files("files").save_bytes("x", &hostile).unwrap();
    let server = Server::start(&root);
    let id: String = hostile
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("~{byte:02X}"),
        })
        .collect();
    let id = format!("experiment~~alice~~lab~~{id}");
    let query: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let told = json!({
        "token": TOKEN, "name": hostile,
        "paths": [format!("/report?e={id}"), format!("/downloads?e={id}"), format!("/?q={query}")],
    });
    look("hostile", &server, &told);
}
