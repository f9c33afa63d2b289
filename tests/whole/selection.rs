//! Recording without a mapping file: what options such as `--all` select, and the mapping that they mean.

use std::fs;
use std::path::Path;

use mldash_bridge::mapping::{Mapping, SelectionSettings, TopicSelection};
use mldash_bridge::track::{Experiment, Query, Row};
use serde_json::Value;

use crate::program::{Done, program};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
const TF_BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases/tf_frames.mcap");
const RUN: &str = "alice/lab/run";

fn import(root: &Path, bag: &str, args: &[&str]) -> Done {
    program(["import", bag, "--json", "--experiment", RUN, "--root"]).arg(root).args(args).run()
}

fn tracks(root: &Path) -> Vec<String> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    exp.list().unwrap().into_iter().map(|track| track.topic).collect()
}

fn rows(root: &Path) -> Vec<(String, Vec<Row>)> {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let of = |track: String| (track.clone(), exp.tracks(&track).read(&Query::all()).unwrap());
    tracks(root).into_iter().map(of).collect()
}

fn metadata(root: &Path) -> Value {
    let file = fs::read(root.join(RUN).join("experiment.json")).unwrap();
    serde_json::from_slice::<Value>(&file).unwrap()["metadata"].clone()
}

#[test]
fn a_bag_is_imported_without_a_mapping_and_the_mapping_that_was_meant_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let meant = ["--all", "--exclude", "/scan", "/camera/**", "--exclude-regex", "_raw$"];
    let imported = import(&first, BAG, &meant);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let account: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert!(account["not_asked_for"]["/scan"].as_u64().unwrap() > 0, "{account:#}");
    assert!(tracks(&first).len() > 3 && !tracks(&first).contains(&"scan".to_owned()));

    // The same options write that mapping, and it records the same.
    let file = dir.path().join("meant.yaml");
    let write = program(["import", BAG, "--experiment", RUN, "--write-config"]).arg(&file);
    let write = write.args(meant).arg("--root").arg(&first).run();
    assert_eq!((write.code, write.text()), (0, ""), "{}", write.stderr);
    let text = fs::read_to_string(&file).unwrap();
    // Beside it stands where an editor finds the keys.
    let schema = "# yaml-language-server: $schema=mapping.schema.json\n";
    assert!(text.starts_with(schema), "{text}");
    let kept = metadata(&first)["mapping"].clone();
    assert!(text.ends_with(kept.as_str().unwrap()), "{text}");
    assert_eq!(metadata(&first).get("mapping_file"), None, "there is none");
    let check = program(["check"]).arg(&file).run();
    assert_eq!(check.code, 0, "{}", check.stderr);
    assert!(!check.stderr.contains("warning"), "{}", check.stderr);
    let again = program(["import", BAG, "--config"]).arg(&file).arg("--root").arg(&second).run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(rows(&second), rows(&first));
    assert_eq!(metadata(&second)["mapping"], text);

    let refused = program(["import", BAG, "--all", "--write-config"]).arg(&file).run();
    assert_eq!(refused.code, 2, "what is there is not overwritten: {}", refused.stderr);
    let shown = program(["run", "--all", "--write-config", "-"]).run();
    assert!(shown.code == 0 && shown.text().contains("topic: /**\n"), "{}", shown.stderr);
}

#[test]
fn topics_are_selected_by_name_glob_expression_and_type() {
    let selected = |args: &[&str]| {
        let root = tempfile::tempdir().unwrap();
        let imported = import(root.path(), BAG, args);
        assert_eq!(imported.code, 0, "{}", imported.stderr);
        tracks(root.path())
    };
    assert_eq!(selected(&["--topics", "/pose", "/scan"]), ["pose", "scan"]);
    assert_eq!(selected(&["--topics", "/sc*"]), ["scan"]);
    assert_eq!(selected(&["-e", "^/(scan|pose)$"]), ["pose", "scan"]);
    let all = selected(&["-a"]);
    let scans = ["--all", "--exclude-types", "sensor_msgs/msg/LaserScan"];
    let but_scans: Vec<&String> = all.iter().filter(|track| *track != "scan").collect();
    assert_eq!(selected(&scans).iter().collect::<Vec<_>>(), but_scans);
}

