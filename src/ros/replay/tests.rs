use super::*;
use crate::export::Recording;
use crate::export::mcap::McapOptions;
use crate::mapping::Mapping;
use crate::message::MessageType;
use crate::record::{OfferedQos, Received, Recorder, TopicPlan};
use crate::track::{Experiment, Options};

const RUN: &str = "tests/replay/run";
const TENTH: i64 = 100_000_000;
/// The number of the run's latched topic.
const LATCHED: usize = 1;
/// Plays until the run's end.
const ALL: usize = usize::MAX;
/// How often the clock is published until a test goes on that is paused.
const RESUMED_AFTER: usize = 3;

/// What was published, and when since the start of the test.
struct Notes {
    since: Instant,
    messages: Vec<(usize, u8, Duration)>,
    times: Vec<i64>,
    pause: Pause,
    /// Stops once there are so many messages.
    at_most: usize,
    stop: StopFlag,
}

impl Bus for Notes {
    fn publish(&mut self, topic: usize, cdr: &[u8]) -> Result<bool, RosError> {
        self.messages.push((topic, cdr[4], self.since.elapsed()));
        if self.messages.len() == self.at_most {
            self.stop.stop();
        }
        Ok(true)
    }

    fn publish_time(&mut self, nanos: i64) -> Result<(), RosError> {
        // Once the clock has stood long enough, what is paused goes on.
        if self.times.len() == RESUMED_AFTER {
            assert!(self.pause.set(false) && !self.pause.set(false));
            assert!(
                self.messages.iter().all(|(topic, ..)| *topic == LATCHED),
                "{:?}",
                self.messages
            );
        }
        self.times.push(nanos);
        Ok(())
    }
}

/// A run with a message of `/beat` each tenth of a second, and a latched one from an hour before.
fn run(root: &std::path::Path) -> RosRun {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    let mut recorder = Recorder::new(exp);
    let mapping = Mapping::parse("topics: [{topic: /**, stamp: receive}]", "test.yaml").unwrap();
    let type_name = "std_msgs/msg/UInt8".parse().unwrap();
    let message = MessageType::from_bundle(&type_name, "uint8 data").unwrap();
    let latched = "- depth: 1\n  durability: transient_local\n";
    for (topic, qos, values) in [("/beat", "", 0..5_u8), ("/map", latched, 9..10)] {
        let rule = mapping.rule_for(topic, &type_name).unwrap();
        let plan = TopicPlan::new(topic, topic, &message, &rule).unwrap();
        plan.declaration().note_offers(OfferedQos::read(qos));
        let number = recorder.add_topic(plan);
        for value in values {
            let nanos = 10_000 * 10 * TENTH + i64::from(value) * TENTH;
            let nanos = if topic == "/map" { nanos - 3600 * 10 * TENTH } else { nanos };
            recorder.record(number, vec![0, 1, 0, 0, value], Received::At(nanos));
        }
    }
    let (_, closed) = recorder.finish(None);
    closed.unwrap();
    let experiment = Experiment::open_read_only(RUN, root).unwrap();
    let recording = Recording { name: RUN.to_owned(), experiment };
    RosRun::open(&recording, &McapOptions::default()).unwrap()
}

fn settings() -> ReplaySettings {
    ReplaySettings {
        rate: 1.0,
        is_looping: false,
        start_secs: 0.0,
        clock_hz: None,
        wait_for_subscribers: Duration::ZERO,
        pause: Pause::default(),
    }
}

/// Plays until the run's end, or until so many messages were published.
fn played(settings: &ReplaySettings, at_most: usize) -> (Notes, ReplayReport) {
    let root = tempfile::tempdir().unwrap();
    let run = run(root.path());
    let (pause, stop) = (settings.pause.clone(), StopFlag::default());
    let (since, messages, times) = (Instant::now(), vec![], vec![]);
    let mut notes = Notes { since, messages, times, pause, at_most, stop: stop.clone() };
    let report = play(&run, settings, &mut notes, &stop).unwrap();
    (notes, report)
}

fn values(notes: &Notes) -> Vec<u8> {
    notes.messages.iter().map(|(_, value, _)| *value).collect()
}

#[test]
fn messages_come_at_their_own_pace_after_what_is_latched() {
    let (notes, report) = played(&settings(), ALL);
    assert_eq!(values(&notes), [9, 0, 1, 2, 3, 4]);
    assert_eq!(report.messages, [5, 1]);
    assert_eq!((report.passes, report.jitter.count()), (1, 5));
    let (first, last) = (notes.messages[1].2, notes.messages[5].2);
    // Never early; how late depends on the machine.
    assert!(last - first >= Duration::from_millis(399), "{:?}", notes.messages);
}

#[test]
fn a_rate_shortens_what_lies_between() {
    let fast = ReplaySettings { rate: 4.0, ..settings() };
    let (notes, report) = played(&fast, ALL);
    let between = notes.messages[5].2 - notes.messages[1].2;
    let late = report.jitter.largest();
    assert!(between >= Duration::from_millis(99), "{between:?}");
    assert!(between <= Duration::from_millis(101) + late, "{between:?} {late:?}");
}

#[test]
fn from_a_later_start_only_what_is_latched_comes_from_before() {
    let later = ReplaySettings { start_secs: 0.25, rate: 10.0, ..settings() };
    let (notes, _) = played(&later, ALL);
    assert_eq!(values(&notes), [9, 3, 4]);
}

#[test]
fn a_loop_goes_on_until_it_is_stopped() {
    let looping = ReplaySettings { is_looping: true, rate: 100.0, ..settings() };
    let (notes, report) = played(&looping, 13);
    assert_eq!(report.passes, 2, "{report:?}");
    assert_eq!(values(&notes), [9, 0, 1, 2, 3, 4, 9, 0, 1, 2, 3, 4, 9]);
}

#[test]
fn a_loop_of_latched_messages_alone_does_not_flood_the_graph() {
    let looping = ReplaySettings { is_looping: true, start_secs: 3600.0, ..settings() };
    let (notes, report) = played(&looping, 4);
    assert_eq!((values(&notes), report.passes), (vec![9, 9, 9, 9], 3));
    let between = notes.messages[3].2 - notes.messages[0].2;
    assert!(between >= 3 * SHORTEST_PASS - Duration::from_millis(1), "{:?}", notes.messages);
}

#[test]
fn a_pause_shifts_all_that_follows_and_stops_the_clock() {
    let paused =
        ReplaySettings { pause: Pause::new(true), clock_hz: Some(100.0), rate: 2.0, ..settings() };
    let (notes, report) = played(&paused, ALL);
    assert_eq!(values(&notes), [9, 0, 1, 2, 3, 4]);
    let start = 10_000 * 10 * TENTH;
    assert!(notes.times[..RESUMED_AFTER].iter().all(|time| *time == start), "{:?}", notes.times);
    assert!(notes.times.is_sorted() && *notes.times.last().unwrap() > start + 2 * TENTH);
    assert!(!notes.pause.is_paused() && report.jitter.count() == 5);
}
