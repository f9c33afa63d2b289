//! Carries plans out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mldash_track::ExperimentName;
use tempfile::TempDir;

use super::super::error::PublishError;
use super::super::layout::{COMPACTED, Layout, MANIFESTS, within_project};
use super::super::manifest::{Manifest, PublishedFile};
use super::super::store::{Source, Store, Version};
use super::error::CompactError;
use super::merge::{Sources, merge};
use super::plan::{Chunk, Merge, Piece, Plan, Rule, generation_in, is_merged, project_of};
use super::slot::Held;

/// Plans of a project at most, if others change it all the time.
const ROUNDS: usize = 20;
/// Tries to change a manifest that others change.
const TRIES: usize = 20;
/// Requests at once: each is small and waits for the store's answer.
const WORKERS: usize = 8;

/// A merged file.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// Its name below the prefix.
    pub name: String,
    /// How many files it takes the place of.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

/// What a compaction did, or would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compaction {
    /// The merged files.
    pub merged: Vec<Merged>,
    /// Chunks that a publisher replaced in between; their rows were left out.
    pub overtaken: u64,
}

/// Manifests as they were read.
type Manifests = BTreeMap<String, (Manifest, Version)>;

/// What became of a plan.
enum Done {
    All {
        overtaken: u64,
    },
    /// A file is not there, and the plan is given up.
    Gone(String),
    /// Somebody else finished it, or it could not be done and is given up.
    Otherwise,
}

/// Merges what lies on `store` by `rule`; with `dry_run`, only says what. `tell` hears of each merged file once it stands.
///
/// # Errors
/// Fails if the store does not answer, or holds what no publisher wrote. What counted then counts still; the next call goes on.
pub fn compact(
    store: &Store,
    rule: &Rule,
    dry_run: bool,
    tell: &mut dyn FnMut(&Merged),
) -> Result<Compaction, CompactError> {
    let mut projects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names_of_manifests(store, MANIFESTS)? {
        let within = name.strip_prefix(MANIFESTS).map(|name| name.trim_start_matches('/'));
        if let Some((project, _)) = within.and_then(|name| name.rsplit_once('/')) {
            projects.entry(project.to_owned()).or_default().push(name.clone());
        }
    }
    let mut merged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if !dry_run {
        store.list(COMPACTED, |object| {
            if let Some(project) = project_of(&object.name) {
                merged.entry(project).or_default().push(object.name);
            }
            Ok(())
        })?;
    }
    let mut all = Compaction::default();
    let mut failed = None;
    for (project, names) in projects {
        if dry_run {
            let manifests = read_manifests(store, &names)?;
            let (plan, _) = Plan::of(chunks(&manifests), rule, &project, 0);
            all.merged.extend(plan.merges.iter().map(Merged::of));
        } else {
            let merged = merged.get(&project).map_or(&[][..], Vec::as_slice);
            let project = Project { name: &project, manifests: &names, merged };
            let done = compact_project(store, rule, &project, &mut all, tell);
            match done {
                Err(error) if !matches!(error, CompactError::Publish(PublishError::Stopped)) => {
                    // Other projects have nothing to do with it.
                    failed = failed.or(Some(error));
                }
                done => done?,
            }
        }
    }
    failed.map_or(Ok(all), Err)
}

/// What there is of a project, as it was listed.
struct Project<'a> {
    /// `owner=…/project=…`.
    name: &'a str,
    manifests: &'a [String],
    /// Merged files.
    merged: &'a [String],
}

fn names_of_manifests(store: &Store, folder: &str) -> Result<Vec<String>, PublishError> {
    let mut names = Vec::new();
    store.list(folder, |object| {
        if object.name.ends_with(".json") {
            names.push(object.name);
        }
        Ok(())
    })?;
    Ok(names)
}

