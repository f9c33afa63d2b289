//! The topics being listened to, as discovery finds them. Recording and observing share it; each
//! keeps its own tally for a topic.

use std::collections::HashMap;
use std::time::Duration;

use super::latched::{self, LatchedMessages, Limit, MAX_EARLIER_BYTES, MAX_PUBLISHERS};
use super::qos::ChosenQos;
use super::reader::TopicReader;
use crate::ros::rcl::{Context, GuardCondition, Node, RclError, Ready, Subscription, WaitSet};
use crate::ros::{NodeName, RosArguments};

/// The nodes that subscribe, each in its own context. r2r does not share its context, and a context
/// can have a topic as one type only (Fast DDS refuses a second).
pub(super) struct Nodes {
    name: NodeName,
    enclave: Option<String>,
    /// The first one looks at the graph; the others are for topics of several types.
    list: Vec<(Context, Node)>,
}

/// The topics, and the nodes that subscribe to them.
pub(super) struct Listening<T> {
    nodes: Nodes,
    wait_set: WaitSet,
    /// By topic number.
    pub(super) topics: Vec<Listened<T>>,
    /// The types that a topic was subscribed to as, each by the node of its place.
    types: HashMap<String, Vec<String>>,
}

/// A topic as one type.
pub(super) struct Listened<T> {
    pub(super) reader: TopicReader,
    pub(super) type_name: String,
    pub(super) tally: T,
}

impl Nodes {
    /// Starts the first node.
    ///
    /// # Errors
    /// Fails if the middleware refuses it.
    pub(super) fn start(name: &NodeName, args: &RosArguments) -> Result<Self, RclError> {
        let (name, enclave) = (name.clone(), args.enclave.clone());
        let mut nodes = Self { name, enclave, list: Vec::new() };
        nodes.of_type(0)?;
        Ok(nodes)
    }

    pub(super) fn first(&self) -> &Node {
        &self.list[0].1
    }

    pub(super) fn context(&self) -> &Context {
        &self.list[0].0
    }

    /// The node for a topic's type of this number, counted from 0.
    fn of_type(&mut self, number: usize) -> Result<&Node, RclError> {
        while self.list.len() <= number {
            // Names are remapped before they get here, so rcl gets no rules.
            let enclave = self.enclave.as_deref();
            let arguments = enclave.map(|enclave| ["--ros-args", "--enclave", enclave]);
            let context = Context::new(arguments.as_ref().map_or(&[], |arguments| arguments))?;
            let suffix = match self.list.len() {
                0 => "listener".to_owned(),
                further => format!("listener_{}", further + 1),
            };
            let name = format!("{}_{suffix}", self.name.base_name());
            let node = Node::new(&context, &name, self.name.namespace())?;
            self.list.push((context, node));
        }
        Ok(&self.list[number].1)
    }
}

impl<T: Default> Listening<T> {
    /// Listens to nothing yet.
    ///
    /// # Errors
    /// Fails if rcl can't wait.
    pub(super) fn new(nodes: Nodes) -> Result<Self, RclError> {
        let wait_set = WaitSet::new(nodes.first())?;
        Ok(Self { nodes, wait_set, topics: Vec::new(), types: HashMap::new() })
    }

    /// Bounds the copies of latched messages. Call it when some have come.
    pub(super) fn bound_latched(&mut self) {
        let copies = self.topics.iter_mut().map(|known| known.reader.latched());
        let (topics, mut copies): (Vec<&str>, Vec<&mut LatchedMessages>) = copies.unzip();
        latched::make_room(&mut copies, MAX_EARLIER_BYTES, |place, limit, forgotten| {
            // Ever more seldom, as there may be publishers without number.
            if !forgotten.is_power_of_two() {
                return;
            }
            let why = match limit {
                Limit::Publishers => format!("the topic has more than {MAX_PUBLISHERS}"),
                Limit::Bytes => format!(
                    "what publishers before the last of each topic latched takes more than {} MiB",
                    MAX_EARLIER_BYTES >> 20
                ),
            };
            tracing::warn!(
                "{}: what {forgotten} of its publishers latched is forgotten, since {why}; the next part has it only if they are \
                 still there, and what `~/save` and `~/resume` record is without it",
                topics[place]
            );
        });
    }

