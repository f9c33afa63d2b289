//! A snapshot: what a recorder holds, saves and lets go, and what an import makes of `save_on`.

use std::path::Path;
use std::time::{Duration, Instant};

use mldash_bridge::mapping::{Mapping, PartAction, PartChange};
use mldash_bridge::message::MessageType;
use mldash_bridge::record::{
    Account, DropReason, LatchedMessage, PartError, QueueFill, Received, Recorder, TopicPlan,
    WindowClock,
};
use mldash_bridge::track::{Experiment, LabelChange, Metadata, Options, Query, RunStatus};
use serde_json::json;

use crate::made_bag::{Imported, MadeBag, STAMPED, TEXT, stamped, text};
use crate::program::program;

const RUN: &str = "tests/lab/run";
const SECOND: &str = "tests/lab/run_002";
const CHATTER: usize = 0;
const MAP: usize = 1;
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records `/chatter` and `/map`, which have no stamps, and holds them by their receive times.
fn recorder(root: &Path, snapshot: &str) -> Recorder {
    recorder_into(RUN, root, snapshot)
}

fn recorder_into(run: &str, root: &Path, snapshot: &str) -> Recorder {
    let exp = Experiment::open(run, Options::local(root)).unwrap();
    exp.start_run(Metadata::from_iter([("host".to_owned(), "rover".into())])).unwrap();
    let mut recorder = Recorder::new(exp);
    let text = format!("topics: [{{topic: /chatter}}, {{topic: /map}}]\nsnapshot: {snapshot}\n");
    let mapping = Mapping::parse(&text, "test.yaml").unwrap();
    let type_name = "std_msgs/msg/String".parse().unwrap();
    let message = MessageType::from_bundle(&type_name, "string data").unwrap();
    for topic in ["/chatter", "/map"] {
        let rule = mapping.rule_for(topic, &type_name).unwrap();
        recorder.add_topic(TopicPlan::new(topic, topic, &message, &rule).unwrap());
    }
    recorder.hold(mapping.snapshot().unwrap(), WindowClock::Received);
    recorder
}

fn say(recorder: &mut Recorder, topic: usize, said: &str, secs: i64) {
    recorder.record(topic, text(said), Received::At(secs * 1_000_000_000));
}

fn save(recorder: &mut Recorder) -> String {
    recorder.change_part(&PartChange::new(PartAction::Save)).unwrap().to_string()
}

/// The times of a track's rows.
fn times(root: &Path, run: &str, track: &str) -> Vec<f64> {
    let exp = Experiment::open_read_only(run, root).unwrap();
    let rows = exp.tracks(track).read(&Query::all()).unwrap();
    rows.iter().map(|row| row.ts.as_secs()).collect()
}

/// What a part's account file says.
fn account_of(root: &Path, run: &str) -> serde_json::Value {
    let file = std::fs::read(root.join(run).join("account.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn finish(recorder: Recorder) -> Account {
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up(), "{account:#?}");
    account
}

#[test]
fn each_save_is_a_whole_experiment_and_no_message_is_in_two() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut recorder = recorder(root, "{keep: 3s}");
    for second in 1..=10 {
        say(&mut recorder, CHATTER, "x", second);
    }
    let said = save(&mut recorder);
    assert!(said.starts_with("saving 4 messages of the last 3.0 s ("), "{said}");
    assert!(said.ends_with("into tests/lab/run"), "{said}");
    // Within the time that the first save covers, and after it.
    for second in 11..=12 {
        say(&mut recorder, CHATTER, "y", second);
    }
    assert!(save(&mut recorder).ends_with("into tests/lab/run_002"));
    say(&mut recorder, CHATTER, "z", 13);
    let last = finish(recorder);
    assert_eq!(times(root, RUN, "chatter"), [7.0, 8.0, 9.0, 10.0]);
    assert_eq!(times(root, SECOND, "chatter"), [11.0, 12.0]);
    let first = account_of(root, RUN);
    let chatter = &first["topics"][0];
    assert_eq!((&chatter["received"], &chatter["stored"]), (&json!(10), &json!(4)));
    assert_eq!(
        (&chatter["dropped"], &first["complete"]),
        (&json!({"out_of_window": 6}), &json!(true))
    );
    assert_eq!(chatter["bytes"], 10 * text("x").len());
    // The account at the end is that of the last save.
    assert_eq!((last.experiment.as_str(), last.complete), (SECOND, true));
    assert_eq!((last.topics[CHATTER].received, last.topics[CHATTER].stored), (2, 2));
    assert_eq!(last.not_saved, [("/chatter".to_owned(), 1)].into());
    assert_eq!(last.earlier_parts.len(), 1);
    let notes = |run: &str| Experiment::open_read_only(run, root).unwrap().notes().unwrap();
    for run in [RUN, SECOND] {
        assert_eq!(notes(run).status, Some(RunStatus::Completed), "{run}");
    }
    assert_eq!(notes(SECOND).metadata.unwrap()["continues"], RUN);
    assert!(!root.join("tests/lab/run_003").exists(), "nothing was saved into it");
}

