//! A bag that is played and recorded gives the tracks that importing it gives, and a dataset that a computation from the
//! bag alone confirms.

use std::fs;
use std::process::Command;

use mldash_bridge::track::{Experiment, Format, Query, Row, Value};

use super::support::Graph;
use crate::python::oracle_python;

pub const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml");
const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/drive_a_loop.yaml");
const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/same_as_dataset.py");
pub const RUN: &str = "tests/ros/run";

/// Tracks of topics without a stamp: their rows lie on the receive time, which in a bag is the log time
/// and, live, when it was played. What is in them and in which order is the same.
const BY_RECEIVE_TIME: [&str; 2] = ["chatter", "robot_description"];

/// The rows of a track as text, each without its time where that is not to be compared.
pub fn rows(exp: &Experiment, track: &str) -> Vec<String> {
    let text = exp.tracks(track).export(&Query::all(), Format::Jsonl).unwrap();
    let text = String::from_utf8(text).unwrap();
    let row = |line: &str| match BY_RECEIVE_TIME.contains(&track) {
        true => line.split_once(',').unwrap().1.to_owned(),
        false => line.to_owned(),
    };
    text.lines().map(row).collect()
}

/// The files that the rows of the camera name.
pub fn pictures(exp: &Experiment) -> Vec<Vec<u8>> {
    let files = exp.files("");
    let rows = exp.tracks("camera/image").read(&Query::all()).unwrap();
    let picture = |row: &Row| {
        let Some(Value::Text(path)) = row.fields.get("path") else { panic!("{row:?}") };
        let info = files.find(path).unwrap().unwrap();
        fs::read(files.path(&info).unwrap()).unwrap()
    };
    rows.iter().map(picture).collect()
}

#[test]
fn live_recording_and_import_of_a_bag_give_identical_tracks() {
    let graph = Graph::new();
    let bridge = graph.bridge_with(&["--config", CONFIG]);
    graph.run_example(
        "play_bag",
        &[BAG, "--rate", "20", "--wait-for-subscribers", "180", "--linger", "180"],
    );
    let live = bridge.interrupt();

    let root = graph.path("imported");
    let imported = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"))
        .args(["import", BAG, "--config", CONFIG, "--experiment", RUN, "--json", "--root"])
        .arg(&root)
        .output()
        .unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let live_exp = Experiment::open_read_only(RUN, graph.path("root")).unwrap();
    let imported_exp = Experiment::open_read_only(RUN, &root).unwrap();
    let names = |exp: &Experiment| exp.list().unwrap().into_iter().map(|t| t.topic).collect();
    let (tracks, imported_tracks): (Vec<String>, Vec<String>) =
        (names(&live_exp), names(&imported_exp));
    assert_eq!(tracks, imported_tracks);
    assert_eq!(tracks.len(), 12, "{tracks:?}");
    let mut compared = 0;
    for track in &tracks {
        let (live, imported) = (rows(&live_exp, track), rows(&imported_exp, track));
        assert_eq!(live.len(), imported.len(), "rows of {track}");
        for (i, (live, imported)) in live.iter().zip(&imported).enumerate() {
            assert!(live == imported, "row {i} of {track}:\n{live:.300}\n{imported:.300}");
        }
        compared += live.len();
    }
    assert_eq!(compared, 5 * 225 + 450 + 2 + 5 + 23 + 1);

    let (live_pictures, imported_pictures) = (pictures(&live_exp), pictures(&imported_exp));
    assert_eq!(live_pictures.len(), 5);
    assert!(live_pictures == imported_pictures, "the files differ");
    let dataset = graph.path("dataset");
    let exported = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"))
        .args(["dataset", RUN, "--recipe", RECIPE, "--root"])
        .arg(graph.path("root"))
        .arg("-o")
        .arg(&dataset)
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let compared =
        Command::new(oracle_python()).args([ORACLE, BAG]).arg(&dataset).output().unwrap();
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));

    // Not the bytes received: middlewares pad messages.
    let account: serde_json::Value = serde_json::from_slice(&imported.stdout).unwrap();
    for topic in account["topics"].as_array().unwrap() {
        let name = topic["topic"].as_str().unwrap();
        for count in ["received", "stored", "merged", "dropped"] {
            assert_eq!(live.topic(name)[count], topic[count], "{count} of {name}");
        }
    }
}