    /// The node to query the graph with.
    pub(super) fn graph(&self) -> &Node {
        self.nodes.first()
    }

    /// Subscribes to a topic, which gets the next number.
    ///
    /// # Errors
    /// Fails if the type is not installed or the middleware refuses.
    pub(super) fn subscribe(
        &mut self,
        topic: &str,
        type_name: &str,
        qos: ChosenQos,
    ) -> Result<(), RclError> {
        let reader = self.reader(topic, type_name, qos)?;
        let (type_name, tally) = (type_name.to_owned(), T::default());
        self.topics.push(Listened { reader, type_name, tally });
        Ok(())
    }

    /// Subscribes to a topic that gets no number.
    ///
    /// # Errors
    /// Fails if the type is not installed or the middleware refuses.
    pub(super) fn reader(
        &mut self,
        topic: &str,
        type_name: &str,
        qos: ChosenQos,
    ) -> Result<TopicReader, RclError> {
        let types = self.types.get(topic).map(Vec::as_slice).unwrap_or_default();
        let known = types.iter().position(|known| known == type_name);
        let number = known.unwrap_or(types.len());
        let reader = TopicReader::new(self.nodes.of_type(number)?, topic, type_name, qos)?;
        if known.is_none() {
            self.types.entry(topic.to_owned()).or_default().push(type_name.to_owned());
        }
        Ok(reader)
    }

    /// Subscribes to a topic again, with another QoS.
    ///
    /// # Errors
    /// Returns the middleware's error. The topic then keeps its old subscriptions.
    pub(super) fn adapt(
        &mut self,
        topic: &str,
        type_name: &str,
        qos: ChosenQos,
    ) -> Result<(), RclError> {
        let mut topics = self.topics.iter_mut();
        let known = topics.find(|known| known.is_of(topic, type_name));
        known.map_or(Ok(()), |known| known.reader.adapt(qos))
    }

    /// What to call a topic that can't be recorded as this type: if it is recorded as another one,
    /// the type belongs to its name.
    pub(super) fn name_of_refused(&self, topic: String, type_name: &str) -> String {
        match self.topics.iter().any(|known| known.reader.topic() == topic) {
            true => format!("{topic} ({type_name})"),
            false => topic,
        }
    }

    /// A topic as one type.
    pub(super) fn of(&self, topic: &str, type_name: &str) -> Option<&Listened<T>> {
        self.topics.iter().find(|known| known.is_of(topic, type_name))
    }

    /// All subscriptions, in order of the topics.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        subscriptions_of(&self.topics)
    }

    /// Sleeps as [`WaitSet::wait`] does. `ready` then holds indices of subscriptions in order of the
    /// topics, and after them those of `others`.
    ///
    /// # Errors
    /// Returns rcl's error.
    pub(super) fn wait<'s>(
        &'s mut self,
        others: impl Iterator<Item = &'s Subscription>,
        guard: &GuardCondition,
        timeout: Option<Duration>,
        ready: &mut Ready,
    ) -> Result<(), RclError> {
        let subscriptions: Vec<_> = subscriptions_of(&self.topics).chain(others).collect();
        self.wait_set.wait(subscriptions.into_iter(), guard, timeout, ready)
    }
}

fn subscriptions_of<T>(topics: &[Listened<T>]) -> impl Iterator<Item = &Subscription> {
    topics.iter().flat_map(|known| known.reader.subscriptions())
}

impl<T> Listened<T> {
    fn is_of(&self, topic: &str, type_name: &str) -> bool {
        self.reader.topic() == topic && self.type_name == type_name
    }
}
