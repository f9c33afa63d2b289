//! A recorder as the node drives it: parts, pauses, what is required, and how it all stands.

use std::path::Path;
use std::time::{Duration, Instant};

use mldash_bridge::mapping::{Mapping, PartAction, PartChange};
use mldash_bridge::message::{MessageType, TypeName};
use mldash_bridge::record::{
    DropReason, Lost, OfferedQos, PartError, QueueFill, Received, Recorder, RequiredState,
    Restorer, TopicPlan,
};
use mldash_bridge::track::{Experiment, LabelChange, Labels, Metadata, Options, Query, RunStatus};

const RUN: &str = "tests/lab/run";
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

const CHATTER: usize = 0;
const DESCRIPTION: usize = 1;

/// Records `/chatter` and `/robot_description`.
fn recorder(root: &Path, more: &str) -> Recorder {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    exp.start_run(Metadata::from_iter([("host".to_owned(), "rover".into())])).unwrap();
    let mut recorder = Recorder::new(exp);
    let text = format!("topics: [{{topic: /chatter}}, {{topic: /robot_description}}]\n{more}");
    let mapping = Mapping::parse(&text, "test.yaml").unwrap();
    recorder.require(mapping.required());
    let type_name = "std_msgs/msg/String".parse().unwrap();
    let message = MessageType::from_bundle(&type_name, "string data").unwrap();
    for topic in ["/chatter", "/robot_description"] {
        let rule = mapping.rule_for(topic, &type_name).unwrap();
        recorder.add_topic(TopicPlan::new(topic, topic, &message, &rule).unwrap());
    }
    recorder
}

fn say(recorder: &mut Recorder, topic: usize, text: &str, at_secs: f64) {
    let mut cdr = vec![0, 1, 0, 0];
    cdr.extend((text.len() as u32 + 1).to_le_bytes());
    cdr.extend(text.as_bytes());
    cdr.push(0);
    recorder.record(topic, cdr, Received::At((at_secs * 1e9) as i64));
}

/// Returns what the recorder says.
fn change(recorder: &mut Recorder, action: PartAction) -> String {
    recorder.change_part(&PartChange::new(action)).unwrap().to_string()
}

fn labels(root: &Path, run: &str) -> Labels {
    Experiment::open_read_only(run, root).unwrap().notes().unwrap().labels()
}

fn times(root: &Path, run: &str) -> Vec<f64> {
    let exp = Experiment::open_read_only(run, root).unwrap();
    let rows = exp.tracks("chatter").read(&Query::all()).unwrap();
    rows.iter().map(|row| row.ts.as_secs()).collect()
}

#[test]
fn a_split_goes_on_in_the_next_experiment_and_every_message_is_in_exactly_one() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    for i in 1..=10 {
        say(&mut recorder, CHATTER, "x", f64::from(i));
        if i % 4 == 0 {
            change(&mut recorder, PartAction::Split);
        }
    }
    assert_eq!(recorder.experiment().name().as_str(), "tests/lab/run_003");
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert_eq!(times(root.path(), RUN), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(times(root.path(), "tests/lab/run_002"), [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(times(root.path(), "tests/lab/run_003"), [9.0, 10.0]);
    assert_eq!((account.topics[CHATTER].received, account.topics[CHATTER].stored), (2, 2));
    let earlier: Vec<_> =
        account.earlier_parts.iter().map(|p| (p.experiment.as_str(), p.received)).collect();
    assert_eq!(earlier, [(RUN, 4), ("tests/lab/run_002", 4)]);
    for part in [RUN, "tests/lab/run_002", "tests/lab/run_003"] {
        let notes = Experiment::open_read_only(part, root.path()).unwrap().notes().unwrap();
        assert_eq!(notes.status, Some(RunStatus::Completed), "{part}");
        assert!(root.path().join(part).join("account.json").exists(), "{part}");
    }
}

#[test]
fn a_split_that_can_not_be_made_leaves_the_recording_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let long = format!("tests/lab/{}", "r".repeat(253));
    let exp = Experiment::open(&long, Options::local(root.path())).unwrap();
    let mut recorder = Recorder::new(exp);
    let error = recorder.change_part(&PartChange::new(PartAction::Split)).unwrap_err();
    assert!(matches!(error, PartError::Open(_)), "{error}");
    assert_eq!(recorder.experiment().name().as_str(), long);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert_eq!((account.experiment, account.earlier_parts.len()), (long, 0));
}

#[test]
fn a_topic_with_two_definitions_has_one_account_in_every_part() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    let mapping = Mapping::parse("topics: [{topic: /chatter}]", "test.yaml").unwrap();
    let type_name = "std_msgs/msg/String".parse().unwrap();
    let message = MessageType::from_bundle(&type_name, "string data\nint8 more").unwrap();
    let rule = mapping.rule_for("/chatter", &type_name).unwrap();
    let plan = TopicPlan::new("/chatter", "/chatter", &message, &rule).unwrap();
    let again = recorder.add_topic(plan);
    change(&mut recorder, PartAction::Split);
    say(&mut recorder, CHATTER, "x", 1.0);
    recorder.drop_messages(again, DropReason::QueueFull, 2);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    let chatter: Vec<_> = account.topics.iter().filter(|t| t.topic == "/chatter").collect();
    assert_eq!((chatter.len(), chatter[0].received), (1, 3));
}

