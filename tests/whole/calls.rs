//! Services and actions of bags: what their hidden topics tell becomes tracks of requests, responses,
//! feedback and status.

use std::path::Path;

use mldash_bridge::mapping::{CallTopic, Mapping};
use mldash_bridge::track::{Experiment, Query, Row, Value as FieldValue};
use serde_json::json;

use crate::decode::encoder::encode;
use crate::made_bag::{Imported, MadeBag, STAMPED, Type, import_file, stamped};
use crate::program::program;

const SEC: u64 = 1_000_000_000;

macro_rules! event {
    ($name:literal, $request:literal, $response:literal) => {
        (
            concat!($name, "_Event"),
            concat!(
                "service_msgs/ServiceEventInfo info\n",
                $name, "_Request[<=1] request\n",
                $name, "_Response[<=1] response\n",
                "===\nMSG: service_msgs/ServiceEventInfo\nuint8 event_type\nbuiltin_interfaces/Time stamp\n",
                "char[16] client_gid\nint64 sequence_number\n",
                "===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n",
                "===\nMSG: ", $name, "_Request\n", $request, "\n",
                "===\nMSG: ", $name, "_Response\n", $response, "\n",
            ),
        )
    };
}

const ADD: Type = event!("made_msgs/srv/Add", "int64 a\nint64 b", "int64 sum\nstring note");
/// A request that has a field called like ROS's own.
const ODD: Type = event!("made_msgs/srv/Odd", "int64 info", "int64 x");
const REACH: Type = event!("made_msgs/action/Reach_SendGoal", "float64 target", "bool accepted");
const FEEDBACK: Type = (
    "made_msgs/action/Reach_FeedbackMessage",
    "unique_identifier_msgs/UUID goal_id\nmade_msgs/action/Reach_Feedback feedback\n\
     ===\nMSG: unique_identifier_msgs/UUID\nuint8[16] uuid\n\
     ===\nMSG: made_msgs/action/Reach_Feedback\nfloat64 distance\n",
);
const STATUS: Type = (
    "action_msgs/msg/GoalStatusArray",
    "action_msgs/GoalStatus[] status_list\n\
     ===\nMSG: action_msgs/GoalStatus\naction_msgs/GoalInfo goal_info\nint8 status\n\
     ===\nMSG: action_msgs/GoalInfo\nunique_identifier_msgs/UUID goal_id\nbuiltin_interfaces/Time stamp\n\
     ===\nMSG: unique_identifier_msgs/UUID\nuint8[16] uuid\n\
     ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n",
);

/// An event of the call with this number: `kind` 0 and 1 are of its request, 2 and 3 of its response.
/// Without content, as with introspection of metadata only.
fn event(kind: u8, number: i64, content: &[&[u8]]) -> Vec<u8> {
    encode(|e| {
        e.number([kind]).number((100 + i32::from(kind)).to_le_bytes());
        e.number(500_000_000_u32.to_le_bytes()).raw(&[7; 16]).number(number.to_le_bytes());
        let (requests, responses) = if kind < 2 { (content.len(), 0) } else { (0, content.len()) };
        e.length(requests);
        if kind < 2 {
            content.iter().for_each(|one| append(e, one));
        }
        e.length(responses);
        if kind >= 2 {
            content.iter().for_each(|one| append(e, one));
        }
        e
    })
}

/// Numbers of 8 bytes each.
fn append(encoder: &mut crate::decode::encoder::Encoder, numbers: &[u8]) {
    for number in numbers.chunks(8) {
        encoder.number::<8>(number.try_into().unwrap());
    }
}

