//! QoS set by hand. What is not set adapts to the publishers.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::keys;
use crate::yaml::{Item, Problems};

pub(super) const RELIABILITIES: [(&str, Reliability); 2] =
    [("reliable", Reliability::Reliable), ("best_effort", Reliability::BestEffort)];
pub(super) const DURABILITIES: [(&str, Durability); 2] =
    [("volatile", Durability::Volatile), ("transient_local", Durability::TransientLocal)];

/// How a topic is subscribed to; `None` follows the publishers' offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qos {
    /// Whether lost messages are sent again.
    pub reliability: Option<Reliability>,
    /// Whether late subscribers get the last messages.
    pub durability: Option<Durability>,
    /// Messages kept for a slow subscriber.
    pub depth: Option<NonZeroU32>,
}

/// ROS 2's reliability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// Lost messages are sent again.
    Reliable,
    /// Lost messages stay lost.
    BestEffort,
}

/// ROS 2's durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Only messages from after the subscription.
    Volatile,
    /// Latched: also the last messages from before it.
    TransientLocal,
}

impl Qos {
    /// `auto`, or a mapping of what is set by hand.
    pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        if item.is_word("auto") {
            return Some(Self::default());
        }
        if item.is_scalar() {
            let hint = "for example `{reliability: best_effort, depth: 10}`";
            item.mismatch("`auto` or a mapping", Some(hint), problems);
            return None;
        }
        let section = item.section(&keys::QOS, problems)?;
        Some(Self {
            reliability: section
                .get("reliability")
                .and_then(|i| i.choice(&RELIABILITIES, problems)),
            durability: section.get("durability").and_then(|i| i.choice(&DURABILITIES, problems)),
            depth: section.get("depth").and_then(|i| {
                i.number("a number of messages, at least 1", NonZeroU32::new, problems)
            }),
        })
    }
}
