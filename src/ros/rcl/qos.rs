//! `rmw_qos_profile_t`: the policies that decide whether publisher and subscription match.

use r2r_rcl::{
    rmw_qos_durability_policy_t, rmw_qos_history_policy_t, rmw_qos_profile_t,
    rmw_qos_reliability_policy_t,
};

/// Whether lost packets are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// They are.
    Reliable,
    /// They are not.
    BestEffort,
}

/// Whether a publisher keeps messages for late joiners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// It does.
    TransientLocal,
    /// It does not.
    Volatile,
}

/// The QoS that a subscription requests or a publisher offers, with a history of the last `depth`
/// messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QosProfile {
    /// See [`Reliability`].
    pub reliability: Reliability,
    /// See [`Durability`].
    pub durability: Durability,
    /// Number of messages kept until they are taken; 0 if the middleware does not report it.
    pub depth: usize,
}

impl QosProfile {
    /// As rcl's type, based on its defaults for topics.
    pub(super) fn to_rmw(self, mut defaults: rmw_qos_profile_t) -> rmw_qos_profile_t {
        defaults.history = rmw_qos_history_policy_t::RMW_QOS_POLICY_HISTORY_KEEP_LAST;
        defaults.depth = self.depth;
        defaults.reliability = match self.reliability {
            Reliability::Reliable => {
                rmw_qos_reliability_policy_t::RMW_QOS_POLICY_RELIABILITY_RELIABLE
            }
            Reliability::BestEffort => {
                rmw_qos_reliability_policy_t::RMW_QOS_POLICY_RELIABILITY_BEST_EFFORT
            }
        };
        defaults.durability = match self.durability {
            Durability::TransientLocal => {
                rmw_qos_durability_policy_t::RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL
            }
            Durability::Volatile => rmw_qos_durability_policy_t::RMW_QOS_POLICY_DURABILITY_VOLATILE,
        };
        defaults
    }

    /// Converts from rmw's type. An unknown policy counts as the weaker one.
    pub(super) fn from_rmw(profile: &rmw_qos_profile_t) -> Self {
        let is_reliable = profile.reliability
            == rmw_qos_reliability_policy_t::RMW_QOS_POLICY_RELIABILITY_RELIABLE;
        let is_latched = profile.durability
            == rmw_qos_durability_policy_t::RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL;
        Self {
            reliability: if is_reliable { Reliability::Reliable } else { Reliability::BestEffort },
            durability: if is_latched { Durability::TransientLocal } else { Durability::Volatile },
            depth: profile.depth,
        }
    }
}
