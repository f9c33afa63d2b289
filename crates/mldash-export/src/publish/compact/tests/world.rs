//! A store with what publishers put there, and the two kinds of readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use mldash_track::ExperimentName;
use object_store::memory::InMemory;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::super::layout::{COMPACTED, Layout, MANIFESTS, TRACKS, decoded, within_project};
use super::super::super::manifest::{Manifest, PublishedFile};
use super::super::super::store::{Retries, Store, Updates};
use super::super::super::tests::faults::{Fault, Faulty};
use super::super::super::vacuum;
use super::super::{By, Compaction, Rule, compact};

/// A row: of which experiment and topic, when, and its value. `extra` is a column that some files lack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) experiment: String,
    pub(super) topic: String,
    pub(super) millis: i64,
    pub(super) value: i64,
    pub(super) extra: Option<String>,
}

pub(super) struct World {
    pub(super) objects: Arc<InMemory>,
    store: Store,
    /// Chunks by experiment, topic and number.
    chunks: BTreeMap<(String, String, u64), Vec<Row>>,
}

/// The rows of a file, with the chunk that each says it is of; for a track's own file, its own.
type Read = Vec<(Row, String)>;

impl World {
    pub(super) fn new() -> Self {
        let objects = Arc::new(InMemory::new());
        let store = client(&objects, |_| None);
        Self { objects, store, chunks: BTreeMap::new() }
    }

    /// Without grace.
    pub(super) fn vacuum(&self) {
        vacuum(&self.store, Duration::ZERO).unwrap();
    }

    /// As a publisher does it: the file, then the manifest. The chunk of a number that is there is replaced by one with the next.
    pub(super) fn publish(
        &mut self,
        experiment: &str,
        topic: &str,
        replaces: Option<u64>,
        rows: &[(i64, i64)],
    ) -> u64 {
        let name: ExperimentName = experiment.parse().unwrap();
        let place = Layout::manifest(&name);
        loop {
            let (mut manifest, version) = match self.store.read(&place).unwrap() {
                Some((bytes, version)) => (serde_json::from_slice(&bytes).unwrap(), Some(version)),
                None => (Manifest::new(experiment), None),
            };
            let next = manifest.next.entry(topic.to_owned()).or_default();
            let number = *next;
            *next += 1;
            let rows: Vec<Row> = rows
                .iter()
                .map(|(millis, value)| Row {
                    experiment: experiment.to_owned(),
                    topic: topic.to_owned(),
                    millis: *millis,
                    value: *value,
                    // Columns come later, and not everywhere.
                    extra: (number % 2 == 1).then(|| format!("e{}", value % 3)),
                })
                .collect();
            let bytes = parquet_of(&rows, number % 2 == 1);
            let file = Layout::rows(&name, topic, number, &format!("{:x}", rows[0].value));
            let replaced: Vec<String> = replaces
                .iter()
                .flat_map(|number| {
                    let stem = format!("/{number:05}-");
                    manifest.files.iter().filter(move |file| file.name.contains(&stem))
                })
                .filter(|file| file.topic == topic)
                .map(|file| file.name.clone())
                .collect();
            manifest.files.retain(|file| !replaced.contains(&file.name));
            manifest.files.push(PublishedFile {
                name: file.clone(),
                compacted: None,
                topic: topic.to_owned(),
                rows: rows.len() as u64,
                first: rows[0].millis as f64 / 1e3,
                last: rows[rows.len() - 1].millis as f64 / 1e3,
                hash: String::new(),
                bytes: bytes.len() as u64,
                replaces: None,
                named: 0,
                has_files: false,
                lacks_files: false,
            });
            manifest.revision += 1;
            self.store.put(&file, bytes).unwrap();
            let manifest = Bytes::from(serde_json::to_vec(&manifest).unwrap());
            if self.store.update(&place, &manifest, version.as_ref()).unwrap().is_none() {
                self.store.delete(&file).unwrap();
                continue;
            }
            for file in &replaced {
                self.store.delete(file).unwrap();
            }
            if let Some(replaces) = replaces {
                self.chunks.remove(&(experiment.to_owned(), topic.to_owned(), replaces));
            }
            self.chunks.insert((experiment.to_owned(), topic.to_owned(), number), rows);
            return number;
        }
    }

