//! `rmw_qos_profile_t`: the part of it that decides who hears whom.

use r2r_rcl::{
    rmw_qos_durability_policy_t, rmw_qos_history_policy_t, rmw_qos_profile_t,
    rmw_qos_reliability_policy_t,
};

/// Whether a lost packet is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// It is.
    Reliable,
    /// It is not.
    BestEffort,
}

/// Whether a publisher keeps messages for subscribers that come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// It does.
    TransientLocal,
    /// It does not.
    Volatile,
}

/// What a subscription asks for, or a publisher offers. The history keeps the last `depth` messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QosProfile {
    /// See [`Reliability`].
    pub reliability: Reliability,
    /// See [`Durability`].
    pub durability: Durability,
    /// Messages that are kept until they are taken; 0 where a middleware does not tell.
    pub depth: usize,
}

impl QosProfile {
    /// For rcl, starting from its defaults for topics.
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

    /// From rmw. A policy that is unknown counts as the one that promises less.
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
