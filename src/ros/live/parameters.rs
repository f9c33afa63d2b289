//! The node's parameters, as `ros2 param` shows them: the settings of the run, fixed while it
//! lasts, and what is said of the part that is recorded, which can be set.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, FutureExt};
use r2r::indexmap::IndexMap;
use r2r::{Parameter, ParameterValue, RosParams};

use super::calls::{Calls, Request};
use super::selection;
use crate::ros::{EffectiveSettings, RosError};
use crate::track::{LabelChange, Labels};

const USE_SIM_TIME: &str = "use_sim_time";
/// The parameters of this node, from the command line or a parameter file.
const NAMES: [&str; 16] = [
    "config",
    selection::TOPICS,
    selection::ALL,
    selection::REGEX,
    selection::EXCLUDE,
    selection::EXCLUDE_TYPES,
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
const TASK: &str = "task";
const SUCCESS: &str = "success";
const NOTES: &str = "notes";
const OPERATOR: &str = "operator";
const TAGS: &str = "tags";
/// Parameters that any node may get, even if it does not use them.
const OF_ANY_NODE: [&str; 2] = ["qos_overrides.", "start_type_description_service"];

/// How many changes may be on their way to the recorder.
const MAX_UNDER_WAY: usize = 64;

/// What is said of the part that is recorded. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct SaidLabels(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    labels: Labels,
    /// Changes that the recorder has not noted yet.
    under_way: usize,
}

/// The parameters.
struct Served {
    /// Read-only, with their values and descriptions.
    fixed: Vec<(&'static str, ParameterValue, &'static str)>,
    said: SaidLabels,
    calls: Calls,
}

impl SaidLabels {
    pub(super) fn new(labels: Labels) -> Self {
        Self(Arc::new(Mutex::new(Said { labels, under_way: 0 })))
    }

    /// Takes what the recorder has noted, unless later changes are on their way to it.
    pub(super) fn note(&self, noted: Option<Labels>, is_asked_for: bool) {
        let mut said = self.lock();
        said.under_way = said.under_way.saturating_sub(usize::from(is_asked_for));
        if let Some(noted) = noted.filter(|_| said.under_way == 0) {
            said.labels = noted;
        }
    }

    /// Shows a change that is on its way to the recorder.
    fn change(&self, change: &LabelChange) {
        let mut said = self.lock();
        said.labels = change.labels_of(&said.labels);
        said.under_way += 1;
    }

    /// Whether the recorder has yet to note as many changes as may wait for it.
    fn is_full(&self) -> bool {
        self.lock().under_way >= MAX_UNDER_WAY
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self, name: &str) -> Option<ParameterValue> {
        let labels = &self.lock().labels;
        let text = |text: &Option<String>| ParameterValue::String(text.clone().unwrap_or_default());
        match name {
            TASK => Some(text(&labels.task)),
            NOTES => Some(text(&labels.notes)),
            SUCCESS => Some(labels.success.map_or(ParameterValue::NotSet, ParameterValue::Bool)),
            _ => None,
        }
    }
}

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
fn said_by(name: &str, value: &ParameterValue) -> Result<LabelChange, String> {
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

/// Whether receive times currently come from `/clock`.
pub(super) fn use_sim_time(node: &r2r::Node) -> bool {
    let params = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    matches!(params.get(USE_SIM_TIME), Some(Parameter { value: ParameterValue::Bool(true), .. }))
}

/// Answers `ros2 param` and switches to simulated time. What is said of the part goes to `calls`.
pub(super) fn serve(
    node: &mut r2r::Node,
    settings: &EffectiveSettings,
    said: SaidLabels,
    calls: Calls,
) -> Result<BoxFuture<'static, ()>, r2r::Error> {
    let served = Arc::new(Mutex::new(Served { fixed: fixed(settings), said, calls }));
    let (handler, _changes) = node.make_derived_parameter_handler(served)?;
    Ok(handler.boxed())
}

/// The settings of the run.
fn fixed(settings: &EffectiveSettings) -> Vec<(&'static str, ParameterValue, &'static str)> {
    let text = |text: &str| ParameterValue::String(text.to_owned());
    let tags = ParameterValue::StringArray(settings.tags.clone());
    let paused = ParameterValue::Bool(settings.start_paused);
    let mut fixed = vec![
        ("config", text(&settings.config), "The mapping file."),
        ("experiment", text(&settings.experiment), "The experiment that is recorded into first."),
        ("root", text(&settings.root), "The local store's root."),
        ("remote", text(&settings.remote), "The server to sync to; empty without one."),
        ("start_paused", paused, "Whether the recording started paused."),
        (OPERATOR, text(&settings.operator), "Who runs the robot."),
        (TAGS, tags, "Tags of every part."),
    ];
    fixed.extend(selection::shown(&settings.selection));
    fixed
}

impl Served {
    fn refusal(name: &str, msg: String) -> r2r::Error {
        r2r::Error::ParameterValueConv { name: name.to_owned(), msg }
    }

    fn change(&self, name: &str, value: &ParameterValue) -> r2r::Result<LabelChange> {
        match name {
            TASK | SUCCESS | NOTES if self.said.is_full() => {
                let reason = "too many changes wait to be noted; try again later";
                Err(Self::refusal(name, reason.to_owned()))
            }
            TASK | SUCCESS | NOTES => said_by(name, value).map_err(|msg| Self::refusal(name, msg)),
            _ => Err(Self::refusal(
                name,
                "it is fixed while the node records; start the node anew to change it".to_owned(),
            )),
        }
    }
}

impl RosParams for Served {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _param: Option<Parameter>,
        params: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        for (name, value, description) in &self.fixed {
            params.insert((*name).to_owned(), Parameter { value: value.clone(), description });
        }
        for (name, description) in [
            (TASK, "What the robot is to do: of this part and the next ones."),
            (SUCCESS, "Whether it did, in this part."),
            (NOTES, "Notes on this part."),
        ] {
            let value = self.said.value(name).unwrap_or(ParameterValue::NotSet);
            params.insert(name.to_owned(), Parameter { value, description });
        }
        let description = "Whether times are those of /clock.";
        let sim_time = params.entry(USE_SIM_TIME.to_owned());
        sim_time.or_insert_with(|| Parameter::new(ParameterValue::Bool(false))).description =
            description;
        Ok(())
    }

    /// r2r itself answers for the others.
    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        let unknown = || r2r::Error::InvalidParameterName { name: name.to_owned() };
        self.said.value(name).ok_or_else(unknown)
    }

    /// It is shown at once. Once the recorder has noted it, what is noted is shown.
    fn set_parameter(&mut self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        let change = self.change(name, value)?;
        self.said.change(&change);
        match self.calls.ask(Request::Label(change)) {
            true => Ok(()),
            false => Err(Self::refusal(name, "the recording is over".to_owned())),
        }
    }

    fn check_parameter(&self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        self.change(name, value).map(drop)
    }
}
