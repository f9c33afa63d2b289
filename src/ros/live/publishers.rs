//! Who publishes a topic: as which type, and with what QoS on offer.

use std::collections::BTreeSet;

use r2r::QosProfile;

use super::NodeName;
use super::qos::Offer;
use crate::mapping::{Durability, Reliability};

/// Somebody who publishes a topic.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) type_name: String,
    pub(super) offer: Offer,
}

/// The publishers of a topic. r2r's list of topics and types is good for a topic's first type only:
/// where there are several it reads the next topic's instead.
pub(super) fn publishers(node: &r2r::Node, topic: &str) -> Vec<Publisher> {
    let infos = node.get_publishers_info_by_topic(topic, false).unwrap_or_default();
    let publishers = infos.into_iter().map(|info| Publisher {
        offer: Offer {
            node: NodeName::new(&info.node_name, &info.node_namespace).full_name(),
            reliability: reliability(&info.qos_profile),
            durability: durability(&info.qos_profile),
        },
        type_name: info.topic_type,
    });
    publishers.collect()
}

/// The types that a topic is published as, each once.
pub(super) fn types(publishers: &[Publisher]) -> Vec<String> {
    let types: BTreeSet<&String> = publishers.iter().map(|p| &p.type_name).collect();
    types.into_iter().cloned().collect()
}

/// What those who publish a type offer.
pub(super) fn offers(publishers: &[Publisher], type_name: &str) -> Vec<Offer> {
    publishers.iter().filter(|p| p.type_name == type_name).map(|p| p.offer.clone()).collect()
}

fn reliability(profile: &QosProfile) -> Reliability {
    match profile.reliability {
        r2r::qos::ReliabilityPolicy::Reliable => Reliability::Reliable,
        _ => Reliability::BestEffort,
    }
}

fn durability(profile: &QosProfile) -> Durability {
    match profile.durability {
        r2r::qos::DurabilityPolicy::TransientLocal => Durability::TransientLocal,
        _ => Durability::Volatile,
    }
}