    /// All that counts, sorted.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.chunks.values().flatten().cloned().collect();
        rows.sort();
        rows
    }

    /// The numbers of an experiment's chunks.
    pub(super) fn numbers(&self) -> Vec<(String, String, u64)> {
        self.chunks.keys().cloned().collect()
    }

    /// What a reader sees that follows manifests.
    pub(super) fn by_manifests(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for name in self.list(MANIFESTS) {
            let (bytes, _) = self.store.read(&name).unwrap().unwrap();
            let manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
            for file in &manifest.files {
                let stem = stem(&file.name);
                let of = |(row, chunk): &(Row, String)| {
                    row.experiment == manifest.experiment && chunk == stem
                };
                let here: Vec<Row> =
                    self.read(file.object()).into_iter().filter(of).map(|(row, _)| row).collect();
                assert_eq!(here.len() as u64, file.rows, "{}", file.object());
                rows.extend(here);
            }
        }
        rows.sort();
        rows
    }

    /// What the documented view sees: all below `compacted`, and of `tracks` what is not in there.
    pub(super) fn by_view(&self) -> Vec<Row> {
        let key = |(row, chunk): &(Row, String)| {
            (row.topic.clone(), row.experiment.clone(), chunk.clone())
        };
        let merged = self.all_below(COMPACTED);
        let known: BTreeSet<_> = merged.iter().map(key).collect();
        let own = self.all_below(TRACKS).into_iter().filter(|read| !known.contains(&key(read)));
        let mut rows: Vec<Row> =
            merged.clone().into_iter().chain(own).map(|(row, _)| row).collect();
        rows.sort();
        rows
    }

    /// What a reader sees that takes all there is.
    pub(super) fn by_list(&self) -> Vec<Row> {
        let all = self.all_below(COMPACTED).into_iter().chain(self.all_below(TRACKS));
        let mut rows: Vec<Row> = all.map(|(row, _)| row).collect();
        rows.sort();
        rows
    }

    /// The plan that was given up last, by its generation; 0 if none was.
    pub(super) fn given_up(&self, slot: &str) -> u64 {
        let (json, _) = self.store.read(slot).unwrap().unwrap();
        let slot: serde_json::Value = serde_json::from_slice(&json).unwrap();
        slot["given_up"].as_u64().unwrap()
    }

    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        self.store
            .list(folder, |object| {
                names.push(object.name);
                Ok(())
            })
            .unwrap();
        names.sort();
        names
    }

    fn all_below(&self, folder: &str) -> Read {
        self.list(folder).iter().flat_map(|name| self.read(name)).collect()
    }

    /// A file, whose place says what its rows don't.
    fn read(&self, name: &str) -> Read {
        let (bytes, _) = self.store.read(name).unwrap().unwrap();
        let topic = decoded(name.split('/').nth(1).unwrap());
        let part = |key: &str| name.split('/').find_map(|part| part.strip_prefix(key)).map(decoded);
        let project = format!("{}/{}", part("owner=").unwrap(), part("project=").unwrap());
        let mut out = Read::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            for row in 0..batch.num_rows() {
                let text = |column: &str| {
                    let texts = batch.column_by_name(column)?.as_dictionary_opt::<Int32Type>()?;
                    let key = usize::try_from(texts.keys().value(row)).unwrap();
                    Some(texts.values().as_string::<i32>().value(key).to_owned())
                };
                let times = batch.column_by_name("timestamp").unwrap();
                let values = batch.column_by_name("value").unwrap();
                let extra = batch.column_by_name("extra").map(|extra| extra.as_string::<i32>());
                let within = text("experiment").or_else(|| part("experiment=")).unwrap();
                let millis = (times.as_primitive::<Float64Type>().value(row) * 1e3).round();
                let read = Row {
                    experiment: format!("{project}/{within}"),
                    topic: topic.clone(),
                    millis: millis as i64,
                    value: values.as_primitive::<Int64Type>().value(row),
                    extra: extra.and_then(|extra| {
                        arrow_array::Array::is_valid(extra, row)
                            .then(|| extra.value(row).to_owned())
                    }),
                };
                out.push((read, text("chunk").unwrap_or_else(|| stem(name).to_owned())));
            }
        }
        out
    }

    /// Compacts by a client of its own; `plan` says which of its requests fail.
    pub(super) fn compact(
        &self,
        by: By,
        plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static,
    ) -> Result<Compaction, super::super::CompactError> {
        let store = client(&self.objects, plan);
        compact(&store, &rule(by), false, &mut |_| ())
    }
}

pub(super) fn rule(by: By) -> Rule {
    Rule { size_bytes: 1 << 20, by, topics: BTreeSet::new() }
}

/// One that does not wait before it tries again.
pub(super) fn client(
    objects: &Arc<InMemory>,
    plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static,
) -> Store {
    store_over(Arc::new(Faulty::planned(objects, plan)))
}

pub(super) fn store_over(objects: Arc<Faulty>) -> Store {
    let retries = Retries { tries: 4, first_wait: Duration::ZERO, longest_wait: Duration::ZERO };
    let prefix = Path::from("fleet");
    Store::over(objects, prefix, "memory:///fleet", Updates::Conditional).unwrap().retries(retries)
}

fn stem(name: &str) -> &str {
    name.rsplit('/').next().unwrap().strip_suffix(".parquet").unwrap()
}

fn parquet_of(rows: &[Row], with_extra: bool) -> Bytes {
    let times = rows.iter().map(|row| row.millis as f64 / 1e3);
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("timestamp", Arc::new(Float64Array::from_iter_values(times))),
        ("value", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.value)))),
    ];
    if with_extra {
        let extra = rows.iter().map(|row| row.extra.clone());
        columns.push(("extra", Arc::new(StringArray::from_iter(extra))));
    }
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let batch = batch.unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

/// For messages: an experiment of this number.
pub(super) fn experiment(number: u64) -> String {
    let name = format!("alice/lab{}/monday/run {number}", number % 2);
    let parsed: ExperimentName = name.parse().unwrap();
    assert_eq!(within_project(&parsed), format!("monday/run {number}"));
    name
}
