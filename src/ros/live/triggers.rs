//! The topics of `split_on` and `save_on`: subscriptions of their own, whether the topics are recorded or not.

use super::discovery::Discovery;
use super::listening::Listening;
use super::qos::ChosenQos;
use super::reader::TopicReader;
use crate::mapping::{Durability, PartChange, Qos, SplitOn, Trigger, TriggerFault};
use crate::message::TypeName;
use crate::ros::rcl::Subscription;
use std::ops::ControlFlow;
use std::time::Instant;

/// What a publisher keeps for late subscribers was said to an earlier recording.
const QOS: Qos = Qos { durability: Some(Durability::Volatile), reliability: None, depth: None };

/// All topics that change parts.
pub(super) struct Triggers(Vec<LiveTrigger>);

struct LiveTrigger {
    entry: SplitOn,
    state: State,
}

enum State {
    /// Nobody has published it, and the mapping does not name its type.
    Awaited,
    Subscribed(Box<Subscribed>),
    Refused,
}

struct Subscribed {
    reader: TopicReader,
    trigger: Trigger,
    type_name: String,
    /// It is told that the topic is published as other types only.
    is_of_other_type: bool,
}

/// Why an entry has no effect.
pub(super) struct Ineffective {
    pub(super) label: String,
    pub(super) reason: String,
}

impl Triggers {
    pub(super) fn new(entries: &[SplitOn]) -> Self {
        let new = |entry: &SplitOn| LiveTrigger { entry: entry.clone(), state: State::Awaited };
        Self(entries.iter().map(new).collect())
    }

    /// Subscribes to what is known by now, and adapts to the publishers. Returns the entries that
    /// turn out to have no effect.
    pub(super) fn discover<T: Default>(
        &mut self,
        discovery: &mut Discovery,
        listening: &mut Listening<T>,
    ) -> Vec<Ineffective> {
        let looked = self.0.iter_mut().filter_map(|trigger| {
            let reason = trigger.discover(discovery, listening).err()?;
            // One that is subscribed stays so: the right publisher may still come.
            if !matches!(trigger.state, State::Subscribed(_)) {
                trigger.state = State::Refused;
            }
            Some(Ineffective { label: trigger.entry.label(), reason })
        });
        looked.collect()
    }

    /// Takes the messages that have arrived. Returns the changes that they ask for, with their
    /// arrival by the system clock, in that order.
    pub(super) fn hear(&mut self) -> Vec<(i64, PartChange)> {
        let mut changes = Vec::new();
        for LiveTrigger { entry, state } in &mut self.0 {
            let State::Subscribed(subscribed) = state else { continue };
            let Subscribed { reader, trigger, .. } = &mut **subscribed;
            let taken = reader.drain(false, |arrival| {
                match trigger.hear(arrival.cdr) {
                    Ok(Some(change)) => {
                        changes.push((arrival.info.received_nanos.unwrap_or(i64::MAX), change));
                    }
                    Ok(None) => {}
                    Err(reason) => {
                        tracing::warn!("a message on {} changes no part: {reason}", entry.topic());
                    }
                }
                ControlFlow::Continue(())
            });
            if let Err(error) = taken {
                tracing::error!("{}: messages could not be taken: {error}", entry.topic());
            }
        }
        changes.sort_by_key(|(arrived_nanos, _)| *arrived_nanos);
        changes
    }

    /// The subscriptions to wait for.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscribed().flat_map(|subscribed| subscribed.reader.subscriptions())
    }

    /// When they need attention even if no message comes.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.subscribed().filter_map(|subscribed| subscribed.reader.due_at()).min()
    }

    /// Ends subscriptions whose time is over.
    pub(super) fn retire(&mut self, now: Instant) {
        for trigger in &mut self.0 {
            if let State::Subscribed(subscribed) = &mut trigger.state {
                subscribed.reader.retire(now, |_| {});
            }
        }
    }

    fn subscribed(&self) -> impl Iterator<Item = &Subscribed> {
        self.0.iter().filter_map(|trigger| match &trigger.state {
            State::Subscribed(subscribed) => Some(&**subscribed),
            State::Awaited | State::Refused => None,
        })
    }
}

impl LiveTrigger {
    fn discover<T: Default>(
        &mut self,
        discovery: &mut Discovery,
        listening: &mut Listening<T>,
    ) -> Result<(), String> {
        let topic = discovery.name_on_graph(self.entry.topic());
        let published = match self.state {
            State::Refused => return Ok(()),
            State::Awaited | State::Subscribed(_) => discovery.offers_on(listening.graph(), &topic),
        };
        if !published.is_empty() {
            discovery.note_matched(self.entry.place());
        }
        match &mut self.state {
            State::Subscribed(subscribed) => {
                let offers =
                    published.get(&subscribed.type_name).filter(|offers| !offers.is_empty());
                if let Some(offers) = offers {
                    let qos = ChosenQos::adapted(&QOS, offers);
                    if *subscribed.reader.qos() != qos {
                        // It keeps its old subscription if that fails.
                        let adapted = subscribed.reader.adapt(qos);
                        adapted.unwrap_or_else(|error| {
                            tracing::error!("{topic}: can't subscribe again: {error}");
                        });
                    }
                } else if !published.is_empty() && !subscribed.is_of_other_type {
                    subscribed.is_of_other_type = true;
                    let types: Vec<&str> = published.keys().map(String::as_str).collect();
                    let (types, type_name) = (types.join(", "), &subscribed.type_name);
                    return Err(format!("it is published as {types}, not as {type_name}"));
                }
                return Ok(());
            }
            State::Awaited | State::Refused => {}
        }
        let named = self.entry.message_type().map(TypeName::to_string);
        let Some(type_name) = named.or_else(|| published.keys().next().cloned()) else {
            return Ok(());
        };
        let name = type_name.parse::<TypeName>().map_err(|error| error.to_string())?;
        let message = discovery.definition(&name)?;
        let trigger = Trigger::new(&message, &self.entry);
        let trigger = trigger.map_err(|faults| TriggerFault::listed(&faults))?;
        let offers = published.get(&type_name).map(Vec::as_slice).unwrap_or_default();
        let qos = ChosenQos::adapted(&QOS, offers);
        let reader =
            listening.reader(&topic, &type_name, qos).map_err(|error| error.to_string())?;
        match self.entry.key() {
            "save_on" => tracing::info!("{topic} ({type_name}) saves, as `save_on` says"),
            key => tracing::info!("{topic} ({type_name}) changes parts, as `{key}` says"),
        }
        let is_of_other_type = false;
        let subscribed = Subscribed { reader, trigger, type_name, is_of_other_type };
        self.state = State::Subscribed(Box::new(subscribed));
        Ok(())
    }
}
