//! `split_on`: topics whose messages end and begin parts of a recording. A button or a teleop node
//! drives it that way. `save_on` is the same for a snapshot, which messages can only save.

mod trigger;

use std::fmt;
use std::str::FromStr;

pub use trigger::{Trigger, TriggerFault};

use super::keys;
use super::snapshot::SAVE_ON;
use super::template::{self, LoneBrace, Part};
use super::topic_pattern::TopicPattern;
use crate::yaml::{Item, KeyTable, Place, Placed, Problems, Section};
use mldash_message::{FieldPath, PathError, TypeName};
use mldash_track::LabelChange;

pub(super) const SPLIT_ON: &str = "split_on";
const ENTRY: &str = "write `{topic: /episode}`, or `{topic: /joy, field: buttons[3], becomes: 1}`";
const VALUE: &str = "write `becomes: 1` for the message with which it turns to that value, or `equals: 1` for each one that has it";
const FIELD: &str =
    "write the field that is compared, such as `field: buttons[3]` or `field: data`";
const PATTERN: &str = "write a text; fields of the message such as `{data}` fill in";
const TYPE: &str = "write a type such as `sensor_msgs/msg/Joy`";
pub(super) const ACTIONS: [(&str, PartAction); 4] = [
    ("split", PartAction::Split),
    ("discard", PartAction::Discard),
    ("stop", PartAction::Stop),
    ("start", PartAction::Start),
];

/// What happens to the part that is recorded. A part is one experiment, one episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartAction {
    /// It ends, and the next begins.
    Split,
    /// It is marked as not to be used and ends, and the next begins.
    Discard,
    /// It ends, and nothing is recorded until a start.
    Stop,
    /// The next begins.
    Start,
    /// What a [snapshot](super::Snapshot) holds becomes a part of its own.
    Save,
}

/// An action, and what is said with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartChange {
    /// The action.
    pub action: PartAction,
    /// What is said of the part that ends.
    pub ended: LabelChange,
    /// What is said of the part that begins.
    pub begun: LabelChange,
}

impl PartChange {
    /// The action alone.
    pub fn new(action: PartAction) -> Self {
        Self { action, ended: LabelChange::new(), begun: LabelChange::new() }
    }
}

/// An entry of `split_on` or `save_on`.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitOn {
    pub(super) topic: Placed<TopicPattern>,
    pub(super) message_type: Option<Placed<TypeName>>,
    pub(crate) condition: Option<Condition>,
    pub(crate) action: Placed<ActionPattern>,
    /// The task of the part that begins.
    pub(crate) task: Option<Placed<FieldText>>,
    /// Whether the part that ends succeeded.
    pub(crate) success: Option<bool>,
}

/// Which messages act; without one, every message does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) field: Placed<FieldPath>,
    /// As it is written. What it means depends on the field's type.
    pub(crate) value: Placed<String>,
    /// Whether only the first of several messages in a row acts that have the value.
    pub(crate) is_edge: bool,
}

/// What a message does: always the same, or what a field of it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ActionPattern {
    Always(PartAction),
    Said(FieldText),
}

/// A text with fields of the message in braces: `pick the {data}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldText {
    pieces: Vec<Piece>,
    fields: Vec<FieldPath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The next of the fields.
    Field,
}

/// Why a text is not a [`FieldText`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldTextError {
    /// A brace without its partner.
    #[error(transparent)]
    Brace(#[from] LoneBrace),
    /// The text between braces is not a field.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl SplitOn {
    /// The topic's absolute name, before remapping.
    pub fn topic(&self) -> &str {
        self.topic.value.absolute()
    }

    /// Returns true if this is `topic`, a topic of a graph or a bag.
    pub fn names(&self, topic: &str) -> bool {
        self.topic.value.names(topic)
    }

    /// The type that its messages have; without it, the first one that the topic is published as.
    pub fn message_type(&self) -> Option<&TypeName> {
        self.message_type.as_ref().map(|ty| &ty.value)
    }

    /// Where the entry stands.
    pub fn place(&self) -> Place {
        self.topic.spot.place
    }

    /// What messages call it.
    pub fn label(&self) -> String {
        format!("{} {}", self.key(), self.topic())
    }

    /// The mapping's key that it stands under.
    pub fn key(&self) -> &'static str {
        match self.always() {
            Some(PartAction::Save) => SAVE_ON,
            _ => SPLIT_ON,
        }
    }

    /// What its messages do, unless they say it themselves.
    pub(super) fn always(&self) -> Option<PartAction> {
        match self.action.value {
            ActionPattern::Always(action) => Some(action),
            ActionPattern::Said(_) => None,
        }
    }
}

impl FieldText {
    /// The fields that [`expand`](Self::expand) needs, in its order.
    pub(crate) fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    /// The text with these values; `None` if one is missing.
    pub(crate) fn expand(&self, values: &[Option<String>]) -> Option<String> {
        let mut values = values.iter();
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Field => text.push_str(values.next()?.as_deref()?),
            }
        }
        Some(text)
    }
}

