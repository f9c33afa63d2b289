//! The row of an experiment in the table of experiments: what a person or a query selects recordings by.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow_schema::ArrowError;
use bytes::Bytes;
use mldash_track::{Experiment, ExperimentNotes, Timestamp, TrackError, TrackInfo, hex};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::error::PublishError;
use super::layout::{Layout, within_project};
use super::manifest::FORMAT;
use crate::report::about::{About, AccountFile, TopicLine};

/// The row, and what tells whether it has changed.
pub(super) struct ExperimentRow {
    pub(super) file: Bytes,
    pub(super) hash: String,
}

/// What the account says, over all topics.
#[derive(Default)]
struct Sums {
    complete: Option<bool>,
    received: Option<i64>,
    stored: Option<i64>,
    merged: Option<i64>,
    dropped: Option<i64>,
    lost: Option<i64>,
}

impl ExperimentRow {
    /// The row of an experiment with these tracks.
    pub(super) fn of(experiment: &Experiment, tracks: &[TrackInfo]) -> Result<Self, PublishError> {
        let name = experiment.name().to_string();
        let read = |error: TrackError| PublishError::track(&name)(error);
        let notes = experiment.notes().map_err(read)?;
        let about = About::of(experiment).map_err(read)?;
        for problem in &about.problems {
            tracing::warn!("{name}: {problem}; the table of experiments lacks what it says");
        }
        let place = Layout::experiment(experiment.name());
        let sums = about.account.as_ref().map(Sums::of).unwrap_or_default();
        let batch = batch(experiment, tracks, &notes, &sums);
        let batch =
            batch.map_err(|error| PublishError::parquet(&place)(ParquetError::from(error)))?;
        let file = written(&batch).map_err(PublishError::parquet(&place))?;
        let mut hash = Sha256::new();
        hash.update(FORMAT.to_le_bytes());
        // What Debug says of a batch are its values, whoever wrote the Parquet, but of lists the first and last ones only.
        hash.update(format!("{batch:?}"));
        hash.update(format!("{:?}", notes.labels().tags));
        let hash = hex(hash.finalize().get(..16).unwrap_or_default());
        Ok(Self { file, hash })
    }
}

impl Sums {
    fn of(account: &AccountFile) -> Self {
        let sum = |count: fn(&TopicLine) -> u64| {
            let sum =
                account.topics.iter().fold(0_u64, |sum, topic| sum.saturating_add(count(topic)));
            i64::try_from(sum).ok()
        };
        // Where a middleware does not count its losses, the sum is not known.
        let lost: Option<u64> = account.topics.iter().map(|topic| topic.lost.as_u64()).sum();
        Self {
            complete: Some(account.complete),
            received: sum(|topic| topic.received),
            stored: sum(|topic| topic.stored),
            merged: sum(|topic| topic.merged),
            dropped: sum(|topic| topic.dropped.values().sum()),
            lost: lost.and_then(|lost| i64::try_from(lost).ok()),
        }
    }
}

fn batch(
    experiment: &Experiment,
    tracks: &[TrackInfo],
    notes: &ExperimentNotes,
    sums: &Sums,
) -> Result<RecordBatch, ArrowError> {
    let labels = notes.labels();
    let metadata = notes.metadata.as_ref();
    let noted = |key: &str| metadata?.get(key)?.as_str().map(str::to_owned);
    let start = tracks.iter().filter_map(|track| track.first_timestamp).reduce(f64::min);
    let end = tracks.iter().filter_map(|track| track.last_timestamp).reduce(f64::max);
    let rows: u64 = tracks.iter().map(|track| track.total_entries).sum();
    let mut tags = ListBuilder::new(StringBuilder::new());
    labels.tags.iter().for_each(|tag| tags.values().append_value(tag));
    tags.append(true);
    let name = experiment.name();
    RecordBatch::try_from_iter_with_nullable([
        ("experiment", text(Some(within_project(name))), true),
        ("name", text(Some(name.to_string())), true),
        ("start", stamp(start), true),
        ("end", stamp(end), true),
        ("duration_secs", float(start.zip(end).map(|(start, end)| end - start)), true),
        ("status", text(notes.status.map(|status| status.name().to_owned())), true),
        ("task", text(labels.task), true),
        ("success", truth(labels.success), true),
        ("discarded", truth(Some(labels.discarded)), true),
        ("tags", Arc::new(tags.finish()) as ArrayRef, true),
        ("operator", text(labels.operator), true),
        ("notes", text(labels.notes), true),
        // As the mapping's `metadata` has it, else the machine.
        ("robot", text(noted("robot").or_else(|| noted("host"))), true),
        ("revision", text(noted("git_revision")), true),
        ("recorder", text(noted("recorder")), true),
        ("tracks", count(i64::try_from(tracks.len()).ok()), true),
        ("rows", count(i64::try_from(rows).ok()), true),
        ("complete", truth(sums.complete), true),
        ("received", count(sums.received), true),
        ("stored", count(sums.stored), true),
        ("merged", count(sums.merged), true),
        ("dropped", count(sums.dropped), true),
        ("lost", count(sums.lost), true),
        ("metadata", text(metadata.map(Json::to_string)), true),
    ])
}

fn text(value: Option<String>) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn float(value: Option<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

fn truth(value: Option<bool>) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![value]))
}

fn count(value: Option<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

fn stamp(secs: Option<f64>) -> ArrayRef {
    let nanos = secs.and_then(|secs| Timestamp::new(secs).ok()?.to_nanos());
    Arc::new(TimestampNanosecondArray::from(vec![nanos]).with_timezone("UTC"))
}

fn written(batch: &RecordBatch) -> Result<Bytes, ParquetError> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None)?;
    writer.write(batch)?;
    writer.close()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use mldash_track::{LabelChange, Options};

    use super::*;

    #[test]
    fn each_of_many_tags_is_part_of_what_tells_whether_the_row_has_changed() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        let tags: Vec<String> = (0..25).map(|i| format!("tag-{i:02}")).collect();
        let added = |tags: &[String]| {
            let added = |change: LabelChange, tag: &String| change.add_tag(tag).unwrap();
            exp.label(&tags.iter().fold(LabelChange::new(), added)).unwrap();
        };
        let hash = || ExperimentRow::of(&exp, &[]).unwrap().hash;
        added(&tags);
        let before = hash();
        assert_eq!(hash(), before);
        // One in the middle becomes another.
        let removed = |change: LabelChange, tag: &String| change.remove_tag(tag).unwrap();
        exp.label(&tags[12..].iter().fold(LabelChange::new(), removed)).unwrap();
        added(&["tag-12b".to_owned()]);
        added(&tags[13..]);
        assert_eq!(exp.notes().unwrap().labels().tags.len(), tags.len());
        assert_ne!(hash(), before);
    }
}
