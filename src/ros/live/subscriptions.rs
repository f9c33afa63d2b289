//! The topics that are subscribed to, and what has arrived on them.

use super::control::Control;
use super::handover::{Handover, Side};
use super::qos::ChosenQos;
use super::queue::{MessageQueue, RawMessage};
use super::subscribe::Messages;
use crate::mapping::Durability;
use crate::record::DropReason;

/// All subscriptions, by topic number.
#[derive(Default)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
    /// Messages are counted and left out.
    paused: bool,
}

/// A topic that is being recorded.
struct Subscription {
    /// What it was subscribed by: the name before remapping.
    name: String,
    type_name: String,
    qos: ChosenQos,
    messages: Messages,
    /// While it is being subscribed anew.
    handover: Option<Handover<Messages>>,
    queue_full: u64,
    paused: u64,
    /// Whether something was left out since it was last subscribed to.
    missed_any: bool,
}

impl Subscriptions {
    /// Subscribes to the topic of the next number; an error says why not, with the remedy.
    pub(super) fn add(
        &mut self,
        node: &mut r2r::Node,
        name: &str,
        type_name: &str,
        qos: ChosenQos,
    ) -> Result<(), String> {
        let messages = Messages::of(node, name, type_name, &qos)?;
        self.list.push(Subscription {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            qos,
            messages,
            handover: None,
            queue_full: 0,
            paused: 0,
            missed_any: false,
        });
        Ok(())
    }

    /// Subscribes to a topic anew, asking for `qos`.
    pub(super) fn adapt(&mut self, node: &mut r2r::Node, name: &str, qos: ChosenQos) {
        if let Some(subscription) = self.list.iter_mut().find(|s| s.name == name) {
            tracing::warn!("{name}: publishers changed; subscribing again ({qos})");
            subscription.qos = qos;
            subscription.renew(node);
        }
    }

    /// Messages are left out from now on, or taken again. Those that are kept for late subscribers
    /// and were left out meanwhile (`/tf_static`, `/robot_description`) are asked for again: they
    /// would never come otherwise. Whether that is a change.
    pub(super) fn set_paused(&mut self, node: &mut r2r::Node, paused: bool) -> bool {
        let is_change = self.paused != paused;
        self.paused = paused;
        if is_change && !paused {
            self.repeat_latched(node, |subscription| subscription.missed_any);
        }
        is_change
    }

    /// Asks again for what publishers keep for late subscribers, so that the next part of a
    /// recording has it too.
    pub(super) fn start_part(&mut self, node: &mut r2r::Node) {
        self.repeat_latched(node, |_| true);
    }

    fn repeat_latched(&mut self, node: &mut r2r::Node, wanted: impl Fn(&Subscription) -> bool) {
        let latched = |s: &&mut Subscription| s.qos.durability == Durability::TransientLocal;
        for subscription in self.list.iter_mut().filter(latched).filter(|s| wanted(s)) {
            subscription.missed_any = false;
            subscription.renew(node);
        }
    }

    /// Hands over everything that the last spin brought; whether there was anything.
    pub(super) fn drain(
        &mut self,
        queue: &MessageQueue<Control>,
        now_nanos: impl Fn() -> i64,
    ) -> bool {
        let mut any = false;
        for (topic, subscription) in self.list.iter_mut().enumerate() {
            while let Some(cdr) = subscription.take() {
                any = true;
                if self.paused {
                    subscription.paused += 1;
                    subscription.missed_any = true;
                    continue;
                }
                let message = RawMessage { topic, cdr, received_nanos: now_nanos() };
                if queue.push(message).is_err() {
                    subscription.queue_full += 1;
                }
            }
            let report = |count: &mut u64, reason| {
                let messages = std::mem::take(count);
                if messages > 0 {
                    queue.push_control(Control::Dropped { topic, reason, messages });
                }
            };
            report(&mut subscription.queue_full, DropReason::QueueFull);
            report(&mut subscription.paused, DropReason::Paused);
        }
        any
    }
}

impl Subscription {
    /// Subscribes once more; the subscription before is listened to until this one is matched.
    fn renew(&mut self, node: &mut r2r::Node) {
        match Messages::of(node, &self.name, &self.type_name, &self.qos) {
            Ok(messages) => {
                let old = std::mem::replace(&mut self.messages, messages);
                self.handover = Some(Handover::from(old));
            }
            Err(reason) => tracing::error!("{}: can't subscribe again: {reason}", self.name),
        }
    }

    /// A message that has arrived, if there is one.
    fn take(&mut self) -> Option<Vec<u8>> {
        let Some(handover) = &mut self.handover else {
            return self.messages.arrived();
        };
        while let Some(cdr) = handover.old.arrived() {
            if !handover.is_repeat(Side::Old, &cdr) {
                return Some(cdr);
            }
        }
        while let Some(cdr) = self.messages.arrived() {
            if !handover.is_repeat(Side::New, &cdr) {
                return Some(cdr);
            }
        }
        if handover.is_over() {
            // The old subscription goes with its stream, at its next message.
            self.handover = None;
        }
        None
    }
}
