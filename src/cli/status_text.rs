//! A recording's status as text: lines for a terminal, one line for a log. Pure.

use indicatif::{HumanBytes, HumanCount};
use mldash_bridge::record::{RequiredState, SnapshotStatus, Status, TopicAccount, TopicStatus};
use mldash_bridge::track::{SyncState, SyncStatus};

/// Topics beyond this number are summed up in one line; those in trouble come first.
const MAX_TOPICS: usize = 12;

/// The whole recording in one line.
pub(super) fn summary(status: &Status) -> String {
    let mut text = format!(
        "{} {}: {} topics, {:.1} Hz, {} rows, {}, {}",
        match (status.stopped, status.paused, status.snapshot.is_some()) {
            (true, ..) => "STOPPED after",
            (false, true, _) => "PAUSED",
            (false, false, true) => "holding for",
            (false, false, false) => "recording",
        },
        status.experiment,
        status.topics.len(),
        status.rate_hz(),
        HumanCount(status.total(|topic| topic.stored)),
        HumanBytes(status.total(|topic| topic.bytes)),
        dropped(|count| status.total(count)),
    );
    let fill = status.queue.ratio();
    if fill >= 0.1 {
        text += &format!(", queue {:.0} % full", fill * 100.0);
    }
    if let Some(snapshot) = &status.snapshot {
        text += &format!(", {}", held(snapshot));
    }
    if let Some(disk) = &status.disk {
        text += &format!(", {} free", disk.free);
    }
    if let Some(sync) = &status.sync {
        text += &format!(", {}", upload(sync));
    }
    text
}

/// The same, and an aligned line for each topic.
pub(super) fn lines(status: &Status) -> Vec<String> {
    let shown = shown_topics(status);
    let width = shown.iter().map(|topic| topic.account.topic.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("{} {}", clock(status.elapsed_secs), summary(status))];
    lines.extend(shown.iter().map(|topic| topic_line(status, topic, width)));
    let left_out = status.topics.len() - shown.len();
    if left_out > 0 {
        lines.push(format!("  … and {left_out} more topics, none of them in trouble"));
    }
    let absent = status.required.iter().filter(|required| {
        required.state == RequiredState::Missing
            && !shown.iter().any(|topic| topic.mapped_topic == required.topic)
    });
    lines.extend(absent.map(|required| format!("  {}: REQUIRED, has not come", required.topic)));
    lines
}

/// The topics that fit, in order. If there are too many, those in trouble are preferred.
fn shown_topics(status: &Status) -> Vec<&TopicStatus> {
    let mut ranked: Vec<(usize, &TopicStatus)> = status.topics.iter().enumerate().collect();
    ranked.sort_by_key(|(_, topic)| trouble(status, topic).is_none());
    ranked.truncate(MAX_TOPICS);
    ranked.sort_by_key(|(number, _)| *number);
    ranked.into_iter().map(|(_, topic)| topic).collect()
}

fn topic_line(status: &Status, topic: &TopicStatus, width: usize) -> String {
    let account = &topic.account;
    let mut line = format!(
        "  {:width$} {:>9.1} Hz {:>11} rows {:>11}",
        account.topic,
        topic.rate_hz,
        HumanCount(account.stored).to_string(),
        HumanBytes(account.bytes).to_string(),
    );
    if account.dropped_total() + account.missing_total() > 0 {
        line += &format!("  {}", dropped(|count| count(account)));
    }
    if let Some(trouble) = trouble(status, topic) {
        line += &format!("  {trouble}");
    }
    line
}

/// What is wrong with a topic now.
fn trouble(status: &Status, topic: &TopicStatus) -> Option<String> {
    let required = status.required.iter().find(|r| r.topic == topic.mapped_topic);
    match required.map(|required| required.state) {
        _ if topic.is_losing => Some("LOSING MESSAGES".to_owned()),
        Some(RequiredState::Missing) => Some("REQUIRED, has not come".to_owned()),
        Some(RequiredState::Short) => Some("BELOW THE REQUIRED RATE".to_owned()),
        _ if topic.is_stale => {
            Some(format!("silent for {:.0} s", topic.silent_secs.unwrap_or_default()))
        }
        _ => None,
    }
}

