//! How a track is named, after its topic and after values of its messages.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::template::{self, LoneBrace, Part};
use super::topic_pattern::Captures;
use mldash_message::{FieldPath, PathError};
use mldash_track::name::{NameError, TrackName};

/// A track's name with placeholders: `{topic}` (the topic without its leading `/`; for names that
/// only bags have, what can be a track's name), `{1}`, `{2}` (what the glob's wildcards match),
/// `{child_frame_id}` (a field of the message, or of the element under `each`).
///
/// ```
/// use mldash_record::mapping::{Captures, TrackPattern};
/// let pattern: TrackPattern = "tf/{child_frame_id}".parse()?;
/// let values = [Some("robot1/base_link".to_owned())];
/// let track = pattern.expand("/tf", &Captures::default(), &values)?;
/// assert_eq!(track.as_str(), "tf/robot1/base_link");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackPattern {
    pieces: Vec<Piece>,
    fields: Vec<FieldPath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    /// What a wildcard matches, counted from 1.
    Capture(usize),
    /// The message's value at `path`, the `value`-th of the values.
    Field {
        path: FieldPath,
        value: usize,
    },
}

/// Why a text is not a track pattern, or gives no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackPatternError {
    /// A brace without its partner.
    #[error(transparent)]
    Brace(#[from] LoneBrace),
    /// The text between braces is not a placeholder.
    #[error(
        "`{{{placeholder}}}` is neither {{topic}}, a wildcard's number nor a field of the message"
    )]
    Placeholder {
        /// The text between the braces.
        placeholder: String,
        /// Why it is not a field.
        source: PathError,
    },
    /// The topic has fewer wildcards.
    #[error("`{{{number}}}`: {}", wildcards_known(*.wildcards))]
    NoSuchWildcard {
        /// The number asked for.
        number: usize,
        /// The number of wildcards of the topic.
        wildcards: usize,
    },
    /// A message has no value for a placeholder.
    #[error("`{{{placeholder}}}` of the track `{pattern}` is missing or empty in the message")]
    NoValue {
        /// The placeholder.
        placeholder: String,
        /// The pattern.
        pattern: String,
    },
    /// The result can't be the name of a track.
    #[error(transparent)]
    Name(#[from] NameError),
}

fn wildcards_known(wildcards: usize) -> String {
    match wildcards {
        0 => "there is no wildcard that it could stand for".to_owned(),
        1 => "the topic has one wildcard, `{1}`".to_owned(),
        n => format!("the topic has {n} wildcards, `{{1}}` to `{{{n}}}`"),
    }
}

impl TrackPattern {
    /// The fields whose values [`expand`](Self::expand) needs, in its order.
    pub fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    /// The track of a message of `topic`.
    ///
    /// Values can have several segments, as frame ids do (`robot1/base_link`). A `/` at their start
    /// or end is left out.
    ///
    /// # Errors
    ///
    /// Fails if a value is missing or empty, or the result can't be the name of a track.
    pub fn expand(
        &self,
        topic: &str,
        captures: &Captures,
        values: &[Option<String>],
    ) -> Result<TrackName, TrackPatternError> {
        let mut name = String::new();
        let mut has_gap = false;
        let topic = as_track(topic);
        for piece in &self.pieces {
            let text = self.text(piece, &topic, captures, values)?;
            has_gap |= text.is_empty();
            name.push_str(text);
        }
        if has_gap {
            // `**` can match nothing: `a/{1}/b` is then `a/b`.
            name = name.split('/').filter(|s| !s.is_empty()).collect::<Vec<_>>().join("/");
        }
        Ok(name.parse()?)
    }

    /// What the first wildcard stands for, and a text behind it.
    pub(super) fn of_first_wildcard(below: &str) -> Self {
        Self { pieces: vec![Piece::Capture(1), Piece::Text(below.to_owned())], fields: Vec::new() }
    }

    /// The same with a text appended.
    pub(crate) fn with_suffix(mut self, suffix: &str) -> Self {
        self.pieces.push(Piece::Text(suffix.to_owned()));
        self
    }

