//! The topics of bags, held against the mapping as a live graph's are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::mapping::{Mapping, Place};
use crate::message::{Definitions, MessageType, TypeName};
use crate::record::TopicPlan;

/// Makes plans for the topics that the mapping wants, as they are met.
pub(super) struct BagTopics<'a> {
    mapping: &'a Mapping,
    definitions: &'a Definitions,
    /// `None` when not recorded.
    known: HashMap<Definition, Option<Recorded>>,
    /// The type that a topic is recorded as.
    types: HashMap<String, TypeName>,
    matched: HashSet<Place>,
    news: Vec<News>,
    numbers: usize,
}

/// A topic that is recorded.
#[derive(Clone)]
pub(super) struct Recorded {
    /// Counted from 0 in the order in which they are met.
    pub(super) number: usize,
    pub(super) plan: Arc<TopicPlan>,
}

/// What a bag says of a topic.
pub(super) struct Channel<'c> {
    pub(super) topic: &'c str,
    pub(super) type_name: &'c str,
    pub(super) message_encoding: &'c str,
    /// What the definition is written in, and its text.
    pub(super) definition: Option<(&'c str, &'c [u8])>,
}

/// What the recorder is to know before the messages that come then.
pub(super) enum News {
    /// The topic of the next number.
    Topic(Arc<TopicPlan>),
    /// A topic that can't be recorded, and why.
    Refused { topic: String, reason: String },
}

/// A topic with its type and its definition, which may differ from bag to bag.
#[derive(PartialEq, Eq, Hash)]
struct Definition {
    topic: String,
    type_name: String,
    message_encoding: String,
    definition: Option<(String, Vec<u8>)>,
}

/// What the mapping makes of a topic.
enum Wanted {
    No,
    Record(Arc<TopicPlan>, TypeName),
    /// It can't be recorded, and why.
    Refuse(String),
}

impl<'a> BagTopics<'a> {
    pub(super) fn new(mapping: &'a Mapping, definitions: &'a Definitions) -> Self {
        Self {
            mapping,
            definitions,
            known: HashMap::new(),
            types: HashMap::new(),
            matched: HashSet::new(),
            news: Vec::new(),
            numbers: 0,
        }
    }

    /// How a channel's topic is recorded, if it is.
    pub(super) fn recorded(&mut self, channel: Channel<'_>) -> Option<Recorded> {
        let definition = Definition::of(&channel);
        if let Some(known) = self.known.get(&definition) {
            return known.clone();
        }
        let topic = channel.topic;
        let recorded = match self.consider(&channel) {
            Wanted::No => None,
            Wanted::Record(plan, type_name) => {
                tracing::info!("importing {topic} ({type_name})");
                self.types.insert(topic.to_owned(), type_name);
                self.news.push(News::Topic(plan.clone()));
                let number = self.numbers;
                self.numbers += 1;
                Some(Recorded { number, plan })
            }
            Wanted::Refuse(reason) => {
                tracing::error!("{topic} is not imported: {reason}");
                let is_second = self.types.contains_key(topic) && !channel.type_name.is_empty();
                let name = is_second.then(|| format!("{topic} ({})", channel.type_name));
                let topic = name.unwrap_or_else(|| topic.to_owned());
                self.news.push(News::Refused { topic, reason });
                None
            }
        };
        self.known.insert(definition, recorded.clone());
        recorded
    }

    /// What is new since this was asked last.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Entries of the mapping that no bag had a topic for.
    pub(super) fn unmatched(&self) -> Vec<String> {
        self.mapping.topics_not_at(&self.matched)
    }

    fn consider(&mut self, channel: &Channel<'_>) -> Wanted {
        let named = channel.type_name;
        let Ok(type_name) = named.parse::<TypeName>() else {
            let Some(rule) = self.mapping.rule_naming(channel.topic) else { return Wanted::No };
            self.matched.insert(rule.place());
            return Wanted::Refuse(if named.is_empty() {
                "the bag does not say what type it has".to_owned()
            } else {
                format!("its type `{named}` is not one of ROS 2")
            });
        };
        let Some(rule) = self.mapping.rule_for(channel.topic, &type_name) else {
            return Wanted::No;
        };
        self.matched.insert(rule.rule.place());
        if let Some(other) = self.types.get(channel.topic)
            && *other != type_name
        {
            return Wanted::Refuse(format!(
                "it is {type_name} here and {other} elsewhere in the bags; messages of {other} are \
                 imported, these are not"
            ));
        }
        let plan = self.definition(&type_name, channel).and_then(|definition| {
            TopicPlan::new(channel.topic, channel.topic, &definition, &rule)
                .map_err(|error| error.to_string())
        });
        match plan {
            Ok(plan) => Wanted::Record(Arc::new(plan), type_name),
            Err(reason) => Wanted::Refuse(reason),
        }
    }

    /// The type of a channel whose messages are CDR; else why it is not known.
    fn definition(
        &self,
        name: &TypeName,
        channel: &Channel<'_>,
    ) -> Result<Arc<MessageType>, String> {
        if channel.message_encoding != "cdr" {
            let encoding = channel.message_encoding;
            return Err(format!("its messages are in `{encoding}`; those of ROS 2 are in `cdr`"));
        }
        let (encoding, text) = channel.definition.unwrap_or_default();
        // Comments may be in any encoding.
        let text = String::from_utf8_lossy(text);
        let definition = match encoding {
            "ros2msg" => MessageType::from_bundle(name, &text),
            "ros2idl" => MessageType::from_idl_bundle(name, &text),
            "" => {
                let installed = self.definitions.resolve(name);
                return installed
                    .map_err(|error| format!("the bag does not have its definition, and {error}"));
            }
            other => {
                return Err(format!(
                    "its definition is in `{other}`; those of ROS 2 are in `ros2msg` or `ros2idl`"
                ));
            }
        };
        definition.map_err(|error| error.to_string())
    }
}

impl Definition {
    fn of(channel: &Channel<'_>) -> Self {
        let definition =
            channel.definition.map(|(encoding, text)| (encoding.to_owned(), text.to_vec()));
        Self {
            topic: channel.topic.to_owned(),
            type_name: channel.type_name.to_owned(),
            message_encoding: channel.message_encoding.to_owned(),
            definition,
        }
    }
}
