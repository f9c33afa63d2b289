//! A real bag, imported and exported by the program, against a computation from the bag alone.

use std::path::Path;

use super::{oracle, source};
use crate::program::program;

const RECIPE: &str = include_str!("../../data/drive_a_loop.yaml");

fn import(root: &Path) {
    let bag = source("tests/data/sena_lab_loop.mcap");
    let config = source("config/demo.yaml");
    let done =
        program(["import"]).arg(bag).arg("--config").arg(config).arg("--root").arg(root).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn every_value_of_a_dataset_is_what_the_bag_says() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    import(&root);
    let recipe = folder.path().join("recipe.yaml");
    std::fs::write(&recipe, RECIPE).unwrap();
    let target = folder.path().join("set");
    let dataset = || {
        let args = program(["dataset", "demo/sena-lab/loop", "--root"]).arg(&root).arg("--recipe");
        args.arg(&recipe).arg("-o").arg(&target)
    };
    let done = dataset().run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    let bag = source("tests/data/sena_lab_loop.mcap");
    let found = oracle("same_as_dataset.py", &[&bag, &target]);
    let told = done.text();
    let frames = found.split(", ").nth(1).unwrap();
    assert!(told.contains(&format!("{frames} of 591 ticks")), "{found}: {told}");
    let lacks = "`observation.state` lacks a value at ";
    assert!(told.contains(lacks) && told.contains("a new episode begins after them"), "{told}");
    let again = dataset().run();
    assert_eq!(again.code, 2, "nothing is overwritten unasked");
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn a_recipe_that_is_wrong_or_does_not_fit_is_told_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    import(&root);
    let target = folder.path().join("set");
    let run = |experiment: &str, recipe: &str| {
        let path = folder.path().join("recipe.yaml");
        std::fs::write(&path, recipe).unwrap();
        let args = program(["dataset", experiment, "--root"]).arg(&root).arg("--recipe").arg(path);
        let done = args.arg("-o").arg(&target).run();
        assert!(!target.exists(), "{}", done.stderr);
        (done.code, done.stderr)
    };
    let (code, told) = run("demo/**", "fps: ten\nfeatures: {a: {from: odom}}");
    assert_eq!(code, 2);
    assert!(told.contains("recipe.yaml:1:6: fps: expected a whole number"), "{told}");
    assert!(told.contains("recipe.yaml:2:22: features.a.from: `odom` names no column"), "{told}");
    let with = |feature: &str| format!("{{fps: 10, task: t, features: {{a: {{{feature}}}}}}}");
    let (code, told) = run("demo/**", &with("from: 'odom:x'"));
    assert_eq!(code, 1);
    assert!(
        told.contains("feature `a`: there is no track `odom`; there are: camera/image"),
        "{told}"
    );
    let (code, told) = run("demo/**", &with("from: 'robot/odom:x'"));
    assert_eq!(code, 1);
    assert!(told.contains("there is no column `x` of track `robot/odom`; there are:"), "{told}");
    let (code, told) = run("demo/**", &with("from: 'robot/pose:position', names: [x, y]"));
    assert_eq!(code, 2);
    assert!(told.contains("the recipe has 2 names for 3 values"), "{told}");
    let (code, told) = run("demo/**", &with("from: 'robot/pose:position[0:5]'"));
    assert_eq!(code, 1);
    assert!(told.contains("robot/pose:position[0:5]: the list has 3 elements, too few"), "{told}");
    let (code, told) = run("demo/**", &with("from: 'robot/points:points', as: image"));
    assert_eq!(code, 1);
    assert!(told.contains("robot/points:points: 309 names no file"), "{told}");
    let (code, told) = run("demo/**", "{fps: 10, features: {a: {from: 'robot/pose:position'}}}");
    assert_eq!(code, 2);
    assert!(told.contains("demo/sena-lab/loop has no task"), "{told}");
    let (code, told) = run("alice/*", &with("from: 'robot/pose:position'"));
    assert_eq!(code, 1);
    assert!(told.contains("matches `alice/*`"), "{told}");
}