impl FromStr for FieldText {
    type Err = FieldTextError;

    fn from_str(text: &str) -> Result<Self, FieldTextError> {
        let (mut pieces, mut fields) = (Vec::new(), Vec::new());
        for part in template::parts(text)? {
            match part {
                Part::Text(plain) => pieces.push(Piece::Text(plain.to_owned())),
                Part::Placeholder(field) => {
                    fields.push(field.parse()?);
                    pieces.push(Piece::Field);
                }
            }
        }
        Ok(Self { pieces, fields })
    }
}

impl fmt::Display for FieldText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.fields.iter();
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(plain) => f.write_str(plain),
            Piece::Field => fields.next().map_or(Ok(()), |field| write!(f, "{{{field}}}")),
        })
    }
}

/// The entries of `split_on` and of `save_on`: one of each, or lists.
pub(super) fn read(mapping: &Section<'_>, problems: &mut Problems) -> Vec<SplitOn> {
    let mut all = Vec::new();
    for (key, keys) in [(SPLIT_ON, &keys::SPLITTER), (SAVE_ON, &keys::SAVER)] {
        let entries = mapping.get(key).and_then(|item| item.one_or_list(problems));
        let default = if key == SAVE_ON { PartAction::Save } else { PartAction::Split };
        let entries = entries.into_iter().flatten();
        all.extend(entries.filter_map(|item| entry(&item, keys, default, problems)));
    }
    all
}

fn entry(
    item: &Item<'_>,
    keys: &'static KeyTable,
    default: PartAction,
    problems: &mut Problems,
) -> Option<SplitOn> {
    if item.is_scalar() {
        item.mismatch("an entry with a topic", Some(ENTRY), problems);
        return None;
    }
    let section = item.section(keys, problems)?;
    let message_type =
        section.get("type").and_then(|item| Some(item.place(item.parse(TYPE, problems)?)));
    let condition = condition(&section, problems);
    // What a message of `save_on` does is no question.
    let asked = (default != PartAction::Save).then(|| section.get("do")).flatten();
    let action = match asked {
        None => Some(item.place(ActionPattern::Always(default))),
        Some(item) => action(item, problems).map(|action| item.place(action)),
    };
    let task =
        section.get("task").and_then(|item| Some(item.place(item.parse(PATTERN, problems)?)));
    let success = section.get("success").and_then(|item| item.truth(problems));
    if let (Some(item), Some(action)) = (section.get("success"), &action)
        && action.value == ActionPattern::Always(PartAction::Start)
    {
        let hint = "give it to the entry that ends the part";
        problems.add(&item.spot, "`do: start` ends no part", Some(hint.to_owned()));
    }
    if let (Some(item), Some(action)) = (section.get("task"), &action)
        && action.value == ActionPattern::Always(PartAction::Stop)
    {
        let hint = "give it to the entry that begins a part";
        problems.add(&item.spot, "`do: stop` begins no part", Some(hint.to_owned()));
    }
    let Some(topic) = section.get("topic") else {
        problems.add(&section.spot, "`topic` is missing", Some(ENTRY.to_owned()));
        return None;
    };
    let pattern: TopicPattern = topic.parse(ENTRY, problems)?;
    if pattern.is_glob() {
        let message = format!("`{pattern}` is a glob; name one topic");
        problems.add(&topic.spot, message, Some(ENTRY.to_owned()));
        return None;
    }
    let topic = topic.place(pattern);
    Some(SplitOn { topic, message_type, condition, action: action?, task, success })
}

fn condition(section: &Section<'_>, problems: &mut Problems) -> Option<Condition> {
    let field = section.get("field");
    let (becomes, equals) = (section.get("becomes"), section.get("equals"));
    let (value, is_edge) = match (becomes, equals) {
        (Some(_), Some(equals)) => {
            let message = "`becomes` and `equals` exclude each other";
            problems.add(&equals.spot, message, Some(VALUE.to_owned()));
            return None;
        }
        (Some(value), None) => (value, true),
        (None, Some(value)) => (value, false),
        (None, None) => {
            if let Some(field) = field {
                let message = "`field` without a value to compare it with";
                problems.add(&field.spot, message, Some(VALUE.to_owned()));
            }
            return None;
        }
    };
    let Some(field) = field else {
        problems.add(&value.spot, "a value without `field`", Some(FIELD.to_owned()));
        return None;
    };
    let path: FieldPath = field.parse(FIELD, problems)?;
    let text = value.text(problems)?.to_owned();
    Some(Condition { field: field.place(path), value: value.place(text), is_edge })
}

fn action(item: &Item<'_>, problems: &mut Problems) -> Option<ActionPattern> {
    if item.is_scalar() && item.text(problems)?.contains('{') {
        return item.parse(PATTERN, problems).map(ActionPattern::Said);
    }
    item.choice(&ACTIONS, problems).map(ActionPattern::Always)
}

/// The action that a message names.
pub(crate) fn named_action(word: &str) -> Option<PartAction> {
    ACTIONS.iter().find(|(known, _)| *known == word.trim()).map(|(_, action)| *action)
}
