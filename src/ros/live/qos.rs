//! What a subscription asks for, so that every publisher on the topic may answer: a request for
//! more than a publisher offers gets nothing from it, and says so nowhere.

use std::fmt;

use crate::mapping::{Durability, Qos, Reliability};

/// Messages that the middleware keeps until the node takes them. Below this, bursts are lost
/// inside DDS even though every subscription is drained at once (measured at 20,000/s).
const DEFAULT_DEPTH: u32 = 1_000;

/// What one publisher offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) reliability: Reliability,
    pub(super) durability: Durability,
}

/// What a subscription asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenQos {
    pub(super) reliability: Reliability,
    pub(super) durability: Durability,
    pub(super) depth: u32,
}

impl ChosenQos {
    /// As the mapping says, and where it leaves it open the most that all publishers offer:
    /// reliable if all are, latched messages if all keep them.
    pub(super) fn adapted(wanted: &Qos, offers: &[Offer]) -> Self {
        let all = |fits: fn(&Offer) -> bool| !offers.is_empty() && offers.iter().all(fits);
        let reliable = all(|o| o.reliability == Reliability::Reliable);
        let latched = all(|o| o.durability == Durability::TransientLocal);
        Self {
            reliability: wanted.reliability.unwrap_or(if reliable {
                Reliability::Reliable
            } else {
                Reliability::BestEffort
            }),
            durability: wanted.durability.unwrap_or(if latched {
                Durability::TransientLocal
            } else {
                Durability::Volatile
            }),
            depth: wanted.depth.map_or(DEFAULT_DEPTH, u32::from),
        }
    }

    /// Whether a publisher that offers this will send to a subscription that asks for `self`.
    pub(super) fn is_served_by(&self, offer: &Offer) -> bool {
        let reliability = self.reliability == Reliability::BestEffort
            || offer.reliability == Reliability::Reliable;
        let durability = self.durability == Durability::Volatile
            || offer.durability == Durability::TransientLocal;
        reliability && durability
    }
}

impl fmt::Display for ChosenQos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reliability = match self.reliability {
            Reliability::Reliable => "reliable",
            Reliability::BestEffort => "best effort",
        };
        let durability = match self.durability {
            Durability::TransientLocal => "transient local",
            Durability::Volatile => "volatile",
        };
        write!(f, "{reliability}, {durability}, depth {}", self.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Durability::{TransientLocal, Volatile};
    use Reliability::{BestEffort, Reliable};

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
                .map(|&(reliability, durability)| Offer { reliability, durability })
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
    fn what_the_mapping_says_by_hand_stays() {
        let wanted = Qos { reliability: Some(Reliable), ..Qos::default() };
        let offer = Offer { reliability: BestEffort, durability: TransientLocal };
        let chosen = ChosenQos::adapted(&wanted, &[offer]);
        assert_eq!(chosen.to_string(), "reliable, transient local, depth 1000");
        assert!(!chosen.is_served_by(&offer));
    }
}
