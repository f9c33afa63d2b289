//! What the publishers of a topic offered: as rosbag2 notes it with a topic, and as our own store
//! keeps it. Deadlines and lifespans are not kept.

use serde::{Deserialize, Serialize};

use crate::mapping::{Durability, Reliability};

/// The QoS that one publisher offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedQos {
    /// Whether lost messages are sent again.
    pub reliability: Reliability,
    /// Whether late subscribers get the last messages.
    pub durability: Durability,
    /// How many messages it keeps; `None` for all.
    pub depth: Option<u32>,
}

/// rosbag2's duration of a policy that is not set.
const NEVER: &str = "{sec: 9223372036, nsec: 854775807}";

impl OfferedQos {
    /// Reads rosbag2's `offered_qos_profiles`: a list with a profile for each publisher. Newer
    /// versions write words, older ones the numbers of rmw. What can't be read counts as none.
    ///
    /// ```
    /// use mldash_record::OfferedQos;
    /// let text = "- history: 1\n  depth: 5\n  reliability: 1\n  durability: 1\n";
    /// assert_eq!(OfferedQos::read(text)[0].depth, Some(5));
    /// ```
    pub fn read(profiles: &str) -> Vec<Self> {
        let mut offers: Vec<Self> = Vec::new();
        for line in profiles.lines() {
            let entry = line.trim_start();
            let key = entry.strip_prefix("- ").unwrap_or(entry).trim_start();
            if entry.starts_with("- ") {
                offers.push(Self::default());
            }
            let Some(offer) = offers.last_mut() else { continue };
            match key.split_once(':').map(|(key, value)| (key, value.trim())) {
                Some(("depth", number)) if offer.depth.is_some() => {
                    offer.depth = Some(number.parse().unwrap_or(0));
                }
                Some(("history", "2" | "keep_all")) => offer.depth = None,
                Some(("reliability", "2" | "best_effort")) => {
                    offer.reliability = Reliability::BestEffort;
                }
                Some(("durability", "1" | "transient_local")) => {
                    offer.durability = Durability::TransientLocal;
                }
                _ => {}
            }
        }
        offers
    }

    /// Writes rosbag2's `offered_qos_profiles`, in the words of Jazzy and later.
    pub fn write(offers: &[Self]) -> String {
        let mut text = String::new();
        for offer in offers {
            let (history, depth) = match offer.depth {
                Some(depth) => ("keep_last", depth),
                None => ("keep_all", 0),
            };
            let reliability = match offer.reliability {
                Reliability::Reliable => "reliable",
                Reliability::BestEffort => "best_effort",
            };
            let durability = match offer.durability {
                Durability::Volatile => "volatile",
                Durability::TransientLocal => "transient_local",
            };
            text.push_str(&format!(
                "- history: {history}\n  depth: {depth}\n  reliability: {reliability}\n  durability: \
                 {durability}\n  deadline: {NEVER}\n  lifespan: {NEVER}\n  liveliness: automatic\n  \
                 liveliness_lease_duration: {NEVER}\n  avoid_ros_namespace_conventions: false\n"
            ));
        }
        text
    }

    /// Returns true if late subscribers get the last messages.
    pub fn is_latched(&self) -> bool {
        self.durability == Durability::TransientLocal
    }

    /// How many messages the publishers keep together for late subscribers.
    pub fn kept(offers: &[Self]) -> usize {
        let latched = offers.iter().filter(|offer| offer.is_latched());
        let kept =
            latched.map(|offer| offer.depth.map_or(usize::MAX, |depth| depth.max(1) as usize));
        kept.fold(0, usize::saturating_add)
    }

    /// One offer that serves every subscriber that one of these served: the most that any of them
    /// offered. ROS 2's default if there is none.
    pub fn joined(offers: &[Self]) -> Self {
        let Some(first) = offers.first() else { return Self::default() };
        let is_reliable = offers.iter().any(|offer| offer.reliability == Reliability::Reliable);
        let depth = match offers.iter().any(Self::is_latched) {
            true => u32::try_from(Self::kept(offers)).ok(),
            false => {
                offers.iter().map(|offer| offer.depth).reduce(|a, b| Some(a?.max(b?))).flatten()
            }
        };
        Self {
            reliability: if is_reliable { Reliability::Reliable } else { Reliability::BestEffort },
            durability: offers
                .iter()
                .find(|offer| offer.is_latched())
                .map_or(first.durability, |offer| offer.durability),
            depth,
        }
    }
}

/// ROS 2's default, also for what a profile does not say.
impl Default for OfferedQos {
    fn default() -> Self {
        let (reliability, durability) = (Reliability::Reliable, Durability::Volatile);
        Self { reliability, durability, depth: Some(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_in_numbers_and_in_words() {
        let kept = |text: &str| OfferedQos::kept(&OfferedQos::read(text));
        let numbers = "- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline:\n    sec: 9\n\
                       - history: 1\n  depth: 10\n  reliability: 2\n  durability: 2\n";
        assert_eq!(kept(numbers), 1);
        let read = OfferedQos::read(numbers);
        assert_eq!(read[1].reliability, Reliability::BestEffort);
        assert_eq!(read[1].depth, Some(10));
        let words = "- depth: 3\n  durability: transient_local\n- depth: 0\n  durability: transient_local\n";
        assert_eq!(kept(words), 4);
        for none in ["", "[]", "- depth: 5\n  durability: volatile\n", "nonsense: ["] {
            assert_eq!(kept(none), 0, "{none}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let latched =
            OfferedQos { durability: Durability::TransientLocal, ..OfferedQos::default() };
        let all = OfferedQos {
            reliability: Reliability::BestEffort,
            depth: None,
            ..OfferedQos::default()
        };
        let offers = [latched, all];
        assert_eq!(OfferedQos::read(&OfferedQos::write(&offers)), offers);
        assert_eq!(OfferedQos::write(&[]), "");
    }

    #[test]
    fn offers_are_joined_to_the_most_that_any_of_them_is() {
        let best_effort =
            OfferedQos { reliability: Reliability::BestEffort, ..OfferedQos::default() };
        let latched = OfferedQos {
            durability: Durability::TransientLocal,
            depth: Some(1),
            ..OfferedQos::default()
        };
        assert_eq!(OfferedQos::joined(&[]), OfferedQos::default());
        assert_eq!(OfferedQos::joined(&[best_effort]), best_effort);
        let joined = OfferedQos::joined(&[best_effort, latched, latched]);
        assert_eq!(joined, OfferedQos { depth: Some(2), ..latched });
    }
}