#[test]
fn a_discarded_part_is_marked_and_the_recording_goes_on_in_the_next() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    recorder.label(&LabelChange::new().task("pick").unwrap().success(Some(false))).unwrap();
    say(&mut recorder, CHATTER, "x", 1.0);
    let said = change(&mut recorder, PartAction::Discard);
    assert_eq!(said, "tests/lab/run is discarded; recording into tests/lab/run_002");
    say(&mut recorder, CHATTER, "y", 2.0);
    recorder.finish(None).1.unwrap();
    let (first, second) = (labels(root.path(), RUN), labels(root.path(), "tests/lab/run_002"));
    assert!(first.discarded && !second.discarded);
    assert_eq!((first.success, second.success), (Some(false), None), "it is about one part");
    assert_eq!(second.task.as_deref(), Some("pick"), "the task goes on");
    assert_eq!(times(root.path(), RUN), [1.0], "its rows stay");
}

#[test]
fn between_a_stop_and_a_start_nothing_is_recorded_and_all_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    say(&mut recorder, CHATTER, "x", 1.0);
    let said = change(&mut recorder, PartAction::Stop);
    assert_eq!(said, "tests/lab/run is ended; nothing is recorded until ~/start");
    say(&mut recorder, CHATTER, "y", 2.0);
    recorder.drop_messages(CHATTER, DropReason::Paused, 3);
    recorder.count_lost(CHATTER, 2);
    for action in [PartAction::Stop, PartAction::Split, PartAction::Discard] {
        let error = recorder.change_part(&PartChange::new(action)).unwrap_err().to_string();
        assert!(error.contains("tests/lab/run has ended, and ~/start begins"), "{error}");
    }
    // What is shown is the part that has ended, and apart from it what has come since.
    recorder.post_status(QueueFill::default());
    let (_, status) = recorder.board().latest().unwrap();
    assert!(status.stopped && recorder.is_stopped());
    assert_eq!((status.experiment.as_str(), status.topics[CHATTER].account.stored), (RUN, 1));
    assert_eq!(status.while_stopped["/chatter"], 4);
    // What is said now is about the part that has ended; the task is the next one's.
    recorder.label(&LabelChange::new().success(Some(true)).task("place").unwrap()).unwrap();
    let said = recorder.labels().unwrap();
    assert_eq!((said.success, said.task.as_deref()), (Some(true), Some("place")));
    assert_eq!(change(&mut recorder, PartAction::Start), "recording into tests/lab/run_002");
    let error = recorder.change_part(&PartChange::new(PartAction::Start)).unwrap_err();
    assert!(error.to_string().contains("tests/lab/run_002 is being recorded"), "{error}");
    say(&mut recorder, CHATTER, "z", 4.0);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert_eq!(times(root.path(), RUN), [1.0]);
    assert_eq!(times(root.path(), "tests/lab/run_002"), [4.0]);
    let chatter = &account.topics[CHATTER];
    assert_eq!((chatter.received, chatter.stored, chatter.missing_total()), (1, 1, 0));
    assert_eq!(account.while_stopped["/chatter"], 4);
    assert_eq!(account.earlier_parts[0].received, 1);
    assert!(account.complete && account.adds_up());
    let (first, second) = (labels(root.path(), RUN), labels(root.path(), "tests/lab/run_002"));
    assert_eq!((first.success, first.task), (Some(true), None));
    assert_eq!((second.success, second.task.as_deref()), (None, Some("place")));
    let notes = |part| Experiment::open_read_only(part, root.path()).unwrap().notes().unwrap();
    assert_eq!(notes(RUN).metadata.unwrap()["continued_in"], "tests/lab/run_002");
    assert_eq!(notes("tests/lab/run_002").metadata.unwrap()["continues"], RUN);
}

