//! A recording's status as text: lines for a terminal, one line for a log. Pure.

mod spans;

use indicatif::{HumanBytes, HumanCount};
use mldash_bridge::record::{
    DiskLevel, DiskStatus, PublishState, PublishStatus, RequiredState, SnapshotStatus, Status,
    TopicAccount, TopicStatus,
};
use mldash_bridge::track::{SyncState, SyncStatus};
use unicode_width::UnicodeWidthStr;

use spans::{Line, Span, name};

/// The headline takes at most so many lines of the terminal.
const MAX_HEADLINES: usize = 3;
/// Shorter names say too little.
const SHORTEST_NAME: usize = 12;
/// A disk that lasts for less is in red.
const SHORT_SECS: u64 = 10 * 60;

/// Where the text is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// The terminal's size.
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) is_coloured: bool,
    /// What keys do, if there are any.
    pub(super) keys: Option<&'static str>,
}

/// How ill a topic is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Losing,
    Absent,
    Short,
    Silent,
    /// It has lost messages, but not lately.
    Incomplete,
    Well,
}

/// What has a line of its own below the headline.
enum Entry<'s> {
    Topic(&'s TopicStatus),
    /// A required topic that nobody publishes.
    Absent(&'s str),
}

/// The numbers of a topic that there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    All,
    RateAndRows,
    Rate,
}

/// The whole recording in one line.
pub(super) fn summary(status: &Status) -> String {
    let texts: Vec<String> = parts(status).into_iter().map(|part| part.text).collect();
    texts.join(", ")
}

/// The same, a line for each topic, the sick ones first, and one for the keys: as much as the terminal has
/// room for, with a line left for the log.
pub(super) fn lines(status: &Status, view: View) -> Vec<String> {
    let mut lines = headline(status, view.columns);
    let keys = view.keys.map(|keys| Line::from(vec![Span::plain(format!("  {keys}"))]));
    let room = view.rows.saturating_sub(1 + lines.len() + usize::from(keys.is_some()));
    lines.extend(entry_lines(status, view, room));
    lines.extend(keys);
    lines.truncate(view.rows.saturating_sub(1).max(1));
    lines.iter().map(|line| line.render(view.columns, view.is_coloured)).collect()
}

/// What is said of the whole, part by part.
fn parts(status: &Status) -> Vec<Span> {
    let state = match (status.stopped, status.paused, status.snapshot.is_some()) {
        (true, ..) => "STOPPED after",
        (false, true, _) => "PAUSED",
        (false, false, true) => "holding for",
        (false, false, false) => "recording",
    };
    let topics = status.topics.len();
    let plural = if topics == 1 { "" } else { "s" };
    let mut parts = vec![
        Span::plain(format!("{state} {}: {topics} topic{plural}", status.experiment)),
        Span::plain(format!("{:.1} Hz", status.rate_hz())),
        Span::plain(format!("{} rows", HumanCount(status.total(|topic| topic.stored)))),
        Span::plain(HumanBytes(status.total(|topic| topic.bytes)).to_string()),
    ];
    let missing = missing(|count| status.total(count));
    if missing.is_empty() {
        parts.push(Span::plain("0 dropped"));
    }
    parts.extend(missing);
    let fill = status.queue.ratio();
    if fill >= 0.1 {
        let text = format!("queue {:.0} % full", fill * 100.0);
        parts.push(if fill >= 0.9 { Span::red(text) } else { Span::plain(text) });
    }
    parts.extend(status.snapshot.as_ref().map(held));
    parts.extend(status.disk.as_ref().map(disk));
    parts.extend(status.sync.as_ref().map(upload));
    parts.extend(status.publish.as_ref().map(publication));
    parts
}

/// The parts in as many lines as they need, with the time first.
fn headline(status: &Status, columns: usize) -> Vec<Line> {
    let clock = clock(status.elapsed_secs);
    let indent = " ".repeat(clock.len());
    let parts = parts(status);
    let count = parts.len();
    let mut lines: Vec<Line> = Vec::new();
    let mut line = Line::from(vec![Span::plain(clock)]);
    let mut is_first = true;
    for (number, part) in parts.into_iter().enumerate() {
        let comma = usize::from(number + 1 < count);
        let fits = line.width() + 1 + part.width() + comma <= columns;
        if !fits && !is_first && lines.len() + 1 < MAX_HEADLINES {
            lines.push(std::mem::replace(&mut line, Line::from(vec![Span::plain(&*indent)])));
        }
        is_first = false;
        line.push(Span::plain(" "));
        line.push(part);
        if comma > 0 {
            line.push(Span::plain(","));
        }
    }
    lines.push(line);
    lines
}

