//! The topics of bags: which of them are recorded, and the messages of the others counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::mapping::{Mapping, Trigger, TriggerFault};
use crate::yaml::Place;
use crate::{Candidate, Decision, OfferedQos, TopicPlan};
use mldash_message::{Definitions, MessageType, RecordedDefinition, TypeName};

/// The limit on fields of all recorded topics together: each takes memory until the end.
const MAX_FIELDS: usize = 1 << 18;

/// Makes plans for the topics that the mapping asks for, as they appear, and counts the messages of
/// the others.
pub(super) struct BagTopics<'a> {
    mapping: &'a Mapping,
    definitions: &'a Definitions,
    known: HashMap<Meeting, Met>,
    /// By type and definition, so that each is resolved once.
    resolved: HashMap<(TypeName, Option<DefinitionId>), Result<Arc<MessageType>, String>>,
    /// By topic, the type that it is recorded as; the first if there are several.
    types: HashMap<String, String>,
    matched: HashSet<Place>,
    news: Vec<News>,
    numbers: usize,
    fields_left: usize,
    left_out: Vec<LeftOut>,
    /// Their numbers, by topic and whether it is refused.
    left_out_numbers: HashMap<(String, bool), usize>,
    /// Messages over the size limit, by the topic's number.
    too_large: BTreeMap<usize, u64>,
}

/// What the import does with a topic of a bag.
#[derive(Clone)]
pub(super) enum Met {
    Recorded(Recorded),
    /// Only counts its messages, under this number.
    LeftOut(usize),
}

/// A topic whose messages are read.
#[derive(Clone)]
pub(super) struct Recorded {
    /// Counted from 0 in the order in which topics appear.
    pub(super) number: usize,
    /// `None` if the messages only change parts.
    pub(super) plan: Option<Arc<TopicPlan>>,
}

/// A topic that is not recorded.
pub(super) struct LeftOut {
    pub(super) topic: String,
    /// As the bag writes it.
    pub(super) type_name: String,
    /// Whether it was to be recorded and can't be. Otherwise the mapping does not ask for it.
    pub(super) is_refused: bool,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// What a bag says about a topic.
pub(super) struct Channel<'c> {
    pub(super) topic: &'c str,
    pub(super) type_name: &'c str,
    pub(super) message_encoding: &'c str,
    /// The language of the definition, and its text.
    pub(super) definition: Option<(&'c str, &'c [u8])>,
    /// The profiles of its publishers, as rosbag2 writes them; empty if it does not.
    pub(super) offered_qos: &'c str,
}

/// What the recorder must know before the messages that follow.
pub(super) enum News {
    /// The topic with the next number, and how many messages its publishers keep for late
    /// subscribers.
    Topic { plan: Arc<TopicPlan>, kept: usize },
    /// The topic with the next number, whose messages are not recorded.
    Unrecorded { topic: String },
    /// Messages of the topic with the last number change parts.
    Trigger(Box<Trigger>),
    /// A topic that can't be recorded, and why.
    Refused { topic: String, reason: String },
}

/// A hash of the language and the text of a definition.
type DefinitionId = [u8; 32];

/// A topic with its type and definition, which may differ from bag to bag and within one.
#[derive(PartialEq, Eq, Hash)]
struct Meeting {
    topic: String,
    type_name: String,
    message_encoding: String,
    definition: Option<DefinitionId>,
}

impl<'a> BagTopics<'a> {
    pub(super) fn new(mapping: &'a Mapping, definitions: &'a Definitions) -> Self {
        Self {
            mapping,
            definitions,
            known: HashMap::new(),
            resolved: HashMap::new(),
            types: HashMap::new(),
            matched: HashSet::new(),
            news: Vec::new(),
            numbers: 0,
            fields_left: MAX_FIELDS,
            left_out: Vec::new(),
            left_out_numbers: HashMap::new(),
            too_large: BTreeMap::new(),
        }
    }

    /// Decides what the import does with a channel's topic.
    pub(super) fn meet(&mut self, channel: Channel<'_>) -> Met {
        let meeting = Meeting::of(&channel);
        if let Some(known) = self.known.get(&meeting) {
            return known.clone();
        }
        let topic = channel.topic;
        let triggers = self.triggers(&channel, meeting.definition);
        let met = match self.decide(&channel, meeting.definition) {
            Decision::NotAskedFor if !triggers.is_empty() => {
                self.news.push(News::Unrecorded { topic: topic.to_owned() });
                Met::Recorded(Recorded { number: self.next_number(), plan: None })
            }
            Decision::NotAskedFor => self.leave_out(topic, &channel, false),
            Decision::Record { plan, entry, .. } => {
                self.matched.insert(entry);
                tracing::info!("importing {} ({})", topic.escape_debug(), channel.type_name);
                let types = self.types.entry(topic.to_owned());
                types.or_insert_with(|| channel.type_name.to_owned());
                let offers = OfferedQos::read(channel.offered_qos);
                let kept = OfferedQos::kept(&offers);
                plan.declaration().note_offers(offers);
                let plan: Arc<TopicPlan> = plan.into();
                self.news.push(News::Topic { plan: plan.clone(), kept });
                Met::Recorded(Recorded { number: self.next_number(), plan: Some(plan) })
            }
            Decision::Refuse { reason, entry } => {
                self.matched.insert(entry);
                tracing::error!("{} is not imported: {reason}", topic.escape_debug());
                let is_second = self.types.contains_key(topic) && !channel.type_name.is_empty();
                let name = is_second.then(|| format!("{topic} ({})", channel.type_name));
                let topic = name.as_deref().unwrap_or(topic);
                self.news.push(News::Refused { topic: topic.to_owned(), reason });
                self.leave_out(topic, &channel, true)
            }
        };
        if let Met::Recorded(_) = met {
            self.news.extend(triggers.into_iter().map(Box::new).map(News::Trigger));
        }
        self.known.insert(meeting, met.clone());
        met
    }

