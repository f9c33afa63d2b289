//! What options such as `--topics`, `--all` and `--services` mean: a mapping, with the defaults of
//! `config/bridge.yaml`. Its text is what a recording notes, and what `--write-config` writes.

use std::fmt::Write;

use super::calls::CallSelection;
use super::split::Split;
use super::topic_pattern::{NotRosName, TopicPattern};
use mldash_message::TypeName;

/// Topics, services and actions to record, as the options of `ros2 bag record` select them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicSelection {
    /// Names and globs.
    pub topics: Vec<TopicPattern>,
    /// All topics that are not hidden.
    pub all: bool,
    /// A regular expression, found anywhere in a topic's name.
    pub regex: Option<TopicPattern>,
    /// Names and patterns that the ones above don't take. Topics that are named are recorded.
    pub exclude: Vec<TopicPattern>,
    /// The same of topics by type.
    pub exclude_types: Vec<TypeName>,
    /// Services and actions. With a mapping's file, they are recorded besides what that says.
    pub calls: CallSelection,
}

/// Other options that the mapping says too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectionSettings {
    /// The experiment, as it is given.
    pub experiment: Option<String>,
    /// The root of the local store.
    pub root: Option<String>,
    /// Limits of parts.
    pub split: Split,
    /// Whether the recording starts paused.
    pub start_paused: bool,
}

