//! Listens to the graph for a while, with the subscriptions of a recording, and reports what it
//! heard.

use std::collections::BTreeMap;
use std::iter;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::discovery::{Discovery, NewTopic};
use super::listening::{Listened, Listening, Nodes};
use super::{GraphReport, GraphTopic, Mapped, RecordedTopic, RosError, StopFlag};
use crate::mapping::is_hidden;
use crate::ros::rcl::{GuardCondition, RclError, Ready};

/// How long the graph must be stable before listening begins.
const QUIET: Duration = Duration::from_secs(1);
/// How long to wait for a graph to show its first topic and become stable.
const AWAIT_GRAPH_AT_MOST: Duration = Duration::from_secs(10);
/// How often to check for the end while nothing comes.
const WAKE_EVERY: Duration = Duration::from_millis(20);
/// Topics of every node: no sign of another node.
const OF_ANY_NODE: [&str; 2] = ["/rosout", "/parameter_events"];

/// What came on a topic.
#[derive(Default)]
struct Heard {
    count: u64,
    bytes: u64,
    /// When the first and the last message came.
    span: Option<(Instant, Instant)>,
}

/// Observes the graph.
pub(super) struct Observer {
    listening: Listening<Heard>,
    guard: GuardCondition,
    discovery: Discovery,
    refused: BTreeMap<String, String>,
    is_graph_new: bool,
}

impl Observer {
    /// # Errors
    /// Fails if rcl can't wait.
    pub(super) fn new(nodes: Nodes, discovery: Discovery) -> Result<Self, RosError> {
        let failed = |error: RclError| RosError::Node(error.to_string());
        let guard = GuardCondition::new(nodes.context()).map_err(failed)?;
        let listening = Listening::new(nodes).map_err(failed)?;
        Ok(Self { listening, guard, discovery, refused: BTreeMap::new(), is_graph_new: true })
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
        let started = Instant::now();
        self.await_graph(stop)?;
        let until = Instant::now() + listen;
        while Instant::now() < until && !stop.is_set() {
            self.listen()?;
        }
        Ok(self.report(started.elapsed()))
    }

    fn await_graph(&mut self, stop: &StopFlag) -> Result<(), RosError> {
        let started = Instant::now();
        let (mut known, mut quiet_since) = (0, started);
        while started.elapsed() < AWAIT_GRAPH_AT_MOST && !stop.is_set() {
            self.listen()?;
            let names = self.discovery.topics(self.listening.graph());
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
        let mut ready = Ready::default();
        self.listening
            .wait(iter::empty(), &self.guard, Some(WAKE_EVERY), &mut ready)
            .map_err(|error| RosError::Node(error.to_string()))?;
        self.is_graph_new = ready.graph;
        if !ready.subscriptions.is_empty() {
            self.listening.topics.iter_mut().for_each(drain);
            self.listening.bound_latched();
        }
        Ok(())
    }

    fn discover(&mut self) {
        let graph = self.listening.graph();
        let topics = self.discovery.topics(graph).into_iter();
        let found: Vec<NewTopic> = topics
            .flat_map(|(name, types)| self.discovery.scan_topic(graph, name, &types))
            .collect();
        for found in found {
            match found {
                NewTopic::Record { topic, type_name, qos, .. } => {
                    if let Err(error) = self.listening.subscribe(&topic, &type_name, qos) {
                        self.discovery.set_refused(&topic, &type_name);
                        let name = self.listening.name_of_refused(topic, &type_name);
                        self.refused.insert(name, error.to_string());
                    }
                }
                NewTopic::Resubscribe { topic, type_name, qos } => {
                    if let Err(error) = self.listening.adapt(&topic, &type_name, qos) {
                        tracing::warn!("{topic}: can't subscribe again: {error}");
                    }
                }
                NewTopic::Refuse { name, reason } => drop(self.refused.insert(name, reason)),
            }
        }
    }

    fn report(&mut self, listened: Duration) -> GraphReport {
        self.discovery.look_at_calls(self.listening.graph());
        let names = self.discovery.topics(self.listening.graph());
        let topics = names.into_iter().map(|(name, listed)| self.topic(name, &listed));
        GraphReport {
            listened,
            topics: topics.collect(),
            refused: self.refused.clone(),
            unmatched: self.discovery.unmatched_entries(),
            silent_calls: self.discovery.introspection().silent().to_vec(),
        }
    }

    fn topic(&self, name: String, listed: &[String]) -> GraphTopic {
        let seen = self.discovery.look_at(self.listening.graph(), &name, listed);
        let listened = self.listening.of(&name, &seen.type_name);
        let mapped = match (seen.rule, self.refused.get(&name), listened) {
            (None, ..) => Mapped::Unmapped { excluded: seen.is_excluded, hidden: is_hidden(&name) },
            (Some(rule), Some(reason), _) => {
                Mapped::Refused { line: rule.line, reason: reason.clone() }
            }
            (Some(rule), None, None) => Mapped::Awaited { line: rule.line },
            (Some(rule), None, Some(Listened { reader, tally: heard, .. })) => {
                Mapped::Recorded(RecordedTopic {
                    line: rule.line,
                    track: rule.track,
                    qos: reader.qos().to_string(),
                    qos_reasons: reader.qos().reasons(&rule.wanted_qos, &seen.offers),
                    messages: heard.count,
                    rate_hz: heard.rate(|heard| heard.count - 1),
                    bytes_per_sec: heard
                        .rate(|heard| heard.bytes / heard.count * (heard.count - 1)),
                })
            }
        };
        let is_left_out = |ty: &String| self.listening.of(&name, ty).is_none();
        let other_types = seen.other_types.into_iter().filter(is_left_out).collect();
        GraphTopic {
            topic: name,
            type_name: seen.type_name,
            other_types,
            publishers: seen.publishers,
            mapped,
        }
    }
}

fn drain(listened: &mut Listened<Heard>) {
    let Listened { reader, tally: Heard { count, bytes, span }, .. } = listened;
    let taken = reader.drain(false, |arrival| {
        let now = Instant::now();
        *count += 1;
        *bytes += arrival.cdr.len() as u64;
        *span = Some((span.map_or(now, |(first, _)| first), now));
        ControlFlow::Continue(())
    });
    if let Err(error) = taken {
        tracing::warn!("{}: messages could not be taken: {error}", reader.topic());
    }
}

impl Heard {
    /// The amount per second, between the first message and the last.
    fn rate(&self, much: impl Fn(&Self) -> u64) -> Option<f64> {
        let (first, last) = self.span.filter(|_| self.count > 1)?;
        let secs = last.duration_since(first).as_secs_f64();
        (secs > 0.0).then(|| much(self) as f64 / secs)
    }
}
