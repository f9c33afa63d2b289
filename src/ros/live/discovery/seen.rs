//! A look at a topic, for `check --graph` and `init`: what it is and what the mapping does with it.

use std::collections::BTreeSet;

use super::{Discovery, MappedName, offers, publishers, types};
use crate::mapping::{Qos, RuleMatch};
use crate::ros::NodeName;
use crate::ros::live::qos::Offer;
use crate::ros::rcl::Node;

/// A topic on the graph at one moment.
pub(in crate::ros::live) struct SeenTopic {
    pub(in crate::ros::live) type_name: String,
    pub(in crate::ros::live) other_types: Vec<String>,
    /// The nodes that publish it.
    pub(in crate::ros::live) publishers: Vec<String>,
    /// The offers of those that publish it as `type_name`.
    pub(in crate::ros::live) offers: Vec<Offer>,
    /// The mapping's entry for it.
    pub(in crate::ros::live) rule: Option<SeenRule>,
    pub(in crate::ros::live) is_excluded: bool,
}

/// What an entry of the mapping says about a topic.
pub(in crate::ros::live) struct SeenRule {
    pub(in crate::ros::live) line: usize,
    /// The track's name, with placeholders for fields of messages.
    pub(in crate::ros::live) track: String,
    pub(in crate::ros::live) wanted_qos: Qos,
}

impl SeenRule {
    fn new(rule: &RuleMatch<'_>, mapped_name: &str) -> Self {
        let pattern = &rule.settings.track;
        let fields = pattern.fields().iter().map(|field| Some(format!("{{{field}}}")));
        let fields = fields.collect::<Vec<_>>();
        let tracks = rule.tracks().into_iter().map(|pattern| {
            let track = pattern.expand(mapped_name, &rule.captures, &fields);
            track.map_or_else(|_| pattern.to_string(), |track| track.to_string())
        });
        Self {
            line: rule.rule.place().line,
            track: tracks.collect::<Vec<_>>().join(", "),
            wanted_qos: rule.settings.qos,
        }
    }
}

impl Discovery {
    /// A topic and what the mapping does with it, without any effect.
    pub(in crate::ros::live) fn look_at(
        &self,
        node: &Node,
        name: &str,
        listed: &[String],
    ) -> SeenTopic {
        let publishers = publishers(node, name);
        let types = types(&publishers);
        let mapped_name = match self.mapped(name) {
            MappedName::As(mapped_name) => Some(mapped_name),
            MappedName::Shadowed { .. } => None,
        };
        let chosen =
            mapped_name.as_deref().and_then(|mapped| self.mapping.first_type(mapped, &types));
        let type_name = chosen.or(types.first()).or(listed.first()).cloned().unwrap_or_default();
        let rule = mapped_name.as_ref().and_then(|mapped_name| {
            let rule = self.mapping.rule_for(mapped_name, &type_name.parse().ok()?)?;
            Some(SeenRule::new(&rule, mapped_name))
        });
        let nodes = publishers.iter().map(|p| NodeName::new(&p.node, &p.namespace).full_name());
        SeenTopic {
            rule,
            is_excluded: mapped_name.is_some_and(|mapped| self.mapping.excludes(&mapped))
                || type_name.parse().is_ok_and(|ty| self.mapping.excludes_type(&ty)),
            other_types: types.into_iter().filter(|ty| *ty != type_name).collect(),
            publishers: nodes.collect::<BTreeSet<_>>().into_iter().collect(),
            offers: offers(&publishers, &type_name),
            type_name,
        }
    }
}
