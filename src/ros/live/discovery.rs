//! Which topics of the graph the mapping wants, and how to subscribe to them: looked up again and
//! again, so that late topics are picked up and publishers that change are noticed.

use std::collections::{HashMap, HashSet};

use super::publishers::{offers, publishers, types};
use super::qos::{ChosenQos, Offer};
use super::{NodeName, RosArguments, UnmatchedEntry};
use crate::mapping::{Mapping, Place, Qos, RuleMatch};
use crate::message::{Definitions, TypeName};
use crate::record::TopicPlan;

/// Something to do about a topic of the graph; its name is the mapping's, which rcl remaps.
pub(super) enum NewTopic {
    /// Subscribe and record.
    Record { name: String, type_name: String, qos: ChosenQos, plan: Box<TopicPlan> },
    /// A publisher came that the subscription of `topic`, its name on the graph, gets nothing from.
    Resubscribe { topic: String, name: String, type_name: String, qos: ChosenQos },
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
    /// The nodes of which it was reported that nothing comes from them.
    deaf_to: HashSet<String>,
}

impl Recording {
    /// Nodes of which it is yet to be reported that nothing comes from them by the QoS that the mapping asks
    /// for: the middleware itself says nothing of it.
    fn newly_deaf_to(&mut self, offers: &[Offer]) -> Option<String> {
        let nodes = self.qos.deaf_to(offers).into_iter();
        let new: Vec<&str> = nodes.filter(|node| self.deaf_to.insert((*node).to_owned())).collect();
        (!new.is_empty()).then(|| new.join(", "))
    }
}

/// A topic as it is on the graph at a moment.
pub(super) struct SeenTopic {
    pub(super) type_name: String,
    pub(super) other_types: Vec<String>,
    /// The nodes that publish it.
    pub(super) publishers: Vec<String>,
    /// What those offer who publish it as `type_name`.
    pub(super) offers: Vec<Offer>,
    /// The entry that means it.
    pub(super) rule: Option<SeenRule>,
    pub(super) is_excluded: bool,
}

/// What an entry of the mapping says of a topic.
pub(super) struct SeenRule {
    pub(super) line: usize,
    /// The track's name, in which fields of messages stand for themselves.
    pub(super) track: String,
    pub(super) wanted_qos: Qos,
}

impl SeenRule {
    fn new(rule: &RuleMatch<'_>, mapped_name: &str) -> Self {
        let pattern = &rule.settings.track;
        let fields = pattern.fields().iter().map(|field| Some(format!("{{{field}}}")));
        let track = pattern.expand(mapped_name, &rule.captures, &fields.collect::<Vec<_>>());
        Self {
            line: rule.rule.place().line,
            track: track.map_or_else(|_| pattern.to_string(), |track| track.to_string()),
            wanted_qos: rule.settings.qos,
        }
    }
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
        let mut graph: Vec<(String, Vec<String>)> = self.topics(node).into_iter().collect();
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

    /// The topics of the graph, each with the types that r2r lists for it.
    pub(super) fn topics(&self, node: &r2r::Node) -> HashMap<String, Vec<String>> {
        node.get_topic_names_and_types().unwrap_or_else(|error| {
            tracing::warn!("can't list the topics, trying again: {error}");
            HashMap::new()
        })
    }

    /// A topic and what the mapping makes of it, without doing anything about it.
    pub(super) fn look_at(&self, node: &r2r::Node, name: &str, listed: &[String]) -> SeenTopic {
        let publishers = publishers(node, name);
        let types = types(&publishers);
        let type_name = self.choose_type(name, &types).or_else(|| listed.first().cloned());
        let type_name = type_name.unwrap_or_default();
        let mapped_name = self.name_before_remap(name);
        let rule = type_name.parse().ok().and_then(|ty| self.mapping.rule_for(&mapped_name, &ty));
        let mut nodes: Vec<String> = publishers.iter().map(|p| p.offer.node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        SeenTopic {
            rule: rule.map(|rule| SeenRule::new(&rule, &mapped_name)),
            is_excluded: self.mapping.excludes(&mapped_name),
            other_types: types.into_iter().filter(|ty| *ty != type_name).collect(),
            publishers: nodes,
            offers: offers(&publishers, &type_name),
            type_name,
        }
    }

    /// Entries of the mapping that no topic was found for.
    pub(super) fn unmatched_entries(&self) -> Vec<UnmatchedEntry> {
        self.mapping.rules_not_at(&self.matched).map(UnmatchedEntry::of).collect()
    }

    /// The same as text.
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
                known.recording = Some(Recording { wanted, qos, deaf_to: HashSet::new() });
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
            let nodes = recording.newly_deaf_to(&offers)?;
            let reason = format!(
                "nothing comes from {nodes}, which offers less than the mapping's `qos` asks for \
                 ({qos}); `qos: auto` takes what there is"
            );
            return Some(NewTopic::Refuse { name: format!("{name} (of {nodes})"), reason });
        }
        recording.qos = qos;
        let (topic, type_name) = (name.to_owned(), known.type_name.clone());
        let name = self.name_before_remap(name);
        Some(NewTopic::Resubscribe { topic, name, type_name, qos })
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