#[test]
fn what_was_held_and_never_saved_is_counted_and_misses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "{keep: 2s}");
    for second in 1..=5 {
        say(&mut recorder, CHATTER, "x", second);
    }
    recorder.drop_messages(CHATTER, DropReason::Paused, 2);
    let account = finish(recorder);
    let chatter = &account.topics[CHATTER];
    assert_eq!((chatter.received, chatter.stored), (7, 0));
    let dropped =
        [(DropReason::OutOfWindow, 2), (DropReason::NotSaved, 3), (DropReason::Paused, 2)];
    assert_eq!(chatter.dropped, dropped.into());
    assert!(account.complete && account.not_saved.is_empty());
    assert_eq!(times(root.path(), RUN, "chatter"), [0.0; 0]);
}

#[test]
fn a_full_memory_lets_the_oldest_out_before_their_time() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "{keep: 1h, memory: 1MiB}");
    let long = "x".repeat(300_000);
    for second in 1..=5 {
        say(&mut recorder, CHATTER, &long, second);
    }
    save(&mut recorder);
    let account = finish(recorder);
    assert_eq!(times(root.path(), RUN, "chatter"), [3.0, 4.0, 5.0]);
    assert_eq!(account.topics[CHATTER].dropped, [(DropReason::OutOfWindow, 2)].into());
}

#[test]
fn latched_messages_are_in_every_save_once_with_the_time_at_which_they_came() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "{keep: 3s}");
    say(&mut recorder, MAP, "the map", 1);
    let latched = LatchedMessage {
        topic: MAP,
        cdr: text("the map"),
        receipt: Received::At(1_000_000_000).into(),
    };
    let save = |recorder: &mut Recorder, second| {
        say(recorder, CHATTER, "x", second);
        recorder.save(&PartChange::new(PartAction::Save), vec![latched.clone()]).unwrap();
    };
    // Held, fallen out, and saved before.
    save(&mut recorder, 2);
    save(&mut recorder, 20);
    save(&mut recorder, 21);
    let account = finish(recorder);
    for run in [RUN, SECOND, "tests/lab/run_003"] {
        assert_eq!(times(root.path(), run, "map"), [1.0], "{run}");
    }
    assert_eq!(account_of(root.path(), RUN)["topics"][MAP]["merged"], 0, "it is written once");
    assert!(account.complete);
}

#[test]
fn a_recording_that_holds_has_no_parts_and_one_that_does_not_has_nothing_to_save() {
    let root = tempfile::tempdir().unwrap();
    let mut holding = recorder(root.path(), "{keep: 3s}");
    for action in [PartAction::Split, PartAction::Discard, PartAction::Stop, PartAction::Start] {
        let refused = holding.change_part(&PartChange::new(action)).unwrap_err();
        assert!(matches!(refused, PartError::Holding) && refused.is_out_of_turn(), "{refused}");
        assert!(refused.to_string().contains("~/save"), "{refused}");
    }
    save(&mut holding);
    let refused = holding.change_part(&PartChange::new(PartAction::Start)).unwrap_err();
    assert!(matches!(refused, PartError::Holding), "also after a save");
    finish(holding);
    let exp = Experiment::open("tests/lab/plain", Options::local(root.path())).unwrap();
    let mut plain = Recorder::new(exp);
    let refused = plain.change_part(&PartChange::new(PartAction::Save)).unwrap_err();
    assert!(matches!(refused, PartError::NothingHeld), "{refused}");
    assert!(refused.to_string().contains("snapshot: {keep: 30s}"), "{refused}");
    finish(plain);
}

#[test]
fn a_save_that_can_not_be_opened_leaves_the_window_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    // There is no room for `_002` in the name.
    let long = format!("tests/lab/{}", "r".repeat(253));
    let mut recorder = recorder_into(&long, root.path(), "{keep: 30s}");
    say(&mut recorder, CHATTER, "x", 1);
    save(&mut recorder);
    say(&mut recorder, CHATTER, "x", 2);
    let error = recorder.change_part(&PartChange::new(PartAction::Save)).unwrap_err();
    assert!(matches!(error, PartError::Open(_)), "{error}");
    say(&mut recorder, CHATTER, "x", 3);
    recorder.post_status(QueueFill::default());
    let (_, status) = recorder.board().latest().unwrap();
    assert_eq!(status.snapshot.clone().unwrap().held_messages, 2);
    let account = finish(recorder);
    assert_eq!(account.not_saved, [("/chatter".to_owned(), 2)].into());
}

