//! Listens to the graph for a while, with the subscriptions of a recording, and reports what it
//! heard.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::discovery::{Discovery, NewTopic};
use super::reader::TopicReader;
use super::{GraphReport, GraphTopic, Mapped, RecordedTopic, RosError, StopFlag};
use crate::ros::rcl::{Context, GuardCondition, Node, RclError, Ready, WaitSet};

/// How long the graph must be stable before listening begins.
const QUIET: Duration = Duration::from_secs(1);
/// How long to wait for a graph to show its first topic and become stable.
const SETTLE_AT_MOST: Duration = Duration::from_secs(10);
/// How often to take rates and check for the end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Topics of every node: no sign of another node.
const OF_ANY_NODE: [&str; 2] = ["/rosout", "/parameter_events"];

/// A topic being listened to, by its name on the graph.
struct Heard {
    reader: TopicReader,
    count: u64,
    bytes: u64,
    /// When the first and the last message came.
    span: Option<(Instant, Instant)>,
}

/// Observes the graph.
pub(super) struct Observer {
    node: Node,
    wait_set: WaitSet,
    guard: GuardCondition,
    discovery: Discovery,
    heard: HashMap<String, Heard>,
    refused: HashMap<String, String>,
    is_graph_new: bool,
}

impl Observer {
    pub(super) fn new(
        context: &Context,
        node: Node,
        discovery: Discovery,
    ) -> Result<Self, RosError> {
        let failed = |error: RclError| RosError::Node(error.to_string());
        Ok(Self {
            wait_set: WaitSet::new(&node).map_err(failed)?,
            guard: GuardCondition::new(context).map_err(failed)?,
            node,
            discovery,
            heard: HashMap::new(),
            refused: HashMap::new(),
            is_graph_new: true,
        })
    }

    /// Waits until the graph is known, then listens for the given time, or until `stop` is set.
    ///
    /// # Errors
    /// Fails if waiting failed.
    pub(super) fn observe(
        mut self,
        listen: Duration,
        stop: &StopFlag,
    ) -> Result<GraphReport, RosError> {
        self.settle(stop)?;
        let until = Instant::now() + listen;
        while Instant::now() < until && !stop.is_set() {
            self.listen()?;
        }
        Ok(self.report(listen))
    }

    fn settle(&mut self, stop: &StopFlag) -> Result<(), RosError> {
        let started = Instant::now();
        let (mut known, mut quiet_since) = (0, started);
        while started.elapsed() < SETTLE_AT_MOST && !stop.is_set() {
            self.listen()?;
            let names = self.discovery.topics(&self.node);
            let others = names.keys().filter(|name| !OF_ANY_NODE.contains(&name.as_str())).count();
            if others != known {
                (known, quiet_since) = (others, Instant::now());
            } else if known > 0 && quiet_since.elapsed() >= QUIET {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at the graph if it has changed, and takes messages for a moment.
    fn listen(&mut self) -> Result<(), RosError> {
        if std::mem::take(&mut self.is_graph_new) {
            self.discover();
        }
        let subscriptions: Vec<_> =
            self.heard.values().flat_map(|heard| heard.reader.subscriptions()).collect();
        let mut ready = Ready::default();
        self.wait_set
            .wait(subscriptions.into_iter(), &self.guard, Some(LOOK_EVERY), &mut ready)
            .map_err(|error| RosError::Node(error.to_string()))?;
        self.is_graph_new = ready.graph;
        if !ready.subscriptions.is_empty() {
            self.heard.values_mut().for_each(Heard::drain);
        }
        Ok(())
    }

    fn discover(&mut self) {
        for found in self.discovery.scan(&self.node) {
            match found {
                NewTopic::Record { topic, type_name, qos, .. } => {
                    match TopicReader::new(&self.node, &topic, &type_name, qos) {
                        Ok(reader) => {
                            let heard = Heard { reader, count: 0, bytes: 0, span: None };
                            self.heard.entry(topic).or_insert(heard);
                        }
                        Err(error) => drop(self.refused.insert(topic, error.to_string())),
                    }
                }
                NewTopic::Resubscribe { topic, qos, .. } => {
                    if let Some(heard) = self.heard.get_mut(&topic)
                        && let Err(error) = heard.reader.adapt(qos)
                    {
                        tracing::warn!("{topic}: can't subscribe again: {error}");
                    }
                }
                NewTopic::Refuse { name, reason } => drop(self.refused.insert(name, reason)),
            }
        }
    }

    fn report(&self, listened: Duration) -> GraphReport {
        let names = self.discovery.topics(&self.node);
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
                qos: heard.reader.qos().to_string(),
                qos_reasons: heard.reader.qos().reasons(&rule.wanted_qos, &seen.offers),
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
        let Self { reader, count, bytes, span } = self;
        let taken = reader.drain(false, |arrival| {
            let now = Instant::now();
            *count += 1;
            *bytes += arrival.cdr.len() as u64;
            *span = Some((span.map_or(now, |(first, _)| first), now));
        });
        if let Err(error) = taken {
            tracing::warn!("{}: messages could not be taken: {error}", reader.topic());
        }
    }

    /// The amount per second, between the first message and the last.
    fn rate(&self, much: impl Fn(&Self) -> u64) -> Option<f64> {
        let (first, last) = self.span.filter(|_| self.count > 1)?;
        let secs = last.duration_since(first).as_secs_f64();
        (secs > 0.0).then(|| much(self) as f64 / secs)
    }
}

fn is_hidden(topic: &str) -> bool {
    topic.split('/').any(|segment| segment.starts_with('_'))
}
