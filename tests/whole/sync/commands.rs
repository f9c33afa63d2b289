//! `sync`, and `read` and `tracks` against a server.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use mldash_bridge::track::{
    ColumnType, Experiment, Fields, Format, LabelChange, Options, RowSchema,
};
use serde_json::{Value as Json, json};

use super::lab::{Lab, RUN, append};
use crate::fault_proxy::Fault;
use crate::parquet_table::ParquetTable;
use crate::program::{Done, program};
use crate::terminal::Terminal;

fn run(lab: &Lab, command: &[&str]) -> Done {
    let (url, token) = (lab.proxy.url(), lab.token_file());
    let remote = ["--remote", &url, "--token-file", token.to_str().unwrap()];
    program(command.iter().copied().chain(remote))
        .env("ML_DASH_RETRY_BASE_DELAY", "0.02")
        .env("ML_DASH_RETRY_MAX_DELAY", "0.1")
        .run()
}

fn sync(lab: &Lab) -> Done {
    run(lab, &["sync", RUN, "--json", "--root", lab.root().to_str().unwrap()])
}

fn append_row(lab: &Lab, row: &str) -> Done {
    let (root, url, token) = (lab.root(), lab.proxy.url(), lab.token_file());
    program(["append", RUN, "robot/arm", "--remote", &url])
        .arg("--root")
        .arg(root)
        .arg("--token-file")
        .arg(token)
        .stdin(row)
        .run()
}

/// Recorded without a server.
fn recorded(lab: &Lab) -> Experiment {
    let exp = Experiment::open(RUN, Options::local(lab.root())).unwrap();
    append(&exp, "robot/arm", 0..300);
    append(&exp, "robot/base", 0..100);
    exp.flush().unwrap();
    exp
}

#[test]
fn sync_uploads_what_was_recorded_without_a_server_also_while_it_is_recorded() {
    let lab = Lab::new();
    let exp = recorded(&lab);
    let done = sync(&lab);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let status: Json = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&status["rows_sent"], &status["state"]), (&400.into(), &"up_to_date".into()));
    lab.assert_same("while recording");
    append(&exp, "robot/arm", 300..350);
    exp.close().unwrap();
    let done = sync(&lab);
    assert!(
        done.stderr.contains("sent 50 rows") && done.stderr.contains("400 rows were there"),
        "{}",
        done.stderr
    );
    lab.assert_same("closed");
    assert!(sync(&lab).stderr.contains("sent 0 rows"));
}

