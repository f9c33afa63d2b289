//! Small bags as they are found in the wild, each of which was once read wrong or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{RUN, account, rows};
use crate::account::assert_adds_up;
use crate::program::{Done, program};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases");

const ALL: &str = "min_free: 0\ntopics: [{topic: /**}, {topic: /**/_service_event}, {topic: /**/_action/feedback}]\n";

/// A bag's import: of a copy, since a bag that is written to would be a failure of its own.
pub struct Case {
    pub dir: tempfile::TempDir,
    pub done: Done,
}

/// Imports a case by a mapping, with a workspace sourced or none.
pub fn import_case(name: &str, mapping: &str, workspace: Option<&Path>) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join(name);
    copy(&Path::new(CASES).join(name), &bag);
    let before = content(&bag);
    let done = import_with(&bag, mapping, workspace, dir.path());
    assert!(content(&bag) == before, "{name} was written to");
    assert_adds_up(&account(&done));
    Case { dir, done }
}

fn import_with(bag: &Path, mapping: &str, workspace: Option<&Path>, dir: &Path) -> Done {
    let config = dir.join("mapping.yaml");
    fs::write(&config, mapping).unwrap();
    let import = program(["import", "--json", "--experiment", RUN, "--root"]).arg(dir.join("root"));
    let workspace = workspace.map(|path| path.to_str().unwrap()).unwrap_or_default();
    let import = import.env("AMENT_PREFIX_PATH", workspace);
    import.arg("--config").arg(config).arg(bag).run()
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        copy(&file.path(), &to.join(file.file_name()));
    }
}

/// Every file at and below a path, and what is in it.
pub fn content(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    if !path.is_dir() {
        return [(path.to_owned(), fs::read(path).unwrap())].into();
    }
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files.flat_map(|file| content(&file)).collect()
}

