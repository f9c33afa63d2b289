//! What options such as `--topics` and `--all` mean: a mapping, with the defaults of
//! `config/bridge.yaml`. Its text is what a recording notes, and what `--write-config` writes.

use std::fmt::Write;

use super::split::Split;
use super::topic::{NotRosName, TopicPattern};
use mldash_message::TypeName;

/// Topics to record, as the options of `ros2 bag record` select them.
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
    /// The same by type.
    pub exclude_types: Vec<TypeName>,
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
        "`{0}` says what not to record; say what to record with `--all`, `--topics` or `--regex`, or write \
         `exclude:` into the mapping"
    )]
    NothingSelected(&'static str),
    /// There is nothing to exclude from.
    #[error(
        "`{0}` has no effect: the topics that `--topics` names are recorded in any case; leave it out, or name \
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
# rows lie on the time of receipt.
types:
  tf2_msgs/msg/TFMessage: {each: transforms, track: \"{topic}/{child_frame_id}\"}
  geometry_msgs/msg/Twist: {stamp: receive}
  std_msgs/msg/String: {stamp: receive}
  std_msgs/msg/Bool: {stamp: receive}
";
const HEAD: &str = "\
# What options such as --topics and --all mean. Check and use it:
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

    /// Checks that the options go together.
    ///
    /// # Errors
    /// Fails with the first conflict.
    pub fn check(&self) -> Result<(), SelectionError> {
        let excluding = match (self.exclude.as_slice(), self.exclude_types.as_slice()) {
            ([], []) => None,
            ([], _) => Some("--exclude-types"),
            (_, _) => Some("--exclude"),
        };
        if let Some(option) = excluding {
            if !self.all && self.regex.is_none() && self.topics.is_empty() {
                return Err(SelectionError::NothingSelected(option));
            }
            if !self.has_patterns() {
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

    /// Checks that a graph can have these topics.
    ///
    /// # Errors
    /// Fails with the first name that no graph has.
    pub fn check_for_graph(&self) -> Result<(), SelectionError> {
        let mut named = self.topics.iter().chain(&self.exclude);
        named.find_map(TopicPattern::not_ros).map_or(Ok(()), |error| Err(error.into()))
    }

    /// The text of the mapping that this means.
    pub fn mapping(&self, settings: &SelectionSettings) -> String {
        let mut text = HEAD.to_owned();
        // Writing into a text can't fail.
        let _ = self.write(settings, &mut text);
        text
    }

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
        writeln!(text, "{TYPES}\ntopics:")?;
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::Mapping;

    fn selection(topics: &[&str]) -> TopicSelection {
        let topics = topics.iter().map(|topic| topic.parse().unwrap()).collect();
        TopicSelection { topics, ..TopicSelection::default() }
    }

    fn mapping(selection: &TopicSelection) -> Mapping {
        selection.check().unwrap();
        let text = selection.mapping(&SelectionSettings::default());
        Mapping::of_options(&text, None).unwrap()
    }

    fn takes(mapping: &Mapping, topic: &str, ty: &str) -> bool {
        mapping.rule_for(topic, &ty.parse().unwrap()).is_some()
    }

    const IMU: &str = "sensor_msgs/msg/Imu";

    #[test]
    fn named_topics_are_recorded_and_no_others() {
        let mapping = mapping(&selection(&["/a", "/rosout", "/cam/**", "/a"]));
        for topic in ["/a", "/rosout", "/cam/left/info"] {
            assert!(takes(&mapping, topic, IMU), "{topic}");
        }
        assert!(!takes(&mapping, "/b", IMU));
        assert_eq!(mapping.rules().len(), 3, "a topic that is named twice has one entry");
        assert_eq!(mapping.file(), None);
    }

    #[test]
    fn all_is_all_but_what_is_excluded_by_name_pattern_or_type() {
        let all = TopicSelection { all: true, ..selection(&["/parameter_events"]) };
        assert!(
            takes(&mapping(&all), "/a/b", IMU) && takes(&mapping(&all), "/parameter_events", IMU)
        );
        assert!(!takes(&mapping(&all), "/rosout", IMU), "as in config/bridge.yaml");
        assert!(!takes(&mapping(&all), "/a/_action/status", IMU), "it is hidden");
        let exclude = vec!["/cam/*".parse().unwrap(), TopicPattern::regex("debug$").unwrap()];
        let exclude_types = vec![IMU.parse().unwrap()];
        let some = mapping(&TopicSelection { exclude, exclude_types, ..all });
        for (topic, ty, is_taken) in [
            ("/cam/left", "a/msg/B", false),
            ("/x_debug", "a/msg/B", false),
            ("/x", IMU, false),
            ("/x", "a/msg/B", true),
            ("/parameter_events", IMU, true),
        ] {
            assert_eq!(takes(&some, topic, ty), is_taken, "{topic} {ty}");
        }
    }

    #[test]
    fn a_regular_expression_selects_by_any_part_of_the_name() {
        let regex = TopicPattern::regex("^/(a|b)_\\d").ok();
        let mapping = mapping(&TopicSelection { regex, ..TopicSelection::default() });
        let taken = ["/a_1/x", "/b_2", "/c_1", "/x/a_1"].map(|topic| takes(&mapping, topic, IMU));
        assert_eq!(taken, [true, true, false, false]);
        assert_eq!(mapping.rules()[0].label(), "regex ^/(a|b)_\\d");
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let told = |selection: TopicSelection| selection.check().unwrap_err().to_string();
        let exclude = || vec!["/b".parse().unwrap()];
        let exclude_types = vec![IMU.parse().unwrap()];
        let regex = TopicPattern::regex("x").ok();
        let none = told(TopicSelection { exclude: exclude(), ..TopicSelection::default() });
        assert!(none.starts_with("`--exclude` says what not to record"), "{none}");
        let types = told(TopicSelection { exclude_types, ..selection(&["/a"]) });
        assert!(types.starts_with("`--exclude-types` has no effect"), "{types}");
        let both = told(TopicSelection { exclude: exclude(), all: true, ..selection(&["/b"]) });
        assert!(both.starts_with("`/b` is both"), "{both}");
        told(TopicSelection { all: true, regex, ..TopicSelection::default() });
        let wrong = selection(&["/a b"]).check_for_graph().unwrap_err().to_string();
        assert!(wrong.contains("can't be in a topic's name"), "{wrong}");
    }

    #[test]
    fn the_other_options_are_in_it_too() {
        let settings = SelectionSettings {
            experiment: Some("alice/lab/{date}".to_owned()),
            root: Some("/data: x".to_owned()),
            split: Split {
                every: "1h30min".parse().ok(),
                size: "1.5MB".parse().ok(),
                rows: Some(7),
            },
            start_paused: true,
        };
        let mapping = Mapping::of_options(&selection(&["/a"]).mapping(&settings), None).unwrap();
        assert_eq!(mapping.experiment().unwrap().to_string(), "alice/lab/{date}");
        assert_eq!(mapping.root().unwrap().to_str(), Some("/data: x"));
        assert_eq!((mapping.split(), mapping.start_paused()), (settings.split, true));
    }

    proptest! {
        #[test]
        fn whatever_is_selected_the_mapping_says_so(
            topics in prop::collection::vec("[ -~é]{1,12}", 1..4),
            regex in "[ -~é]{1,12}",
        ) {
            let topics: Vec<TopicPattern> = topics.iter().filter_map(|t| t.parse().ok()).collect();
            let regex = TopicPattern::regex(&regex).ok();
            let selection = TopicSelection { topics, regex, ..TopicSelection::default() };
            prop_assume!(!selection.is_empty());
            let text = selection.mapping(&SelectionSettings::default());
            // Topics may share a track, which is told; they are there all the same.
            let told = match Mapping::of_options(&text, None) {
                Ok(mapping) => {
                    let rules = mapping.rules().iter().map(|rule| rule.topic().clone());
                    let rules: Vec<TopicPattern> = rules.collect();
                    for topic in selection.topics.iter().chain(&selection.regex) {
                        prop_assert!(rules.contains(topic), "{topic} in {text}");
                    }
                    return Ok(());
                }
                Err(errors) => errors.problems().to_vec(),
            };
            for problem in told {
                let is_about_tracks = problem.message().contains("track `")
                    || problem.message().contains("is mapped in line")
                    || problem.message().contains("has an entry in line")
                    || problem.message().contains("typographic quotes");
                prop_assert!(is_about_tracks, "{problem} in {text}");
            }
        }
    }
}
