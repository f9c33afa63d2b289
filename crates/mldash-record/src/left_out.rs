//! What is left out of a recording: topics that can't be recorded, topics that the mapping does not ask for, and
//! entries of the mapping without a topic.

use std::collections::BTreeMap;

use super::account::{DropReason, TopicAccount};

/// How many topics that can't be recorded are named in the account. A graph can have any number of
/// publishers that offer too little; an MCAP file can't have more topics than this.
const MAX_REFUSED: usize = 1 << 16;

/// What is left out, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    refused: BTreeMap<String, String>,
    /// How many more were refused after [`MAX_REFUSED`].
    refused_more: u64,
    /// Topics that can't be recorded but have messages in a bag.
    refused_topics: BTreeMap<String, TopicAccount>,
    not_asked_for: BTreeMap<String, u64>,
    unmatched: Vec<String>,
}

impl LeftOut {
    /// Notes a topic that can't be recorded.
    pub(super) fn refuse(&mut self, topic: String, reason: String) {
        if self.refused.len() < MAX_REFUSED || self.refused.contains_key(&topic) {
            self.refused.insert(topic, reason);
        } else {
            self.refused_more += 1;
        }
    }

    /// The topics that can't be recorded, and why. Those beyond [`MAX_REFUSED`] as one entry.
    pub(super) fn refused(&self) -> BTreeMap<String, String> {
        let mut refused = self.refused.clone();
        if self.refused_more > 0 {
            let more = self.refused_more;
            refused.insert("…".to_owned(), format!("and {more} more, which the log names"));
        }
        refused
    }

    /// Counts messages of a topic that was [refused](Self::refuse).
    pub(super) fn count_refused(
        &mut self,
        topic: &str,
        type_name: &str,
        messages: u64,
        bytes: u64,
    ) {
        if messages > 0 {
            let new = || TopicAccount::new(topic, type_name);
            let account = self.refused_topics.entry(topic.to_owned()).or_insert_with(new);
            account.drop_received(DropReason::Refused, messages);
            account.bytes += bytes;
        }
    }

    /// The accounts of topics that can't be recorded but have messages in a bag.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicAccount> {
        self.refused_topics.values()
    }

    /// Notes a topic that the mapping does not ask for, and its number of messages.
    pub(super) fn pass_over(&mut self, topic: &str, messages: u64) {
        *self.not_asked_for.entry(topic.to_owned()).or_default() += messages;
    }

    /// The topics that the mapping does not ask for, and their numbers of messages.
    pub(super) fn not_asked_for(&self) -> &BTreeMap<String, u64> {
        &self.not_asked_for
    }

    /// Notes entries of the mapping without a topic.
    pub(super) fn set_unmatched(&mut self, entries: Vec<String>) {
        self.unmatched = entries;
    }

    /// Entries of the mapping without a topic.
    pub(super) fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    /// What is said of the next part, too.
    pub(super) fn next_part(&mut self) -> Self {
        Self {
            refused: self.refused.clone(),
            refused_more: self.refused_more,
            refused_topics: BTreeMap::new(),
            // It is about the bags, not about a part.
            not_asked_for: std::mem::take(&mut self.not_asked_for),
            unmatched: self.unmatched.clone(),
        }
    }
}
