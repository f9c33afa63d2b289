//! Finds the topics of the graph that the mapping asks for, and how to subscribe to them. Runs
//! whenever the graph changes, to pick up late topics and notice publishers that change.

mod known;
mod seen;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::introspection::{self, Introspection};
use super::qos::{ChosenQos, Offer};
use crate::mapping::{CallTopic, Mapping, Qos, Rule, SplitOn};
use crate::message::{Definitions, MessageType, TypeName};
use crate::record::yaml::Place;
use crate::record::{Candidate, Decision, TopicPlan};
use crate::ros::rcl::{Node, PublisherInfo, TopicTypes};
use crate::ros::{NodeName, RosArguments, UnmatchedEntry};
use known::{Known, KnownType, Recording};

/// What to do about a topic, by its name on the graph.
pub(super) enum NewTopic {
    /// Subscribe and record.
    Record { topic: String, type_name: String, qos: ChosenQos, plan: Box<TopicPlan> },
    /// The publishers of a recorded topic have changed.
    Resubscribe { topic: String, type_name: String, qos: ChosenQos },
    /// Report that the topic can't be recorded.
    Refuse { name: String, reason: String },
}

/// Compares the mapping with the graph.
pub(super) struct Discovery {
    mapping: Mapping,
    definitions: Definitions,
    args: RosArguments,
    node: NodeName,
    /// By name on the graph.
    known: HashMap<String, Known>,
    /// The mapping's entries with a topic.
    matched: HashSet<Place>,
    introspection: Introspection,
}

/// What a name on the graph means to the mapping.
enum MappedName {
    /// The mapping's name for it: its name before remapping.
    As(String),
    /// Remapping gives its name to another topic, `to`, so the mapping can't refer to it.
    Shadowed { to: String },
}

impl Discovery {
    pub(super) fn new(
        mapping: Mapping,
        definitions: Definitions,
        args: RosArguments,
        node: NodeName,
    ) -> Self {
        let (known, matched) = (HashMap::new(), HashSet::new());
        let introspection = Introspection::default();
        Self { mapping, definitions, args, node, known, matched, introspection }
    }

    /// The name on the graph of the full name `name`: the same unless a remap rule applies. Topics of a
    /// service or an action go with its name.
    pub(super) fn name_on_graph(&self, name: &str) -> String {
        match CallTopic::of(name) {
            Some(call) => call.renamed(&self.args.remapped(&call.name, &self.node)),
            None => self.args.remapped(name, &self.node),
        }
    }

    /// Looks for services and actions that the mapping asks for and that tell nothing. Call it when the
    /// graph has changed.
    pub(super) fn look_at_calls(&mut self, node: &Node) {
        if self.mapping.calls().is_empty() {
            return;
        }
        match node.services() {
            Ok(mut services) => {
                // Nobody asks a recorder for its own.
                let own = format!("{}/", self.node.full_name());
                services.retain(|service| !service.starts_with(&own));
                let topics = self.topics(node);
                let mapped = |name: &str| match self.mapped(name) {
                    MappedName::As(name) => Some(name),
                    MappedName::Shadowed { .. } => None,
                };
                // A topic is listed too if it has only subscribers. If nobody can say, somebody may publish it.
                let has_events = |topic: &str| {
                    topics.contains_key(topic)
                        && node.publishers(topic).map_or(true, |found| !found.is_empty())
                };
                let silent = introspection::silent(&self.mapping, &services, mapped, has_events);
                self.introspection.note(silent, Instant::now());
            }
            Err(error) => tracing::warn!("can't list the services, trying again: {error}"),
        }
    }

    /// Services and actions that the mapping asks for and that tell nothing.
    pub(super) fn introspection(&mut self) -> &mut Introspection {
        &mut self.introspection
    }

    /// Topics that the mapping names with their type. They are subscribed to before anybody
    /// publishes them, so that no first message is missed.
    pub(super) fn expected(&mut self) -> Vec<NewTopic> {
        let named = self.mapping.rules().iter().filter(|rule| !rule.topic().is_glob());
        let typed = named.filter_map(|rule| {
            Some((rule.topic().absolute().to_owned(), rule.message_type()?.to_string()))
        });
        let expected: Vec<(String, String)> = typed.collect();
        let found = expected.into_iter().filter_map(|(mapped_name, type_name)| {
            let topic = self.name_on_graph(&mapped_name);
            match self.record(topic, &mapped_name, &type_name, &[]) {
                // Nobody publishes it yet. If it can't be recorded, that is reported when somebody
                // does.
                Some(NewTopic::Refuse { .. }) => None,
                found => found,
            }
        });
        let found: Vec<NewTopic> = found.collect();
        self.known.retain(|_, known| known.types.iter().any(|ty| ty.recording.is_some()));
        found
    }

