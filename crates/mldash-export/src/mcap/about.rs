//! What is known of the run: a record of metadata, and the mapping, the account and other files as attachments.

use std::collections::BTreeMap;

use mldash_record::ACCOUNT_FILE;
use mldash_track::{Experiment, McapTimes, Timestamp, TrackError, one_line};
use serde_json::Value;

use super::McapOptions;
use super::account::McapAccount;
use super::files::RunFiles;
use super::messages::Messages;
use crate::files::account_text;

/// The name of the metadata record.
const RECORD: &str = "mldash";
/// The key under `metadata` with the mapping's text, which is attached instead.
const MAPPING: &str = "mapping";
const MAPPING_FILE: &str = "mapping.yaml";
/// What the account counts for every topic.
const COUNTED: [&str; 6] = ["received", "stored", "merged", "throttled", "unchanged", "lost"];

/// Writes the run's details, and attaches its mapping and account.
pub(super) fn write(
    experiment: &Experiment,
    options: &McapOptions,
    account: &McapAccount,
    messages: &mut Messages<'_>,
) -> Result<(), TrackError> {
    let notes = experiment.notes()?;
    let mut record = BTreeMap::from([("experiment".to_owned(), account.experiment.clone())]);
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            record.insert(key.to_owned(), value);
        }
    };
    let labels = notes.labels();
    say("status", notes.status.map(|status| status.name().to_owned()));
    say("tags", (!labels.tags.is_empty()).then(|| labels.tags.join(", ")));
    say("notes", labels.notes);
    // Task, success, operator, the recorder, the host and what else was noted.
    let metadata = notes.metadata.as_ref().and_then(Value::as_object);
    for (key, value) in metadata.into_iter().flatten().filter(|(key, _)| *key != MAPPING) {
        say(key, Some(text_of(value)));
    }
    say("is_live", account.is_live.then(|| true.to_string()));
    let (start, end) = (options.range.start(), options.range.end());
    say("start", start.is_finite().then(|| start.to_string()));
    say("end", end.is_finite().then(|| end.to_string()));
    say("tracks", options.tracks.as_ref().map(|tracks| tracks.join(", ")));
    say("rows", Some(account.tracks.iter().map(|track| track.rows).sum::<u64>().to_string()));
    say("missing_files", Some(account.missing().to_string()));
    let stored = stored_account(experiment);
    if let Some(stored) = &stored {
        for (key, total) in totals(stored) {
            say(&format!("account.{key}"), Some(total));
        }
    }
    messages.writer().write_metadata(RECORD, record)?;
    if let Some(Value::String(mapping)) = metadata.and_then(|metadata| metadata.get(MAPPING)) {
        messages.writer().attach(MAPPING_FILE, "application/yaml", 0, mapping.as_bytes())?;
    }
    if let Some(stored) = stored {
        messages.writer().attach(
            ACCOUNT_FILE,
            "application/json",
            0,
            stored.to_string().as_bytes(),
        )?;
    }
    Ok(())
}

/// Attaches the files that no row names, at the run's last time.
pub(super) fn attach_others(
    files: &mut RunFiles,
    last_secs: f64,
    account: &mut McapAccount,
    messages: &mut Messages<'_>,
) -> Result<(), TrackError> {
    let last = Timestamp::new(last_secs).map(McapTimes::of);
    let log_nanos = last.ok().and_then(Result::ok).map_or(0, |times| times.log);
    for path in files.unread() {
        match files.read(&path) {
            Ok(bytes) => {
                let media_type = files.find(&path).map_or("", |info| &info.content_type);
                messages.writer().attach(&path, media_type, log_nanos, &bytes)?;
                account.attached += 1;
            }
            Err(error) => account.missing.add(&path, &one_line(&error)),
        }
    }
    Ok(())
}

/// A text as it is, anything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The account of the recording, as it lies there; there is none while it is recorded.
fn stored_account(experiment: &Experiment) -> Option<Value> {
    let warn = |error: &dyn std::error::Error| {
        let path = experiment.folder().join(ACCOUNT_FILE);
        tracing::warn!(
            "can't read {}; the file goes without it: {}",
            path.display(),
            one_line(error)
        );
    };
    let text = account_text(experiment);
    let text = text.inspect_err(|error| warn(error)).ok()??;
    serde_json::from_slice(&text).inspect_err(|error| warn(error)).ok()
}

/// Whether it is complete, and its sums over all topics.
fn totals(account: &Value) -> BTreeMap<&'static str, String> {
    let topics = account.get("topics").and_then(Value::as_array).map(Vec::as_slice);
    let topics = topics.unwrap_or_default();
    let sum = |key: &str| topics.iter().filter_map(|topic| topic.get(key)?.as_u64()).sum::<u64>();
    let mut totals: BTreeMap<&'static str, String> =
        COUNTED.into_iter().map(|key| (key, sum(key).to_string())).collect();
    let dropped = topics.iter().filter_map(|topic| topic.get("dropped")?.as_object());
    let dropped: u64 =
        dropped.flat_map(|by_reason| by_reason.values().filter_map(Value::as_u64)).sum();
    totals.insert("dropped", dropped.to_string());
    if let Some(complete) = account.get("complete") {
        totals.insert("complete", complete.to_string());
    }
    totals
}
