//! Services and actions that the mapping asks for and that tell nothing of their calls: their
//! introspection is off, as it is unless a node turns it on. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::mapping::{CallKind, CallTopic, Mapping};
use crate::ros::SilentCall;

/// How long a service may be there before its events. A node makes the one before the other.
const PATIENCE: Duration = Duration::from_secs(5);
/// Services that every node offers for its parameters and its log. Nobody who asks for all services
/// expects these.
const OF_EVERY_NODE: [&str; 9] = [
    "describe_parameters",
    "get_parameter_types",
    "get_parameters",
    "list_parameters",
    "set_parameters",
    "set_parameters_atomically",
    "get_type_description",
    "get_logger_levels",
    "set_logger_levels",
];
/// How many are named in one line of the log.
const NAMED: usize = 5;

/// What is told of them, and what is to be told.
#[derive(Debug, Default)]
pub(super) struct Introspection {
    silent: Vec<SilentCall>,
    /// Since when those that nobody has heard of are silent.
    since: BTreeMap<String, Instant>,
    told: BTreeSet<String>,
}

/// The services and actions among `services`, all of a graph, that the mapping asks for and whose
/// events are not among the topics. `mapped` gives the mapping's name for a topic.
pub(super) fn silent(
    mapping: &Mapping,
    services: &[String],
    mapped: impl Fn(&str) -> Option<String>,
    is_topic: impl Fn(&str) -> bool,
) -> Vec<SilentCall> {
    let calls = services.iter().filter_map(|service| {
        let call = CallTopic::events_of(service)?;
        let events = call.renamed(&call.name);
        let known = CallTopic::of(&mapped(&events)?)?;
        let rule = mapping.rule_for_call(&known)?;
        let is_named = !rule.topic().is_glob();
        let is_meant = is_named || !is_of_every_node(service);
        (is_meant && !is_topic(&events)).then(|| SilentCall {
            name: call.name.clone(),
            is_action: call.kind == CallKind::Action,
            line: rule.place().line,
            is_named,
        })
    });
    calls.collect()
}

fn is_of_every_node(service: &str) -> bool {
    service.rsplit('/').next().is_some_and(|last| OF_EVERY_NODE.contains(&last))
}

impl Introspection {
    /// Those that are silent now.
    pub(super) fn silent(&self) -> &[SilentCall] {
        &self.silent
    }

    /// Notes those that are silent now.
    pub(super) fn note(&mut self, silent: Vec<SilentCall>, now: Instant) {
        let labels: BTreeSet<String> = silent.iter().map(SilentCall::label).collect();
        self.since.retain(|label, _| labels.contains(label));
        for label in labels.difference(&self.told) {
            self.since.entry(label.clone()).or_insert(now);
        }
        self.silent = silent;
    }

    /// When there is something to tell.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.since.values().min().map(|since| *since + PATIENCE)
    }

    /// Tells, once each, those that have been silent for too long.
    pub(super) fn tell(&mut self, now: Instant) {
        for text in self.news(now) {
            tracing::warn!("{text}");
        }
    }

    /// Those that the mapping names, and why they are not recorded. An action's feedback and status
    /// are.
    pub(super) fn refused(&self) -> Vec<(String, String)> {
        let named = self.silent.iter().filter(|call| call.is_named && !call.is_action);
        named.map(|call| (call.label(), call.advice().to_owned())).collect()
    }

    fn news(&mut self, now: Instant) -> Vec<String> {
        if self.due_at().is_none_or(|due| now < due) {
            return Vec::new();
        }
        // What was found together is told together.
        let new = std::mem::take(&mut self.since);
        self.told.extend(new.keys().cloned());
        let (named, others): (Vec<_>, Vec<_>) = self
            .silent
            .iter()
            .filter(|call| new.contains_key(&call.label()))
            .partition(|call| call.is_named);
        let mut texts: Vec<String> =
            named.iter().map(|call| format!("{}: {}", call.label(), call.advice())).collect();
        for is_action in [false, true] {
            let of_kind: Vec<&&SilentCall> =
                others.iter().filter(|call| call.is_action == is_action).collect();
            if let Some(first) = of_kind.first() {
                let names: Vec<&str> =
                    of_kind.iter().take(NAMED).map(|call| call.name.as_str()).collect();
                let more = match of_kind.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let (kind, advice) = (first.label(), first.advice());
                let kind = kind.split(' ').next().unwrap_or_default();
                texts.push(format!("{kind}s {}{more}: of each, {advice}", names.join(", ")));
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mapping: &str, services: &[&str], topics: &[&str]) -> Vec<SilentCall> {
        let mapping = Mapping::parse(mapping, "m.yaml").unwrap();
        let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
        silent(&mapping, &services, |name| Some(name.to_owned()), |topic| topics.contains(&topic))
    }

    fn names(found: &[SilentCall]) -> Vec<String> {
        found.iter().map(SilentCall::label).collect()
    }

    const ACTION: [&str; 3] =
        ["/reach/_action/send_goal", "/reach/_action/get_result", "/reach/_action/cancel_goal"];

    #[test]
    fn what_is_asked_for_and_has_no_events_is_silent() {
        let services = ["/add", "/light", "/node/set_parameters"];
        let named = found("services: [/add, /light]", &services, &["/light/_service_event"]);
        assert_eq!(names(&named), ["service /add"]);
        assert!(named[0].is_named);
        let all = found("services: all", &[&services[..], &ACTION].concat(), &[]);
        assert_eq!(names(&all), ["service /add", "service /light"]);
        assert!(!all[0].is_named);
        let parameters = found("services: /node/set_parameters", &services, &[]);
        assert_eq!(names(&parameters), ["service /node/set_parameters"]);
        assert_eq!(names(&found("topics: [{topic: /**}]", &services, &[])), [""; 0]);
    }

    #[test]
    fn an_action_is_one_whatever_the_number_of_its_services() {
        assert_eq!(names(&found("actions: all", &ACTION, &[])), ["action /reach"]);
        let events = "/reach/_action/send_goal/_service_event";
        assert_eq!(names(&found("actions: /reach", &ACTION, &[events])), [""; 0]);
    }

    #[test]
    fn it_is_told_once_and_only_if_it_lasts() {
        let mut introspection = Introspection::default();
        let start = Instant::now();
        let off =
            || found("services: [/add]\nactions: all", &[&["/add"][..], &ACTION].concat(), &[]);
        introspection.note(off(), start);
        assert_eq!(introspection.news(start), [""; 0]);
        assert_eq!(introspection.due_at(), Some(start + PATIENCE));
        // Its events have come meanwhile.
        introspection.note(Vec::new(), start);
        assert_eq!(introspection.due_at(), None);
        introspection.note(off(), start);
        let told = introspection.news(start + PATIENCE);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("service /add: its introspection is off"), "{told:?}");
        assert!(told[1].starts_with("actions /reach: of each, the introspection"), "{told:?}");
        introspection.note(off(), start + PATIENCE);
        assert_eq!(introspection.news(start + 3 * PATIENCE), [""; 0]);
        let refused = introspection.refused();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0, "service /add");
    }
}
