//! The topics of bags, held against the mapping as a live graph's are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mcap::Channel;

use crate::mapping::{Mapping, Place};
use crate::message::{MessageType, TypeName};
use crate::record::{Recorder, TopicPlan};

/// Gives the recorder the topics that the mapping wants, as they are met.
pub(super) struct BagTopics<'a> {
    mapping: &'a Mapping,
    recorder: &'a mut Recorder,
    /// The recorder's numbers; `None` when not recorded.
    known: HashMap<Definition, Option<usize>>,
    /// The type that a topic is recorded as.
    types: HashMap<String, TypeName>,
    matched: HashSet<Place>,
}

/// A topic with its type and its definition, which may differ from bag to bag.
#[derive(PartialEq, Eq, Hash)]
struct Definition {
    topic: String,
    message_encoding: String,
    schema: Option<(String, String, Vec<u8>)>,
}

/// What the mapping makes of a topic.
enum Wanted {
    No,
    Record(Box<TopicPlan>, TypeName),
    /// It can't be recorded, and why.
    Refuse(String),
}

impl<'a> BagTopics<'a> {
    pub(super) fn new(mapping: &'a Mapping, recorder: &'a mut Recorder) -> Self {
        Self {
            mapping,
            recorder,
            known: HashMap::new(),
            types: HashMap::new(),
            matched: HashSet::new(),
        }
    }

    pub(super) fn recorder(&mut self) -> &mut Recorder {
        self.recorder
    }

    /// The recorder's number of a channel's topic; `None` when it is not recorded.
    pub(super) fn number(&mut self, channel: &Channel<'_>) -> Option<usize> {
        let definition = Definition::of(channel);
        if let Some(known) = self.known.get(&definition) {
            return *known;
        }
        let topic = &channel.topic;
        let number = match self.consider(channel) {
            Wanted::No => None,
            Wanted::Record(plan, type_name) => {
                tracing::info!("importing {topic} ({type_name})");
                self.types.insert(topic.clone(), type_name);
                Some(self.recorder.add_topic(*plan))
            }
            Wanted::Refuse(reason) => {
                tracing::error!("{topic} is not imported: {reason}");
                let other_type = channel.schema.as_ref().filter(|_| self.types.contains_key(topic));
                let name = other_type.map(|schema| format!("{topic} ({})", schema.name));
                self.recorder.refuse(name.unwrap_or_else(|| topic.clone()), reason);
                None
            }
        };
        self.known.insert(definition, number);
        number
    }

    /// Notes what no bag had.
    pub(super) fn finish(self) {
        self.recorder.set_unmatched(self.mapping.topics_not_at(&self.matched));
    }

    fn consider(&mut self, channel: &Channel<'_>) -> Wanted {
        let schema = channel.schema.as_deref();
        let named = schema.map_or("", |schema| schema.name.as_str());
        let Ok(type_name) = named.parse::<TypeName>() else {
            let Some(rule) = self.mapping.rule_naming(&channel.topic) else { return Wanted::No };
            self.matched.insert(rule.place());
            return Wanted::Refuse(if named.is_empty() {
                "the bag does not say what type it has".to_owned()
            } else {
                format!("its type `{named}` is not one of ROS 2")
            });
        };
        let Some(rule) = self.mapping.rule_for(&channel.topic, &type_name) else {
            return Wanted::No;
        };
        self.matched.insert(rule.rule.place());
        if let Some(other) = self.types.get(&channel.topic)
            && *other != type_name
        {
            return Wanted::Refuse(format!(
                "it is {type_name} here and {other} elsewhere in the bags; messages of {other} are \
                 imported, these are not"
            ));
        }
        let plan = definition(&type_name, channel).and_then(|definition| {
            TopicPlan::new(&channel.topic, &channel.topic, &definition, &rule)
                .map_err(|error| error.to_string())
        });
        match plan {
            Ok(plan) => Wanted::Record(Box::new(plan), type_name),
            Err(reason) => Wanted::Refuse(reason),
        }
    }
}

/// The type of a channel whose messages are CDR; else why it is not known.
fn definition(name: &TypeName, channel: &Channel<'_>) -> Result<Arc<MessageType>, String> {
    if channel.message_encoding != "cdr" {
        let encoding = &channel.message_encoding;
        return Err(format!("its messages are in `{encoding}`; those of ROS 2 are in `cdr`"));
    }
    match channel.schema.as_deref() {
        Some(schema) if !schema.encoding.is_empty() => {
            // Comments may be in any encoding.
            let text = String::from_utf8_lossy(&schema.data);
            let definition = match schema.encoding.as_str() {
                "ros2msg" => MessageType::from_bundle(name, &text),
                "ros2idl" => MessageType::from_idl_bundle(name, &text),
                other => {
                    return Err(format!(
                        "its definition is in `{other}`; those of ROS 2 are in `ros2msg` or `ros2idl`"
                    ));
                }
            };
            definition.map_err(|error| error.to_string())
        }
        _ => Err("the bag does not have its definition".to_owned()),
    }
}

impl Definition {
    fn of(channel: &Channel<'_>) -> Self {
        let schema = channel.schema.as_deref();
        Self {
            topic: channel.topic.clone(),
            message_encoding: channel.message_encoding.clone(),
            schema: schema.map(|s| (s.name.clone(), s.encoding.clone(), s.data.to_vec())),
        }
    }
}
