//! What the page says in words, ready for the template.

use std::collections::BTreeSet;

use mldash_record::mapping::Bytes;
use mldash_track::RunStatus;

use super::super::about::{AccountFile, TopicLine};
use super::super::axis::Axis;
use super::super::constants::Constant;
use super::super::marks::{Mark, marks};
use super::super::summary::ExperimentSummary;
use super::super::times::{date_text, length_text};
use super::super::track::TrackSummary;
use super::super::warnings::{Severity, Warning};

/// Topics that are open at first. Of very many, a page that has all open is slow to find one's way in.
const OPEN_TOPICS: usize = 20;
/// Lists of names that are shown whole.
const SHOWN_NAMES: usize = 30;

/// Frames of a track that are shown.
const SHOWN_FRAMES: usize = 3;

/// A few words in a frame.
pub(super) struct Chip {
    /// How it looks: a class of the style.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// An experiment's card.
pub(super) struct ExperimentWords<'a> {
    pub(super) name: &'a str,
    pub(super) chips: Vec<Chip>,
    pub(super) tags: &'a [String],
    pub(super) task: Option<&'a str>,
    pub(super) notes: Option<&'a str>,
    /// Numbers, and what they are of.
    pub(super) figures: Vec<(String, &'static str)>,
    pub(super) warnings: Vec<WarningWords<'a>>,
    pub(super) facts: &'a [(String, String)],
    pub(super) mapping: Option<&'a str>,
    /// What there is to say of its time: other parts of the recording, and other runs.
    pub(super) parts: Vec<PartWords>,
    pub(super) account: Option<AccountWords<'a>>,
}

/// A sentence; with a place on the axis, it leads there.
pub(super) struct PartWords {
    pub(super) text: String,
    pub(super) at: Option<f64>,
}

/// A warning; with a place on the axis, it leads there.
pub(super) struct WarningWords<'a> {
    pub(super) kind: &'static str,
    pub(super) text: &'a str,
    pub(super) at: Option<f64>,
    pub(super) wide: f64,
}

/// The table of every message.
pub(super) struct AccountWords<'a> {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<AccountRow<'a>>,
    pub(super) lines: Vec<String>,
}

/// A topic of that table.
pub(super) struct AccountRow<'a> {
    pub(super) topic: &'a str,
    pub(super) type_name: &'a str,
    pub(super) numbers: Vec<String>,
    /// Whether something is missing that was to be recorded.
    pub(super) is_short: bool,
    pub(super) dropped: String,
    pub(super) notes: String,
}

/// A track of all experiments, side by side.
pub(super) struct TopicWords<'a> {
    pub(super) name: &'a str,
    pub(super) is_open: bool,
    pub(super) cells: Vec<Cell<'a>>,
}

/// A track of one experiment; none if it has none of this name.
pub(super) struct Cell<'a> {
    pub(super) experiment: &'a str,
    pub(super) index: usize,
    pub(super) track: Option<TrackWords>,
}

/// What is said above and below a track's views.
pub(super) struct TrackWords {
    pub(super) index: usize,
    pub(super) chips: Vec<Chip>,
    /// Columns that never change.
    pub(super) constants: Vec<Constant>,
    pub(super) left_out: String,
}

impl<'a> ExperimentWords<'a> {
    pub(super) fn of(summary: &'a ExperimentSummary, warnings: &'a [Warning], axis: Axis) -> Self {
        let about = &summary.about;
        let (start, end) = summary.axis;
        let offset = axis.offset(summary);
        let warning = |warning: &'a Warning| WarningWords {
            kind: kind(warning.severity),
            text: &warning.text,
            at: warning.at.map(|secs| secs - start + offset),
            wide: warning.wide_secs,
        };
        let marks = marks(summary).into_iter().take(SHOWN_NAMES);
        let mut parts: Vec<PartWords> = marks
            .map(|Mark { at, text }| PartWords { text, at: Some(at - start + offset) })
            .collect();
        let mut say = |text: String| parts.push(PartWords { text, at: None });
        match about.earlier_runs {
            0 => {}
            1 => say("It holds an earlier run, too.".to_owned()),
            runs => say(format!("It holds {runs} earlier runs, too.")),
        }
        if summary.more_tracks > 0 {
            let more = summary.more_tracks;
            say(format!("{more} more tracks, those with the fewest rows, are not shown."));
        }
        let tracks = summary.tracks.len() + summary.more_tracks;
        Self {
            name: &summary.name,
            chips: chips(summary),
            tags: &about.labels.tags,
            task: about.labels.task.as_deref(),
            notes: about.labels.notes.as_deref(),
            figures: vec![
                (date_text(start), "began"),
                (length_text(end - start), "long"),
                (tracks.to_string(), "tracks"),
                (grouped(summary.rows), "rows"),
                (size_text(summary.size_bytes), "of rows"),
            ],
            warnings: warnings.iter().map(warning).collect(),
            facts: &about.facts,
            mapping: about.mapping.as_deref(),
            parts,
            account: about.account.as_ref().map(AccountWords::of),
        }
    }
}

