//! The account of a recording, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};

use mldash_bridge::record::{Account, PartAccount, RequiredAccount, RequiredState, TopicAccount};

use super::table::{Column, Table, printable, width_of};
use super::{ExitCode, output};

const INCOMPLETE: &str = "INCOMPLETE";

/// Writes the account of a recording. With JSON, also logs what is missing.
pub(crate) fn write(account: &Account, as_json: bool, out: File) -> io::Result<()> {
    if as_json && !account.is_complete_with_earlier_parts() {
        tracing::warn!("{}: {}", account.experiment, end(account));
    }
    let width = width_of(&out);
    output::write_report(account, as_json, out, |out| print(account, out, width))
}

/// The result of writing the account, where a reader that has gone, as of `| head`, is no failure.
pub(crate) fn written(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// The exit code of a recording that ended normally: whether everything asked for is there.
pub(crate) fn exit_code(account: &Account) -> ExitCode {
    match account.is_complete_with_earlier_parts() {
        true => ExitCode::Done,
        false => ExitCode::Missing,
    }
}

fn print(account: &Account, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
    table(account).write(out, width)?;
    for (topic, reason) in &account.refused {
        writeln!(out, "not recorded: {}: {reason}", printable(topic))?;
    }
    for (what, messages) in [
        ("not in the mapping", &account.not_asked_for),
        ("came before this part, while stopped", &account.while_stopped),
        ("came after the last save, not saved", &account.not_saved),
    ] {
        if !messages.is_empty() {
            let topic =
                |(topic, messages): (&String, &u64)| format!("{} ({messages})", printable(topic));
            let topics: Vec<String> = messages.iter().map(topic).collect();
            writeln!(out, "{what} (messages): {}", topics.join(", "))?;
        }
    }
    if !account.unmatched.is_empty() {
        writeln!(out, "no topic matched: {}", account.unmatched.join(", "))?;
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
            "earlier part {experiment}: {received} received, {stored} stored, {dropped} dropped; {end}"
        )?;
    }
    for topic in &account.topics {
        if let Some(ahead_secs) = topic.stamps_ahead_secs {
            let topic = printable(&topic.topic);
            writeln!(out, "{topic}: stamps differ from the receive time by {ahead_secs:+.3} s")?;
        }
        for error in &topic.errors {
            writeln!(out, "{}: {error}", printable(&topic.topic))?;
        }
    }
    if let Some(sync) = &account.sync {
        writeln!(out, "{sync}")?;
    }
    if let Some(publish) = &account.publish {
        writeln!(out, "{publish}")?;
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

/// How a required topic fell short.
fn shortfall(required: &RequiredAccount) -> Option<String> {
    let RequiredAccount { topic, times_short, short_secs, .. } = required;
    if required.state == RequiredState::Missing {
        return Some(format!("required {topic}: it never arrived"));
    }
    let wanted = required.min_rate.map(|hz| format!(" of {hz} Hz")).unwrap_or_default();
    (*short_secs > 0.0).then(|| {
        let times = match times_short {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        format!("required {topic}: short{wanted} for {short_secs:.0} s in all ({times})")
    })
}

fn table(account: &Account) -> Table {
    let columns = [
        Column::name("TOPIC"),
        Column::number("RECEIVED"),
        Column::number("STORED"),
        Column::number("MERGED").if_room(),
        Column::number("THROTTLED").if_room(),
        Column::number("UNCHANGED").if_room(),
        Column::list("DROPPED", ", "),
        Column::number("LOST").if_any(),
        Column::number("BYTES").if_room(),
        Column::list("NOTES", ", "),
    ];
    let rows = account.topics.iter().map(|topic| {
        [
            topic.topic.clone(),
            topic.received.to_string(),
            topic.stored.to_string(),
            topic.merged.to_string(),
            topic.throttled.to_string(),
            topic.unchanged.to_string(),
            if topic.dropped.is_empty() { "0".to_owned() } else { counts(&topic.dropped) },
            topic.lost.to_string(),
            topic.bytes.to_string(),
            counts(&topic.notes),
        ]
    });
    Table::new(columns, rows)
}

/// `queue_full 3, undecodable 1`.
fn counts<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    let texts: Vec<String> = counts.iter().map(|(key, count)| format!("{key} {count}")).collect();
    texts.join(", ")
}
