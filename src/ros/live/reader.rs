//! The subscriptions of one topic: hands over each message once and counts those that never came.
//!
//! Usually there is one subscription. There are two if only some publishers keep messages for late
//! joiners, and for a second after the QoS was adapted: the old subscription stays until the new
//! one is surely matched.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::backlog::Backlog;
use super::latched::{LatchedMessage, LatchedMessages};
use super::qos::ChosenQos;
use super::sequences::{Seen, Sequences};
use crate::ros::rcl::{Gid, MessageInfo, Node, QosProfile, RclError, Subscription, TypeSupport};

/// Longer than discovery takes to match a subscription.
const OVERLAP: Duration = Duration::from_secs(1);
/// Messages to take at once before other topics have their turn.
const TURN: usize = 4_096;

/// All subscriptions to one topic.
pub(super) struct TopicReader {
    /// The name on the graph.
    topic: String,
    node: Node,
    type_support: TypeSupport,
    qos: ChosenQos,
    main: Source,
    /// A second subscription for what `main` does not request; see [`ChosenQos`].
    second: Option<Source>,
    /// Old subscriptions, kept until their replacements are surely matched.
    retiring: Vec<(Source, Instant)>,
    has_heard: bool,
    backlog: Backlog,
    /// Requests latched messages from publishers again.
    echo: Option<Echo>,
    sequences: Sequences,
    recent: Recent,
    latched: LatchedMessages,
}

/// A subscription and its creation time, in nanoseconds since 1970.
struct Source {
    subscription: Subscription,
    made_nanos: i64,
}

/// A subscription that requests latched messages again, for the next part of a recording.
struct Echo {
    source: Source,
    until: Instant,
    /// The highest number received from each publisher by then.
    highest: HashMap<Gid, u64>,
    /// Publishers from which something was received.
    heard: HashSet<Gid>,
}

/// A message to be recorded.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) cdr: &'a [u8],
    pub(super) info: MessageInfo,
    /// It came before and is taken again, for a part that has begun since.
    pub(super) is_repeat: bool,
}

impl Source {
    fn new(
        node: &Node,
        topic: &str,
        type_support: TypeSupport,
        qos: QosProfile,
    ) -> Result<Self, RclError> {
        let subscription = Subscription::new(node, topic, type_support, qos)?;
        Ok(Self { subscription, made_nanos: system_nanos() })
    }
}

impl TopicReader {
    /// Subscribes to `topic`, its name on the graph.
    ///
    /// # Errors
    /// Fails if the type is not installed or the middleware refuses.
    pub(super) fn new(
        node: &Node,
        topic: &str,
        type_name: &str,
        qos: ChosenQos,
    ) -> Result<Self, RclError> {
        let type_support = TypeSupport::load(type_name)?;
        let make = |profile| Source::new(node, topic, type_support, profile);
        Ok(Self {
            topic: topic.to_owned(),
            node: node.clone(),
            type_support,
            qos,
            main: make(qos.profile())?,
            second: qos.second_profile().map(make).transpose()?,
            retiring: Vec::new(),
            has_heard: false,
            backlog: Backlog::default(),
            echo: None,
            sequences: Sequences::default(),
            recent: Recent::default(),
            latched: LatchedMessages::default(),
        })
    }

    /// The topic's name on the graph.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns true if any message has come.
    pub(super) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// The topic's name on the graph, and the copies of its latched messages.
    pub(super) fn latched(&mut self) -> (&str, &mut LatchedMessages) {
        (&self.topic, &mut self.latched)
    }

    /// The requested QoS.
    pub(super) fn qos(&self) -> &ChosenQos {
        &self.qos
    }

