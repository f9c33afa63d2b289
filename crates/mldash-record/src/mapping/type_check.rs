//! What a message type contradicts, reported where the mapping says it. Knows no definitions:
//! the caller does.

use super::Mapping;
use super::problem::Problems;
use super::settings::{SettingKey, Settings};
use mldash_message::TypeName;

/// A setting that does not fit the message type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    /// The key that is wrong.
    pub key: SettingKey,
    /// Which entry of its value, the first being 0.
    pub item: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Mapping {
    /// Has `check` compare each setting with its message type, wherever the mapping names one, and
    /// notes each fault at the place of the key that is wrong.
    pub(super) fn check_types(
        &self,
        problems: &mut Problems,
        mut check: impl FnMut(&TypeName, &Settings) -> Vec<SettingFault>,
    ) {
        let typed_rules = self.rules.iter().filter_map(|rule| {
            let message_type = rule.message_type.as_ref()?;
            let keys = self.keys_of(rule, Some(&message_type.value));
            Some((&message_type.value, keys, &message_type.spot))
        });
        let defaults = self.types.iter().map(|(name, keys)| (name, keys.value.clone(), &keys.spot));
        for (message_type, keys, type_spot) in typed_rules.chain(defaults) {
            for fault in check(message_type, &keys.with_defaults()) {
                let spot = keys.spot(fault.key, fault.item).unwrap_or(type_spot);
                problems.add(spot, fault.message, fault.hint);
            }
        }
    }
}
