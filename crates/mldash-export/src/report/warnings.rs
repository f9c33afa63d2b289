//! What a person should know or do first about a recording: rules over what was found. Pure.

mod frames;

use std::collections::BTreeMap;

use mldash_track::RunStatus;

use super::about::{AccountFile, TopicLine};
use super::spread::Bulk;
use super::summary::ExperimentSummary;
use super::times::{clock_text, date_text, length_text};
use super::track::TrackSummary;

/// Stamps this far behind the receive time, in the median, are worth a look.
const LAG_SECS: f64 = 0.1;
/// Stamps further ahead than this come from a clock that is not in step.
const AHEAD_SECS: f64 = 0.02;
/// Beyond this, stamps are of another clock, which the account says.
const OTHER_CLOCK_SECS: f64 = 10.0;
/// A topic that begins or ends so much before the others has stopped.
const EDGE_SECS: f64 = 2.0;
/// A shorter pause of a fast topic is jitter.
const PAUSE_SECS: f64 = 0.05;
/// Fewer topics that pause at once pause each for itself.
const EVERYTHING: usize = 3;
/// Frames that are named in one line.
const MAX_NAMED: usize = 5;

/// How much a warning matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Something that was to be recorded is not there.
    Problem,
    /// Something looks wrong.
    Warning,
    /// Something to know.
    Note,
}

/// Something to know of a recording.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Warning {
    /// How much it matters.
    pub severity: Severity,
    /// A sentence.
    pub text: String,
    /// When it was, in seconds.
    pub at: Option<f64>,
    /// For how long.
    pub wide_secs: f64,
    /// The track that it is about.
    pub track: Option<String>,
}

impl Warning {
    fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self { severity, text: text.into(), at: None, wide_secs: 0.0, track: None }
    }

    fn of(severity: Severity, track: &TrackSummary, text: impl Into<String>) -> Self {
        Self { track: Some(track.topic.clone()), ..Self::new(severity, text) }
    }
}

/// All warnings, those that matter most first.
pub(super) fn warnings(summary: &ExperimentSummary) -> Vec<Warning> {
    let mut found = Vec::new();
    run(summary, &mut found);
    if let Some(account) = &summary.about.account {
        of_account(account, &mut found);
    }
    let common = common_pauses(&summary.tracks);
    for (from, to) in &common {
        let text = format!(
            "everything paused {} at {}: the recording was paused, a clock jumped ahead, or the computer stood still",
            short(to - from),
            clock_text(*from)
        );
        let (at, wide_secs) = (Some(*from), to - from);
        found.push(Warning { at, wide_secs, ..Warning::new(Severity::Warning, text) });
    }
    for track in &summary.tracks {
        pauses(track, &common, &mut found);
        match beside_axis(summary, track) {
            Some(warning) => found.push(warning),
            None => edges(summary, track, &mut found),
        }
        lag(track, &mut found);
        values(track, &mut found);
        if let Some(problem) = &track.problem {
            let text = format!("{} can't be read to its end: {problem}", name(track));
            found.push(Warning::of(Severity::Problem, track, text));
        }
    }
    frames::frames(summary, &mut found);
    // Rules come in an order of their own within a severity.
    found.sort_by_key(|warning| warning.severity);
    found
}

/// What people call a track: its topic.
fn name(track: &TrackSummary) -> String {
    match track.sources.as_slice() {
        // With `each`, several tracks have one topic.
        [(topic, _)] if topic.trim_start_matches('/') == track.topic => topic.clone(),
        _ => track.topic.clone(),
    }
}

