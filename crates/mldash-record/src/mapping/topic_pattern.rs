//! Names and globs of topics, as a mapping writes them and as graphs and bags have them. Bags can
//! have names that no graph has: without a leading `/`, with empty parts, with any characters.

mod matcher;

use std::fmt;
use std::str::FromStr;

pub use matcher::is_hidden;
use matcher::{Matcher, plain};

use super::track_pattern::as_track;

const MAX_BYTES: usize = 255;
/// The same of a regular expression, which can list many topics.
const MAX_REGEX_BYTES: usize = 4096;
/// The namespace of relative names before a node sets another, and the node's name.
const ROOT_NAMESPACE: &str = "";
const DEFAULT_NODE: &str = "mldash_bridge";
/// A topic's name, or a pattern of several. In a glob, `*` and `?` stand for characters within a
/// segment, `**` for any number of segments: `/a/**` is everything below `/a`, `/**/imu` is `/imu` too.
/// A regular expression takes the topics in whose whole name it is found anywhere, as that of
/// `ros2 bag record` does.
#[derive(Clone, Debug)]
pub struct TopicPattern {
    text: String,
    absolute: String,
    /// The length of the namespace, or node, in `absolute` that the text is relative to.
    prefix_bytes: usize,
    matcher: Matcher,
}

/// What the wildcards of a glob, or the groups of a regular expression, match in a topic's name, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures(Vec<String>);

/// What a name is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// `/name`.
    Root,
    /// `name`.
    Namespace,
    /// `~/name`.
    Node,
    /// A regular expression, which is about whole names.
    Regex,
}

/// Why a text is neither a topic's name nor a glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicPatternError {
    /// There is no name.
    #[error("`{0}` is no topic")]
    Empty(String),
    /// It is longer than ROS allows.
    #[error("a topic of {bytes} bytes; ROS allows {MAX_BYTES}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is not a regular expression.
    #[error("`{pattern}` is not a regular expression: {problem}")]
    Regex {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It can't be matched in bounded memory.
    #[error("`{0}` has too many wildcards; use fewer")]
    TooManyWildcards(String),
    /// `**` must be a whole segment.
    #[error(
        "`{pattern}`: `**` stands for whole parts; write `/**/` for those, `*` within `{segment}`"
    )]
    DoubleStar {
        /// The glob.
        pattern: String,
        /// The part that mixes it with other characters.
        segment: String,
    },
    /// `**` next to `**`.
    #[error("`{0}`: `**` stands twice in a row; one is enough")]
    RepeatedDoubleStar(String),
}

/// Why no graph has a topic of this name. A bag can have one, if its writer does not follow the
/// rules of ROS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRosName {
    /// A `/` at the end or next to another.
    #[error("`{0}` has an empty part; write no `/` last or twice")]
    EmptySegment(String),
    /// `~` stands for the node only at the start.
    #[error("`{0}`: `~` is the node's own name and stands first: `~/name`")]
    Tilde(String),
    /// ROS names can't have this character.
    #[error(
        "`{pattern}`: {character:?} can't be in a topic's name: letters, digits, `_` and `/` can, and the wildcards `*`, `?`, `**`"
    )]
    Character {
        /// The name or glob.
        pattern: String,
        /// The character.
        character: char,
    },
    /// In ROS names, no part starts with a digit.
    #[error("`{pattern}`: the part `{segment}` starts with a digit, which ROS does not allow")]
    LeadingDigit {
        /// The name or glob.
        pattern: String,
        /// The part.
        segment: String,
    },
}

