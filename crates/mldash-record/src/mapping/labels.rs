//! `tags` and `metadata`: what is said of every experiment that is recorded.

use serde_json::{Number, Value};

use super::experiment::is_variable;
use super::template::{self, Part};
use crate::yaml::{Item, Placed, Problems, Spot};
use mldash_track::{LabelChange, Metadata};

/// Keys under `metadata` in `experiment.json` that a recorder writes itself.
pub const RECORDERS_KEYS: [&str; 23] = [
    "also_recorded",
    "bags",
    "continued_in",
    "continues",
    "discarded",
    "earlier_runs",
    "ended_at",
    "failure",
    "git_folder",
    "git_revision",
    "host",
    "mapping",
    "mapping_file",
    "node",
    "notes",
    "recorder",
    "recorder_revision",
    "rmw",
    "robot_description",
    "ros_distro",
    "ros_domain_id",
    "started_at",
    "success",
];
const TEXT: &str = "write a text; `{env:NAME}` fills in";
const LIST: &str = "write `metadata: {task: pick the cup, operator: \"{env:USER}\"}`";

/// A text with environment variables in it: `{env:USER}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EnvText(String);

/// `tags` and `metadata`, as they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LabelKeys {
    tags: Vec<Placed<EnvText>>,
    metadata: Vec<(String, Placed<EnvText>)>,
    /// What is a number or a truth.
    plain: Metadata,
}

/// A label that can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct LabelsError {
    place: String,
    problem: String,
}

impl LabelKeys {
    /// The environment variables that they need, and where they stand.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &Spot)> {
        let metadata = self.metadata.iter().map(|(_, value)| value);
        self.tags.iter().chain(metadata).flat_map(|placed| {
            placed.value.variables().into_iter().map(|name| (name, &placed.spot))
        })
    }

    /// The labels, and the other metadata.
    pub(super) fn expand(
        &self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(LabelChange, Metadata), LabelsError> {
        let mut labels = LabelChange::new();
        let mut metadata = self.plain.clone();
        for tag in &self.tags {
            let text = tag.value.expand(&env).map_err(|problem| at(tag, problem))?;
            labels = labels.add_tag(&text).map_err(|error| at(tag, error.to_string()))?;
        }
        for (key, value) in &self.metadata {
            let text = value.value.expand(&env).map_err(|problem| at(value, problem))?;
            let labelled = match key.as_str() {
                "task" => labels.clone().task(&text),
                "operator" => labels.clone().operator(&text),
                _ => {
                    metadata.insert(key.clone(), text.into());
                    continue;
                }
            };
            labels = labelled.map_err(|error| at(value, error.to_string()))?;
        }
        Ok((labels, metadata))
    }
}

fn at<T>(placed: &Placed<T>, problem: String) -> LabelsError {
    LabelsError { place: placed.spot.to_string(), problem }
}

impl EnvText {
    fn variables(&self) -> Vec<&str> {
        let parts = template::parts(&self.0).unwrap_or_default();
        let names = parts.into_iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => placeholder.strip_prefix("env:"),
            Part::Text(_) => None,
        });
        names.collect()
    }

    fn expand(&self, env: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut text = String::new();
        for part in template::parts(&self.0).map_err(|error| error.to_string())? {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Placeholder(placeholder) => {
                    let variable =
                        placeholder.strip_prefix("env:").filter(|name| is_variable(name));
                    let Some(variable) = variable else {
                        return Err(format!(
                            "`{{{placeholder}}}` is not a placeholder; there is {{env:NAME}}"
                        ));
                    };
                    text.push_str(&env(variable).ok_or_else(|| {
                        format!("the environment variable {variable} is not set")
                    })?);
                }
            }
        }
        Ok(text)
    }
}

pub(super) fn read_tags(item: &Item<'_>, keys: &mut LabelKeys, problems: &mut Problems) {
    for item in item.list(problems).unwrap_or_default() {
        keys.tags.extend(text(&item, "a tag", problems));
    }
}

pub(super) fn read_metadata(item: &Item<'_>, keys: &mut LabelKeys, problems: &mut Problems) {
    for entry in item.entries(problems).unwrap_or_default() {
        let key = entry.key.value;
        if RECORDERS_KEYS.contains(&key) {
            let message = format!("`{key}` is written by the recorder itself");
            let hint = match key {
                "notes" | "success" | "discarded" => {
                    "it is said of one recording: `--notes`, or `mldash_bridge tag` afterwards"
                }
                _ => "use another name",
            };
            problems.add(&entry.key.spot, message, Some(hint.to_owned()));
        } else if key.is_empty() || key.chars().any(char::is_control) {
            problems.add(&entry.key.spot, "this is not a name", Some(LIST.to_owned()));
        } else if let Some(plain) =
            plain(&entry.value).filter(|_| !matches!(key, "task" | "operator"))
        {
            keys.plain.insert(key.to_owned(), plain);
        } else {
            let value = text(&entry.value, key, problems);
            keys.metadata.extend(value.map(|value| (key.to_owned(), value)));
        }
    }
}

/// A number or a truth, written without quotes.
fn plain(item: &Item<'_>) -> Option<Value> {
    let text = item.plain_text()?;
    match text.parse::<i64>() {
        Ok(number) => Some(number.into()),
        Err(_) => match text {
            "true" | "True" | "TRUE" => Some(true.into()),
            "false" | "False" | "FALSE" => Some(false.into()),
            _ => Number::from_f64(text.parse().ok()?).map(Value::Number),
        },
    }
}

/// A text that gives a usable label, whatever the variables in it hold.
fn text(item: &Item<'_>, what: &str, problems: &mut Problems) -> Option<Placed<EnvText>> {
    let text = EnvText(item.text(problems)?.to_owned());
    let sample = match text.expand(|_| Some("x".to_owned())) {
        Ok(sample) => sample,
        Err(problem) => {
            problems.add(&item.spot, problem, Some(TEXT.to_owned()));
            return None;
        }
    };
    let checked = match what {
        "a tag" => LabelChange::new().add_tag(&sample).map(drop),
        "task" => LabelChange::new().task(&sample).map(drop),
        "operator" => LabelChange::new().operator(&sample).map(drop),
        _ => Ok(()),
    };
    if let Err(error) = checked {
        problems.add(&item.spot, error.to_string(), Some(TEXT.to_owned()));
        return None;
    }
    Some(item.place(text))
}
