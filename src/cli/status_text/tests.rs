use super::*;
use mldash_bridge::mapping::Bytes;
use mldash_bridge::record::{DropReason, RequiredAccount};

const WIDE: View = View { columns: 200, rows: 24, is_coloured: false, keys: None };

fn topic(name: &str, stored: u64) -> TopicStatus {
    let mut account = TopicAccount::new(name, "sensor_msgs/msg/Imu");
    (account.received, account.stored, account.bytes) = (stored, stored, stored * 300);
    let mapped_topic = name.to_owned();
    TopicStatus { account, mapped_topic, rate_hz: 200.04, ..TopicStatus::default() }
}

fn status(topics: Vec<TopicStatus>) -> Status {
    let experiment = "alice/lab/run".to_owned();
    Status { experiment, elapsed_secs: 3723.9, topics, ..Status::default() }
}

fn many(count: usize) -> Vec<TopicStatus> {
    (0..count).map(|i| topic(&format!("/t{i}"), 1)).collect()
}

#[test]
fn a_line_for_the_whole_and_one_for_each_topic() {
    let lines = lines(&status(vec![topic("/imu", 12_345), topic("/a/long/name", 1)]), WIDE);
    assert_eq!(
        lines,
        [
            "01:02:03 recording alice/lab/run: 2 topics, 400.1 Hz, 12,346 rows, 3.53 MiB, 0 dropped",
            "  /imu             200.0 Hz      12,345 rows    3.53 MiB",
            "  /a/long/name     200.0 Hz           1 rows       300 B",
        ]
    );
}

#[test]
fn what_is_lost_is_told_from_what_was_left_out_and_is_red() {
    let mut imu = topic("/imu", 1);
    imu.account.drop_received(DropReason::Paused, 5);
    assert!(summary(&status(vec![imu.clone()])).ends_with(", 5 left out"));
    imu.account.drop_received(DropReason::QueueFull, 3);
    imu.is_losing = true;
    let status = status(vec![imu]);
    let plain = lines(&status, WIDE);
    assert!(plain[1].ends_with("3 LOST  5 left out  LOSING MESSAGES"), "{plain:?}");
    assert!(!plain.concat().contains('\u{1b}'));
    let coloured = lines(&status, View { is_coloured: true, ..WIDE });
    let red = "\u{1b}[31m3 LOST\u{1b}[0m";
    assert!(coloured.iter().all(|line| line.contains(red)), "{coloured:?}");
    assert!(coloured[1].ends_with("\u{1b}[31mLOSING MESSAGES\u{1b}[0m"), "{coloured:?}");
    assert!(!summary(&status).contains('\u{1b}'), "a log has no colour of ours");
}

#[test]
fn the_sick_come_first_the_worst_before_the_others() {
    let mut topics = many(8);
    topics[1].account.drop_received(DropReason::QueueFull, 1);
    (topics[3].is_stale, topics[3].silent_secs) = (true, Some(7.2));
    topics[6].is_losing = true;
    let state = RequiredState::Short;
    let short = RequiredAccount { topic: "/t5".to_owned(), state, ..RequiredAccount::default() };
    let state = RequiredState::Missing;
    let never = RequiredAccount { topic: "/never".to_owned(), state, ..RequiredAccount::default() };
    let status = Status { required: vec![short, never], ..status(topics) };
    let lines = lines(&status, WIDE);
    let names: Vec<&str> = lines[1..].iter().filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(names, ["/t6", "/never", "/t5", "/t3", "/t1", "/t0", "/t2", "/t4", "/t7"]);
    assert!(lines[2].ends_with("REQUIRED, has not come"), "{lines:?}");
    assert!(lines[4].ends_with("silent for 7 s"), "{lines:?}");
}

