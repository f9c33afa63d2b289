//! Parts as episodes: what is said of them at the start, by `split_on`, and afterwards by `tag`.

use std::fs;
use std::path::Path;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, LabelChange, Labels, Metadata, Options};
use serde_json::{Value as Json, json};

use crate::made_bag::{Imported, MadeBag, STAMPED, TEXT, stamped, text};
use crate::program::{Done, program};

const SEC: u64 = 1_000_000_000;

fn record(root: &Path, name: &str) -> Experiment {
    let exp = Experiment::open(name, Options::local(root)).unwrap();
    exp.start_run(Metadata::new()).unwrap();
    exp.tracks("arm").append(fields! { "q": 1 }, 1.0).unwrap();
    exp
}

fn run(root: &Path, args: &[&str]) -> Done {
    program(args).arg("--root").arg(root).run()
}

fn labels(root: &Path, name: &str) -> Labels {
    Experiment::open_read_only(name, root).unwrap().notes().unwrap().labels()
}

fn file(root: &Path, name: &str) -> Json {
    serde_json::from_slice(&fs::read(root.join(name).join("experiment.json")).unwrap()).unwrap()
}

#[test]
fn tag_says_things_of_all_experiments_that_are_meant_and_keeps_what_others_wrote() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for name in ["a/lab/run", "a/lab/run_002", "a/lab/other"] {
        record(root, name).close().unwrap();
        let mut json = file(root, name);
        json["theirs"] = json!([1, {"x": null}]);
        json["metadata"]["robot"] = json!("rover");
        fs::write(root.join(name).join("experiment.json"), json.to_string()).unwrap();
    }
    let said = run(
        root,
        &[
            "tag",
            "a/lab/run*",
            "--task",
            "pick the cup",
            "--success",
            "false",
            "--notes",
            "slipped\ntwice",
            "--operator",
            "ann",
            "--add-tag",
            "kitchen",
            "--add-tag",
            "arm",
            "--discard",
            "--json",
        ],
    );
    assert_eq!(said.code, 0, "{}", said.stderr);
    let told: Json = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(told[1]["experiment"], "a/lab/run_002");
    assert_eq!(
        (&told[1]["discarded"], &told[1]["tags"]),
        (&json!(true), &json!(["kitchen", "arm"]))
    );
    for name in ["a/lab/run", "a/lab/run_002"] {
        let json = file(root, name);
        assert_eq!(json["theirs"], json!([1, {"x": null}]));
        assert_eq!(
            (&json["description"], &json["status"]),
            (&json!("slipped\ntwice"), &json!("COMPLETED"))
        );
        let metadata = &json["metadata"];
        assert_eq!(metadata["robot"], "rover");
        assert_eq!(
            (&metadata["task"], &metadata["success"]),
            (&json!("pick the cup"), &json!(false))
        );
        assert_eq!((&metadata["operator"], &metadata["discarded"]), (&json!("ann"), &json!(true)));
    }
    assert_eq!(labels(root, "a/lab/other"), Labels::default());

    let name = "a/lab/run";
    let again = run(
        root,
        &["tag", name, "--keep", "--success", "unknown", "--notes", "", "--remove-tag", "arm"],
    );
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(
        again.text(),
        "a/lab/run: task \"pick the cup\", operator \"ann\", tags [\"kitchen\"]\n"
    );
    let after = labels(root, name);
    assert_eq!((after.success, after.discarded, after.notes), (None, false, None));
    assert_eq!(run(root, &["tag", name]).text(), again.text(), "without an option it only tells");
}

#[test]
fn tag_works_while_another_process_records_and_what_it_says_stays() {
    let root = tempfile::tempdir().unwrap();
    let exp = record(root.path(), "a/lab/run");
    let tagged = run(root.path(), &["tag", "a/lab/run", "--success", "true", "--add-tag", "best"]);
    assert_eq!(tagged.code, 0, "{}", tagged.stderr);
    exp.label(&LabelChange::new().task("pick").unwrap()).unwrap();
    let next = exp.continue_in("a/lab/run_002").unwrap();
    exp.close().unwrap();
    next.close().unwrap();
    let first = labels(root.path(), "a/lab/run");
    assert_eq!((first.success, first.task.as_deref()), (Some(true), Some("pick")));
    assert_eq!(
        (first.tags, file(root.path(), "a/lab/run")["status"].clone()),
        (vec!["best".to_owned()], "COMPLETED".into())
    );
    // The next part has what the recorder says, and not what is said of the first one.
    let second = labels(root.path(), "a/lab/run_002");
    assert_eq!(
        (second.task.as_deref(), second.success, second.tags.len()),
        (Some("pick"), None, 0)
    );
}

