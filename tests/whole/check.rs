//! `mldash_bridge check`: what it says of mappings, and where.

use std::path::Path;

use mldash_bridge::mapping::Mapping;

use crate::program::{Done, program};

/// Runs `check`; relative paths are the repository's.
fn check(mapping: impl AsRef<Path>) -> Done {
    program(["check"]).arg(mapping.as_ref()).run()
}

#[test]
fn every_problem_is_reported_at_once_with_its_place_and_a_hint() {
    let done = check("tests/data/mappings/everything_wrong.yaml");
    assert_eq!(done.code, 2);
    assert!(done.stdout.is_empty());
    insta::assert_snapshot!(done.stderr);
}

#[test]
fn a_slip_in_a_common_packages_name_is_told_without_a_workspace() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bridge.yaml");
    let text = "experiment: a/b/c\ntopics: [{topic: /pose, type: geometry_msg/msg/PoseStamped}]\n";
    std::fs::write(&file, text).unwrap();
    let done = program(["check"]).arg(&file).env("AMENT_PREFIX_PATH", "").run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    let told = "bridge.yaml:2:31: topics[0].type: the message package `geometry_msg` is not known";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    assert!(
        done.stderr.contains("did you mean `geometry_msgs/msg/PoseStamped`?"),
        "{}",
        done.stderr
    );
}

#[test]
fn every_shipped_mapping_is_in_order() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let entries = config.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let done = check(&file);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains(": ok, "), "{}", done.stderr);
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn a_text_that_is_not_yaml_is_reported_where_it_stops_being_yaml() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bridge.yaml");
    std::fs::write(&file, "topics:\n\t- topic: /scan\n").unwrap();
    let done = check(&file);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("bridge.yaml:2:2: "), "{}", done.stderr);
    assert!(done.stderr.contains("hint: indent with spaces"), "{}", done.stderr);
}

#[test]
fn a_mapping_that_is_not_there_is_wrong_usage() {
    let done = check("no/such/bridge.yaml");
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("can't read the mapping no/such/bridge.yaml"));
    assert!(done.stderr.contains("because: "), "{}", done.stderr);
}

#[test]
fn types_are_checked_where_ros_is_sourced_and_said_to_be_unchecked_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let package = dir.path().join("share/arm_msgs/msg");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("Arm.msg"), "float64 angle\n").unwrap();
    let file = dir.path().join("arm.yaml");
    let text = "topics:\n  - topic: /arm\n    type: arm_msgs/msg/Arm\n    fields: [angel]\n";
    std::fs::write(&file, text).unwrap();
    let check =
        |prefixes: &str| program(["check"]).arg(&file).env("AMENT_PREFIX_PATH", prefixes).run();

    let sourced = check(dir.path().to_str().unwrap());
    assert_eq!(sourced.code, 2);
    assert!(sourced.stderr.contains("arm.yaml:4:14: topics[0].fields[0]: "), "{}", sourced.stderr);
    assert!(sourced.stderr.contains("hint: did you mean `angle`?"), "{}", sourced.stderr);

    let bare = check("");
    assert_eq!(bare.code, 0, "{}", bare.stderr);
    assert!(bare.stderr.contains("message types not checked"), "{}", bare.stderr);
}

#[cfg(not(feature = "ros"))]
#[test]
fn without_ros_there_is_no_graph_to_look_at_and_that_is_said() {
    let check = program(["check", "config/bridge.yaml", "--graph"]).run();
    let init = program(["init"]).run();
    for done in [check, init] {
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains("built without ROS 2"), "{}", done.stderr);
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn what_is_nearly_a_mapping_is_told_how_to_write_it() {
    let hint = |text: &str| {
        let errors = Mapping::parse(text, "m.yaml").unwrap_err();
        errors.problems()[0].hint().unwrap_or_default().to_owned()
    };
    for (text, told) in [
        ("topics: [{topic: /a}]\nexclude: /rosout\n", "`[/rosout]`"),
        ("topics:\n  /odom: {track: x}\n", "`- topic: /odom`"),
        ("remote: https://x.org\ntopics: [{topic: /a}]\n", "`remote: {url: https://x.org}`"),
        ("topics:\n  - topic: /*/x\n    track: {1}/x\n", "`\"{1}/x\"`"),
        ("topics:\n  - {topic: /odom\n  - topic: /x\n", "the `{` in line 2 is not closed"),
        ("topics:\n  - topic: “/odom”\n", "straight quotes"),
        ("remote:\ntopics: [{topic: /a}]\n", "write a value, or leave the key out"),
    ] {
        assert!(hint(text).contains(told), "{text}: {}", hint(text));
    }
}
