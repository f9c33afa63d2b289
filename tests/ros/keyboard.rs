//! Keys and the status on a terminal of the bridge's own.

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::LocalModes;

use super::support::{Graph, Recording};

const POSE: &str = "topics:\n  - topic: /pose\n";
/// What keys need off, and what the status line does.
const MODES: LocalModes =
    LocalModes::ICANON.union(LocalModes::ECHO).union(LocalModes::ECHOCTL).union(LocalModes::ISIG);

fn part(recording: &Recording, number: usize) -> Vec<u64> {
    match number {
        1 => recording.poses_in("tests/ros/run"),
        number => recording.poses_in(&format!("tests/ros/run_{number:03}")),
    }
}

/// The status as it was drawn last on a terminal of so many columns, without its colours. Each line fills its row, so
/// that there is no line break between them.
fn last_drawn(log: &str, columns: usize) -> Vec<String> {
    let mut drawn = vec![String::new()];
    let mut pieces = log.split('\u{1b}');
    for piece in pieces.by_ref() {
        // What begins with a sequence of colour goes on where the piece before ended.
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(0, |end| end + 1);
        match piece.starts_with('[') {
            true if piece[..end].ends_with('m') => {
                drawn.last_mut().unwrap().push_str(&piece[end..])
            }
            true => drawn.push(piece[end..].to_owned()),
            false => drawn.push(piece.to_owned()),
        }
    }
    let last = drawn.iter().rfind(|text| text.starts_with("00:") && text.contains("q: stop"));
    let letters: Vec<char> = last.unwrap_or_else(|| panic!("{log:?}")).chars().collect();
    letters
        .chunks(columns)
        .map(|line| line.iter().collect::<String>().trim_end().to_owned())
        .collect()
}

#[test]
fn keys_do_what_the_services_do_and_the_terminal_is_as_it_was() {
    let graph = Graph::new();
    let (bridge, keys) = graph.bridge_at_a_keyboard(POSE, "");
    assert!(keys.local_modes().contains(MODES));
    let mut operator = graph.operator();
    bridge.wait_for_log("space: pause, resume · s: split · d: discard · q: stop");
    assert!(!keys.local_modes().intersects(LocalModes::ICANON | LocalModes::ECHO));
    operator.publish("pose", 0..10, 0);
    keys.type_in(" ");
    bridge.wait_for_log("paused: messages are counted and left out");
    bridge.wait_for_log("PAUSED tests/ros/run");
    operator.publish("pose", 10..20, 0);
    keys.type_in(" ");
    bridge.wait_for_log("resumed");
    operator.publish("pose", 20..30, 0);
    // A pasted text is no order.
    keys.type_in("sdq");
    keys.type_in("s");
    bridge.wait_for_log("recording into tests/ros/run_002");
    operator.publish("pose", 30..40, 0);
    keys.type_in("d");
    bridge.wait_for_log("tests/ros/run_002 is discarded; recording into tests/ros/run_003");
    operator.publish("pose", 40..50, 0);
    keys.type_in("q");
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0), "{}", recording.ended.stderr);
    recording.assert_adds_up();
    let kept = (0..10).chain(20..30).collect::<Vec<u64>>();
    assert_eq!(part(&recording, 1), kept);
    assert_eq!(part(&recording, 2), (30..40).collect::<Vec<u64>>());
    assert_eq!(part(&recording, 3), (40..50).collect::<Vec<u64>>());
    let discarded = recording.experiment_file("tests/ros/run_002")["metadata"]["discarded"].clone();
    assert_eq!(discarded, true);
    assert!(keys.local_modes().contains(MODES), "{:?}", keys.local_modes());
}

#[test]
fn a_snapshot_is_saved_by_a_key_and_there_is_no_part_to_discard() {
    let graph = Graph::new();
    let mapping = "topics: [{topic: /pose}]\nsnapshot: {keep: 60s}\n";
    let (bridge, keys) = graph.bridge_at_a_keyboard(mapping, "");
    let mut operator = graph.operator();
    bridge.wait_for_log("space: pause, resume · s: save · q: stop");
    operator.publish("pose", 0..10, 0);
    keys.type_in("d");
    bridge.wait_for_log("~/save writes them as a part of their own");
    keys.type_in("s");
    bridge.wait_for_log("tests/ros/run is saved: 10 received, 10 stored, 0 dropped");
    keys.type_in("q");
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0), "{}", recording.ended.stderr);
    assert_eq!(part(&recording, 1), (0..10).collect::<Vec<u64>>());
}

#[test]
fn a_replay_is_paused_and_resumed_by_a_key_and_stopped_by_another() {
    let graph = Graph::new();
    let bridge = graph.bridge(POSE);
    let mut operator = graph.operator();
    bridge.wait_for_log("is on the graph");
    operator.publish("pose", 0..10, 0);
    bridge.wait_for_rows("pose", 10);
    bridge.interrupt();

    let root = graph.path("root");
    let (replay, keys) = graph.at_a_keyboard(
        &["replay", "tests/ros/run", "--root", root.to_str().unwrap(), "--paused", "--loop"],
        "",
    );
    replay.wait_for_log("space: pause, resume · q: stop");
    // A replay has no parts.
    keys.type_in("s");
    keys.type_in(" ");
    replay.wait_for_log("resumed");
    keys.type_in(" ");
    replay.wait_for_log("paused");
    keys.type_in("q");
    let ended = replay.end().ended;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("stopping: the last messages are on their way"),
        "{}",
        ended.stderr
    );
    assert!(keys.local_modes().contains(MODES), "{:?}", keys.local_modes());
}

