//! Which topics of the graph the mapping wants, and how to subscribe to them: looked up again and
//! again, so that late topics are picked up and publishers that change are noticed.

use std::collections::{BTreeSet, HashMap, HashSet};

use r2r::QosProfile;

use super::qos::{ChosenQos, Offer};
use super::{NodeName, RosArguments};
use crate::mapping::{Durability, Mapping, Place, Qos, Reliability, RuleMatch};
use crate::message::{Definitions, TypeName};
use crate::record::TopicPlan;

/// Something to do about a topic of the graph; its name is the mapping's, which rcl remaps.
pub(super) enum NewTopic {
    /// Subscribe and record.
    Record { name: String, type_name: String, qos: ChosenQos, plan: Box<TopicPlan> },
    /// A publisher came that the topic's subscription gets nothing from.
    Resubscribe { name: String, type_name: String, qos: ChosenQos },
    /// It can't be recorded.
    Refuse { name: String, reason: String },
}

/// The mapping held against the graph.
pub(super) struct Discovery {
    mapping: Mapping,
    definitions: Definitions,
    args: RosArguments,
    node: NodeName,
    /// By name on the graph.
    known: HashMap<String, Known>,
    /// The mapping's entries that a topic was found for.
    matched: HashSet<Place>,
}

/// A topic that was dealt with.
struct Known {
    type_name: String,
    /// `None` when refused.
    recording: Option<Recording>,
    /// Other types that it was reported to have.
    other_types: HashSet<String>,
}

struct Recording {
    wanted: Qos,
    qos: ChosenQos,
}

impl Discovery {
    pub(super) fn new(
        mapping: Mapping,
        definitions: Definitions,
        args: RosArguments,
        node: NodeName,
    ) -> Self {
        Self { mapping, definitions, args, node, known: HashMap::new(), matched: HashSet::new() }
    }

    /// What the graph has that is not dealt with yet.
    pub(super) fn scan(&mut self, node: &r2r::Node) -> Vec<NewTopic> {
        let mut graph: Vec<(String, Vec<String>)> = match node.get_topic_names_and_types() {
            Ok(graph) => graph.into_iter().collect(),
            Err(error) => {
                tracing::warn!("can't list the topics, trying again: {error}");
                return Vec::new();
            }
        };
        graph.sort();
        let found = graph.into_iter().filter_map(|(name, types)| {
            if self.known.contains_key(&name) {
                self.review(node, &name)
            } else {
                self.consider(node, name, &types)
            }
        });
        found.collect()
    }

    /// Entries of the mapping that no topic was found for.
    pub(super) fn unmatched(&self) -> Vec<String> {
        self.mapping.topics_not_at(&self.matched)
    }

    /// A topic that is new, if the mapping wants it and somebody publishes it.
    fn consider(&mut self, node: &r2r::Node, name: String, listed: &[String]) -> Option<NewTopic> {
        // Asking for the publishers of a topic costs more than asking the mapping.
        if let [only] = listed {
            self.mapping.rule_for(&self.name_before_remap(&name), &only.parse().ok()?)?;
        }
        let publishers = publishers(node, &name);
        let types = types(&publishers);
        let type_name = self.choose_type(&name, &types)?;
        let parsed: TypeName = type_name.parse().ok()?;
        let mapped_name = self.name_before_remap(&name);
        let rule = self.mapping.rule_for(&mapped_name, &parsed)?;
        let qos = ChosenQos::adapted(&rule.settings.qos, &offers(&publishers, &type_name));
        let wanted = rule.settings.qos;
        self.matched.insert(rule.rule.place());
        let plan = Self::plan(&self.definitions, &name, &mapped_name, &parsed, &rule);
        let mut known = Known {
            type_name: type_name.clone(),
            recording: None,
            other_types: types.iter().filter(|t| **t != type_name).cloned().collect(),
        };
        if !known.other_types.is_empty() {
            tracing::error!(
                "{name} has several types on the graph: {}; recording {type_name}",
                types.join(", ")
            );
        }
        let found = match plan {
            Ok(plan) => {
                known.recording = Some(Recording { wanted, qos });
                NewTopic::Record { name: mapped_name, type_name, qos, plan: Box::new(plan) }
            }
            Err(reason) => NewTopic::Refuse { name: name.clone(), reason },
        };
        self.known.insert(name, known);
        Some(found)
    }

