//! What manifests say of chunks, and how chunks move in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use mldash_track::ExperimentName;

use super::super::error::PublishError;
use super::super::layout::Layout;
use super::super::manifests::{WORKERS, each_manifest, read_manifest};
use super::super::store::Store;
use super::chunks::{Chunks, Rest};
use super::error::CompactError;
use super::plan::{Limits, Piece, Plan, Rule, is_merged};
use crate::at_once::at_once;

/// Tries to change a manifest that others change.
const TRIES: usize = 20;

/// Reads what the manifests of a project say, as far as it is of `rest`.
pub(super) fn read_chunks(
    store: &Store,
    rule: &Rule,
    limits: Limits,
    project: &str,
    rest: &Rest,
) -> Result<Chunks, PublishError> {
    let mut chunks = Chunks::new(rule, limits, project, rest);
    each_manifest(store, &Layout::manifests(project), |_, manifest| {
        let experiment = Arc::from(manifest.experiment);
        manifest.files.iter().for_each(|file| chunks.add(&experiment, file));
        Ok(())
    })?;
    Ok(chunks)
}

/// Changes the manifests, and removes the files that chunks have left. Returns how many chunks are no longer where they were planned to be.
pub(super) fn move_chunks(store: &Store, plan: &Plan) -> Result<u64, CompactError> {
    let mut moves: BTreeMap<&str, Vec<(&Piece, &str)>> = BTreeMap::new();
    for merge in &plan.merges {
        for piece in &merge.pieces {
            moves.entry(&piece.experiment).or_default().push((piece, &merge.target));
        }
    }
    let moves: Vec<_> = moves.into_iter().collect();
    let lost = at_once(&moves, WORKERS, |(experiment, pieces)| {
        move_experiment(store, experiment, pieces)
    })?;
    let mut left = Vec::new();
    for ((_, pieces), lost) in moves.iter().zip(&lost) {
        let has_left = |piece: &&Piece| !is_merged(&piece.place) && !lost.contains(&*piece.chunk);
        let pieces = pieces.iter().map(|(piece, _)| *piece).filter(has_left);
        left.extend(pieces.map(|piece| piece.place.clone()));
    }
    store.delete_all(&left)?;
    Ok(lost.iter().map(|lost| lost.len() as u64).sum())
}

/// Returns the chunks that the manifest does not have, or has elsewhere.
fn move_experiment<'p>(
    store: &Store,
    experiment: &str,
    pieces: &[(&'p Piece, &str)],
) -> Result<BTreeSet<&'p str>, CompactError> {
    let all_lost = || pieces.iter().map(|(piece, _)| &*piece.chunk).collect();
    let Ok(name) = experiment.parse::<ExperimentName>().map(|name| Layout::manifest(&name)) else {
        return Ok(all_lost());
    };
    for _ in 0..TRIES {
        // Somebody may have removed the experiment.
        let Some((mut manifest, version)) = read_manifest(store, &name)? else {
            return Ok(all_lost());
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
