//! Adding to a dataset: what is there stays, what comes is of the same kind, and the whole is as if written at once.

use std::fs;
use std::path::Path;

use mldash_bridge::fields;

use super::like_lerobot::{EPISODES, recipe, record_sample};
use super::{START, oracle, png, record, record_picture, source};
use crate::program::{Done, program};

fn dataset(root: &Path, name: &str, recipe: &str, target: &Path, more: &[&str]) -> Done {
    let path = root.join("recipe.yaml");
    fs::write(&path, recipe).unwrap();
    let args = program(["dataset", name, "--root"]).arg(root).arg("--recipe").arg(path);
    args.arg("-o").arg(target).args(more).run()
}

#[test]
fn episodes_that_are_added_give_the_dataset_of_all() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    let done = dataset(root.path(), EPISODES[0], &recipe("image"), &target, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let first = fs::read(target.join("data/chunk-000/file-000.parquet")).unwrap();
    let added = dataset(root.path(), EPISODES[1], &recipe("image"), &target, &["--append"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert!(added.text().contains("2 episodes, 25 frames"), "{}", added.text());
    assert_eq!(fs::read(target.join("data/chunk-000/file-000.parquet")).unwrap(), first);
    assert!(target.join("data/chunk-000/file-001.parquet").exists());
    assert!(target.join("meta/episodes/chunk-000/file-001.parquet").exists());
    let whole = root.path().join("whole");
    let done = dataset(root.path(), "alice/lab/*", &recipe("image"), &whole, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(oracle("same_rows.py", &[&whole, &target]), "25 rows, 2 episodes");
    let json = |path: &str| fs::read_to_string(target.join(path)).unwrap();
    assert_eq!(json("meta/stats.json"), fs::read_to_string(whole.join("meta/stats.json")).unwrap());
    assert_eq!(json("meta/info.json"), fs::read_to_string(whole.join("meta/info.json")).unwrap());
    assert_eq!(
        fs::read_dir(root.path())
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().contains("partial")
            })
            .count(),
        0
    );
}

#[test]
fn what_is_of_another_kind_or_there_already_is_not_added() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    let none = dataset(root.path(), EPISODES[0], &recipe("image"), &target, &["--append"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("there is no dataset in"), "{}", none.stderr);
    dataset(root.path(), EPISODES[0], &recipe("image"), &target, &[]);
    let before = fs::read(target.join("meta/info.json")).unwrap();
    let refused = |name: &str, recipe: &str, told: &str| {
        let done = dataset(root.path(), name, recipe, &target, &["--append"]);
        assert_eq!(done.code, 2, "{}", done.stderr);
        assert!(done.stderr.contains(told), "{}", done.stderr);
        assert_eq!(fs::read(target.join("meta/info.json")).unwrap(), before);
    };
    let twice = "experiment alice/lab/drive would be in it twice";
    refused(EPISODES[0], &recipe("image"), twice);
    let faster = recipe("image").replace("fps: 10", "fps: 20");
    refused(EPISODES[1], &faster, "its fps is 10, and the recipe's 20");
    let renamed = recipe("image").replace("names: [v, w]", "names: [v, omega]");
    refused(
        EPISODES[1],
        &renamed,
        "the names of `action` is [\"v\",\"w\"] there and [\"v\",\"omega\"] here",
    );
    let fewer = recipe("image").replace("  action:", "  other:");
    refused(EPISODES[1], &fewer, "it has a feature `action`, and the recipe has not");
}

#[test]
fn nothing_is_added_to_a_dataset_whose_tasks_or_pixel_counts_are_not_known() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    dataset(root.path(), EPISODES[0], &recipe("image"), &target, &[]);
    let refused = |told: &str| {
        let done = dataset(root.path(), EPISODES[1], &recipe("image"), &target, &["--append"]);
        assert_eq!(done.code, 2, "{}", done.stderr);
        assert!(done.stderr.contains(told), "{}", done.stderr);
    };
    let pixels = target.join("meta/mldash_pixels.parquet");
    let counts = fs::read(&pixels).unwrap();
    fs::remove_file(&pixels).unwrap();
    refused("has counted the pixels of 0 of the");
    // Of another table, as if somebody else had written the tasks.
    let tasks = target.join("meta/tasks.parquet");
    let written = fs::read(&tasks).unwrap();
    fs::write(&pixels, &counts).unwrap();
    fs::write(&tasks, &counts).unwrap();
    refused("names 0 tasks as this program writes them, and meta/info.json 1");
    fs::write(&tasks, &written).unwrap();
    let info = fs::read_to_string(target.join("meta/info.json")).unwrap();
    fs::write(target.join("meta/info.json"), info.replace("total_frames", "frames")).unwrap();
    refused("has no number `total_frames`");
    fs::write(target.join("meta/info.json"), info).unwrap();
    let done = dataset(root.path(), EPISODES[1], &recipe("image"), &target, &["--append"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn the_target_is_the_folder_that_a_link_or_a_dot_leads_to() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let (target, link) = (root.path().join("set"), root.path().join("link"));
    dataset(root.path(), EPISODES[0], &recipe("image"), &target, &[]);
    std::os::unix::fs::symlink("set", &link).unwrap();
    let added = dataset(root.path(), EPISODES[1], &recipe("image"), &link, &["--append"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert!(link.is_symlink());
    assert!(target.join("data/chunk-000/file-001.parquet").exists());
    // A folder that is there and empty is a place for a new one.
    let here = root.path().join("here");
    fs::create_dir(&here).unwrap();
    let path = root.path().join("recipe.yaml");
    let args = program(["dataset", EPISODES[0], "-o", ".", "--root"]).arg(root.path());
    let done = args.arg("--recipe").arg(path).current_dir(&here).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(here.join("meta/info.json").exists());
    let nowhere =
        dataset(root.path(), EPISODES[0], &recipe("image"), Path::new("/"), &["--append"]);
    assert!(
        nowhere.code == 2 && nowhere.stderr.contains("is no name of a folder"),
        "{}",
        nowhere.stderr
    );
}

#[test]
fn what_is_added_to_is_not_even_looked_at_while_another_process_writes_it() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    dataset(root.path(), EPISODES[0], &recipe("image"), &target, &[]);
    let aside = root.path().join(".set.partial");
    fs::create_dir(&aside).unwrap();
    let other = fs::File::open(&aside).unwrap();
    other.lock().unwrap();
    // It would be in it twice, as the dataset is now. What the other one makes of it is not known yet.
    let done = dataset(root.path(), EPISODES[0], &recipe("image"), &target, &["--append"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("another process is writing"), "{}", done.stderr);
    drop(other);
    let done = dataset(root.path(), EPISODES[0], &recipe("image"), &target, &["--append"]);
    assert!(done.stderr.contains("would be in it twice"), "{}", done.stderr);
}

#[test]
fn a_plain_table_has_a_folder_for_each_episode_and_can_be_added_to() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("table");
    let more = ["--format", "parquet"];
    let done = dataset(root.path(), EPISODES[0], &recipe("image"), &target, &more);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let append = ["--format", "parquet", "--append"];
    let faster = recipe("image").replace("fps: 10", "fps: 20");
    let refused = dataset(root.path(), EPISODES[1], &faster, &target, &append);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("its fps is 10, and the recipe's 20"), "{}", refused.stderr);
    let added = dataset(root.path(), EPISODES[1], &recipe("image"), &target, &append);
    assert_eq!(added.code, 0, "{}", added.stderr);
    let video = dataset(root.path(), EPISODES[1], &recipe("video"), &root.path().join("x"), &more);
    assert_eq!(video.code, 2);
    assert!(video.stderr.contains("a plain table has no videos"), "{}", video.stderr);
    let sample = source("tests/data/lerobot/image");
    assert_eq!(oracle("same_table.py", &[&sample, &target]), "25 rows");
}

#[test]
fn depth_keeps_its_sixteen_bits_and_scalars_their_types() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), "alice/lab/depth");
    for i in 0..4_u16 {
        let secs = START + f64::from(i) / 10.0;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 2);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Sixteen);
        let depths = [0, i, 1000 + i, 65_535].map(u16::to_be_bytes).concat();
        encoder.write_header().unwrap().write_image_data(&depths).unwrap();
        record_picture(&exp, "depth", i.into(), &file, secs);
        record_picture(&exp, "color", i.into(), &png(8, 8, [i as u8; 3]), secs);
        let row = fields! { "on": i % 2 == 0, "count": i64::from(i), "exact": secs };
        exp.tracks("state").append(row, secs).unwrap();
    }
    exp.close().unwrap();
    let recipe = "{fps: 10, task: t, features: {depth: {from: depth, as: image}, small: {from: color, as: image, size: \
                  [4, 6]}, on: {from: 'state:on', dtype: bool}, count: {from: 'state:count', dtype: int64, unit: \
                  pieces}, exact: {from: 'state:exact', dtype: float64}}}";
    let target = root.path().join("set");
    let done = dataset(root.path(), "alice/lab/depth", recipe, &target, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(oracle("types_of_dataset.py", &[&target]), "as recorded");
    let video =
        recipe.replace("depth: {from: depth, as: image}", "depth: {from: depth, as: video}");
    let done = dataset(root.path(), "alice/lab/depth", &video, &root.path().join("video"), &[]);
    assert_eq!(done.code, 2, "{}", done.stderr);
}