fn ints(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn rows(imported: &Imported, track: &str) -> Vec<Row> {
    imported.part("").tracks(track).read(&Query::all()).unwrap()
}

fn int(row: &Row, column: &str) -> i64 {
    match row.fields.get(column) {
        Some(FieldValue::Int(number)) => *number,
        other => panic!("{other:?} in {column} of {row:?}"),
    }
}

/// A bag with all that a service and an action tell of one call each, and a topic.
fn bag() -> MadeBag {
    let mut bag = MadeBag::new();
    bag.add("/odom", STAMPED, SEC, &stamped(SEC as i64, 1.0));
    for kind in 0..4 {
        let content = if kind < 2 { ints(&[2, 3]) } else { ints(&[5]) };
        let mut cdr = event(kind, 41, &[&content]);
        if kind >= 2 {
            // The response's text, empty.
            cdr.extend([1, 0, 0, 0, 0]);
        }
        bag.add("/math/add/_service_event", ADD, (10 + u64::from(kind)) * SEC, &cdr);
    }
    let goal = event(1, 1, &[&3.5_f64.to_le_bytes()]);
    bag.add("/reach/_action/send_goal/_service_event", REACH, 20 * SEC, &goal);
    let mut accepted = event(2, 1, &[&[]]);
    let length = accepted.len();
    accepted[length - 4..].copy_from_slice(&1_u32.to_le_bytes());
    accepted.push(1);
    bag.add("/reach/_action/send_goal/_service_event", REACH, 21 * SEC, &accepted);
    let feedback = encode(|e| e.raw(&[9; 16]).f64s(&[1.5]));
    bag.add("/reach/_action/feedback", FEEDBACK, 22 * SEC, &feedback);
    let status = encode(|e| {
        e.length(2);
        for goal in [1, 2] {
            e.raw(&[goal; 16]).number(20_i32.to_le_bytes()).number(0_u32.to_le_bytes());
            e.number([goal + 1]);
            // The next goal's stamp is aligned.
        }
        e
    });
    bag.add("/reach/_action/status", STATUS, 23 * SEC, &status);
    bag
}

const TRACKS: [&str; 6] = [
    "math/add/request",
    "math/add/response",
    "reach/feedback",
    "reach/send_goal/request",
    "reach/send_goal/response",
    "reach/status",
];

fn tracks(imported: &Imported) -> Vec<String> {
    imported.part("").list().unwrap().into_iter().map(|track| track.topic).collect()
}

#[test]
fn requests_and_responses_are_tracks_of_their_own_with_the_times_of_their_events() {
    let imported = bag().import("topics: [{topic: /**}]\nservices: /math/add\n");
    assert!(imported.is_complete(), "{:#}", imported.account());
    assert_eq!(tracks(&imported), ["math/add/request", "math/add/response", "odom"]);
    let requests = rows(&imported, "math/add/request");
    let columns: Vec<&str> = requests[0].fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(columns, ["info.event_type", "info.client_gid", "info.sequence_number", "a", "b"]);
    let times = |rows: &[Row]| rows.iter().map(|row| row.ts.as_secs()).collect::<Vec<_>>();
    assert_eq!(times(&requests), [100.5, 101.5], "sent, and received");
    for (row, kind) in requests.iter().zip(0..) {
        assert_eq!((int(row, "info.event_type"), int(row, "info.sequence_number")), (kind, 41));
        assert_eq!((int(row, "a"), int(row, "b")), (2, 3));
    }
    let responses = rows(&imported, "math/add/response");
    assert_eq!(times(&responses), [102.5, 103.5]);
    assert_eq!((int(&responses[0], "sum"), responses[0].fields.get("a")), (5, None));
    let topic = imported.topic("/math/add/_service_event");
    assert_eq!((&topic["received"], &topic["stored"]), (&json!(4), &json!(4)), "one account");
    // What can be in a track is known, so an empty column of the other half is in no export.
    let file = imported.part("").folder().join("tracks/math_add_response/.schema.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"sum\"") && !text.contains("\"a\""), "{text}");
}

#[test]
fn goals_feedback_and_status_of_an_action_are_tracks_below_its_name() {
    let mapping = "actions: [/reach]\nservices: all\n";
    let imported = bag().import(mapping);
    assert!(imported.is_complete(), "{:#}", imported.account());
    assert_eq!(tracks(&imported), TRACKS, "the action's services are its own");
    let goal = &rows(&imported, "reach/send_goal/request")[0];
    assert_eq!(goal.fields.get("target"), Some(&FieldValue::F64(3.5)));
    let accepted = &rows(&imported, "reach/send_goal/response")[0];
    assert_eq!(accepted.fields.get("accepted"), Some(&FieldValue::Bool(true)));
    let feedback = &rows(&imported, "reach/feedback")[0];
    assert_eq!(feedback.fields.get("feedback.distance"), Some(&FieldValue::F64(1.5)));
    assert_eq!(feedback.ts.as_secs(), 22.0, "when it was received");
    let status = rows(&imported, "reach/status");
    let states: Vec<i64> = status.iter().map(|row| int(row, "status")).collect();
    assert_eq!(states, [2, 3], "a row for each goal");
    assert!(status[0].fields.get("goal_info.goal_id.uuid").is_some(), "{:?}", status[0]);
    assert_eq!(imported.account()["not_asked_for"], json!({"/odom": 1}));
}