/// A number of bytes as people read it: `1.5 MiB`.
pub fn size_text(bytes: u64) -> String {
    Bytes::new(bytes).to_string()
}

fn kind(severity: Severity) -> &'static str {
    match severity {
        Severity::Problem => "problem",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn chip(kind: &'static str, text: impl Into<String>) -> Chip {
    Chip { kind, text: text.into() }
}

fn chips(summary: &ExperimentSummary) -> Vec<Chip> {
    let about = &summary.about;
    let mut chips = Vec::new();
    match about.status {
        Some(RunStatus::Running) if about.is_being_written => {
            chips.push(chip("warning", "being recorded"))
        }
        Some(RunStatus::Running) => chips.push(chip("problem", "not closed")),
        Some(RunStatus::Failed) => chips.push(chip("problem", "failed")),
        Some(RunStatus::Cancelled) => chips.push(chip("warning", "cancelled")),
        Some(RunStatus::Completed) | None => {}
    }
    match &about.account {
        Some(account) if account.complete => chips.push(chip("good", "complete")),
        Some(_) => chips.push(chip("problem", "incomplete")),
        None => {}
    }
    match about.labels.success {
        Some(true) => chips.push(chip("good", "success")),
        Some(false) => chips.push(chip("warning", "unsuccessful")),
        None => {}
    }
    if about.labels.discarded {
        chips.push(chip("problem", "discarded"));
    }
    chips
}

/// The tracks of all experiments by name.
pub(super) fn topics(experiments: &[ExperimentSummary]) -> Vec<TopicWords<'_>> {
    let tracks = experiments.iter().flat_map(|summary| &summary.tracks);
    let names: BTreeSet<&str> = tracks.map(|track| track.topic.as_str()).collect();
    let track = |name: &str, summary: &ExperimentSummary| {
        let index = summary.tracks.iter().position(|track| track.topic == name)?;
        Some(TrackWords::of(index, summary, summary.tracks.get(index)?))
    };
    (names.into_iter().enumerate())
        .map(|(place, name)| TopicWords {
            name,
            is_open: place < OPEN_TOPICS,
            cells: (experiments.iter().enumerate())
                .map(|(index, summary)| {
                    let experiment = summary.name.as_str();
                    Cell { experiment, index, track: track(name, summary) }
                })
                .collect(),
        })
        .collect()
}

impl TrackWords {
    fn of(index: usize, summary: &ExperimentSummary, track: &TrackSummary) -> Self {
        let mut chips = Vec::new();
        for (topic, type_name) in &track.sources {
            let type_name = type_name.as_deref().map_or(String::new(), |name| format!(" {name}"));
            chips.push(chip("", format!("{topic}{type_name}")));
        }
        chips.push(chip("", format!("{} rows", grouped(track.rows))));
        if let (Some((first, last)), true) = (track.span, track.rows > 2) {
            let hz = (track.rows - 1) as f64 / (last - first).max(f64::MIN_POSITIVE);
            chips.push(chip("", format!("{} Hz", rounded(hz))));
        }
        if let Some(intervals) = &track.intervals {
            let gaps = intervals.gaps.len() as u64 + intervals.more_gaps;
            let kind = if intervals.is_regular { "warning" } else { "" };
            if gaps > 0 {
                let plural = if gaps == 1 { "" } else { "s" };
                chips.push(chip(
                    kind,
                    format!("{gaps} gap{plural}, the longest {}", length_text(intervals.longest)),
                ));
            }
        }
        if (1..=SHOWN_FRAMES).contains(&track.frames.len()) {
            let frames: Vec<&str> = track.frames.iter().map(String::as_str).collect();
            chips.push(chip("", format!("in {}", frames.join(", "))));
        }
        for line in summary.lines_of(track) {
            if let Some(lost) = line.lost.as_u64().filter(|lost| *lost > 0) {
                chips.push(chip("problem", format!("{lost} lost")));
            }
            for (reason, count) in line.losses() {
                chips.push(chip("problem", format!("{count} {reason}")));
            }
        }
        if let Some(problem) = &track.problem {
            chips.push(chip("problem", problem.clone()));
        }
        let mut left_out = track.shown.left_out.clone();
        if let Some(pictures) = track.pictures.as_ref().filter(|pictures| pictures.left_out > 0) {
            left_out.push(format!(
                "{} pictures, which would make the page too large",
                pictures.left_out
            ));
        }
        if track.pictures.as_ref().is_some_and(|pictures| pictures.other_kinds > 0) {
            left_out.push("pictures that are neither JPEG nor PNG".to_owned());
        }
        let constants = track.constants();
        Self { index, chips, constants, left_out: left_out.join(", ") }
    }
}