    fn next_number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers - 1
    }

    /// What the mapping's `split_on` makes of the topic.
    fn triggers(&mut self, channel: &Channel<'_>, id: Option<DefinitionId>) -> Vec<Trigger> {
        let mapping = self.mapping;
        let mut triggers = Vec::new();
        for entry in mapping.split_on().iter().filter(|entry| entry.names(channel.topic)) {
            self.matched.insert(entry.place());
            let trigger = channel.type_name.parse::<TypeName>().map_err(|error| error.to_string());
            let trigger = trigger.and_then(|name| {
                let message = self.message_type(&name, channel, id)?;
                Trigger::new(&message, entry).map_err(|faults| TriggerFault::listed(&faults))
            });
            match trigger {
                Ok(trigger) => triggers.push(trigger),
                Err(reason) => {
                    let topic = entry.label();
                    tracing::error!("{topic} does nothing: {reason}");
                    self.news.push(News::Refused { topic, reason });
                }
            }
        }
        triggers
    }

    /// Counts a message of a topic that is not recorded.
    pub(super) fn count_left_out(&mut self, number: usize, bytes: u64) {
        if let Some(left_out) = self.left_out.get_mut(number) {
            left_out.messages += 1;
            left_out.bytes += bytes;
        }
    }

    /// Counts a message of a recorded topic that is over the size limit.
    pub(super) fn count_too_large(&mut self, number: usize) {
        *self.too_large.entry(number).or_default() += 1;
    }

    /// What is new since the last call.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Entries of the mapping for which no bag had a topic.
    pub(super) fn unmatched(&self) -> Vec<String> {
        self.mapping.topics_not_at(&self.matched)
    }

    /// Topics that are not recorded, each once.
    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The number of messages over the size limit, by the topic's number.
    pub(super) fn too_large(&self) -> impl Iterator<Item = (usize, u64)> {
        self.too_large.iter().map(|(number, messages)| (*number, *messages))
    }

    /// A topic can appear in many bags. It is left out under the same number then.
    fn leave_out(&mut self, topic: &str, channel: &Channel<'_>, is_refused: bool) -> Met {
        let new = self.left_out.len();
        let number = *self.left_out_numbers.entry((topic.to_owned(), is_refused)).or_insert(new);
        if number == new {
            self.left_out.push(LeftOut {
                topic: topic.to_owned(),
                type_name: channel.type_name.to_owned(),
                is_refused,
                messages: 0,
                bytes: 0,
            });
        }
        Met::LeftOut(number)
    }

    fn decide(&mut self, channel: &Channel<'_>, definition: Option<DefinitionId>) -> Decision {
        let recorded_as = self.types.get(channel.topic).cloned();
        let candidate = Candidate {
            topic: channel.topic,
            mapped_topic: channel.topic,
            type_name: channel.type_name,
            recorded_as: recorded_as.as_deref(),
        };
        let mut fields = 0;
        let decision = candidate.decide(self.mapping, |type_name| {
            let message = self.message_type(type_name, channel, definition)?;
            fields = message.leaves();
            if fields > self.fields_left {
                return Err(format!(
                    "together with the topics before it, its messages have more than {MAX_FIELDS} \
                     fields; import fewer topics at once"
                ));
            }
            Ok(message)
        });
        if let Decision::Record { .. } = decision {
            self.fields_left -= fields;
        }
        decision
    }

    /// The type of a channel whose messages are CDR, or why it is not known.
    fn message_type(
        &mut self,
        name: &TypeName,
        channel: &Channel<'_>,
        id: Option<DefinitionId>,
    ) -> Result<Arc<MessageType>, String> {
        if channel.message_encoding != "cdr" {
            let encoding = channel.message_encoding.escape_debug();
            return Err(format!("its messages are encoded as `{encoding}`; ROS 2 uses `cdr`"));
        }
        let definitions = self.definitions;
        let resolve = || {
            let recorded =
                channel.definition.map(|(encoding, text)| RecordedDefinition { encoding, text });
            definitions.resolve_recorded(name, recorded).map_err(|error| error.to_string())
        };
        self.resolved.entry((name.clone(), id)).or_insert_with(resolve).clone()
    }
}

impl Meeting {
    fn of(channel: &Channel<'_>) -> Self {
        let definition = channel.definition.map(|(encoding, text)| {
            let hash = Sha256::new().chain_update(encoding.len().to_le_bytes());
            hash.chain_update(encoding).chain_update(text).finalize().into()
        });
        Self {
            topic: channel.topic.to_owned(),
            type_name: channel.type_name.to_owned(),
            message_encoding: channel.message_encoding.to_owned(),
            definition,
        }
    }
}