impl Case {
    pub fn account(&self) -> Value {
        account(&self.done)
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Rows stored, by topic.
    pub fn stored(&self) -> BTreeMap<String, u64> {
        let account = self.account();
        let topics = account["topics"].as_array().unwrap().iter();
        let mut stored = BTreeMap::new();
        for topic in topics {
            let rows = topic["stored"].as_u64().unwrap();
            *stored.entry(topic["topic"].as_str().unwrap().to_owned()).or_default() += rows;
        }
        stored
    }

    /// A column of all rows of a track, as JSON.
    pub fn column(&self, track: &str, column: &str) -> Vec<String> {
        let value = |row: &mldash_bridge::track::Row| format!("{:?}", row.fields.get(column));
        rows(&self.root(), track).iter().map(value).collect()
    }

    pub fn refused(&self, topic: &str) -> String {
        let account = self.account();
        let reason = account["refused"][topic].as_str();
        reason.unwrap_or_else(|| panic!("{topic} is not refused: {account:#}")).to_owned()
    }
}

/// A sourced workspace that defines these types.
fn workspace(types: &[(&str, &str)]) -> tempfile::TempDir {
    let prefix = tempfile::tempdir().unwrap();
    for (file, text) in types {
        let file = prefix.path().join("share").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    prefix
}

#[test]
fn topics_of_any_name_are_taken_by_a_glob_and_can_be_named_as_they_are() {
    let case = import_case("topic_names.mcap", ALL, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    let stored = case.stored();
    assert_eq!(stored.len(), 12);
    assert!(stored.values().all(|rows| *rows == 1), "{stored:?}");
    for (track, value) in [
        ("no_slash", 1),
        ("vid1/data", 2),
        ("device_0/sensor_0/option/Enable Auto Exposure/value", 3),
        ("a/b", 8),
        ("trailing", 9),
        ("r.b", 10),
        ("ü", 11),
        ("~/private", 12),
    ] {
        assert_eq!(case.column(track, "data"), [format!("Some(Int({value}))")], "{track}");
    }

    let named = "topics:\n- topic: no_slash\n- {topic: /a//b, track: double}\n- topic: /trailing/\n\
                 - topic: ~/private\n- topic: /device_0/sensor_0/option/Enable Auto Exposure/value\n\
                 - topic: /*/n\nexclude: [/upper/n]\n";
    let case = import_case("topic_names.mcap", named, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.column("double", "data"), ["Some(Int(8))"]);
    assert_eq!(case.stored().len(), 8);
    // What is not taken is named, with its messages.
    let passed_over = serde_json::json!({"/r.b": 1, "/upper/n": 1, "/ü": 1, "vid1/data": 1});
    assert_eq!(case.account()["not_asked_for"], passed_over);

    let required =
        "required: [no_slash, ~/private]\ntopics: [{topic: no_slash}, {topic: ~/private}]\n";
    let case = import_case("topic_names.mcap", required, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    for required in case.account()["required"].as_array().unwrap() {
        assert_eq!(required["state"], "met", "{required}");
    }
}

#[test]
fn definitions_that_lack_what_is_built_in_are_complete() {
    let case = import_case("no_builtin_time.mcap", ALL, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.stored().len(), 5);
    let row = &rows(&case.root(), "m0")[0];
    assert_eq!(row.ts.as_secs(), 1_700_000_000.0);
    assert_eq!(case.column("m0", "frame_id"), ["Some(Text(\"f\"))"]);
    for track in ["m1", "m2", "m3", "m4"] {
        assert_eq!(case.column(track, "t.sec"), ["Some(Int(1700000000))"], "{track}");
        assert_eq!(case.column(track, "v"), ["Some(Int(7))"], "{track}");
    }
    let case = import_case("ros1_header_and_time.mcap", ALL, None);
    assert_eq!(case.column("ros1_header_and_time", "v"), ["Some(Int(5))"]);
}

const JOINT_STATE: (&str, &str) = (
    "sensor_msgs/msg/JointState.msg",
    "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
);

#[test]
fn what_a_recorder_did_not_define_is_taken_from_the_workspace_else_refused_and_counted() {
    let workspace = workspace(&[JOINT_STATE]);
    for (name, found) in [
        ("unknown_encoding.mcap", "its definition in the bag is empty"),
        ("unknown_encoding.db3", "its definition in the bag is empty"),
        ("schema_is_only_the_name.mcap", "is only its name, `sensor_msgs/msg/JointState`"),
    ] {
        let sourced = import_case(name, ALL, Some(workspace.path()));
        assert_eq!(sourced.done.code, 0, "{name}: {}", sourced.done.stderr);
        let joints = sourced.column("joint_states", "name");
        assert!(joints[0].contains("j1") && joints[0].contains("j2"), "{name}: {joints:?}");

        let bare = import_case(name, ALL, None);
        let reason = bare.refused("/joint_states");
        assert!(reason.contains(found) && reason.contains("source"), "{name}: {reason}");
        let topic = &bare.account()["topics"][0];
        assert_eq!((&topic["received"], &topic["dropped"]["refused"]), (&1.into(), &1.into()));
    }
}

#[test]
fn service_events_and_actions_are_read_by_the_text_of_the_service_or_action() {
    let sourced = workspace(&[
        ("example_interfaces/srv/AddTwoInts.srv", "int64 a\nint64 b\n---\nint64 sum\n"),
        (
            "example_interfaces/action/Fibonacci.action",
            "int32 order\n---\nint32[] sequence\n---\nint32[] sequence\n",
        ),
    ]);
    let case = import_case("service_action.mcap", ALL, Some(sourced.path()));
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert!(case.stored().values().all(|rows| *rows == 1), "{:?}", case.stored());
    for event in 1..=6 {
        let track = format!("add_{event}/_service_event");
        assert_eq!(case.column(&track, "info.sequence_number"), ["Some(Int(1))"], "{track}");
        let request = &case.column(&track, "request")[0];
        assert!(request.contains("Int(2)") && request.contains("Int(3)"), "{track}: {request}");
        assert_eq!(case.column(&track, "response"), ["Some(List([]))"], "{track}");
    }
    let feedback = case.column("fib/_action/feedback", "feedback.sequence");
    assert!(feedback[0].contains("[0, 1]") || feedback[0].contains("I32([1"), "{feedback:?}");

    // Without a workspace, by what the bag has of them.
    let bare = import_case("service_action.mcap", ALL, None);
    for event in 1..=3 {
        assert_eq!(bare.column(&format!("add_{event}/_service_event"), "info.event_type").len(), 1);
    }
    for topic in ["/add_4/_service_event", "/add_5/_service_event", "/add_6/_service_event"] {
        assert!(bare.refused(topic).contains("AddTwoInts_Request is not known"), "{topic}");
    }
    assert!(bare.refused("/fib/_action/feedback").contains("Fibonacci_Feedback is not known"));
}

#[test]
fn up_to_seven_zero_bytes_behind_a_message_are_padding() {
    for (name, track) in [("pad4.mcap", "fix4"), ("pad7.mcap", "fix7")] {
        let case = import_case(name, ALL, None);
        assert_eq!(case.done.code, 0, "{name}: {}", case.done.stderr);
        assert_eq!(case.column(track, "latitude").len(), 3, "{name}");
    }
}

#[test]
fn a_definition_that_is_not_utf_8_costs_nothing_but_what_is_not() {
    let case = import_case("latin1_definition.db3", ALL, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.column("temp", "t"), ["Some(F64(21.5))"]);
    assert_eq!(case.column("n", "data"), ["Some(Int(3))"]);
}

#[test]
fn sizes_in_idl_may_be_constants() {
    let case = import_case("idl_bounds_by_constants.mcap", ALL, None);
    let account = case.account();
    assert_eq!(account["refused"], serde_json::json!({}));
    // Its messages are of another definition, whatever was recorded.
    let topics = account["topics"].as_array().unwrap();
    assert!(topics.iter().all(|topic| topic["dropped"]["undecodable"] == 1), "{account:#}");
}

#[test]
fn a_definition_that_changes_within_a_bag_is_each_parts_own() {
    let case = import_case("definition_changes", ALL, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    let (ints, text) = (["Some(Int(0))", "Some(Int(1))", "Some(Int(2))"], "Some(Text(\"x\"))");
    assert_eq!(case.column("s", "a"), [&ints[..], &ints, &[text; 3]].concat());
    let half = "Some(F64(0.5))";
    let expected = [["None"; 3], [half; 3], ["None"; 3]].concat();
    assert_eq!(case.column("s", "b"), expected);
}

#[test]
fn a_channel_that_is_defined_again_goes_on() {
    let case = import_case("channel_again_unchunked.mcap", ALL, None);
    assert_eq!(case.done.code, 0, "{}", case.done.stderr);
    assert_eq!(case.stored(), [("/n".into(), 51), ("/sound".into(), 51)].into());
}

#[test]
fn records_without_content_are_told_in_one_line_and_the_chunk_behind_is_read() {
    let case = import_case("zero_len_records.mcap", ALL, None);
    assert_eq!(case.done.code, 1, "{}", case.done.stderr);
    assert_eq!(case.stored(), [("/n".into(), 5)].into());
    let last = case.done.stderr.lines().last().unwrap();
    assert!(last.contains("3 records of") && last.contains("byte 41"), "{last}");
    assert!(!case.done.stderr.contains('\u{1b}'), "{}", case.done.stderr);
    assert!(!case.done.stderr.contains(".cargo"), "{}", case.done.stderr);
    let failure = case.account()["failure"].as_str().unwrap().to_owned();
    assert!(!failure.contains(['\n', '\u{1b}']), "{failure}");
}

#[test]
fn every_cause_of_a_drop_is_told() {
    let mapping = "topics: [{topic: /tf, each: transforms, track: \"{topic}/{child_frame_id}\"}]\n";
    let case = import_case("tf_frames.mcap", mapping, None);
    let topic = case.account()["topics"][0].clone();
    let errors: Vec<&str> =
        topic["errors"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    for cause in ["is missing or empty", "`..` starts with a dot", "303 bytes long", "it holds"] {
        assert!(errors.iter().any(|error| error.contains(cause)), "{cause}: {errors:#?}");
    }
}