#[test]
fn labels_are_said_of_what_is_saved_and_the_task_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "{keep: 30s}");
    recorder.label(&LabelChange::new().task("patrol").unwrap()).unwrap();
    say(&mut recorder, CHATTER, "x", 1);
    let stop = PartChange {
        ended: LabelChange::new().success(Some(false)),
        ..PartChange::new(PartAction::Save)
    };
    recorder.save(&stop, Vec::new()).unwrap();
    // Of the part that was saved.
    recorder.label(&LabelChange::new().notes("bumped into a door").unwrap()).unwrap();
    say(&mut recorder, CHATTER, "y", 2);
    save(&mut recorder);
    finish(recorder);
    let labels =
        |run: &str| Experiment::open_read_only(run, root.path()).unwrap().notes().unwrap().labels();
    let first = labels(RUN);
    assert_eq!((first.task.as_deref(), first.success), (Some("patrol"), Some(false)));
    assert_eq!(first.notes.as_deref(), Some("bumped into a door"));
    let second = labels(SECOND);
    assert_eq!(
        (second.task.as_deref(), second.success, second.notes),
        (Some("patrol"), None, None)
    );
}

#[test]
fn the_status_says_what_is_held_and_time_passes_without_messages() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "{keep: 0.1s, memory: 1MiB}");
    let mapping =
        Mapping::parse("topics: [{topic: /x}]\nsnapshot: {keep: 0.1s}", "m.yaml").unwrap();
    recorder.hold(mapping.snapshot().unwrap(), WindowClock::Elapsed);
    say(&mut recorder, CHATTER, "x", 1);
    let deadline = Instant::now() + PATIENCE;
    loop {
        recorder.post_status(QueueFill::default());
        let (_, status) = recorder.board().latest().unwrap();
        let held = status.snapshot.clone().unwrap();
        assert_eq!((held.keep_secs, held.memory_bytes), (0.1, 1 << 30));
        assert!(held.held_secs <= 0.1 && !status.stopped);
        if held.held_messages == 0 {
            assert_eq!(held.held_bytes, 0);
            break;
        }
        assert!(Instant::now() < deadline, "it is held for ever");
    }
    let account = finish(recorder);
    assert_eq!(account.topics[CHATTER].dropped, [(DropReason::OutOfWindow, 1)].into());
}

#[test]
fn what_waits_for_the_ros_clock_is_held_and_saved_with_its_time() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path(), "{keep: 30s}");
    recorder.record(CHATTER, text("before"), Received::BeforeClock);
    say(&mut recorder, CHATTER, "x", 5);
    save(&mut recorder);
    let account = finish(recorder);
    assert_eq!(account.topics[CHATTER].received, 2);
    // The first one waited, and has the time at which the clock was first known.
    let chatter = times(root.path(), RUN, "chatter");
    assert_eq!(chatter.len(), 2, "{chatter:?}");
    assert_eq!(chatter[0], 5.0);
}

const SEC: u64 = 1_000_000_000;

/// Twenty numbers a second apart, with what is said between them, and a map that is latched.
fn bag(stops: &[u64]) -> MadeBag {
    let mut bag = MadeBag::new();
    bag.offer("- history: 1\n  depth: 1\n  reliability: 1\n  durability: transient_local\n");
    bag.add("/map", STAMPED, 1, &stamped(SEC as i64 / 2, 0.0));
    bag.offer("- history: 1\n  depth: 10\n  durability: 2\n");
    for i in 1..=20 {
        bag.add("/odom", STAMPED, i * SEC, &stamped((i * SEC) as i64, i as f64));
        if stops.contains(&i) {
            bag.add("/estop", TEXT, i * SEC + SEC / 2, &text("pressed"));
        }
    }
    bag
}

const SNAPSHOT: &str = "
topics: [{topic: /odom}, {topic: /map}, {topic: /estop}]
snapshot: {keep: 3s, memory: 64MiB}
";

fn odom(imported: &Imported, suffix: &str) -> Vec<f64> {
    let rows = imported.part(suffix).tracks("odom").read(&Query::all()).unwrap();
    rows.iter().map(|row| row.ts.as_secs()).collect()
}

