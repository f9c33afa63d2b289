//! `required`: the topics that a complete recording must have, and their least rates.

use super::Mapping;
use super::keys;
use super::settings::Hz;
use super::topic_pattern::TopicPattern;
use crate::yaml::{Item, Placed, Problems};

const REQUIRED: &str = "write `- /imu`, or `- {topic: /imu, min_rate: 100}`";

/// A topic that a complete recording must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Required {
    pub(super) topic: Placed<TopicPattern>,
    min_rate: Option<Hz>,
}

impl Required {
    /// The topic's absolute name, before remapping.
    pub fn topic(&self) -> &str {
        self.topic.value.absolute()
    }

    /// Returns true if this is `topic`, a topic of a graph or a bag: by its absolute name, or as it
    /// is written.
    pub fn names(&self, topic: &str) -> bool {
        self.topic.value.names(topic)
    }

    /// The least rate of its messages; without one, it is enough that they arrive at all.
    pub fn min_rate(&self) -> Option<Hz> {
        self.min_rate
    }
}

pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<Required>> {
    let mut required: Vec<Required> = Vec::new();
    for item in item.list(problems)? {
        let Some(entry) = entry(&item, problems) else { continue };
        if required.iter().any(|before| before.topic.value == entry.topic.value) {
            let message = format!("{} is required twice", entry.topic.value);
            problems.add(&entry.topic.spot, message, Some("keep one of them".to_owned()));
        }
        required.push(entry);
    }
    Some(required)
}

fn entry(item: &Item<'_>, problems: &mut Problems) -> Option<Required> {
    let (topic, min_rate) = if item.is_scalar() {
        (item.clone(), None)
    } else {
        let section = item.section(&keys::REQUIRED, problems)?;
        let min_rate = section
            .get("min_rate")
            .and_then(|item| item.number("a rate in Hz above 0", Hz::new, problems));
        let Some(topic) = section.get("topic") else {
            problems.add(&section.spot, "`topic` is missing", Some(REQUIRED.to_owned()));
            return None;
        };
        (topic.clone(), min_rate)
    };
    let pattern: TopicPattern = topic.parse(REQUIRED, problems)?;
    if pattern.is_glob() {
        let message = format!("`{pattern}` is a glob; what is required is named, topic by topic");
        problems.add(&topic.spot, message, Some(REQUIRED.to_owned()));
        return None;
    }
    Some(Required { topic: topic.place(pattern), min_rate })
}

/// Checks that a required topic is recorded.
pub(super) fn check(mapping: &Mapping, problems: &mut Problems) {
    for required in &mapping.required {
        if mapping.rule_naming(required.topic()).is_none() {
            let topic = &required.topic.value;
            let message = format!("{topic} is required, and no entry of `topics` records it");
            let hint = format!("add `- topic: {topic}` to `topics`");
            problems.add(&required.topic.spot, message, Some(hint));
        }
    }
}
