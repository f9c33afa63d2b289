//! Removes what no manifest names: files of rows that a publisher put that was told to stop counting, and was killed before it
//! could remove them; rows of experiments without a manifest; pictures that no row names any more.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::time::{Duration, SystemTime};

use arrow_array::cast::AsArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::compact::each_planned_file;
use super::error::PublishError;
use super::layout::{COMPACTED, EXPERIMENTS, FILES, Layout, MANIFESTS, TRACKS};
use super::manifest::Manifest;
use super::manifests::{WORKERS, each_manifest, read_manifest};
use super::schema::{Holds, TopicSchema};
use super::store::{AT_ONCE, Listed, Store};
use super::stored_json;
use crate::at_once::at_once;

/// How young an object may be: a publisher may be about to name it.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that nobody names and that are too young.
    pub young: u64,
}

/// Names as they are compared: 16 bytes each, however many there are. Two that are taken for one keep an object too many.
type NameHash = u128;

/// Removes what nobody names and what is older than `grace`.
///
/// Rows and rows of experiments get names that nobody else gets, so that what is old and not named is never named again. Pictures have
/// their content's name, which a publisher may take up at any time: right before a thousand of them go, the manifests of their experiments are read once more,
/// and those of one that has changed stay. A publisher writes its manifest before it looks which pictures are there, so only one that begins in that
/// moment, between a read and the removal, can count on a picture that goes.
///
/// # Errors
/// Fails if the store does not answer, or a manifest can't be read: then it is not known what it names, and nothing is removed.
pub fn vacuum(store: &Store, grace: Duration) -> Result<Vacuumed, PublishError> {
    let now = SystemTime::now();
    let mut named: HashSet<NameHash> = HashSet::new();
    let mut revisions = Revisions::new();
    each_planned_file(store, |name| named.extend([hash_of(name)]))?;
    let mut urls = Urls { store, looked_at: HashSet::new(), columns: HashMap::new() };
    each_manifest(store, MANIFESTS, |name, manifest| {
        store.check_stop()?;
        revisions.insert(hash_of(name), manifest.revision);
        let all = manifest.files.iter().chain(&manifest.pending);
        named.extend(all.map(|file| hash_of(file.object())));
        // The experiment's row has the place of its manifest, under another folder.
        let place = name.strip_prefix(MANIFESTS).and_then(|name| name.strip_suffix(".json"));
        named.extend(place.map(|place| hash_of(&format!("{EXPERIMENTS}{place}.parquet"))));
        name_files(&mut urls, &manifest, &mut named)
    })?;
    let mut done = Vacuumed::default();
    for folder in [TRACKS, COMPACTED, EXPERIMENTS, FILES] {
        let mut rubbish: Vec<Listed> = Vec::new();
        let remove = |rubbish: &mut Vec<Listed>, done: &mut Vacuumed| {
            let mut rubbish = std::mem::take(rubbish);
            if folder == FILES {
                let all = rubbish.len();
                rubbish = unchanged(store, rubbish, &revisions)?;
                done.young += (all - rubbish.len()) as u64;
            }
            done.objects += rubbish.len() as u64;
            done.bytes += rubbish.iter().map(|object| object.bytes).sum::<u64>();
            store.delete_all(&rubbish.into_iter().map(|object| object.name).collect::<Vec<_>>())
        };
        store.list(folder, |object| {
            if named.contains(&hash_of(&object.name)) {
                return Ok(());
            }
            let age = now.duration_since(object.modified).unwrap_or_default();
            match age >= grace {
                true => rubbish.push(object),
                false => done.young += 1,
            }
            match rubbish.len() < AT_ONCE {
                true => Ok(()),
                false => remove(&mut rubbish, &mut done),
            }
        })?;
        remove(&mut rubbish, &mut done)?;
    }
    Ok(done)
}

/// The revision of each experiment's manifest when it was looked what its rows name.
type Revisions = HashMap<NameHash, u64>;