#[test]
fn lines_fit_the_terminal_whatever_its_size() {
    let mut topics = many(30);
    topics[25].account.topic = "/a/very/long/name/of/a/topic/画面/image_raw".to_owned();
    topics[25].account.drop_received(DropReason::QueueFull, 1_234_567);
    topics[25].is_losing = true;
    let free = Bytes::new(71 << 30);
    let disk = DiskStatus {
        free,
        min_free: Bytes::new(1 << 30),
        level: DiskLevel::Enough,
        remaining_secs: Some(7_500),
    };
    let status = Status { disk: Some(disk), ..status(topics) };
    for columns in 1..160 {
        for rows in 1..40 {
            let keys = (rows % 2 == 0).then_some("space: pause · q: stop");
            let view = View { columns, rows, is_coloured: false, keys };
            let lines = lines(&status, view);
            assert!(!lines.is_empty() && lines.len() <= (rows - 1).max(1), "{view:?}: {lines:?}");
            assert!(lines.iter().all(|line| line.width() <= columns), "{view:?}: {lines:?}");
        }
    }
    let narrow = lines(&status, View { columns: 60, rows: 12, ..WIDE });
    assert_eq!(
        narrow,
        [
            "01:02:03 recording alice/lab/run: 30 topics, 6001.2 Hz,",
            "         30 rows, 8.79 KiB, 1,234,567 LOST,",
            "         71 GiB free (2 h 5 min left)",
            "  …/image_raw      200.0 Hz  1,234,567 LOST  LOSING MESSAGES",
            "  /t0              200.0 Hz",
            "  /t1              200.0 Hz",
            "  /t2              200.0 Hz",
            "  /t3              200.0 Hz",
            "  … and 25 more topics, none of them in trouble",
        ]
    );
}

#[test]
fn of_more_sick_topics_than_there_is_room_for_the_rest_is_counted() {
    let mut topics = many(20);
    topics.iter_mut().for_each(|topic| topic.is_losing = true);
    let lines = lines(&status(topics), View { rows: 10, ..WIDE });
    assert_eq!(lines.len(), 9);
    assert_eq!(lines[8], "  … and 13 more topics, 13 of them in trouble");
}

#[test]
fn keys_are_shown_where_there_are_some() {
    let view = View { keys: Some("s: split · q: stop"), ..WIDE };
    assert_eq!(lines(&status(many(1)), view).last().unwrap(), "  s: split · q: stop");
    assert!(!lines(&status(many(1)), WIDE).concat().contains("split"));
}

#[test]
fn the_disk_says_how_long_it_lasts_and_is_red_when_that_is_short() {
    let told = |secs: Option<u64>, level: DiskLevel| {
        let (free, min_free) = (Bytes::new(3 << 29), Bytes::new(0));
        disk(&DiskStatus { free, min_free, level, remaining_secs: secs })
    };
    assert_eq!(told(None, DiskLevel::Enough), Span::plain("1.5 GiB free"));
    for (secs, text) in [(200_000, "2 days 7 h"), (7_500, "2 h 5 min"), (660, "11 min 0 s")] {
        let text = format!("1.5 GiB free ({text} left)");
        assert_eq!(told(Some(secs), DiskLevel::Enough), Span::plain(text));
    }
    assert_eq!(told(Some(45), DiskLevel::Enough), Span::red("1.5 GiB free (45 s left)"));
    assert_eq!(told(None, DiskLevel::LightOnly), Span::red("1.5 GiB free"));
}

#[test]
fn what_the_server_lacks_is_said() {
    let sync = |state: SyncState| {
        let (rows_waiting, files_waiting, bytes_waiting) = (1_412, 3, 91_344);
        let waiting =
            SyncStatus { rows_waiting, files_waiting, bytes_waiting, ..SyncStatus::default() };
        upload(&SyncStatus { state, ..waiting })
    };
    let backlog = "1,412 rows, 3 files (89.20 KiB)";
    assert_eq!(sync(SyncState::Sending), Span::plain(format!("to upload: {backlog}")));
    assert_eq!(sync(SyncState::UpToDate), Span::plain("uploaded"));
    let refused = SyncState::TokenRefused { reason: String::new() };
    assert!(sync(refused).is_red);
}

#[test]
fn what_is_held_is_said_with_what_is_still_being_written() {
    let mut snapshot =
        SnapshotStatus { held_secs: 29.96, held_bytes: 3 << 20, ..SnapshotStatus::default() };
    let said = |snapshot: &SnapshotStatus| {
        summary(&Status { snapshot: Some(snapshot.clone()), ..status(Vec::new()) })
    };
    let text = said(&snapshot);
    assert!(text.starts_with("holding for alice/lab/run: "), "{text}");
    assert!(text.ends_with(", held 30.0 s, 3.00 MiB"), "{text}");
    (snapshot.saves, snapshot.saving_bytes) = (2, 1 << 20);
    assert!(said(&snapshot).ends_with(", saved 2 times, 1.00 MiB to write"));
}