/// Why options select nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Only what is not recorded is said.
    #[error(
        "`{0}` says what not to record; say what to record with `--all`, `--topics`, `--regex`, `--services` \
         or `--actions`, or write `exclude:` into the mapping"
    )]
    NothingSelected(&'static str),
    /// There is nothing to exclude from.
    #[error(
        "`{0}` has no effect: what is named one by one is recorded in any case; leave it out, or name \
         topics by a glob such as `/camera/**`"
    )]
    NothingToExclude(&'static str),
    /// Both all topics and some.
    #[error("`--all` takes every topic that `--regex` does; leave one of them out")]
    AllAndRegex,
    /// A topic is asked for and excluded.
    #[error("`{0}` is both recorded and excluded; leave it out of one of the two")]
    Excluded(String),
    /// No graph has such a topic.
    #[error(transparent)]
    NotRos(#[from] NotRosName),
}

/// Not recorded by patterns, as in `config/bridge.yaml`.
const EXCLUDED: [&str; 2] = ["/rosout", "/parameter_events"];
/// What suits types whose messages are not a row at their header stamp; as in `config/bridge.yaml`.
const TYPES: &str = "
# Transforms: a row for each, at its own stamp, in a track for each child frame. Types without a header:
# rows lie on the receive time.
types:
  tf2_msgs/msg/TFMessage: {each: transforms, track: \"{topic}/{child_frame_id}\"}
  geometry_msgs/msg/Twist: {stamp: receive}
  std_msgs/msg/String: {stamp: receive}
  std_msgs/msg/Bool: {stamp: receive}
";
const HEAD: &str = "\
# What options such as --topics, --all and --services mean. Check and use it:
#
#   mldash_bridge check FILE --graph
#   mldash_bridge run --config FILE
#
# Every key is explained in share/mldash_bridge/config/bridge.yaml.

";

impl TopicSelection {
    /// Returns true if no option is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if something is said of topics. Services and actions can go beside a mapping; what is
    /// said of topics can't.
    pub fn says_topics(&self) -> bool {
        *self != Self { calls: self.calls.clone(), ..Self::default() }
    }

    /// Checks that the options go together.
    ///
    /// # Errors
    /// Fails with the first conflict.
    pub fn check(&self) -> Result<(), SelectionError> {
        let mut calls = self.calls.of_kinds().into_iter().flat_map(|(_, patterns)| patterns);
        let has_names = self.has_patterns() || calls.any(TopicPattern::is_glob);
        let names = ("--exclude", self.exclude.is_empty(), has_names);
        let types = ("--exclude-types", self.exclude_types.is_empty(), self.has_patterns());
        for (option, is_empty, has_effect) in [names, types] {
            if !is_empty && !self.has_topics() && self.calls.is_empty() {
                return Err(SelectionError::NothingSelected(option));
            }
            if !is_empty && !has_effect {
                return Err(SelectionError::NothingToExclude(option));
            }
        }
        if self.all && self.regex.is_some() {
            return Err(SelectionError::AllAndRegex);
        }
        match self.exclude.iter().find(|excluded| self.topics.contains(excluded)) {
            Some(both) => Err(SelectionError::Excluded(both.to_string())),
            None => Ok(()),
        }
    }

    /// Checks that a graph can have these topics, services and actions.
    ///
    /// # Errors
    /// Fails with the first name that no graph has.
    pub fn check_for_graph(&self) -> Result<(), SelectionError> {
        let calls = self.calls.services.iter().chain(&self.calls.actions);
        let mut named = self.topics.iter().chain(&self.exclude).chain(calls);
        named.find_map(TopicPattern::not_ros).map_or(Ok(()), |error| Err(error.into()))
    }

    /// The text of the mapping that this means.
    pub fn mapping(&self, settings: &SelectionSettings) -> String {
        let mut text = HEAD.to_owned();
        // Writing into a text can't fail.
        let _ = self.write(settings, &mut text);
        text
    }

    fn has_topics(&self) -> bool {
        self.all || self.regex.is_some() || !self.topics.is_empty()
    }

    /// Whether something other than a name selects topics.
    fn has_patterns(&self) -> bool {
        self.all || self.regex.is_some() || self.topics.iter().any(TopicPattern::is_glob)
    }

    fn write(&self, settings: &SelectionSettings, text: &mut String) -> std::fmt::Result {
        let SelectionSettings { experiment, root, split, start_paused } = settings;
        let experiment = experiment.as_deref().map(quoted);
        let experiment = experiment.as_deref().unwrap_or("robot/{host}/{date}-{time}");
        writeln!(text, "experiment: {experiment}")?;
        writeln!(text, "root: {}", root.as_deref().map_or(".dash".to_owned(), quoted))?;
        writeln!(text, "flush: {{interval: 0.5, batch: 100, fsync: 1.0}}")?;
        if *start_paused {
            writeln!(text, "start_paused: true")?;
        }
        let limits = [
            split.every.map(|every| format!("every: {}", every.span())),
            split.size.map(|size| format!("size: {}", size.bytes().get())),
            split.rows.map(|rows| format!("rows: {rows}")),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        if !limits.is_empty() {
            writeln!(text, "split: {{{}}}", limits.join(", "))?;
        }
        writeln!(text, "{TYPES}")?;
        if self.has_topics() {
            self.write_topics(text)?;
        }
        self.write_calls(text)?;
        self.write_exclude(text)
    }

    fn write_topics(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "topics:")?;
        let mut before: Vec<&TopicPattern> = Vec::new();
        for topic in &self.topics {
            if !before.contains(&topic) {
                before.push(topic);
                writeln!(text, "  - topic: {}", scalar(&topic.to_string()))?;
            }
        }
        if let Some(regex) = &self.regex {
            writeln!(text, "  - regex: {}", quoted(&regex.to_string()))?;
        }
        let everything = |topic: &&TopicPattern| topic.to_string() == "/**";
        if self.all && !self.topics.iter().any(|topic| everything(&topic)) {
            writeln!(text, "  - topic: /**")?;
        }
        Ok(())
    }

    fn write_calls(&self, text: &mut String) -> std::fmt::Result {
        for (kind, patterns) in self.calls.of_kinds() {
            let mut entries: Vec<String> = Vec::new();
            for pattern in patterns {
                let word = CallSelection::word(pattern).map(str::to_owned);
                let entry = word.unwrap_or_else(|| scalar(&pattern.to_string()));
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
            match entries.as_slice() {
                [] => {}
                [one] => writeln!(text, "{}: {one}", kind.key())?,
                _ => writeln!(text, "{}: [{}]", kind.key(), entries.join(", "))?,
            }
        }
        Ok(())
    }

    fn write_exclude(&self, text: &mut String) -> std::fmt::Result {
        let named = |name: &&str| self.topics.iter().any(|topic| topic.to_string() == **name);
        let defaults = EXCLUDED.iter().filter(|name| self.has_patterns() && !named(name));
        let given = self.exclude.iter().map(|topic| match topic.is_regex() {
            true => format!("{{regex: {}}}", quoted(&topic.to_string())),
            false => scalar(&topic.to_string()),
        });
        let exclude: Vec<String> = defaults.map(|name| (*name).to_owned()).chain(given).collect();
        if !exclude.is_empty() {
            writeln!(text, "exclude: [{}]", exclude.join(", "))?;
        }
        if !self.exclude_types.is_empty() {
            let types: Vec<String> = self.exclude_types.iter().map(TypeName::to_string).collect();
            writeln!(text, "exclude_types: [{}]", types.join(", "))?;
        }
        Ok(())
    }
}

/// A text of YAML, in quotes only if it needs them.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with('/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '*' | '?'));
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// A text of YAML in double quotes, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
