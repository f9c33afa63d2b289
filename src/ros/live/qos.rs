//! Chooses the QoS of subscriptions so that every publisher on a topic can match. A subscription
//! gets nothing from a publisher that offers less than it requests.

use std::collections::BTreeSet;
use std::fmt;

use crate::mapping::{Durability, Qos, Reliability};
use crate::record::OfferedQos;
use crate::ros::NodeName;
use crate::ros::rcl::{self, PublisherInfo, QosProfile};

/// History depth in the middleware: ten seconds of a topic at 1 kHz in which the listening thread does not
/// get to run. With 1,000, rows were lost on a machine with twenty busy processes for each core. It
/// reserves no memory.
const DEFAULT_DEPTH: u32 = 10_000;

/// What one publisher offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The publishing node.
    pub(super) node: String,
    pub(super) reliability: Reliability,
    pub(super) durability: Durability,
    /// How many messages it keeps; 0 where the middleware does not say.
    pub(super) depth: u32,
}

/// The QoS that the subscriptions to a topic request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenQos {
    pub(super) reliability: Reliability,
    pub(super) durability: Durability,
    pub(super) depth: u32,
    /// What a second subscription requests: latched messages, if only some publishers keep them; or
    /// reliable delivery, if nobody publishes yet and either kind may come.
    second: Option<(Reliability, Durability)>,
}

impl Offer {
    /// The offer of a publisher.
    pub(super) fn of(publisher: &PublisherInfo) -> Self {
        Self {
            node: NodeName::new(&publisher.node, &publisher.namespace).full_name(),
            reliability: match publisher.qos.reliability {
                rcl::Reliability::Reliable => Reliability::Reliable,
                rcl::Reliability::BestEffort => Reliability::BestEffort,
            },
            durability: match publisher.qos.durability {
                rcl::Durability::TransientLocal => Durability::TransientLocal,
                rcl::Durability::Volatile => Durability::Volatile,
            },
            depth: u32::try_from(publisher.qos.depth).unwrap_or(u32::MAX),
        }
    }

    /// As offers are noted with what is recorded: in an order of their own, since the graph lists publishers now so, now so,
    /// and each list is one more declaration.
    pub(super) fn noted(offers: &[Self]) -> Vec<OfferedQos> {
        let noted = |offer: &Self| {
            let Self { reliability, durability, depth, .. } = *offer;
            let depth = if depth == 0 { OfferedQos::default().depth } else { Some(depth) };
            OfferedQos { reliability, durability, depth }
        };
        let mut noted: Vec<OfferedQos> = offers.iter().map(noted).collect();
        noted.sort_by_key(|offer| {
            (offer.is_latched(), offer.reliability == Reliability::Reliable, offer.depth)
        });
        noted
    }

    fn is_latched(&self) -> bool {
        self.durability == Durability::TransientLocal
    }
}

impl ChosenQos {
    /// Follows the mapping. Where the mapping leaves it open, requests the most that all publishers
    /// offer: reliable if all are, latched messages if all keep them. If only some keep them, a
    /// second subscription requests these.
    pub(super) fn adapted(wanted: &Qos, offers: &[Offer]) -> Self {
        let most_reliable = |mut offers: std::slice::Iter<'_, Offer>| {
            let all = offers.len() > 0 && offers.all(|o| o.reliability == Reliability::Reliable);
            wanted.reliability.unwrap_or(match all {
                true => Reliability::Reliable,
                false => Reliability::BestEffort,
            })
        };
        let latched: Vec<Offer> = offers.iter().filter(|o| o.is_latched()).cloned().collect();
        let all_latched = !offers.is_empty() && latched.len() == offers.len();
        let is_mixed = !latched.is_empty() && !all_latched && wanted.durability.is_none();
        let second = if is_mixed {
            Some((most_reliable(latched.iter()), Durability::TransientLocal))
        } else if offers.is_empty() && wanted.reliability.is_none() {
            Some((Reliability::Reliable, wanted.durability.unwrap_or(Durability::Volatile)))
        } else {
            None
        };
        Self {
            reliability: most_reliable(offers.iter()),
            durability: wanted.durability.unwrap_or(match all_latched {
                true => Durability::TransientLocal,
                false => Durability::Volatile,
            }),
            depth: wanted.depth.map_or(DEFAULT_DEPTH, u32::from),
            second,
        }
    }

    /// The profile of the subscription that gets every message.
    pub(super) fn profile(&self) -> QosProfile {
        self.profile_of(self.reliability, self.durability)
    }

    /// The profile of the second subscription, if there is one.
    pub(super) fn second_profile(&self) -> Option<QosProfile> {
        let (reliability, durability) = self.second?;
        Some(self.profile_of(reliability, durability))
    }

    /// The profile that requests latched messages, of either subscription; `None` if neither does.
    pub(super) fn latching_profile(&self) -> Option<QosProfile> {
        let both = self.second_profile().into_iter().chain([self.profile()]);
        both.into_iter().find(|profile| profile.durability == rcl::Durability::TransientLocal)
    }

    fn profile_of(&self, reliability: Reliability, durability: Durability) -> QosProfile {
        QosProfile {
            reliability: match reliability {
                Reliability::Reliable => rcl::Reliability::Reliable,
                Reliability::BestEffort => rcl::Reliability::BestEffort,
            },
            durability: match durability {
                Durability::TransientLocal => rcl::Durability::TransientLocal,
                Durability::Volatile => rcl::Durability::Volatile,
            },
            depth: self.depth as usize,
        }
    }

    /// Returns true if a publisher with this offer matches a subscription that requests `self`.
    pub(super) fn is_served_by(&self, offer: &Offer) -> bool {
        let reliability = self.reliability == Reliability::BestEffort
            || offer.reliability == Reliability::Reliable;
        let durability = self.durability == Durability::Volatile
            || offer.durability == Durability::TransientLocal;
        reliability && durability
    }
}

