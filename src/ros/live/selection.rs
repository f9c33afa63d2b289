//! What to record, as parameters say it: `topics`, `all`, `regex`, `exclude`, `exclude_types`, `services`,
//! `actions`.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::PoisonError;

use r2r::rcl_interfaces::msg::ParameterValue as Shown;
use r2r::{Parameter, ParameterValue};

use super::parameter_services as values;
use super::parameters::texts;
use crate::mapping::{CallSelection, TopicPattern, TopicSelection};
use crate::message::TypeName;
use crate::ros::RosError;

pub(super) const TOPICS: &str = "topics";
pub(super) const ALL: &str = "all";
pub(super) const REGEX: &str = "regex";
pub(super) const EXCLUDE: &str = "exclude";
pub(super) const EXCLUDE_TYPES: &str = "exclude_types";
pub(super) const SERVICES: &str = "services";
pub(super) const ACTIONS: &str = "actions";

/// What divides a text that stands for a list, as launch arguments do. No name has one of these.
const SEPARATORS: [char; 3] = [',', ' ', '\n'];

/// What parameters select.
///
/// # Errors
/// Fails if one has the wrong type or can't be used.
pub(super) fn given(node: &r2r::Node) -> Result<TopicSelection, RosError> {
    let params = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    let value = |name: &str| {
        params.get(name).map_or(&ParameterValue::NotSet, |Parameter { value, .. }| value)
    };
    let regex = match value(REGEX) {
        ParameterValue::NotSet => None,
        ParameterValue::String(text) if text.is_empty() => None,
        ParameterValue::String(text) => Some(
            TopicPattern::regex(text)
                .map_err(|error| wrong(REGEX, "a regular expression", error.to_string()))?,
        ),
        other => return Err(wrong(REGEX, "a text", format!("it is {}", other.type_name()))),
    };
    let all = match value(ALL) {
        ParameterValue::NotSet => false,
        ParameterValue::Bool(all) => *all,
        other => return Err(wrong(ALL, "true or false", format!("it is {}", other.type_name()))),
    };
    Ok(TopicSelection {
        topics: list(TOPICS, value(TOPICS), TopicPattern::from_str)?,
        all,
        regex,
        exclude: list(EXCLUDE, value(EXCLUDE), TopicPattern::from_str)?,
        exclude_types: list(EXCLUDE_TYPES, value(EXCLUDE_TYPES), TypeName::from_str)?,
        calls: CallSelection {
            services: list(SERVICES, value(SERVICES), CallSelection::pattern)?,
            actions: list(ACTIONS, value(ACTIONS), CallSelection::pattern)?,
        },
    })
}

/// What is selected, as parameters with their descriptions.
pub(super) fn shown(selection: &TopicSelection) -> [(&'static str, Shown, &'static str); 7] {
    fn list(items: &[impl ToString]) -> Shown {
        values::texts(items.iter().map(ToString::to_string).collect())
    }
    let regex = selection.regex.as_ref().map(ToString::to_string).unwrap_or_default();
    [
        (TOPICS, list(&selection.topics), "Topics that are recorded without a mapping file."),
        (ALL, values::truth(selection.all), "Whether all topics are, likewise."),
        (REGEX, values::text(&regex), "Topics by a regular expression, likewise."),
        (EXCLUDE, list(&selection.exclude), "Topics that patterns leave out."),
        (EXCLUDE_TYPES, list(&selection.exclude_types), "Types that patterns leave out."),
        (SERVICES, list(&selection.calls.services), "Services, also besides the mapping's."),
        (ACTIONS, list(&selection.calls.actions), "Actions, likewise."),
    ]
}

fn list<T, E: Display>(
    name: &'static str,
    value: &ParameterValue,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, RosError> {
    let texts =
        texts(value, &SEPARATORS).map_err(|reason| wrong(name, "a list of texts", reason))?;
    let expected = match name {
        EXCLUDE_TYPES => "types",
        SERVICES | ACTIONS => "names, globs or `all`",
        _ => "topics",
    };
    let parsed =
        texts.iter().map(|text| parse(text).map_err(|e| wrong(name, expected, e.to_string())));
    parsed.collect()
}

fn wrong(name: &'static str, expected: &'static str, reason: String) -> RosError {
    RosError::Parameter { name, expected, reason }
}
