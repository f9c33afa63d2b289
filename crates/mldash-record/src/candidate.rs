//! Decides whether the mapping takes a topic, and as which type. A live graph and a bag ask the same
//! question; this is the one answer to it. Knows neither of them.

use std::sync::Arc;

use super::plan::TopicPlan;
use crate::mapping::{Mapping, OnTypeChange, Qos};
use crate::yaml::Place;
use mldash_message::{MessageType, TypeName};

/// A topic that could be recorded, with one of the types that it is published as.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The topic's name on the graph or in the bag.
    pub topic: &'a str,
    /// The mapping's name for it. It differs from `topic` under remapping.
    pub mapped_topic: &'a str,
    /// The type, as the graph or the bag writes it. Empty if it is not known.
    pub type_name: &'a str,
    /// The type that the topic is recorded as already, if it is.
    pub recorded_as: Option<&'a str>,
}

/// What to do with a [`Candidate`].
#[derive(Debug)]
pub enum Decision {
    /// Leave it out: the mapping does not ask for it.
    NotAskedFor,
    /// Record it.
    Record {
        /// How to record it.
        plan: Box<TopicPlan>,
        /// The QoS that the mapping asks for.
        qos: Qos,
        /// The place of the mapping's entry.
        entry: Place,
    },
    /// Report it: the mapping asks for it, and it can't be recorded.
    Refuse {
        /// Why.
        reason: String,
        /// The place of the mapping's entry.
        entry: Place,
    },
}

impl Candidate<'_> {
    /// Decides what to do with the topic. `resolve` finds the definition of its type, or says why
    /// there is none; it is called only if the definition is needed.
    ///
    /// The mapping's own `type:` goes first, then the type that the topic is recorded as. Under
    /// `on_type_change: split_track` a second type gets a track of its own.
    pub fn decide(
        &self,
        mapping: &Mapping,
        resolve: impl FnOnce(&TypeName) -> Result<Arc<MessageType>, String>,
    ) -> Decision {
        let Ok(type_name) = self.type_name.parse::<TypeName>() else {
            return match mapping.rule_naming(self.mapped_topic) {
                Some(rule) => Decision::Refuse { reason: self.no_type(), entry: rule.place() },
                None => Decision::NotAskedFor,
            };
        };
        let Some(rule) = mapping.rule_for(self.mapped_topic, &type_name) else {
            return Decision::NotAskedFor;
        };
        let entry = rule.rule.place();
        let is_other = |recorded: &&str| recorded.parse() != Ok(type_name.clone());
        let other = self.recorded_as.filter(is_other);
        let splits = rule.settings.on_type_change == OnTypeChange::SplitTrack;
        if let Some(recorded) = other.filter(|_| !splits && rule.type_conflict.is_none()) {
            return Decision::Refuse { reason: self.second_type(recorded), entry };
        }
        let plan = resolve(&type_name).and_then(|message_type| {
            TopicPlan::new(self.topic, self.mapped_topic, &message_type, &rule)
                .map_err(|error| error.to_string())
        });
        match plan {
            Ok(plan) => {
                let plan = if other.is_some() { plan.in_a_track_of_its_type() } else { plan };
                Decision::Record { plan: Box::new(plan), qos: rule.settings.qos, entry }
            }
            Err(reason) => Decision::Refuse { reason, entry },
        }
    }

    fn no_type(&self) -> String {
        if self.type_name.is_empty() {
            return "its message type is not given".to_owned();
        }
        format!("its type `{}` is not a message type of ROS 2", self.type_name.escape_debug())
    }

    fn second_type(&self, recorded: &str) -> String {
        format!(
            "the topic is published as {} too; messages of that type are not recorded, those of \
             {recorded} are; `on_type_change: split_track` in the mapping gives each type a track of \
             its own",
            self.type_name
        )
    }
}

impl Mapping {
    /// The type to record first if a topic is published as several: the one that its entry names, else
    /// the first one.
    pub fn first_type<'t>(&self, mapped_topic: &str, types: &'t [String]) -> Option<&'t String> {
        let fits = |name: &&String| {
            let rule = name.parse().ok().and_then(|ty| self.rule_for(mapped_topic, &ty));
            rule.is_some_and(|rule| rule.type_conflict.is_none())
        };
        types.iter().find(fits).or_else(|| types.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(entry: &str) -> Mapping {
        Mapping::parse(&format!("topics: [{{{entry}}}]"), "m.yaml").unwrap()
    }

    fn decide(mapping: &Mapping, type_name: &str, recorded_as: Option<&str>) -> Decision {
        let candidate = Candidate { topic: "/g", mapped_topic: "/mode", type_name, recorded_as };
        candidate.decide(mapping, |name| {
            MessageType::from_bundle(name, "int32 data").map_err(|error| error.to_string())
        })
    }

    fn reason(decision: Decision) -> String {
        match decision {
            Decision::Refuse { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_topic_is_recorded_under_the_mappings_name_for_it() {
        let decision = decide(&mapping("topic: /mode"), "std_msgs/msg/Int32", None);
        let Decision::Record { plan, .. } = decision else { panic!("{decision:?}") };
        assert_eq!((plan.topic(), plan.mapped_topic()), ("/g", "/mode"));
        let other = mapping("topic: /other");
        assert!(matches!(decide(&other, "std_msgs/msg/Int32", None), Decision::NotAskedFor));
    }

    #[test]
    fn a_second_type_is_refused_or_gets_its_own_track() {
        let (first, second) = (Some("std_msgs/msg/Int32"), "std_msgs/msg/Int64");
        let refused = reason(decide(&mapping("topic: /mode"), second, first));
        assert!(refused.contains("published as std_msgs/msg/Int64 too"), "{refused}");
        let split = mapping("topic: /mode, on_type_change: split_track");
        let Decision::Record { plan, .. } = decide(&split, second, first) else { panic!() };
        assert_eq!(plan.track.to_string(), "{topic}.std_msgs.Int64");
        // The same type again, with another definition perhaps, is no second type.
        let again = decide(&mapping("topic: /mode"), "std_msgs/msg/Int32", first);
        assert!(matches!(again, Decision::Record { .. }));
    }

    #[test]
    fn the_mappings_type_goes_before_the_one_that_is_recorded() {
        let typed = mapping("topic: /mode, type: std_msgs/msg/Int64");
        let refused = reason(decide(&typed, "std_msgs/msg/Int32", Some("std_msgs/msg/Int64")));
        assert!(refused.contains("expects std_msgs/msg/Int64"), "{refused}");
        let types = ["std_msgs/msg/Int32", "std_msgs/msg/Int64"].map(str::to_owned);
        assert_eq!(typed.first_type("/mode", &types), Some(&types[1]));
        assert_eq!(mapping("topic: /mode").first_type("/mode", &types), Some(&types[0]));
    }

    #[test]
    fn a_topic_without_a_type_of_ros_is_refused_only_if_it_is_asked_for() {
        let refused = reason(decide(&mapping("topic: /mode"), "Int32", None));
        assert_eq!(refused, "its type `Int32` is not a message type of ROS 2");
        assert_eq!(
            reason(decide(&mapping("topic: /**"), "", None)),
            "its message type is not given"
        );
        assert!(matches!(decide(&mapping("topic: /x"), "", None), Decision::NotAskedFor));
    }
}