/// Removes merged files that no manifest names, since all their rows were replaced: nobody would write them again without these.
/// There was no plan when the slot had this generation. So manifests that are read after that name all that will ever be named of
/// this generation and of those before.
fn remove_unnamed(
    store: &Store,
    project: &Project<'_>,
    generation: u64,
    manifests: &Manifests,
) -> Result<(), CompactError> {
    let unnamed = |manifests: &Manifests| -> Vec<String> {
        let all = manifests.values().flat_map(|(manifest, _)| &manifest.files);
        let named: BTreeSet<&str> = all.map(PublishedFile::object).collect();
        let is_over = |name: &&String| generation_in(name).is_some_and(|of| of <= generation);
        let merged = project.merged.iter().filter(is_over);
        merged.filter(|name| !named.contains(name.as_str())).cloned().collect()
    };
    if unnamed(manifests).is_empty() {
        return Ok(());
    }
    // An experiment may have come since the manifests were listed.
    let names = names_of_manifests(store, &format!("{MANIFESTS}/{}", project.name))?;
    store.delete_all(&unnamed(&read_manifests(store, &names)?))?;
    Ok(())
}

fn compact_project(
    store: &Store,
    rule: &Rule,
    project: &Project<'_>,
    all: &mut Compaction,
    tell: &mut dyn FnMut(&Merged),
) -> Result<(), CompactError> {
    let mut rounds = 0;
    let mut gone = None;
    while rounds < ROUNDS {
        rounds += 1;
        store.check_stop()?;
        let mut held = Held::read(store, project.name)?;
        if held.slot.plan.is_some() {
            carry_out(store, &mut held, Manifests::new(), all, tell)?;
            continue;
        }
        let manifests = read_manifests(store, project.manifests)?;
        remove_unnamed(store, project, held.slot.generation, &manifests)?;
        let generation = held.slot.generation + 1;
        let (plan, is_cut) = Plan::of(chunks(&manifests), rule, project.name, generation);
        if plan.merges.is_empty() {
            return Ok(());
        }
        if !held.begin(store, plan, generation)? {
            continue;
        }
        match carry_out(store, &mut held, manifests, all, tell)? {
            Done::All { overtaken: 0 } if !is_cut => return Ok(()),
            // There is more than one plan takes.
            Done::All { overtaken: 0 } => rounds = 0,
            Done::All { overtaken } => all.overtaken += overtaken,
            // Its publisher has replaced it meanwhile, or the manifest still names it.
            Done::Gone(name) if gone.as_ref() == Some(&name) => {
                return Err(CompactError::Gone(name));
            }
            Done::Gone(name) => gone = Some(name),
            Done::Otherwise => {}
        }
    }
    Err(CompactError::Contended { name: project.name.to_owned() })
}

/// Does what the slot says.
fn carry_out(
    store: &Store,
    held: &mut Held,
    known: Manifests,
    all: &mut Compaction,
    tell: &mut dyn FnMut(&Merged),
) -> Result<Done, CompactError> {
    let Some(plan) = held.slot.plan.clone() else { return Ok(Done::Otherwise) };
    if !held.slot.stands {
        for merge in &plan.merges {
            store.check_stop()?;
            match put_merged(store, merge) {
                Ok(true) => {
                    let merged = Merged::of(merge);
                    tell(&merged);
                    all.merged.push(merged);
                }
                Ok(false) => {}
                // Its publisher has replaced it, or another compactor is done with all of this.
                Err(CompactError::Gone(name)) => {
                    give_up(store, held, &plan)?;
                    return Ok(Done::Gone(name));
                }
                Err(error) => return Err(error),
            }
        }
        if !held.stand(store)? {
            if held.was_given_up(store)? {
                remove_targets(store, &plan)?;
            }
            return Ok(Done::Otherwise);
        }
    }
    let overtaken = move_chunks(store, &plan, known)?;
    store.delete_all(&plan.retired)?;
    // If this fails to change the slot, another compactor has finished the same.
    held.clear(store)?;
    Ok(Done::All { overtaken })
}

