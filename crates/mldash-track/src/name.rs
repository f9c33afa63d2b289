//! Names of experiments, tracks and files. They become folders, so each name is checked once, here,
//! to stay inside its root on every file system.

use std::fmt;
use std::str::FromStr;

/// The usual limit of file systems for a folder's name.
const MAX_SEGMENT_BYTES: usize = 255;
/// Leaves room for the root and the store's own files within a path's usual limit of 4096.
const MAX_PATH_BYTES: usize = 1024;
const MIN_EXPERIMENT_SEGMENTS: usize = 3;
/// How much of an invalid name an error repeats.
const SHOWN_CHARS: usize = 80;

/// An experiment's name: `owner/project/…/name`, with at least these three parts.
///
/// ```
/// use mldash_track::ExperimentName;
/// let run: ExperimentName = "alice/warehouse/monday/run-1".parse()?;
/// assert_eq!((run.owner(), run.project(), run.name()), ("alice", "warehouse", "run-1"));
/// # Ok::<(), mldash_track::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExperimentName(String);

/// A track's topic within its experiment: `robot/pose`.
///
/// ```
/// use mldash_track::TrackName;
/// let pose: TrackName = "robot/pose".parse()?;
/// assert_eq!(pose.folder(), "robot_pose");
/// # Ok::<(), mldash_track::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackName(String);

/// A file's place among an experiment's files: `frames/frame_00001.jpg`.
///
/// ```
/// use mldash_track::FilePath;
/// let frame: FilePath = "camera/left/frame_00001.jpg".parse()?;
/// assert_eq!((frame.folder(), frame.filename()), ("camera/left", "frame_00001.jpg"));
/// # Ok::<(), mldash_track::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

/// Why a text is not a valid name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {kind}: {problem}", name.escape_debug())]
pub struct NameError {
    name: String,
    kind: NameKind,
    problem: NameProblem,
}

/// The kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// An [`ExperimentName`].
    Experiment,
    /// A [`TrackName`].
    Track,
    /// A [`FilePath`].
    File,
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// The text is empty.
    #[error("it is empty; give {}", kind.example())]
    Empty {
        /// The kind of name.
        kind: NameKind,
    },
    /// An experiment needs an owner, a project and a name.
    #[error("it has {found} of at least 3 parts; write owner/project/name")]
    TooFewSegments {
        /// The number of parts.
        found: usize,
    },
    /// A `/` is first, last, or next to another.
    #[error("part {position} is empty; write no `/` first, last or twice")]
    EmptySegment {
        /// Which part, counted from 1.
        position: usize,
    },
    /// A part starts with a dot: a hidden folder, or a path out of the root.
    #[error("`{}` starts with a dot; start it with another character", segment.escape_debug())]
    LeadingDot {
        /// The part.
        segment: String,
    },
    /// It contains a control character or a backslash.
    #[error("it holds {character:?}; leave out control characters and backslashes")]
    Character {
        /// The character.
        character: char,
    },
    /// It is too long to be stored.
    #[error("it is {bytes} bytes long; shorten it to {max_bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A part of it is too long to be stored.
    #[error("part {position} is {bytes} bytes long; shorten it to {max_bytes}")]
    SegmentTooLong {
        /// Which part, counted from 1.
        position: usize,
        /// Its length.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
}

impl ExperimentName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the `/`; at least three.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The first part: the owner, which is the server's namespace.
    pub fn owner(&self) -> &str {
        self.segments().next().unwrap_or_default()
    }

    /// The second part.
    pub fn project(&self) -> &str {
        self.segments().nth(1).unwrap_or_default()
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.segments().next_back().unwrap_or_default()
    }
}

impl TrackName {
    /// The whole topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the `/`; at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Its folder in the store. Different tracks can share one: `a/b` and `a_b`.
    pub fn folder(&self) -> String {
        self.0.replace('/', "_")
    }
}

impl FilePath {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All but the last part; empty for a file in no folder.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The last part.
    pub fn filename(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, filename)| filename)
    }
}

impl NameError {
    /// The invalid text, or its start if it is long.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of name.
    pub fn kind(&self) -> NameKind {
        self.kind
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &NameProblem {
        &self.problem
    }

    fn new(text: &str, kind: NameKind, problem: NameProblem) -> Self {
        let mut name: String = text.chars().take(SHOWN_CHARS).collect();
        if name.len() < text.len() {
            name.push('…');
        }
        Self { name, kind, problem }
    }
}

impl NameKind {
    fn example(self) -> &'static str {
        match self {
            Self::Experiment => "owner/project/name",
            Self::Track => "a topic such as robot/pose",
            Self::File => "a file such as frames/frame_00001.jpg",
        }
    }
}

impl FromStr for ExperimentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_experiment(text)
            .map(|()| Self(text.to_owned()))
            .map_err(|problem| NameError::new(text, NameKind::Experiment, problem))
    }
}

impl FromStr for TrackName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_track(text)
            .map(|()| Self(text.to_owned()))
            .map_err(|problem| NameError::new(text, NameKind::Track, problem))
    }
}

impl FromStr for FilePath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, NameKind::File, MAX_PATH_BYTES)
            .map(|()| Self(text.to_owned()))
            .map_err(|problem| NameError::new(text, NameKind::File, problem))
    }
}