    /// The topics of the graph, each with its types.
    pub(super) fn topics(&self, node: &Node) -> TopicTypes {
        node.topics().unwrap_or_else(|error| {
            tracing::warn!("can't list the topics, trying again: {error}");
            TopicTypes::new()
        })
    }

    /// The entries of `split_on`.
    pub(super) fn split_on(&self) -> &[SplitOn] {
        self.mapping.split_on()
    }

    /// The types that a topic is published as, each with the offers of its publishers.
    pub(super) fn offers_on(&self, node: &Node, topic: &str) -> BTreeMap<String, Vec<Offer>> {
        let mut by_type: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for publisher in publishers(node, topic) {
            let offers = by_type.entry(publisher.type_name.clone()).or_default();
            offers.push(Offer::of(&publisher));
        }
        by_type
    }

    /// The definition of a type, or why there is none.
    pub(super) fn definition(&self, name: &TypeName) -> Result<Arc<MessageType>, String> {
        self.definitions.resolve(name).map_err(|error| error.to_string())
    }

    /// Notes that the entry at this place has a topic.
    pub(super) fn note_matched(&mut self, entry: Place) {
        self.matched.insert(entry);
    }

    /// Entries of the mapping without a topic.
    pub(super) fn unmatched_entries(&self) -> Vec<UnmatchedEntry> {
        self.mapping.rules_not_at(&self.matched).map(UnmatchedEntry::of).collect()
    }

    /// The same as text.
    pub(super) fn unmatched(&self) -> Vec<String> {
        self.mapping.topics_not_at(&self.matched)
    }

    /// Handles a topic on the graph, listed with these types: returns what is new about it.
    pub(super) fn scan_topic(
        &mut self,
        node: &Node,
        name: String,
        listed: &[String],
    ) -> Vec<NewTopic> {
        let mapped_name = match self.mapped(&name) {
            MappedName::As(mapped_name) => mapped_name,
            MappedName::Shadowed { to } => return self.refuse_shadowed(name, listed, &to),
        };
        // Looking up a topic's publishers costs more than checking the mapping.
        if !self.known.contains_key(&name) && !self.is_wanted(&mapped_name, listed) {
            return Vec::new();
        }
        let publishers = publishers(node, &name);
        let mut types = types(&publishers);
        // The type that the mapping names goes first.
        if let Some(chosen) = self.mapping.first_type(&mapped_name, &types).cloned() {
            types.retain(|ty| *ty != chosen);
            types.insert(0, chosen);
        }
        let mut found = Vec::new();
        for type_name in &types {
            let offers = offers(&publishers, type_name);
            if self.known.get_mut(&name).and_then(|known| known.of(type_name)).is_some() {
                found.extend(self.review(&name, type_name, &offers));
            } else {
                found.extend(self.record(name.clone(), &mapped_name, type_name, &offers));
            }
        }
        found
    }

    /// Returns true if the mapping asks for a topic as any of these types.
    fn is_wanted(&self, mapped_name: &str, types: &[String]) -> bool {
        let rule_for = |ty: &String| self.mapping.rule_for(mapped_name, &ty.parse().ok()?);
        types.iter().any(|ty| rule_for(ty).is_some())
    }

    /// Handles a type that a topic is newly published as, if the mapping asks for it. Without
    /// offers, nobody publishes it yet.
    fn record(
        &mut self,
        topic: String,
        mapped_name: &str,
        type_name: &str,
        offers: &[Offer],
    ) -> Option<NewTopic> {
        let recorded_as = self.known.get(&topic).and_then(Known::recorded);
        let candidate =
            Candidate { topic: &topic, mapped_topic: mapped_name, type_name, recorded_as };
        let definitions = &self.definitions;
        let decision = candidate.decide(&self.mapping, |type_name| {
            definitions.resolve(type_name).map_err(|error| error.to_string())
        });
        let (plan, wanted, entry) = match decision {
            Decision::NotAskedFor => return None,
            Decision::Record { plan, qos, entry } => (Ok(plan), qos, entry),
            Decision::Refuse { reason, entry } => (Err(reason), Qos::default(), entry),
        };
        let qos = ChosenQos::adapted(&wanted, offers);
        if !offers.is_empty() {
            self.matched.insert(entry);
        }
        let recording = plan.as_ref().ok().map(|plan| {
            let declaration = plan.declaration().clone();
            declaration.note_offers(Offer::noted(offers));
            Recording::new(wanted, qos, declaration)
        });
        let known = self.known.entry(topic.clone()).or_default();
        let is_only = known.types.iter().all(|ty| !ty.is_published);
        let is_published = !offers.is_empty();
        let type_name = type_name.to_owned();
        known.types.push(KnownType { name: type_name.clone(), is_published, recording });
        Some(match plan {
            Ok(plan) => NewTopic::Record { topic, type_name, qos, plan },
            Err(reason) => {
                let name = if is_only { topic } else { format!("{topic} ({type_name})") };
                NewTopic::Refuse { name, reason }
            }
        })
    }