#[test]
fn the_terminal_is_restored_while_the_bridge_is_suspended_and_at_its_end_by_a_signal() {
    let graph = Graph::new();
    let (bridge, keys) = graph.bridge_at_a_keyboard(POSE, "");
    bridge.wait_for_log("s: split");
    let is_raw = || !keys.local_modes().intersects(LocalModes::ICANON | LocalModes::ECHO);
    wait_until("it takes keys", is_raw);
    // As Ctrl-Z does, and `fg`.
    bridge.signal(Signal::TSTP);
    wait_until("it has given the terminal back", || keys.local_modes().contains(MODES));
    bridge.wait_until_stopped();
    bridge.signal(Signal::CONT);
    wait_until("it takes keys again", is_raw);
    keys.type_in("s");
    bridge.wait_for_log("recording into tests/ros/run_002");
    bridge.signal(Signal::INT);
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0), "{}", recording.ended.stderr);
    assert!(keys.local_modes().contains(MODES), "{:?}", keys.local_modes());
}

#[test]
fn in_the_background_it_takes_no_keys_and_is_not_stopped_by_them() {
    let graph = Graph::new();
    let in_background = r#"set -m; "$0" "$@" & wait $!"#;
    let (bridge, keys) = graph.bridge_at_a_keyboard(POSE, in_background);
    let mut operator = graph.operator();
    bridge.wait_for_log("is on the graph");
    operator.publish("pose", 0..10, 0);
    assert!(keys.local_modes().contains(MODES), "{:?}", keys.local_modes());
    keys.type_in("q \n");
    operator.publish("pose", 10..20, 0);
    bridge.wait_for_rows("pose", 20);
    // A while later it still records.
    bridge.wait_for_log("00:00:03 ");
    operator.publish("pose", 20..30, 0);
    bridge.wait_for_rows("pose", 30);
    let child = bridge.child();
    kill_process(Pid::from_raw(child).unwrap(), Signal::INT).unwrap();
    let recording = bridge.end();
    assert_eq!(recording.ended.status.code(), Some(0), "{}", recording.ended.stderr);
    assert_eq!(part(&recording, 1), (0..30).collect::<Vec<u64>>());
}

#[test]
fn without_a_keyboard_or_when_they_are_not_wanted_there_are_no_keys() {
    let graph = Graph::new();
    // stdin is a pipe, as for a launch file.
    let bridge = graph.bridge_on_a_terminal(POSE);
    bridge.wait_for_log("00:00:01 ");
    assert!(!bridge.log().contains("s: split"));
    bridge.interrupt();
    let graph = Graph::new();
    let not_wanted = r#"exec "$0" "$@" --disable-keyboard-controls"#;
    let (bridge, keys) = graph.bridge_at_a_keyboard(POSE, not_wanted);
    bridge.wait_for_log("00:00:01 ");
    assert!(!bridge.log().contains("s: split"));
    assert!(keys.local_modes().contains(LocalModes::ICANON | LocalModes::ECHO));
    keys.type_in("q");
    bridge.wait_for_log("00:00:03 ");
    bridge.interrupt();
}

#[test]
fn the_status_fits_the_terminal_also_when_its_size_changes_and_the_sick_come_first() {
    let graph = Graph::new();
    let mapping =
        "required: [/never]\ntopics:\n  - topic: /never\n  - topic: /pose\n  - topic: /a/**\n";
    let (bridge, keys) = graph.bridge_at_a_keyboard(mapping, "");
    let mut operator = graph.operator();
    for topic in ["pose", "/a/topic/with/a/name/that/is/much/longer/than/others"] {
        operator.publish(topic, 0..20, 0);
    }
    bridge.wait_for_log("REQUIRED, has not come");
    bridge.wait_for_log("20 rows");
    let red = "\u{1b}[31mREQUIRED, has not come\u{1b}[0m";
    assert!(bridge.log().contains(red), "{:?}", bridge.log());
    keys.resize(60, 9);
    let before = bridge.log().len();
    operator.publish("pose", 20..33, 0);
    wait_until("it is drawn again", || bridge.log()[before..].matches("00:").count() > 20);
    let drawn = last_drawn(&bridge.log()[before..], 60);
    assert!((4..=8).contains(&drawn.len()), "{drawn:#?}");
    assert!(drawn[0].starts_with("00:00:") && drawn[0].contains("tests/ros/run: "), "{drawn:#?}");
    assert!(drawn[1..].iter().all(|line| line.starts_with("  ")), "{drawn:#?}");
    let at = |text: &str| drawn.iter().position(|line| line.contains(text));
    assert!(at("/never  ") < at("/pose  ") || at("more topics").is_some(), "{drawn:#?}");
    assert!(at("REQUIRED, has not come").is_some(), "{drawn:#?}");
    assert!(drawn.last().unwrap().contains("q: stop"), "{drawn:#?}");
    bridge.signal(Signal::INT);
    bridge.end();
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
