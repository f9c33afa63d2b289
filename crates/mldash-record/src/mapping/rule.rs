//! One entry of a mapping, and how it applies to a topic.

use std::fmt;

use super::calls::{CallKind, CallTopic, Half};
use super::settings::{Keys, Settings};
use super::topic_pattern::{Captures, TopicPattern};
use super::track_pattern::TrackPattern;
use crate::yaml::{Place, Placed};
use mldash_message::TypeName;

/// An entry of `topics`: which topics, and how they are recorded. Or one of `services` or `actions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(super) topic: Placed<TopicPattern>,
    pub(super) message_type: Option<Placed<TypeName>>,
    pub(super) keys: Keys,
    /// What it names instead of topics.
    pub(super) calls: Option<CallKind>,
}

/// The rule that a topic is recorded by.
#[derive(Clone, Debug)]
pub struct RuleMatch<'m> {
    /// The rule.
    pub rule: &'m Rule,
    /// What the wildcards of its topic match.
    pub captures: Captures,
    /// The rule's settings, completed by the defaults of the type.
    pub settings: Settings,
    /// What the topic tells of a service or an action, if the rule asks for those.
    pub call: Option<CallTopic>,
    /// The topic carries another type than the rule expects.
    pub type_conflict: Option<TypeConflict>,
}

/// A topic carries another type than its rule expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeConflict {
    /// The topic.
    pub topic: String,
    /// The rule's `type`.
    pub expected: TypeName,
    /// The topic's type.
    pub found: TypeName,
    /// The place of the rule's `type`.
    pub place: Place,
}

impl Rule {
    /// The topics it is for; of `services` and `actions`, their names.
    pub fn topic(&self) -> &TopicPattern {
        &self.topic.value
    }

    /// The type of their messages, if it is given.
    pub fn message_type(&self) -> Option<&TypeName> {
        self.message_type.as_ref().map(|message_type| &message_type.value)
    }

    /// Returns true if it takes every type that `other` takes.
    pub(super) fn takes_types_of(&self, other: &Self) -> bool {
        self.message_type().is_none_or(|ty| other.message_type() == Some(ty))
    }

    /// Its topic as written, with the type if one is given: several entries may have the same
    /// wildcard.
    pub fn label(&self) -> String {
        if let Some(kind) = self.calls {
            return format!("{kind} {}", self.topic());
        }
        let kind = if self.topic().is_regex() { "regex " } else { "" };
        match self.message_type() {
            Some(message_type) => format!("{kind}{} ({message_type})", self.topic()),
            None => format!("{kind}{}", self.topic()),
        }
    }

    /// Its place in the mapping's text.
    pub fn place(&self) -> Place {
        self.topic.spot.place
    }

    /// Its settings, completed by the built-in defaults. [`RuleMatch::settings`] also has its
    /// type's defaults.
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

impl RuleMatch<'_> {
    /// The tracks of the topic's messages.
    pub fn tracks(&self) -> Vec<TrackPattern> {
        match &self.call {
            None => vec![self.settings.track.clone()],
            Some(call) => {
                let halves = call.halves();
                let halves = halves.as_ref().map_or(&[Half::Request][..], |halves| halves);
                halves.iter().map(|half| call.track(*half)).collect()
            }
        }
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