    /// Marks the topic as refused: it could not be subscribed to as this type.
    pub(super) fn set_refused(&mut self, topic: &str, type_name: &str) {
        let known = self.known.get_mut(topic).and_then(|known| known.of(type_name));
        if let Some(known) = known {
            known.recording = None;
        }
    }

    /// Notes that somebody publishes, or has published, a topic as this type.
    pub(super) fn note_published(&mut self, topic: &str, type_name: &str) {
        if let (MappedName::As(mapped_name), Ok(ty)) = (self.mapped(topic), type_name.parse())
            && let Some(rule) = self.mapping.rule_for(&mapped_name, &ty)
        {
            self.matched.insert(rule.rule.place());
        }
    }

    /// Checks whether the publishers of a handled topic and type have changed their offers.
    fn review(&mut self, topic: &str, type_name: &str, offers: &[Offer]) -> Option<NewTopic> {
        if offers.is_empty() {
            // The next publisher probably offers the same again.
            return None;
        }
        let known = self.known.get_mut(topic)?.of(type_name)?;
        if !std::mem::replace(&mut known.is_published, true) {
            self.note_published(topic, type_name);
        }
        let recording = self.known.get_mut(topic)?.of(type_name)?.recording.as_mut()?;
        recording.declaration.note_offers(Offer::noted(offers));
        let qos = ChosenQos::adapted(&recording.wanted, offers);
        if qos != recording.qos {
            recording.qos = qos;
            let (topic, type_name) = (topic.to_owned(), type_name.to_owned());
            return Some(NewTopic::Resubscribe { topic, type_name, qos });
        }
        let nodes = recording.newly_incompatible(offers)?;
        let reason = format!(
            "nothing comes from {nodes}, which offers less than the mapping's `qos` asks for ({qos}); \
             `qos: auto` takes what there is"
        );
        Some(NewTopic::Refuse { name: format!("{topic} (of {nodes})"), reason })
    }

    /// Handles a topic whose name remapping gives to another. Reports it once, if the mapping would
    /// otherwise ask for it.
    fn refuse_shadowed(&mut self, name: String, listed: &[String], to: &str) -> Vec<NewTopic> {
        if self.known.contains_key(&name) || !self.is_wanted(&name, listed) {
            return Vec::new();
        }
        let reason = format!(
            "a remap rule leads `{name}` to `{to}`, which is recorded in its place; leave the rule out \
             to record both"
        );
        self.known.insert(name.clone(), Known::default());
        vec![NewTopic::Refuse { name, reason }]
    }

    /// The mapping's name for a topic of the graph. An entry that names a remapped topic refers to
    /// the one that it is remapped to.
    fn mapped(&self, name: &str) -> MappedName {
        let named = |rules: &'_ [Rule]| {
            let named = rules.iter().map(Rule::topic).filter(|topic| !topic.is_glob());
            named.map(|topic| topic.absolute().to_owned()).collect::<Vec<_>>()
        };
        // A service's topics go with its name.
        let calls = CallTopic::of(name).into_iter().flat_map(|call| {
            named(self.mapping.calls()).into_iter().map(move |name| call.renamed(&name))
        });
        let mut named = named(self.mapping.rules()).into_iter().chain(calls);
        let remapped = named.find(|topic| topic != name && self.name_on_graph(topic) == name);
        if let Some(remapped) = remapped {
            return MappedName::As(remapped);
        }
        let to = self.name_on_graph(name);
        if to == name { MappedName::As(to) } else { MappedName::Shadowed { to } }
    }
}

fn publishers(node: &Node, topic: &str) -> Vec<PublisherInfo> {
    node.publishers(topic).unwrap_or_else(|error| {
        tracing::warn!("can't list the publishers of {topic}, trying again: {error}");
        Vec::new()
    })
}

/// The types that a topic is published as, each once.
fn types(publishers: &[PublisherInfo]) -> Vec<String> {
    let types: BTreeSet<&String> = publishers.iter().map(|p| &p.type_name).collect();
    types.into_iter().cloned().collect()
}

/// The offers of those that publish a type.
fn offers(publishers: &[PublisherInfo], type_name: &str) -> Vec<Offer> {
    publishers.iter().filter(|p| p.type_name == type_name).map(Offer::of).collect()
}
