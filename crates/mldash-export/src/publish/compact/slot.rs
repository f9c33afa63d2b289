//! What is being merged in a project: one object, changed only under the condition that nobody else did.
//!
//! Whoever finds a plan there carries it out before making another one. So no two merges ever take the same rows, and what a killed compactor left
//! half done is finished by the next.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::error::PublishError;
use super::super::layout::{COMPACTIONS, Layout};
use super::super::manifest::FORMAT;
use super::super::store::{Store, Version};
use super::super::stored_json;
use super::plan::Plan;

/// The slot of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slot {
    format: u32,
    /// Grows with every plan, so that no merged file ever has the name of another.
    pub(super) generation: u64,
    /// What is being done.
    pub(super) plan: Option<Plan>,
    /// Whether all merged files of the plan stand. Only from then on do manifests name them, and only until then can the plan be given up.
    #[serde(default)]
    pub(super) stands: bool,
    /// The last plan that was given up. Whoever has put files of it meanwhile removes them.
    #[serde(default)]
    given_up: u64,
}

/// Calls `tell` with each merged file that somebody is putting, or that manifests are about to name.
pub(in super::super) fn each_planned_file(
    store: &Store,
    mut tell: impl FnMut(&str),
) -> Result<(), PublishError> {
    let mut slots = Vec::new();
    store.list(COMPACTIONS, |object| {
        slots.push(object.name);
        Ok(())
    })?;
    for name in slots {
        let plan = Held::read_named(store, name)?.slot.plan;
        plan.iter().flat_map(|plan| &plan.merges).for_each(|merge| tell(&merge.target));
    }
    Ok(())
}

/// A slot as it was read.
#[derive(Debug)]
pub(super) struct Held {
    name: String,
    pub(super) slot: Slot,
    version: Option<Version>,
}

impl Held {
    /// The slot of a project: `owner=…/project=…`.
    pub(super) fn read(store: &Store, project: &str) -> Result<Self, PublishError> {
        Self::read_named(store, Layout::compaction(project))
    }

    fn read_named(store: &Store, name: String) -> Result<Self, PublishError> {
        let Some((bytes, version)) = store.read(&name)? else {
            return Ok(Self { name, slot: Slot::default(), version: None });
        };
        let slot = stored_json::parse(&bytes, store.url(), &name)?;
        Ok(Self { name, slot, version: Some(version) })
    }

    /// Begins a plan of this generation. Returns false if somebody else did something.
    pub(super) fn begin(
        &mut self,
        store: &Store,
        plan: Plan,
        generation: u64,
    ) -> Result<bool, PublishError> {
        let slot = Slot { generation, plan: Some(plan), stands: false, ..self.slot.clone() };
        self.replace(store, slot)
    }

    /// From now on, manifests may name the plan's files.
    pub(super) fn stand(&mut self, store: &Store) -> Result<bool, PublishError> {
        self.replace(store, Slot { stands: true, ..self.slot.clone() })
    }

    /// The plan is done.
    pub(super) fn clear(&mut self, store: &Store) -> Result<bool, PublishError> {
        self.replace(store, Slot { plan: None, stands: false, ..self.slot.clone() })
    }

    /// The plan does not stand, and never will.
    pub(super) fn give_up(&mut self, store: &Store) -> Result<bool, PublishError> {
        let given_up = self.slot.generation;
        self.replace(store, Slot { plan: None, given_up, ..self.slot.clone() })
    }

    /// Whether somebody else has given up the plan that is held here.
    pub(super) fn was_given_up(&self, store: &Store) -> Result<bool, PublishError> {
        Ok(Self::read_named(store, self.name.clone())?.slot.given_up == self.slot.generation)
    }

    fn replace(&mut self, store: &Store, mut slot: Slot) -> Result<bool, PublishError> {
        slot.format = FORMAT;
        // Only strings, numbers and lists: there is nothing that could fail.
        let bytes = serde_json::to_vec(&slot).unwrap_or_default();
        match store.update(&self.name, &Bytes::from(bytes), self.version.as_ref())? {
            Some(version) => {
                (self.slot, self.version) = (slot, Some(version));
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
