//! Carries plans out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use mldash_track::ExperimentName;
use tempfile::TempDir;

use super::super::error::PublishError;
use super::super::layout::{COMPACTED, Layout, MANIFESTS, within_project};
use super::super::manifests::WORKERS;
use super::super::store::{Source, Store};
use super::chunks::{Chunks, Rest};
use super::error::CompactError;
use super::manifests::{move_chunks, read_chunks};
use super::merge::{Sources, merge};
use super::plan::{Limits, Merge, Piece, Plan, Plans, Rule, generation_in};
use super::slot::Held;
use crate::at_once::at_once;

/// How often a project is looked at anew, if others change it all the time.
const ROUNDS: usize = 20;

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
    compact_within(store, rule, Limits::default(), dry_run, tell)
}

pub(super) fn compact_within(
    store: &Store,
    rule: &Rule,
    limits: Limits,
    dry_run: bool,
    tell: &mut dyn FnMut(&Merged),
) -> Result<Compaction, CompactError> {
    let mut projects = BTreeSet::new();
    store.list(MANIFESTS, |object| {
        if let Some(project) = Layout::project_of_manifest(&object.name)
            && !projects.contains(project)
        {
            projects.insert(project.to_owned());
        }
        Ok(())
    })?;
    let mut merged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if !dry_run {
        store.list(COMPACTED, |object| {
            if let Some(project) = Layout::project_of_merged(&object.name) {
                merged.entry(project).or_default().push(object.name);
            }
            Ok(())
        })?;
    }
    let mut all = Compaction::default();
    let mut failed = None;
    for project in projects {
        let done = if dry_run {
            look(store, rule, limits, &project, &mut all)
        } else {
            let merged = merged.remove(&project).unwrap_or_default();
            compact_project(store, rule, limits, &project, &merged, &mut all, tell)
        };
        match done {
            Err(error) if !matches!(error, CompactError::Publish(PublishError::Stopped)) => {
                // Other projects have nothing to do with it.
                failed = failed.or(Some(error));
            }
            done => done?,
        }
    }
    failed.map_or(Ok(all), Err)
}

/// Says what would be merged of a project.
fn look(
    store: &Store,
    rule: &Rule,
    limits: Limits,
    project: &str,
    all: &mut Compaction,
) -> Result<(), CompactError> {
    let mut rest = Rest::default();
    loop {
        let chunks = read_chunks(store, rule, limits, project, &rest)?;
        let later = chunks.rest();
        let mut plans = chunks.into_plans();
        while let Some(plan) = plans.next(0) {
            all.merged.extend(plan.merges.iter().map(Merged::of));
        }
        let Some(later) = later else { return Ok(()) };
        rest = later;
    }
}

/// `merged` are the project's merged files, as they were listed before.
fn compact_project(
    store: &Store,
    rule: &Rule,
    limits: Limits,
    project: &str,
    merged: &[String],
    all: &mut Compaction,
    tell: &mut dyn FnMut(&Merged),
) -> Result<(), CompactError> {
    let mut rounds = 0;
    let mut gone = None;
    let mut rest = Rest::default();
    while rounds < ROUNDS {
        rounds += 1;
        store.check_stop()?;
        let mut held = Held::read(store, project)?;
        if held.slot.plan.is_some() {
            carry_out(store, &mut held, all, tell)?;
            continue;
        }
        // Listed and read after the slot. So they have all experiments whose rows lie in merged files now: what is published from here on has files of
        // its own, until a plan takes them, and then the slot is another one.
        let chunks = read_chunks(store, rule, limits, project, &rest)?;
        remove_unnamed(store, merged, held.slot.generation, &chunks)?;
        let later = chunks.rest();
        match carry_out_all(store, &mut held, chunks.into_plans(), all, tell)? {
            Done::All { overtaken: 0 } => match later {
                Some(later) => (rest, rounds) = (later, 0),
                None => return Ok(()),
            },
            Done::All { .. } | Done::Otherwise => {}
            // Its publisher has replaced it meanwhile, or the manifest still names it.
            Done::Gone(name) if gone.as_ref() == Some(&name) => {
                return Err(CompactError::Gone(name));
            }
            Done::Gone(name) => gone = Some(name),
        }
    }
    Err(CompactError::Contended { name: project.to_owned() })
}