#[test]
fn losses_that_can_not_be_known_are_unknown_in_every_part() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    recorder.set_loss_unknown(CHATTER, "messages have no numbers");
    for action in [PartAction::Split, PartAction::Stop, PartAction::Start] {
        change(&mut recorder, action);
        recorder.count_lost(CHATTER, 1);
        let topics = recorder.account().topics;
        assert_eq!(
            (topics[CHATTER].lost, topics[DESCRIPTION].lost),
            (Lost::Unknown, Lost::Known(0))
        );
    }
}

#[test]
fn a_start_that_ends_a_pause_says_what_the_part_is_about() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    recorder.set_paused(true);
    let begun = LabelChange::new().task("pick").unwrap();
    let start = PartChange { begun, ..PartChange::new(PartAction::Start) };
    let said = recorder.change_part(&start).unwrap().to_string();
    assert_eq!(said, "recording into tests/lab/run");
    assert_eq!(labels(root.path(), RUN).task.as_deref(), Some("pick"));
}

#[test]
fn a_part_begins_though_the_folder_of_the_one_before_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    say(&mut recorder, CHATTER, "x", 1.0);
    change(&mut recorder, PartAction::Stop);
    let folder = root.path().join(RUN);
    let deadline = Instant::now() + PATIENCE;
    while !folder.join("account.json").exists() {
        assert!(Instant::now() < deadline, "the part is not closed");
        std::thread::yield_now();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(change(&mut recorder, PartAction::Start), "recording into tests/lab/run_002");
    say(&mut recorder, CHATTER, "y", 2.0);
    let (account, _) = recorder.finish(None);
    assert!(account.complete, "{account:?}");
    assert_eq!(times(root.path(), "tests/lab/run_002"), [2.0]);
    assert!(!folder.exists());
}

#[test]
fn a_recording_that_ends_after_a_stop_has_the_account_of_its_last_part() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    say(&mut recorder, CHATTER, "x", 1.0);
    change(&mut recorder, PartAction::Split);
    say(&mut recorder, CHATTER, "y", 2.0);
    say(&mut recorder, CHATTER, "y", 3.0);
    change(&mut recorder, PartAction::Stop);
    say(&mut recorder, CHATTER, "z", 4.0);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert_eq!((account.experiment.as_str(), account.complete), ("tests/lab/run_002", true));
    assert_eq!(account.topics[CHATTER].received, 2);
    assert_eq!((account.earlier_parts.len(), account.while_stopped["/chatter"]), (1, 1));
    let file = root.path().join("tests/lab/run_002/account.json");
    let on_disk: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(on_disk, serde_json::to_value(&account).unwrap());
    assert!(!root.path().join("tests/lab/run_003").exists());
}

#[test]
fn a_part_that_begins_in_a_pause_is_not_said_to_be_recorded() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    recorder.set_paused(true);
    let waits = "has begun, paused: nothing is recorded until ~/resume";
    assert_eq!(change(&mut recorder, PartAction::Split), format!("tests/lab/run_002 {waits}"));
    let discarded = "tests/lab/run_002 is discarded; tests/lab/run_003";
    assert_eq!(change(&mut recorder, PartAction::Discard), format!("{discarded} {waits}"));
}

