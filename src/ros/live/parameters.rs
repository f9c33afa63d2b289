//! The node's parameters as they are given at its start, on the command line or in a parameter file.

use std::sync::PoisonError;

use r2r::{Parameter, ParameterValue};

use super::selection;
use crate::ros::RosError;
use crate::track::LabelChange;

pub(super) const USE_SIM_TIME: &str = "use_sim_time";
/// The parameters of this node.
const NAMES: [&str; 18] = [
    "config",
    selection::TOPICS,
    selection::ALL,
    selection::REGEX,
    selection::EXCLUDE,
    selection::EXCLUDE_TYPES,
    selection::SERVICES,
    selection::ACTIONS,
    "experiment",
    "root",
    "remote",
    "start_paused",
    TASK,
    SUCCESS,
    NOTES,
    OPERATOR,
    TAGS,
    USE_SIM_TIME,
];
pub(super) const TASK: &str = "task";
pub(super) const SUCCESS: &str = "success";
pub(super) const NOTES: &str = "notes";
pub(super) const OPERATOR: &str = "operator";
pub(super) const TAGS: &str = "tags";
/// Parameters that any node may get, even if it does not use them.
const OF_ANY_NODE: [&str; 2] = ["qos_overrides.", "start_type_description_service"];

/// What parameters say of the recording at its start.
///
/// # Errors
/// Fails if one has the wrong type or can't be used.
pub(super) fn given_labels(node: &r2r::Node) -> Result<LabelChange, RosError> {
    let params = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    [TASK, SUCCESS, NOTES, OPERATOR, TAGS].into_iter().try_fold(LabelChange::new(), |all, name| {
        let Some(Parameter { value, .. }) = params.get(name) else { return Ok(all) };
        let (expected, change) = match (name, value) {
            (OPERATOR, ParameterValue::String(operator)) => {
                ("a line of text", LabelChange::new().operator(operator).map_err(|e| e.to_string()))
            }
            (OPERATOR, other) => ("a text", Err(format!("it is {}", other.type_name()))),
            (TAGS, value) => ("a list of texts", tags(value)),
            (SUCCESS, value) => ("true or false", said_by(name, value)),
            (_, value) => ("a text", said_by(name, value)),
        };
        let wrong = |reason| RosError::Parameter { name, expected, reason };
        Ok(change.map_err(wrong)?.or(all))
    })
}

/// The texts of a list, or of one text with `separators`, as launch arguments are.
///
/// # Errors
/// Fails if it is something else.
pub(super) fn texts<'v>(
    value: &'v ParameterValue,
    separators: &[char],
) -> Result<Vec<&'v str>, String> {
    match value {
        ParameterValue::NotSet => Ok(Vec::new()),
        ParameterValue::String(text) => {
            Ok(text.split(separators).map(str::trim).filter(|text| !text.is_empty()).collect())
        }
        ParameterValue::StringArray(texts) => Ok(texts.iter().map(String::as_str).collect()),
        other => Err(format!("it is {}", other.type_name())),
    }
}

fn tags(value: &ParameterValue) -> Result<LabelChange, String> {
    let tags =
        texts(value, &[','])?.into_iter().try_fold(LabelChange::new(), |all, tag| all.add_tag(tag));
    tags.map_err(|error| error.to_string())
}

/// The change that a value of `task`, `success` or `notes` means.
pub(super) fn said_by(name: &str, value: &ParameterValue) -> Result<LabelChange, String> {
    let none = LabelChange::new();
    let change = match (name, value) {
        (SUCCESS, ParameterValue::Bool(success)) => Ok(none.success(Some(*success))),
        (SUCCESS, ParameterValue::NotSet) => Ok(none.success(None)),
        (SUCCESS, ParameterValue::String(text)) if text.trim().is_empty() => Ok(none.success(None)),
        (TASK, ParameterValue::String(task)) => none.task(task),
        (NOTES, ParameterValue::String(notes)) => none.notes(notes),
        (TASK, ParameterValue::NotSet) => none.task(""),
        (NOTES, ParameterValue::NotSet) => none.notes(""),
        (_, other) => {
            let expected = match name {
                SUCCESS => "true or false, or \"\" if nobody can say",
                _ => "a text",
            };
            return Err(format!("it is {expected}, not {}", other.type_name()));
        }
    };
    change.map_err(|error| error.to_string())
}

/// Warns about unknown parameters, so that a mistyped name is noticed.
pub(super) fn warn_of_others(node: &r2r::Node) {
    let given = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    let is_of_any = |name: &str| OF_ANY_NODE.iter().any(|start| name.starts_with(start));
    let others: Vec<&str> = given
        .keys()
        .map(String::as_str)
        .filter(|name| !NAMES.contains(name) && !is_of_any(name))
        .collect();
    if !others.is_empty() {
        let (others, names) = (others.join(", "), NAMES.join(", "));
        tracing::warn!("ROS parameters without effect: {others}; this node has {names}");
    }
}

/// Whether receive times come from `/clock`.
pub(super) fn use_sim_time(node: &r2r::Node) -> bool {
    let params = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    matches!(params.get(USE_SIM_TIME), Some(Parameter { value: ParameterValue::Bool(true), .. }))
}