    /// The value of each placeholder, as it came. Different values can give the same name:
    /// `/base_link` and `base_link`, or `a/b` and `c` for two placeholders as well as `a` and
    /// `b/c`.
    pub fn stands_for(
        &self,
        topic: &str,
        captures: &Captures,
        values: &[Option<String>],
    ) -> Vec<String> {
        let stands_for = |piece: &Piece| match piece {
            Piece::Text(_) => None,
            Piece::Topic => Some(topic.to_owned()),
            Piece::Capture(number) => captures.get(*number).map(str::to_owned),
            Piece::Field { value, .. } => values.get(*value).cloned().flatten(),
        };
        self.pieces.iter().filter_map(stands_for).collect()
    }

    /// Returns true if the name contains the topic.
    pub(super) fn names_topic(&self) -> bool {
        self.pieces.contains(&Piece::Topic)
    }

    fn text<'a>(
        &'a self,
        piece: &'a Piece,
        topic: &'a str,
        captures: &'a Captures,
        values: &'a [Option<String>],
    ) -> Result<&'a str, TrackPatternError> {
        let no_value = |placeholder: &dyn fmt::Display| TrackPatternError::NoValue {
            placeholder: placeholder.to_string(),
            pattern: self.to_string(),
        };
        match piece {
            Piece::Text(text) => Ok(text),
            Piece::Topic => Ok(topic),
            Piece::Capture(number) => captures.get(*number).ok_or_else(|| no_value(number)),
            Piece::Field { path, value } => {
                let text = values.get(*value).and_then(Option::as_deref).unwrap_or_default();
                Some(text.trim_matches('/')).filter(|t| !t.is_empty()).ok_or_else(|| no_value(path))
            }
        }
    }

    /// Checks that it can be expanded for topics with this many wildcards, and then gives a name.
    pub(super) fn check(&self, wildcards: usize) -> Result<(), TrackPatternError> {
        for piece in &self.pieces {
            if let Piece::Capture(number) = *piece
                && !(1..=wildcards).contains(&number)
            {
                return Err(TrackPatternError::NoSuchWildcard { number, wildcards });
            }
        }
        let values = vec![Some("x".to_owned()); self.fields.len()];
        self.expand("/x", &Captures::samples(wildcards), &values).map(drop)
    }
}

/// The track's name for a topic: without its leading `/`. A bag can have topics whose names can't
/// be a track's name: empty parts are then left out, and invalid characters become `_`.
pub(crate) fn as_track(topic: &str) -> Cow<'_, str> {
    let name = topic.strip_prefix('/').unwrap_or(topic);
    if name.parse::<TrackName>().is_ok() {
        return Cow::Borrowed(name);
    }
    let segment = |segment: &str| -> String {
        let fits = |(i, c): (usize, char)| {
            let is_odd = c.is_control() || c == '\\' || (i == 0 && c == '.');
            if is_odd { '_' } else { c }
        };
        segment.chars().enumerate().map(fits).collect()
    };
    let segments = name.split('/').filter(|segment| !segment.is_empty()).map(segment);
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

impl Default for TrackPattern {
    /// `{topic}`.
    fn default() -> Self {
        Self { pieces: vec![Piece::Topic], fields: Vec::new() }
    }
}

impl FromStr for TrackPattern {
    type Err = TrackPatternError;

    fn from_str(text: &str) -> Result<Self, TrackPatternError> {
        let mut pattern = Self { pieces: Vec::new(), fields: Vec::new() };
        for part in template::parts(text)? {
            pattern.push(part)?;
        }
        Ok(pattern)
    }
}

impl TrackPattern {
    fn push(&mut self, part: Part<'_>) -> Result<(), TrackPatternError> {
        let piece = match part {
            Part::Text(text) => Piece::Text(text.to_owned()),
            Part::Placeholder("topic") => Piece::Topic,
            Part::Placeholder(placeholder) => match placeholder.parse() {
                Ok(number) => Piece::Capture(number),
                Err(_) => self.field(placeholder)?,
            },
        };
        self.pieces.push(piece);
        Ok(())
    }

    fn field(&mut self, placeholder: &str) -> Result<Piece, TrackPatternError> {
        let path: FieldPath = placeholder.parse().map_err(|source| {
            TrackPatternError::Placeholder { placeholder: placeholder.to_owned(), source }
        })?;
        self.fields.push(path.clone());
        Ok(Piece::Field { path, value: self.fields.len() - 1 })
    }
}

