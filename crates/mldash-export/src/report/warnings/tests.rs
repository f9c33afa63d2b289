use std::collections::BTreeSet;

use super::super::about::RequiredLine;
use super::super::envelope::Series;
use super::super::intervals::Intervals;
use super::super::track::SeriesName;
use super::super::views::Pictures;
use super::*;

/// 12:04:00 on a day in 2025.
const NOON: f64 = 1_750_075_440.0;

fn track(topic: &str) -> TrackSummary {
    let sources = vec![(format!("/{topic}"), None)];
    let span = Some((NOON, NOON + 60.0));
    let intervals =
        Intervals { median: 0.01, gap_secs: 0.05, is_regular: true, ..Default::default() };
    let topic = topic.to_owned();
    TrackSummary {
        topic,
        sources,
        rows: 6000,
        span,
        intervals: Some(intervals),
        ..Default::default()
    }
}

fn of(tracks: Vec<TrackSummary>) -> ExperimentSummary {
    ExperimentSummary { tracks, axis: (NOON, NOON + 60.0), ..Default::default() }
}

fn texts(summary: &ExperimentSummary) -> Vec<String> {
    warnings(summary).into_iter().map(|warning| warning.text).collect()
}

#[test]
fn a_recording_without_fault_has_no_warning() {
    assert_eq!(texts(&of(vec![track("imu")])), [""; 0]);
}

#[test]
fn a_pause_is_told_with_its_length_and_its_time() {
    let mut imu = track("imu");
    let gaps = vec![(NOON + 2.0, NOON + 2.06), (NOON + 7.0, NOON + 10.2)];
    imu.intervals.as_mut().unwrap().gaps = gaps;
    let found = warnings(&of(vec![imu.clone()]));
    assert_eq!(found[0].text, "/imu paused 3.2 s at 12:04:07, and once more for less");
    assert_eq!((found[0].at, found[0].severity), (Some(NOON + 7.0), Severity::Warning));
    assert_eq!(found[0].track.as_deref(), Some("imu"));
    imu.intervals.as_mut().unwrap().is_regular = false;
    assert_eq!(texts(&of(vec![imu])), [""; 0], "it comes when it wants");
}

#[test]
fn a_pause_of_everything_is_told_once() {
    let paused = |topic: &str, from: f64| {
        let mut paused = track(topic);
        paused.intervals.as_mut().unwrap().gaps = vec![(NOON + from, NOON + 10.2)];
        paused
    };
    let all = vec![paused("a", 7.0), paused("b", 7.1), paused("c", 6.9)];
    assert_eq!(
        texts(&of(all.clone())),
        [
            "everything paused 3.1 s at 12:04:07: the recording was paused, a clock jumped ahead, or the computer stood \
          still"
        ]
    );
    let with_another = [all, vec![track("d")]].concat();
    assert_eq!(texts(&of(with_another)).len(), 3, "each for itself, since one went on");
}

#[test]
fn a_topic_that_begins_late_or_stops_early_is_told() {
    let mut scan = track("scan");
    scan.span = Some((NOON + 5.0, NOON + 30.0));
    assert_eq!(
        texts(&of(vec![scan])),
        ["/scan begins 5.0 s late, at 12:04:05", "/scan stops 30.0 s before the end, at 12:04:30"]
    );
}

#[test]
fn a_track_beside_the_axis_is_of_another_clock_and_neither_late_nor_early() {
    let mut chatter = track("chatter");
    chatter.span = Some((12.5, 72.5));
    let texts_of = |chatter: &TrackSummary| texts(&of(vec![track("imu"), chatter.clone()]));
    assert_eq!(
        texts_of(&chatter),
        [
            "/chatter: its stamps are of another clock: they begin at 12.500 s, and the others at 2025-06-16 12:04:00Z"
        ]
    );
    chatter.intervals.as_mut().unwrap().is_regular = false;
    assert_eq!(
        texts_of(&chatter),
        [
            "/chatter is not on the time axis: its rows begin at 12.500 s, and the others at 2025-06-16 12:04:00Z"
        ],
        "latched, perhaps"
    );
}

#[test]
fn a_lag_is_told_and_a_stamp_from_the_future_too() {
    let with = |lag: f64| {
        let mut camera = track("camera");
        camera.lag = Some(Bulk { median: lag, p99: lag, ..Default::default() });
        texts(&of(vec![camera]))
    };
    assert_eq!(with(0.18), ["/camera lags 180 ms (99 % within 180 ms)"]);
    assert_eq!(
        with(-0.5),
        ["/camera: stamps are 500 ms ahead of the receive time: clocks are not in step"]
    );
    assert_eq!(with(0.005), [""; 0]);
    assert_eq!(with(-6e8), [""; 0], "another clock is told by the account");
}