impl<'a> AccountWords<'a> {
    fn of(account: &'a AccountFile) -> Self {
        type Number = fn(&TopicLine) -> String;
        let columns: [(&'static str, bool, Number); 6] = [
            ("Received", true, |line| grouped(line.received)),
            ("Stored", true, |line| grouped(line.stored)),
            ("Merged", false, |line| grouped(line.merged)),
            ("Throttled", false, |line| grouped(line.throttled)),
            ("Unchanged", false, |line| grouped(line.unchanged)),
            ("Lost", true, |line| match &line.lost {
                serde_json::Value::String(unknown) => unknown.clone(),
                lost => grouped(lost.as_u64().unwrap_or_default()),
            }),
        ];
        // A column of zeros tells nothing.
        let is_shown = |(_, always, number): &&(&str, bool, Number)| {
            *always || account.topics.iter().any(|line| number(line) != "0")
        };
        let columns: Vec<_> = columns.iter().filter(is_shown).copied().collect();
        let row = |line: &'a TopicLine| AccountRow {
            topic: &line.topic,
            type_name: &line.type_name,
            numbers: columns.iter().map(|(_, _, number)| number(line)).collect(),
            is_short: line.losses().next().is_some(),
            dropped: counts(line.dropped.iter()),
            notes: counts(line.notes.iter()),
        };
        let mut lines = Vec::new();
        for (what, topics) in [
            ("Not in the mapping (messages)", &account.not_asked_for),
            ("Came before this part, while stopped (messages)", &account.while_stopped),
            ("Came after the last save, not saved (messages)", &account.not_saved),
        ] {
            if !topics.is_empty() {
                lines.push(format!("{what}: {}.", counts(topics.iter())));
            }
        }
        for part in &account.earlier_parts {
            let end = if part.complete { "complete" } else { "INCOMPLETE" };
            lines.push(format!(
                "Earlier part {}: {} stored, {} dropped; {end}.",
                part.experiment, part.stored, part.dropped
            ));
        }
        let errors = account.topics.iter().flat_map(|line| {
            line.errors.iter().map(move |error| format!("{}: {error}", line.topic))
        });
        lines.extend(errors.take(SHOWN_NAMES));
        Self {
            columns: columns.iter().map(|(name, ..)| *name).collect(),
            rows: account.topics.iter().map(row).collect(),
            lines,
        }
    }
}

/// `name 3, other 1`.
fn counts<'a>(counts: impl ExactSizeIterator<Item = (&'a String, &'a u64)>) -> String {
    let more = counts.len().saturating_sub(SHOWN_NAMES);
    let mut texts: Vec<String> = counts
        .take(SHOWN_NAMES)
        .map(|(name, count)| format!("{name} {}", grouped(*count)))
        .collect();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(", ")
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With three digits.
fn rounded(number: f64) -> String {
    let digits = (2 - number.abs().max(1e-3).log10().floor() as i32).max(0) as usize;
    let text = format!("{number:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 3.814, 99.96, 400.2, 12.0].map(rounded),
            ["0", "3.81", "100", "400", "12"]
        );
    }

    #[test]
    fn a_column_of_zeros_is_not_shown() {
        let line =
            TopicLine { topic: "/a".to_owned(), received: 3, merged: 1, ..Default::default() };
        let account = AccountFile { topics: vec![line], ..Default::default() };
        assert_eq!(AccountWords::of(&account).columns, ["Received", "Stored", "Merged", "Lost"]);
    }

    #[test]
    fn what_a_part_does_not_hold_is_said_below_its_table() {
        let not_saved = [("/odom".to_owned(), 1200)].into();
        let account = AccountFile { not_saved, ..Default::default() };
        assert_eq!(
            AccountWords::of(&account).lines,
            ["Came after the last save, not saved (messages): /odom 1,200."]
        );
    }
}