#[test]
fn what_tag_can_not_do_is_said_and_the_file_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, "a/lab/run").close().unwrap();
    record(root, "a/lab/torn").close().unwrap();
    fs::write(root.join("a/lab/torn/experiment.json"), "{\"name\": ").unwrap();
    let none = run(root, &["tag", "a/lab/nothing", "--discard"]);
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.contains("no experiment under") && none.stderr.contains("a/lab/nothing"),
        "{}",
        none.stderr
    );
    let wrong = run(root, &["tag", "a/lab/run", "--add-tag", "a\nb"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("a tag is a single line of text"), "{}", wrong.stderr);
    assert_eq!(run(root, &["tag", "a/lab/run", "--success", "maybe"]).code, 2);
    assert_eq!(run(root, &["tag", "a/lab/run", "--discard", "--keep"]).code, 2);
    let torn = run(root, &["tag", "a/lab", "--success", "true"]);
    assert_eq!(torn.code, 1, "{}", torn.stderr);
    assert!(torn.stderr.contains("a/lab/torn is left as it is"), "{}", torn.stderr);
    assert_eq!(fs::read_to_string(root.join("a/lab/torn/experiment.json")).unwrap(), "{\"name\": ");
    assert_eq!(labels(root, "a/lab/run").success, Some(true), "the others are labelled");
}

