//! What `docs/learning.md` and `config/recipes` say works as they say it.

use std::fs;
use std::path::Path;
use std::process::Command;

use mldash_bridge::export::recipe::{Content, Method, Recipe};
use mldash_bridge::fields;
use mldash_bridge::track::Experiment;

use super::{START, png, record, record_picture, source, try_export};
use crate::markdown::pages;
use crate::program::program;
use crate::python::oracle_python;

#[test]
fn the_page_on_learning_runs_from_top_to_bottom() {
    let page = pages().into_iter().find(|page| page.name == "docs/learning.md").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["config", "tests"] {
        std::os::unix::fs::symlink(source(name), folder.path().join(name)).unwrap();
    }
    let (mut commands, mut programs) = (0, 0);
    let blocks = page.blocks();
    for block in blocks.iter().filter(|block| block.not_run().is_none()) {
        let text = &block.text;
        match block.kind.as_str() {
            "yaml" => fs::write(folder.path().join("recipe.yaml"), text).unwrap(),
            "sh" => {
                for line in text.lines() {
                    let args = line.strip_prefix("mldash_bridge ").unwrap();
                    let done = program(args.split(' ')).current_dir(folder.path()).run();
                    assert_eq!(done.code, 0, "{line}: {}", done.stderr);
                    commands += 1;
                }
            }
            "python" => {
                let done = Command::new(oracle_python())
                    .args(["-c", text.as_str()])
                    .current_dir(folder.path())
                    .output()
                    .unwrap();
                let told = String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success(), "{text}\n{told}");
                programs += 1;
            }
            "python lerobot" => {}
            other => panic!("a block of {other}"),
        }
    }
    assert_eq!((commands, programs), (3, 4));
}

#[test]
fn every_key_of_a_recipe_is_explained() {
    let page = fs::read_to_string(source("docs/learning.md")).unwrap();
    let error = Recipe::parse("{x: 1, features: {a: {y: 1, from: 'b:c'}}}", "recipe").unwrap_err();
    let hints: Vec<&str> = error.problems().iter().filter_map(|p| p.hint()).collect();
    let known = hints.iter().filter_map(|hint| hint.strip_prefix("known here: "));
    let keys: Vec<&str> = known.flat_map(|keys| keys.split(", ")).collect();
    assert!(keys.len() > 15, "{hints:?}");
    for key in keys {
        assert!(page.contains(&format!("`{key}`")) || page.contains(&format!("`{key}: ")), "{key}");
    }
}

fn run_recipe(name: &str, seconds: u32, step: impl Fn(&Experiment, usize, f64)) {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), "alice/lab/run");
    let details = serde_json::json!({"task": "as recorded"});
    exp.start_run(details.as_object().unwrap().clone()).unwrap();
    for i in 0..seconds * 30 {
        step(&exp, i as usize, START + f64::from(i) / 30.0);
    }
    exp.close().unwrap();
    let text = fs::read_to_string(source(&format!("config/recipes/{name}.yaml"))).unwrap();
    let recipe = Recipe::parse(&text, name).unwrap();
    assert!(recipe.features.iter().any(|feature| feature.method == Method::Linear));
    assert!(recipe.features.iter().any(|feature| matches!(feature.content, Content::Picture(_))));
    let target = root.path().join("set");
    let account = try_export(root.path(), &["alice/lab/run"], &text, &target).unwrap();
    let last = u64::from(seconds) * u64::from(recipe.fps);
    assert_eq!(account.episodes, 1);
    assert!(account.frames + 2 >= last && account.frames <= last, "{}", account.frames);
    let info: serde_json::Value = read_json(&target.join("meta/info.json"));
    for feature in &recipe.features {
        assert!(info["features"][&feature.name].is_object(), "{}", feature.name);
    }
}

fn read_json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_recipe_for_a_mobile_base_takes_what_such_a_base_publishes() {
    run_recipe("mobile_base", 3, |exp, i, secs| {
        let odom = fields! {
            "pose": { "pose": { "position": [secs, 0.0, 0.0], "orientation": [0.0, 0.0, 0.0, 1.0] } },
            "twist": { "twist": { "linear": [0.1, 0.0, 0.0], "angular": [0.0, 0.0, 0.2] } },
        };
        exp.tracks("odom").append(odom, secs).unwrap();
        if i % 10 == 0 {
            let twist = fields! { "linear": [0.1, 0.0, 0.0], "angular": [0.0, 0.0, 0.2] };
            exp.tracks("cmd_vel").append(twist, secs).unwrap();
            record_picture(exp, "camera/image_raw/compressed", i, &png(8, 8, [1, 2, 3]), secs);
        }
    });
}

#[test]
fn the_recipe_for_an_arm_takes_what_such_an_arm_publishes() {
    run_recipe("arm", 2, |exp, i, secs| {
        let mut names =
            vec!["elbow", "shoulder_lift", "shoulder_pan", "wrist_1", "wrist_2", "wrist_3"];
        names.rotate_left(i % 6);
        let joints =
            fields! { "name": names, "position": [secs.sin(); 6], "velocity": [secs.cos(); 6] };
        exp.tracks("joint_states").append(joints, secs).unwrap();
        exp.tracks("gripper/state").append(fields! { "position": 0.04 }, secs).unwrap();
        exp.tracks("arm/command").append(fields! { "data": [0.1; 6] }, secs).unwrap();
        exp.tracks("gripper/command").append(fields! { "data": 0.02 }, secs).unwrap();
        for camera in ["camera/front", "camera/wrist"] {
            record_picture(exp, camera, i, &png(8, 8, [i as u8; 3]), secs);
        }
    });
}

#[test]
fn a_drafted_recipe_can_be_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    let bag = source("tests/data/sena_lab_loop.mcap");
    let config = source("config/demo.yaml");
    let import = program(["import"]).arg(bag).arg("--config").arg(config).arg("--root").arg(&root);
    assert_eq!(import.run().code, 0);
    let recipe = folder.path().join("recipe.yaml");
    let init = || {
        let args = program(["dataset", "--init", "demo/sena-lab/loop", "--root"]).arg(&root);
        args.arg("-o").arg(&recipe).run()
    };
    let done = init();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(init().code, 2, "a recipe that was edited is not overwritten");
    let args = program(["dataset", "demo/sena-lab/loop", "--root"]).arg(&root).arg("--recipe");
    let done = args.arg(&recipe).arg("-o").arg(folder.path().join("set")).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}
