//! The datasets in `tests/data/lerobot` were written by the real library. The same frames, recorded and exported, give
//! the same files: layout, schemas, metadata and values.

use std::path::Path;

use base64::Engine;
use mldash_bridge::fields;
use mldash_bridge::track::Metadata;
use serde_json::json;

use super::{START, oracle, record, record_picture, source, try_export};

pub const EPISODES: [&str; 2] = ["alice/lab/drive", "alice/lab/turn"];

/// The recipe of the samples.
pub fn recipe(store: &str) -> String {
    format!(
        r#"
fps: 10
robot_type: rover
features:
  observation.state: {{from: "odom:pose", names: [x, y, yaw]}}
  action: {{from: ["cmd_vel:linear[0]", "cmd_vel:angular[2]"], names: [v, w]}}
  observation.images.front: {{from: camera/front, as: {store}}}
"#
    )
}

/// Records what is in the sample of images, each episode with its task.
pub fn record_sample(root: &Path) {
    let experiments = EPISODES.map(|name| record(root, name));
    for (exp, task) in experiments.iter().zip(["drive", "turn"]) {
        let details: Metadata = json!({"task": task}).as_object().unwrap().clone();
        exp.start_run(details).unwrap();
    }
    let rows = oracle("sample_rows.py", &[&source("tests/data/lerobot/image")]);
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let numbers = |name: &str| -> Vec<f32> {
            row[name].as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect()
        };
        let exp = &experiments[row["episode_index"].as_u64().unwrap() as usize];
        let frame = row["frame_index"].as_u64().unwrap() as usize;
        let secs = START + frame as f64 / 10.0;
        exp.tracks("odom").append(fields! { "pose": numbers("observation.state") }, secs).unwrap();
        let action = numbers("action");
        let twist = fields! { "linear": [action[0], 0.0, 0.0], "angular": [0.0, 0.0, action[1]] };
        exp.tracks("cmd_vel").append(twist, secs).unwrap();
        let picture = row["observation.images.front"].as_str().unwrap();
        let picture = base64::engine::general_purpose::STANDARD.decode(picture).unwrap();
        record_picture(exp, "camera/front", frame, &picture, secs);
    }
    for exp in experiments {
        exp.close().unwrap();
    }
}

#[test]
fn a_dataset_of_images_has_the_files_schemas_and_values_of_the_real_librarys() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    let account = try_export(root.path(), &EPISODES, &recipe("image"), &target).unwrap();
    assert_eq!((account.episodes, account.frames), (2, 25));
    let sample = source("tests/data/lerobot/image");
    assert_eq!(oracle("like_lerobot.py", &[&sample, &target]), "the same");
}