/// No manifest names a file of a plan that does not stand.
fn give_up(store: &Store, held: &mut Held, plan: &Plan) -> Result<(), CompactError> {
    if held.give_up(store)? {
        remove_targets(store, plan)?;
    }
    Ok(())
}

fn remove_targets(store: &Store, plan: &Plan) -> Result<(), PublishError> {
    plan.merges.iter().try_for_each(|merge| store.delete(&merge.target))
}

/// Returns false if it was there.
fn put_merged(store: &Store, plan: &Merge) -> Result<bool, CompactError> {
    if store.size_of(&plan.target)?.is_some() {
        return Ok(false);
    }
    let folder = TempDir::new().map_err(PublishError::io("create", &std::env::temp_dir()))?;
    let sources = fetch(store, plan, folder.path())?;
    let target = folder.path().join("merged.parquet");
    let name = |experiment: &str| match experiment.parse::<ExperimentName>() {
        Ok(name) => within_project(&name),
        Err(_) => experiment.to_owned(),
    };
    merge(plan, &sources, &target, name)?;
    for path in sources.values() {
        // Room for what comes; the folder is removed in any case.
        let _ = fs::remove_file(path);
    }
    let file = File::open(&target).map_err(PublishError::io("open", &target))?;
    let bytes = file.metadata().map_err(PublishError::io("read", &target))?.len();
    let mut source = Source { file, path: &target, bytes, sha256: None };
    store.put_file(&plan.target, &mut source, &mut |_| ())?;
    Ok(true)
}

/// Brings the files of a merge here, several at once.
fn fetch(store: &Store, plan: &Merge, folder: &Path) -> Result<Sources, CompactError> {
    let mut sources = Sources::new();
    let mut files: Vec<&Piece> = Vec::new();
    for piece in &plan.pieces {
        if !sources.contains_key(&piece.place) {
            sources.insert(piece.place.clone(), folder.join(sources.len().to_string()));
            files.push(piece);
        }
    }
    at_once(&files, |piece| {
        let Some(path) = sources.get(&piece.place) else { return Ok(()) };
        let mut file = File::create_new(path).map_err(PublishError::io("create", path))?;
        match store.download(&piece.place, &mut file, path)? {
            true => Ok(()),
            false => Err(CompactError::Gone(piece.place.clone())),
        }
    })?;
    Ok(sources)
}

/// Changes the manifests, and removes the files that chunks have left. Returns how many chunks are no longer where they were planned to be.
fn move_chunks(store: &Store, plan: &Plan, mut known: Manifests) -> Result<u64, CompactError> {
    let mut moves: BTreeMap<&str, Vec<(&Piece, &str)>> = BTreeMap::new();
    for merge in &plan.merges {
        for piece in &merge.pieces {
            moves.entry(&piece.experiment).or_default().push((piece, &merge.target));
        }
    }
    let known: BTreeMap<&str, Mutex<Option<(Manifest, Version)>>> =
        moves.keys().map(|name| (*name, Mutex::new(known.remove(*name)))).collect();
    let overtaken = AtomicUsize::new(0);
    let left = Mutex::new(Vec::new());
    let moves: Vec<_> = moves.into_iter().collect();
    at_once(&moves, |(experiment, pieces)| {
        let known = known.get(experiment).and_then(|known| known.lock().ok()?.take());
        let lost = move_experiment(store, experiment, pieces, known)?;
        overtaken.fetch_add(lost.len(), Ordering::Relaxed);
        let has_left = |piece: &&Piece| !is_merged(&piece.place) && !lost.contains(&*piece.chunk);
        let places = pieces.iter().map(|(piece, _)| *piece).filter(has_left);
        if let Ok(mut left) = left.lock() {
            left.extend(places.map(|piece| piece.place.clone()));
        }
        Ok(())
    })?;
    store.delete_all(&left.into_inner().unwrap_or_default())?;
    Ok(overtaken.into_inner() as u64)
}