fn check_experiment(text: &str) -> Result<(), NameProblem> {
    check(text, NameKind::Experiment, MAX_PATH_BYTES)?;
    match text.split('/').count() {
        found @ 0..MIN_EXPERIMENT_SEGMENTS => Err(NameProblem::TooFewSegments { found }),
        _ => Ok(()),
    }
}

fn check_track(text: &str) -> Result<(), NameProblem> {
    // The whole topic becomes one folder's name.
    check(text, NameKind::Track, MAX_SEGMENT_BYTES)
}

fn check(text: &str, kind: NameKind, max_bytes: usize) -> Result<(), NameProblem> {
    if text.is_empty() {
        return Err(NameProblem::Empty { kind });
    }
    if text.len() > max_bytes {
        return Err(NameProblem::TooLong { bytes: text.len(), max_bytes });
    }
    if let Some(character) = text.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(NameProblem::Character { character });
    }
    text.split('/').zip(1..).try_for_each(|(segment, position)| check_segment(segment, position))
}

fn check_segment(segment: &str, position: usize) -> Result<(), NameProblem> {
    if segment.is_empty() {
        return Err(NameProblem::EmptySegment { position });
    }
    if segment.starts_with('.') {
        return Err(NameProblem::LeadingDot { segment: segment.to_owned() });
    }
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(NameProblem::SegmentTooLong {
            position,
            bytes: segment.len(),
            max_bytes: MAX_SEGMENT_BYTES,
        });
    }
    Ok(())
}

impl fmt::Display for ExperimentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Experiment => "an experiment's name",
            Self::Track => "a track's name",
            Self::File => "a file's name",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    fn experiment_problem(text: &str) -> NameProblem {
        text.parse::<ExperimentName>().unwrap_err().problem().clone()
    }

    fn track_problem(text: &str) -> NameProblem {
        text.parse::<TrackName>().unwrap_err().problem().clone()
    }

    /// Text that the rules for names must handle.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof!["/", "\\.", "\\.\\.", "\\\\", "[a-z_]{1,3}", "\\PC", "\0|\n|C:"];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn an_experiment_has_an_owner_a_project_and_a_name() {
        assert_eq!(experiment_problem("alice"), NameProblem::TooFewSegments { found: 1 });
        assert_eq!(experiment_problem("alice/run"), NameProblem::TooFewSegments { found: 2 });
        let name: ExperimentName = "alice/warehouse/run".parse().unwrap();
        assert_eq!(name.segments().collect::<Vec<_>>(), ["alice", "warehouse", "run"]);
    }

    #[test]
    fn the_part_that_is_wrong_is_named() {
        assert_eq!(track_problem(""), NameProblem::Empty { kind: NameKind::Track });
        assert_eq!(track_problem("/robot/pose"), NameProblem::EmptySegment { position: 1 });
        assert_eq!(track_problem("robot//pose"), NameProblem::EmptySegment { position: 2 });
        assert_eq!(track_problem("robot/pose/"), NameProblem::EmptySegment { position: 3 });
        assert_eq!(track_problem("a/../b"), NameProblem::LeadingDot { segment: "..".into() });
        assert_eq!(track_problem(r"a\b"), NameProblem::Character { character: '\\' });
        let long = "x".repeat(256);
        assert_eq!(track_problem(&long), NameProblem::TooLong { bytes: 256, max_bytes: 255 });
        let wrong = NameProblem::SegmentTooLong { position: 2, bytes: 256, max_bytes: 255 };
        assert_eq!(experiment_problem(&format!("a/{long}/b")), wrong);
    }

    #[test]
    fn an_error_repeats_no_more_of_a_name_than_a_line_holds_and_no_control_characters() {
        let error = "\u{1b}[31m/x".repeat(1000).parse::<TrackName>().unwrap_err();
        assert!(error.name().chars().count() <= SHOWN_CHARS + 1);
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }

    proptest! {
        #[test]
        fn no_experiment_leaves_its_root(text in hostile()) {
            if let Ok(name) = text.parse::<ExperimentName>() {
                let parts: Vec<Component> = Path::new(name.as_str()).components().collect();
                let plain: Vec<Component> =
                    name.segments().map(|s| Component::Normal(OsStr::new(s))).collect();
                prop_assert!(plain.len() >= MIN_EXPERIMENT_SEGMENTS);
                prop_assert_eq!(parts, plain);
            }
        }

        #[test]
        fn a_track_is_one_folder_within_its_experiment(text in hostile()) {
            if let Ok(name) = text.parse::<TrackName>() {
                let folder = name.folder();
                let parts: Vec<Component> = Path::new(&folder).components().collect();
                prop_assert_eq!(parts, [Component::Normal(OsStr::new(&folder))]);
            }
        }

        #[test]
        fn plain_words_are_names(words in prop::collection::vec("[A-Za-z0-9_ -]{1,20}", 3..6)) {
            let text = words.join("/");
            prop_assert_eq!(text.parse::<ExperimentName>().unwrap().to_string(), text.clone());
            prop_assert_eq!(text.parse::<TrackName>().unwrap().to_string(), text);
        }
    }
}