#[test]
fn sync_removes_here_what_the_server_returns_if_it_is_asked_to() {
    let lab = Lab::new();
    recorded(&lab).close().unwrap();
    assert_eq!(sync(&lab).code, 0);
    assert_eq!((lab.here("robot/arm").len(), lab.on_server("robot/arm").len()), (300, 300));
    let root = lab.root();
    let done = run(&lab, &["sync", RUN, "--drop-synced", "--root", root.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!((lab.here("robot/arm").len(), lab.on_server("robot/arm").len()), (0, 300));
}

#[test]
fn what_is_no_track_and_metadata_that_is_damaged_keep_no_row_from_the_server() {
    let lab = Lab::new();
    let exp = recorded(&lab);
    let tracks = exp.folder().join("tracks");
    exp.close().unwrap();
    std::fs::write(tracks.join("x.txt"), "notes").unwrap();
    std::fs::write(tracks.join("robot_base/metadata.json"), "").unwrap();
    let done = append_row(&lab, r#"{"_ts": 99, "q": 1}"#);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(lab.on_server("robot/arm").len(), 301);
    lab.assert_same("with a stray file and damaged metadata");
}

#[test]
fn rows_that_did_not_reach_the_server_are_no_success_of_append() {
    let lab = Lab::new();
    // More than the server takes in one request.
    let row = format!("{{\"_ts\": 1, \"text\": \"{}\"}}", "x".repeat(33 << 20));
    let done = append_row(&lab, &row);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert_eq!(lab.here("robot/arm").len(), 1);
}

#[test]
fn a_bag_is_imported_and_uploaded_at_once_and_the_account_says_how_far() {
    let lab = Lab::new();
    let sources = env!("CARGO_MANIFEST_DIR");
    let (bag, config) =
        (format!("{sources}/tests/data/sena_lab_loop.mcap"), format!("{sources}/config/demo.yaml"));
    let root = lab.root();
    let import = ["import", &bag, "--config", &config, "--experiment", RUN, "--json", "--root"];
    let done = run(&lab, &[&import[..], &[root.to_str().unwrap()]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let account: Json = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(account["sync"]["state"], "up_to_date", "{}", done.stderr);
    assert!(account["sync"]["rows_sent"].as_u64().unwrap() > 1000);
    lab.assert_same("imported");
    let kept = std::fs::read(root.join(RUN).join("account.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&kept).unwrap()["sync"], account["sync"]);
}

#[test]
fn sync_gives_up_after_the_sdks_number_of_retries_and_says_what_remains() {
    let lab = Lab::new();
    recorded(&lab).close().unwrap();
    lab.proxy.set(Fault::status("503 Service Unavailable", &[]));
    let done = sync(&lab);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("400 rows and 0 files to go"), "{}", done.stderr);
    assert!(done.stderr.contains("503"), "{}", done.stderr);
    assert!(!done.stderr.contains("recording"), "nothing is recorded: {}", done.stderr);
    lab.proxy.set(Fault::None);
    std::fs::write(lab.token_file(), "wr0ng").unwrap();
    let done = sync(&lab);
    assert_eq!(done.code, 1);
    assert!(!done.stderr.contains("wr0ng"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("401").count(), 1, "said once: {}", done.stderr);
}

#[test]
fn a_token_of_another_namespace_than_the_recordings_first_part_is_said() {
    let lab = Lab::new();
    let root = lab.root();
    let root = root.to_str().unwrap();
    let append = ["append", "robot/warehouse/run-1", "arm", "--root", root];
    assert_eq!(program(append).stdin(r#"{"_ts":1,"q":2}"#).run().code, 0);
    let done = run(&lab, &["sync", "robot/warehouse/run-1", "--root", root]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("namespace `alice`"), "{}", done.stderr);
    let there = Experiment::open_read_only("alice/warehouse/run-1", lab.server_root()).unwrap();
    assert_eq!(there.list().unwrap()[0].total_entries, 1);
    let done = run(&lab, &["read", "robot/warehouse/run-1", "arm"]);
    assert!(done.text().contains(r#""q":2"#) && done.stderr.contains("namespace `alice`"));
}

#[test]
fn experiments_on_a_server_are_listed_as_those_here_are() {
    let lab = Lab::new();
    let exp = recorded(&lab);
    exp.label(&LabelChange::new().add_tag("kitchen").unwrap().success(Some(true))).unwrap();
    exp.close().unwrap();
    assert_eq!(sync(&lab).code, 0);
    let root = lab.root();
    // What is said afterwards goes there with the next sync.
    let tag = ["tag", RUN, "--task", "pick", "--notes", "n", "--operator", "ann", "--discard"];
    let tagged = program(tag.iter().copied().chain(["--root", root.to_str().unwrap()])).run();
    assert_eq!(tagged.code, 0, "{}", tagged.stderr);
    assert_eq!(sync(&lab).code, 0);
    let list = ["experiments", "alice/*/monday", "--json"];
    let here = program(list.iter().copied().chain(["--root", root.to_str().unwrap()])).run();
    let there = run(&lab, &list);
    let told = |done: &Done| -> Vec<Json> {
        let experiments: Vec<Json> = serde_json::from_slice(&done.stdout).unwrap();
        let keys = [
            "name",
            "startTimestamp",
            "lengthSecs",
            "tracks",
            "totalEntries",
            "sizeBytes",
            "tags",
            "task",
            "success",
            "operator",
            "discarded",
            "description",
        ];
        let told = |experiment: &Json| keys.iter().map(|key| experiment[key].clone()).collect();
        experiments.iter().map(told).collect()
    };
    assert_eq!(there.code, 0, "{}", there.stderr);
    assert_eq!(told(&there), told(&here));
    assert_eq!(told(&there)[0][0], RUN);
    let said = json!([["kitchen"], "pick", true, "ann", true, "n"]);
    assert_eq!(told(&there)[0].as_array().unwrap()[6..], *said.as_array().unwrap());
    let none = run(&lab, &["experiments", "alice/elsewhere/**"]);
    assert_eq!((none.code, none.text()), (0, ""));
    assert!(none.stderr.contains("matches `alice/elsewhere/**`"), "{}", none.stderr);
}

/// Ctrl-C on the terminal of a sync whose server does not answer.
#[test]
fn a_sync_that_is_stopped_leaves_no_bar_on_the_terminal() {
    let lab = Lab::new();
    recorded(&lab).close().unwrap();
    lab.proxy.set(Fault::BlackHole);
    let terminal = Terminal::of_width(80);
    // With the terminal as its own, as a shell starts it.
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_mldash_bridge"), "sync", RUN, "--root"]);
    command.arg(lab.root()).args(["--remote", &lab.proxy.url(), "--token-file"]);
    command
        .arg(lab.token_file())
        .stdin(terminal.open())
        .stdout(Stdio::null())
        .stderr(terminal.open());
    let mut sync = command.spawn().unwrap();
    // It has the terminal open too.
    drop(command);
    let mut screen = terminal.into_other_side();
    let mut text = String::new();
    let mut piece = [0; 4096];
    let mut is_told = false;
    while let Ok(read @ 1..) = screen.read(&mut piece) {
        text += &String::from_utf8_lossy(&piece[..read]);
        if !is_told && text.contains("ETA") {
            is_told = true;
            screen.write_all(b"\x03").unwrap();
        }
    }
    assert_eq!(sync.wait().unwrap().code(), Some(1), "{text:?}");
    assert!(text.contains("400 rows and 0 files to go"), "{text:?}");
    assert!(!text.contains("^C"), "the echo would push the bar up: {text:?}");
    let (_, left) = text.rsplit_once("ETA").unwrap();
    assert!(left.contains("\u{1b}[2K"), "it is gone in the end: {text:?}");
}

#[test]
fn read_and_tracks_give_from_a_server_what_they_give_here() {
    let lab = Lab::new();
    recorded(&lab).close().unwrap();
    assert_eq!(sync(&lab).code, 0);
    let root = lab.root();
    let here = |command: &[&str]| {
        program(command.iter().copied().chain(["--root", root.to_str().unwrap()])).run()
    };
    for format in Format::ALL.iter().map(|format| format.name()) {
        let read = [
            "read",
            RUN,
            "robot/arm",
            "--start",
            "0.5",
            "--end",
            "2",
            "--columns",
            "q",
            "--format",
            format,
        ];
        let (here, there) = (here(&read), run(&lab, &read));
        assert_eq!(there.code, 0, "{format}: {}", there.stderr);
        assert!(
            here.stdout == there.stdout,
            "{format}: {}",
            String::from_utf8_lossy(&there.stdout)
        );
    }
    let list = ["tracks", RUN, "--filter", "robot/*", "--json"];
    let tracks = |done: Done| -> Vec<(Json, Json, Json)> {
        let tracks: Json = serde_json::from_slice(&done.stdout).unwrap();
        let tracks = tracks.as_array().unwrap().clone();
        tracks
            .into_iter()
            .map(|t| (t["topic"].clone(), t["totalEntries"].clone(), t["columns"].clone()))
            .collect()
    };
    assert_eq!(tracks(here(&list)), tracks(run(&lab, &list)));
}

#[test]
fn columns_have_their_declared_types_on_the_server_too() {
    let lab = Lab::new();
    let exp = Experiment::open(RUN, Options::local(lab.root())).unwrap();
    let declared =
        |column: &str| RowSchema::new(column).column(column, ColumnType::list(ColumnType::Float));
    let types = || {
        let there = run(&lab, &["read", RUN, "arm", "--format", "parquet"]);
        assert_eq!(there.code, 0, "{}", there.stderr);
        ParquetTable::read(&there.stdout).types()
    };
    let append = |column: &str, ts: f64| {
        let row: Fields = [(column, Vec::<f64>::new())].into_iter().collect();
        exp.tracks("arm").with_schema(declared(column)).append(row, ts).unwrap();
        exp.flush().unwrap();
        assert_eq!(sync(&lab).code, 0);
    };
    append("effort", 1.0);
    assert_eq!(types()[1..], [("effort".into(), "[Float64]".into())]);
    // What is declared later comes too.
    append("velocity", 2.0);
    assert_eq!(types()[2..], [("velocity".into(), "[Float64]".into())]);
    let listed = run(&lab, &["tracks", RUN, "--json"]);
    let tracks: Json = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(tracks[0].get("metadata"), None, "it is no note of the user's");
}

#[test]
fn what_a_server_has_not_or_won_t_is_an_error_that_says_so() {
    let lab = Lab::new();
    recorded(&lab).close().unwrap();
    let done = run(&lab, &["read", "alice/warehouse/monday/run-2", "robot/arm"]);
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("there is no experiment `alice/warehouse/monday/run-2`"),
        "{}",
        done.stderr
    );
    lab.proxy.set(Fault::status("418 I'm a teapot", &[]));
    let done = run(&lab, &["tracks", RUN]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("418"), "{}", done.stderr);
    let done = program(["tracks", RUN, "--remote", "ftp://x"]).run();
    assert_eq!(done.code, 2, "{}", done.stderr);
}