/// `0 dropped`, `5 left out`, `3 LOST`: lost messages differ from those left out on purpose.
fn dropped(total: impl Fn(fn(&TopicAccount) -> u64) -> u64) -> String {
    let lost = total(TopicAccount::missing_total);
    let left_out = total(TopicAccount::left_out_total);
    match (lost, left_out) {
        (0, 0) => "0 dropped".to_owned(),
        (0, left_out) => format!("{} left out", HumanCount(left_out)),
        (lost, 0) => format!("{} LOST", HumanCount(lost)),
        (lost, left_out) => {
            format!("{} LOST, {} left out", HumanCount(lost), HumanCount(left_out))
        }
    }
}

/// `held 30.0 s, 12.3 MiB`, and what is still being written.
fn held(snapshot: &SnapshotStatus) -> String {
    let SnapshotStatus { held_secs, held_bytes, saving_bytes, saves, .. } = snapshot;
    let mut text = format!("held {held_secs:.1} s, {}", HumanBytes(*held_bytes as u64));
    if *saves > 0 {
        text += &format!(", saved {saves} times");
    }
    if *saving_bytes > 0 {
        text += &format!(", {} to write", HumanBytes(*saving_bytes as u64));
    }
    text
}

fn upload(sync: &SyncStatus) -> String {
    match &sync.state {
        SyncState::UpToDate => "uploaded".to_owned(),
        SyncState::Sending => format!("{} rows to upload", HumanCount(sync.rows_waiting)),
        SyncState::Failing { .. } => {
            format!("UPLOAD FAILS, {} rows wait", HumanCount(sync.rows_waiting))
        }
        SyncState::TokenRefused { .. } => "UPLOAD REFUSED: token".to_owned(),
    }
}

/// `01:02:03`.
fn clock(elapsed_secs: f64) -> String {
    let secs = elapsed_secs as u64;
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mldash_bridge::record::{DropReason, RequiredAccount};

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

    #[test]
    fn a_line_for_the_whole_and_one_for_each_topic() {
        let lines = lines(&status(vec![topic("/imu", 12_345), topic("/a/long/name", 1)]));
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
    fn what_is_lost_is_told_from_what_was_left_out() {
        let mut imu = topic("/imu", 1);
        imu.account.drop_received(DropReason::Paused, 5);
        assert!(summary(&status(vec![imu.clone()])).contains("5 left out"));
        imu.account.drop_received(DropReason::QueueFull, 3);
        imu.is_losing = true;
        let lines = lines(&status(vec![imu]));
        assert!(lines[1].ends_with("3 LOST, 5 left out  LOSING MESSAGES"), "{lines:?}");
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

    #[test]
    fn of_too_many_topics_those_in_trouble_are_shown() {
        let mut topics: Vec<_> = (0..30).map(|i| topic(&format!("/t{i}"), 1)).collect();
        (topics[25].is_stale, topics[25].silent_secs) = (true, Some(7.2));
        let lines = lines(&status(topics));
        assert_eq!(lines.len(), MAX_TOPICS + 2);
        assert!(lines[MAX_TOPICS].contains("/t25") && lines[MAX_TOPICS].contains("silent for 7 s"));
        assert!(lines[MAX_TOPICS + 1].contains("18 more topics"), "{lines:?}");
    }

    #[test]
    fn a_required_topic_that_has_not_come_has_a_line_of_its_own() {
        let topic = "/never".to_owned();
        let state = RequiredState::Missing;
        let required = vec![RequiredAccount { topic, state, ..RequiredAccount::default() }];
        let lines = lines(&Status { required, ..status(Vec::new()) });
        assert_eq!(lines[1], "  /never: REQUIRED, has not come");
    }
}