impl ChosenQos {
    /// The nodes whose publishers don't match a subscription with this QoS.
    pub(super) fn deaf_to<'o>(&self, offers: &'o [Offer]) -> BTreeSet<&'o str> {
        let offers = offers.iter().filter(|offer| !self.is_served_by(offer));
        offers.map(|offer| offer.node.as_str()).collect()
    }

    /// The reasons for this choice, for people.
    pub(super) fn reasons(&self, wanted: &Qos, offers: &[Offer]) -> Vec<String> {
        let nodes = |fits: fn(&Offer) -> bool| nodes(offers.iter().filter(|offer| fits(offer)));
        let mut reasons = Vec::new();
        let reliability = reliability_word(self.reliability);
        match (wanted.reliability, self.reliability) {
            (Some(_), _) => reasons.push(format!("{reliability}: the mapping says so")),
            (None, Reliability::Reliable) => {
                reasons.push(format!("{reliability}: all publishers offer it"));
            }
            (None, Reliability::BestEffort) => {
                let nodes = nodes(|offer| offer.reliability == Reliability::BestEffort);
                reasons.extend(nodes.map(|nodes| format!("{reliability}: {nodes} offers no more")));
            }
        }
        let durability = durability_word(self.durability);
        match (wanted.durability, self.durability) {
            (Some(_), _) => reasons.push(format!("{durability}: the mapping says so")),
            (None, Durability::TransientLocal) => {
                reasons
                    .push(format!("{durability}: all publishers keep messages for who comes late"));
            }
            (None, Durability::Volatile) => {
                let is_mixed = offers.iter().any(|o| o.durability == Durability::TransientLocal);
                let nodes = nodes(|offer| offer.durability == Durability::Volatile);
                let nodes = nodes.filter(|_| is_mixed);
                let second = match self.second {
                    Some(_) => "; latched messages come by a second subscription",
                    None => "",
                };
                reasons.extend(
                    nodes.map(|nodes| format!("{durability}: {nodes} keeps no messages{second}")),
                );
            }
        }
        let deaf_to = Vec::from_iter(self.deaf_to(offers));
        if !deaf_to.is_empty() {
            reasons.push(format!("nothing comes from {}, which offers less", deaf_to.join(", ")));
        }
        reasons
    }
}

/// The nodes of some offers as text; `None` if there are none.
fn nodes<'o>(offers: impl Iterator<Item = &'o Offer>) -> Option<String> {
    let nodes: BTreeSet<&str> = offers.map(|offer| offer.node.as_str()).collect();
    (!nodes.is_empty()).then(|| nodes.into_iter().collect::<Vec<_>>().join(", "))
}

fn reliability_word(reliability: Reliability) -> &'static str {
    match reliability {
        Reliability::Reliable => "reliable",
        Reliability::BestEffort => "best effort",
    }
}

fn durability_word(durability: Durability) -> &'static str {
    match durability {
        Durability::TransientLocal => "transient local",
        Durability::Volatile => "volatile",
    }
}