fn run(summary: &ExperimentSummary, found: &mut Vec<Warning>) {
    let about = &summary.about;
    for problem in about.problems.iter().chain(&summary.problems) {
        found.push(Warning::new(Severity::Problem, problem.clone()));
    }
    match about.status {
        Some(RunStatus::Running) if about.is_being_written => {
            found.push(Warning::new(Severity::Note, "it is still being recorded"));
        }
        Some(RunStatus::Running) => found.push(Warning::new(
            Severity::Problem,
            "it was not closed: the recorder was killed, or runs on another machine; what was flushed is here",
        )),
        Some(RunStatus::Failed) => {
            let reason = about.facts.iter().find(|(label, _)| label == "Failure");
            let reason = reason.map_or(String::new(), |(_, reason)| format!(": {reason}"));
            found.push(Warning::new(Severity::Problem, format!("the run failed{reason}")));
        }
        _ => {}
    }
    if about.labels.discarded {
        found.push(Warning::new(Severity::Warning, "it is marked as not to be used"));
    }
    if about.labels.success == Some(false) {
        found.push(Warning::new(Severity::Note, "it is marked as not successful"));
    }
    if summary.tracks.iter().all(|track| track.rows == 0) {
        found.push(Warning::new(Severity::Problem, "it has no rows"));
    }
}

fn of_account(account: &AccountFile, found: &mut Vec<Warning>) {
    let mut problem = |text: String| found.push(Warning::new(Severity::Problem, text));
    for (topic, reason) in &account.refused {
        problem(format!("{topic} was not recorded: {reason}"));
    }
    for required in account.required.iter().filter(|required| required.short_secs > 0.0) {
        let wanted = required.min_rate.map_or(String::new(), |rate| format!(" at {rate} Hz"));
        let short = length_text(required.short_secs);
        problem(format!("{} is required{wanted} and fell short for {short}", required.topic));
    }
    for topic in &account.topics {
        let TopicLine { topic: name, .. } = topic;
        for (reason, count) in topic.losses().filter(|(reason, _)| *reason != "refused") {
            let advice = advice(reason).map_or(String::new(), |advice| format!(": {advice}"));
            problem(format!("{name}: {} dropped ({reason}){advice}", messages(count)));
        }
        if let Some(lost) = topic.lost.as_u64().filter(|lost| *lost > 0) {
            problem(format!(
                "{name}: {} lost before they were received (network, or the middleware's queues)",
                messages(lost)
            ));
        }
    }
    for part in account.earlier_parts.iter().filter(|part| !part.complete) {
        problem(format!("the earlier part {} is not complete", part.experiment));
    }
    for pattern in &account.unmatched {
        let text = format!("no topic matched {pattern} of the mapping");
        found.push(Warning::new(Severity::Warning, text));
    }
    clocks(account, found);
}

/// One sentence for all topics that a note is about.
fn clocks(account: &AccountFile, found: &mut Vec<Warning>) {
    let with = |note: &str| -> Vec<(&TopicLine, u64)> {
        let count = |topic: &TopicLine| topic.notes.get(note).copied().filter(|count| *count > 0);
        account.topics.iter().filter_map(|topic| Some((topic, count(topic)?))).collect()
    };
    let names =
        |topics: &[(&TopicLine, u64)]| listed(topics.iter().map(|(topic, _)| topic.topic.as_str()));
    if let set_back @ [_, ..] = &*with("clock_jumped_back") {
        let text = format!(
            "{}: the clock of the stamps was set back; rows of before and after lie over each other",
            names(set_back)
        );
        // The first of them.
        let jumps = set_back.iter().flat_map(|(topic, _)| &topic.clock_jumps);
        let jump = jumps.min_by(|a, b| a.to.total_cmp(&b.to)).copied();
        let (at, wide_secs) =
            (jump.map(|jump| jump.to), jump.map_or(0.0, |jump| jump.from - jump.to));
        found.push(Warning { at, wide_secs, ..Warning::new(Severity::Warning, text) });
    }
    let mut say = |severity, note: &str, words: &str| {
        let topics = with(note);
        if !topics.is_empty() {
            found.push(Warning::new(severity, format!("{}: {words}", names(&topics))));
        }
    };
    say(
        Severity::Warning,
        "stamp_stands_still",
        "the stamp stands still; the driver does not set it",
    );
    say(
        Severity::Warning,
        "receive_time_used",
        "there is no usable header stamp, so rows lie on the receive time",
    );
    say(Severity::Note, "column_type_changed", "a column changed its type");
    say(Severity::Note, "text_repaired", "a text was not UTF-8 and was repaired");
    // Topics of one far clock are told as one.
    let mut far: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for topic in &account.topics {
        if let Some(ahead) = topic.stamps_ahead_secs {
            far.entry((ahead / OTHER_CLOCK_SECS).round() as i64).or_default().push(&topic.topic);
        }
    }
    for (tens, topics) in far {
        let ahead = tens as f64 * OTHER_CLOCK_SECS;
        let side = if ahead < 0.0 { "behind" } else { "ahead of" };
        let length = length_text(ahead.abs());
        let text = format!(
            "{}: stamps are {length} {side} the receive time: another clock, or a played bag",
            listed(topics.into_iter())
        );
        found.push(Warning::new(Severity::Note, text));
    }
}

fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "queue_full" => "the recorder fell behind; record less, or give `queue` more memory",
        "blob_queue_full" => "pictures came faster than files could be written; lower their rate",
        "store_full" | "disk_low" => "the disk was full",
        "local_full" => "the server did not take it fast enough",
        "undecodable" | "blob_malformed" => "the bytes are not what their type says",
        "no_clock" => "the ROS clock did not run; is there a /clock?",
        "blob_too_large" => "`blobs: inline` keeps them",
        "stopped" => "the recorder was ending",
        _ => return None,
    })
}

/// Pauses of all topics with a rhythm at once.
fn common_pauses(tracks: &[TrackSummary]) -> Vec<(f64, f64)> {
    let regular = tracks.iter().filter_map(|track| {
        let intervals = track.intervals.as_ref().filter(|intervals| intervals.is_regular)?;
        Some((track.span?, &intervals.gaps))
    });
    let regular: Vec<_> = regular.collect();
    let longest = regular.iter().max_by(|(a, _), (b, _)| (a.1 - a.0).total_cmp(&(b.1 - b.0)));
    let in_all = |(from, to): (f64, f64)| {
        let there = || regular.iter().filter(move |(span, _)| span.0 <= from && to <= span.1);
        let mut common = (from, to);
        for (_, gaps) in there() {
            let overlapping = gaps.iter().find(|gap| gap.0 < common.1 && common.0 < gap.1)?;
            common = (common.0.max(overlapping.0), common.1.min(overlapping.1));
        }
        (there().count() >= EVERYTHING && common.1 - common.0 > PAUSE_SECS).then_some(common)
    };
    let gaps = longest.map(|(_, gaps)| gaps.as_slice()).unwrap_or_default();
    gaps.iter().filter_map(|gap| in_all(*gap)).collect()
}

fn pauses(track: &TrackSummary, common: &[(f64, f64)], found: &mut Vec<Warning>) {
    let regular = track.intervals.as_ref().filter(|intervals| intervals.is_regular);
    let Some(intervals) = regular else { return };
    let length = |gap: &&(f64, f64)| gap.1 - gap.0;
    let is_own = |gap: &&(f64, f64)| !common.iter().any(|all| gap.0 < all.1 && all.0 < gap.1);
    let gaps = || intervals.gaps.iter().filter(|gap| length(gap) > PAUSE_SECS).filter(is_own);
    if let Some(longest) = gaps().max_by(|a, b| length(a).total_cmp(&length(b))) {
        let others = gaps().count() as u64 - 1 + intervals.more_gaps;
        let more = match others {
            0 => String::new(),
            1 => ", and once more for less".to_owned(),
            others => format!(", and {others} more times for less"),
        };
        let text = format!(
            "{} paused {} at {}{more}",
            name(track),
            short(length(&longest)),
            clock_text(longest.0)
        );
        let wide_secs = length(&longest);
        found.push(Warning {
            at: Some(longest.0),
            wide_secs,
            ..Warning::of(Severity::Warning, track, text)
        });
    }
}