impl TopicPattern {
    /// A regular expression for whole names. `{1}` in a track is its first group.
    ///
    /// # Errors
    /// Fails if it is empty, longer than 4 KiB, or not a regular expression.
    pub fn regex(text: &str) -> Result<Self, TopicPatternError> {
        let wrong =
            |problem: String| TopicPatternError::Regex { pattern: text.to_owned(), problem };
        if text.is_empty() || text.len() > MAX_REGEX_BYTES {
            return Err(wrong(format!("it must have 1 to {MAX_REGEX_BYTES} bytes")));
        }
        let matcher = Matcher::regex(text).map_err(|error| {
            // The last line says what is wrong; those before repeat the text.
            let error = error.to_string();
            wrong(error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
        })?;
        let text = text.to_owned();
        Ok(Self { absolute: text.clone(), text, prefix_bytes: 0, matcher })
    }

    /// Returns true if it can be several topics: a glob or a regular expression.
    pub fn is_glob(&self) -> bool {
        !matches!(self.matcher, Matcher::Name)
    }

    /// Returns true if it is a regular expression.
    pub(crate) fn is_regex(&self) -> bool {
        matches!(self.matcher, Matcher::Regex { .. })
    }

    /// The whole name or glob, from the root.
    pub fn absolute(&self) -> &str {
        &self.absolute
    }

    /// Why no graph has such a topic, if so.
    pub(crate) fn not_ros(&self) -> Option<NotRosName> {
        if self.is_regex() {
            return None;
        }
        not_ros(&self.text, below_scope(&self.text))
    }

    /// Returns true if it is the name of `topic`, a topic of a graph or a bag. A name matches as
    /// written, and as the node resolves it.
    pub(super) fn names(&self, topic: &str) -> bool {
        !self.is_glob() && (topic == self.absolute || topic == self.text)
    }

    /// What the wildcards match in `topic`, a topic of a graph or a bag; `None` if it does not
    /// match. A pattern matches a hidden topic (`/fibonacci/_action/status`) only if it has a segment
    /// that starts with `_`. It treats a name that no graph has as if it had one `/` first, and
    /// none at the end or twice.
    pub(super) fn captures(&self, topic: &str) -> Option<Captures> {
        if !self.is_glob() {
            return self.names(topic).then(Captures::default);
        }
        self.matcher.captures(topic, &self.absolute[..self.prefix_bytes]).map(Captures)
    }

    /// Returns true if this glob matches everything that `other` matches, tried on examples of
    /// that.
    pub(super) fn covers(&self, other: &Self) -> bool {
        if other.is_regex() {
            return *self == *other;
        }
        // In no name, so that only a wildcard matches it.
        const ANY: &str = "\u{1}";
        let examples = ["", ANY, "\u{1}/\u{1}"].map(|parts| {
            let name = other.absolute.replace("**", parts).replace(['*', '?'], ANY);
            plain(&name).into_owned()
        });
        let mut taken = examples.iter().filter(|name| other.captures(name).is_some()).peekable();
        taken.peek().is_some() && taken.all(|name| self.captures(name).is_some())
    }

    /// The number of wildcards.
    pub(super) fn wildcards(&self) -> usize {
        self.matcher.wildcards()
    }

    /// What the name is relative to.
    pub(super) fn scope(&self) -> Scope {
        match self.text.as_bytes().first() {
            _ if self.is_regex() => Scope::Regex,
            Some(b'/') => Scope::Root,
            Some(b'~') => Scope::Node,
            _ => Scope::Namespace,
        }
    }

    /// The same, with relative names under `namespace`, and `~` as the node `node` in it.
    pub(super) fn resolve(&self, namespace: &str, node: &str) -> Self {
        let namespace = namespace.trim_matches('/');
        let namespace = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
        let prefix = match self.scope() {
            Scope::Regex => return self.clone(),
            Scope::Root => String::new(),
            Scope::Namespace => namespace,
            Scope::Node => format!("{namespace}/{node}"),
        };
        let absolute = format!("{prefix}/{}", below_scope(&self.text));
        Self { absolute, prefix_bytes: prefix.len(), ..self.clone() }
    }
}

impl Captures {
    /// One wildcard that stands for a whole name.
    pub(super) fn of_name(name: &str) -> Self {
        Self(vec![as_track(name).into_owned()])
    }

    /// A value for each of this many wildcards.
    pub(super) fn samples(wildcards: usize) -> Self {
        Self(vec!["x".to_owned(); wildcards])
    }

    /// What the `n`-th wildcard matches, counted from 1.
    pub(super) fn get(&self, n: usize) -> Option<&str> {
        self.0.get(n.checked_sub(1)?).map(String::as_str)
    }
}

impl FromStr for TopicPattern {
    type Err = TopicPatternError;

    fn from_str(text: &str) -> Result<Self, TopicPatternError> {
        if matches!(text, "" | "/" | "~" | "~/") {
            return Err(TopicPatternError::Empty(text.to_owned()));
        }
        if text.len() > MAX_BYTES {
            return Err(TopicPatternError::TooLong { bytes: text.len() });
        }
        let below = below_scope(text);
        check(text, below)?;
        let matcher = Matcher::glob(below)
            .map_err(|_| TopicPatternError::TooManyWildcards(below.to_owned()))?;
        let unresolved =
            Self { text: text.to_owned(), absolute: String::new(), prefix_bytes: 0, matcher };
        Ok(unresolved.resolve(ROOT_NAMESPACE, DEFAULT_NODE))
    }
}

/// The text without the `/` or `~/` that tells what it is relative to.
fn below_scope(text: &str) -> &str {
    text.strip_prefix("~/").or_else(|| text.strip_prefix('/')).unwrap_or(text)
}

fn check(pattern: &str, below: &str) -> Result<(), TopicPatternError> {
    let pattern = || pattern.to_owned();
    let mut last = "";
    for segment in below.split('/').filter(|segment| !segment.is_empty()) {
        if segment == "**" && last == "**" {
            return Err(TopicPatternError::RepeatedDoubleStar(pattern()));
        }
        if segment != "**" && segment.contains("**") {
            let segment = segment.to_owned();
            return Err(TopicPatternError::DoubleStar { pattern: pattern(), segment });
        }
        last = segment;
    }
    Ok(())
}

fn not_ros(text: &str, below: &str) -> Option<NotRosName> {
    let pattern = || text.to_owned();
    if text.starts_with('~') && !text.starts_with("~/") {
        return Some(NotRosName::Tilde(pattern()));
    }
    below.split('/').find_map(|segment| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '*' | '?');
        if segment.is_empty() {
            Some(NotRosName::EmptySegment(pattern()))
        } else if segment.contains('~') {
            Some(NotRosName::Tilde(pattern()))
        } else if let Some(character) = segment.chars().find(|c| !fits(*c)) {
            Some(NotRosName::Character { pattern: pattern(), character })
        } else if segment.starts_with(|c: char| c.is_ascii_digit()) {
            let segment = segment.to_owned();
            Some(NotRosName::LeadingDigit { pattern: pattern(), segment })
        } else {
            None
        }
    })
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
            && self.absolute == other.absolute
            && self.is_regex() == other.is_regex()
    }
}

impl fmt::Display for TopicPattern {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
