//! Subscribing by raw bytes, and taking what has arrived.

use futures::future::FutureExt;
use futures::stream::{Stream, StreamExt};
use r2r::QosProfile;

use super::qos::ChosenQos;
use crate::mapping::{Durability, Reliability};

/// A subscription's messages: CDR, encapsulation header first. It goes with them, at its next message.
pub(super) struct Messages(Box<dyn Stream<Item = Vec<u8>> + Unpin>);

impl Messages {
    /// Subscribes.
    ///
    /// # Errors
    /// Why not, with the remedy: in all likelihood the type was not there when r2r was built.
    pub(super) fn of(
        node: &mut r2r::Node,
        name: &str,
        type_name: &str,
        qos: &ChosenQos,
    ) -> Result<Self, String> {
        match node.subscribe_raw(name, type_name, profile(qos)) {
            Ok(messages) => Ok(Self(Box::new(messages))),
            Err(error) => Err(format!(
                "this program was built without the type {type_name}; build it again with the \
                 workspace sourced that has it ({error})"
            )),
        }
    }

    /// A message that r2r has put into the stream, without waiting.
    pub(super) fn arrived(&mut self) -> Option<Vec<u8>> {
        self.0.next().now_or_never().flatten()
    }
}

fn profile(qos: &ChosenQos) -> QosProfile {
    let profile = QosProfile::default().keep_last(qos.depth as usize);
    let profile = match qos.reliability {
        Reliability::Reliable => profile.reliable(),
        Reliability::BestEffort => profile.best_effort(),
    };
    match qos.durability {
        Durability::Volatile => profile.volatile(),
        Durability::TransientLocal => profile.transient_local(),
    }
}