/// The pictures whose experiments are as they were.
fn unchanged(
    store: &Store,
    pictures: Vec<Listed>,
    revisions: &Revisions,
) -> Result<Vec<Listed>, PublishError> {
    let of = |picture: &Listed| Layout::manifest_of_file(&picture.name);
    let manifests: BTreeSet<String> = pictures.iter().filter_map(of).collect();
    let manifests: Vec<String> = manifests.into_iter().collect();
    let is_unchanged = at_once(&manifests, WORKERS, |name| {
        let now = read_manifest(store, name)?.map(|(manifest, _)| manifest.revision);
        Ok::<_, PublishError>(now == revisions.get(&hash_of(name)).copied())
    })?;
    let unchanged: HashSet<&String> =
        manifests.iter().zip(is_unchanged).filter(|(_, is)| *is).map(|(name, _)| name).collect();
    // Whose a picture is can't be said of every name: those stay.
    let goes = |picture: &Listed| of(picture).is_some_and(|name| unchanged.contains(&name));
    Ok(pictures.into_iter().filter(goes).collect())
}

/// Adds the names of pictures and clouds that rows name. Those of experiments of which that can't be said are all named.
fn name_files(
    urls: &mut Urls<'_>,
    manifest: &Manifest,
    named: &mut HashSet<NameHash>,
) -> Result<(), PublishError> {
    // What is being put is not known yet: its pictures may be there without it.
    if manifest.pending.is_empty() && urls.name(manifest, named)? {
        return Ok(());
    }
    let Ok(experiment) = manifest.experiment.parse() else { return Ok(()) };
    urls.store.list(&Layout::files(&experiment), |object| {
        named.insert(hash_of(&object.name));
        Ok(())
    })
}

/// Looks for URLs in files of rows.
struct Urls<'a> {
    store: &'a Store,
    /// Files that were read: a merged one has rows of many experiments.
    looked_at: HashSet<NameHash>,
    /// The columns that hold URLs, by topic; `None` if that is not known.
    columns: HashMap<String, Option<Vec<String>>>,
}

impl Urls<'_> {
    /// Adds what the URLs in an experiment's rows name. Returns false if a file of rows, or what its columns are, is not there.
    fn name(
        &mut self,
        manifest: &Manifest,
        named: &mut HashSet<NameHash>,
    ) -> Result<bool, PublishError> {
        for file in manifest.files.iter().filter(|file| file.has_files) {
            self.store.check_stop()?;
            let place = file.object();
            if self.looked_at.contains(&hash_of(place)) {
                continue;
            }
            if !self.columns.contains_key(&file.topic) {
                let columns = url_columns(self.store, &file.topic)?;
                self.columns.insert(file.topic.clone(), columns);
            }
            let Some(Some(columns)) = self.columns.get(&file.topic) else { return Ok(false) };
            let Some(rows) = self.store.fetch(place)? else { return Ok(false) };
            let urls = urls(columns, rows).map_err(PublishError::parquet(place))?;
            for name in urls.iter().filter_map(|url| Layout::file_of_url(url)) {
                named.insert(hash_of(name));
                // In URLs of files a percent sign of the name is encoded.
                named.insert(hash_of(&name.replace("%25", "%")));
            }
            self.looked_at.insert(hash_of(place));
        }
        Ok(true)
    }
}

/// The columns of a topic that hold URLs; `None` if its schema is not there.
fn url_columns(store: &Store, topic: &str) -> Result<Option<Vec<String>>, PublishError> {
    let name = Layout::schema(topic);
    let Some((json, _)) = store.read(&name)? else { return Ok(None) };
    let schema: TopicSchema = stored_json::parse(&json, store.url(), &name)?;
    let holds_urls = schema.columns.into_iter().filter(|column| column.holds == Holds::Url);
    Ok(Some(holds_urls.map(|column| column.name).collect()))
}

/// The URLs in a file of rows.
fn urls(columns: &[String], file: File) -> Result<HashSet<String>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let there = columns.iter().filter_map(|column| builder.schema().index_of(column).ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), there);
    let mut urls = HashSet::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let texts = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>());
        urls.extend(texts.flat_map(|texts| texts.iter().flatten()).map(str::to_owned));
    }
    Ok(urls)
}

fn hash_of(name: &str) -> NameHash {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(name.as_bytes());
    hash.iter().take(16).fold(0, |all, byte| (all << 8) | NameHash::from(*byte))
}