/// A track without a row on the axis that all others share.
fn beside_axis(summary: &ExperimentSummary, track: &TrackSummary) -> Option<Warning> {
    let ((first, last), (start, end)) = (track.span?, summary.axis);
    if first <= end && last >= start {
        return None;
    }
    let times = format!("{}, and the others at {}", date_text(first), date_text(start));
    Some(match &track.intervals {
        Some(intervals) if intervals.is_regular => {
            let text =
                format!("{}: its stamps are of another clock: they begin at {times}", name(track));
            Warning::of(Severity::Warning, track, text)
        }
        // Latched long before, perhaps.
        _ => {
            let text =
                format!("{} is not on the time axis: its rows begin at {times}", name(track));
            Warning::of(Severity::Note, track, text)
        }
    })
}

/// A topic with a rhythm that begins late or stops early.
fn edges(summary: &ExperimentSummary, track: &TrackSummary, found: &mut Vec<Warning>) {
    let regular = track.intervals.as_ref().filter(|intervals| intervals.is_regular);
    let (Some(intervals), Some((first, last))) = (regular, track.span) else { return };
    let (start, end) = summary.axis;
    let allowed = intervals.gap_secs.max(EDGE_SECS);
    for (secs, at, does, than) in
        [(first - start, first, "begins", "late"), (end - last, last, "stops", "before the end")]
    {
        if secs > allowed {
            let text =
                format!("{} {does} {} {than}, at {}", name(track), short(secs), clock_text(at));
            found.push(Warning { at: Some(at), ..Warning::of(Severity::Warning, track, text) });
        }
    }
}

fn lag(track: &TrackSummary, found: &mut Vec<Warning>) {
    let Some(Bulk { median, p99, .. }) = track.lag else { return };
    if median.abs() > OTHER_CLOCK_SECS {
        return;
    }
    let text = if median > LAG_SECS {
        format!("{} lags {} (99 % within {})", name(track), short(median), short(p99))
    } else if median < -AHEAD_SECS {
        format!(
            "{}: stamps are {} ahead of the receive time: clocks are not in step",
            name(track),
            short(-median)
        )
    } else {
        return;
    };
    found.push(Warning::of(Severity::Warning, track, text));
}

fn values(track: &TrackSummary, found: &mut Vec<Warning>) {
    let series = track.series.iter().zip(&track.points.series);
    let mut columns: Vec<(&str, u64)> = Vec::new();
    for (name, series) in series.filter(|(_, series)| series.non_finite > 0) {
        match columns.iter_mut().find(|(column, _)| *column == name.column) {
            Some((_, count)) => *count += series.non_finite,
            None => columns.push((&name.column, series.non_finite)),
        }
    }
    if !columns.is_empty() {
        let count: u64 = columns.iter().map(|(_, count)| count).sum();
        let columns = listed(columns.into_iter().map(|(column, _)| column));
        let plural = if count == 1 { "value is" } else { "values are" };
        let text = format!("{}: {count} {plural} NaN or infinite ({columns})", name(track));
        found.push(Warning::of(Severity::Note, track, text));
    }
    if let Some(pictures) = track.pictures.as_ref().filter(|pictures| pictures.unusable > 0) {
        let all = pictures.unusable + pictures.left_out + pictures.times.len() as u64;
        let (unusable, why) = (pictures.unusable, pictures.problems.join("; "));
        let text = format!("{}: {unusable} of {all} pictures can't be shown: {why}", name(track));
        found.push(Warning::of(Severity::Problem, track, text));
    }
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// A few names, and how many more there are.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let names: Vec<&str> = names.take(MAX_NAMED).collect();
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

/// `180 ms`, `3.2 s`, `1m 5s`.
fn short(secs: f64) -> String {
    if secs.abs() < 1.0 { format!("{:.0} ms", secs * 1e3) } else { length_text(secs) }
}

#[cfg(test)]
mod tests;