/// Removes merged files that no manifest names, since all their rows were replaced: nobody would write them again without these.
/// There was no plan when the slot had this generation, and `chunks` were read after it. So they name all that will ever be named of this generation and
/// of those before.
fn remove_unnamed(
    store: &Store,
    merged: &[String],
    generation: u64,
    chunks: &Chunks,
) -> Result<(), PublishError> {
    let is_over = |name: &&String| generation_in(name).is_some_and(|of| of <= generation);
    let unnamed = merged.iter().filter(is_over).filter(|name| !chunks.names(name));
    store.delete_all(&unnamed.cloned().collect::<Vec<_>>())
}

/// Begins and carries out plan after plan. All are made of manifests that were read once: as long as the slot is what this compactor wrote last, nobody else has
/// moved a chunk.
fn carry_out_all(
    store: &Store,
    held: &mut Held,
    mut plans: Plans,
    all: &mut Compaction,
    tell: &mut dyn FnMut(&Merged),
) -> Result<Done, CompactError> {
    let mut sum = 0;
    loop {
        store.check_stop()?;
        let generation = held.slot.generation + 1;
        let Some(plan) = plans.next(generation) else { return Ok(Done::All { overtaken: sum }) };
        if !held.begin(store, plan, generation)? {
            return Ok(Done::Otherwise);
        }
        match carry_out(store, held, all, tell)? {
            Done::All { overtaken } => sum += overtaken,
            other => return Ok(other),
        }
    }
}

/// Does what the slot says.
fn carry_out(
    store: &Store,
    held: &mut Held,
    all: &mut Compaction,
    tell: &mut dyn FnMut(&Merged),
) -> Result<Done, CompactError> {
    let Some(plan) = held.slot.plan.clone() else { return Ok(Done::Otherwise) };
    if !held.slot.stands {
        let mut put = Vec::new();
        for merge in &plan.merges {
            store.check_stop()?;
            match put_merged(store, merge) {
                Ok(true) => put.push(Merged::of(merge)),
                Ok(false) => {}
                // Its publisher has replaced it, or another compactor is done with all of this.
                Err(CompactError::Gone(name)) => {
                    give_up(store, held, &plan)?;
                    return Ok(Done::Gone(name));
                }
                Err(error) => return Err(error),
            }
        }
        let stands = held.stand(store)?;
        if !stands && held.was_given_up(store)? {
            remove_targets(store, &plan)?;
            return Ok(Done::Otherwise);
        }
        put.iter().for_each(&mut *tell);
        all.merged.append(&mut put);
        if !stands {
            return Ok(Done::Otherwise);
        }
    }
    let overtaken = move_chunks(store, &plan)?;
    all.overtaken += overtaken;
    store.delete_all(&plan.retired)?;
    match held.clear(store)? {
        true => Ok(Done::All { overtaken }),
        // Another compactor has finished the same, and may be at something else.
        false => Ok(Done::Otherwise),
    }
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
    at_once(&files, WORKERS, |piece| {
        let Some(path) = sources.get(&piece.place) else { return Ok(()) };
        let mut file = File::create_new(path).map_err(PublishError::io("create", path))?;
        match store.download(&piece.place, &mut file, path)? {
            true => Ok(()),
            false => Err(CompactError::Gone(piece.place.clone())),
        }
    })?;
    Ok(sources)
}

impl Merged {
    fn of(merge: &Merge) -> Self {
        let places: BTreeSet<&str> = merge.pieces.iter().map(|piece| &*piece.place).collect();
        Self {
            name: merge.target.clone(),
            files: places.len() as u64,
            bytes: merge.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.bytes)),
            rows: merge.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.rows)),
        }
    }
}
