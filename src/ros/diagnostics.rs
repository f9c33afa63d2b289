//! The levels and texts on `/diagnostics`, derived from the status of a recording. Pure; `live` publishes
//! them.

use std::fmt::Display;

use crate::mapping::Bytes;
use crate::record::{
    DiskLevel, DiskStatus, PublishState, PublishStatus, QueueFill, RequiredAccount, RequiredState,
    SnapshotStatus, Status, TopicAccount, TopicStatus,
};
use crate::track::{SyncState, SyncStatus};

/// From this fill level of the queue on, 1 being full, it is filling up.
const QUEUE_WARN: f64 = 0.5;
/// From this fill level on, messages are about to be lost.
const QUEUE_ERROR: f64 = 0.9;

/// A level of `diagnostic_msgs/DiagnosticStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Ok = 0,
    /// Needs attention.
    Warn = 1,
    /// Something is lost or missing.
    Error = 2,
    /// A topic has stopped coming.
    Stale = 3,
}

/// One entry of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// `node: thing`, as `diagnostic_updater` writes it.
    pub name: String,
    /// The level.
    pub level: Level,
    /// The level in words.
    pub message: String,
    /// The figures.
    pub values: Vec<(String, String)>,
}

impl Diagnostic {
    fn new(node: &str, thing: impl Display, level: Level, message: String) -> Self {
        Self { name: format!("{node}: {thing}"), level, message, values: Vec::new() }
    }

    fn value(mut self, key: &str, value: impl Display) -> Self {
        self.values.push((key.to_owned(), value.to_string()));
        self
    }
}

/// All entries. `node` is the node's name without its leading '/'.
pub fn diagnostics(node: &str, status: &Status) -> Vec<Diagnostic> {
    let mut all = vec![recording(node, status), queue(node, &status.queue)];
    all.extend(status.disk.as_ref().map(|status| disk(node, status)));
    all.extend(status.sync.as_ref().map(|status| sync(node, status)));
    all.extend(status.publish.as_ref().map(|status| publish(node, status)));
    let required = |topic: &TopicStatus| {
        status.required.iter().find(|required| required.topic == topic.mapped_topic)
    };
    all.extend(status.topics.iter().map(|status| topic(node, status, required(status))));
    let absent = status
        .required
        .iter()
        .filter(|required| !status.topics.iter().any(|topic| topic.mapped_topic == required.topic));
    all.extend(absent.map(|required| absent_topic(node, required)));
    all.extend(status.refused.iter().map(|(topic, reason)| {
        Diagnostic::new(
            node,
            format_args!("topic {topic}"),
            Level::Error,
            format!("not recorded: {reason}"),
        )
    }));
    all
}

/// The entry for a recorder that has not responded for this long, for example because its store hangs.
pub fn hanging(node: &str, silent_secs: f64) -> Diagnostic {
    let message = format!("the recorder has not answered for {silent_secs:.0} s");
    Diagnostic::new(node, "recording", Level::Error, message)
}

fn recording(node: &str, status: &Status) -> Diagnostic {
    let experiment = &status.experiment;
    let (level, message) = match (status.stopped, status.paused) {
        (true, _) => (Level::Warn, format!("stopped after {experiment}; ~/start begins the next")),
        // What was saved last has ended.
        (false, true) if status.snapshot.is_some() => {
            (Level::Warn, "paused; ~/resume goes on holding".to_owned())
        }
        (false, true) => (Level::Warn, format!("paused; ~/resume goes on with {experiment}")),
        (false, false) => match &status.snapshot {
            Some(held) => {
                let SnapshotStatus { held_secs, held_bytes, .. } = held;
                let bytes = Bytes::new(*held_bytes as u64);
                (Level::Ok, format!("holding {held_secs:.1} s, {bytes}; ~/save writes it"))
            }
            None => (Level::Ok, format!("recording {experiment}")),
        },
    };
    let mut recording = Diagnostic::new(node, "recording", level, message)
        .value("experiment", experiment)
        .value("paused", status.paused)
        .value("stopped", status.stopped)
        .value("elapsed (s)", format_args!("{:.0}", status.elapsed_secs))
        .value("topics", status.topics.len())
        .value("rate (Hz)", format_args!("{:.1}", status.rate_hz()))
        .value("received", status.total(|topic| topic.received))
        .value("stored", status.total(|topic| topic.stored))
        .value("dropped", status.total(TopicAccount::dropped_total))
        .value("lost", status.total(|topic| topic.lost.known()))
        .value("came while stopped", status.while_stopped.values().sum::<u64>())
        .value("bytes", status.total(|topic| topic.bytes));
    if let Some(held) = &status.snapshot {
        recording = recording
            .value("held (s)", format_args!("{:.1}", held.held_secs))
            .value("held (messages)", held.held_messages)
            .value("held (bytes)", held.held_bytes)
            .value("held, limit (s)", held.keep_secs)
            .value("held, limit (bytes)", held.memory_bytes)
            .value("saves", held.saves)
            .value("to be written of saves (bytes)", held.saving_bytes);
    }
    recording
}