#[test]
fn what_is_left_out_while_paused_is_counted_and_is_no_loss() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    say(&mut recorder, CHATTER, "x", 1.0);
    recorder.set_paused(true);
    recorder.drop_messages(CHATTER, DropReason::Paused, 5);
    recorder.post_status(QueueFill::default());
    let (_, status) = recorder.board().latest().unwrap();
    assert!(status.paused && !status.topics[CHATTER].is_losing);
    recorder.set_paused(false);
    say(&mut recorder, CHATTER, "y", 7.0);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    let chatter = &account.topics[CHATTER];
    assert_eq!((chatter.received, chatter.stored, chatter.missing_total()), (7, 2, 0));
    assert_eq!(chatter.dropped[&DropReason::Paused], 5);
    assert!(account.adds_up());
}

#[test]
fn a_required_topic_that_does_not_come_is_missing_in_the_account() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "required: [{topic: /chatter, min_rate: 10}]");
    let deadline = Instant::now() + PATIENCE;
    loop {
        recorder.post_status(QueueFill::default());
        let (_, status) = recorder.board().latest().unwrap();
        if status.required[0].state == RequiredState::Missing {
            break;
        }
        assert!(Instant::now() < deadline, "{:?}", status.required);
        std::thread::sleep(Duration::from_millis(50));
    }
    let (account, _) = recorder.finish(None);
    assert_eq!(account.required[0].topic, "/chatter");
    assert_eq!(account.required[0].state, RequiredState::Missing);
}

#[test]
fn a_recording_that_ends_at_once_still_says_what_of_the_required_came() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "required: [/chatter, /robot_description]");
    say(&mut recorder, CHATTER, "x", 1.0);
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    let states: Vec<_> = account.required.iter().map(|required| required.state).collect();
    assert_eq!(states, [RequiredState::Met, RequiredState::Missing]);
}

#[test]
fn a_robots_description_is_noted_with_the_experiment_in_every_part() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "");
    say(&mut recorder, DESCRIPTION, "<robot name=\"r\"/>", 1.0);
    change(&mut recorder, PartAction::Split);
    say(&mut recorder, DESCRIPTION, "<robot name=\"r\"/>", 2.0);
    recorder.finish(None).1.unwrap();
    for part in [RUN, "tests/lab/run_002"] {
        let notes = Experiment::open_read_only(part, root.path()).unwrap().notes().unwrap();
        assert_eq!(notes.metadata.unwrap()["robot_description"], "<robot name=\"r\"/>");
    }
}

#[test]
fn a_recording_that_fails_says_so_in_the_experiment() {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path(), "");
    recorder.finish(Some("the ROS node failed".to_owned())).1.unwrap();
    let notes = Experiment::open_read_only(RUN, root.path()).unwrap().notes().unwrap();
    assert_eq!(notes.status, Some(RunStatus::Failed));
    assert_eq!(notes.metadata.unwrap()["failure"], "the ROS node failed");
}

#[test]
fn offers_that_are_known_after_the_first_message_are_declared_with_the_rows_that_follow() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::new(Experiment::open(RUN, Options::local(root.path())).unwrap());
    let mapping = Mapping::parse("topics: [{topic: /map, stamp: receive}]", "test.yaml").unwrap();
    let type_name: TypeName = "std_msgs/msg/String".parse().unwrap();
    let message = MessageType::from_bundle(&type_name, "string data").unwrap();
    let rule = mapping.rule_for("/map", &type_name).unwrap();
    let plan = TopicPlan::new("/map", "/map", &message, &rule).unwrap();
    let declaration = plan.declaration().clone();
    let map = recorder.add_topic(plan);
    let latched = OfferedQos::read("- depth: 1\n  durability: transient_local\n");
    say(&mut recorder, map, "x", 1.0);
    // To and fro, as publishers come and go.
    for i in 0..10 {
        declaration.note_offers(if i % 2 == 0 { latched.clone() } else { Vec::new() });
        say(&mut recorder, map, "y", f64::from(i + 2));
    }
    let (_, closed) = recorder.finish(None);
    closed.unwrap();

    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let declared = exp.tracks("map").schemas().unwrap();
    assert_eq!(declared.len(), 2);
    let definition = exp.definition(declared[1].noted_origin().unwrap()).unwrap();
    let restorer = Restorer::new(&declared[1], definition).unwrap();
    assert_eq!(restorer.offered_qos(), latched);
}
