//! The account of a recording, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use mldash_bridge::record::{Account, PartAccount, RequiredAccount, RequiredState, TopicAccount};

use super::{ExitCode, output};

const INCOMPLETE: &str = "INCOMPLETE";

/// Writes the account of a recording. With JSON, also logs what is missing.
pub(crate) fn write(account: &Account, as_json: bool, out: impl Write) -> io::Result<()> {
    if as_json && !account.is_complete_with_earlier_parts() {
        tracing::warn!("{}: {}", account.experiment, end(account));
    }
    output::write_report(account, as_json, out, |out| print_table(account, out))
}

/// The exit code of a recording that ended normally: whether everything asked for is there.
pub(crate) fn exit_code(account: &Account) -> ExitCode {
    match account.is_complete_with_earlier_parts() {
        true => ExitCode::Done,
        false => ExitCode::Missing,
    }
}

fn print_table(account: &Account, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", table(account))?;
    for (topic, reason) in &account.refused {
        writeln!(out, "not recorded: {}: {reason}", shown(topic))?;
    }
    if !account.not_asked_for.is_empty() {
        let topic = |(topic, messages): (&String, &u64)| format!("{} ({messages})", shown(topic));
        let topics: Vec<String> = account.not_asked_for.iter().map(topic).collect();
        writeln!(out, "not asked for, with their messages: {}", topics.join(", "))?;
    }
    if !account.unmatched.is_empty() {
        writeln!(out, "no topic came for: {}", account.unmatched.join(", "))?;
    }
    for required in &account.required {
        if let Some(text) = shortfall(required) {
            writeln!(out, "{text}")?;
        }
    }
    for part in &account.earlier_parts {
        let PartAccount { experiment, received, stored, dropped, .. } = part;
        let end = if part.complete { "complete" } else { INCOMPLETE };
        writeln!(
            out,
            "before, {experiment}: {received} received, {stored} stored, {dropped} dropped; {end}"
        )?;
    }
    for topic in &account.topics {
        if let Some(ahead_secs) = topic.stamps_ahead_secs {
            let topic = shown(&topic.topic);
            writeln!(out, "{topic}: stamps {ahead_secs:+.3} s from the time of receipt")?;
        }
        for error in &topic.errors {
            writeln!(out, "{}: {error}", shown(&topic.topic))?;
        }
    }
    if let Some(sync) = &account.sync {
        writeln!(out, "{sync}")?;
    }
    let received: u64 = account.topics.iter().map(|topic| topic.received).sum();
    let stored: u64 = account.topics.iter().map(|topic| topic.stored).sum();
    let dropped: u64 = account.topics.iter().map(TopicAccount::dropped_total).sum();
    let lost: u64 = account.topics.iter().map(|topic| topic.lost.known()).sum();
    let lost = if lost > 0 { format!(", {lost} lost") } else { String::new() };
    let end = end(account);
    writeln!(
        out,
        "{}: {received} received, {stored} stored, {dropped} dropped{lost}; {end}",
        account.experiment
    )
}

/// How the recording ended, and what is missing.
fn end(account: &Account) -> String {
    let parts = account.earlier_parts.iter().filter(|part| !part.complete);
    let missing: Vec<String> = account
        .failure
        .iter()
        .chain(&account.missing)
        .cloned()
        .chain(parts.map(|part| format!("{} is not complete", part.experiment)))
        .collect();
    match account.is_complete_with_earlier_parts() {
        true => "complete".to_owned(),
        false => format!("{INCOMPLETE}: {}", missing.join("; ")),
    }
}

/// A topic's name for a terminal. A bag may contain any name, escape codes too.
fn shown(topic: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    topic.chars().map(shown).collect()
}

/// How a required topic fell short.
fn shortfall(required: &RequiredAccount) -> Option<String> {
    let RequiredAccount { topic, times_short, short_secs, .. } = required;
    if required.state == RequiredState::Missing {
        return Some(format!("required {topic}: it never came"));
    }
    let wanted = required.min_rate.map(|hz| format!(" of {hz} Hz")).unwrap_or_default();
    (*short_secs > 0.0).then(|| {
        format!("required {topic}: short{wanted} for {short_secs:.0} s, {times_short} times")
    })
}

fn table(account: &Account) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "TOPIC",
        "RECEIVED",
        "STORED",
        "MERGED",
        "THROTTLED",
        "UNCHANGED",
        "DROPPED",
        "LOST",
        "BYTES",
        "NOTES",
    ]);
    for topic in &account.topics {
        table.add_row([
            shown(&topic.topic),
            topic.received.to_string(),
            topic.stored.to_string(),
            topic.merged.to_string(),
            topic.throttled.to_string(),
            topic.unchanged.to_string(),
            if topic.dropped.is_empty() { "0".to_owned() } else { counts(&topic.dropped) },
            topic.lost.to_string(),
            topic.bytes.to_string(),
            counts(&topic.notes),
        ]);
    }
    for right in [1, 2, 3, 4, 5, 7, 8] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `queue_full 3, undecodable 1`.
fn counts<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    let texts: Vec<String> = counts.iter().map(|(key, count)| format!("{key} {count}")).collect();
    texts.join(", ")
}