fn queue(node: &str, fill: &QueueFill) -> Diagnostic {
    let ratio = fill.ratio();
    let level = match ratio {
        _ if ratio >= QUEUE_ERROR => Level::Error,
        _ if ratio >= QUEUE_WARN => Level::Warn,
        _ => Level::Ok,
    };
    Diagnostic::new(node, "queue", level, format!("{:.0} % full", ratio * 100.0))
        .value("bytes", fill.light_bytes)
        .value("limit (bytes)", fill.light_limit_bytes)
        .value("large messages (bytes)", fill.heavy_bytes)
        .value("large messages, limit (bytes)", fill.heavy_limit_bytes)
        .value("to become files (bytes)", fill.file_bytes)
        .value("to become files, limit (bytes)", fill.file_limit_bytes)
}

fn disk(node: &str, status: &DiskStatus) -> Diagnostic {
    let free = status.free;
    let (level, message) = match status.level {
        DiskLevel::Enough => (Level::Ok, format!("{free} free")),
        DiskLevel::LightOnly => {
            (Level::Warn, format!("{free} free: large messages are not recorded"))
        }
        DiskLevel::Nothing => (Level::Error, format!("{free} free: nothing is recorded")),
    };
    let diagnostic = Diagnostic::new(node, "disk", level, message)
        .value("free (bytes)", free.get())
        .value("min_free (bytes)", status.min_free.get());
    match status.remaining_secs {
        Some(secs) => diagnostic.value("until min_free (s)", secs),
        None => diagnostic,
    }
}

fn sync(node: &str, status: &SyncStatus) -> Diagnostic {
    let set_aside = status.rows_set_aside + status.files_set_aside;
    let (level, message) = match &status.state {
        SyncState::TokenRefused { reason } => (Level::Error, reason.clone()),
        SyncState::Failing { since, reason } => {
            (Level::Warn, format!("failing since {since}: {reason}"))
        }
        _ if set_aside > 0 => {
            (Level::Warn, format!("the server refused {set_aside} rows and files"))
        }
        SyncState::UpToDate => (Level::Ok, "up to date".to_owned()),
        SyncState::Sending => (Level::Ok, format!("sending, {} rows wait", status.rows_waiting)),
    };
    Diagnostic::new(node, "sync", level, message)
        .value("url", &status.url)
        .value("rows waiting", status.rows_waiting)
        .value("files waiting", status.files_waiting)
        .value("bytes waiting", status.bytes_waiting)
        .value("rows sent", status.rows_sent)
        .value("files sent", status.files_sent)
        .value("set aside", set_aside)
}

fn publish(node: &str, status: &PublishStatus) -> Diagnostic {
    let (level, message) = match &status.state {
        PublishState::Failing { reason } => (Level::Warn, format!("failing: {reason}")),
        PublishState::UpToDate => (Level::Ok, "up to date".to_owned()),
        PublishState::Publishing => {
            (Level::Ok, format!("publishing, {} parts wait", status.parts_waiting))
        }
    };
    Diagnostic::new(node, "publish", level, message)
        .value("url", &status.to)
        .value("parts waiting", status.parts_waiting)
        .value("parts published", status.parts_published)
        .value("rows put", status.rows_put)
        .value("bytes put", status.bytes_put)
}