#[test]
fn hidden_topics_are_recorded_only_by_their_key_or_their_own_name() {
    let plain = bag().import("topics: [{topic: /**}]\n");
    assert_eq!(tracks(&plain), ["odom"]);
    assert_eq!(plain.account()["not_asked_for"]["/reach/_action/feedback"], 1);
    // An entry of `topics` with the topic's name records its messages as they are.
    let named = "topics: [{topic: /math/add/_service_event}]\nservices: all\n";
    assert_eq!(tracks(&bag().import(named)), ["math/add/_service_event"]);
    let excluded = "topics: [{topic: /odom}]\nservices: all\nactions: all\nexclude: [/math/**]\n";
    assert_eq!(tracks(&bag().import(excluded))[..2], ["odom", "reach/feedback"]);
    let globs = "services: ['/math/*', /nobody]\n";
    let imported = bag().import(globs);
    assert_eq!(tracks(&imported), TRACKS[..2]);
    assert_eq!(imported.account()["unmatched"], json!(["service /nobody"]));
}

#[test]
fn flags_ask_for_them_as_the_mapping_does() {
    let mapping = "topics: [{topic: /odom}]\n";
    let import = |flags: &[&str]| {
        tracks(&bag().import_by(mapping, |import| flags.iter().fold(import, |i, flag| i.arg(flag))))
    };
    assert_eq!(
        import(&["--services", "/math/add"]),
        ["math/add/request", "math/add/response", "odom"]
    );
    let flags = ["--services", "/math/add", "--actions", "all"];
    let noted = bag().import_by(mapping, |import| import.args(flags)).part("").notes().unwrap();
    let noted = noted.metadata.unwrap();
    assert_eq!(noted["mapping"], mapping, "as the file says");
    assert_eq!(noted["also_recorded"], json!(["service /math/add", "action /**"]));
    let all = import(&["--all-services", "--all-actions"]);
    assert_eq!(all.len(), TRACKS.len() + 1);
    assert_eq!(import(&["--actions", "/nobody", "/reach"]).len(), 5);
    let wrong =
        program(["import", "x.mcap", "--config", "m.yaml", "--services", "/a", "--all-services"]);
    let wrong = wrong.run();
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("cannot be used with"), "{}", wrong.stderr);
}

#[test]
fn flags_alone_are_enough_and_the_mapping_that_they_mean_records_the_same() {
    let (folder, bag) = bag().finish();
    let path = |name: &str| folder.path().join(name);
    let run = "alice/lab/run";
    let flags = ["--services", "/math/add", "--all-actions"];
    let import = |root: &str| {
        let import = program(["import", "--json", "--experiment", run, "--root"]);
        import.arg(path(root)).arg(&bag)
    };
    let tracks = |root: &str| -> Vec<String> {
        let exp = Experiment::open_read_only(run, path(root)).unwrap();
        exp.list().unwrap().into_iter().map(|track| track.topic).collect()
    };
    let imported = import("flags").args(flags).run();
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    assert_eq!(tracks("flags"), TRACKS, "/odom is not asked for");
    let written = import("flags").args(flags).arg("--write-config").arg(path("m.yaml")).run();
    assert_eq!(written.code, 0, "{}", written.stderr);
    let meant = std::fs::read_to_string(path("m.yaml")).unwrap();
    assert!(meant.ends_with("services: /math/add\nactions: all\n"), "{meant}");
    let noted = std::fs::read(path("flags").join(run).join("experiment.json")).unwrap();
    let noted: serde_json::Value = serde_json::from_slice(&noted).unwrap();
    // A file also says how an editor knows its keys.
    let for_editors = meant.strip_suffix(noted["metadata"]["mapping"].as_str().unwrap()).unwrap();
    assert!(for_editors.starts_with("# yaml-language-server: $schema="), "{meant}");
    assert!(for_editors.lines().all(|line| line.starts_with('#')), "{meant}");
    let again = import("file").arg("--config").arg(path("m.yaml")).run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(tracks("file"), TRACKS);
}

#[test]
fn a_call_whose_content_is_not_published_is_a_row_of_what_is_known() {
    let mut bag = MadeBag::new();
    bag.add("/add/_service_event", ADD, SEC, &event(1, 8, &[]));
    bag.add("/add/_service_event", ADD, 2 * SEC, &event(2, 8, &[]));
    let imported = bag.import("services: all\n");
    assert!(imported.is_complete());
    for track in ["add/request", "add/response"] {
        let row = &rows(&imported, track)[0];
        assert_eq!(int(row, "info.sequence_number"), 8, "{track}");
    }
    assert_eq!(rows(&imported, "add/request")[0].fields.get("a"), Some(&FieldValue::Null));
}