/// The lines of topics: as many as there is room for.
fn entry_lines(status: &Status, view: View, room: usize) -> Vec<Line> {
    let topics = status.topics.iter().map(|topic| (health(status, topic), Entry::Topic(topic)));
    let absent = status.required.iter().filter(|required| {
        required.state == RequiredState::Missing
            && !status.topics.iter().any(|topic| topic.mapped_topic == required.topic)
    });
    let absent = absent.map(|required| (Health::Absent, Entry::Absent(&required.topic)));
    let mut entries: Vec<(Health, Entry<'_>)> = topics.chain(absent).collect();
    // In the order of their appearance within each state of health.
    entries.sort_by_key(|(health, _)| *health);
    // Half of the terminal is the log's, unless that is needed for the sick.
    let sick = entries.iter().filter(|(health, _)| *health != Health::Well).count();
    let shown = match entries.len() {
        all if all <= room.min(sick.max(view.rows / 2)) => all,
        _ => room.min(sick.max(view.rows / 2)).saturating_sub(1),
    };
    let left_out = entries.split_off(shown);
    let table = Table::fitting(status, &entries, view.columns);
    let mut lines: Vec<Line> = entries.iter().map(|(_, entry)| table.line(status, entry)).collect();
    if !left_out.is_empty() && room > 0 {
        lines.push(more(&left_out));
    }
    lines
}

fn more(left_out: &[(Health, Entry<'_>)]) -> Line {
    let sick = left_out.iter().filter(|(health, _)| *health != Health::Well).count();
    let plural = if left_out.len() == 1 { "" } else { "s" };
    let count = format!("  … and {} more topic{plural}, ", left_out.len());
    let rest = match sick {
        0 => Span::plain("none of them in trouble"),
        sick => Span::red(format!("{sick} of them in trouble")),
    };
    Line::from(vec![Span::plain(count), rest])
}

/// Topics one below the other.
struct Table {
    numbers: Numbers,
    name_columns: usize,
}

impl Table {
    /// What is wrong with topics is shown before their numbers, and those before long names.
    fn fitting(status: &Status, entries: &[(Health, Entry<'_>)], columns: usize) -> Self {
        let width_of_names = |(_, entry): &(Health, Entry<'_>)| entry.name().width();
        let names = entries.iter().map(width_of_names).max().unwrap_or(0);
        let troubles = entries.iter().map(|(_, entry)| width(&entry.trouble(status)));
        let troubles = troubles.max().unwrap_or(0);
        let room_for = |numbers: Numbers| columns.saturating_sub(2 + numbers.width() + troubles);
        let all = [Numbers::All, Numbers::RateAndRows, Numbers::Rate];
        let numbers = all.into_iter().find(|numbers| room_for(*numbers) >= names);
        let numbers = numbers.unwrap_or(Numbers::Rate);
        Self { numbers, name_columns: names.min(room_for(numbers).max(SHORTEST_NAME)) }
    }

    fn line(&self, status: &Status, entry: &Entry<'_>) -> Line {
        let name = name(entry.name(), self.name_columns);
        let numbers = match entry {
            Entry::Topic(topic) => self.numbers.text(topic),
            Entry::Absent(_) => String::new(),
        };
        let mut line = Line::from(vec![Span::plain(format!("  {name}{numbers}"))]);
        for part in entry.trouble(status) {
            line.push(Span::plain("  "));
            line.push(part);
        }
        line
    }
}

impl Numbers {
    fn width(self) -> usize {
        self.text(&TopicStatus::default()).width()
    }

    fn text(self, topic: &TopicStatus) -> String {
        let rate = format!(" {:>9.1} Hz", topic.rate_hz);
        let rows = || format!(" {:>11} rows", HumanCount(topic.account.stored).to_string());
        let bytes = || format!(" {:>11}", HumanBytes(topic.account.bytes).to_string());
        match self {
            Self::All => rate + &rows() + &bytes(),
            Self::RateAndRows => rate + &rows(),
            Self::Rate => rate,
        }
    }
}

impl Entry<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Topic(topic) => &topic.account.topic,
            Self::Absent(topic) => topic,
        }
    }

    /// What is missing of it, and what is wrong with it now.
    fn trouble(&self, status: &Status) -> Vec<Span> {
        let Self::Topic(topic) = self else { return vec![Span::red("REQUIRED, has not come")] };
        let mut said = missing(|count| count(&topic.account));
        said.extend(match health(status, topic) {
            Health::Losing => Some(Span::red("LOSING MESSAGES")),
            Health::Absent => Some(Span::red("REQUIRED, has not come")),
            Health::Short => Some(Span::red("BELOW THE REQUIRED RATE")),
            Health::Silent => {
                let secs = topic.silent_secs.unwrap_or_default();
                Some(Span::plain(format!("silent for {secs:.0} s")))
            }
            Health::Incomplete | Health::Well => None,
        });
        said
    }
}

fn width(parts: &[Span]) -> usize {
    parts.iter().map(|part| part.width() + 2).sum()
}

fn health(status: &Status, topic: &TopicStatus) -> Health {
    let required = status.required.iter().find(|r| r.topic == topic.mapped_topic);
    match required.map(|required| required.state) {
        _ if topic.is_losing => Health::Losing,
        Some(RequiredState::Missing) => Health::Absent,
        Some(RequiredState::Short) => Health::Short,
        _ if topic.is_stale => Health::Silent,
        _ if topic.account.missing_total() > 0 => Health::Incomplete,
        _ => Health::Well,
    }
}

/// `3 LOST`, `5 left out`: lost messages differ from those left out on purpose.
fn missing(total: impl Fn(fn(&TopicAccount) -> u64) -> u64) -> Vec<Span> {
    let lost = total(TopicAccount::missing_total);
    let left_out = total(TopicAccount::left_out_total);
    let lost = (lost > 0).then(|| Span::red(format!("{} LOST", HumanCount(lost))));
    let left_out =
        (left_out > 0).then(|| Span::plain(format!("{} left out", HumanCount(left_out))));
    lost.into_iter().chain(left_out).collect()
}

/// `71 GiB free (2 h 5 min left)`.
fn disk(disk: &DiskStatus) -> Span {
    let left = disk.remaining_secs.map(|secs| format!(" ({} left)", span(secs)));
    let text = format!("{} free{}", disk.free, left.unwrap_or_default());
    let is_short = disk.remaining_secs.is_some_and(|secs| secs < SHORT_SECS);
    match disk.level == DiskLevel::Enough && !is_short {
        true => Span::plain(text),
        false => Span::red(text),
    }
}

/// `held 30.0 s, 12.3 MiB`, and what is still being written.
fn held(snapshot: &SnapshotStatus) -> Span {
    let SnapshotStatus { held_secs, held_bytes, saving_bytes, saves, .. } = snapshot;
    let mut text = format!("held {held_secs:.1} s, {}", HumanBytes(*held_bytes as u64));
    if *saves > 0 {
        let plural = if *saves == 1 { "" } else { "s" };
        text += &format!(", saved {saves} time{plural}");
    }
    if *saving_bytes > 0 {
        text += &format!(", {} to write", HumanBytes(*saving_bytes as u64));
    }
    Span::plain(text)
}

/// What the server does not have yet.
fn upload(sync: &SyncStatus) -> Span {
    let files = match sync.files_waiting {
        0 => String::new(),
        files => format!(", {} files", HumanCount(files)),
    };
    let backlog = format!(
        "{} rows{files} ({})",
        HumanCount(sync.rows_waiting),
        HumanBytes(sync.bytes_waiting)
    );
    match &sync.state {
        SyncState::UpToDate => Span::plain("uploaded"),
        SyncState::Sending => Span::plain(format!("to upload: {backlog}")),
        SyncState::Failing { .. } => Span::red(format!("UPLOAD FAILS, {backlog} wait")),
        SyncState::TokenRefused { .. } => Span::red("UPLOAD REFUSED: token"),
    }
}

/// What is not published yet.
fn publication(publish: &PublishStatus) -> Span {
    let waiting = publish.parts_waiting;
    match &publish.state {
        PublishState::UpToDate => Span::plain("published"),
        PublishState::Publishing => Span::plain(format!("to publish: {waiting} parts")),
        PublishState::Failing { .. } => {
            Span::red(format!("PUBLISHING FAILS, {waiting} parts wait"))
        }
    }
}

/// `01:02:03`.
fn clock(elapsed_secs: f64) -> String {
    let secs = elapsed_secs as u64;
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

/// The two largest units of a span.
fn span(secs: u64) -> String {
    let (mins, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match (days, hours, mins) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, mins) => format!("{mins} min {} s", secs % 60),
        (0, hours, _) => format!("{hours} h {} min", mins % 60),
        (days, _, _) => format!("{days} days {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests;