fn topic(node: &str, status: &TopicStatus, required: Option<&RequiredAccount>) -> Diagnostic {
    let account = &status.account;
    let (level, message) = topic_level(status, required);
    let thing = format_args!("topic {}", account.topic);
    let mut diagnostic = Diagnostic::new(node, thing, level, message)
        .value("type", &account.type_name)
        .value("rate (Hz)", format_args!("{:.1}", status.rate_hz))
        .value("received", account.received)
        .value("stored", account.stored)
        .value("lost", account.lost)
        .value("bytes", account.bytes);
    if let Some(lag_secs) = status.lag_secs {
        diagnostic = diagnostic.value("lag (s)", format_args!("{lag_secs:.3}"));
    }
    if let Some(silent_secs) = status.silent_secs {
        diagnostic = diagnostic.value("silent (s)", format_args!("{silent_secs:.0}"));
    }
    if let Some(min_rate) = required.and_then(|required| required.min_rate) {
        diagnostic = diagnostic.value("required (Hz)", min_rate);
    }
    for (reason, count) in &account.dropped {
        diagnostic = diagnostic.value(&format!("dropped: {reason}"), count);
    }
    diagnostic
}

fn topic_level(status: &TopicStatus, required: Option<&RequiredAccount>) -> (Level, String) {
    let rate_hz = status.rate_hz;
    let silent_secs = status.silent_secs.unwrap_or_default();
    let missing = status.account.missing_total();
    match required.map(|required| required.state) {
        _ if status.is_losing => (Level::Error, format!("losing messages: {missing} so far")),
        Some(RequiredState::Missing) => (Level::Error, "required, and has not come".to_owned()),
        Some(RequiredState::Short) if status.is_stale => {
            (Level::Error, format!("required, and silent for {silent_secs:.0} s"))
        }
        Some(RequiredState::Short) => {
            let min_rate = required.and_then(|required| required.min_rate).unwrap_or_default();
            (Level::Warn, format!("{rate_hz:.1} Hz of {min_rate} Hz that are required"))
        }
        _ if status.is_stale => (Level::Stale, format!("silent for {silent_secs:.0} s")),
        _ if missing > 0 => {
            (Level::Warn, format!("{rate_hz:.1} Hz; {missing} messages were lost earlier"))
        }
        _ if status.silent_secs.is_none() => (Level::Ok, "no message yet".to_owned()),
        _ => (Level::Ok, format!("{rate_hz:.1} Hz")),
    }
}

