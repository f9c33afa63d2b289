//! What a mapping says of a topic: which entry is its own, with which settings, and what is left out.

use std::collections::HashSet;

use super::Mapping;
use super::calls::CallTopic;
use super::rule::{Rule, RuleMatch};
use super::settings::Keys;
use super::split_on::SplitOn;
use super::topic_pattern::Captures;
use crate::yaml::Place;
use mldash_message::TypeName;

impl Mapping {
    /// Returns true if globs don't match this topic.
    pub fn excludes(&self, topic: &str) -> bool {
        self.exclude.iter().any(|excluded| excluded.value.captures(topic).is_some())
    }

    /// Returns true if globs don't match topics of this type.
    pub fn excludes_type(&self, ty: &TypeName) -> bool {
        self.exclude_types.iter().any(|excluded| excluded.value == *ty)
    }

    /// How messages of type `ty` on `topic`, a topic of a graph or a bag, are recorded; `None` if
    /// they are not.
    ///
    /// An entry with the topic's own name goes before globs, also for a topic that is excluded, by
    /// name or by type, or has another type, and so do `services` and `actions` for their hidden topics. Of
    /// the globs, the first one counts whose `type` is `ty` or not given.
    pub fn rule_for(&self, topic: &str, ty: &TypeName) -> Option<RuleMatch<'_>> {
        let named = self.rules.iter().find(|r| r.topic().names(topic));
        let call = CallTopic::of(topic).filter(|_| named.is_none());
        if let Some(call) = call
            && let Some(rule) = self.rule_for_call(&call)
        {
            let settings = self.keys_of(rule, Some(ty)).with_defaults();
            let (captures, call) = (call.captures(), Some(call));
            return Some(RuleMatch { rule, captures, settings, call, type_conflict: None });
        }
        let (rule, captures) = match named {
            Some(rule) => (rule, Captures::default()),
            None if self.excludes(topic) || self.excludes_type(ty) => return None,
            None => self.rules.iter().filter(|r| r.topic().is_glob()).find_map(|rule| {
                let fits = rule.message_type().is_none_or(|expected| expected == ty);
                Some((rule, rule.topic().captures(topic).filter(|_| fits)?))
            })?,
        };
        let settings = self.keys_of(rule, Some(ty)).with_defaults();
        let type_conflict = rule.type_conflict(topic, ty);
        Some(RuleMatch { rule, captures, settings, call: None, type_conflict })
    }

    /// The entry that matches `topic`, a topic of a graph or a bag, with any type: for topics whose
    /// type is not one of ROS 2.
    pub(crate) fn rule_naming(&self, topic: &str) -> Option<&Rule> {
        let named = self.rules.iter().find(|r| r.topic().names(topic));
        let call = || self.rule_for_call(&CallTopic::of(topic)?);
        named.or_else(call).or_else(|| {
            let mut globs = self.rules.iter().filter(|r| r.topic().is_glob());
            globs.find(|r| r.topic().captures(topic).is_some() && !self.excludes(topic))
        })
    }

    /// The entries that are at no place in `matched`.
    pub fn rules_not_at(&self, matched: &HashSet<Place>) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain(&self.calls).filter(|rule| !matched.contains(&rule.place()))
    }

    /// The labels of the entries that are at no place in `matched`.
    pub fn topics_not_at(&self, matched: &HashSet<Place>) -> Vec<String> {
        let split_on = self.split_on.iter().filter(|entry| !matched.contains(&entry.place()));
        self.rules_not_at(matched).map(Rule::label).chain(split_on.map(SplitOn::label)).collect()
    }

    /// The keys of a rule for messages of a type, completed by those of the type and of the
    /// mapping.
    pub(super) fn keys_of(&self, rule: &Rule, ty: Option<&TypeName>) -> Keys {
        match ty.and_then(|ty| self.types.get(ty)) {
            Some(of_type) => rule.keys.over(&of_type.value).over(&self.defaults),
            None => rule.keys.over(&self.defaults),
        }
    }
}