impl fmt::Display for TrackPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Topic => f.write_str("{topic}"),
            Piece::Capture(number) => write!(f, "{{{number}}}"),
            Piece::Field { path, .. } => write!(f, "{{{path}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic_pattern::TopicPattern;
    use super::*;

    fn expand(
        pattern: &str,
        glob: &str,
        topic: &str,
        values: &[&str],
    ) -> Result<String, TrackPatternError> {
        let captures = glob.parse::<TopicPattern>().unwrap().captures(topic).unwrap();
        let values: Vec<Option<String>> = values.iter().map(|v| Some((*v).to_owned())).collect();
        pattern.parse::<TrackPattern>()?.expand(topic, &captures, &values).map(|t| t.to_string())
    }

    fn problem(pattern: &str, wildcards: usize) -> String {
        let checked = pattern.parse::<TrackPattern>().and_then(|p| p.check(wildcards));
        checked.unwrap_err().to_string()
    }

    #[test]
    fn a_track_takes_its_name_from_topic_wildcards_and_fields() {
        assert_eq!(expand("{topic}", "/a/b", "/a/b", &[]).unwrap(), "a/b");
        assert_eq!(expand("{2}/{1}", "/*/imu*", "/r1/imu_left", &[]).unwrap(), "_left/r1");
        assert_eq!(expand("tf/{child}", "/tf", "/tf", &["/r1/base/"]).unwrap(), "tf/r1/base");
    }

    #[test]
    fn a_topic_that_only_a_bag_has_gives_a_track_that_can_be() {
        let track = |topic: &str| expand("{topic}", "/**", topic, &[]).unwrap();
        assert_eq!(track("vid1/data"), "vid1/data");
        assert_eq!(track("/a//b/"), "a/b");
        assert_eq!(track("~/private"), "~/private");
        assert_eq!(track("/.hidden/a\\b\n"), "_hidden/a_b_");
        assert_eq!(track("/Enable Auto Exposure/value"), "Enable Auto Exposure/value");
        assert_eq!(expand("x/{1}", "/**", "//a//b", &[]).unwrap(), "x/a/b");
    }

    #[test]
    fn a_wildcard_that_stands_for_nothing_leaves_no_empty_part() {
        assert_eq!(expand("imu/{1}", "/**/imu", "/imu", &[]).unwrap(), "imu");
        assert_eq!(expand("{1}/imu", "/**/imu", "/imu", &[]).unwrap(), "imu");
        assert_eq!(expand("{1}/imu", "/**/imu", "/a/b/imu", &[]).unwrap(), "a/b/imu");
    }

    #[test]
    fn a_missing_or_empty_value_names_its_placeholder() {
        for values in [&[][..], &[""], &["/"]] {
            let error = expand("tf/{child_frame_id}", "/tf", "/tf", values).unwrap_err();
            assert!(error.to_string().contains("`{child_frame_id}`"), "{error}");
        }
    }

    #[test]
    fn a_value_can_not_leave_the_experiment() {
        for value in ["../x", "a/../../x", "a//b", ".", "a\\b", "a\0"] {
            let error = expand("tf/{frame}", "/tf", "/tf", &[value]).unwrap_err();
            assert!(matches!(error, TrackPatternError::Name(_)), "{value}: {error}");
        }
    }

    #[test]
    fn what_can_give_no_name_is_explained() {
        assert!(problem("a/{topic", 0).contains("brace"));
        assert!(problem("a}/b", 0).contains("brace"));
        assert!(problem("{a{b}", 0).contains("brace"));
        assert!(problem("{}", 0).contains("`{}`"));
        assert!(problem("{a b}", 0).contains("`{a b}`"));
        assert!(problem("{1}", 0).contains("no wildcard"));
        assert!(problem("{3}", 2).contains("`{1}` to `{2}`"));
        assert!(problem("{0}", 1).contains("one wildcard"));
        assert!(problem("/robot/pose", 0).contains("part 1 is empty"));
        assert!(problem("a//{topic}", 0).contains("part 2 is empty"));
    }
}
