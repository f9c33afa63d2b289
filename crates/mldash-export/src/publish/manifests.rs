//! Reads manifests: several at once, few in memory.

use super::error::PublishError;
use super::manifest::Manifest;
use super::store::{Store, Version};
use crate::at_once::at_once;

/// Requests at once: each is small and waits for the store's answer.
pub(super) const WORKERS: usize = 8;
/// Manifests in memory: a few kilobytes each.
const IN_MEMORY: usize = 1000;

/// Calls `take` with each manifest below a folder, and with its name.
pub(super) fn each_manifest(
    store: &Store,
    folder: &str,
    mut take: impl FnMut(&str, Manifest) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let mut names = Vec::new();
    let mut read = |names: &mut Vec<String>| -> Result<(), PublishError> {
        store.check_stop()?;
        let manifests = at_once(names, WORKERS, |name| read_manifest(store, name))?;
        for (name, read) in names.drain(..).zip(manifests) {
            if let Some((manifest, _)) = read {
                take(&name, manifest)?;
            }
        }
        Ok(())
    };
    store.list(folder, |object| {
        if object.name.ends_with(".json") {
            names.push(object.name);
        }
        // The list of a folder may lack what is replaced meanwhile, so it takes no longer than it must.
        match names.len() >= IN_MEMORY && !store.is_folder() {
            true => read(&mut names),
            false => Ok(()),
        }
    })?;
    while !names.is_empty() {
        let mut some = names.split_off(names.len().saturating_sub(IN_MEMORY));
        read(&mut some)?;
    }
    Ok(())
}

/// Reads a manifest; `None` if it is not there.
pub(super) fn read_manifest(
    store: &Store,
    name: &str,
) -> Result<Option<(Manifest, Version)>, PublishError> {
    let Some((json, version)) = store.read(name)? else { return Ok(None) };
    Ok(Some((Manifest::parse(&json, store.url(), name)?, version)))
}