/// A required topic that nobody publishes.
fn absent_topic(node: &str, required: &RequiredAccount) -> Diagnostic {
    let (level, message) = match required.state {
        RequiredState::Missing => (Level::Error, "required, and nobody publishes it"),
        _ => (Level::Ok, "required; not there yet"),
    };
    Diagnostic::new(node, format_args!("topic {}", required.topic), level, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Bytes;
    use crate::record::DropReason;

    fn imu() -> TopicStatus {
        let account = TopicAccount::new("/imu", "sensor_msgs/msg/Imu");
        TopicStatus {
            account,
            mapped_topic: "/imu".to_owned(),
            rate_hz: 99.97,
            lag_secs: Some(0.0123),
            silent_secs: Some(0.0),
            ..TopicStatus::default()
        }
    }

    fn required(state: RequiredState) -> RequiredAccount {
        let min_rate = Some(200.0);
        RequiredAccount { topic: "/imu".into(), min_rate, state, ..RequiredAccount::default() }
    }

    /// The level and text of `/imu`.
    fn told(topic: TopicStatus, required: Option<RequiredState>) -> (Level, String) {
        let required = required.map(self::required).into_iter().collect();
        let status = Status { topics: vec![topic], required, ..Status::default() };
        let all = diagnostics("lab/bridge", &status);
        let about: Vec<_> = all.iter().filter(|d| d.name == "lab/bridge: topic /imu").collect();
        assert_eq!(about.len(), 1, "{all:?}");
        (about[0].level, about[0].message.clone())
    }

    #[test]
    fn a_topic_that_comes_as_it_should_is_ok_with_its_figures() {
        assert_eq!(told(imu(), None), (Level::Ok, "100.0 Hz".to_owned()));
        assert_eq!(told(imu(), Some(RequiredState::Met)).0, Level::Ok);
        let status = Status { topics: vec![imu()], ..Status::default() };
        let values = diagnostics("bridge", &status).pop().unwrap().values;
        let value = |key: &str| values.iter().find(|(k, _)| k == key).unwrap().1.as_str();
        assert_eq!((value("rate (Hz)"), value("lag (s)")), ("100.0", "0.012"));
    }

    #[test]
    fn a_loss_is_an_error_while_it_lasts_and_a_warning_ever_after() {
        let mut topic = imu();
        topic.account.drop_received(DropReason::QueueFull, 3);
        topic.is_losing = true;
        assert_eq!(
            told(topic.clone(), None),
            (Level::Error, "losing messages: 3 so far".to_owned())
        );
        topic.is_losing = false;
        assert_eq!(told(topic, None).0, Level::Warn);
        let mut topic = imu();
        topic.account.drop_received(DropReason::Paused, 3);
        assert_eq!(told(topic, None).0, Level::Ok, "left out on purpose");
    }

    #[test]
    fn a_silent_topic_is_stale_and_an_error_when_it_is_required() {
        let topic = TopicStatus { is_stale: true, silent_secs: Some(12.0), ..imu() };
        assert_eq!(told(topic.clone(), None), (Level::Stale, "silent for 12 s".to_owned()));
        assert_eq!(told(topic, Some(RequiredState::Short)).0, Level::Error);
        let slow = told(imu(), Some(RequiredState::Short));
        assert_eq!(slow, (Level::Warn, "100.0 Hz of 200 Hz that are required".to_owned()));
        assert_eq!(told(imu(), Some(RequiredState::Missing)).0, Level::Error);
    }

    #[test]
    fn a_required_topic_that_nobody_publishes_is_there_too() {
        let of = |state| {
            let status = Status { required: vec![required(state)], ..Status::default() };
            diagnostics("bridge", &status).pop().unwrap()
        };
        assert_eq!(of(RequiredState::Waiting).level, Level::Ok);
        assert_eq!(of(RequiredState::Missing).level, Level::Error);
        assert_eq!(of(RequiredState::Missing).name, "bridge: topic /imu");
    }

    #[test]
    fn queue_disk_and_pause_have_their_levels() {
        let level = |status: &Status, thing: &str| {
            let all = diagnostics("b", status);
            all.iter().find(|d| d.name == format!("b: {thing}")).unwrap().level
        };
        let mut status = Status::default();
        assert_eq!(level(&status, "recording"), Level::Ok);
        status.paused = true;
        assert_eq!(level(&status, "recording"), Level::Warn);
        status.stopped = true;
        let recording = diagnostics("b", &status).swap_remove(0);
        assert!(recording.message.contains("~/start begins the next"), "{recording:?}");
        status.queue.light_limit_bytes = 100;
        for (bytes, expected) in [(10, Level::Ok), (60, Level::Warn), (95, Level::Error)] {
            status.queue.light_bytes = bytes;
            assert_eq!(level(&status, "queue"), expected);
        }
        let cases = [
            (DiskLevel::Enough, Level::Ok),
            (DiskLevel::LightOnly, Level::Warn),
            (DiskLevel::Nothing, Level::Error),
        ];
        for (disk_level, expected) in cases {
            let (free, min_free) = (Bytes::new(1), Bytes::new(2));
            status.disk =
                Some(DiskStatus { free, min_free, level: disk_level, remaining_secs: None });
            assert_eq!(level(&status, "disk"), expected);
        }
    }

    #[test]
    fn an_upload_that_fails_is_a_warning_and_a_refused_token_an_error() {
        let level = |state: SyncState, rows_set_aside| {
            let sync = Some(SyncStatus { state, rows_set_aside, ..SyncStatus::default() });
            let all = diagnostics("b", &Status { sync, ..Status::default() });
            all.iter().find(|d| d.name == "b: sync").unwrap().level
        };
        assert_eq!(level(SyncState::UpToDate, 0), Level::Ok);
        assert_eq!(level(SyncState::UpToDate, 5), Level::Warn);
        let reason = || "no".to_owned();
        assert_eq!(level(SyncState::Failing { since: reason(), reason: reason() }, 0), Level::Warn);
        assert_eq!(level(SyncState::TokenRefused { reason: reason() }, 0), Level::Error);
    }
}