#[test]
fn transforms_are_recorded_as_config_bridge_yaml_does() {
    let root = tempfile::tempdir().unwrap();
    let imported = import(root.path(), TF_BAG, &["--all"]);
    assert!(matches!(imported.code, 0 | 3), "{}", imported.stderr);
    let tracks = tracks(root.path());
    assert!(tracks.iter().any(|track| track.starts_with("tf/")), "{tracks:?}");
}

#[test]
fn defaults_are_those_of_config_bridge_yaml() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = Mapping::load(root.join("config/bridge.yaml")).unwrap();
    let all = TopicSelection { all: true, ..TopicSelection::default() };
    let text = all.mapping(&SelectionSettings::default());
    let meant = Mapping::of_options(&text, None).unwrap();
    let mut types = 0;
    for ty in shipped.rules().iter().filter_map(|rule| rule.message_type()) {
        for topic in ["/tf", "/tf_static", "/r1/x"] {
            // Transforms of other topics are none to config/bridge.yaml.
            let Some(rule) = shipped.rule_for(topic, ty) else { continue };
            let meant = meant.rule_for(topic, ty).unwrap().settings;
            assert_eq!(meant, rule.settings, "{topic} {ty}");
            types += 1;
        }
    }
    assert!(types > 20, "{types}");
    assert_eq!(meant.flush(), shipped.flush());
    assert_eq!(meant.root(), shipped.root());
    assert_eq!(meant.experiment(), shipped.experiment());
    for topic in ["/rosout", "/parameter_events", "/x"] {
        assert_eq!(meant.excludes(topic), shipped.excludes(topic), "{topic}");
    }
}

#[test]
fn options_that_do_not_go_together_are_told() {
    for (args, told) in [
        (&["run", "--config", "a.yaml", "--topics", "/a"][..], "give one of the two"),
        (&["run", "--config", "a.yaml", "--exclude", "/a"], "write `exclude:` into the mapping"),
        (&["run", "--exclude", "/a"], "`--exclude` says what not to record"),
        (&["run", "--topics", "/a", "--exclude-types", "a/B"], "`--exclude-types` has no effect"),
        (&["run", "--all", "--regex", "x"], "leave one of them out"),
        (&["run", "--all", "--topics", "/a", "--exclude", "/a"], "`/a` is both"),
        (&["run", "--topics", "/a b"], "can't be in a topic's name"),
        (&["run", "--services", "/a b"], "can't be in a topic's name"),
        (&["run", "--services", "/a**"], "`**` stands for whole parts"),
        (&["run", "--services", "/a", "--exclude", "/b"], "`--exclude` has no effect"),
        (&["run", "--config", "a.yaml", "--services", "/a b"], "can't be in a topic's name"),
        (&["run", "--config", "a.yaml", "--services", "/a", "--all"], "give one of the two"),
        (&["run", "--topics", "/a**"], "`**` stands for whole parts"),
        (&["run", "--regex", "(a"], "unclosed group"),
        (&["run", "--all", "--exclude-types", "Imu"], "--exclude-types"),
        (&["run", "--write-config", "x.yaml"], "give one of them"),
        (&["run", "--config", "a.yaml", "--write-config", "x.yaml"], "give one of them"),
        (&["run", "/odom"], "`--topics /odom`"),
        (&["run", "--all", "--split-every", "5 parsecs"], "is not a span of time"),
        (&["run", "--all", "--split-size", "10kB"], "is less than 1 MiB"),
        (&["import", BAG], "no mapping: give one with `--config FILE`, or say which topics"),
        (&["import", BAG, "--config", "a.yaml", "--all"], "give one of the two"),
    ] {
        let done = program(args).run();
        assert_eq!(done.code, 2, "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(told), "{args:?}: {}", done.stderr);
    }
}