    fn plan(
        definitions: &Definitions,
        name: &str,
        mapped_name: &str,
        type_name: &TypeName,
        rule: &RuleMatch<'_>,
    ) -> Result<TopicPlan, String> {
        let definition = definitions.resolve(type_name).map_err(|error| error.to_string())?;
        TopicPlan::new(name, mapped_name, &definition, rule).map_err(|error| error.to_string())
    }

    /// A topic that is dealt with: has its type or what its publishers offer changed?
    fn review(&mut self, node: &r2r::Node, name: &str) -> Option<NewTopic> {
        let known = self.known.get_mut(name)?;
        let recording = known.recording.as_mut()?;
        let publishers = publishers(node, name);
        for other in types(&publishers).iter().filter(|t| **t != known.type_name) {
            if known.other_types.insert(other.clone()) {
                let reason = format!(
                    "it is now published as {other} too; messages of that type are not recorded, \
                     those of {} are",
                    known.type_name
                );
                return Some(NewTopic::Refuse { name: format!("{name} ({other})"), reason });
            }
        }
        let offers = offers(&publishers, &known.type_name);
        if offers.is_empty() || offers.iter().all(|offer| recording.qos.is_served_by(offer)) {
            return None;
        }
        let qos = ChosenQos::adapted(&recording.wanted, &offers);
        if qos == recording.qos {
            return None;
        }
        recording.qos = qos;
        let type_name = known.type_name.clone();
        let name = self.name_before_remap(name);
        Some(NewTopic::Resubscribe { name, type_name, qos })
    }

    /// The type to record: the one that the mapping names if the topic has it, else its first.
    fn choose_type(&self, name: &str, types: &[String]) -> Option<String> {
        let mapped_name = self.name_before_remap(name);
        let parsed = types.iter().filter_map(|t| Some((t, t.parse::<TypeName>().ok()?)));
        let wanted = parsed.into_iter().find(|(_, parsed)| {
            let rule = self.mapping.rule_for(&mapped_name, parsed);
            rule.is_some_and(|rule| rule.type_conflict.is_none())
        });
        wanted.map(|(name, _)| name.clone()).or_else(|| types.first().cloned())
    }

    /// What the mapping calls a topic: an entry that names one which is remapped means the topic
    /// that it is remapped to.
    fn name_before_remap(&self, name: &str) -> String {
        let explicit = self.mapping.rules().iter().map(|rule| rule.topic());
        let mut named = explicit.filter(|topic| !topic.is_glob()).map(|topic| topic.absolute());
        let remapped =
            named.find(|topic| *topic != name && self.args.remapped(topic, &self.node) == name);
        remapped.unwrap_or(name).to_owned()
    }
}

/// Somebody who publishes a topic.
struct Publisher {
    type_name: String,
    offer: Offer,
}

/// The publishers of a topic. r2r's list of topics and types is good for a topic's first type only:
/// where there are several it reads the next topic's instead.
fn publishers(node: &r2r::Node, name: &str) -> Vec<Publisher> {
    let infos = node.get_publishers_info_by_topic(name, false).unwrap_or_default();
    let publishers = infos
        .into_iter()
        .map(|info| Publisher { offer: offer(&info.qos_profile), type_name: info.topic_type });
    publishers.collect()
}

/// The types that a topic is published as, each once.
fn types(publishers: &[Publisher]) -> Vec<String> {
    let types: BTreeSet<&String> = publishers.iter().map(|p| &p.type_name).collect();
    types.into_iter().cloned().collect()
}

/// What those who publish a type offer.
fn offers(publishers: &[Publisher], type_name: &str) -> Vec<Offer> {
    publishers.iter().filter(|p| p.type_name == type_name).map(|p| p.offer).collect()
}

fn offer(profile: &QosProfile) -> Offer {
    use r2r::qos::{DurabilityPolicy, ReliabilityPolicy};
    Offer {
        reliability: match profile.reliability {
            ReliabilityPolicy::Reliable => Reliability::Reliable,
            _ => Reliability::BestEffort,
        },
        durability: match profile.durability {
            DurabilityPolicy::TransientLocal => Durability::TransientLocal,
            _ => Durability::Volatile,
        },
    }
}