#[test]
fn an_import_saves_what_a_topic_says_by_log_time_and_twice_is_the_same() {
    let mapping =
        format!("{SNAPSHOT}save_on: {{topic: /estop, task: '{{data}}', success: false}}\n");
    let imported = bag(&[6, 8, 15]).import(&mapping);
    let check = |imported: &Imported| {
        assert!(imported.is_complete(), "{}", imported.done.stderr);
        let names = ["tests/made/run", "tests/made/run_002", "tests/made/run_003"];
        assert_eq!(imported.experiments(), names);
        // 3 s before the message, and not what the save before has.
        assert_eq!(odom(imported, ""), [4.0, 5.0, 6.0]);
        assert_eq!(odom(imported, "_002"), [7.0, 8.0]);
        assert_eq!(odom(imported, "_003"), [13.0, 14.0, 15.0]);
        for suffix in ["", "_002", "_003"] {
            let rows = |track: &str| {
                imported.part(suffix).tracks(track).read(&Query::all()).unwrap().len()
            };
            assert_eq!((rows("map"), rows("estop")), (1, 1), "{suffix}");
            let labels = imported.part(suffix).notes().unwrap().labels();
            assert_eq!((labels.task.as_deref(), labels.success), (Some("pressed"), Some(false)));
        }
        let account = imported.account();
        assert_eq!(account["not_saved"], json!({"/odom": 5}));
        let odom = account["topics"].as_array().unwrap().iter().find(|t| t["topic"] == "/odom");
        assert_eq!(odom.unwrap()["dropped"], json!({"out_of_window": 4}));
    };
    check(&imported);
    check(&imported.again(&mapping));
}

#[test]
fn an_import_without_a_topic_that_saves_records_everything_and_says_so() {
    let imported = bag(&[6]).import(SNAPSHOT);
    assert!(imported.is_complete());
    assert_eq!(odom(&imported, "").len(), 20);
    let log = &imported.done.stderr;
    assert!(log.contains("`snapshot` and no `save_on`: nothing in a bag can save it"), "{log}");
}

#[test]
fn an_import_in_which_nothing_is_saved_says_what_was_let_go() {
    let mapping = format!("{SNAPSHOT}save_on: {{topic: /estop}}\n");
    let imported = bag(&[]).import(&mapping);
    assert_eq!(imported.account()["unmatched"], json!(["/estop", "save_on /estop"]));
    assert_eq!(odom(&imported, "").len(), 0);
    let account = imported.account();
    let odom = account["topics"].as_array().unwrap().iter().find(|t| t["topic"] == "/odom");
    assert_eq!(odom.unwrap()["dropped"], json!({"not_saved": 4, "out_of_window": 16}));
    assert!(
        imported.done.stderr.contains("were held and are not saved"),
        "{}",
        imported.done.stderr
    );
}

#[test]
fn saves_faster_than_they_can_be_written_are_all_there() {
    let mapping = format!("{SNAPSHOT}save_on: {{topic: /estop}}\n");
    let stops: Vec<u64> = (1..=20).collect();
    let imported = bag(&stops).import(&mapping);
    assert!(imported.is_complete(), "{}", imported.done.stderr);
    for i in 1..=20_u64 {
        let suffix = if i == 1 { String::new() } else { format!("_{i:03}") };
        assert_eq!(odom(&imported, &suffix), [i as f64], "{suffix}");
    }
}

#[test]
fn what_is_wrong_with_a_snapshot_is_said_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = dir.path().join("m.yaml");
    for (text, parts) in [
        ("snapshot: 30s\n", vec!["m.yaml:2:11: snapshot: expected a mapping", "{keep: 30s"]),
        ("snapshot: {memory: 1GiB}\n", vec!["`keep` is missing"]),
        (
            "snapshot: {keep: soon, memory: 1KiB, size: 3}\n",
            vec![
                "m.yaml:2:18: snapshot.keep: `soon` is not a span of time",
                "snapshot.memory: expected at least 1MiB",
                "snapshot.size: unknown key `size`",
            ],
        ),
        ("snapshot: {keep: 48h}\n", vec!["expected a time from 0.1 s to 24 h"]),
        (
            "save_on: {topic: /estop}\n",
            vec!["m.yaml:2:18: save_on.topic: `save_on` without `snapshot`"],
        ),
        (
            "snapshot: {keep: 9}\nsave_on: {topic: /e, do: stop}\n",
            vec!["save_on.do: unknown key `do`"],
        ),
        ("snapshot: {keep: 9}\nsplit_on: {topic: /e}\n", vec!["`split_on` with `snapshot`"]),
        ("snapshot: {keep: 9}\nclock_jump: split\n", vec!["a snapshot has no parts to split"]),
        ("split_on: {topic: /e, do: save}\n", vec!["expected split or discard or stop or start"]),
    ] {
        std::fs::write(&mapping, format!("topics: [{{topic: /odom}}]\n{text}")).unwrap();
        let done = program(["check"]).arg(&mapping).run();
        assert_eq!(done.code, 2, "{text}{}", done.stderr);
        for part in parts {
            assert!(done.stderr.contains(part), "{part}\n{}", done.stderr);
        }
    }
    std::fs::write(&mapping, format!("{SNAPSHOT}save_on: [{{topic: /estop}}, {{topic: /joy, field: 'buttons[1]', becomes: 1}}]\n")).unwrap();
    let done = program(["check"]).arg(&mapping).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}