#[test]
fn fields_that_are_called_like_what_ros_says_keep_the_halfs_name() {
    let mut bag = MadeBag::new();
    bag.add("/odd/_service_event", ODD, SEC, &event(0, 8, &[&ints(&[6])]));
    bag.add("/odd/_service_event", ODD, 2 * SEC, &event(3, 8, &[&ints(&[7])]));
    let imported = bag.import("services: /odd\n");
    assert!(imported.is_complete(), "{:#}", imported.account());
    assert_eq!(int(&rows(&imported, "odd/request")[0], "request.info"), 6);
    assert_eq!(int(&rows(&imported, "odd/response")[0], "x"), 7);
}

#[test]
fn damaged_events_and_topics_of_another_type_are_counted() {
    let mut bag = MadeBag::new();
    let whole = event(1, 8, &[&ints(&[1, 2])]);
    bag.add("/add/_service_event", ADD, SEC, &whole);
    bag.add("/add/_service_event", ADD, SEC + 1, &whole[..whole.len() - 3]);
    bag.add("/add/_service_event", ADD, SEC + 2, &[0, 1, 0, 0]);
    bag.add("/other/_service_event", STAMPED, SEC, &stamped(1, 1.0));
    let imported = bag.import("services: all\n");
    let topic = imported.topic("/add/_service_event");
    assert_eq!((&topic["stored"], &topic["dropped"]), (&json!(1), &json!({"undecodable": 2})));
    let refused = imported.account()["refused"]["/other/_service_event"].clone();
    assert!(refused.as_str().unwrap().contains("info"), "{refused}");
}

#[test]
fn the_same_event_twice_is_one_row_and_parts_have_both_halves() {
    let mapping = "services: all\nsplit_on: {topic: /mark}\n";
    let mut bag = MadeBag::new();
    for (second, number) in [(1, 1), (1, 1), (3, 2)] {
        if second == 3 {
            bag.add("/mark", STAMPED, 2 * SEC, &stamped(1, 1.0));
        }
        for kind in [1, 2] {
            bag.add("/add/_service_event", ADD, second * SEC, &event(kind, number, &[]));
        }
    }
    let imported = bag.import(mapping);
    assert!(imported.is_complete(), "{:#}", imported.account());
    for suffix in ["", "_002"] {
        for track in ["add/request", "add/response"] {
            let rows = imported.part(suffix).tracks(track).read(&Query::all()).unwrap();
            assert_eq!(rows.len(), 1, "{suffix} {track}");
        }
    }
}

#[test]
fn the_events_of_a_bag_in_the_wild_are_split_too() {
    let bag = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases/service_action.mcap");
    let imported = import_file(&bag, "services: all\nactions: all\n");
    for event in 1..=3 {
        let rows = rows(&imported, &format!("add_{event}/request"));
        assert_eq!((int(&rows[0], "a"), int(&rows[0], "b")), (2, 3), "{event}");
    }
    // Three events and the feedback are not defined in the bag, and no workspace is sourced.
    assert_eq!(imported.account()["refused"].as_object().unwrap().len(), 4);
}

#[test]
fn a_topic_says_whose_it_is_and_what_is_wrong_with_the_keys_is_said_at_its_place() {
    for (topic, name) in [
        ("/add/_service_event", "/add"),
        ("/reach/_action/get_result/_service_event", "/reach"),
        ("/a/b/_action/status", "/a/b"),
    ] {
        let call = CallTopic::of(topic).unwrap();
        assert_eq!((call.name.as_str(), call.renamed(name).as_str()), (name, topic));
    }
    for other in ["/add", "/reach/_action/other", "/_action/x/_service_event", "/x/_service"] {
        assert_eq!(CallTopic::of(other), None, "{other}");
    }
    let wrong = Mapping::parse("services: [/a/b**]\nactions: {name: /x}\n", "m.yaml").unwrap_err();
    let text = wrong.to_string();
    for part in ["m.yaml:1:12: services[0]: ", "m.yaml:2:10: actions: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(Mapping::parse("services: all\n", "m.yaml").unwrap().rules().len(), 0);
}
