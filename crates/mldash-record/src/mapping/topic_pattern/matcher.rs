//! How a pattern is held against the name of a topic: as a name, or by a regular expression, which a glob becomes.

use std::borrow::Cow;

use regex::{Regex, bytes};

/// One or more whole segments.
const SEGMENTS: &str = "([^/]+(?:/[^/]+)*)";

#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Name,
    Glob {
        regex: Regex,
        shows_hidden: bool,
    },
    /// On bytes: classes such as `\d` are those of ASCII, as all names on a graph are.
    Regex {
        regex: bytes::Regex,
        shows_hidden: bool,
    },
}

impl Matcher {
    /// For what is below a scope, already checked.
    ///
    /// # Errors
    /// Fails if it has too many wildcards.
    pub(super) fn glob(below: &str) -> Result<Self, regex::Error> {
        if !below.contains(['*', '?']) {
            return Ok(Self::Name);
        }
        let mut regex = String::from("^");
        let mut segments = below.split('/').filter(|segment| !segment.is_empty()).peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            match segment {
                "**" if is_last => regex.extend(["/", SEGMENTS]),
                "**" => regex.extend(["(?:/", SEGMENTS, ")?"]),
                "*" => regex.push_str("/([^/]+)"),
                _ => push_segment(&mut regex, segment),
            }
        }
        regex.push('$');
        Ok(Self::Glob { regex: Regex::new(&regex)?, shows_hidden: is_hidden(below) })
    }

    /// For a regular expression.
    ///
    /// # Errors
    /// Fails if it is none.
    pub(super) fn regex(text: &str) -> Result<Self, regex::Error> {
        let regex = bytes::RegexBuilder::new(text).unicode(false).build()?;
        Ok(Self::Regex { regex, shows_hidden: text.contains("/_") })
    }

    /// What the wildcards match in `topic`, which a glob must find below `prefix`. A name has no wildcards, and
    /// matches nothing here.
    pub(super) fn captures(&self, topic: &str, prefix: &str) -> Option<Vec<String>> {
        match self {
            Self::Name => None,
            Self::Glob { regex, shows_hidden } => {
                let topic = plain(topic);
                let below = topic.strip_prefix(prefix)?;
                let found = regex.captures(below).filter(|_| *shows_hidden || !is_hidden(below))?;
                let text = |m: Option<regex::Match<'_>>| m.map_or("", |m| m.as_str()).to_owned();
                Some(found.iter().skip(1).map(text).collect())
            }
            Self::Regex { regex, shows_hidden } => {
                let topic = plain(topic);
                let found = regex.captures(topic.as_bytes());
                let found = found.filter(|_| *shows_hidden || !is_hidden(&topic))?;
                let text = |m: Option<bytes::Match<'_>>| {
                    String::from_utf8_lossy(m.map_or(b"", |m| m.as_bytes())).into_owned()
                };
                Some(found.iter().skip(1).map(text).collect())
            }
        }
    }

    /// The number of wildcards.
    pub(super) fn wildcards(&self) -> usize {
        match self {
            Self::Name => 0,
            Self::Glob { regex, .. } => regex.captures_len() - 1,
            Self::Regex { regex, .. } => regex.captures_len() - 1,
        }
    }
}

fn push_segment(regex: &mut String, segment: &str) {
    regex.push('/');
    for c in segment.chars() {
        match c {
            '*' => regex.push_str("([^/]*)"),
            '?' => regex.push_str("([^/])"),
            plain => regex.push_str(&regex::escape(plain.encode_utf8(&mut [0; 4]))),
        }
    }
}

/// A name with one `/` first and none at the end or twice, as graphs have them.
pub(super) fn plain(topic: &str) -> Cow<'_, str> {
    if topic.starts_with('/') && topic[1..].split('/').all(|segment| !segment.is_empty()) {
        return Cow::Borrowed(topic);
    }
    let segments = topic.split('/').filter(|segment| !segment.is_empty());
    Cow::Owned(segments.fold(String::new(), |name, segment| name + "/" + segment))
}

/// Returns true if ROS tools don't list the topic: the topics of services and actions.
pub fn is_hidden(topic: &str) -> bool {
    topic.split('/').any(|segment| segment.starts_with('_'))
}