#[test]
fn experiments_are_listed_by_what_is_said_of_them() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let said = |name: &str, change: LabelChange| {
        let exp = record(root, name);
        exp.label(&change).unwrap();
        exp.close().unwrap();
    };
    let pick = || LabelChange::new().task("pick the cup").unwrap().operator("ann").unwrap();
    said("a/lab/good", pick().success(Some(true)).add_tag("arm").unwrap().add_tag("x").unwrap());
    said("a/lab/bad", pick().success(Some(false)).add_tag("arm").unwrap().discarded(true));
    said("a/lab/plain", LabelChange::new());
    let listed = |filter: &[&str]| {
        let done = run(root, &[&["experiments", "--json"], filter].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        let list: Vec<Json> = serde_json::from_slice(&done.stdout).unwrap();
        list.iter().map(|e| e["name"].as_str().unwrap().replace("a/lab/", "")).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--tag", "arm"]), ["bad", "good"]);
    assert_eq!(listed(&["--tag", "arm", "--tag", "x"]), ["good"]);
    assert_eq!(listed(&["--task", "pick *", "--success", "false"]), ["bad"]);
    assert_eq!(listed(&["--success", "unknown"]), ["plain"]);
    assert_eq!(listed(&["--operator", "ann", "--kept"]), ["good"]);
    assert_eq!(listed(&["--discarded"]), ["bad"]);
    let none = run(root, &["experiments", "--tag", "leg"]);
    assert_eq!((none.code, none.text()), (0, ""));
    assert!(none.stderr.contains("none of 3 experiments in"), "{}", none.stderr);
    let table = run(root, &["experiments"]);
    for part in ["COMPLETED, DISCARDED", "pick the cup", "true", "arm, x"] {
        assert!(table.text().contains(part), "{part}: {}", table.text());
    }
}

/// Ten numbers a second apart, and what is said between them.
fn bag(said: &[(u64, &str)]) -> MadeBag {
    let mut bag = MadeBag::new();
    let mut said = said.iter().peekable();
    for i in 1..=10 {
        while let Some((_, word)) = said.next_if(|(before, _)| *before == i) {
            bag.add("/episode", TEXT, i * SEC - 1, &text(word));
        }
        bag.add("/odom", STAMPED, i * SEC, &stamped((i * SEC) as i64, i as f64));
    }
    bag
}

/// The times of `/odom` in a part.
fn times(imported: &Imported, suffix: &str) -> Vec<f64> {
    let rows = imported.part(suffix).tracks("odom").read(&mldash_bridge::track::Query::all());
    rows.unwrap().iter().map(|row| row.ts.as_secs()).collect()
}

#[test]
fn an_import_has_the_parts_that_a_topic_says_and_twice_is_the_same() {
    let mapping = "
topics: [{topic: /odom}]
tags: [kitchen]
metadata: {task: look, operator: '{env:WHO}', robot: rover, arm: 2}
split_on: {topic: /episode, do: '{data}', success: true}
";
    let said = [(3, "split"), (5, "discard"), (6, "stop"), (6, "stop"), (8, "start"), (9, "halt")];
    let imported = bag(&said).import_by(mapping, |import| {
        import.arg("--tag").arg("import").arg("--notes").arg("first").env("WHO", "ann")
    });
    assert!(imported.is_complete());
    let log = &imported.done.stderr;
    assert!(log.contains("tests/made/run_003 has ended, and ~/start begins the next"), "{log}");
    assert!(log.contains("`halt` is not split, discard, stop or start"), "{log}");
    let check = |imported: &Imported| {
        let names =
            ["tests/made/run", "tests/made/run_002", "tests/made/run_003", "tests/made/run_004"];
        assert_eq!(imported.experiments(), names);
        assert_eq!(times(imported, ""), [1.0, 2.0]);
        assert_eq!(times(imported, "_002"), [3.0, 4.0]);
        assert_eq!(times(imported, "_003"), [5.0]);
        assert_eq!(times(imported, "_004"), [8.0, 9.0, 10.0]);
        let labels = |suffix| imported.part(suffix).notes().unwrap().labels();
        for suffix in ["", "_002", "_003", "_004"] {
            let Labels { task, operator, tags, .. } = labels(suffix);
            assert_eq!(
                (task.as_deref(), operator.as_deref()),
                (Some("look"), Some("ann")),
                "{suffix}"
            );
            assert_eq!(tags, ["kitchen", "import"], "{suffix}");
            let metadata = imported.part(suffix).notes().unwrap().metadata.unwrap();
            assert_eq!((&metadata["robot"], &metadata["arm"]), (&json!("rover"), &json!(2)));
        }
        assert_eq!(
            ["", "_002", "_003", "_004"].map(|s| labels(s).discarded),
            [false, true, false, false]
        );
        assert_eq!(["", "_003", "_004"].map(|s| labels(s).success), [Some(true), Some(true), None]);
        assert_eq!((labels("").notes.as_deref(), labels("_002").notes), (Some("first"), None));
        let account = imported.account();
        assert_eq!(account["while_stopped"], json!({"/odom": 2}));
        assert_eq!(account["earlier_parts"].as_array().unwrap().len(), 3);
        assert_eq!(account["not_asked_for"], json!({"/episode": 6}), "all parts together");
    };
    check(&imported);
    let again = imported.again(&mapping.replace("{env:WHO}", "ann"));
    check(&again);
}

#[test]
fn what_publishers_keep_for_late_subscribers_is_in_every_part_of_an_import() {
    let mapping = "
topics: [{topic: /odom}, {topic: /map}, {topic: /frames}]
split_on: {topic: /episode, do: '{data}'}
";
    let mut bag = MadeBag::new();
    bag.offer(
        "- history: 1\n  depth: 1\n  durability: 1\n- history: 1\n  depth: 1\n  durability: 1\n",
    );
    for x in [1.0, 2.0] {
        bag.add("/frames", STAMPED, SEC, &stamped((x * 1e9) as i64, x));
    }
    bag.offer("- history: 1\n  depth: 1\n  reliability: 1\n  durability: transient_local\n");
    bag.add("/map", STAMPED, SEC, &stamped(3 * SEC as i64, 3.0));
    bag.offer("- history: 1\n  depth: 10\n  durability: 2\n");
    for (i, word) in ["split", "stop", "start", "split"].into_iter().enumerate() {
        let at = (i as u64 + 10) * SEC;
        bag.add("/odom", STAMPED, at, &stamped(at as i64, 0.0));
        bag.add("/episode", TEXT, at + 1, &text(word));
        if word == "stop" {
            // Only the next part can have it.
            bag.add("/map", STAMPED, at + 2, &stamped(4 * SEC as i64, 4.0));
        }
    }
    let imported = bag.import(mapping);
    assert!(imported.is_complete());
    let xs = |suffix: &str, track: &str| -> Vec<f64> {
        let rows = imported.part(suffix).tracks(track).read(&mldash_bridge::track::Query::all());
        rows.unwrap().iter().map(|row| row.ts.as_secs()).collect()
    };
    for (suffix, map) in [("", 3.0), ("_002", 3.0), ("_003", 4.0), ("_004", 4.0)] {
        assert_eq!(xs(suffix, "frames"), [1.0, 2.0], "{suffix}");
        assert_eq!(xs(suffix, "map"), [map], "{suffix}");
    }
    assert_eq!(
        [xs("", "odom"), xs("_002", "odom"), xs("_003", "odom")],
        [vec![10.0], vec![11.0], vec![13.0]]
    );
    assert_eq!(imported.account()["while_stopped"], Json::Null, "that was the third part");
}

#[test]
fn more_parts_than_can_be_closed_at_once_are_all_there() {
    let mapping =
        "topics: [{topic: /odom}, {topic: /task}]\nsplit_on: {topic: /task, task: 'pick {data}'}\n";
    let mut bag = MadeBag::new();
    for i in 1..=40 {
        bag.add("/task", TEXT, i * SEC, &text(&format!("cup {i}")));
        bag.add("/odom", STAMPED, i * SEC, &stamped((i * SEC) as i64, i as f64));
    }
    let imported = bag.import(mapping);
    assert!(imported.is_complete());
    for i in 1..=40 {
        let suffix = format!("_{:03}", i + 1);
        assert_eq!(times(&imported, &suffix), [f64::from(i)]);
        let task = imported.part(&suffix).notes().unwrap().labels().task;
        assert_eq!(task, Some(format!("pick cup {i}")));
    }
}

#[test]
fn an_import_that_ends_after_a_stop_is_its_last_part() {
    let mapping = "topics: [{topic: /odom}]\nsplit_on: {topic: /episode, do: '{data}'}\n";
    let imported = bag(&[(4, "split"), (6, "stop")]).import(mapping);
    assert!(imported.is_complete());
    let account = imported.account();
    assert_eq!(account["experiment"], "tests/made/run_002");
    assert_eq!(account["while_stopped"]["/odom"], 5);
    assert_eq!(
        (account["topics"][0]["received"].clone(), imported.experiments().len()),
        (2.into(), 2)
    );
}

#[test]
fn a_trigger_that_does_not_fit_its_type_is_in_the_account() {
    let mapping =
        "topics: [{topic: /odom}]\nsplit_on: {topic: /episode, field: button, becomes: 1}\n";
    let imported = bag(&[(3, "x")]).import(mapping);
    assert!(!imported.is_complete());
    let refused = imported.account()["refused"]["split_on /episode"].clone();
    assert!(refused.as_str().unwrap().contains("no field `button`"), "{refused}");
    assert_eq!(times(&imported, "").len(), 10, "all else is recorded");
    let absent = bag(&[]).import(mapping);
    assert_eq!(absent.account()["unmatched"], json!(["split_on /episode"]));
}

#[test]
fn what_is_wrong_with_split_on_tags_and_metadata_is_said_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let msg = dir.path().join("share/joy_msgs/msg");
    fs::create_dir_all(&msg).unwrap();
    fs::write(msg.join("Joy.msg"), "int32[] buttons\n").unwrap();
    let check = |text: &str| {
        let mapping = dir.path().join("m.yaml");
        fs::write(&mapping, text).unwrap();
        program(["check"])
            .arg(&mapping)
            .env("AMENT_PREFIX_PATH", dir.path().to_str().unwrap())
            .run()
    };
    let wrong = check(
        "topics: [{topic: /odom}]
tags: [ok, '']
metadata: {task: '{env:}', host: mine, success: true}
split_on:
  - {topic: /joy, type: joy_msgs/msg/Joy, field: 'button[3]', becomes: 1}
  - {topic: /joy, field: buttons}
  - {topic: '/joy/*'}
  - {topic: /e, do: end}
  - {topic: /e, equals: 1, becomes: 2, field: data}
  - {topic: /e, task: 'a {b', colour: red}
",
    );
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    for part in [
        "m.yaml:2:12: tags[1]: ",
        "m.yaml:3:18: metadata.task: ",
        "m.yaml:3:28: metadata.host: `host` is written by the recorder itself",
        "metadata.success: `success` is written",
        "m.yaml:5:50: split_on[0].field: `button[3]`: joy_msgs/msg/Joy has no field `button`",
        "m.yaml:6:26: split_on[1].field: `field` without a value",
        "split_on[2].topic: `/joy/*` is a glob",
        "split_on[3].do: expected split or discard or stop or start",
        "split_on[4].equals: `becomes` and `equals` exclude each other",
        "split_on[5].task: ",
        "split_on[5].colour: unknown key `colour`",
    ] {
        assert!(wrong.stderr.contains(part), "{part}\n{}", wrong.stderr);
    }
    let right = check(
        "topics: [{topic: /odom}]
tags: [kitchen]
metadata: {task: pick, operator: '{env:NOBODY_IS_SET}', seed: 3}
split_on: [{topic: /joy, type: joy_msgs/msg/Joy, field: 'buttons[3]', becomes: 1, do: discard}]
",
    );
    assert_eq!(right.code, 0, "{}", right.stderr);
}

#[test]
fn a_variable_that_is_not_set_is_named_before_anything_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = dir.path().join("m.yaml");
    fs::write(&mapping, "topics: [{topic: /x}]\nmetadata: {operator: '{env:NOBODY_IS_SET}'}\n")
        .unwrap();
    let bag = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
    let root = dir.path().join("root");
    let import = program(["import", bag, "--experiment", "a/b/c", "--config"]).arg(&mapping);
    let done = import.arg("--root").arg(&root).run();
    assert_eq!(done.code, 2, "{}", done.stderr);
    let told = "m.yaml:2:22: metadata.operator: the environment variable NOBODY_IS_SET is not set";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    assert!(!root.exists());
}
