//! `services` and `actions`: what their hidden topics tell of calls, asked for by the name of the
//! service or action. Nobody needs to know what these topics are called.
//!
//! | topic | tracks |
//! |---|---|
//! | `/add/_service_event` | `add/request`, `add/response` |
//! | `/reach/_action/send_goal/_service_event` | `reach/send_goal/request`, `reach/send_goal/response` |
//! | the same of `get_result` and `cancel_goal` | likewise |
//! | `/reach/_action/feedback`, `/reach/_action/status` | `reach/feedback`, `reach/status` |

use std::fmt;

use super::Mapping;
use super::rule::Rule;
use super::settings::{Keys, Settings, Stamp};
use super::topic_pattern::{Captures, TopicPattern, TopicPatternError};
use super::track_pattern::TrackPattern;
use crate::yaml::{Item, Place, Placed, Problems, Section, Spot};
use mldash_message::{FieldSelection, SelectedField};

/// What [service introspection](https://docs.ros.org/en/jazzy/Concepts/Intermediate/About-Services.html)
/// adds to a service's name.
const EVENT: &str = "/_service_event";
/// What comes before the topics and services of an action.
const ACTION: &str = "/_action/";
/// The service of an action that every action has.
const SEND_GOAL: &str = "/_action/send_goal";
const ACTION_PARTS: [(&str, CallPart); 5] = [
    ("feedback", CallPart::Feedback),
    ("status", CallPart::Status),
    ("send_goal/_service_event", CallPart::Event("/send_goal")),
    ("get_result/_service_event", CallPart::Event("/get_result")),
    ("cancel_goal/_service_event", CallPart::Event("/cancel_goal")),
];
/// The word for all of them.
const ALL: &str = "all";
const ALL_GLOB: &str = "/**";
const HINT: &str = "write `all`, a name such as `/add_two_ints`, or a list of names and globs";

/// A service or an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// A request and a response.
    Service,
    /// A goal, feedback and a result.
    Action,
}

/// Services and actions to record, as options name them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallSelection {
    /// Names and globs of services.
    pub services: Vec<TopicPattern>,
    /// The same of actions.
    pub actions: Vec<TopicPattern>,
}

/// What a hidden topic is to a service or an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTopic {
    /// Whose topic it is.
    pub kind: CallKind,
    /// The service's or action's name.
    pub name: String,
    pub(crate) part: CallPart,
}

/// The part of a call that a topic tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallPart {
    /// Events of a service. Its tracks are below this, of an action.
    Event(&'static str),
    Feedback,
    Status,
}

/// The halves of an event's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Request,
    Response,
}

impl CallSelection {
    /// A name, a glob, or the word `all`.
    ///
    /// # Errors
    /// Fails if it is none of them.
    pub fn pattern(text: &str) -> Result<TopicPattern, TopicPatternError> {
        let text = if text == ALL { ALL_GLOB } else { text };
        text.parse()
    }

    /// What asks for all of them.
    pub fn all() -> Vec<TopicPattern> {
        Self::pattern(ALL).into_iter().collect()
    }

    /// Returns true if nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.actions.is_empty()
    }

    /// The same, and what another one asks for.
    pub fn and(mut self, other: Self) -> Self {
        self.services.extend(other.services);
        self.actions.extend(other.actions);
        self
    }

    /// What is asked for of each kind.
    pub(super) fn of_kinds(&self) -> [(CallKind, &[TopicPattern]); 2] {
        [(CallKind::Service, self.services.as_slice()), (CallKind::Action, self.actions.as_slice())]
    }

    /// As a mapping writes this entry: `all`, or `None` for what is written like a topic.
    pub(super) fn word(pattern: &TopicPattern) -> Option<&'static str> {
        (pattern.to_string() == ALL_GLOB).then_some(ALL)
    }
}

impl CallKind {
    /// The mapping's key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Action => "actions",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Action => "action",
        })
    }
}

impl CallTopic {
    /// What this topic of a graph or a bag is, if it is one of a service or an action.
    pub fn of(topic: &str) -> Option<Self> {
        if let Some((name, part)) = topic.split_once(ACTION) {
            let (_, part) = ACTION_PARTS.iter().find(|(known, _)| *known == part)?;
            return Some(Self { kind: CallKind::Action, name: name.to_owned(), part: *part });
        }
        let name = topic.strip_suffix(EVENT)?.to_owned();
        Some(Self { kind: CallKind::Service, name, part: CallPart::Event("") })
    }

    /// The events that tell the calls of a service of a graph. An action has three services, of which
    /// the one that sends goals stands for all.
    pub fn events_of(service: &str) -> Option<Self> {
        match service.contains(ACTION) && !service.ends_with(SEND_GOAL) {
            true => None,
            false => Self::of(&format!("{service}{EVENT}")),
        }
    }

    /// The topic of this one's kind that another service or action has.
    pub fn renamed(&self, name: &str) -> String {
        let below = match (self.kind, self.part) {
            (CallKind::Service, _) => EVENT.to_owned(),
            (CallKind::Action, part) => {
                let known = ACTION_PARTS.iter().find(|(_, known)| *known == part);
                format!("{ACTION}{}", known.map_or("", |(text, _)| text))
            }
        };
        format!("{name}{below}")
    }

