//! One entry of a mapping, and what it says of a topic on the graph.

use std::fmt;

use super::problem::{Place, Placed};
use super::settings::{Keys, Settings};
use super::topic::{Captures, TopicPattern};
use mldash_message::TypeName;

/// An entry of `topics`: which topics, and how they are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(super) topic: Placed<TopicPattern>,
    pub(super) message_type: Option<Placed<TypeName>>,
    pub(super) keys: Keys,
}

/// The rule that a topic is recorded by.
#[derive(Clone, Debug)]
pub struct RuleMatch<'m> {
    /// The rule.
    pub rule: &'m Rule,
    /// What the wildcards of its topic stand for.
    pub captures: Captures,
    /// What the rule says, the type's defaults filling in.
    pub settings: Settings,
    /// The topic carries another type than the rule expects.
    pub type_conflict: Option<TypeConflict>,
}

/// A topic carries another type than its rule expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeConflict {
    /// The topic.
    pub topic: String,
    /// What the rule's `type` says.
    pub expected: TypeName,
    /// What the topic carries.
    pub found: TypeName,
    /// Where the mapping says so.
    pub place: Place,
}

impl Rule {
    /// The topics it is for.
    pub fn topic(&self) -> &TopicPattern {
        &self.topic.value
    }

    /// The type of their messages, if it says.
    pub fn message_type(&self) -> Option<&TypeName> {
        self.message_type.as_ref().map(|message_type| &message_type.value)
    }

    /// Returns true if it takes every type that `other` takes.
    pub(super) fn takes_types_of(&self, other: &Self) -> bool {
        self.message_type().is_none_or(|ty| other.message_type() == Some(ty))
    }

    /// Its topic as it is written, with the type where it says one: several entries may be for the
    /// same wildcard.
    pub fn label(&self) -> String {
        match self.message_type() {
            Some(message_type) => format!("{} ({message_type})", self.topic()),
            None => self.topic().to_string(),
        }
    }

    /// Where it stands in the mapping's text.
    pub fn place(&self) -> Place {
        self.topic.spot.place
    }

    /// What it says, the built-in defaults filling in. [`RuleMatch::settings`] knows its type's
    /// defaults too.
    pub fn settings(&self) -> Settings {
        self.keys.with_defaults()
    }

    pub(super) fn type_conflict(&self, topic: &str, found: &TypeName) -> Option<TypeConflict> {
        let expected = self.message_type.as_ref()?;
        (expected.value != *found).then(|| TypeConflict {
            topic: topic.to_owned(),
            expected: expected.value.clone(),
            found: found.clone(),
            place: expected.spot.place,
        })
    }
}

impl fmt::Display for TypeConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, expected, found, place } = self;
        write!(
            f,
            "`{topic}` carries {found}, but line {} of the mapping expects {expected}; correct its \
             `type:` or leave it out",
            place.line
        )
    }
}