#[test]
fn a_frame_that_no_transform_connects_is_told() {
    let frames =
        |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut tf = track("tf/odom");
    tf.shown.is_tf = true;
    tf.frames = frames(&["map", "odom"]);
    let mut scan = track("scan");
    scan.frames = frames(&["base_link"]);
    let mut odom = track("odom");
    odom.frames = frames(&["odom", "base_link"]);
    let found = texts(&of(vec![tf.clone(), scan.clone(), odom.clone()]));
    assert_eq!(found, ["no /tf for base_link, the frame of /scan, /odom"]);
    assert_eq!(
        texts(&of(vec![scan, odom])),
        ["no /tf was recorded; rows are in the frames base_link, odom"]
    );
}

#[test]
fn losses_come_first_with_their_reason_and_what_was_left_out_on_purpose_does_not_come() {
    let mut topic =
        TopicLine { topic: "/camera".to_owned(), lost: 12.into(), ..Default::default() };
    topic.dropped =
        [("queue_full".to_owned(), 1), ("paused".to_owned(), 5), ("mystery".to_owned(), 2)].into();
    topic.notes.insert("receive_time_used".to_owned(), 3);
    let required = RequiredLine {
        topic: "/imu".to_owned(),
        min_rate: Some(50.0),
        short_secs: 3.0,
        ..Default::default()
    };
    let account =
        AccountFile { topics: vec![topic], required: vec![required], ..Default::default() };
    let mut summary = of(vec![track("imu")]);
    summary.about.account = Some(account);
    let found = warnings(&summary);
    let texts: Vec<&str> = found.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "/imu is required at 50 Hz and fell short for 3.0 s",
            "/camera: 2 messages dropped (mystery)",
            "/camera: 1 message dropped (queue_full): the recorder fell behind; record less, or give `queue` more \
             memory",
            "/camera: 12 messages lost before they were received (network, or the middleware's queues)",
            "/camera: there is no usable header stamp, so rows lie on the receive time",
        ]
    );
    assert!(found[..4].iter().all(|warning| warning.severity == Severity::Problem));
}

#[test]
fn topics_of_one_far_clock_are_told_as_one() {
    let topic = |name: &str, ahead: f64| TopicLine {
        topic: name.to_owned(),
        stamps_ahead_secs: Some(ahead),
        ..Default::default()
    };
    let topics = vec![topic("/a", -3600.0), topic("/b", -3601.5)];
    let mut summary = of(vec![track("a")]);
    summary.about.account = Some(AccountFile { topics, ..Default::default() });
    assert_eq!(
        texts(&summary),
        ["/a, /b: stamps are 1h behind the receive time: another clock, or a played bag"]
    );
}

#[test]
fn a_run_that_nobody_closed_and_one_that_failed_are_problems() {
    let mut summary = of(vec![track("a")]);
    summary.about.status = Some(RunStatus::Running);
    assert!(texts(&summary)[0].starts_with("it was not closed"));
    summary.about.is_being_written = true;
    assert_eq!(texts(&summary), ["it is still being recorded"]);
    summary.about.status = Some(RunStatus::Failed);
    summary.about.facts = vec![("Failure".to_owned(), "no space".to_owned())];
    assert_eq!(texts(&summary), ["the run failed: no space"]);
}

#[test]
fn values_that_no_curve_can_show_and_pictures_that_nobody_can_see_are_told() {
    let mut imu = track("imu");
    imu.series = vec![SeriesName { column: "a".to_owned(), element: None }];
    imu.points.series = vec![Series { non_finite: 2, values: 9, ..Default::default() }];
    imu.pictures = Some(Pictures {
        unusable: 1,
        problems: vec!["x.jpg: cut".to_owned()],
        ..Default::default()
    });
    let found = texts(&of(vec![imu]));
    assert!(found[0].contains("1 of 1 pictures") && found[0].contains("x.jpg: cut"), "{found:?}");
    assert_eq!(found[1], "/imu: 2 values are NaN or infinite (a)");
}

#[test]
fn nothing_recorded_is_a_problem() {
    assert_eq!(texts(&of(vec![])), ["it has no rows"]);
}

#[test]
fn of_very_many_frames_without_a_transform_some_are_told_one_by_one() {
    let mut tf = track("tf/odom");
    tf.shown.is_tf = true;
    let mut scan = track("scan");
    scan.frames = (0..50).map(|i| format!("scan_{i:02}")).collect();
    let found = texts(&of(vec![tf, scan]));
    assert_eq!(found.len(), 11, "{found:?}");
    assert_eq!(found[0], "no /tf for scan_00, the frame of /scan");
    assert_eq!(found[10], "no /tf for 40 more frames");
}
