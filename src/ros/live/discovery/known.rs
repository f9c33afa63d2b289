//! What discovery remembers of the topics that it has handled.

use std::collections::HashSet;

use crate::mapping::Qos;
use crate::record::Declaration;
use crate::ros::live::qos::{ChosenQos, Offer};

/// How many nodes with incompatible publishers are named for one topic: names such as those of the
/// `ros2` command have no end.
const MAX_WARNED_OF: usize = 100;

/// A topic that was handled, with the types that it was published as, in order of appearance.
#[derive(Default)]
pub(super) struct Known {
    pub(super) types: Vec<KnownType>,
}

pub(super) struct KnownType {
    pub(super) name: String,
    /// Whether somebody has published it; otherwise only the mapping expects it.
    pub(super) is_published: bool,
    /// `None` if refused.
    pub(super) recording: Option<Recording>,
}

/// How a topic is recorded as a type.
pub(super) struct Recording {
    pub(super) wanted: Qos,
    pub(super) qos: ChosenQos,
    pub(super) declaration: Declaration,
    /// Nodes with incompatible publishers that were already warned about.
    warned_of: HashSet<String>,
}

impl Recording {
    pub(super) fn new(wanted: Qos, qos: ChosenQos, declaration: Declaration) -> Self {
        Self { wanted, qos, declaration, warned_of: HashSet::new() }
    }

    /// Nodes with incompatible publishers not yet warned about.
    pub(super) fn newly_incompatible(&mut self, offers: &[Offer]) -> Option<String> {
        let Self { qos, warned_of, .. } = self;
        let mut is_new =
            |node: &&str| warned_of.len() < MAX_WARNED_OF && warned_of.insert((*node).to_owned());
        let new: Vec<&str> = qos.deaf_to(offers).into_iter().filter(&mut is_new).collect();
        (!new.is_empty()).then(|| new.join(", "))
    }
}

impl Known {
    /// The type that it is recorded as; the first if there are several.
    pub(super) fn recorded(&self) -> Option<&str> {
        let recorded = self.types.iter().find(|ty| ty.recording.is_some())?;
        Some(&recorded.name)
    }

    pub(super) fn of(&mut self, type_name: &str) -> Option<&mut KnownType> {
        self.types.iter_mut().find(|ty| ty.name == type_name)
    }
}