    /// What the wildcard of its tracks stands for.
    pub(super) fn captures(&self) -> Captures {
        Captures::of_name(&self.name)
    }

    /// The halves of a call, if the topic tells both.
    pub(crate) fn halves(&self) -> Option<[Half; 2]> {
        matches!(self.part, CallPart::Event(_)).then_some([Half::Request, Half::Response])
    }

    /// How messages of the topic become rows; of events, those of one half. `fields` are the names of
    /// the request's or response's fields.
    pub(crate) fn settings(&self, mut settings: Settings, half: Half, fields: &[&str]) -> Settings {
        match self.part {
            CallPart::Event(_) => {
                settings.fields = FieldSelection::Only(event_fields(half, fields));
                settings.stamp = "info.stamp".parse().map_or(Stamp::Receive, Stamp::Field);
            }
            // Their messages have no stamp; that of a status is the goal's.
            CallPart::Feedback => settings.stamp = Stamp::Receive,
            CallPart::Status => {
                settings.stamp = Stamp::Receive;
                settings.each = "status_list".parse().ok();
            }
        }
        settings.track = self.track(half);
        settings
    }

    /// The track, with the name of the service or action as its first wildcard.
    pub(super) fn track(&self, half: Half) -> TrackPattern {
        let below = match (self.part, half) {
            (CallPart::Event(of), Half::Request) => format!("{of}/request"),
            (CallPart::Event(of), Half::Response) => format!("{of}/response"),
            (CallPart::Feedback, _) => "/feedback".to_owned(),
            (CallPart::Status, _) => "/status".to_owned(),
        };
        TrackPattern::of_first_wildcard(&below)
    }
}

/// The columns of an event: what ROS says of the call, and the fields of the half under their own
/// names, unless one of them is called like ROS's.
fn event_fields(half: Half, fields: &[&str]) -> Vec<SelectedField> {
    let message = match half {
        Half::Request => "request",
        Half::Response => "response",
    };
    let prefix = if fields.contains(&"info") { format!("{message}.") } else { String::new() };
    let info = ["info.event_type", "info.client_gid", "info.sequence_number"];
    let info = info.map(|path| (path.to_owned(), path.to_owned())).into_iter();
    let own =
        fields.iter().map(|field| (format!("{prefix}{field}"), format!("{message}[0].{field}")));
    let selected = |(column, path): (String, String)| {
        let path = path.parse().ok()?;
        Some(SelectedField { column, path })
    };
    info.chain(own).filter_map(selected).collect()
}

impl Rule {
    /// An entry of `services` or `actions`.
    fn of_calls(kind: CallKind, topic: Placed<TopicPattern>) -> Self {
        Self { topic, message_type: None, keys: Keys::default(), calls: Some(kind) }
    }

    /// Whether the entry asks for the service or action of this topic.
    fn takes_call(&self, call: &CallTopic) -> bool {
        self.calls == Some(call.kind) && self.topic().captures(&call.name).is_some()
    }
}

/// The entries of `services` and `actions`.
pub(super) fn read(mapping: &Section<'_>, problems: &mut Problems) -> Vec<Rule> {
    let mut rules = Vec::new();
    for kind in [CallKind::Service, CallKind::Action] {
        let Some(item) = mapping.get(kind.key()) else { continue };
        let items = item.one_or_list(problems).unwrap_or_default();
        rules.extend(items.iter().filter_map(|item| {
            let pattern = entry(item, problems)?;
            Some(Rule::of_calls(kind, item.place(pattern)))
        }));
    }
    rules
}

fn entry(item: &Item<'_>, problems: &mut Problems) -> Option<TopicPattern> {
    if item.is_word(ALL) {
        return ALL_GLOB.parse().ok();
    }
    item.parse(HINT, problems)
}

impl Mapping {
    /// The same with services and actions besides those that the mapping's text names. Their line is 0.
    pub fn with_calls(mut self, calls: &CallSelection) -> Self {
        for (kind, patterns) in calls.of_kinds() {
            for pattern in patterns {
                // No two entries are at one place.
                let place = Place { line: 0, column: self.calls.len() + 1 };
                let spot = Spot { place, key_path: kind.key().to_owned() };
                let topic = Placed { value: pattern.clone(), spot };
                self.calls.push(Rule::of_calls(kind, topic));
            }
        }
        self
    }

    /// The entries of `services` and `actions`.
    pub fn calls(&self) -> &[Rule] {
        &self.calls
    }

    /// Those of them that the mapping's text does not have.
    pub fn calls_beside_text(&self) -> impl Iterator<Item = &Rule> {
        self.calls.iter().filter(|rule| rule.place().line == 0)
    }

    /// The entry that asks for this service or action: the one that names it, else the first glob, unless
    /// it is excluded.
    pub fn rule_for_call(&self, call: &CallTopic) -> Option<&Rule> {
        let mut taking = self.calls.iter().filter(|rule| rule.takes_call(call));
        let named = taking.clone().find(|rule| !rule.topic().is_glob());
        named.or_else(|| taking.next().filter(|_| !self.excludes(&call.name)))
    }
}
