//! What an experiment holds, from the library and from `mldash_bridge tracks`.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};

use crate::program::program;
use crate::terminal::Terminal;

const RUN: &str = "alice/warehouse/run-1";

fn record(root: &Path, topics: &[&str]) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for topic in topics {
        exp.tracks(topic).append(fields! { "q": [0.5, 1.5], "mode": "hold" }, 1.0).unwrap();
        exp.tracks(topic).append(fields! { "q": [0.5, 2.5] }, 2.5).unwrap();
    }
    exp.close().unwrap();
}

#[test]
fn tracks_are_listed_by_topic_with_rows_times_and_columns() {
    let root = tempfile::tempdir().unwrap();
    record(root.path(), &["robot/pose", "camera"]);
    let done = program(["tracks", RUN, "--json", "--root"]).arg(root.path()).run();
    let tracks: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(tracks[0]["topic"], "camera");
    assert_eq!(tracks[1]["topic"], "robot/pose");
    assert_eq!(tracks[1]["totalEntries"], 2);
    assert_eq!(tracks[1]["firstTimestamp"], 1.0);
    assert_eq!(tracks[1]["lastTimestamp"], 2.5);
    assert_eq!(tracks[1]["columns"], serde_json::json!(["mode", "q"]));
    assert!(tracks[1]["sizeBytes"].as_u64().unwrap() > 50);

    let table = program(["tracks", RUN, "--root"]).arg(root.path()).run();
    let pose = table.text().lines().find(|line| line.contains("robot/pose")).unwrap();
    let cells: Vec<&str> = pose.split_whitespace().collect();
    assert_eq!(cells[..4], ["robot/pose", "2", "1.000000", "2.500000"]);
}

#[test]
fn an_experiment_that_is_not_there_and_a_name_that_can_not_be_one_end_differently() {
    let root = tempfile::tempdir().unwrap();
    let absent = program(["tracks", RUN, "--root"]).arg(root.path()).run();
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains(RUN), "{}", absent.stderr);
    assert!(absent.stderr.contains("`--root` says which folder"), "{}", absent.stderr);
    let wrong = program(["tracks", "run-1", "--root"]).arg(root.path()).run();
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("owner/project/name"), "{}", wrong.stderr);
}

#[test]
fn a_filter_lists_one_track_or_those_below_a_prefix() {
    let root = tempfile::tempdir().unwrap();
    record(root.path(), &["robot/pose", "robot/arm/q", "robotics", "camera"]);
    let listed = |filter: &str| -> Vec<String> {
        let done = program(["tracks", RUN, "--json", "--filter", filter, "--root"]);
        let done = done.arg(root.path()).run();
        let tracks: Vec<serde_json::Value> = serde_json::from_slice(&done.stdout).unwrap();
        tracks.iter().map(|track| track["topic"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("robot/*"), ["robot/arm/q", "robot/pose"]);
    assert_eq!(listed("camera"), ["camera"]);
    assert_eq!(listed("*").len(), 4);
    assert_eq!(listed("nothing/*"), [""; 0]);
}

#[test]
fn tables_and_help_fit_the_terminal_and_break_no_word() {
    let root = tempfile::tempdir().unwrap();
    record(root.path(), &["robot/arm/left/joint_states", "camera"]);
    let on_terminal = |columns: u16, args: &[&str]| -> String {
        let terminal = Terminal::of_width(columns);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        let mut child =
            command.args(args).env("NO_COLOR", "1").stdout(terminal.open()).spawn().unwrap();
        drop(command);
        let mut text = Vec::new();
        // It ends with an error once no program has the terminal.
        let _ = terminal.into_other_side().read_to_end(&mut text);
        assert!(child.wait().unwrap().success(), "{args:?}");
        String::from_utf8(text).unwrap()
    };
    let root = root.path().to_str().unwrap();
    for columns in [80, 60, 50] {
        for args in
            [&["tracks", RUN, "--root", root][..], &["experiments", "--root", root], &["--help"]]
        {
            let text = on_terminal(columns, args);
            assert!(!text.is_empty());
            for line in text.lines() {
                let width = line.trim_end().chars().count();
                assert!(width <= usize::from(columns), "{columns}: {line:?}");
            }
        }
        let table = on_terminal(columns, &["tracks", RUN, "--root", root]);
        for word in ["camera", "joint_states", "1.000000", "ROWS"] {
            assert!(table.contains(word), "{columns}: {table}");
        }
    }
}
