//! The datasets in `tests/data/lerobot` were written by the real library. The same frames, recorded and exported, give
//! the same files: layout, schemas, metadata and values.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use mldash_bridge::fields;
use mldash_bridge::track::Metadata;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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
    let sample = source("tests/data/lerobot/image/data/chunk-000/file-000.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(sample).unwrap()).unwrap();
    let experiments = EPISODES.map(|name| record(root, name));
    for (exp, task) in experiments.iter().zip(["drive", "turn"]) {
        let details: Metadata = json!({"task": task}).as_object().unwrap().clone();
        exp.start_run(details).unwrap();
    }
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        for row in 0..batch.num_rows() {
            let whole = |name| column(name).as_primitive::<Int64Type>().value(row);
            let numbers = |name| {
                let list = column(name).as_fixed_size_list().value(row);
                list.as_primitive::<Float32Type>().values().to_vec()
            };
            let pictures = column("observation.images.front").as_struct().column(0);
            let exp = &experiments[whole("episode_index") as usize];
            let frame = whole("frame_index");
            let secs = START + frame as f64 / 10.0;
            exp.tracks("odom")
                .append(fields! { "pose": numbers("observation.state") }, secs)
                .unwrap();
            let action = numbers("action");
            let twist =
                fields! { "linear": [action[0], 0.0, 0.0], "angular": [0.0, 0.0, action[1]] };
            exp.tracks("cmd_vel").append(twist, secs).unwrap();
            let picture = pictures.as_binary::<i32>().value(row);
            record_picture(exp, "camera/front", frame as usize, picture, secs);
        }
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