impl fmt::Display for ChosenQos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reliability = reliability_word(self.reliability);
        let durability = durability_word(self.durability);
        write!(f, "{reliability}, {durability}, depth {}", self.depth)?;
        match self.second {
            Some((_, Durability::TransientLocal)) => f.write_str(", latched ones too"),
            Some((_, Durability::Volatile)) => f.write_str(", reliable ones too"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Durability::{TransientLocal, Volatile};
    use Reliability::{BestEffort, Reliable};

    fn offer(node: &str, reliability: Reliability, durability: Durability) -> Offer {
        Offer { node: node.to_owned(), reliability, durability, depth: 0 }
    }

    #[test]
    fn offers_are_noted_alike_in_whatever_order_the_graph_lists_them() {
        let latched = Offer { depth: 1, ..offer("/a", Reliable, TransientLocal) };
        let deep = Offer { depth: 7, ..offer("/b", Reliable, Volatile) };
        let offers = [latched, deep, offer("/c", BestEffort, Volatile)];
        let mut reversed = offers.clone();
        reversed.reverse();
        let noted = Offer::noted(&offers);
        assert_eq!(noted, Offer::noted(&reversed));
        let depths: Vec<Option<u32>> = noted.iter().map(|offer| offer.depth).collect();
        assert_eq!(depths, [Some(10), Some(7), Some(1)]);
    }

    #[test]
    fn auto_asks_for_the_most_that_all_publishers_offer() {
        type Policies = (Reliability, Durability);
        let cases: [(&[Policies], Policies); 7] = [
            (&[], (BestEffort, Volatile)),
            (&[(Reliable, Volatile)], (Reliable, Volatile)),
            (&[(BestEffort, Volatile)], (BestEffort, Volatile)),
            (&[(Reliable, TransientLocal)], (Reliable, TransientLocal)),
            (&[(Reliable, Volatile), (BestEffort, Volatile)], (BestEffort, Volatile)),
            (&[(Reliable, TransientLocal), (Reliable, Volatile)], (Reliable, Volatile)),
            (
                &[(Reliable, TransientLocal), (BestEffort, TransientLocal)],
                (BestEffort, TransientLocal),
            ),
        ];
        for (offers, (reliability, durability)) in cases {
            let offers: Vec<Offer> = offers
                .iter()
                .map(|&(reliability, durability)| offer("/robot", reliability, durability))
                .collect();
            let chosen = ChosenQos::adapted(&Qos::default(), &offers);
            assert_eq!(
                (chosen.reliability, chosen.durability),
                (reliability, durability),
                "{offers:?}"
            );
            assert!(offers.iter().all(|offer| chosen.is_served_by(offer)), "{offers:?}");
        }
    }

    #[test]
    fn latched_messages_beside_a_volatile_publisher_come_by_a_second_subscription() {
        let offers =
            [offer("/map_server", Reliable, TransientLocal), offer("/slam", BestEffort, Volatile)];
        let chosen = ChosenQos::adapted(&Qos::default(), &offers);
        let second = chosen.second_profile().unwrap();
        assert_eq!(chosen.profile().reliability, rcl::Reliability::BestEffort);
        assert_eq!(chosen.profile().durability, rcl::Durability::Volatile);
        assert_eq!(second.reliability, rcl::Reliability::Reliable);
        assert_eq!(second.durability, rcl::Durability::TransientLocal);
        assert_eq!(chosen.latching_profile(), Some(second));
        let by_hand = Qos { durability: Some(Volatile), ..Qos::default() };
        assert_eq!(ChosenQos::adapted(&by_hand, &offers).second_profile(), None);
        let all = ChosenQos::adapted(&Qos::default(), &offers[..1]);
        assert_eq!(all.second_profile(), None);
        assert_eq!(all.latching_profile(), Some(all.profile()));
    }

    #[test]
    fn before_anybody_publishes_either_kind_of_publisher_is_listened_to() {
        let chosen = ChosenQos::adapted(&Qos::default(), &[]);
        assert_eq!(chosen.profile().reliability, rcl::Reliability::BestEffort);
        let second = chosen.second_profile().unwrap();
        assert_eq!(second.reliability, rcl::Reliability::Reliable);
        assert_eq!(second.durability, rcl::Durability::Volatile);
        let by_hand = Qos { reliability: Some(BestEffort), ..Qos::default() };
        assert_eq!(ChosenQos::adapted(&by_hand, &[]).second_profile(), None);
    }

    #[test]
    fn what_the_mapping_says_by_hand_stays() {
        let wanted = Qos { reliability: Some(Reliable), ..Qos::default() };
        let offers = [offer("/cam", BestEffort, TransientLocal)];
        let chosen = ChosenQos::adapted(&wanted, &offers);
        assert_eq!(chosen.to_string(), "reliable, transient local, depth 10000");
        assert_eq!(Vec::from_iter(chosen.deaf_to(&offers)), ["/cam"]);
        let reasons = chosen.reasons(&wanted, &offers).join("; ");
        for part in ["reliable: the mapping says so", "nothing comes from /cam"] {
            assert!(reasons.contains(part), "{reasons}");
        }
    }

    #[test]
    fn the_publisher_that_offers_least_is_named() {
        let offers = [
            offer("/map", Reliable, TransientLocal),
            offer("/cam/left", BestEffort, Volatile),
            offer("/cam/left", BestEffort, Volatile),
        ];
        let wanted = Qos::default();
        let reasons = ChosenQos::adapted(&wanted, &offers).reasons(&wanted, &offers);
        assert_eq!(
            reasons,
            [
                "best effort: /cam/left offers no more",
                "volatile: /cam/left keeps no messages; latched messages come by a second \
                 subscription"
            ]
        );
    }
}