    /// The subscriptions to wait for.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        let all = [&self.main].into_iter().chain(&self.second);
        let all = all.chain(self.retiring.iter().map(|(source, _)| source));
        all.chain(self.echo.iter().map(|echo| &echo.source)).map(|source| &source.subscription)
    }

    /// Switches to `qos`. A message that comes by both the old and the new subscription is taken
    /// once.
    ///
    /// # Errors
    /// Returns the middleware's error. The topic then keeps its old subscriptions.
    pub(super) fn adapt(&mut self, qos: ChosenQos) -> Result<(), RclError> {
        let make = |profile| Source::new(&self.node, &self.topic, self.type_support, profile);
        let until = Instant::now() + OVERLAP;
        let second = match (qos.second_profile(), self.qos.second_profile()) {
            (wanted, had) if wanted == had => None,
            (wanted, _) => Some(wanted.map(make).transpose()?),
        };
        if qos.profile() != self.qos.profile() {
            let old = std::mem::replace(&mut self.main, make(qos.profile())?);
            self.retiring.push((old, until));
        }
        if let Some(second) = second {
            let old = std::mem::replace(&mut self.second, second);
            self.retiring.extend(old.map(|old| (old, until)));
        }
        self.qos = qos;
        Ok(())
    }

    /// Requests latched messages again, to record them in a new part of the
    /// recording. For publishers that have left, the copies here are used.
    ///
    /// # Errors
    /// Returns the middleware's error.
    pub(super) fn repeat_latched(&mut self) -> Result<(), RclError> {
        let Some(profile) = self.qos.latching_profile() else { return Ok(()) };
        let source = Source::new(&self.node, &self.topic, self.type_support, profile)?;
        self.echo = Some(Echo {
            source,
            until: Instant::now() + OVERLAP,
            // Also of those whose copies were forgotten: they may still be there.
            highest: self.sequences.highest(),
            heard: HashSet::new(),
        });
        Ok(())
    }

    /// Passes copies of all latched messages to `take`, for a part that is over before publishers
    /// can be asked.
    pub(super) fn repeat_copies(&self, mut take: impl FnMut(Arrival<'_>)) {
        for LatchedMessage { cdr, info, .. } in self.latched.of_others(&HashSet::new()) {
            take(Arrival { cdr: &cdr, info, is_repeat: true });
        }
    }

    /// When these subscriptions need attention even if no message comes.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let retiring = self.retiring.iter().map(|(_, until)| *until);
        retiring.chain(self.echo.as_ref().map(|echo| echo.until)).min()
    }

    /// Ends subscriptions whose time is over. Latched messages of publishers that did not send
    /// theirs again go to `take`.
    pub(super) fn retire(&mut self, now: Instant, take: impl FnMut(Arrival<'_>)) {
        self.retiring.retain(|(_, until)| now < *until);
        if self.echo.as_ref().is_some_and(|echo| now >= echo.until) {
            self.end_echo(take);
        }
    }

    /// Stops waiting for latched messages. Those that did not come again go to `take`.
    pub(super) fn end_echo(&mut self, mut take: impl FnMut(Arrival<'_>)) {
        if let Some(echo) = self.echo.take() {
            for LatchedMessage { cdr, info, .. } in self.latched.of_others(&echo.heard) {
                take(Arrival { cdr: &cdr, info, is_repeat: true });
            }
        }
    }

    /// Passes latched messages that came while the recording was paused to `take`.
    pub(super) fn take_left_out(&mut self, mut take: impl FnMut(Arrival<'_>)) {
        for LatchedMessage { cdr, info, .. } in self.latched.take_left_out() {
            take(Arrival { cdr: &cdr, info, is_repeat: false });
        }
    }

    /// Takes what has arrived, each message once, and returns how many came. Stops after a while,
    /// so that one topic's flood can't starve others, and where `take` says so.
    ///
    /// # Errors
    /// Returns the middleware's error for a message that it could not hand over.
    pub(super) fn drain(
        &mut self,
        is_paused: bool,
        mut take: impl FnMut(Arrival<'_>) -> ControlFlow<()>,
    ) -> Result<usize, RclError> {
        let is_latched = self.qos.latching_profile().is_some();
        let has_several = self.second.is_some() || !self.retiring.is_empty() || self.echo.is_some();
        let depth = self.qos.depth as usize;
        self.backlog.look(system_nanos());
        let Self { main, second, retiring, echo, sequences, recent, latched, backlog, .. } = self;
        let mut heard = Heard { sequences, recent, has_several };
        let mut taken = 0;
        // The old subscription first: its messages are older.
        let live = retiring.iter_mut().map(|(source, _)| source).chain([main]).chain(second);
        for source in live {
            for _ in 0..TURN {
                let Some(message) = source.subscription.take()? else { break };
                let (cdr, info) = (message.cdr, message.info);
                if heard.hear(&info, cdr) == Seen::Repeat {
                    continue;
                }
                backlog.take(&info, depth);
                if is_latched {
                    latched.add(cdr, info, is_old(&info, source.made_nanos), is_paused);
                }
                taken += 1;
                if take(Arrival { cdr, info, is_repeat: false }).is_break() {
                    break;
                }
            }
        }
        if let Some(Echo { source, highest, heard: publishers, .. }) = echo {
            for _ in 0..TURN {
                let Some(message) = source.subscription.take()? else { break };
                let (cdr, info) = (message.cdr, message.info);
                publishers.insert(info.publisher);
                let is_new = heard.hear(&info, cdr) == Seen::New;
                // Known before the part began, or fresh and already received by another
                // subscription?
                let is_wanted_again = match (info.sequence, highest.get(&info.publisher)) {
                    (Some(number), Some(highest)) => number <= *highest,
                    (Some(_), None) => false,
                    (None, _) => is_old(&info, source.made_nanos),
                };
                if is_new {
                    latched.add(cdr, info, false, is_paused);
                }
                if is_new || is_wanted_again {
                    taken += 1;
                    if take(Arrival { cdr, info, is_repeat: !is_new }).is_break() {
                        break;
                    }
                }
            }
        }
        self.has_heard |= taken > 0;
        Ok(taken)
    }

    /// The change in the number of lost messages since the last call.
    pub(super) fn take_lost_change(&mut self) -> i64 {
        self.sequences.take_lost_change()
    }

    /// Why losses can't be known, once that turns out.
    pub(super) fn take_loss_unknown(&mut self) -> Option<&'static str> {
        let is_unnumbered = std::mem::take(&mut self.recent.is_unnumbered);
        let reason = match (is_unnumbered, self.backlog.take_full()) {
            (true, _) => "the middleware does not number messages",
            (false, true) => {
                "as many messages as the history holds had come before the first was taken; older ones may be lost"
            }
            (false, false) => return None,
        };
        self.sequences.note_unknown().then_some(reason)
    }

    /// The number of publishers newly found to offer less than requested.
    pub(super) fn take_incompatible(&mut self) -> usize {
        self.main.subscription.take_incompatible_qos().unwrap_or_else(|error| {
            tracing::debug!("{}: {error}", self.topic);
            0
        })
    }
}

/// Recognizes messages that come again.
struct Heard<'a> {
    sequences: &'a mut Sequences,
    recent: &'a mut Recent,
    has_several: bool,
}

impl Heard<'_> {
    fn hear(&mut self, info: &MessageInfo, cdr: &[u8]) -> Seen {
        match info.sequence {
            Some(number) => self.sequences.receive(info.publisher, number),
            None => {
                self.recent.is_unnumbered = true;
                if self.has_several { self.recent.hear(info, cdr) } else { Seen::New }
            }
        }
    }
}

/// Messages of the last seconds, for a middleware that does not number them.
#[derive(Debug, Default)]
struct Recent {
    /// The newer half and the older.
    halves: [HashSet<u64>; 2],
    turned: Option<Instant>,
    is_unnumbered: bool,
}

impl Recent {
    fn hear(&mut self, info: &MessageInfo, cdr: &[u8]) -> Seen {
        let now = Instant::now();
        if self.turned.is_none_or(|turned| now - turned > 2 * OVERLAP) {
            self.turned = Some(now);
            self.halves.swap(0, 1);
            self.halves[0].clear();
        }
        let mut hasher = DefaultHasher::new();
        (info.publisher, info.source_nanos, cdr).hash(&mut hasher);
        let id = hasher.finish();
        let is_new = !self.halves[1].contains(&id) && self.halves[0].insert(id);
        if is_new { Seen::New } else { Seen::Repeat }
    }
}

/// Returns true if a message was sent before its subscription was made.
fn is_old(info: &MessageInfo, made_nanos: i64) -> bool {
    info.source_nanos.is_some_and(|sent| sent < made_nanos)
}

pub(super) fn system_nanos() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
