//! The changes of parts that messages ask for, in the order in which these arrived. Other messages
//! go to the recorder only once all that asked before them are heard.

use std::time::Instant;

use super::control::{Control, is_asked_by_message};
use super::discovery::Discovery;
use super::listening::Listening;
use super::queue::MessageQueue;
use super::triggers::{Ineffective, Triggers};
use crate::mapping::{PartAction, PartChange, SplitOn};
use crate::ros::rcl::Subscription;

/// How many changes that messages asked for may wait.
pub(super) const MAX_CHANGES: usize = 64;

/// The topics of `split_on`, and what they ask for.
pub(super) struct PartChanges {
    triggers: Triggers,
    waiting: Waiting,
    /// Whether messages ask for more changes than the recorder can make.
    is_flooded: bool,
}

/// Changes with the arrival by the system clock of the messages that ask for them, in that order.
#[derive(Debug, Default)]
struct Waiting(Vec<(i64, PartChange)>);

impl PartChanges {
    pub(super) fn new(entries: &[SplitOn]) -> Self {
        Self { triggers: Triggers::new(entries), waiting: Waiting::default(), is_flooded: false }
    }

    /// As [`Triggers::discover`].
    pub(super) fn discover<T: Default>(
        &mut self,
        discovery: &mut Discovery,
        listening: &mut Listening<T>,
    ) -> Vec<Ineffective> {
        self.triggers.discover(discovery, listening)
    }

    /// As [`Triggers::subscriptions`].
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.triggers.subscriptions()
    }

    /// When there is something to do even if no message comes.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match self.earliest() {
            Some(_) => Some(Instant::now()),
            None => self.triggers.due_at(),
        }
    }

    /// As [`Triggers::retire`].
    pub(super) fn retire(&mut self, now: Instant) {
        self.triggers.retire(now);
    }

    /// Takes the messages that have arrived. What they ask for waits here; with too much of it, it
    /// is refused.
    pub(super) fn hear(&mut self, queue: &MessageQueue<Control>) {
        for (arrived_nanos, change) in self.triggers.hear() {
            let waiting = self.waiting.0.len() + queue.waiting(is_asked_by_message);
            // It is told once for as long as changes wait.
            self.is_flooded &= waiting > 0;
            if waiting < MAX_CHANGES {
                self.waiting.add(arrived_nanos, change);
            } else if !std::mem::replace(&mut self.is_flooded, true) {
                let reason = "messages ask for other parts faster than parts can change; some \
                              changed nothing";
                tracing::error!("split_on: {reason}");
                let (topic, reason) = ("split_on".to_owned(), reason.to_owned());
                queue.push_control(Control::Refuse { topic, reason });
            }
        }
    }

    /// The clock jumped back at this system time, so the next part begins.
    pub(super) fn split_at(&mut self, nanos: i64) {
        self.waiting.add(nanos, PartChange::new(PartAction::Split));
    }

    /// The arrival of the message whose change comes next.
    pub(super) fn earliest(&self) -> Option<i64> {
        self.waiting.0.first().map(|(arrived_nanos, _)| *arrived_nanos)
    }

    /// The next change.
    pub(super) fn take_earliest(&mut self) -> Option<(i64, PartChange)> {
        (!self.waiting.0.is_empty()).then(|| self.waiting.0.remove(0))
    }

    /// Forgets what waits: the recording ends.
    pub(super) fn forget(&mut self) {
        self.waiting.0.clear();
    }
}

impl Waiting {
    fn add(&mut self, arrived_nanos: i64, change: PartChange) {
        let place = self.0.partition_point(|(before, _)| *before <= arrived_nanos);
        self.0.insert(place, (arrived_nanos, change));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_in_the_order_in_which_they_were_asked_for() {
        let mut changes = PartChanges::new(&[]);
        for (nanos, action) in
            [(5, PartAction::Stop), (7, PartAction::Start), (5, PartAction::Discard)]
        {
            changes.waiting.add(nanos, PartChange::new(action));
        }
        changes.split_at(3);
        let taken = std::iter::from_fn(|| changes.take_earliest());
        let taken: Vec<_> = taken.map(|(nanos, change)| (nanos, change.action)).collect();
        let (stop, start) = (PartAction::Stop, PartAction::Start);
        assert_eq!(
            taken,
            [(3, PartAction::Split), (5, stop), (5, PartAction::Discard), (7, start)]
        );
        assert_eq!(changes.earliest(), None);
    }
}