/// Returns the chunks that the manifest does not have, or has elsewhere.
fn move_experiment<'p>(
    store: &Store,
    experiment: &str,
    pieces: &[(&'p Piece, &str)],
    mut known: Option<(Manifest, Version)>,
) -> Result<BTreeSet<&'p str>, CompactError> {
    let Ok(name) = experiment.parse::<ExperimentName>().map(|name| Layout::manifest(&name)) else {
        return Ok(pieces.iter().map(|(piece, _)| &*piece.chunk).collect());
    };
    for _ in 0..TRIES {
        let (mut manifest, version) = match known.take() {
            Some(known) => known,
            None => match read_manifest(store, &name)? {
                Some(read) => read,
                // Somebody removed the experiment.
                None => return Ok(pieces.iter().map(|(piece, _)| &*piece.chunk).collect()),
            },
        };
        let mut lost = BTreeSet::new();
        let mut is_changed = false;
        for (piece, target) in pieces {
            let file = manifest.files.iter_mut().find(|file| file.name == piece.chunk);
            match file {
                Some(file) if file.object() == *target => {}
                Some(file) if file.object() == piece.place => {
                    file.compacted = Some((*target).to_owned());
                    is_changed = true;
                }
                _ => {
                    lost.insert(&*piece.chunk);
                }
            }
        }
        if !is_changed {
            return Ok(lost);
        }
        manifest.revision += 1;
        let bytes = Bytes::from(manifest.to_json());
        if store.update(&name, &bytes, Some(&version))?.is_some() {
            return Ok(lost);
        }
    }
    Err(CompactError::Contended { name })
}

fn read_manifest(store: &Store, name: &str) -> Result<Option<(Manifest, Version)>, PublishError> {
    let Some((bytes, version)) = store.read(name)? else { return Ok(None) };
    Ok(Some((Manifest::parse(&bytes, store.url(), name)?, version)))
}

fn read_manifests(store: &Store, names: &[String]) -> Result<Manifests, CompactError> {
    let manifests = Mutex::new(Manifests::new());
    at_once(names, |name| {
        if let Some((manifest, version)) = read_manifest(store, name)?
            && let Ok(mut manifests) = manifests.lock()
        {
            manifests.insert(manifest.experiment.clone(), (manifest, version));
        }
        Ok(())
    })?;
    Ok(manifests.into_inner().unwrap_or_default())
}

fn chunks(manifests: &Manifests) -> Vec<Chunk> {
    let of = |manifest: &Manifest| {
        let experiment = manifest.experiment.clone();
        let chunk = move |file: &PublishedFile| Chunk {
            experiment: experiment.clone(),
            topic: file.topic.clone(),
            name: file.name.clone(),
            place: file.object().to_owned(),
            rows: file.rows,
            bytes: file.bytes,
            first: file.first,
        };
        manifest.files.iter().map(chunk).collect::<Vec<_>>()
    };
    manifests.values().flat_map(|(manifest, _)| of(manifest)).collect()
}

/// Calls `each` with everything, on several threads. The first error is the answer, and ends the others after what they are at.
fn at_once<T: Sync>(
    all: &[T],
    each: impl Fn(&T) -> Result<(), CompactError> + Sync,
) -> Result<(), CompactError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(all.len()) {
            scope.spawn(|| {
                while let Some(item) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = each(item) {
                        next.store(all.len(), Ordering::Relaxed);
                        if let Ok(mut failed) = failed.lock() {
                            failed.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

impl Merged {
    fn of(merge: &Merge) -> Self {
        let places: BTreeSet<&str> = merge.pieces.iter().map(|piece| &*piece.place).collect();
        Self {
            name: merge.target.clone(),
            files: places.len() as u64,
            bytes: merge.pieces.iter().map(|piece| piece.bytes).sum(),
            rows: merge.pieces.iter().map(|piece| piece.rows).sum(),
        }
    }
}
