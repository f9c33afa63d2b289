//! Listens to the graph for a while, subscribed as a recording would be, and tells what it heard.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use super::discovery::{Discovery, NewTopic};
use super::qos::ChosenQos;
use super::subscribe::Messages;
use super::{GraphReport, GraphTopic, Mapped, RecordedTopic, StopFlag};

/// How long the graph must have brought nothing new before the listening begins.
const QUIET: Duration = Duration::from_secs(1);
/// How long a graph may take to show its first topic, and go on bringing new ones.
const SETTLE_AT_MOST: Duration = Duration::from_secs(10);
/// A spin can't be woken from outside: this bounds how late a new topic is seen.
const SPIN: Duration = Duration::from_millis(20);
/// How often the graph is asked for topics.
const DISCOVER_EVERY: Duration = Duration::from_millis(100);
/// What every node publishes: no sign that another one is there.
const OF_ANY_NODE: [&str; 2] = ["/rosout", "/parameter_events"];

/// A topic that is listened to, by its name on the graph.
struct Heard {
    messages: Messages,
    qos: ChosenQos,
    count: u64,
    bytes: u64,
    /// When the first and the last message came.
    span: Option<(Instant, Instant)>,
}

/// The graph while it is looked at.
pub(super) struct Observer {
    node: r2r::Node,
    discovery: Discovery,
    heard: HashMap<String, Heard>,
    refused: HashMap<String, String>,
}

impl Observer {
    pub(super) fn new(node: r2r::Node, discovery: Discovery) -> Self {
        Self { node, discovery, heard: HashMap::new(), refused: HashMap::new() }
    }

    /// Waits until the graph is known, then listens for so long, or until `stop` is set.
    pub(super) fn observe(mut self, listen: Duration, stop: &StopFlag) -> GraphReport {
        self.settle(stop);
        let until = Instant::now() + listen;
        while Instant::now() < until && !stop.is_set() {
            self.discover();
            self.spin();
        }
        self.report(listen)
    }

    fn settle(&mut self, stop: &StopFlag) {
        let started = Instant::now();
        let (mut known, mut quiet_since) = (0, started);
        while started.elapsed() < SETTLE_AT_MOST && !stop.is_set() {
            self.discover();
            let names = self.discovery.topics(&self.node);
            let others = names.keys().filter(|name| !OF_ANY_NODE.contains(&name.as_str())).count();
            if others != known {
                (known, quiet_since) = (others, Instant::now());
            } else if known > 0 && quiet_since.elapsed() >= QUIET {
                return;
            }
            self.spin();
        }
    }

    fn discover(&mut self) {
        for found in self.discovery.scan(&self.node) {
            match found {
                NewTopic::Record { name, type_name, qos, plan } => {
                    match Messages::of(&mut self.node, &name, &type_name, &qos) {
                        Ok(messages) => {
                            let heard = Heard { messages, qos, count: 0, bytes: 0, span: None };
                            self.heard.insert(plan.topic().to_owned(), heard);
                        }
                        Err(reason) => drop(self.refused.insert(plan.topic().to_owned(), reason)),
                    }
                }
                NewTopic::Resubscribe { topic, name, type_name, qos } => {
                    if let (Some(heard), Ok(messages)) = (
                        self.heard.get_mut(&topic),
                        Messages::of(&mut self.node, &name, &type_name, &qos),
                    ) {
                        (heard.messages, heard.qos) = (messages, qos);
                    }
                }
                NewTopic::Refuse { name, reason } => drop(self.refused.insert(name, reason)),
            }
        }
    }

    /// Spins until the graph is to be asked again, taking what comes after each spin.
    fn spin(&mut self) {
        let until = Instant::now() + DISCOVER_EVERY;
        while Instant::now() < until {
            if self.heard.is_empty() {
                // With nothing to wait for rcl complains of an empty wait set.
                thread::sleep(SPIN);
                continue;
            }
            self.node.spin_once(SPIN);
            self.heard.values_mut().for_each(Heard::drain);
        }
    }

    fn report(&self, listened: Duration) -> GraphReport {
        let mut names: Vec<(String, Vec<String>)> =
            self.discovery.topics(&self.node).into_iter().collect();
        names.sort();
        let topics = names.into_iter().map(|(name, listed)| self.topic(name, &listed));
        GraphReport {
            listened,
            topics: topics.collect(),
            unmatched: self.discovery.unmatched_entries(),
        }
    }

    fn topic(&self, name: String, listed: &[String]) -> GraphTopic {
        let seen = self.discovery.look_at(&self.node, &name, listed);
        let mapped = match (seen.rule, self.refused.get(&name), self.heard.get(&name)) {
            (None, ..) => Mapped::Unmapped { excluded: seen.is_excluded, hidden: is_hidden(&name) },
            (Some(rule), Some(reason), _) => {
                Mapped::Refused { line: rule.line, reason: reason.clone() }
            }
            (Some(rule), None, None) => Mapped::Awaited { line: rule.line },
            (Some(rule), None, Some(heard)) => Mapped::Recorded(RecordedTopic {
                line: rule.line,
                track: rule.track,
                qos: heard.qos.to_string(),
                qos_reasons: heard.qos.reasons(&rule.wanted_qos, &seen.offers),
                messages: heard.count,
                rate_hz: heard.rate(|heard| heard.count - 1),
                bytes_per_sec: heard.rate(|heard| heard.bytes / heard.count * (heard.count - 1)),
            }),
        };
        GraphTopic {
            topic: name,
            type_name: seen.type_name,
            other_types: seen.other_types,
            publishers: seen.publishers,
            mapped,
        }
    }
}

impl Heard {
    fn drain(&mut self) {
        while let Some(cdr) = self.messages.arrived() {
            let now = Instant::now();
            self.count += 1;
            self.bytes += cdr.len() as u64;
            self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        }
    }

    /// How much of something came in a second, between the first message and the last.
    fn rate(&self, much: impl Fn(&Self) -> u64) -> Option<f64> {
        let (first, last) = self.span.filter(|_| self.count > 1)?;
        let secs = last.duration_since(first).as_secs_f64();
        (secs > 0.0).then(|| much(self) as f64 / secs)
    }
}

fn is_hidden(topic: &str) -> bool {
    topic.split('/').any(|segment| segment.starts_with('_'))
}
