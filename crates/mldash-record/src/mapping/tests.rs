//! What a mapping says of topics, and what is said of a wrong one.

use super::definitions::SettingFault;
use super::settings::SettingKey;
use crate::yaml::Problems;
use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::blob::{CloudFormat, FileFormats, ImageFormat, Quality};
use mldash_message::{FieldPath, FieldSelection, SelectedField, StampSource};
use mldash_track::{Compression, Labels};

const IMU: &str = "sensor_msgs/msg/Imu";
const TF: &str = "tf2_msgs/msg/TFMessage";

fn mapping(text: &str) -> Mapping {
    Mapping::parse(text, "test.yaml").unwrap_or_else(|errors| panic!("{errors}"))
}

/// A mapping's `topics`, in YAML's short form.
fn topics(entries: &str) -> Mapping {
    mapping(&format!("topics: [{entries}]"))
}

fn problems(text: &str) -> Vec<String> {
    let errors = Mapping::parse(text, "test.yaml").unwrap_err();
    errors.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn files_that_go_into_rows_are_bounded() {
    let text = |size: &str| {
        format!("topics: [{{topic: /a}}]\npublish: {{to: 's3://lake/x', inline_files: {size}}}")
    };
    assert_eq!(mapping(&text("16MiB")).publish().unwrap().inline_files, Some(MAX_INLINE_FILES));
    let problems = problems(&text("16777217"));
    assert!(problems[0].contains("16 MiB is the most"), "{problems:?}");
}

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

fn ty(text: &str) -> TypeName {
    text.parse().unwrap()
}

/// The text of the rule that `topic` is recorded by.
fn rule_of(mapping: &Mapping, topic: &str, message_type: &str) -> Option<String> {
    mapping.rule_for(topic, &ty(message_type)).map(|found| found.rule.topic().to_string())
}

#[test]
fn what_the_shipped_mapping_shows_of_episodes_is_in_order() {
    let text = include_str!("../../../../config/bridge.yaml");
    let starts = ["# tags:", "# metadata:", "# split_on:", "#   - {topic:"];
    let shown = text.lines().filter(|line| starts.iter().any(|start| line.starts_with(start)));
    let shown: Vec<&str> = shown.filter_map(|line| line.strip_prefix("# ")).collect();
    let shown = mapping(&format!("topics: [{{topic: /x}}]\n{}", shown.join("\n")));
    let entries: Vec<_> = shown.split_on().iter().map(SplitOn::topic).collect();
    assert_eq!(entries, ["/joy", "/joy", "/episode", "/task"]);
    let (labels, metadata) = shown.labels(|_| Some("ann".to_owned())).unwrap();
    let labels = labels.labels_of(&Labels::default());
    assert_eq!(
        (labels.tags, labels.operator.as_deref()),
        (vec!["kitchen".to_owned()], Some("ann"))
    );
    assert_eq!(metadata["robot"], "rover-2");
}

#[test]
fn every_key_is_understood() {
    let mapping = mapping(
        "
experiment: alice/warehouse/{date}-{time}
root: .dash
remote: {url: 'https://api.example.org', token_env: ML_DASH_API_KEY}
flush: {interval: 0.5, batch: 100, fsync: 1}
compress: zstd
min_free: 2GiB
required: [/robot/pose, {topic: tf, min_rate: 50}]
start_paused: true
clock_jump: split
gather: 0.002
same_stamp: drop
tags: [kitchen, '{env:ROOM}']
metadata: {task: pick, operator: ann, seed: 3, sim: false, gain: 0.5, id: '7'}
split_on: {topic: button, type: std_msgs/Bool, field: data, equals: true, do: stop}
topics:
  - topic: /robot/pose
    track: robot/pose
    type: geometry_msgs/PoseStamped
    stamp: receive
    stamp_offset: -0.035
    receive_ts: true
    stamp_ns: true
    fields: {q: pose.orientation, e: pose.position}
    max_rate: 30
    on_change: true
    same_stamp: merge
    qos: {reliability: best_effort, durability: transient_local, depth: 5}
    on_type_change: split_track
    blobs: drop
  - topic: /tf
    each: transforms
    stamp: transforms.header.stamp
    track: tf/{child_frame_id}
    qos: auto
exclude: [/rosout, /parameter_events]
",
    );
    assert_eq!(mapping.experiment().unwrap().to_string(), "alice/warehouse/{date}-{time}");
    assert_eq!(mapping.root(), Some(Path::new(".dash")));
    let remote = mapping.remote().unwrap();
    assert_eq!(remote.url, "https://api.example.org");
    assert_eq!(remote.token_env.as_deref(), Some("ML_DASH_API_KEY"));
    let flush = Flush {
        interval: Some(Duration::from_millis(500)),
        batch: Some(100),
        fsync: Some(Duration::from_secs(1)),
    };
    assert_eq!(*mapping.flush(), flush);
    assert_eq!(mapping.compression(), Compression::Zstd);
    assert_eq!(mapping.min_free(), Some(Bytes::new(2 << 30)));
    let required = mapping.required().iter().map(|r| (r.topic(), r.min_rate().map(Hz::get)));
    assert_eq!(required.collect::<Vec<_>>(), [("/robot/pose", None), ("/tf", Some(50.0))]);
    assert!(mapping.start_paused());
    assert_eq!(mapping.clock_jump(), ClockJump::Split);
    assert_eq!(mapping.gather(), Duration::from_millis(2));
    let [split_on] = mapping.split_on() else { panic!("{:?}", mapping.split_on()) };
    assert_eq!((split_on.topic(), split_on.label().as_str()), ("/button", "split_on /button"));
    assert_eq!(split_on.message_type(), Some(&ty("std_msgs/msg/Bool")));
    let (labels, metadata) = mapping.labels(|name| Some(name.to_lowercase())).unwrap();
    let labels = labels.labels_of(&Labels::default());
    assert_eq!(
        (labels.tags, labels.task.as_deref()),
        (vec!["kitchen".to_owned(), "room".to_owned()], Some("pick"))
    );
    assert_eq!(labels.operator.as_deref(), Some("ann"));
    let expected = serde_json::json!({"seed": 3, "sim": false, "gain": 0.5, "id": "7"});
    assert_eq!(serde_json::Value::Object(metadata), expected);

    let column =
        |column: &str, text: &str| SelectedField { column: column.into(), path: path(text) };
    let pose = mapping.rule_for("/robot/pose", &ty("geometry_msgs/msg/PoseStamped")).unwrap();
    let expected = Settings {
        track: "robot/pose".parse().unwrap(),
        stamp: Stamp::Receive,
        stamp_offset: StampOffset::from_secs(-0.035).unwrap(),
        time_columns: TimeColumns { receive_ts: true, stamp_ns: true },
        fields: FieldSelection::Only(vec![
            column("q", "pose.orientation"),
            column("e", "pose.position"),
        ]),
        max_rate: Hz::new(30.0),
        on_change: true,
        same_stamp: SameStamp::Merge,
        qos: Qos {
            reliability: Some(Reliability::BestEffort),
            durability: Some(Durability::TransientLocal),
            depth: NonZeroU32::new(5),
        },
        on_type_change: OnTypeChange::SplitTrack,
        blobs: Blobs { to: BlobsTo::Drop, ..Blobs::default() },
        each: None,
    };
    assert_eq!(pose.settings, expected);
    assert_eq!(pose.type_conflict, None);

    let tf = mapping.rule_for("/tf", &ty(TF)).unwrap().settings;
    assert_eq!(tf.same_stamp, SameStamp::Drop);
    assert_eq!(tf.on_type_change, OnTypeChange::Refuse);
    let layout = tf.layout();
    assert_eq!(layout.each, Some(path("transforms")));
    assert_eq!(layout.stamp, StampSource::Field(path("transforms.header.stamp")));
    assert_eq!(layout.names, [path("child_frame_id")]);
}

#[test]
fn what_is_left_out_is_left_open() {
    let mapping = topics("{topic: /scan}");
    assert!(mapping.experiment().is_none() && mapping.root().is_none());
    assert!(mapping.remote().is_none());
    assert_eq!(*mapping.flush(), Flush::default());
    assert_eq!(mapping.rules()[0].settings(), Settings::default());
    assert_eq!(mapping.rules()[0].settings().track.to_string(), "{topic}");
}

#[test]
fn a_name_goes_before_globs_and_the_first_glob_before_later_ones() {
    let mapping = topics("{topic: /**/imu}, {topic: /r1/**}, {topic: /r1/imu}");
    assert_eq!(rule_of(&mapping, "/r1/imu", IMU).unwrap(), "/r1/imu");
    assert_eq!(rule_of(&mapping, "/r1/arm/imu", IMU).unwrap(), "/**/imu");
    assert_eq!(rule_of(&mapping, "/r1/odom", IMU).unwrap(), "/r1/**");
    assert_eq!(rule_of(&mapping, "/r2/odom", IMU), None);
}

#[test]
fn a_glob_takes_only_topics_of_its_type_and_a_name_reports_a_conflict() {
    let mapping = topics(&format!("{{topic: /**, type: {IMU}}}, {{topic: /tf, type: {IMU}}}"));
    assert_eq!(rule_of(&mapping, "/a", IMU).unwrap(), "/**");
    assert_eq!(rule_of(&mapping, "/a", TF), None);
    let conflict = mapping.rule_for("/tf", &ty(TF)).unwrap().type_conflict.unwrap();
    let message = conflict.to_string();
    for part in ["/tf", TF, IMU, "line 1"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_excluded_or_hidden_topic_is_recorded_only_by_its_own_name() {
    let mapping = mapping(
        "{topics: [{topic: /**}, {topic: /a/_action/status}, {topic: /n/x}], exclude: [/n/**]}",
    );
    assert!(mapping.excludes("/n/y") && !mapping.excludes("/m"));
    assert_eq!(rule_of(&mapping, "/n/y", IMU), None);
    assert_eq!(rule_of(&mapping, "/n/x", IMU).unwrap(), "/n/x");
    assert_eq!(rule_of(&mapping, "/b/_action/status", IMU), None);
    assert_eq!(rule_of(&mapping, "/a/_action/status", IMU).unwrap(), "/a/_action/status");
}

#[test]
fn a_types_defaults_lie_below_the_rules_own_keys() {
    let mapping = mapping(&format!(
        "
types:
  {IMU}: {{max_rate: 50, fields: [angular_velocity], track: 'imu/{{topic}}'}}
topics:
  - topic: /**
  - topic: /arm/imu
    max_rate: 10
"
    ));
    let arm = mapping.rule_for("/arm/imu", &ty(IMU)).unwrap().settings;
    assert_eq!((arm.max_rate, arm.track.to_string()), (Hz::new(10.0), "imu/{topic}".to_owned()));
    assert_ne!(arm.fields, FieldSelection::All);
    let other = mapping.rule_for("/imu", &ty(IMU)).unwrap().settings;
    assert_eq!(other.max_rate, Hz::new(50.0));
    assert_eq!(mapping.rule_for("/tf", &ty(TF)).unwrap().settings, Settings::default());
}

#[test]
fn what_becomes_of_equal_stamps_is_said_for_a_topic_a_type_or_all() {
    let text = |more: &str| {
        format!("{{topics: [{{topic: /a}}, {{topic: /b, same_stamp: merge}}], {more}}}")
    };
    let rule = |text: &str, topic: &str| {
        mapping(text).rule_for(topic, &ty(IMU)).unwrap().settings.same_stamp
    };
    let of_type = format!("types: {{{IMU}: {{same_stamp: drop}}}}");
    for (more, a) in [
        ("".to_owned(), SameStamp::Keep),
        ("same_stamp: drop".to_owned(), SameStamp::Drop),
        (of_type.clone(), SameStamp::Drop),
        (format!("same_stamp: keep, {of_type}"), SameStamp::Drop),
    ] {
        assert_eq!(rule(&text(&more), "/a"), a, "{more}");
        assert_eq!(rule(&text(&more), "/b"), SameStamp::Merge, "{more}");
    }
    let found = problems("topics:\n  - topic: /a\n    same_stamp: kep\nsame_stamp: [keep]\n");
    assert_eq!(
        found,
        [
            "3:17: topics[0].same_stamp: expected keep or merge or drop, found `kep`\n  hint: did you \
             mean `keep`?",
            "4:13: same_stamp: expected a text, found a list\n  hint: quote a text with braces or \
             brackets: `\"{topic}\"`",
        ]
    );
}

#[test]
fn relative_topics_are_resolved_for_a_node() {
    let mapping = mapping(
        "{topics: [{topic: scan}, {topic: ~/state}, {topic: /tf}, {topic: 'cam/*'}], exclude: [cam/raw]}",
    );
    assert!(rule_of(&mapping, "/scan", IMU).is_some());
    let mapping = mapping.resolve("/robot1", "bridge");
    let absolute: Vec<&str> = mapping.rules().iter().map(|r| r.topic().absolute()).collect();
    assert_eq!(absolute, ["/robot1/scan", "/robot1/bridge/state", "/tf", "/robot1/cam/*"]);
    assert!(rule_of(&mapping, "/robot1/cam/info", IMU).is_some());
    assert!(mapping.excludes("/robot1/cam/raw") && rule_of(&mapping, "/scan", IMU).is_none());
}

#[test]
fn a_wildcard_fills_in_the_track() {
    let mapping = topics("{topic: /camera/*/camera_info, track: 'camera/{1}/info'}");
    let found = mapping.rule_for("/camera/left/camera_info", &ty(IMU)).unwrap();
    let track = found.settings.track.expand("/camera/left/camera_info", &found.captures, &[]);
    assert_eq!(track.unwrap().as_str(), "camera/left/info");
}

#[test]
fn an_anchor_shares_settings_and_a_merge_key_takes_them_over() {
    let mapping = topics(
        "{topic: /a, qos: &q {depth: 7}}, &b {topic: /b, qos: *q, max_rate: 3}, {<<: *b, topic: /c}",
    );
    let settings: Vec<Settings> = mapping.rules().iter().map(Rule::settings).collect();
    assert!(settings.iter().all(|s| s.qos.depth.map(u32::from) == Some(7)));
    assert_eq!(settings[2].max_rate, Hz::new(3.0));
    assert_eq!(mapping.rules()[2].topic().to_string(), "/c");
}

#[test]
fn aliases_that_repeat_each_other_without_end_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 8].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
    }
    let problems = problems(&text);
    assert!(problems[0].contains("16 MiB"), "{problems:?}");
}

#[test]
fn a_mapping_can_have_thousands_of_entries() {
    let entries: String = (0..5000).map(|i| format!("  - topic: /r{i}/imu\n")).collect();
    assert_eq!(mapping(&format!("topics:\n{entries}")).rules().len(), 5000);
}

#[test]
fn entries_are_compared_only_within_one_namespace() {
    topics("{topic: scan, track: a}, {topic: /scan, track: b}");
    topics("{topic: scan}, {topic: /scan}");
    let twice = problems("topics: [{topic: scan}, {topic: scan}]");
    assert!(twice[0].contains("has an entry in line 1 already"), "{twice:?}");
    let folder = problems("topics: [{topic: scan, track: a/b}, {topic: /scan, track: a_b}]");
    assert!(folder[0].contains("share its folder"), "{folder:?}");
}

#[test]
fn globs_of_one_text_can_differ_in_their_type() {
    topics(&format!("{{topic: /**, type: {IMU}}}, {{topic: /**, type: {TF}}}, {{topic: /**}}"));
    let shadowed = problems(&format!("topics: [{{topic: /**}}, {{topic: /**, type: {IMU}}}]"));
    assert!(shadowed[0].contains("has an entry in line 1 already"), "{shadowed:?}");
}

#[test]
fn a_fault_of_the_type_is_reported_where_the_key_stands() {
    let mapping = mapping(&format!(
        "types:
  {IMU}:
    fields: [orientation, speed]
topics:
  - topic: /imu
    type: {IMU}
    stamp: time
  - topic: /a
    type: no_msgs/msg/Such
"
    ));
    let mut problems = Problems::default();
    mapping.check_types(&mut problems, |message_type, settings| {
        let fault = |key, item, message: &str| SettingFault {
            key,
            item,
            message: message.to_owned(),
            hint: None,
        };
        if message_type.package() == "no_msgs" {
            return vec![fault(SettingKey::Type, None, "unknown type")];
        }
        let mut faults = vec![fault(SettingKey::Fields, Some(1), "no field `speed`")];
        if settings.stamp != Stamp::Header {
            faults.push(fault(SettingKey::Stamp, None, "no field `time`"));
        }
        faults
    });
    let errors = problems.none_or_all("mapping", mapping.path(), Some(())).unwrap_err().to_string();
    let expected = "3 problems in the mapping test.yaml
test.yaml:3:27: types.sensor_msgs/msg/Imu.fields[1]: no field `speed`
test.yaml:7:12: topics[0].stamp: no field `time`
test.yaml:9:11: topics[1].type: unknown type";
    assert_eq!(errors, expected);
}

#[test]
fn unknown_keys_and_what_types_lack_are_told_together() {
    let prefix = tempfile::tempdir().unwrap();
    let folder = prefix.path().join("share/arm_msgs/msg");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Joint.msg"), "float64 angle\n").unwrap();
    let file = prefix.path().join("arm.yaml");
    let text =
        "topics:\n  - topic: /j\n    type: arm_msgs/Joint\n    fields: [angel]\n    tracks: j\n";
    std::fs::write(&file, text).unwrap();
    let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
    let errors = Mapping::load_checked(&file, &definitions).unwrap_err().to_string();
    for part in ["arm.yaml:4:14", "`angle`", "arm.yaml:5:5", "`track`"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn what_stays_here_of_what_a_server_has_is_the_mappings_to_say() {
    let remote = |keys: &str| {
        let text = format!("{{topics: [{{topic: /a}}], remote: {{url: 'http://h'{keys}}}}}");
        Mapping::parse(&text, "m.yaml").map(|mapping| mapping.remote().unwrap().clone())
    };
    let plain = remote("").unwrap();
    assert_eq!((plain.keep, plain.max_local), (Keep::All, None));
    let full = remote(", keep: unsynced, max_local: 20GiB, when_full: drop_synced").unwrap();
    assert_eq!((full.keep, full.max_local), (Keep::Unsynced, Some(Bytes::new(20 << 30))));
    assert_eq!(full.when_full, WhenLocalFull::DropSynced);
    let error = remote(", when_full: stop").unwrap_err().to_string();
    assert!(error.contains("`when_full` without `max_local`"), "{error}");
}

#[test]
fn a_token_in_place_of_its_variable_is_not_repeated() {
    let problems =
        problems("{topics: [{topic: /a}], remote: {url: 'http://h', token_env: s3.cret}}");
    assert!(
        problems[0].contains("not the token") && !problems[0].contains("s3.cret"),
        "{problems:?}"
    );
}

#[test]
fn a_file_that_is_too_large_or_no_text_or_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bridge.yaml");
    assert!(matches!(Mapping::load(&file), Err(YamlErrors::Unreadable { .. })));
    for bytes in [vec![b' '; (1 << 20) + 1], vec![0xff, 0xfe]] {
        std::fs::write(&file, bytes).unwrap();
        assert!(matches!(Mapping::load(&file), Err(YamlErrors::Unreadable { .. })));
    }
}

#[test]
fn the_shipped_mapping_records_the_usual_robot() {
    let mapping = mapping(include_str!("../../../../config/bridge.yaml"));
    let track = |topic: &str, message_type: &str| {
        let found = mapping.rule_for(topic, &ty(message_type))?;
        let values = vec![Some("base_link".to_owned()); found.settings.track.fields().len()];
        let track = found.settings.track.expand(topic, &found.captures, &values).unwrap();
        Some(track.to_string())
    };
    for (topic, message_type) in [
        ("/pose", "geometry_msgs/msg/PoseStamped"),
        ("/odom", "nav_msgs/msg/Odometry"),
        ("/r1/imu", IMU),
        ("/joint_states", "sensor_msgs/msg/JointState"),
        ("/camera/camera_info", "sensor_msgs/msg/CameraInfo"),
        ("/scan", "sensor_msgs/msg/LaserScan"),
        ("/points", "sensor_msgs/msg/PointCloud2"),
        ("/robot_description", "std_msgs/msg/String"),
    ] {
        assert_eq!(track(topic, message_type).as_deref(), topic.strip_prefix('/'), "{topic}");
    }
    assert_eq!(track("/tf", TF).unwrap(), "tf/base_link");
    assert_eq!(track("/tf_static", TF).unwrap(), "tf_static/base_link");
    assert_eq!(track("/r1/tf", TF).unwrap(), "r1/tf/base_link");
    assert_eq!(track("/rosout", "rcl_interfaces/msg/Log"), None);
    let image = mapping.rule_for("/camera/image", &ty("sensor_msgs/msg/Image")).unwrap();
    assert_eq!(image.settings.blobs, Blobs::default());
}

#[test]
fn blobs_are_a_word_or_say_more() {
    let blobs = |text: &str| {
        let mapping = topics(&format!("{{topic: /camera, blobs: {text}}}"));
        mapping.rules()[0].settings().blobs
    };
    assert_eq!(blobs("file"), Blobs::default());
    assert_eq!(blobs("{}"), Blobs::default());
    assert_eq!(blobs("inline"), Blobs { to: BlobsTo::Inline, ..Blobs::default() });
    let formats = FileFormats {
        image: ImageFormat::Jpeg,
        quality: Quality::new(75).unwrap(),
        cloud: CloudFormat::Npy,
    };
    let max_inline = Some(Bytes::new(4 << 10));
    assert_eq!(
        blobs("{to: file, image: jpeg, quality: 75, cloud: npy, max_inline: 4KiB}"),
        Blobs { to: BlobsTo::File, formats, max_inline }
    );
}

#[test]
fn wrong_blobs_are_reported_all_at_once() {
    let text = "topics:\n  - topic: /camera\n    blobs: {to: files, image: jpg, quality: 0, clouds: pcd, \
                cloud: ply, max_inline: 64k}\n";
    let found = problems(text);
    assert_eq!(
        found,
        [
            "3:17: topics[0].blobs.to: expected file or inline or drop, found `files`\n  hint: did you \
             mean `file`?",
            "3:31: topics[0].blobs.image: expected auto or png or jpeg, found `jpg`\n  hint: did you \
             mean `jpeg`?",
            "3:45: topics[0].blobs.quality: expected a quality of JPEG, 1 to 100, found `0`",
            "3:48: topics[0].blobs.clouds: unknown key `clouds`\n  hint: did you mean `cloud`?",
            "3:68: topics[0].blobs.cloud: expected pcd or npy, found `ply`",
            "3:85: topics[0].blobs.max_inline: `64k` is not a size such as `2GiB`, `64KiB`, `500MB` or a \
             number of bytes\n  hint: write a size such as `64KiB`",
        ]
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z:{}\\[\\]/*&!<|>'\"#,?~ \n\t-]{0,80}") {
        let _ = Mapping::parse(&text, "test.yaml");
        let _ = Mapping::parse(&format!("topics:\n  - topic: /a\n    {text}"), "test.yaml");
    }
}

#[test]
fn what_is_required_must_be_named_and_recorded() {
    let text = "
topics: [{topic: /imu}, {topic: /cam/*}]
exclude: [/cam/depth]
required:
  - /imu
  - {topic: /imu, min_rate: 10}
  - /cam/rgb
  - /cam/depth
  - /odom
  - /cam/*
  - {min_rate: 3}
  - {topic: /cam/rgb, min_rate: 0, rate: 1}
start_paused: perhaps
";
    let problems = problems(text);
    let told = |line: usize, text: &str| {
        problems.iter().any(|p| p.contains(&format!("{line}:")) && p.contains(text))
    };
    assert!(told(6, "/imu is required twice"), "{problems:#?}");
    assert!(told(8, "/cam/depth is required, and no entry"), "{problems:#?}");
    assert!(told(9, "/odom is required, and no entry"), "{problems:#?}");
    assert!(told(10, "glob"), "{problems:#?}");
    assert!(told(11, "`topic` is missing"), "{problems:#?}");
    assert!(told(12, "rate"), "{problems:#?}");
    assert!(told(13, "true or false"), "{problems:#?}");
}

#[test]
fn what_is_required_is_relative_to_the_node_as_topics_are() {
    let mapping = mapping("topics: [{topic: imu}]\nrequired: [imu]").resolve("/robot1", "bridge");
    assert_eq!(mapping.required()[0].topic(), "/robot1/imu");
}

#[test]
fn intervals_that_would_spin_or_never_end_are_problems_with_the_range() {
    for value in ["0", "1e-9", "-1", "1e19", "nan", "1 hour"] {
        for key in ["interval", "fsync"] {
            let found = problems(&format!("topics: [{{topic: /a}}]\nflush: {{{key}: {value}}}\n"));
            let expected =
                format!("flush.{key}: expected a number of seconds from 0.01 to 86400, found");
            let is_told = found[0].starts_with("2:") && found[0].contains(&expected);
            assert!(is_told && found.len() == 1, "{found:?}");
        }
    }
}
